"""What a cell reads and binds: the names that it needs from the notebook, and those that it leaves behind.

A name is read if it may be looked up before the cell has bound it: in the order of
execution, branches and loops followed, a function's reads counted where the function is
used. A ``for`` loop is taken to run at least once.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._key.bytecode import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._key.bytecode import Chain

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
#: ``type X = ...``, which Python has since 3.12.
_ALIAS: Any = getattr(ast, "TypeAlias", ())
DEFINITIONS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    _ALIAS,
)
#: Calls that make classes and the like, which a value of another kernel cannot be read
#: without.
_FACTORIES = frozenset(
    (
        *(
            "namedtuple",
            "NamedTuple",
            "TypedDict",
            "NewType",
            "TypeVar",
            "ParamSpec",
            "TypeVarTuple",
            "make_dataclass",
        ),
        *("create_model", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"),
    ),
)
#: Calls that only set up what the whole kernel has in common: they are run on a hit,
#: too.
_SETTING = frozenset(
    (
        *("set_option", "reset_option", "set_theme", "set_style", "set_palette", "set_context"),
        *("filterwarnings", "simplefilter", "set_printoptions", "seterr", "basicConfig", "captureWarnings"),
        *("setLevel", "setlocale", "disable_max_rows", "load_dotenv", "seed", "manual_seed", "set_seed"),
        *("set_random_seed", "chdir", "set_matplotlib_formats", "register_matplotlib_converters"),
    ),
)  # fmt: skip
_SETTING_DOTTED = re.compile(
    r"^(sys\.path\.(append|insert|extend)|os\.environ\.(update|setdefault)|(.+\.)?rcParams\.update|(.+\.)?style\.use|(mpl|matplotlib)\.use|pl\.Config\.set_\w+|tqdm\.pandas)$"
)
#: Calls that change nothing and take no time, which may stand where something is
#: imported, defined or set up.
_HARMLESS = frozenset(
    (
        *("hasattr", "isinstance", "issubclass", "callable", "find_spec", "str", "int", "float", "bool"),
        *("list", "dict", "tuple", "set", "len", "Path", "join", "abspath", "dirname", "resolve", "cwd"),
        *("getcwd", "get", "getLogger", "cycler"),
    ),
)  # fmt: skip


@dataclass(slots=True)
class Reach:
    """What a cell needs and leaves behind.

    Attributes:
        reads: names that it needs, dotted ones as tuples.
        binds: names that its statements bind, in order, without those of functions,
            classes and imports.
        defines: names that functions, classes and imports bind.
        deletes: names that it deletes.
        needed: names that its functions and classes read, in whatever cell they are
            called.
        rebinds: names that its functions bind anew, with ``global``.
        closes: names that ``with ... as`` binds: mostly of what is closed behind it.
        inside: names that imports, functions and classes bind where a hit does not run
            them: in a loop, a ``with``.
    """

    reads: set[Chain] = field(default_factory=set)
    binds: dict[str, None] = field(default_factory=dict)
    defines: dict[str, None] = field(default_factory=dict)
    deletes: dict[str, None] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    rebinds: set[str] = field(default_factory=set)
    closes: dict[str, None] = field(default_factory=dict)
    inside: dict[str, None] = field(default_factory=dict)

    @property
    def outputs(self) -> list[str]:
        """The names that a cell that does not say gives to others, and private ones that its functions read."""
        return [
            name
            for name in self._values
            if not name.startswith("_") or name in self.needed
        ]

    @property
    def tools(self) -> list[str]:
        """The names that its functions and classes need, whatever it says that it gives to others; and what they cannot bring themselves."""
        return [*(name for name in self._values if name in self.needed), *self.inside]

    @property
    def _values(self) -> list[str]:
        return [name for name in self.binds if name not in self.defines]


def reach(body: list[ast.stmt], modules: frozenset[str] = frozenset()) -> Reach:
    """Return what a cell with these statements reads and binds; ``modules``: see `is_definition`."""
    found = Reach()
    _Walk(found).block(body, set())
    for node in body:
        if is_definition(node, modules):
            found.needed.update(chain[0] for chain in _chains(node))
        else:
            found.inside.update(
                dict.fromkeys(
                    name
                    for part in _blocks(node)
                    if isinstance(part, DEFINITIONS)
                    for name in defined_by(part)
                )
            )
    return found


def is_definition(node: ast.stmt, modules: frozenset[str] = frozenset()) -> bool:
    """Tell whether a statement imports, makes functions and classes, or sets the kernel up, and nothing else: a hit runs it, too.

    Args:
        node: a statement at the top of a cell.
        modules: names of modules, what is set in which is set up.
    """
    if isinstance(node, DEFINITIONS):
        return True
    if isinstance(node, ast.Assign) and (
        isinstance(node.value, ast.Lambda)
        or (isinstance(node.value, ast.Call) and _last(node.value.func) in _FACTORIES)
    ):
        return True
    if isinstance(node, (ast.If, ast.Try)):
        parts = [
            part for part in _blocks(node) if not isinstance(part, (ast.If, ast.Try))
        ]
        asked = [part.test for part in _blocks(node) if isinstance(part, ast.If)]
        return (
            any(is_definition(part, modules) for part in parts)
            and all(is_definition(part, modules) or _is_plain(part) for part in parts)
            and not any(map(_acts, asked))
        )
    return _sets_up(node) or (sets_in(node) in modules and not _acts(node.value))  # type: ignore[attr-defined]


def _sets_up(node: ast.stmt) -> bool:
    """Tell whether a statement is a call such as ``pd.set_option(...)``."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or any(
        map(_acts, [*call.args, *(word.value for word in call.keywords)])
    ):
        return False
    return _last(call.func) in _SETTING or bool(
        _SETTING_DOTTED.match(ast.unparse(call.func))
    )


