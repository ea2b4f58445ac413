"""Ledger entries, and what they add up to: ``fold(entries) -> RunState``.

An entry is a fact about a run, in the order in which it became known. Times are seconds
since the epoch, durations seconds. Records are known by their number in the batch (from
0), flows by their place in the run's list, so that an entry stays small however long
the names are.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FINAL = frozenset(
    {
        State.COMPLETED,
        State.CACHED,
        State.FAILED,
        State.TIMED_OUT,
        State.CANCELLED,
        State.INTERRUPTED,
    }
)
DONE = frozenset({State.COMPLETED, State.CACHED})
BROKEN = frozenset({State.FAILED, State.TIMED_OUT})

KEY_BYTES = 20


class Opened(NamedTuple):
    """The first entry: what the run is."""

    run: str
    event: str
    flows: tuple[str, ...]
    at: float
    library: str
    keeps_records: bool = True
    total: int | None = None


class Resumed(NamedTuple):
    """The run goes on: after a crash, or to run failures again."""

    at: float


class Coded(NamedTuple):
    """The code of a step, or of a flow (``"flow triage"``), as this run uses it: 20 bytes, and what changed in it."""

    subject: str
    code: bytes
    at: float
    why: str = ""


class Listed(NamedTuple):
    """A record was read from the batch: its number, its key, in how many rows it stands."""

    record: int
    key: str
    rows: int = 1


class Sent(NamedTuple):
    """The batch is read to its end."""

    records: int


class Failure(NamedTuple):
    """Why a call or a record failed. ``traceback`` is text, folded to the user's frames, without any values."""

    step: str | None
    error: str
    message: str
    traceback: str = ""


class Item(NamedTuple):
    """One record reached a state in one flow; ``checkpoint`` is the key of the flow's saved value."""

    record: int
    flow: int
    state: State
    at: float
    seconds: float = 0.0
    checkpoint: str | None = None
    attempts: int = 0
    failure: Failure | None = None


class Called(NamedTuple):
    """One attempt of a step ended, or the call was served from its checkpoint."""

    record: int
    flow: int
    step: str
    state: State
    at: float
    seconds: float
    attempt: int
    checkpoint: str | None = None
    failure: Failure | None = None
    wait: float = 0.0


class Used(NamedTuple):
    """An attempt of a step (of the flow itself: ``""``) reported what it used; or a call was remembered, which saved it."""

    record: int
    flow: int
    step: str
    attempt: int
    at: float
    usage: Usage
    saved: bool = False


class Remark(NamedTuple):
    """Something a person should know: an ``on_failure`` that raised, a value that could not be saved."""

    at: float
    text: str


class Closed(NamedTuple):
    """The run ended; ``state`` as `RunState.verdict` gave it, ``tally``: records by state over all flows.

    ``usage``: what it used up to now, ``saved``: what it would have used without its
    checkpoints, ``stopped``: why a budget let no further call start, ``idle``: seconds
    in which nobody worked on it, between its rounds.
    """

    state: str
    at: float
    records: int
    tally: dict[State, int]
    usage: Usage = NOTHING
    saved: Usage = NOTHING
    stopped: str = ""
    idle: float = 0.0


Entry = (
    Opened | Resumed | Coded | Listed | Sent | Item | Called | Used | Remark | Closed
)


@dataclass(slots=True)
class StepCount:
    """What the calls of one step in one flow came to."""

    states: Counter[State] = field(default_factory=Counter)
    attempts: int = 0
    seconds: float = 0.0
    usage: Usage = NOTHING
    saved: Usage = NOTHING


