"""Order: whether the saved outputs come from one run from top to bottom, and whether every cell parses."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.notebook import document as documents
from nbflow.notebook.check.finding import Finding
from nbflow.notebook.rewrite import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

    from nbflow.notebook.check.code_cells import CodeCell


def broken(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find cells that are not Python, and lines of step cells that cannot be read."""
    for cell in cells:
        if cell.error is not None:
            line, message = cell.error
            yield Finding(
                "syntax",
                "error",
                cell.number,
                line,
                f"the cell is not Python: {message}",
                "It fails wherever it runs.",
                "Fix it, or make it a Markdown or raw cell.",
            )
        if (step := documents.step_line(cell.source)) is not None:
            try:
                parse(step[1])
            except (UsageError, ValueError) as error:
                yield Finding(
                    "syntax",
                    "error",
                    cell.number,
                    step[0],
                    f"a step cell that cannot be read: {str(error).rstrip('.')}",
                    "It fails wherever it runs.",
                    "Write its first line as that says.",
                )


def out_of_order(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find cells whose execution counts say that they did not run one after the other."""
    todo = (
        "Restart the kernel and run all cells (or `nbflow run`), and look whether the"
        " outputs are the same."
    )
    ran = [cell for cell in cells if cell.count is not None]
    for before, after in pairwise(ran):
        if (after.count or 0) <= (before.count or 0):
            counts = f"[{after.count}] after [{before.count}]"
            what = f"it ran before cell {before.number} ({counts})"
            yield Finding(
                "out-of-order",
                "warning",
                after.number,
                None,
                what,
                "What the notebook shows may not be what a run from top to bottom gives.",
                todo,
            )
    missed = [
        cell.number
        for cell in cells
        if cell.count is None and "skip-execution" not in cell.tags
    ]
    if ran and missed:
        more = ""
        if len(missed) > 1:
            more = f", and {len(missed) - 1} more cells were not run"
        yield Finding(
            "not-run",
            "warning",
            missed[0],
            None,
            f"it was not run{more}",
            "Nobody has seen whether it works here, with what the other cells made.",
            todo,
        )


def unclear_parameters(document: NotebookNode) -> Iterator[Finding]:
    """Find parameters cells that a job could not use."""
    places = [
        number
        for number, (_, cell) in enumerate(documents.code_cells(document), 1)
        if documents.PARAMETERS in documents.tags(cell)
    ]
    if len(places) > 1:
        yield Finding(
            "parameters",
            "error",
            places[1],
            None,
            "a second cell is tagged `parameters`",
            "Only one can take the values of -p.",
            f"Move what it declares to cell {places[0]}.",
        )
        return
    try:
        documents.declared(document)
    except ValueError as error:
        yield Finding(
            "parameters",
            "error",
            places[0] if places else None,
            None,
            str(error).partition(":")[0],
            "Its parameters cannot be read.",
            "Keep to assignments in this cell.",
        )
