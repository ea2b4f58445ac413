"""Past: the live table of all runs: which there are, any of them opened below it, two of them compared."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nbflow._core.sheet import CODES
from nbflow._core.table import short
from nbflow._run.render import RUN_LOOKS
from nbflow.errors import UsageError
from nbflow.notebook.live_table import BEAT, ELSEWHERE, SHARE, Talk, window
from nbflow.notebook.run_table import RunTable, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbflow._run.chronicle import Chronicle, Line
    from nbflow._run.differences import Change
    from nbflow.notebook.live_table import Message, Send

#: Events that are filters of their own, runs that are open at once, differences that
#: are kept of a comparison.
_EVENTS, _OPEN, _DIFFERENCES = 8, 8, 20_000
_VALUE = 2_000

SORTS: dict[str, Callable[[Line], Any]] = {
    "started": lambda line: line.started,
    "run": lambda line: line.run,
    "event": lambda line: line.event,
    "state": lambda line: list(RUN_LOOKS).index(line.state),
    "seconds": lambda line: line.seconds,
    "records": lambda line: line.records,
    "failed": lambda line: line.failed,
    "cost": lambda line: (
        math.inf
        if line.usage.unpriced and line.usage.cost is None
        else line.usage.cost or 0.0
    ),
}


class Wanted(NamedTuple):
    """What a view of the history asks for; an empty part asks for nothing."""

    text: str
    event: str | None
    states: tuple[str, ...]
    sort: str
    descending: bool

    def fits(self, line: Line) -> bool:
        """Is this run one of them?"""
        return (
            (not self.states or line.state in self.states)
            and self.event in (None, line.event)
            and (
                not self.text
                or self.text in f"{line.run} {line.event} {line.state}".casefold()
            )
        )


class Compared(NamedTuple):
    """What came out differently in two runs, as a page shows it."""

    before: str
    after: str
    changes: list[tuple[str, str, str, str, str]]
    kinds: Counter[tuple[str, str]]
    records: int
    more: bool


class HistoryTable(Talk["dict[str, Line]"]):
    """The runs of a store; a view opens one of them as its `RunTable`, whose messages say ``of`` which run they are.

    Args:
        chronicle: the runs.
        opens: the latest run is open from the beginning.
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
        self._cost = 0.0
        self._goes_on = False
        self._compared: Compared | None = None
        self._comparing = threading.Lock()

    def query(self, asked: Message) -> Wanted:
        """What a view asks for."""
        event = asked.get("event")
        return Wanted(
            text=str(asked.get("text", ""))[:200].casefold(),
            event=str(event) if event is not None else None,
            states=tuple(str(state) for state in asked.get("states", ())),
            sort=asked["sort"] if asked.get("sort") in SORTS else "started",
            descending=bool(asked.get("descending")),
        )

    # Runs that are open go their own way, on the same wire.

    def take(self, message: Message) -> None:
        """A page said something, to the history or to a run in it."""
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
        """Tell what is new of the history, and of every run that is open."""
        super().tick(now)
        for run, table in list(self.opened.items()):
            try:
                table.tick(now)
            except Exception:
                del self.opened[run]
                raise

    @property
    def is_quiet(self) -> bool:
        """Does no run go on? Others may begin: it is looked at now and again all the same."""
        return (
            super().is_quiet
            and not self._goes_on
            and all(table.is_quiet for table in self.opened.values())
        )

    # What it shows.

    @contextmanager
    def look(self) -> Iterator[dict[str, Line]]:
        """All runs by id, the latest first."""
        begun = time.monotonic()
        lines = {line.run: line for line in self.chronicle.lines()}
        self._cost = time.monotonic() - begun
        self._goes_on = any(line.state == "RUNNING" for line in lines.values())
        for view in self.views.values():
            if view.rows is not None and not lines.keys() >= set(view.rows):
                view.rows = None  # some were deleted
        yield lines

    def known(self, stand: dict[str, Line]) -> object:
        """The runs themselves: a line is another one when anything of it is."""
        return stand

    @property
    def pace(self) -> float:
        """Slower if nothing goes on, and where looking is dear."""
        return max(ELSEWHERE if self._goes_on else BEAT, SHARE * self._cost)

    def choose(self, stand: dict[str, Line], query: Wanted) -> list[str]:
        """The ids of the runs that fit, in order."""
        return [
            line.run
            for line in sorted(
                filter(query.fits, stand.values()),
                key=SORTS[query.sort],
                reverse=query.descending,
            )
        ]

    def row(self, stand: dict[str, Line], chosen: Any) -> list[Any]:
        """One run: id, event, state, begin, end, records, rows in all, rows by state, failed, cost, seconds between its rounds."""
        line = stand[chosen]
        counts = {
            CODES[state]: number for state, number in line.tally.items() if number
        }
        return [
            line.run,
            short(line.event, 120),
            line.state,
            line.started,
            line.ended,
            line.records,
            line.rows,
            counts,
            line.failed,
            line.usage.told_cost,
            line.idle,
        ]

    def picture(self, stand: dict[str, Line], _now: float) -> Message:
        """The sentence, the tiles and the events."""
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
        with self._comparing:
            known = self._compared
            if (
                known is None
                or (known.before, known.after) != (before, after)
                or message.get("anew")
            ):
                known = self._compared = self._differences(before, after)
        only = tuple(message["only"]) if message.get("only") else None
        changes = [change for change in known.changes if only in (None, change[1:3])]
        offset, limit = window(message)
        offset = max(0, min(offset, len(changes) - 1))
        return {
            "t": "compared",
            "runs": [before, after],
            "total": len(changes),
            "offset": offset,
            "rows": [
                [offset + at, *change]
                for at, change in enumerate(changes[offset : offset + limit])
            ],
            "differences": len(known.changes),
            "more": known.more,
            "changed": len({change[0] for change in known.changes}),
            "records": known.records,
            "kinds": [
                [flow, field, number]
                for (flow, field), number in known.kinds.most_common(12)
            ],
        }

    def _pair(self, runs: list[str]) -> tuple[str, str]:
        """The two runs, the earlier first; beside one alone, the one of its event before it."""
        lines = {line.run: line for line in self.chronicle.lines()}
        unknown = [run for run in runs if run not in lines]
        if unknown or not 1 <= len(runs) <= 2:  # noqa: PLR2004
            raise UsageError(
                f"There is no run {unknown[0]}."
                if unknown
                else "Choose two runs to compare."
            )
        if len(runs) == 1:
            earlier = next(
                (
                    run
                    for run, line in lines.items()
                    if run < runs[0] and line.event == lines[runs[0]].event
                ),
                None,
            )
            if earlier is None:
                raise UsageError(
                    f"There is no earlier run of {lines[runs[0]].event} to compare it with."
                )
            runs = [earlier, *runs]
        before, after = sorted(runs)
        return before, after

    def _differences(self, before: str, after: str) -> Compared:
        one, other = self.chronicle.open(before), self.chronicle.open(after)
        found = list(itertools.islice(one.differences(other), _DIFFERENCES + 1))
        changes = [_told(change) for change in found[:_DIFFERENCES]]
        gone = sum(1 for change in found if change.field == "record" and change.before)
        return Compared(
            before,
            after,
            changes,
            Counter(change[1:3] for change in changes),
            other.records + gone,
            len(found) > _DIFFERENCES,
        )

    answers: ClassVar[Mapping[Any, Callable[[Any, Message], Message]]] = {
        "compare": _compare
    }