def sets_in(node: ast.stmt) -> str | None:
    """Return the first name of what a statement sets an attribute or item of: ``plt`` of ``plt.rcParams["font.size"] = 9``."""
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign)
        else []
    )
    inner: ast.expr | None = targets[0] if len(targets) == 1 else None
    if not isinstance(inner, (ast.Attribute, ast.Subscript)):
        return None
    while isinstance(inner, (ast.Attribute, ast.Subscript)):
        inner = inner.value
    return inner.id if isinstance(inner, ast.Name) else None


def _is_plain(node: ast.stmt) -> bool:
    """Tell whether a statement among definitions may run with them: ``HAS_X = True``."""
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Assign)
        and not _acts(node.value)
        and all(isinstance(target, ast.Name) for target in node.targets)
    )


def _acts(node: ast.expr) -> bool:
    return any(
        isinstance(part, (ast.Call, ast.Await, ast.NamedExpr))
        and not (isinstance(part, ast.Call) and _last(part.func) in _HARMLESS)
        for part in ast.walk(node)
    )


def _last(function: ast.expr) -> str:
    return (
        function.attr
        if isinstance(function, ast.Attribute)
        else getattr(function, "id", "")
    )


def _blocks(node: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those inside it, bodies of functions and classes left out."""
    yield node
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.stmt):
                yield from _blocks(part)
            elif isinstance(part, (ast.ExceptHandler, ast.match_case)):
                for inner in part.body:
                    yield from _blocks(inner)


def defined_by(node: ast.stmt) -> list[str]:
    """Return the names that an import, a function or a class binds."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    name: Any = getattr(node, "name", "")
    return [getattr(name, "id", name)]


class _Walk:
    """Goes through statements in the order in which they run."""

    def __init__(self, found: Reach) -> None:
        self._found = found
        #: What functions and classes of the cell read when they are used.
        self._later: dict[str, set[Chain]] = {}

    def block(self, body: Iterable[ast.stmt], bound: set[str]) -> set[str]:
        """Go through statements; ``bound``: names that are surely bound before. Returns those surely bound after."""
        for node in body:
            bound = self._statement(node, bound)
        return bound

    def _statement(self, node: ast.stmt, bound: set[str]) -> set[str]:  # noqa: C901, PLR0911  # one line for each kind
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return self._definition(node, node.name, bound)
        if isinstance(node, _ALIAS):
            return self._definition(node, node.name.id, bound)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = dict.fromkeys(defined_by(node))
            self._found.defines.update(names)
            return bound | names.keys()
        if isinstance(node, ast.If):
            self._expression(node.test, bound)
            return self.block(node.body, bound) & self.block(node.orelse, bound)
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self._expression(node.iter, bound)
            return self.block(
                node.orelse, self.block(node.body, self._bind(node.target, bound))
            )
        if isinstance(node, ast.While):
            self._expression(node.test, bound)
            self.block(node.body, bound)
            return self.block(node.orelse, bound)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self._expression(item.context_expr, bound)
                before = set(self._found.binds)
                bound = self._bind(item.optional_vars, bound)
                for name in [name for name in self._found.binds if name not in before]:
                    del self._found.binds[name]
                    self._found.closes[name] = None
            return self.block(node.body, bound)
        if isinstance(node, (ast.Try, ast.TryStar)):
            return self._try(node, bound)
        if isinstance(node, ast.Match):
            return self._match(node, bound)
        if isinstance(
            node, (ast.Break, ast.Continue)
        ):  # they mean nothing without their loop
            return bound
        return self._simple(node, bound)

    def _try(self, node: ast.Try | ast.TryStar, bound: set[str]) -> set[str]:
        after = self.block(node.orelse, self.block(node.body, bound))
        for handler in node.handlers:
            self._expression(handler.type, bound)
            after &= self.block(
                handler.body, bound | ({handler.name} if handler.name else set())
            )
        return self.block(node.finalbody, bound) | after

    def _match(self, node: ast.Match, bound: set[str]) -> set[str]:
        self._expression(node.subject, bound)
        after: set[str] | None = None
        for case in node.cases:
            names = {
                part.name
                for part in ast.walk(case.pattern)
                if isinstance(part, (ast.MatchAs, ast.MatchStar)) and part.name
            }
            names |= {
                part.rest
                for part in ast.walk(case.pattern)
                if isinstance(part, ast.MatchMapping) and part.rest
            }
            self._found.binds.update(dict.fromkeys(sorted(names)))
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.expr):
                    self._expression(part, bound)
            self._expression(case.guard, bound | names)
            ended = self.block(case.body, bound | names)
            after = ended if after is None else after & ended
        return bound if after is None else bound | (after & bound)

    def _simple(self, node: ast.stmt, bound: set[str]) -> set[str]:
        """An assignment, an expression, a deletion: what it reads is looked up before what it binds is bound."""
        self._read(_chains(node), bound)
        if isinstance(node, ast.Assign) and is_definition(
            node
        ):  # a function or class in all but its spelling
            self._found.defines.update(
                {part.id: None for part in node.targets if isinstance(part, ast.Name)}
            )
        targets = (
            node.targets
            if isinstance(node, (ast.Assign, ast.Delete))
            else [getattr(node, "target", None)]
        )
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._read({(node.target.id,)}, bound)
        if isinstance(node, ast.AnnAssign) and node.value is None:
            targets = []
        always = {*_always(node)}
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                after = self._bind(part.target, bound)
                # Where a condition decides whether it is bound, what comes behind may
                # still read what was there before.
                bound = after if part in always else bound
        for target in targets:
            bound = self._bind(target, bound)
        if isinstance(node, ast.Delete):
            self._found.deletes.update(
                {part.id: None for part in node.targets if isinstance(part, ast.Name)}
            )
        return bound

    def _bind(self, target: ast.expr | None, bound: set[str]) -> set[str]:
        if target is None:
            return bound
        names = {
            part.id: None
            for part in ast.walk(target)
            if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del))
        }
        self._found.binds.update(names)
        if not isinstance(target, ast.Name):  # of `a[i]` and `a.b` the rest is read
            self._read(
                _chains(ast.copy_location(ast.Expr(_loaded(target)), target))
                - {(name,) for name in names},
                bound,
            )
        return bound | names.keys()

    def _definition(self, node: ast.stmt, name: str, bound: set[str]) -> set[str]:
        code = compile(
            ast.Module([node], []), "<cell>", "exec", _FLAGS, dont_inherit=True
        )
        everything = scan(code, module=True)
        at_once = scan(
            code, module=True, inside=isinstance(node, ast.ClassDef), functions=False
        )
        self._later[name] = everything.names - {(name,)}
        self._found.needed.update(chain[0] for chain in everything.names)
        self._found.rebinds.update(everything.rebound_names)
        self._read(at_once.names - {(name,)}, bound)
        self._found.defines[name] = None
        return bound | {name}

    def _expression(self, node: ast.expr | None, bound: set[str]) -> None:
        if node is not None:
            self._read(_chains(ast.copy_location(ast.Expr(_loaded(node)), node)), bound)
            # Not bound for what comes after: `a or (n := f())` may leave it as it was.
            self._found.binds.update(
                {
                    part.target.id: None
                    for part in ast.walk(node)
                    if isinstance(part, ast.NamedExpr)
                }
            )

    def _read(
        self, chains: set[Chain], bound: set[str], used: frozenset[str] = frozenset()
    ) -> None:
        for chain in chains:
            name = chain[0]
            if (
                name in self._later and name not in used
            ):  # what the function reads, it reads when it is used
                self._read(self._later[name], bound, used | {name})
            if name not in bound:
                self._found.reads.add(chain)


