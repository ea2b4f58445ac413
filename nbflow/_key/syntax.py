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
import textwrap
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nbflow._key.value import code_digest, identify, member, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FunctionNode: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"

# The compiler flags of `from __future__`, which a cell takes over from earlier cells.
_FUTURE = 0x01FF_0000
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
        parts = sorted((*decorators, node), key=lambda part: part.lineno)
        lines: list[str] = []
        for part in parts:
            lines += self.lines[part.lineno - 1 : part.end_lineno]
        return textwrap.dedent("".join(lines))

    def owner(self, node: FunctionNode) -> ast.ClassDef | None:
        """Return the class that a function stands in."""
        return self.classes.get(id(node))

    def compiles_to(self, node: FunctionNode, code: CodeType) -> bool:
        """Return whether a function compiles to a code, wherever that was compiled."""
        return _has(self.codes.get(_place(node), []), _fingerprint(code))


class Found(NamedTuple):
    """The node that compiles to the code of a function.

    Attributes:
        node: the node.
        owner: the class that it stands in.
        source: the text that both are from.
        in_place: whether it stands on the line that the code has.
    """

    node: FunctionNode
    owner: ast.ClassDef | None
    source: Source
    in_place: bool


def find(function: FunctionType, *, newest: bool = False) -> Found | None:
    """Return the node that compiles to the code of a function, ``None`` if nothing surely does.

    Args:
        function: one that is written in Python.
        newest: look at the file as it is now, not as it was when it was last read.
    """
    code, space = function.__code__, function.__globals__
    flags = code.co_flags & _FUTURE
    filename = code.co_filename
    if filename == "<string>":  # of a function that %autoreload added to a module
        filename = str(space.get("__file__", filename))
    for reread, apart in itertools.product((newest, True), (False, True)):
        if reread:  # the text at hand may be older than the code
            linecache.checkcache(filename)
        text = "".join(linecache.getlines(filename, space))
        try:
            source = _source(filename, text, flags, apart=apart)
        except (SyntaxError, ValueError, RecursionError):
            continue
        node = _match(code, source)
        if node is not None:
            return Found(node, source.owner(node), source, in_place=True)
        node = _moved(function, source)
        if node is not None:
            return Found(node, source.owner(node), source, in_place=False)
    return None


