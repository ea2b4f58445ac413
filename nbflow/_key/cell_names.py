"""What a cell reads and binds: the names that it needs, and those that it leaves behind.

A name is read if it may be looked up before the cell has bound it: in the order of
execution, branches and loops followed, a function's reads counted where the function is
used. A ``for`` loop is taken to run at least once.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._key import query_texts
from nbflow._key.bytecode import scan
from nbflow._key.setting_up import acts, last_name, sets_in, sets_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType

    from nbflow._key.bytecode import Chain, Reads
    from nbflow._key.query_texts import Asks

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
        "namedtuple",
        "NamedTuple",
        "TypedDict",
        "NewType",
        "TypeVar",
        "ParamSpec",
        "TypeVarTuple",
        "make_dataclass",
        "create_model",
        "Enum",
        "IntEnum",
        "StrEnum",
        "Flag",
        "IntFlag",
    )
)


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
        rebinds: names that its functions bind again, with ``global``.
        closes: names that ``with ... as`` binds: mostly of what is closed behind it.
        inside: names that imports, functions and classes bind where a hit does not run
            them: in a loop, a ``with``.
        texts: texts that are constants.
        asks: calls that look up names for a text.
        asked: each such call, and the names that it may look up for these texts.
    """

    reads: set[Chain] = field(default_factory=set)
    binds: dict[str, None] = field(default_factory=dict)
    defines: dict[str, None] = field(default_factory=dict)
    deletes: dict[str, None] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    rebinds: set[str] = field(default_factory=set)
    closes: dict[str, None] = field(default_factory=dict)
    inside: dict[str, None] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    asks: list[Asks] = field(default_factory=list)
    asked: list[tuple[Asks, set[Chain]]] = field(default_factory=list)

    @property
    def outputs(self) -> list[str]:
        """The names that a cell that does not say gives to others, and private ones that its functions read."""
        needed, values = self.needed, self._values
        return [name for name in values if name[:1] != "_" or name in needed]

    @property
    def tools(self) -> list[str]:
        """The names that its functions and classes need, whatever it says that it gives to others.

        They include what the functions and classes cannot bring themselves.
        """
        needed = [name for name in self._values if name in self.needed]
        return [*needed, *self.inside]

    @property
    def _values(self) -> list[str]:
        return [name for name in self.binds if name not in self.defines]


def reach(body: list[ast.stmt], modules: frozenset[str] = frozenset()) -> Reach:
    """Return what a cell with these statements reads and binds.

    Args:
        body: the statements.
        modules: see `is_definition`.
    """
    found = Reach()
    _Walk(found, _names).block(body, set())
    for asks in dict.fromkeys(found.asks):
        in_texts = Reach()
        _Walk(in_texts, functools.partial(_names_in_texts, asks)).block(body, set())
        found.asked.append((asks, in_texts.reads))
    for node in body:
        if is_definition(node, modules):
            found.needed.update(chain[0] for chain in _scanned(node).names)
            continue
        for part in _blocks(node):
            if isinstance(part, DEFINITIONS):
                found.inside.update(dict.fromkeys(defined_by(part)))
    return found


def is_definition(node: ast.stmt, modules: frozenset[str] = frozenset()) -> bool:
    """Return whether a statement only imports, makes functions and classes, or sets the kernel up.

    A hit runs it, too.

    Args:
        node: a statement at the top of a cell.
        modules: names of modules and of what is imported from them; see
            `setting_up.sets_up`.
    """
    if isinstance(node, DEFINITIONS) or _makes(node):
        return True
    if isinstance(node, (ast.If, ast.Try, ast.For)):
        return _only_defines(node, modules)
    return sets_up(node, modules)


def _makes(node: ast.stmt) -> bool:
    """Return whether an assignment makes a function or a class: ``Row = namedtuple(...)``."""
    if not isinstance(node, ast.Assign):
        return False
    made = node.value
    if isinstance(made, ast.Call):
        return last_name(made.func) in _FACTORIES
    return isinstance(made, ast.Lambda)


def _only_defines(node: ast.If | ast.Try | ast.For, modules: frozenset[str]) -> bool:
    """Return whether all branches define something, or do nothing beside it."""
    has_definition = False
    for part in _blocks(node):
        if isinstance(part, ast.If):
            if acts(part.test):
                return False
        elif isinstance(part, ast.For):
            if acts(part.iter):
                return False
        elif isinstance(part, ast.Try):
            continue
        elif is_definition(part, modules):
            has_definition = True
        elif not _is_plain(part):
            return False
    return has_definition


