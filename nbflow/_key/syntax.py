"""The source of a function as a normalized tree: what a reader would call the same code is the same tree.

Comments, layout, docstrings, annotations of functions and nbflow's own decorators are
not in the tree. The source is believed only if it compiles to the very code that the
function runs: a file edited after its import, a cell run again and an assertion
rewritten by pytest are all noticed. Without such a source the code object speaks,
together with the version of Python.
"""

from __future__ import annotations

import ast
import dis
import functools
import itertools
import linecache
import sys
import textwrap
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nbflow._key.value import digest, member, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FunctionNode: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"

_FUTURE = 0x01FF_0000  # the compiler flags of `from __future__`, which a cell takes over from earlier cells
_COSMETIC = frozenset(("ctx", "kind", "type_comment", "type_params", "is_lazy"))
#: ``f"..."``, and ``t"..."``, which Python has since 3.14.
_TEMPLATES = (ast.JoinedStr, getattr(ast, "TemplateStr", ast.JoinedStr))


@dataclass(frozen=True, slots=True)
class Source:
    """What one text says: its function nodes, the class each stands in, and the code they compile to."""

    lines: list[str]
    functions: dict[tuple[str, int], list[FunctionNode]]
    classes: dict[int, ast.ClassDef]
    codes: dict[tuple[str, int], list[CodeType]]

    def text(
        self, node: FunctionNode | ast.ClassDef, decorators: Iterable[ast.expr]
    ) -> str:
        """Return the lines of a function or class, these of its decorators included, as they would stand alone."""
        shown = [
            (part.lineno, part.end_lineno or part.lineno)
            for part in (*decorators, node)
        ]
        lines = [
            line
            for first, last in sorted(shown)
            for line in self.lines[first - 1 : last]
        ]
        return textwrap.dedent("".join(lines))


class Found(NamedTuple):
    """The node that compiles to a code, the class it stands in, and the text that both are from."""

    node: FunctionNode
    owner: ast.ClassDef | None
    source: Source


def find(code: CodeType, space: dict[str, object]) -> Found | None:
    """Return the node that compiles to this code, ``None`` if nothing surely does."""
    for reread, apart in itertools.product((False, True), (False, True)):
        if reread:
            linecache.checkcache(
                code.co_filename
            )  # the text at hand may be older than the code
        text = "".join(linecache.getlines(code.co_filename, space))
        try:
            source = _source(
                code.co_filename, text, code.co_flags & _FUTURE, apart=apart
            )
        except (SyntaxError, ValueError, RecursionError):
            continue
        if (node := _match(code, source)) is not None:
            return Found(node, source.classes.get(id(node)), source)
    return None


