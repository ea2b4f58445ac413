"""History table: the live table of all runs: any of them opens below it, two of them are compared."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nbflow._call import failure
from nbflow._core import headline
from nbflow._core.lifecycle import CODES
from nbflow._core.looks import RUN_LOOKS, word_of
from nbflow._core.plural import several
from nbflow._core.table import short
from nbflow.errors import UsageError
from nbflow.notebook.live_table import BEAT, ELSEWHERE, SHARE, LiveTable, window
from nbflow.notebook.run_table import RunTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nbflow._run.chronicle import Chronicle, Line
    from nbflow._run.differences import Change
    from nbflow.notebook.live_table import Answer, Message, RowData, Send

#: Events that have a filter of their own.
_EVENTS = 8
#: Runs that are open at once.
_OPEN = 8
#: Differences that are kept of a comparison, and kinds of them that are listed.
_DIFFERENCES, _KINDS = 20_000, 12
#: Characters of a value that are shown beside another one.
_VALUE = 2_000
#: Runs that a comparison takes.
_TWO = 2


def _cost(line: Line) -> float:
    """Return what a run cost; one whose price nobody knows is sorted as the dearest."""
    if line.usage.unpriced and line.usage.cost is None:
        return math.inf
    return line.usage.cost or 0.0


#: By what runs are sorted.
SORTS: dict[str, Callable[[Line], str | float]] = {
    "started": lambda line: line.started,
    "run": lambda line: line.run,
    "event": lambda line: line.event,
    "state": lambda line: list(RUN_LOOKS).index(line.state),
    "seconds": lambda line: line.seconds,
    "records": lambda line: line.records,
    "failed": lambda line: line.failed,
    "cost": _cost,
}


class Wanted(NamedTuple):
    """What a view of the history asks for; an empty part asks for nothing."""

    text: str
    event: str | None
    states: tuple[str, ...]
    sort: str
    descending: bool

    def fits(self, line: Line) -> bool:
        """Return whether this run is one of them."""
        if self.states and line.state not in self.states:
            return False
        if self.event not in (None, line.event):
            return False
        return self.text in f"{line.run} {line.event} {line.state}".casefold()


class ChangeText(NamedTuple):
    """A difference between two runs, as a page shows it."""

    record: str
    flow: str
    field: str
    before: str
    after: str

    @property
    def kind(self) -> tuple[str, str]:
        """The flow and the field that it is in."""
        return self.flow, self.field


class Compared(NamedTuple):
    """What came out differently in two runs.

    Attributes:
        before: the id of the earlier run.
        after: the id of the later one.
        changes: the differences.
        kinds: the number of differences by flow and field.
        records: the number of records in either run.
        more: whether there are more differences than are kept.
    """

    before: str
    after: str
    changes: list[ChangeText]
    kinds: Counter[tuple[str, str]]
    records: int
    more: bool


class HistoryTable(LiveTable["dict[str, Line]"]):
    """The runs of a store; a view opens one of them as a `RunTable` below it.

    The messages of a run that is open say ``of`` which run they are.

    Args:
        chronicle: the runs.
        send: gives a message to every view.
        wake: has `tick` called soon.
        read_only: refuse everything that would change anything.
        opens: whether the latest run is open from the beginning.
    """

    plain: ClassVar[Message] = {"sort": "started", "descending": True}

    def __init__(
        self,
        chronicle: Chronicle,
        send: Send,
        wake: Callable[[], None],
        *,
        read_only: bool = False,
        opens: bool = False,
    ) -> None:
        super().__init__(send, wake, read_only=read_only)
        self.chronicle = chronicle
        self.opened: dict[str, RunTable] = {}
        self._opens = opens
        #: Seconds that the latest look took.
        self._cost = 0.0
        self._is_running = False
        #: The latest comparison, of which a page asks for one part after another.
        self._compared: Compared | None = None
        self._comparing = threading.Lock()

    def query(self, asked: Message) -> Wanted:
        """Return what a view asks for, checked."""
        event, sort = asked.get("event"), asked.get("sort")
        return Wanted(
            text=str(asked.get("text", ""))[:200].casefold(),
            event=str(event) if event is not None else None,
            states=tuple(str(state) for state in asked.get("states", ())),
            sort=sort if sort in SORTS else "started",
            descending=bool(asked.get("descending")),
        )

    # Runs that are open have messages of their own, on the same wire.

    def take(self, message: Message) -> None:
        """Take a message of a page, to the history or to a run in it."""
        run = message.get("of")
        if run is None:
            super().take(message)
            return
        table = self.opened.get(run)
        if table is None:
            if message.get("t") != "view":
                return  # it was closed meanwhile
            table = self.opened[run] = RunTable(
                self.chronicle.open(run),
                lambda said: self._send(said | {"of": run}),
                self._wake,
                read_only=self.read_only,
            )
            while len(self.opened) > _OPEN:
                del self.opened[next(iter(self.opened))]
        table.take(message)
        if not table.views:
            del self.opened[run]

    def tick(self, now: float) -> None:
        """Tell what is new in the history, and in every run that is open."""
        super().tick(now)
        for run, table in list(self.opened.items()):
            try:
                table.tick(now)
            except Exception:
                del self.opened[run]
                raise

    @property
    def is_quiet(self) -> bool:
        """Whether no run is in progress. As others may begin, it is still looked at now and again."""
        return (
            super().is_quiet
            and not self._is_running
            and all(table.is_quiet for table in self.opened.values())
        )

    # What it shows.

    @contextmanager
    def look(self) -> Iterator[dict[str, Line]]:
        """Return all runs by id, the latest first."""
        begun = time.monotonic()
        lines = {line.run: line for line in self.chronicle.lines()}
        self._cost = time.monotonic() - begun
        self._is_running = any(line.state == "RUNNING" for line in lines.values())
        for view in self.views.values():
            if view.rows is not None and not lines.keys() >= set(view.rows):
                view.rows = None  # some were deleted
        yield lines

    def known(self, stand: dict[str, Line]) -> object:
        """Return the runs themselves: a line differs as soon as anything in it does."""
        return stand

    @property
    def pace(self) -> float:
        """Seconds between two looks; more if no run is in progress, and if a look takes long."""
        return max(ELSEWHERE if self._is_running else BEAT, SHARE * self._cost)

    def choose(self, stand: dict[str, Line], query: Wanted) -> list[str]:
        """Return the ids of the runs that fit, in order."""
        lines = [line for line in stand.values() if query.fits(line)]
        lines.sort(key=SORTS[query.sort], reverse=query.descending)
        return [line.run for line in lines]

    def row(self, stand: dict[str, Line], chosen: str) -> RowData:
        """Return one run as it travels.

        Its id, event, state, begin, end, records, what the next adds up to, records by
        state (rows in all flows if an old ledger says no more), failed ones, cost, and the seconds between its rounds.
        """
        line = stand[chosen]
        standing = (line.standing or line.tally).items()
        counts = {CODES[state]: number for state, number in standing if number}
        return [
            line.run,
            short(line.event, 120),
            line.state,
            line.started,
            line.ended,
            line.records,
            line.records if line.standing else line.rows,
            counts,
            line.failed,
            line.usage.told_cost,
            line.idle,
        ]

    def picture(self, stand: dict[str, Line], _now: float) -> Message:
        """Return the aggregates: the sentence, the tiles and the events."""
        lines = list(stand.values())
        states = Counter(line.state for line in lines)
        events = Counter(line.event for line in lines)
        return {
            "store": self.chronicle.runs.engine.store.url,
            "rows": len(lines),
            "sentence": _sentence(lines, states, events),
            "counts": dict(states),
            "costs": any(line.usage.requests for line in lines),
            "events": [
                [short(event, 80), event, number]
                for event, number in events.most_common(_EVENTS)
            ],
            "kinds": len(events),
            "opens": lines[0].run if self._opens and lines else None,
        }

    # Two runs.

    def _compare(self, message: Message) -> Message:
        before, after = self._pair([str(run) for run in message.get("runs", ())])
        known = self._comparison(before, after, again=bool(message.get("anew")))
        changes = known.changes
        if message.get("only"):
            only = tuple(message["only"])
            changes = [change for change in changes if change.kind == only]
        offset, limit = window(message)
        offset = max(0, min(offset, len(changes) - 1))
        shown = changes[offset : offset + limit]
        kinds = known.kinds.most_common(_KINDS)
        return {
            "t": "compared",
            "runs": [before, after],
            "total": len(changes),
            "offset": offset,
            "rows": [[number, *change] for number, change in enumerate(shown, offset)],
            "differences": len(known.changes),
            "more": known.more,
            "changed": len({change.record for change in known.changes}),
            "records": known.records,
            "kinds": [[flow, field, number] for (flow, field), number in kinds],
        }

    def _pair(self, runs: list[str]) -> tuple[str, str]:
        """Return the two runs, the earlier first; beside a single one, the run of its event before it."""
        lines = {line.run: line for line in self.chronicle.lines()}
        for run in runs:
            if run not in lines:
                raise UsageError(f"There is no run {run}.")
        if not 1 <= len(runs) <= _TWO:
            raise UsageError("Choose two runs to compare.")
        if len(runs) == 1:
            runs = [_run_before(lines[runs[0]], lines.values()), *runs]
        before, after = sorted(runs)
        return before, after

    def _comparison(self, before: str, after: str, *, again: bool) -> Compared:
        """Return the comparison of two runs, made once; ``again``: in any case now."""
        with self._comparing:
            known = self._compared
            if again or known is None or (known.before, known.after) != (before, after):
                known = self._compared = self._differences(before, after)
            return known

    def _differences(self, before: str, after: str) -> Compared:
        one, other = self.chronicle.open(before), self.chronicle.open(after)
        found = list(itertools.islice(one.differences(other), _DIFFERENCES + 1))
        changes = [_as_text(change) for change in found[:_DIFFERENCES]]
        gone = sum(1 for change in found if change.field == "record" and change.before)
        return Compared(
            before,
            after,
            changes,
            Counter(change.kind for change in changes),
            other.records + gone,
            len(found) > _DIFFERENCES,
        )

    answers: ClassVar[Mapping[object, Answer]] = {"compare": _compare}


def _run_before(line: Line, lines: Iterable[Line]) -> str:
    """Return the latest run of the same event before this one; ids sort by time."""
    for other in lines:
        if other.run < line.run and other.event == line.event:
            return other.run
    raise UsageError(f"There is no earlier run of {line.event} to compare it with.")


def _as_text(change: Change) -> ChangeText:
    """Return a difference as a page shows it."""
    before, after = change.before, change.after
    if change.field == "record":
        before, after = ("there", "not there") if before else ("not there", "there")
    elif change.field == "status":
        before, after = word_of(before), word_of(after)
    record = short(change.record, 120)
    return ChangeText(record, change.flow, change.field, _shown(before), _shown(after))


def _shown(value: object) -> str:
    """Return a value as a person reads it, as far as a row has room."""
    try:
        return headline.whole(value, _VALUE)
    except Exception as error:  # a repr of the user's
        return f"(cannot be shown: {failure.describe(error)})"


def _sentence(lines: list[Line], states: Counter[str], events: Counter[str]) -> str:
    if not lines:
        return "No runs yet."
    runs, kinds = several(len(lines), "run"), several(len(events), "event")
    running = states["RUNNING"]
    failed = sum(1 for line in lines if line.failed)
    parts = [f"{running:,} running"] if running else []
    parts.append(f"{failed:,} with failures" if failed else "none with failures")
    latest = f"The latest, {lines[0].event}, {_CAME_OUT[lines[0].state]}."
    return f"{runs} of {kinds}: {', '.join(parts)}. {latest}"


_CAME_OUT = {
    "RUNNING": "goes on",
    "WAITING": "waits",
    "COMPLETED": "completed",
    "PARTIAL": "has failures",
    "FAILED": "failed",
    "CANCELLED": "was cancelled",
    "INTERRUPTED": "was interrupted",
}