@functools.lru_cache(maxsize=64)
def _source(filename: str, text: str, flags: int, *, apart: bool) -> Source:
    """Read a text.

    Args:
        filename: that the code has.
        text: of the whole file.
        flags: of the compiler.
        apart: compile each statement alone, as IPython does. It makes a difference: what
            a unit imports itself is called by other instructions (``re.sub(...)`` beside
            ``import re``).
    """
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(text, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    source = Source(text.splitlines(keepends=True), {}, {}, {})
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            source.functions.setdefault(_place(node), []).append(node)
        if isinstance(node, ast.ClassDef):
            source.classes.update(dict.fromkeys(map(id, node.body), node))
    units: list[ast.Module | str] = [text]
    if apart:
        units = [ast.Module([statement], []) for statement in tree.body]
    for unit in units:
        compiled = compile(unit, filename, "exec", flags, dont_inherit=True)
        for code in _codes(compiled):
            place = code.co_name, code.co_firstlineno
            source.codes.setdefault(place, []).append(code)
    return source


def _place(node: FunctionNode) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    # A function begins with its decorators.
    lines = [part.lineno for part in (node, *node.decorator_list)]
    return node.name, min(lines)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _match(code: CodeType, source: Source) -> FunctionNode | None:
    place = code.co_name, code.co_firstlineno
    if not _has(source.codes.get(place, []), _fingerprint(code)):
        return None
    nodes = source.functions.get(place, [])
    if len(nodes) > 1:
        nodes = _same_lambdas(code, nodes)
    return nodes[0] if len(nodes) == 1 else None


def _same_lambdas(code: CodeType, nodes: list[FunctionNode]) -> list[FunctionNode]:
    """Return which of the lambdas on one line are the code, by their bodies."""
    found: list[FunctionNode] = []
    extent = _extent(code)
    for node in nodes:
        if not isinstance(node, ast.Lambda):
            continue
        if extent is not None:
            if _span(node.body) == extent:
                found.append(node)
        elif isinstance(node.body, ast.Constant):
            # A constant has no place in Python 3.12: its value has to say it.
            [*_, last] = dis.get_instructions(code)
            is_same = identify(node.body.value).digest == identify(last.argval).digest
            if is_same and len(node.args.args) == code.co_argcount:
                found.append(node)
    return found


def _moved(function: FunctionType, source: Source) -> FunctionNode | None:
    """Return the one function that is the same on another line.

    The file was edited above it, or `%autoreload` compiled it alone. Of several that are
    the same it is the one in the class that the function says it is in.
    """
    same = _fingerprint(function.__code__)
    nodes = []
    for place, codes in source.codes.items():
        if place[0] == function.__code__.co_name and _has(codes, same):
            nodes += source.functions.get(place, [])
    outer = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    named = [node for node in nodes if _is_in(source.owner(node), outer)]
    found = named or nodes
    return found[0] if len(found) == 1 else None


def _is_in(owner: ast.ClassDef | None, name: str) -> bool:
    return name == (owner.name if owner is not None else "")


def _has(codes: list[CodeType], same: tuple[object, ...]) -> bool:
    return any(_fingerprint(other) == same for other in codes)


def _fingerprint(code: CodeType) -> tuple[object, ...]:
    # Two lambdas on one line may be the same code: their places tell them apart.
    positions = [*code.co_positions()] if code.co_name == "<lambda>" else None
    return code_digest(code), positions


def _extent(code: CodeType) -> tuple[object, ...] | None:
    """Return where the instructions of a code begin and end, ``None`` if they have no place."""
    starts, ends = [], []
    for first, last, start, end in code.co_positions():
        if None not in (first, last, start, end) and start != end:
            starts.append((first, start))
            ends.append((last, end))
    return (min(starts), max(ends)) if starts else None


def _span(node: ast.expr) -> tuple[object, ...]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


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
            else:
                found.update(_expressions(part))
        return found

    def text(self, node: FunctionNode | ast.ClassDef, source: Source) -> str:
        """Return the source of a node without what does not count of its decorators."""
        decorators = [] if isinstance(node, ast.Lambda) else self.decorators(node)
        return source.text(node, decorators)

    def only_annotates(self, node: FunctionNode) -> set[str]:
        """Return the names that only annotations read: the code of a function evaluates those inside it."""
        skipped: set[int] = set()
        for part in ast.walk(node):
            if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if not self.decorators(part):
                for annotation in _annotations(part):
                    skipped.update(map(id, ast.walk(annotation)))
        in_annotations: set[str] = set()
        elsewhere: set[str] = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                names = in_annotations if id(part) in skipped else elsewhere
                names.add(part.id)
        return in_annotations - elsewhere

    def _outside(self, node: FunctionNode | ast.ClassDef) -> list[ast.AST]:
        """Return the parts of a function or class that are no body of a function."""
        if isinstance(node, ast.ClassDef):
            return [*node.decorator_list, *node.bases, *node.keywords, *node.body]
        if isinstance(node, ast.Lambda):
            return []
        decorators = self.decorators(node)
        if not decorators:
            return []
        parts = [*decorators, node.args]
        return [*parts, node.returns] if node.returns else parts

    def decorators(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> list[ast.expr]:
        """Return the decorators that are not nbflow's own."""
        return [part for part in node.decorator_list if not self.is_ours(part)]

    def _node(self, node: object, *, in_class: bool) -> object:
        if isinstance(node, list):
            return [self._node(item, in_class=in_class) for item in node]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Constant):
            return ["Constant", member(identify(node.value).digest)]
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
        found: list[object] = [type(node).__name__]
        for name, item in fields.items():
            # What is empty is left out: a later Python may add fields.
            if name not in _COSMETIC and item is not None and item != []:
                found.append([name, self._node(item, in_class=in_class)])
        return found

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, fields: dict[str, object]
    ) -> list[object]:
        decorators = self.decorators(node)
        body = [line for line in node.body if not _only_says(line)]
        fields["decorator_list"] = decorators
        fields["body"] = body or [ast.Pass()]
        if not decorators:
            # A foreign decorator may read the annotations, as validate_call does.
            fields["returns"] = None
            fields["args"] = _unannotated(node.args)
        return self._fields(node, fields, in_class=False)

    def _local(self, node: ast.AnnAssign) -> list[object]:
        target = self._node(node.target, in_class=False)
        if node.value is None:
            return ["Local", target]
        value = self._node(node.value, in_class=False)
        return ["Assign", ["targets", [target]], ["value", value]]


