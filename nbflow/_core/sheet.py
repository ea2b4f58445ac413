"""Sheet: the rows of a run's table, one for each record in each flow.

`RunState` knows the state of a record; the sheet knows the rest of its row: when it
began or how long it took, its attempts, how far it got in its flow, and why it failed.
Every number is updated as entries arrive, so that the cost of looking depends on the
rows that are looked at and not on the size of the run.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import FINAL, Awaits, Called, Item, Opened
from nbflow._core.lifecycle import CODES, SHOWN, Reuse, Shown, State
from nbflow._core.table import Cause, kind_of, pattern_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._core.entry import Entry, Failure, Position

_SAME = CODES[Reuse.SAME]
#: The code of a step that was not called.
UNCALLED = 255
#: The name among the steps of a flow for the flow itself, where all of it was cached.
WHOLE = ""
_MOST_ATTEMPTS = 255  # what one byte holds


@dataclass(slots=True)
class Track:
    """One step of a flow: how its latest call ended for each record."""

    codes: bytearray = field(default_factory=bytearray)
    #: The number of records with each code. Not by state: hashing a member of an enum
    #: is slow.
    tally: list[int] = field(default_factory=lambda: [0] * len(SHOWN))

    @property
    def counts(self) -> dict[Shown, int]:
        """The number of records in each state, without the states that have none."""
        numbers = zip(SHOWN, self.tally, strict=True)
        return {state: number for state, number in numbers if number}

    def put(self, record: int, code: int) -> None:
        """Note how the latest call for ``record`` ended."""
        codes = self.codes
        if len(codes) == record:
            codes.append(code)
            self.tally[code] += 1
            return
        if len(codes) < record:
            codes.extend(b"\xff" * (record + 1 - len(codes)))
        before = codes[record]
        codes[record] = code
        if before != UNCALLED:
            self.tally[before] -= 1
        if code != UNCALLED:
            self.tally[code] += 1

    def code(self, record: int) -> int:
        """How the latest call for ``record`` ended."""
        return self.codes[record] if record < len(self.codes) else UNCALLED


class FlowColumns:
    """The columns of one flow, with a place for each record.

    Its steps are in the order in which they were first called.
    """

    __slots__ = ("attempts", "seconds", "tracks")

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        #: How long a record took; for one under way, when it began, in seconds from the
        #: start of the run.
        self.seconds = array("f")
        #: The number of the latest attempt of any of the steps.
        self.attempts = bytearray()

    def reach(self, record: int) -> bool:
        """Make a place for ``record``; returns whether it is a new one."""
        missing = record + 1 - len(self.attempts)
        if missing <= 0:
            return False
        self.attempts.extend(bytes(missing))
        self.seconds.frombytes(bytes(4 * missing))
        return True


class CauseGroup(NamedTuple):
    """Failures with one error and like messages, wherever they happened.

    ``number`` is that of one of their causes, ``message`` one of their messages;
    ``steps`` names the flow where no step failed.
    """

    number: int
    error: str
    message: str
    records: int
    flows: list[str]
    steps: list[str]


def _records(cause: Cause | CauseGroup) -> int:
    return cause.records


#: Which method of a sheet takes in an entry, by its type. The class fills it; a global
#: is found faster than an attribute.
_TAKE: dict[type, Callable[..., None]] = {}


class Sheet:
    """What the records of a run did. Feed it with `apply`, like a `RunState`.

    Costs 5 bytes a record and flow, one for each of its steps, and each failure.
    """

    def __init__(self, started: float = 0.0, flows: Sequence[str] = ()) -> None:
        self.started = started
        self.flows = tuple(flows)
        #: Of each flow, by its position in the run's list.
        self.columns = [FlowColumns() for _ in self.flows]
        #: Records under way whose latest attempt failed: the step, and why it failed.
        self.retrying: dict[Position, tuple[str, Failure | None]] = {}
        #: Records that nobody works on until something has happened.
        self.resting: set[Position] = set()
        #: Groups of like failures, by number; the first failure of each stands for it.
        self.causes: list[Cause] = []
        self.cause_of: dict[Position, int] = {}
        #: The number of failures of each error at each step.
        self.kinds: Counter[tuple[str, str]] = Counter()
        self._numbers: dict[tuple[str, str, str, str], int] = {}
        #: Causes by error and by what their messages have in common.
        self._alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def apply(self, entry: Entry) -> None:
        """Take in one more entry."""
        take = _TAKE.get(type(entry))
        if take is not None:
            take(self, entry)

    def worst(self) -> list[CauseGroup]:
        """What failures have in common, wherever they happened, the most frequent first."""
        found = [self._group(numbers) for numbers in self._alike.values()]
        return sorted(filter(_records, found), key=lambda group: -group.records)

    def alike(self, number: int) -> list[int]:
        """The causes with the error of this one and a like message."""
        return next((each for each in self._alike.values() if number in each), [])

    def _group(self, numbers: list[int]) -> CauseGroup:
        causes = [
            cause for cause in map(self.causes.__getitem__, numbers) if cause.records
        ]
        first = max(causes, key=_records, default=self.causes[numbers[0]])
        return CauseGroup(
            number=numbers[0],
            error=first.error,
            message=first.message,
            records=sum(map(_records, causes)),
            flows=list(dict.fromkeys(cause.flow for cause in causes)),
            steps=list(dict.fromkeys(cause.step or cause.flow for cause in causes)),
        )

    def _opened(self, entry: Opened) -> None:
        self.started = entry.at
        self.flows = entry.flows
        self.columns = [FlowColumns() for _ in entry.flows]

    def _item(self, entry: Item) -> None:
        columns = self.columns[entry.flow]
        place = entry.record, entry.flow
        is_new = columns.reach(entry.record)
        if self.retrying:
            self.retrying.pop(place, None)
        if place in self.cause_of:
            self._count(self.cause_of.pop(place), -1)
        if entry.state is State.WAITING:
            return
        if entry.state not in FINAL:
            if place in self.resting:
                self.resting.remove(place)  # it continues where it was
            elif not is_new:
                self._clear(columns, entry.record)
            columns.seconds[entry.record] = entry.at - self.started
            return
        columns.seconds[entry.record] = entry.seconds
        if entry.failure is not None:
            self._failed(entry, entry.failure)
        elif (
            entry.state is State.CACHED
            and not entry.seconds
            and not self._is_map(entry.flow)
        ):
            self._clear(columns, entry.record)
            self._track(columns, WHOLE).put(entry.record, CODES[State.CACHED])

    @staticmethod
    def _clear(columns: FlowColumns, record: int) -> None:
        """Forget the calls of a record that starts again."""
        columns.attempts[record] = 0
        for track in columns.tracks.values():
            if track.code(record) != UNCALLED:
                track.put(record, UNCALLED)

    def _is_map(self, flow: int) -> bool:
        """Whether a flow is a mapped step: then its only step has its name."""
        return self.flows[flow] in self.columns[flow].tracks

    def _failed(self, entry: Item, failed: Failure) -> None:
        flow, step = self.flows[entry.flow], failed.step or ""
        number = self.know(Cause(flow, step, failed.error, failed.message, 0, ""))
        self.cause_of[entry.record, entry.flow] = number
        self._count(number, 1)

    def know(self, cause: Cause) -> int:
        """The number of a cause, or of the one like it; a new one is taken in."""
        pattern = pattern_of(cause.message)
        kind = cause.flow, cause.step, cause.error, pattern
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.causes)
            self._alike[cause.error, pattern].append(number)
            self.causes.append(cause)
            self.kinds[kind_of(cause)] += cause.records
        return number

    def _count(self, number: int, more: int) -> None:
        cause = self.causes[number]
        self.causes[number] = cause._replace(records=cause.records + more)
        self.kinds[kind_of(cause)] += more

    def _awaits(self, entry: Awaits) -> None:
        self.resting.add((entry.record, entry.flow))

    def _called(self, entry: Called) -> None:
        record, flow, step, state, _, _, attempt, _, failed, _, _, same = entry
        columns = self.columns[flow]
        attempts = columns.attempts
        if record >= len(attempts):
            columns.reach(record)
        self._track(columns, step).put(record, _SAME if same else CODES[state])
        if attempt > attempts[record]:
            attempts[record] = min(attempt, _MOST_ATTEMPTS)
        if state is State.RETRYING:
            self.retrying[record, flow] = step, failed
        elif self.retrying and self.retrying.get((record, flow), ("",))[0] == step:
            del self.retrying[record, flow]

    @staticmethod
    def _track(columns: FlowColumns, step: str) -> Track:
        track = columns.tracks.get(step)
        if track is None:
            track = columns.tracks[step] = Track()
        return track

    _TAKE[Opened] = _opened
    _TAKE[Item] = _item
    _TAKE[Awaits] = _awaits
    _TAKE[Called] = _called
