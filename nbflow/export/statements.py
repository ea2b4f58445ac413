"""Statements: what a translation has to know about a piece of Python syntax."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Statements with a name, a body and decorators.
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: Calls that make a value and do nothing else.
_PURE = frozenset((
    "bool", "bytes", "dict", "enumerate", "float", "frozenset", "int", "len", "list",
    "max", "min", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
    "zip",
))  # fmt: skip
_PURE_DOTTED = frozenset((
    "re.compile", "Path", "pathlib.Path", "timedelta", "datetime.timedelta", "Decimal",
    "decimal.Decimal", "Fraction", "Counter", "defaultdict", "deque", "namedtuple",
    "NamedTuple", "TypeVar", "NewType", "nf.Throttle", "nbflow.Throttle",
    "logging.getLogger",
))  # fmt: skip


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names of the notebook that a statement binds.

    Names that functions, classes and comprehensions in it bind for themselves are not
    among them.
    """
    if isinstance(node, DEFINITIONS):
        yield node.name
        for decorator in node.decorator_list:
            yield from bound_by(decorator)
    elif isinstance(node, ast.Lambda):
        return
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            if alias.name != "*":
                yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, _COMPREHENSIONS):
        yield from _bound_by_walrus(node)
    else:
        if name := _name_bound_at(node):
            yield name
        for part in ast.iter_child_nodes(node):
            yield from bound_by(part)


def _bound_by_walrus(comprehension: ast.AST) -> Iterator[str]:
    """The names that ``:=`` in a comprehension binds, which are those of the notebook."""
    for part in ast.walk(comprehension):
        if isinstance(part, ast.NamedExpr):
            yield part.target.id


def _name_bound_at(node: ast.AST) -> str | None:
    """The name that this very node binds or deletes, its children aside."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        return node.id
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    if isinstance(node, ast.MatchMapping):
        return node.rest
    return None


def names_in(node: ast.AST) -> set[str]:
    """Every name that stands anywhere in a piece of syntax."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def is_pure(value: ast.expr) -> bool:
    """Whether an expression makes a value and does nothing else."""
    for node in ast.walk(value):
        if isinstance(node, ast.Await | ast.NamedExpr):
            return False
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            if function not in _PURE and function not in _PURE_DOTTED:
                return False
    return True


def awaits(node: ast.AST) -> bool:
    """Whether a statement awaits at the top level of the notebook."""
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
        return True
    if isinstance(node, ast.comprehension) and node.is_async:
        return True
    # The body of a function awaits when it is called; a decorator is evaluated at once.
    if isinstance(node, _FUNCTIONS):
        return any(map(awaits, getattr(node, "decorator_list", ())))
    return any(map(awaits, ast.iter_child_nodes(node)))


def annotated(body: Iterable[ast.stmt]) -> Iterator[ast.AnnAssign]:
    """The bindings with an annotation, which a function cannot give to a global name.

    The last of a line comes first, so that a caller can cut them out one by one.
    """
    for node in reversed(list(body)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node
        elif not isinstance(node, DEFINITIONS):
            children = ast.iter_child_nodes(node)
            yield from annotated(
                child for child in children if isinstance(child, ast.stmt)
            )


def future_imports(body: Iterable[ast.stmt]) -> list[str]:
    """The ``from __future__`` lines of some statements."""
    return [
        ast.unparse(node)
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]


def lines_inside_texts(tree: ast.AST) -> set[int]:
    """The lines that begin inside of a text, which no indentation may change."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            end = node.end_lineno or node.lineno
            lines.update(range(node.lineno + 1, end + 1))
    return lines
