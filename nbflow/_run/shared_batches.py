"""SharedBatches: the batch of a run that goes stays for the runs that refer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._run.kept_batch import ASIDE, owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._store.ledger import Ledger

__all__ = ["SharedBatches"]


class SharedBatches:
    """Which runs that stay refer to the batch of which other run.

    It is one move for a batch, however many runs refer to it. Only while no run begins.

    Args:
        ledger: of the runs.
        going: the runs that go.
    """

    def __init__(self, ledger: Ledger, going: Iterable[str]) -> None:
        self._ledger = ledger
        self._seen = set(going)
        self._shared: set[str] = set()

    def set_aside(self, runs: Iterable[str]) -> None:
        """Set aside the batches of these runs that others refer to."""
        self._look()
        for run in self._shared.intersection(runs):
            self._ledger.set_aside(run)

    def tidy(self) -> None:
        """Remove batches that were set aside and that no run refers to any more."""
        aside = self._ledger.beside(ASIDE)
        owners = aside.runs()
        if owners:
            self._look()
        for owner in owners:
            if owner not in self._shared:
                aside.remove(owner)

    def _look(self) -> None:
        """Look at the runs that were not looked at."""
        for run in self._ledger.runs():
            if run in self._seen:
                continue
            if next(self._ledger.records(run), None) is None:
                continue  # it may be about to
            self._seen.add(run)
            owner = owner_of(self._ledger, run)
            if owner is not None:
                self._shared.add(owner)