@functools.lru_cache(maxsize=64)
def _source(filename: str, text: str, flags: int, *, apart: bool) -> Source:
    """Read a text. ``apart``: each statement is compiled alone, as IPython does.

    It makes a difference: what a unit imports itself is called by other instructions
    (``re.sub(...)`` beside ``import re``).
    """
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(text, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    source = Source(text.splitlines(keepends=True), {}, {}, {})
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            source.functions.setdefault(_place(node), []).append(node)
        if isinstance(node, ast.ClassDef):
            source.classes.update((id(child), node) for child in node.body)
    units = (
        [ast.Module([statement], []) for statement in tree.body] if apart else [text]
    )
    for code in itertools.chain.from_iterable(
        _codes(compile(unit, filename, "exec", flags, dont_inherit=True))
        for unit in units
    ):
        source.codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return source


def _place(node: FunctionNode) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min(
        [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _match(code: CodeType, source: Source) -> FunctionNode | None:
    place, same = (code.co_name, code.co_firstlineno), _fingerprint(code)
    if not any(_fingerprint(other) == same for other in source.codes.get(place, ())):
        return _moved(code, source)
    nodes = source.functions.get(place, [])
    if len(nodes) > 1:  # lambdas on one line: the body says which
        extent, lambdas = (
            _extent(code),
            [node for node in nodes if isinstance(node, ast.Lambda)],
        )
        if extent is None:  # a constant, which has no place in Python 3.12
            said = digest([*dis.get_instructions(code)][-1].argval)
            nodes = [
                node
                for node in lambdas
                if isinstance(node.body, ast.Constant)
                and digest(node.body.value) == said
                and len(node.args.args) == code.co_argcount
            ]
        else:
            nodes = [node for node in lambdas if _span(node.body) == extent]
    return nodes[0] if len(nodes) == 1 else None


def _moved(code: CodeType, source: Source) -> FunctionNode | None:
    """Return the one function that is as it was on another line of a file that was edited above it.

    None in a class: what else the class says may have been edited as well.
    """
    same = _fingerprint(code)
    places = [
        place
        for place, codes in source.codes.items()
        if place[0] == code.co_name
        and any(_fingerprint(other) == same for other in codes)
    ]
    nodes = [
        node
        for place in places
        for node in source.functions.get(place, [])
        if id(node) not in source.classes
    ]
    return nodes[0] if len(nodes) == 1 else None


def _fingerprint(code: CodeType) -> tuple[object, ...]:
    return code_digest(code), tuple(
        code.co_positions()
    ) if code.co_name == "<lambda>" else None


def _extent(code: CodeType) -> tuple[object, ...] | None:
    known = [
        place
        for place in code.co_positions()
        if None not in place and place[2] != place[3]
    ]
    starts, ends = (
        [(line, column) for line, _, column, _ in known],
        [(line, column) for _, line, _, column in known],
    )
    return (min(starts), max(ends)) if known else None


def _span(node: ast.expr) -> tuple[object, ...]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def code_digest(code: CodeType) -> bytes:
    """Return the digest of a code object: instructions, constants and names; not file or line."""
    consts = [
        code_digest(item) if isinstance(item, CodeType) else digest(item)
        for item in code.co_consts
    ]
    counts = [
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & 0xFFFF,
    ]
    names = [
        [*group]
        for group in (
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_cellvars,
        )
    ]
    instructions = [list(sys.version_info[:2]), code.co_code, code.co_exceptiontable]
    return seal("code object", instructions, [*map(member, consts)], counts, names)


@dataclass(frozen=True, slots=True)
class Tree:
    """Writes nodes as nested lists, leaving out what does not count."""

    is_ours: Callable[[ast.expr], bool]

    def digest(self, node: ast.AST) -> bytes:
        """Return the digest of a node."""
        return seal("syntax", self._node(node, in_class=False))

    def statements(self, body: list[ast.stmt]) -> bytes:
        """Return the digest of the statements of a cell."""
        return seal("syntax", self._node(body, in_class=False))

    def names(self, node: FunctionNode | ast.ClassDef) -> set[tuple[str, ...]]:
        """Return the names, dotted ones as tuples, that the tree reads outside of the bodies of functions.

        Byte code shows what a body reads, not what decorators, bases, annotations and
        defaults do.
        """
        found: set[tuple[str, ...]] = set()
        for part in self._outside(node):
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                found |= self.names(part)
                continue
            for name in _expressions(part):
                found.add(name)
        return found

    def text(self, node: FunctionNode | ast.ClassDef, source: Source) -> str:
        """Return the source of a node without what does not count of its decorators."""
        return source.text(
            node, [] if isinstance(node, ast.Lambda) else self.decorators(node)
        )

    def only_annotates(self, node: FunctionNode) -> set[str]:
        """Return the names that only annotations read: the code of a function evaluates those inside it."""
        functions = [
            part
            for part in ast.walk(node)
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        bare = [part for part in functions if not self.decorators(part)]
        skipped = {
            id(part)
            for function in bare
            for root in _annotations(function)
            for part in ast.walk(root)
        }
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
        return {part.id for part in names if id(part) in skipped} - {
            part.id for part in names if id(part) not in skipped
        }

    def _outside(self, node: FunctionNode | ast.ClassDef) -> list[ast.AST]:
        if isinstance(node, ast.ClassDef):
            return [*node.decorator_list, *node.bases, *node.keywords, *node.body]
        if isinstance(node, ast.Lambda) or not (decorators := self.decorators(node)):
            return []
        return [*decorators, node.args, *([node.returns] if node.returns else [])]

    def decorators(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> list[ast.expr]:
        """Return the decorators that are not nbflow's own."""
        return [
            decorator
            for decorator in node.decorator_list
            if not self.is_ours(decorator)
        ]

    def _node(self, node: object, *, in_class: bool) -> object:
        if isinstance(node, list):
            return [self._node(item, in_class=in_class) for item in node]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Constant):
            return ["Constant", member(digest(node.value))]
        fields = dict(ast.iter_fields(node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._function(node, fields)
        if isinstance(node, ast.AnnAssign) and not in_class:
            return self._local(node)
        if isinstance(node, _TEMPLATES):
            fields["values"] = _merged(node.values)
        return self._fields(node, fields, in_class=isinstance(node, ast.ClassDef))

    def _fields(
        self, node: ast.AST, fields: dict[str, object], *, in_class: bool
    ) -> list[object]:
        return [type(node).__name__] + [
            [name, self._node(item, in_class=in_class)]
            for name, item in fields.items()
            if name not in _COSMETIC and item is not None and item != []
        ]

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, fields: dict[str, object]
    ) -> list[object]:
        decorators = self.decorators(node)
        body = [
            line
            for line in node.body
            if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        ]
        fields |= {"decorator_list": decorators, "body": body or [ast.Pass()]}
        if (
            not decorators
        ):  # a foreign decorator may read the annotations, as validate_call does
            fields |= {"returns": None, "args": _unannotated(node.args)}
        return self._fields(node, fields, in_class=False)

    def _local(self, node: ast.AnnAssign) -> list[object]:
        target = self._node(node.target, in_class=False)
        if node.value is None:
            return ["Local", target]
        return [
            "Assign",
            ["targets", [target]],
            ["value", self._node(node.value, in_class=False)],
        ]


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    args = [part for part in ast.walk(node.args) if isinstance(part, ast.arg)]
    return [
        found
        for found in (node.returns, *(arg.annotation for arg in args))
        if found is not None
    ]


def _unannotated(args: ast.arguments) -> ast.arguments:
    def bare(arg: ast.arg | None) -> ast.arg | None:
        return ast.arg(arg.arg) if arg else None

    groups = {
        name: [ast.arg(arg.arg) for arg in getattr(args, name)]
        for name in ("posonlyargs", "args", "kwonlyargs")
    }
    return ast.arguments(
        **groups,
        vararg=bare(args.vararg),
        kwarg=bare(args.kwarg),
        defaults=args.defaults,
        kw_defaults=args.kw_defaults,
    )


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """Join the neighbouring literals of an f-string, which Pythons split differently."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(str(last.value) + str(value.value))
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            merged.append(value)
    return merged


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """Return ``("a", "b")`` for the expression ``a.b``, ``None`` for one that is no dotted name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (inner := dotted(node.value)):
        return (*inner, node.attr)
    return None


def names_in(text: str) -> set[tuple[str, ...]]:
    """Return the names, dotted ones as tuples, that an annotation in quotes reads."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return set()
    literals = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and "Literal" in ast.dump(node.value)
    ]
    words = {id(part) for node in literals for part in ast.walk(node.slice)}
    texts = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return set(_expressions(tree)).union(
        *(names_in(str(node.value)) for node in texts if id(node) not in words)
    )


def called(node: ast.expr) -> ast.expr:
    """Return ``f`` for the expression ``f(...)(...)``."""
    while isinstance(node, ast.Call):
        node = node.func
    return node


def _expressions(node: ast.AST) -> Iterator[tuple[str, ...]]:
    if name := dotted(node):
        if isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]  # a name or an attribute has one
            yield name
        return
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)


#: Methods that change what they are called on, also where their value is used.
_CHANGING = frozenset(
    """
    append appendleft extend insert add update setdefault pop popitem popleft remove discard clear sort reverse
    put put_nowait send write writelines
    """.split()  # noqa: SIM905  # a table to read
)
_CHANGING_FUNCTIONS = frozenset(("next", "setattr", "delattr"))


def changed_in_place(node: ast.AST) -> set[tuple[str, ...]]:
    """Return the names, dotted ones as tuples, of what code visibly changes without binding it anew.

    That is ``x`` in ``x.append(1)``, ``x.note(1)`` as a statement, ``x[0] = 1``, ``x.n
    += 1``, ``del x[0]`` and ``next(x)``. Not all that is named is changed, and not all
    that is changed is named.
    """
    found: set[tuple[str, ...]] = set()
    for part in ast.walk(node):
        found.update(name for base in _changed(part) if (name := _root(base)))
    return found


def _changed(part: ast.AST) -> Iterator[ast.expr]:
    if isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(
        part.ctx, (ast.Store, ast.Del)
    ):
        yield part.value
    elif isinstance(part, ast.Expr):
        call = part.value.value if isinstance(part.value, ast.Await) else part.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield call.func.value
    elif isinstance(part, ast.Call):
        if isinstance(part.func, ast.Attribute) and part.func.attr in _CHANGING:
            yield part.func.value
        elif (
            isinstance(part.func, ast.Name)
            and part.func.id in _CHANGING_FUNCTIONS
            and part.args
        ):
            yield part.args[0]


def _root(node: ast.AST) -> tuple[str, ...] | None:
    """Return the dotted name that an expression starts from: ``a.b`` for ``a.b[0].c()``."""
    while (name := dotted(node)) is None:
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return None
    return name
