"""Chronicle: what a list of runs says of each of them, kept up at the cost of what is new."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import Closed, Opened
from nbflow._core.table import needing_of
from nbflow._core.usage import NOTHING, Usage
from nbflow._run.run import Run
from nbflow._run.run_reader import RunReader
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._core.lifecycle import Shown, State
    from nbflow._run.run import Home
    from nbflow._run.runs import Runs


class Line(NamedTuple):
    """One run; times are seconds since the epoch, ``rows`` is what ``tally`` adds up to when all of it is done.

    ``idle``: seconds in which nobody worked on it, between its rounds.
    """

    run: str
    event: str
    state: str
    started: float
    ended: float
    records: int
    rows: int
    tally: dict[State, int]
    usage: Usage = NOTHING
    idle: float = 0.0
    #: Records by how they stand; empty if an old ledger does not say.
    standing: Mapping[Shown, int] = MappingProxyType({})

    @property
    def seconds(self) -> float:
        """How long it was worked on."""
        return self.ended - self.started - self.idle

    @property
    def failed(self) -> int:
        """How many records failed, in a flow or more."""
        if self.standing:
            return needing_of(self.standing)
        # An old ledger counts failures, of which a record may have several.
        return min(needing_of(self.tally), self.records)


class Chronicle:
    """The runs of a ledger.

    A run that was closed costs its first and its last entries, once. One under way
    is followed: each look takes in what was noted since the one before. One that ended
    without a word is read once.
    """

    def __init__(self, runs: Runs, home: Home) -> None:
        self.runs = runs
        #: Runs whose ledger cannot be read, as of the last look.
        self.unreadable: list[str] = []
        self._home = home
        self._lines: dict[str, tuple[int, Line | None]] = {}
        self._followed: dict[str, RunReader] = {}
        self._mutex = threading.Lock()

    def open(self, run: str) -> Run:
        """The run with this id."""
        return Run(self.runs, run, self._home)

    def lines(self, last: int | None = None) -> list[Line]:
        """Every run as it stands, the latest first; of the ``last`` ones alone, if that is given."""
        with self._mutex:
            runs = self.runs.engine.ledger.runs()
            if last is not None:
                runs = runs[max(0, len(runs) - last) :]
            found = {run: self._known(run) for run in reversed(runs)}
            self._lines = found if last is None else self._lines | found
            # Of nothing there is nothing to read: a process died before its first note.
            self.unreadable = [
                run for run, (size, line) in found.items() if size and not line
            ]
            return [line for _, line in found.values() if line is not None]

    def _known(self, run: str) -> tuple[int, Line | None]:
        try:
            return self._as_it_is(run)
        except StoreError:
            return -1, None

    def _as_it_is(self, run: str) -> tuple[int, Line | None]:
        size = self.runs.engine.ledger.size(run)
        before = self._lines.get(run)
        if (
            before is not None
            and before[0] == size
            and (before[1] is None or before[1].state != "RUNNING")
        ):
            return before
        return size, self._line(run)

    def _line(self, run: str) -> Line | None:
        followed = self._followed.pop(run, None)
        if followed is None:
            entries = self.runs.engine.ledger.ends(run)
            if not entries or not isinstance(entries[0], Opened):
                return None
            first, last = entries[0], entries[-1]
            if isinstance(last, Closed):
                return Line(
                    run,
                    first.event,
                    last.state,
                    first.at,
                    last.at,
                    last.records,
                    sum(last.tally.values()),
                    last.tally,
                    last.usage,
                    last.idle,
                    last.standing,
                )
            followed = RunReader(self.runs, run)
        state = followed.state()
        if state.state == "RUNNING":
            self._followed[run] = followed
        records = state.total_records
        return Line(
            run,
            state.event,
            state.state,
            state.started,
            state.ended,
            records,
            records * len(state.flows),
            dict(state.tally()),
            state.usage,
            state.idle,
            state.standing(),
        )