def _only_says(line: ast.stmt) -> bool:
    """Return whether a statement is a docstring or the like, which does nothing."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    args = [part for part in ast.walk(node.args) if isinstance(part, ast.arg)]
    found = [node.returns, *(arg.annotation for arg in args)]
    return [annotation for annotation in found if annotation is not None]


def _unannotated(args: ast.arguments) -> ast.arguments:
    def bare(arg: ast.arg | None) -> ast.arg | None:
        return ast.arg(arg.arg) if arg else None

    return ast.arguments(
        posonlyargs=[ast.arg(arg.arg) for arg in args.posonlyargs],
        args=[ast.arg(arg.arg) for arg in args.args],
        kwonlyargs=[ast.arg(arg.arg) for arg in args.kwonlyargs],
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
    words: set[int] = set()  # of a Literal, which name nothing
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and "Literal" in ast.dump(node.value):
            words.update(map(id, ast.walk(node.slice)))
    found = set(_expressions(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in words:
            continue
        if isinstance(node.value, str):  # in quotes once more
            found |= names_in(node.value)
    return found


def mangled(name: str, kind: type) -> str:
    """Return what the compiler calls a name in the body of a class: a private one bears the name of the class."""
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{kind.__name__.lstrip('_')}{name}" if is_private else name


def called(node: ast.expr) -> ast.expr:
    """Return ``f`` for the expression ``f(...)(...)``."""
    while isinstance(node, ast.Call):
        node = node.func
    return node


def _expressions(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the names, dotted ones as tuples, that an expression reads."""
    name = dotted(node)
    if name is None:
        for child in ast.iter_child_nodes(node):
            yield from _expressions(child)
    elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
        yield name


#: Methods that change what they are called on, also where their value is used.
_CHANGING = frozenset(
    """
    append appendleft extend insert add update setdefault pop popitem popleft remove discard clear sort reverse
    put put_nowait send write writelines
    """.split()  # noqa: SIM905  # a table to read, not twenty lines
)
_CHANGING_FUNCTIONS = frozenset(("next", "setattr", "delattr"))


def changed_in_place(node: ast.AST) -> set[tuple[str, ...]]:
    """Return the names, dotted ones as tuples, of what code visibly changes in place.

    That is ``x`` in ``x.append(1)``, ``x.note(1)`` as a statement, ``x[0] = 1``, ``x.n
    += 1``, ``del x[0]`` and ``next(x)``. Not all that is named is changed, and not all
    that is changed is named.
    """
    found: set[tuple[str, ...]] = set()
    for part in ast.walk(node):
        changed = _changed(part)
        name = None if changed is None else _root(changed)
        if name is not None:
            found.add(name)
    return found


def _changed(part: ast.AST) -> ast.expr | None:
    """Return what a single node changes, nothing of what is inside it."""
    if isinstance(part, (ast.Subscript, ast.Attribute)):
        return part.value if isinstance(part.ctx, (ast.Store, ast.Del)) else None
    if isinstance(part, ast.Expr):  # a method that nobody wants a value of
        call = part.value.value if isinstance(part.value, ast.Await) else part.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            return call.func.value
    return _changed_by_call(part) if isinstance(part, ast.Call) else None


def _changed_by_call(call: ast.Call) -> ast.expr | None:
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in _CHANGING:
        return function.value
    if isinstance(function, ast.Name) and function.id in _CHANGING_FUNCTIONS:
        return call.args[0] if call.args else None
    return None


def _root(node: ast.AST) -> tuple[str, ...] | None:
    """Return the dotted name that an expression starts from: ``a.b`` for ``a.b[0].c()``."""
    name = dotted(node)
    while name is None:
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return None
        name = dotted(node)
    return name
