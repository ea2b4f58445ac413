"""Sheet: the rows of a run's table, one for each record in each flow, as the entries make them.

`RunState` knows in which state a record is; the sheet knows the rest of its line: when
it began or how long it took, its attempts, how far it came in its flow, what it failed
of. Every number is kept up as entries come, so that looking costs the rows that are
looked at and nothing that grows with the run.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._core.entry import FINAL, Called, Item, Opened
from nbflow._core.lifecycle import State
from nbflow._core.table import Cause, kind_of, pattern_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._core.entry import Entry, Failure

#: The number that stands for a state in a row: its place in `State`.
STATES = tuple(State)
CODES = {state: code for code, state in enumerate(STATES)}
#: A step that was not called.
UNCALLED = 255
#: The name under which a flow that was remembered as a whole counts among its steps.
WHOLE = ""


@dataclass(slots=True)
class Track:
    """One step of a flow: how its latest call ended for each record, and how many records there are of each."""

    codes: bytearray = field(default_factory=bytearray)
    #: How many records there are of each code. Not by state: a member of an enum is
    #: dear to hash.
    tally: list[int] = field(default_factory=lambda: [0] * len(STATES))

    @property
    def counts(self) -> dict[State, int]:
        """How many records there are of each state, of those that there are any of."""
        return {
            state: number
            for state, number in zip(STATES, self.tally, strict=True)
            if number
        }

    def put(self, record: int, code: int) -> None:
        """The latest call for ``record`` ended like this."""
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


class Lane:
    """One flow: its steps in the order in which they were first met, and a line for each record."""

    __slots__ = ("attempts", "seconds", "tracks")

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        #: Of a record that ended how long it took, of one under way when it began (from
        #: the start of the run).
        self.seconds = array("f")
        #: The number of the latest attempt of any of its steps.
        self.attempts = bytearray()

    def reach(self, record: int) -> bool:
        """Have a line for ``record``; answers whether it is a new one."""
        missing = record + 1 - len(self.attempts)
        if missing <= 0:
            return False
        self.attempts.extend(bytes(missing))
        self.seconds.frombytes(bytes(4 * missing))
        return True


class Sheet:
    """What the records of a run did. Feed it with `apply`, like a `RunState`.

    Costs 5 bytes a record and flow, one for each of its steps, and each failure.
    """

    def __init__(self) -> None:
        self.started = 0.0
        self.lanes: list[Lane] = []
        #: Records under way whose latest attempt failed: the step, and what it failed
        #: of.
        self.retrying: dict[tuple[int, int], tuple[str, Failure | None]] = {}
        #: What failures have in common, by number: the first of each kind speaks for
        #: it.
        self.causes: list[Cause] = []
        self.cause_of: dict[tuple[int, int], int] = {}
        #: How many failures there are of each error at each step.
        self.kinds: Counter[tuple[str, str]] = Counter()
        self._numbers: dict[tuple[int, str, str, str], int] = {}

    def apply(self, entry: Entry) -> None:
        """Take in one more entry."""
        taken = _APPLY.get(type(entry))
        if taken is not None:
            taken(self, entry)

    def worst(self, most: int) -> list[tuple[int, Cause]]:
        """The causes that most records failed of, with their numbers."""
        there = [
            (number, cause) for number, cause in enumerate(self.causes) if cause.records
        ]
        return heapq.nlargest(most, there, key=lambda pair: pair[1].records)

    def _opened(self, entry: Opened) -> None:
        self.started = entry.at
        self._flows = entry.flows
        self.lanes = [Lane() for _ in entry.flows]

    def _item(self, entry: Item) -> None:
        lane, place = self.lanes[entry.flow], (entry.record, entry.flow)
        is_new = lane.reach(entry.record)
        if self.retrying:
            self.retrying.pop(place, None)
        if place in self.cause_of:
            self._count(self.cause_of.pop(place), -1)
        if entry.state not in FINAL:
            if not is_new:
                self._begin_anew(lane, entry.record)
            lane.seconds[entry.record] = entry.at - self.started
            return
        lane.seconds[entry.record] = entry.seconds
        if entry.failure is not None:
            self._failed(entry, entry.failure)
        elif (
            entry.state is State.CACHED
            and not entry.seconds
            and not self._is_map(entry.flow)
        ):
            self._begin_anew(lane, entry.record)
            self._track(lane, WHOLE).put(entry.record, CODES[State.CACHED])

    @staticmethod
    def _begin_anew(lane: Lane, record: int) -> None:
        lane.attempts[record] = 0
        for track in lane.tracks.values():
            if track.code(record) != UNCALLED:
                track.put(record, UNCALLED)

    def _is_map(self, flow: int) -> bool:
        return self._flows[flow] in self.lanes[flow].tracks

    def _failed(self, entry: Item, failed: Failure) -> None:
        flow, step = self._flows[entry.flow], failed.step or ""
        kind = entry.flow, step, failed.error, pattern_of(failed.message)
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.causes)
            self.causes.append(Cause(flow, step, failed.error, failed.message, 0, ""))
        self.cause_of[entry.record, entry.flow] = number
        self._count(number, 1)

    def _count(self, number: int, more: int) -> None:
        cause = self.causes[number]
        self.causes[number] = cause._replace(records=cause.records + more)
        self.kinds[kind_of(cause)] += more

    def _called(self, entry: Called) -> None:
        record, flow, step, state, _, _, attempt, _, failed, _ = entry
        lane = self.lanes[flow]
        attempts = lane.attempts
        if record >= len(attempts):
            lane.reach(record)
        self._track(lane, step).put(record, CODES[state])
        if attempt > attempts[record]:
            attempts[record] = min(attempt, 255)
        if state is State.RETRYING:
            self.retrying[record, flow] = step, failed
        elif self.retrying and self.retrying.get((record, flow), ("",))[0] == step:
            del self.retrying[record, flow]

    @staticmethod
    def _track(lane: Lane, step: str) -> Track:
        track = lane.tracks.get(step)
        if track is None:
            track = lane.tracks[step] = Track()
        return track


_APPLY: dict[type[Any], Callable[[Sheet, Any], None]] = {
    Opened: Sheet._opened,  # noqa: SLF001
    Item: Sheet._item,  # noqa: SLF001
    Called: Sheet._called,  # noqa: SLF001
}
