"""Names: those that exist in the kernel that wrote a notebook, and in no other one.

A kernel that runs the notebook from top to bottom raises NameError there. Byte code says
what a cell reads and binds, in order and without the locals of functions. What the body
of a function reads has to be there when it is called, so a later cell may define it.
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

    from nbflow.notebook.check.code_cells import CodeCell

_KNOWN = frozenset(dir(builtins)) | {
    "get_ipython", "display", "In", "Out", "exit", "quit", "__name__", "__doc__",
    "__annotations__", "__conditional_annotations__", "_ih", "_oh", "_dh",
    "_exit_code",
}  # fmt: skip
#: Instructions that read a name of the notebook.
_READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})


class _Use(NamedTuple):
    """A name is read, bound or deleted; ``later``: in the body of a function."""

    kind: str
    name: str
    line: int
    later: bool


def undefined(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find names that a cell reads before any cell has bound them."""
    uses = [(cell, list(_uses(cell))) for cell in cells]
    bound_in: dict[str, int] = {}
    for cell, found in uses:
        for use in found:
            if use.kind == "bind":
                bound_in.setdefault(use.name, cell.number)
    there = set(_KNOWN)
    gone = set[str]()
    told = set[str]()
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
    cell: CodeCell, use: _Use, defined: int | None, *, was_deleted: bool
) -> Finding:
    name = f"`{use.name}`"
    if was_deleted:
        what = f"{name} is used here although it was deleted above"
        todo = "Define it again, or remove the `del`."
    elif defined is None:
        what = f"{name} is defined in no cell"
        todo = "Define it in a cell above, or remove the use."
    elif defined == cell.number:
        what = f"{name} is used before the same cell defines it"
        todo = "Move the definition up."
    else:
        what = f"{name} is used here and defined in cell {defined} only"
        todo = f"Move cell {defined} up, or the use down."
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
    """Return whether a name is an output of an earlier cell (``_``, ``__``, ``_3``), which exists headless, too."""
    return not name.strip("_") or (name[0] == "_" and name[1:].lstrip("i").isdigit())


def _imports_everything(cell: CodeCell) -> bool:
    return cell.tree is not None and any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        for node in ast.walk(cell.tree)
    )


def _asked_for(cell: CodeCell) -> set[str]:
    """Return names that a cell takes care of itself.

    Such as ``if "df" in globals()``, or in a ``try`` that catches NameError.
    """
    found = set[str]()
    for node in ast.walk(cell.tree) if cell.tree is not None else ():
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            is_in = isinstance(node.ops[0], (ast.In, ast.NotIn))
            if is_in and _is_namespace(node.comparators[0]):
                found.add(str(node.left.value))
        elif isinstance(node, ast.Try) and any(map(_catches, node.handlers)):
            for statement in node.body:
                parts = ast.walk(statement)
                found |= {part.id for part in parts if isinstance(part, ast.Name)}
    return found


def _is_namespace(node: ast.expr) -> bool:
    """Return whether an expression is ``globals()`` or the like."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id in ("globals", "locals", "vars", "dir")


def _catches(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or "NameError" in ast.unparse(handler.type)


def _uses(cell: CodeCell) -> Iterator[_Use]:
    """Return what a cell does with names, in order."""
    for magic in cell.magics:
        if magic.is_cell and magic.name == "capture":
            for name in magic.text.split():
                if name.isidentifier():
                    yield _Use("bind", name, 1, later=False)
    if cell.tree is None:
        return
    if documents.PARAMETERS in cell.tags:
        # `day: str` is required, so it is there when the cell runs.
        for node in cell.tree.body:
            is_bare = isinstance(node, ast.AnnAssign) and node.value is None
            target = getattr(node, "target", None)
            if is_bare and isinstance(target, ast.Name):
                yield _Use("bind", target.id, target.lineno, later=False)
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
    """Yield what code does with names of the notebook.

    Args:
        code: that of a cell, or some inside it.
        later: whether it runs after the cell, as the body of a function does.
        around: names that the class around it binds.
    """
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
    """Return whether code runs later, as the body of a function does; a class or comprehension runs where it stands."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_name not in (
        "<listcomp>",
        "<setcomp>",
        "<dictcomp>",
        "<genexpr>",
    )
