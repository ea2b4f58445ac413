"""Chunks: the code cells of a notebook in the pieces that a module is put together from."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._key.cell_names import SETTING_UP
from nbflow.errors import UsageError
from nbflow.export.source import printable
from nbflow.export.statements import annotated, lines_inside_texts
from nbflow.notebook import document as documents
from nbflow.notebook.check.code_cells import cells_of
from nbflow.notebook.document import STEP_LINE, step_line
from nbflow.notebook.rewrite import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

    from nbflow.notebook.check.code_cells import CodeCell, Magic

#: Cell magics that do not change what their cell does.
_TRANSPARENT = frozenset(("time", "step"))
_LINE_MAGIC = re.compile(r"^(\s*)%(\w+)")
_HEADING = re.compile(r"^#+\s+(.+)$", re.MULTILINE)
#: Functions whose calls show something themselves.
_SHOWS = ("print", "display")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Statements that share lines, with the comments above them.

    Attributes:
        lines: as the notebook has them; the last one ends the last statement.
        body: the statements.
        shown: the chunk is one expression, whose value the notebook shows.
    """

    lines: list[str]
    body: list[ast.stmt]
    shown: bool = False


@dataclass(frozen=True, slots=True)
class ChunkedCell:
    """One code cell.

    Attributes:
        number: its number among the code cells, from 1.
        chunks: its statements.
        heading: the heading above it; empty if there is none.
        step: what the line says that makes it a step; ``None`` if it is not a step.
        tags: its tags.
    """

    number: int
    chunks: list[Chunk]
    heading: str = ""
    step: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def body(self) -> list[ast.stmt]:
        """All of its statements."""
        return [node for chunk in self.chunks for node in chunk.body]

    @property
    def is_parameters(self) -> bool:
        """Whether it declares the parameters."""
        return documents.PARAMETERS in self.tags


def refusals(document: NotebookNode) -> Iterator[str]:
    """Why a notebook cannot be a plain module, each with its cell and what to do."""
    for cell in _cells(document):
        yield from _refusals(cell)


def code_cells(document: NotebookNode) -> Iterator[ChunkedCell]:
    """The code cells that run, without what only IPython reads.

    Raises:
        UsageError: a cell that a plain module cannot hold.
    """
    headings = _headings(document)
    for cell in _cells(document):
        for refusal in _refusals(cell):
            raise UsageError(refusal)
        yield ChunkedCell(
            number=cell.number,
            chunks=_chunks(_plain(cell)),
            heading=headings.get(cell.number, ""),
            step=_step_line(cell),
            tags=cell.tags,
        )


def _cells(document: NotebookNode) -> list[CodeCell]:
    skipped = {"skip-execution", documents.INJECTED}
    return [cell for cell in cells_of(document) if skipped.isdisjoint(cell.tags)]


def _refusals(cell: CodeCell) -> Iterator[str]:
    step = _step_line(cell)
    for magic in cell.magics:
        if not _is_harmless(magic, is_step=step is not None):
            yield (
                f"Cell {cell.number} has `{_spelled(magic)}`, which needs IPython: do it "
                "in Python (subprocess.run for a shell line), or take a target that "
                "runs the notebook."
            )
    if cell.tree is not None and step is not None:
        found = next(annotated(cell.tree.body), None)
        if found is not None:
            yield (
                f"Cell {cell.number} is a step and gives `{ast.unparse(found.target)}` "
                "an annotation, which a plain module cannot keep: leave it out."
            )
    try:
        parse(step or "step")
    except UsageError as error:
        yield f"Cell {cell.number}: {error}"
    if cell.tree is None:
        line = cell.error[0] if cell.error else 1
        yield f"Cell {cell.number} is not Python: line {line}."


def _is_harmless(magic: Magic, *, is_step: bool) -> bool:
    """Whether the cell does the same without this magic."""
    if magic.is_cell:
        return magic.name in _TRANSPARENT
    return magic.name in SETTING_UP and not is_step


def _spelled(magic: Magic) -> str:
    if magic.is_cell:
        return f"%%{magic.name}"
    return magic.name if magic.name == "!" else f"%{magic.name}"


def _headings(document: NotebookNode) -> dict[int, str]:
    """The heading above each code cell, by the cell's number."""
    found: dict[int, str] = {}
    heading = ""
    number = 0
    for cell in document.cells:
        if cell.cell_type == "markdown":
            if said := _HEADING.search(cell.source):
                heading = printable(said[1].strip())
        elif cell.cell_type == "code" and cell.source.strip():
            number += 1
            found[number] = heading
            heading = ""
    return found


def _step_line(cell: CodeCell) -> str | None:
    found = step_line(cell.source)
    return None if found is None else found[1]


def _plain(cell: CodeCell) -> str:
    """The source of a cell without what only IPython reads, line for line."""
    inside = set() if cell.tree is None else lines_inside_texts(cell.tree)
    lines = cell.source.split("\n")
    for place, line in enumerate(lines):
        if line.startswith("%%") or STEP_LINE.match(line):
            lines[place] = ""
            continue
        magic = _LINE_MAGIC.match(line)
        if magic and magic[2] in SETTING_UP and place + 1 not in inside:
            lines[place] = f"{magic[1]}pass  # {line.strip()}"
    return "\n".join(lines)


def _chunks(source: str) -> list[Chunk]:
    body = ast.parse(source).body
    lines = source.split("\n")
    found: list[Chunk] = []
    begin = 0
    for node in body:
        end = node.end_lineno or node.lineno
        if found and _first_line(node) <= begin:  # `a = 1; b = 2`
            last = found.pop()
            together = [*last.lines, *lines[begin:end]]
            found.append(Chunk(together, [*last.body, node]))
        else:
            # Comments above a statement belong to it; those below the last one are
            # left out.
            is_shown = node is body[-1] and _is_shown(node, lines[end - 1])
            found.append(Chunk(_trimmed(lines[begin:end]), [node], is_shown))
        begin = end
    return found


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _trimmed(lines: list[str]) -> list[str]:
    """Without the empty lines at the beginning."""
    while lines and not lines[0].strip():
        lines = lines[1:]
    return lines


def _is_shown(node: ast.stmt, line: str) -> bool:
    """Whether a notebook shows the value of its last statement, which ends in ``line``."""
    if not isinstance(node, ast.Expr) or line.rstrip().endswith(";"):
        return False
    value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return False
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id not in _SHOWS
    return True