class RunState:
    """What the entries so far add up to. Feed it with `apply`; everything else is reading.

    Costs some 70 bytes a record and 21 a record and flow, plus each failure, whatever
    the records hold; 16 more a record and flow that reported usage.
    """

    def __init__(self) -> None:
        self.run = ""
        self.event = ""
        self.flows: tuple[str, ...] = ()
        self.library = ""
        self.keeps_records = True
        self.started = self.ended = 0.0
        #: Seconds in which nobody worked on it: between the end of a round and the next
        #: one.
        self.idle = 0.0
        self.state = "RUNNING"
        self.total: int | None = None
        self.keys: list[str] = []
        self.copies: dict[int, int] = {}
        self.counts: list[Counter[State]] = []
        self.steps: list[dict[str, StepCount]] = []
        self.failures: dict[tuple[int, int], tuple[Failure, int]] = {}
        self.remarks: list[str] = []
        self.coded: dict[str, Coded] = {}
        #: What it used, and what it would have used without its checkpoints.
        self.usage = self.saved = NOTHING
        #: When it was begun and gone on with, and what it had used by then.
        self.rounds: list[tuple[float, Usage]] = []
        #: Why it ended before everything was done, if a budget was the reason.
        self.stopped = ""
        self._costs: list[array[float]] = []
        self._tokens: list[array[int]] = []
        self._items: list[bytearray] = []
        self._saved: list[bytearray] = []

    def apply(self, entry: Entry) -> None:
        """Take in one more entry."""
        _APPLY[type(entry)](self, entry)

    def item(self, record: int, flow: int) -> State:
        """The state of one record in one flow."""
        states = self._items[flow]
        if record < len(states):
            return _STATES[states[record]]
        return (
            State.INTERRUPTED if self.state == "INTERRUPTED" else State.QUEUED
        )  # one of the lost

    def records(self, flow: int, states: Iterable[State]) -> list[int]:
        """Numbers of the records that are in one of ``states`` in ``flow``."""
        wanted = {_CODES[state] for state in states}
        row = self._items[flow]
        listed = [number for number, code in enumerate(row) if code in wanted]
        return (
            listed + list(range(len(row), len(self.keys)))
            if _CODES[State.QUEUED] in wanted
            else listed
        )

    def codes(self, flow: int) -> bytes:
        """The states of the records in ``flow``, one byte each: its place in `State`. Those behind the end are queued."""
        return bytes(self._items[flow])

    @property
    def seconds(self) -> float:
        """How long it was worked on."""
        return self.ended - self.started - self.idle

    @property
    def rows(self) -> int:
        """Rows read so far: records, and the further rows in which some of them stand."""
        return len(self.keys) + sum(self.copies.values()) - len(self.copies)

    @property
    def unread(self) -> int:
        """Rows of a batch of known length that nobody has come to read (before `Sent`, ``total`` counts rows)."""
        return max(0, (self.total or 0) - self.rows)

    def checkpoint(self, record: int, flow: int) -> str | None:
        """The key of the saved value of one record in one flow."""
        saved = self._saved[flow][record * KEY_BYTES : (record + 1) * KEY_BYTES]
        return saved.hex() if any(saved) else None

    def used_since(self, at: float) -> Usage:
        """What it used in the rounds that began at this time or later."""
        return next(
            (self.usage - before for begun, before in self.rounds if begun >= at),
            NOTHING,
        )

    def has_used(self, flow: int) -> bool:
        """Did any record report usage in this flow?"""
        return bool(self._tokens[flow])

    def cost(self, record: int, flow: int) -> float:
        """US dollars that one record cost in one flow, all its attempts and rounds; NaN where a price is not known."""
        return _at(self._costs[flow], record)

    def costs(self, flow: int) -> bytes:
        """What the records cost in ``flow``, a double each. Those behind the end cost nothing."""
        return self._costs[flow].tobytes()

    def tokens(self, record: int, flow: int) -> int:
        """Tokens that one record used in one flow."""
        return int(_at(self._tokens[flow], record))

    @property
    def lost(self) -> int:
        """Rows that a killed process had not come to read: interrupted like those under way, and read by a rerun."""
        return self.unread if self.state == "INTERRUPTED" else 0

    def count(self, flow: int) -> Counter[State]:
        """Records by state in ``flow``; none is missing, also where they are `lost`."""
        return self.counts[flow] + Counter({State.INTERRUPTED: self.lost})

    def tally(self) -> Counter[State]:
        """Records by state, over all flows."""
        return sum(map(self.count, range(len(self.flows))), Counter())

    @property
    def verdict(self) -> str:
        """The state of a run that has come to its end: what its records add up to."""
        tally = self.tally()
        broken = tally[State.FAILED] + tally[State.TIMED_OUT]
        if tally[State.INTERRUPTED]:
            return "INTERRUPTED"
        if tally[State.CANCELLED]:
            return "CANCELLED"
        if not broken:
            return "COMPLETED"
        return "PARTIAL" if tally[State.COMPLETED] + tally[State.CACHED] else "FAILED"

    def interrupt(self, at: float) -> list[Item]:
        """The entries that say that nobody works on this run any more: its unfinished records."""
        open_states = [state for state in State if state not in FINAL]
        return [
            Item(record, flow, State.INTERRUPTED, at)
            for flow in range(len(self.flows))
            for record in self.records(flow, open_states)
        ]

    # One method an entry type; `_APPLY` below is the table of them.

    def _opened(self, entry: Opened) -> None:
        self.run, self.event, self.flows, self.library = (
            entry.run,
            entry.event,
            entry.flows,
            entry.library,
        )
        self.keeps_records, self.total = entry.keeps_records, entry.total
        self.started = self.ended = entry.at
        self.rounds = [(entry.at, NOTHING)]
        self.counts = [Counter() for _ in entry.flows]
        self.steps = [{} for _ in entry.flows]
        self._costs = [array("d") for _ in entry.flows]
        self._tokens = [array("q") for _ in entry.flows]
        self._items = [bytearray() for _ in entry.flows]
        self._saved = [bytearray() for _ in entry.flows]

    def _resumed(self, entry: Resumed) -> None:
        self.idle += max(0.0, entry.at - self.ended)
        self.state, self.ended, self.stopped = "RUNNING", entry.at, ""
        self.rounds.append((entry.at, self.usage))

    def _coded(self, entry: Coded) -> None:
        self.coded[entry.subject] = entry

    def _listed(self, entry: Listed) -> None:
        if entry.record == len(self.keys):
            self.keys.append(entry.key)
            for counts in self.counts:
                counts[State.QUEUED] += 1
        if entry.rows > 1:
            self.copies[entry.record] = entry.rows

    def _sent(self, entry: Sent) -> None:
        self.total = entry.records

    def _item(self, entry: Item) -> None:
        row, counts = self._items[entry.flow], self.counts[entry.flow]
        if len(row) <= entry.record:
            row.extend(bytes(entry.record + 1 - len(row)))
        before = _STATES[row[entry.record]]
        row[entry.record] = _CODES[entry.state]
        counts[before] -= 1
        counts[entry.state] += 1
        self.ended = max(self.ended, entry.at)
        if entry.checkpoint is not None:
            saved, place = self._saved[entry.flow], entry.record * KEY_BYTES
            if len(saved) < place:
                saved.extend(bytes(place - len(saved)))
            saved[place : place + KEY_BYTES] = bytes.fromhex(entry.checkpoint)
        if entry.failure is not None:
            self.failures[entry.record, entry.flow] = (entry.failure, entry.attempts)
        elif self.failures:
            self._forgive(entry, before)

    def _forgive(self, entry: Item, before: State) -> None:
        """A record that failed runs again: the call that had failed is not counted twice."""
        failed = self.failures.pop((entry.record, entry.flow), None)
        count = (
            self.steps[entry.flow].get(failed[0].step or "")
            if failed is not None
            else None
        )
        if count is not None and count.states[before]:
            count.states[before] -= 1

    def _called(self, entry: Called) -> None:
        count = self._step(entry.flow, entry.step)
        count.states[entry.state] += 1
        if entry.state is not State.CACHED:
            count.attempts += 1
            count.seconds += entry.seconds
        self.ended = max(self.ended, entry.at)

    def _step(self, flow: int, step: str) -> StepCount:
        count = self.steps[flow].get(step)
        if count is None:
            count = self.steps[flow][step] = StepCount()
        return count

    def _used(self, entry: Used) -> None:
        used = entry.usage
        if entry.saved:
            self.saved += used
        else:
            self.usage += used
            _add(self._tokens[entry.flow], entry.record, used.tokens)
            _add(
                self._costs[entry.flow],
                entry.record,
                math.nan if used.unpriced else used.cost or 0.0,
            )
        if entry.step:  # else it was the flow, by itself or remembered as a whole
            count = self._step(entry.flow, entry.step)
            if entry.saved:
                count.saved += used
            else:
                count.usage += used

    def _remark(self, entry: Remark) -> None:
        self.remarks.append(entry.text)

    def _closed(self, entry: Closed) -> None:
        self.state, self.ended, self.stopped = entry.state, entry.at, entry.stopped


_STATES = tuple(State)
_CODES = {state: code for code, state in enumerate(_STATES)}
_APPLY: dict[type[Any], Callable[[RunState, Any], None]] = {
    Opened: RunState._opened,  # noqa: SLF001
    Resumed: RunState._resumed,  # noqa: SLF001
    Coded: RunState._coded,  # noqa: SLF001
    Listed: RunState._listed,  # noqa: SLF001
    Sent: RunState._sent,  # noqa: SLF001
    Item: RunState._item,  # noqa: SLF001
    Called: RunState._called,  # noqa: SLF001
    Used: RunState._used,  # noqa: SLF001
    Remark: RunState._remark,  # noqa: SLF001
    Closed: RunState._closed,  # noqa: SLF001
}


def _at(row: array[Any], record: int) -> float:
    return float(row[record]) if record < len(row) else 0.0


def _add(row: array[Any], record: int, more: float) -> None:
    if len(row) <= record:
        row.frombytes(bytes(row.itemsize * (record + 1 - len(row))))
    row[record] += more


def fold(entries: Iterable[Entry]) -> RunState:
    """What ``entries`` add up to."""
    state = RunState()
    for entry in entries:
        state.apply(entry)
    return state
