"""Desk: what the dashboard has read of a store, once for all its visitors."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from nbflow._run import decisions
from nbflow._run.chronicle import Chronicle
from nbflow.notebook.contents import Contents
from nbflow.notebook.summary import counts_of, line_before, summary_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._run.chronicle import Line
    from nbflow._run.run import Home, Run
    from nbflow._run.runs import Runs
    from nbflow.notebook.summary import Counts, Summary

#: Runs that are kept in memory at once: a record takes some 250 bytes.
_MOST = 4


class OpenedRun:
    """A run that visitors look at.

    The first look reads all of it, on a thread of its own, as nobody waits for a
    million records; then its texts and categories. Later looks take in what is new.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        #: The run before, and what came out in it.
        self._before: tuple[Line | None, Counts | None] = None, None
        self._news = threading.Event()
        self.contents = Contents(run.reader, self._news.set)
        self._is_read = threading.Event()
        self._wrong: BaseException | None = None
        self._made: tuple[object, Summary] | None = None
        self._mutex = threading.Lock()
        threading.Thread(target=self._read, name="nbflow-desk", daemon=True).start()

    def _read(self) -> None:
        try:
            with self.run.reader.look() as (state, _):
                self.contents.read_all()
            self.contents.read_soon(state)
        except BaseException as error:
            self._wrong = error
            raise
        finally:
            self._is_read.set()

    def is_read(self, patience: float) -> bool:
        """Return whether all of it was read, after so many seconds at most.

        What is left of them it waits for the categories, which come without a wait as
        well, as far as they are counted.

        Raises:
            NbflowError: it cannot be read.
        """
        until = time.monotonic() + patience
        self._is_read.wait(patience)
        if self._wrong is not None:
            raise self._wrong
        if not self._is_read.is_set():
            return False
        self._news.clear()
        while self.contents.read_all().is_behind and time.monotonic() < until:
            self._news.wait(max(0.0, until - time.monotonic()))
            self._news.clear()
        return True

    def summary(self, lines: Sequence[Line]) -> Summary:
        """Return its summary, made again if anything has changed."""
        with self.run.reader.look() as (state, _):
            index = self.contents.read_all()
            stood = (
                (state.state, state.ended, len(state.keys), len(state.remarks)),
                (self.contents.version, index.is_complete),
                decisions.standing_for(self.run.engine, state.flows),
                [line for line in lines if line.event == state.event],
            )
        self.contents.read_soon(state)
        with self._mutex:
            if self._made is None or self._made[0] != stood:
                before = self._counts_before(lines, state.event)
                self._made = stood, summary_of(self.run, index, lines, before)
            return self._made[1]

    def _counts_before(self, lines: Sequence[Line], event: str) -> Counts | None:
        """Return what came out in the run before, counted again if anything has changed in it."""
        line = line_before(lines, event, self.run.id)
        if line != self._before[0]:
            self._before = line, counts_of(self.run.reader.runs, line)
        return self._before[1]


class Desk(Chronicle):
    """The runs of a store; those that visitors look at are read once for all of them.

    Args:
        runs: the runs of the store.
        home: what knows the flows; of a desk, none.
    """

    def __init__(self, runs: Runs, home: Home) -> None:
        super().__init__(runs, home)
        self._opened: OrderedDict[str, OpenedRun] = OrderedDict()
        self._guard = threading.Lock()

    def look_at(self, run: str) -> OpenedRun:
        """Return a run that is being read, or was."""
        with self._guard:
            found = self._opened.get(run)
            if found is None:
                found = self._opened[run] = OpenedRun(super().open(run))
            self._opened.move_to_end(run)
            while len(self._opened) > _MOST:
                self._opened.popitem(last=False)
            return found

    def open(self, run: str) -> Run:
        """Return the run that the visitors share."""
        return self.look_at(run).run

    def forget(self, run: str) -> None:
        """Have a run read again: the last time went wrong."""
        with self._guard:
            self._opened.pop(run, None)
