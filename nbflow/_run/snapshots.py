"""Snapshots: what a long run came to, kept when it ended, so that it opens at once.

They are made of the ledger alone: one that is missing, damaged or out of date costs
nothing but the time to read the ledger again, and whoever does keeps the next one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nbflow._core import snapshot
from nbflow._core.entry import Resumed, RunState
from nbflow._core.sheet import Sheet
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from nbflow._core.entry import Opened
    from nbflow._store.ledger import Ledger

__all__ = ["is_worth", "keep", "rows_from", "rows_of", "state_of"]

#: Records of a long run.
_LONG = 10_000
#: Bytes of entries that are worth a snapshot: they take a tenth of a second to read.
_WORTH = 500_000


def is_worth(ledger: Ledger, run: str, since: int = 0) -> bool:
    """Whether what was noted since a position takes long to read."""
    return ledger.size(run) - since >= _WORTH


def keep(
    ledger: Ledger, run: str, position: int, state: RunState, sheet: Sheet | None
) -> None:
    """Keep what the entries up to ``position`` came to. Only for who works on the run, or while nobody does."""
    # On a disk that refuses it: who opens the run reads the ledger.
    with contextlib.suppress(StoreError):
        ledger.keep_snapshot(run, "state", position, snapshot.of_state(state))
        if sheet is not None:
            ledger.keep_snapshot(run, "rows", position, snapshot.of_sheet(sheet))


def state_of(ledger: Ledger, run: str) -> tuple[RunState, int]:
    """What is known of a run without reading its entries, and the position to continue from."""
    found = ledger.snapshot(run, "state")
    if found is None:
        return RunState(), 0
    return snapshot.state_of(found[0]), found[1]


def rows_from(first: Opened | Resumed, ledger: Ledger, run: str) -> Sheet | None:
    """Rows to be kept up while a long run is under way, from the entry on that says it begins or continues.

    They take 2 us a record; to read them from the ledger when somebody wants to see them
    takes ten. ``None`` for a short run, until somebody does.
    """
    if isinstance(first, Resumed):
        return rows_of(ledger, run, ledger.size(run))
    is_long = first.total is None or first.total >= _LONG
    return Sheet() if is_long else None


def rows_of(ledger: Ledger, run: str, position: int) -> Sheet | None:
    """The rows of a run as of a position, if they were kept."""
    found = ledger.snapshot(run, "rows")
    if found is None or found[1] != position:
        return None
    return snapshot.sheet_of(found[0])