def _is_plain(node: ast.stmt) -> bool:
    """Return whether a statement among definitions may run with them: ``HAS_X = True``."""
    if not isinstance(node, ast.Assign):
        return isinstance(node, ast.Pass)
    if acts(node.value):
        return False
    return all(isinstance(target, ast.Name) for target in node.targets)


def _blocks(node: ast.stmt) -> Iterator[ast.stmt]:
    """Yield a statement and those inside it, bodies of functions and classes left out."""
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
    name = getattr(node, "name", "")
    return [getattr(name, "id", name)]  # that of a `type X = ...` is an expression


def _names(reads: Reads) -> set[Chain]:
    return reads.names


def _names_in_texts(asks: Asks, reads: Reads) -> set[Chain]:
    return query_texts.names_for(asks, reads.texts)


class _Walk:
    """Goes through statements in the order in which they run.

    Args:
        found: gets what is found.
        names: which names a statement reads, given what its byte code reads.
    """

    def __init__(self, found: Reach, names: Callable[[Reads], set[Chain]]) -> None:
        self._found = found
        self._names = names
        #: What functions and classes of the cell read when they are used.
        self._later: dict[str, set[Chain]] = {}

    def block(self, body: Iterable[ast.stmt], bound: set[str]) -> set[str]:
        """Go through statements.

        Args:
            body: the statements.
            bound: names that are surely bound before.

        Returns:
            The names that are surely bound after.
        """
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
            inside = self.block(node.body, self._bind(node.target, bound))
            return self.block(node.orelse, inside)
        if isinstance(node, ast.While):
            self._expression(node.test, bound)
            self.block(node.body, bound)
            return self.block(node.orelse, bound)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return self.block(node.body, self._with(node, bound))
        if isinstance(node, (ast.Try, ast.TryStar)):
            return self._try(node, bound)
        if isinstance(node, ast.Match):
            return self._match(node, bound)
        if isinstance(node, (ast.Break, ast.Continue)):
            return bound  # they mean nothing without their loop
        return self._simple(node, bound)

    def _with(self, node: ast.With | ast.AsyncWith, bound: set[str]) -> set[str]:
        binds = self._found.binds
        for item in node.items:
            self._expression(item.context_expr, bound)
            before = set(binds)
            bound = self._bind(item.optional_vars, bound)
            for name in [name for name in binds if name not in before]:
                del binds[name]
                self._found.closes[name] = None
        return bound

    def _try(self, node: ast.Try | ast.TryStar, bound: set[str]) -> set[str]:
        after = self.block(node.orelse, self.block(node.body, bound))
        for handler in node.handlers:
            self._expression(handler.type, bound)
            caught = {handler.name} if handler.name else set()
            after &= self.block(handler.body, bound | caught)
        return self.block(node.finalbody, bound) | after

    def _match(self, node: ast.Match, bound: set[str]) -> set[str]:
        self._expression(node.subject, bound)
        after: set[str] | None = None
        for case in node.cases:
            names: set[str] = set()
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.expr):
                    self._expression(part, bound)
                elif isinstance(part, (ast.MatchAs, ast.MatchStar)) and part.name:
                    names.add(part.name)
                elif isinstance(part, ast.MatchMapping) and part.rest:
                    names.add(part.rest)
            self._found.binds.update(dict.fromkeys(sorted(names)))
            self._expression(case.guard, bound | names)
            ended = self.block(case.body, bound | names)
            after = ended if after is None else after & ended
        return bound if after is None else bound | (after & bound)

    def _simple(self, node: ast.stmt, bound: set[str]) -> set[str]:
        """Go through an assignment, an expression, a deletion.

        What it reads is looked up before what it binds is bound.
        """
        self._read(self._chains(node), bound)
        targets = _targets(node)
        names = [part.id for part in targets if isinstance(part, ast.Name)]
        if isinstance(node, ast.AugAssign):
            self._read({(name,) for name in names}, bound)
        if isinstance(node, ast.Assign) and is_definition(node):
            # A function or class in all but its spelling.
            self._found.defines.update(dict.fromkeys(names))
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
            self._found.deletes.update(dict.fromkeys(names))
        return bound

    def _bind(self, target: ast.expr | None, bound: set[str]) -> set[str]:
        if target is None:
            return bound
        names: dict[str, None] = {}
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                names[part.id] = None
        self._found.binds.update(names)
        if not isinstance(target, ast.Name):  # of `a[i]` and `a.b` the rest is read
            bound_here = {(name,) for name in names}
            self._read(self._chains(_loaded(target)) - bound_here, bound)
        return bound | names.keys()

    def _definition(self, node: ast.stmt, name: str, bound: set[str]) -> set[str]:
        code = _compiled(ast.Module([node], []))
        everything = scan(code, module=True)
        is_class = isinstance(node, ast.ClassDef)
        at_once = scan(code, module=True, inside=is_class, functions=False)
        self._note_texts(everything)
        self._later[name] = self._names(everything) - {(name,)}
        self._found.needed.update(chain[0] for chain in everything.names)
        self._found.rebinds.update(everything.rebound_names)
        self._read(self._names(at_once) - {(name,)}, bound)
        self._found.defines[name] = None
        return bound | {name}

    def _expression(self, node: ast.expr | None, bound: set[str]) -> None:
        if node is None:
            return
        self._read(self._chains(_loaded(node)), bound)
        # Not bound for what comes after: `a or (n := f())` may leave it as it was.
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                self._found.binds[part.target.id] = None

    def _chains(self, node: ast.stmt) -> set[Chain]:
        reads = _scanned(node)
        self._note_texts(reads)
        return self._names(reads)

    def _note_texts(self, reads: Reads) -> None:
        self._found.texts |= reads.texts
        self._found.asks += reads.asks

    def _read(
        self, chains: set[Chain], bound: set[str], used: frozenset[str] = frozenset()
    ) -> None:
        for chain in chains:
            name = chain[0]
            if name in self._later and name not in used:
                # What the function reads, it reads when it is used.
                self._read(self._later[name], bound, used | {name})
            if name not in bound:
                self._found.reads.add(chain)


