"""What the live table costs: an update of a run of any size, and a run with and without it."""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks import batch
from benchmarks.contest import Question, Row, kilobytes, microseconds, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nbflow._core.entry import Entry, RunState
    from nbflow._core.sheet import Sheet
    from nbflow._run.run import Run

_RUN = "20261124-091502-41700"
_UPDATES = 50
_CHANGES = 100
_PAIRS = 12
#: What the front end of a table asks for when it is shown.
_VIEW = {
    "t": "view",
    "id": "v",
    "n": 1,
    "offset": 0,
    "limit": 36,
    "query": {"sort": "state"},
}


class Reader:
    """What a table asks of such a run, and what its records say."""

    columns = ()
    execution = None

    def __init__(self, run: Told) -> None:
        self._run = run

    def state(self) -> RunState:
        """The state of the run."""
        return self._run.state

    def look(self) -> AbstractContextManager[tuple[RunState, Sheet]]:
        """As `nbflow.Run.look` does."""
        from contextlib import nullcontext

        return nullcontext((self._run.state, self._run.sheet))

    def raw_records(self, _state: RunState, numbers: list[int]) -> dict[int, Any]:
        """Records of these numbers."""
        return {number: {"text": f"the text of {number}"} for number in numbers}


class Told:
    """A run that is nothing but its entries."""

    is_here = True
    is_stopping = False

    def __init__(self, records: int) -> None:
        from nbflow._core.entry import (
            Called,
            Failure,
            Item,
            Listed,
            Opened,
            RunState,
            Sent,
        )
        from nbflow._core.lifecycle import State
        from nbflow._core.sheet import Sheet

        self.state = RunState()
        self.sheet = Sheet()
        self.apply(
            Opened(_RUN, "thread", ("triage",), 1e9, "records", False, records),
            Sent(records),
        )
        trouble = Failure("answer", "TimeoutError", "the model did not answer")
        for n in range(records):
            self.apply(Listed(n, f"t-{n:07}"))
            if n < records // 2:
                ended = Item(n, 0, State.COMPLETED, 1e9 + 1, 0.1, "00" * 20)
                if n % 2:
                    ended = Item(n, 0, State.FAILED, 1e9 + 1, 0.1, None, 1, trouble)
                called = Called(n, 0, "answer", State.COMPLETED, 1e9 + 1, 0.1, 1)
                self.apply(called, ended)
        self.records = records
        self.at = records // 2
        #: The table looks through it, and finds the entries here.
        self.reader = Reader(self)

    def apply(self, *entries: Entry) -> None:
        """Take in entries."""
        for entry in entries:
            self.state.apply(entry)
            self.sheet.apply(entry)

    def advance(self) -> None:
        """A hundred more records are done."""
        from nbflow._core.entry import Called, Item
        from nbflow._core.lifecycle import State

        for n in range(self.at, self.at + _CHANGES):
            number = n % self.records
            at = 1e9 + 2 + n / 1e6
            self.apply(
                Item(number, 0, State.RUNNING, at),
                Called(number, 0, "answer", State.COMPLETED, at, 0.1, 1),
                Item(number, 0, State.COMPLETED, at, 0.1, "00" * 20),
            )
        self.at += _CHANGES


def updates(records: int) -> Callable[[Path, int], dict[str, float]]:
    """Ten a second for five seconds, a hundred records changed in each, one page shown."""

    def act(_folder: Path, size: int) -> dict[str, float]:
        from nbflow.notebook.run_table import RunTable

        said: list[str] = []
        run: Any = Told(records if size > 1 else min(records, 2_000))
        table = RunTable(
            run, lambda message: said.append(json.dumps(message)), lambda: None
        )
        table.take(_VIEW)
        table.tick(time.monotonic())
        spent = []
        for number in range(_UPDATES if size > 1 else 3):
            run.advance()
            table.take({"t": "ack", "id": "v", "n": number + 1})
            if size > 1:
                time.sleep(0.1)
            begun = time.thread_time()
            table._looked = 0.0
            table.tick(time.monotonic())
            spent.append(time.thread_time() - begun)
        return {
            "update": sum(spent) / len(spent),
            "dearest": max(spent),
            "bytes": sum(map(len, said)) / len(said),
        }

    return act


