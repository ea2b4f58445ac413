"""Names: those that exist in the kernel that wrote a notebook, and not in one that runs it from top to bottom.

Decided from byte code, which says what a cell reads and binds, in order and without the
locals of functions. What a function's body reads has to be there when it is called, so
it may be defined in a later cell.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key.bytecode import EVALUATOR
from nbflow.notebook import document as documents
from nbflow.notebook.check.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nbflow.notebook.check.code_cells import Cell

_KNOWN = frozenset(dir(builtins)) | {
    "get_ipython", "display", "In", "Out", "exit", "quit", "__name__", "__doc__",
    "__annotations__", "__conditional_annotations__", "_ih", "_oh", "_dh",
    "_exit_code",
}  # fmt: skip
_READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})


class _Use(NamedTuple):
    """A name is read, bound or deleted; ``later`` in the body of a function."""

    kind: str
    name: str
    line: int
    later: bool


def undefined(cells: list[Cell]) -> Iterator[Finding]:
    """Names that a cell reads before any cell has bound them."""
    uses = [(cell, list(_uses(cell))) for cell in cells]
    bound_in: dict[str, int] = {}
    for cell, found in uses:
        for use in found:
            if use.kind == "bind":
                bound_in.setdefault(use.name, cell.number)
    there, gone, told = set(_KNOWN), set[str](), set[str]()
    for cell, found in uses:
        if _imports_everything(cell):
            return
        there |= _asked_for(cell)
        for use in found:
            if use.kind == "bind":
                there.add(use.name)
            elif use.kind == "delete":
                there.discard(use.name)
                gone.add(use.name)
            elif (
                use.name not in there
                and use.name not in told
                and not (use.later and use.name in bound_in)
                and not _is_history(use.name)
            ):
                told.add(use.name)
                yield _finding(
                    cell, use, bound_in.get(use.name), was_deleted=use.name in gone
                )


def _finding(
    cell: Cell, use: _Use, defined: int | None, *, was_deleted: bool
) -> Finding:
    if was_deleted:
        what, todo = (
            f"`{use.name}` is used here although it was deleted above",
            "Define it again, or take the `del` away.",
        )
    elif defined is None:
        what, todo = (
            f"`{use.name}` is defined in no cell",
            "Define it in a cell above, or take the use away.",
        )
    elif defined == cell.number:
        what, todo = (
            f"`{use.name}` is used before the same cell defines it",
            "Move the definition up.",
        )
    else:
        what, todo = (
            f"`{use.name}` is used here and defined in cell {defined} only",
            f"Move cell {defined} up, or the use down.",
        )
    if use.name == "__file__":
        todo = "A notebook has no file of its own: use Path.cwd(), which is the notebook's folder."
    return Finding(
        "undefined-name",
        "error",
        cell.number,
        use.line,
        what,
        "It exists in the kernel that wrote this notebook; a new one raises NameError.",
        todo,
    )


def _is_history(name: str) -> bool:
    """``_``, ``__`` and ``_3`` are outputs of earlier cells; they are there headless, too."""
    return not name.strip("_") or (name[0] == "_" and name[1:].lstrip("i").isdigit())


def _imports_everything(cell: Cell) -> bool:
    return cell.tree is not None and any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        for node in ast.walk(cell.tree)
    )


def _asked_for(cell: Cell) -> set[str]:
    """Names that a cell takes care of itself: ``if "df" in globals()``, and what is tried where NameError is caught."""
    found = set[str]()
    for node in ast.walk(cell.tree) if cell.tree is not None else ():
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Constant)
            and isinstance(node.ops[0], (ast.In, ast.NotIn))
        ):
            asked = node.comparators[0]
            if (
                isinstance(asked, ast.Call)
                and isinstance(asked.func, ast.Name)
                and asked.func.id in ("globals", "locals", "vars", "dir")
            ):
                found.add(str(node.left.value))
        elif isinstance(node, ast.Try) and any(
            handler.type is None or "NameError" in ast.unparse(handler.type)
            for handler in node.handlers
        ):
            found |= {
                part.id
                for statement in node.body
                for part in ast.walk(statement)
                if isinstance(part, ast.Name)
            }
    return found


def _uses(cell: Cell) -> Iterator[_Use]:
    for magic in cell.magics:
        if magic.is_cell and magic.name == "capture":
            yield from (
                _Use("bind", name, 1, later=False)
                for name in magic.text.split()
                if name.isidentifier()
            )
    if cell.tree is None:
        return
    if (
        documents.PARAMETERS in cell.tags
    ):  # `day: str` has to be given, and then is there
        bare = [
            node.target
            for node in cell.tree.body
            if isinstance(node, ast.AnnAssign) and node.value is None
        ]
        yield from (
            _Use("bind", target.id, target.lineno, later=False)
            for target in bare
            if isinstance(target, ast.Name)
        )
    code = compile(
        ast.fix_missing_locations(cell.tree),
        "<cell>",
        "exec",
        ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,
    )
    yield from _of_code(code, later=False)


def _of_code(
    code: CodeType, *, later: bool, around: Collection[str] = ()
) -> Iterator[_Use]:
    """Yield what a code object reads and binds; ``around``: names that the class around it binds."""
    inside = code.co_name != "<module>"
    is_class = inside and not code.co_flags & inspect.CO_OPTIMIZED
    mine = set(around)
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        line = (step.positions.lineno if step.positions else None) or line
        if isinstance(step.argval, CodeType):
            evaluates = step.argval.co_name == EVALUATOR
            yield from _of_code(
                step.argval,
                later=later or _is_called_later(step.argval),
                around=_bound(code) if is_class and evaluates else (),
            )
        elif step.opname in _READS and step.argval not in mine:
            yield _Use("read", step.argval, line, later)
        elif step.opname == "STORE_NAME" and is_class:
            mine.add(step.argval)
        elif step.opname in ("STORE_NAME", "STORE_GLOBAL"):
            yield _Use("bind", step.argval, line, later)
        elif step.opname in ("DELETE_NAME", "DELETE_GLOBAL") and not inside:
            yield _Use("delete", step.argval, line, later)


def _bound(code: CodeType) -> set[str]:
    """Return the names that the body of a class binds."""
    steps = dis.get_instructions(code)
    return {step.argval for step in steps if step.opname == "STORE_NAME"}


def _is_called_later(code: CodeType) -> bool:
    """The body of a function, and not of a class or comprehension, which run where they stand."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name not in (
        "<listcomp>",
        "<setcomp>",
        "<dictcomp>",
        "<genexpr>",
    )
