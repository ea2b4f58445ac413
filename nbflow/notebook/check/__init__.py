"""Check: finds what may go wrong with a notebook when nobody watches, before it is handed over.

Nothing of the notebook is run. There is one function for each matter, from cells to
findings; a new one is added to `check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.notebook import document as documents
from nbflow.notebook.check import names, order, packages, secrets, steps, unattended
from nbflow.notebook.check.code_cells import cells_of
from nbflow.notebook.check.finding import LEVELS, Finding

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LEVELS", "Finding", "check"]


def check(path: Path) -> list[Finding]:
    """Return what was found, by cell and line; in one place the gravest first.

    Raises:
        UsageError: it is not a notebook that can be read.
    """
    document = documents.read(path)
    cells = cells_of(document)
    found = [
        *order.broken(cells),
        *order.out_of_order(cells),
        *order.unclear_parameters(document),
        *names.undefined(cells),
        *secrets.secrets_in_source(cells),
        *secrets.secrets_in_prose(document),
        *secrets.secrets_in_outputs(cells),
        *secrets.paths(cells),
        *unattended.magics(cells),
        *unattended.waits_for_a_person(cells),
        *packages.imported(cells, path.resolve().parent),
        *steps.unseen(cells),
        *steps.nearly(cells),
        *steps.cells_as_steps(cells),
    ]
    return sorted(found, key=_place)


def _place(one: Finding) -> tuple[int, int, int]:
    return one.cell or 0, one.line or 0, LEVELS.index(one.level)