def paired(folder: Path, size: int) -> dict[str, float]:
    """Batches with a table and without one by turns, in one process.

    The figures are medians of what the processor did for a record.

    The table follows as in a notebook: the same thread, the same pace, the same
    messages. Others on the machine change how long things take, and much less what the
    processor does for them; what is left of it shows between one batch that nobody
    looked at and the next."""
    from nbflow._session import SESSION
    from nbflow.notebook import display

    display.view = Shown  # type: ignore[assignment]  # in place of a cell's
    batch.sync_flow()
    spent: dict[bool, list[float]] = {True: [], False: []}
    Shown.spent.clear()
    pairs = _PAIRS if size > 1 else 1
    records = size * 2_500 if size > 1 else 200
    for number in range(-1, pairs):
        is_odd = number % 2 == 1
        for watched in (is_odd, not is_odd):
            SESSION.shows = watched
            gc.collect()
            begun = time.process_time()
            batch.sent(folder / f"{number}{watched}", records)
            took = time.process_time() - begun
            if number >= 0:  # the first ones load and warm what all use
                spent[watched].append(took / records)
            if watched:
                Shown.spent.append(Shown.latest.cost())
    alone = spent[False]
    # Neighbours against each other: what drifts over minutes is in both.
    watching = _median_ratio(zip(spent[True], alone, strict=True))
    noise = _median_ratio(itertools.pairwise(alone * 2))
    without = statistics.median(alone)
    return {
        "with": without * watching,
        "without": without,
        "again": without * noise,
        "table": statistics.median(Shown.spent) / records,
    }


def _median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    return statistics.median(one / other for one, other in pairs)


class Shown:
    """A table that follows a run, as a cell shows it."""

    has_rows = True
    #: Seconds, by run: of the thread that speaks for tables, and of folding the rows.
    spent: ClassVar[list[float]] = []
    latest: ClassVar[Shown]

    def __init__(self, run: Run) -> None:
        from nbflow.notebook.run_table import RunTable
        from nbflow.notebook.table_widget import PUBLISHER

        self._publisher = PUBLISHER
        self.table = RunTable(run, json.dumps, PUBLISHER.wake)

    def begin(self, _state: RunState) -> None:
        notes = self.table.run.reader.execution.notes  # type: ignore[union-attr]  # it runs
        flush = notes.flush
        self._noting = 0.0

        def noted() -> None:
            """Leave out what is noted as the table looks: another thread would note it."""
            begun = time.thread_time()
            flush()
            if threading.current_thread().name == "nbflow-tables":
                self._noting += time.thread_time() - begun

        notes.flush = noted  # type: ignore[method-assign]  # to measure it
        self._publisher.add(self.table)
        self._publisher.ask(self.table, _VIEW)

    def show(self, _state: RunState) -> None:
        self._publisher.ask(
            self.table, {"t": "ack", "id": "v", "n": self.table._number}
        )

    def end(self, state: RunState) -> None:
        self.show(state)
        names = {one.name: one for one in threading.enumerate()}
        clock = time.pthread_getcpuclockid(names["nbflow-tables"].ident or 0)
        self._speaking = time.clock_gettime(clock) - self._noting
        self._publisher.drop(self.table)
        Shown.latest = self

    def cost(self) -> float:
        """What the processor did for the table: speaking, and folding the rows.

        They are folded once more to measure it.
        """
        from nbflow._core.sheet import Sheet

        run = self.table.run
        entries, _ = run.engine.ledger.read(run.id)
        sheet = Sheet()
        begun = time.thread_time()
        for entry in entries:
            sheet.apply(entry)
        return self._speaking + time.thread_time() - begun


SMALL = "100"
LARGE = "10,000"
HUGE = "1,000,000"
ALONE = ("paired", 0, "without")

QUESTION = Question(
    "watching",
    "the live table: kernel time and bytes of an update at 10 a second, and a run with "
    "and without it",
    (2, 1),
    {
        SMALL: (updates(100),),
        LARGE: (updates(10_000),),
        HUGE: (updates(1_000_000),),
        "paired": (paired,),
    },
    (
        Row("update of 10,000 records", (LARGE, 0, "update"), "of 100", (SMALL, 0, "update"), milliseconds, 0.5),
        Row("update of 1,000,000 records", (HUGE, 0, "update"), "of 100", (SMALL, 0, "update"), milliseconds, 0.25),
        Row("the dearest, that chose rows again", (HUGE, 0, "dearest"), "of 100", (SMALL, 0, "dearest"), milliseconds),
        Row("bytes at 1,000,000 records", (HUGE, 0, "bytes"), "at 10,000", (LARGE, 0, "bytes"), kilobytes, 0.95),
        Row("a record of 5,000, watched", ("paired", 0, "with"), "nobody looks", ALONE, microseconds),
        Row("what the table itself does", ("paired", 0, "table"), "nobody looks", ALONE, microseconds, 50),
        Row("nobody looks, and again (noise)", ("paired", 0, "again"), "nobody looks", ALONE, microseconds),
    ),
)  # fmt: skip