def _told(change: Change) -> tuple[str, str, str, str, str]:
    """A difference in texts: record, flow, field, before, after."""
    before, after = change.before, change.after
    if change.field == "record":
        before, after = ("there", "not there") if before else ("not there", "there")
    elif change.field == "status":
        before, after = (
            before.lower().replace("_", " "),
            after.lower().replace("_", " "),
        )
    return (
        short(change.record, 120),
        change.flow,
        change.field,
        _shown(before),
        _shown(after),
    )


def _shown(value: Any) -> str:
    """A value as a person reads it, as far as a row has room."""
    text = text_of(lambda: value)
    return (
        text
        if len(text) <= _VALUE
        else f"{text[:_VALUE]} ... and {len(text) - _VALUE:,} characters more"
    )


def _sentence(lines: list[Line], states: Counter[str], events: Counter[str]) -> str:
    if not lines:
        return "No runs yet."
    troubled = sum(1 for line in lines if line.failed)
    parts = [f"{states['RUNNING']:,} going on"] if states["RUNNING"] else []
    parts += [f"{troubled:,} with failures"] if troubled else ["none with failures"]
    latest = f" The latest, {lines[0].event}, {_STANDS[lines[0].state]}."
    return f"{_several(len(lines), 'run')} of {_several(len(events), 'event')}: {', '.join(parts)}.{latest}"


_STANDS = {
    "RUNNING": "goes on",
    "COMPLETED": "completed",
    "PARTIAL": "has failures",
    "FAILED": "failed",
    "CANCELLED": "was cancelled",
    "INTERRUPTED": "was interrupted",
}


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