def _targets(node: ast.stmt) -> list[ast.expr]:
    """Return what a statement binds or deletes."""
    if isinstance(node, (ast.Assign, ast.Delete)):
        return node.targets
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return []
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def _compiled(module: ast.Module) -> CodeType:
    found: CodeType = compile(module, "<cell>", "exec", _FLAGS, dont_inherit=True)
    return found


def _scanned(node: ast.stmt) -> Reads:
    module = ast.fix_missing_locations(ast.Module([node], []))
    return scan(_compiled(module), module=True)


def _loaded(node: ast.expr) -> ast.stmt:
    """Return a statement that reads where a target binds: names apart, ``a[i]`` reads ``a`` and ``i``."""
    found = ast.parse(ast.unparse(node), mode="eval").body
    return ast.copy_location(ast.Expr(ast.copy_location(found, node)), node)


#: Calls whose effect no key can know, and why.
_BLIND = {
    "exec": "exec() runs code that is made while the cell runs",
    "eval": "eval() runs code that is made while the cell runs",
    "globals": "globals() can reach every name of the notebook",
    "locals": "locals() can reach every name of the notebook",
    "vars": "vars() can reach every name of the notebook",
    "input": "input() asks a person",
    "__import__": "__import__() imports whatever its argument names",
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
    """Return why a cell with these statements cannot be remembered, ``None`` if it can.

    Args:
        body: the statements.
        modules: see `is_definition`.
    """
    for statement in body:
        for part in _blocks(statement):
            changed = sorted(sets_in(part) & modules)
            if changed and not is_definition(statement, modules):
                said = f"`{ast.unparse(part)}`"
                return f"{said} changes {changed[0]} for the whole notebook"
    for statement in body:
        for node in ast.walk(statement):
            why = _blind(node)
            if why is not None:
                return why
    return None


def _blind(node: ast.AST) -> str | None:
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        return f"`from {node.module} import *` binds names that nbflow cannot know"
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        # vars(x) reads x alone.
        is_harmless = node.func.id == "vars" and node.args
        return None if is_harmless else _BLIND.get(node.func.id)
    if not isinstance(node.func, ast.Attribute) or not is_shell(node.func.value):
        return None
    magic = magic_of(node)
    if magic in SETTING_UP:
        return None
    what = f"the magic %{magic}" if magic else "a shell command"
    return f"nbflow cannot know what {what} does"


def is_shell(node: ast.expr) -> bool:
    """Return whether an expression is ``get_ipython()``, which IPython writes for magics and shell commands."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id == "get_ipython"


def magic_of(node: ast.AST) -> str | None:
    """Return the name of the magic that a call runs, ``None`` if it runs none."""
    if isinstance(node, ast.Expr):
        node = node.value
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr not in ("run_line_magic", "run_cell_magic"):
        return None
    for name in node.args[:1]:
        if isinstance(name, ast.Constant):
            return str(name.value)
    return None


def _always(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a statement that are evaluated whatever is true.

    Those behind an ``and``, in a branch or in a loop are not.
    """
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