def _chains(node: ast.stmt) -> set[Chain]:
    module = ast.fix_missing_locations(ast.Module([node], []))
    code = compile(module, "<cell>", "exec", _FLAGS, dont_inherit=True)
    return scan(code, module=True).names


def _loaded(node: ast.expr) -> ast.expr:
    """A copy of a target that reads where the target binds: names apart, ``a[i]`` reads ``a`` and ``i``."""
    found = ast.parse(ast.unparse(node), mode="eval").body
    return ast.copy_location(found, node)


#: Calls whose effect no key can know, and why.
_BLIND = {
    "exec": "exec() runs code that is made while the cell runs",
    "eval": "eval() runs code that is made while the cell runs",
    "globals": "globals() can reach every name of the notebook",
    "locals": "locals() can reach every name of the notebook",
    "vars": "vars() can reach every name of the notebook",
    "input": "input() asks a person",
    "__import__": "__import__() imports what its argument says",
}
#: Magics that only set the notebook up: they are run again on a hit, like an import.
SETTING_UP = frozenset(
    (
        "matplotlib",
        "config",
        "load_ext",
        "reload_ext",
        "autoreload",
        "precision",
        "autoawait",
    )
)


def blind(body: list[ast.stmt], modules: frozenset[str] = frozenset()) -> str | None:
    """Return why a cell with these statements cannot be remembered, ``None`` if it can; ``modules``: see `is_definition`."""
    for statement in body:
        for part in _blocks(statement):
            if (name := sets_in(part)) in modules and not is_definition(
                statement, modules
            ):
                return f"`{ast.unparse(part)}` changes the module {name} for the whole notebook"
    for node in [part for statement in body for part in ast.walk(statement)]:
        if isinstance(node, ast.ImportFrom) and any(
            alias.name == "*" for alias in node.names
        ):
            return f"`from {node.module} import *` binds names that cannot be known"
        if isinstance(node, ast.Call):
            if (
                isinstance(node.func, ast.Name)
                and node.func.id in _BLIND
                and not (node.func.id == "vars" and node.args)
            ):
                return _BLIND[node.func.id]
            if (
                isinstance(node.func, ast.Attribute)
                and is_shell(node.func.value)
                and magic_of(node) not in SETTING_UP
            ):
                what = magic_of(node)
                return (
                    f"the magic %{what} does what cannot be known"
                    if what
                    else "a shell command does what cannot be known"
                )
    return None


def is_shell(node: ast.expr) -> bool:
    """Tell whether an expression is ``get_ipython()``, which IPython writes for magics and shell commands."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "get_ipython"
    )


def magic_of(node: ast.AST) -> str | None:
    """Return the name of the magic that a call runs, ``None`` if it runs none."""
    if isinstance(node, ast.Expr):
        node = node.value
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("run_line_magic", "run_cell_magic")
        and node.args
    ):
        name = node.args[0]
        return str(name.value) if isinstance(name, ast.Constant) else None
    return None


def _always(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that are evaluated whatever is true: not those behind an ``and``, in a branch, in a loop."""
    yield node
    if isinstance(node, ast.BoolOp):
        parts: Iterable[ast.AST] = node.values[:1]
    elif isinstance(node, ast.IfExp):
        parts = [node.test]
    elif isinstance(node, ast.Compare):
        parts = [node.left, node.comparators[0]]
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        parts = [node.generators[0].iter]
    elif isinstance(node, ast.Lambda):
        parts = []
    else:
        parts = ast.iter_child_nodes(node)
    for part in parts:
        yield from _always(part)
