"""Ledger entries, and what they add up to: ``fold(entries) -> RunState``.

An entry is a fact about a run; entries are in the order in which the facts became
known. Times are seconds since the epoch, durations are seconds. A record is identified
by its number in the batch (from 0) and a flow by its position in the run's list, so
that an entry stays small however long the names are.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nbflow._core.lifecycle import CODES, SHOWN, Reuse, Shown, State
from nbflow._core.standing import Standings
from nbflow._core.texts import Texts
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
#: The states of what nobody works on.
RESTING = FINAL | {State.WAITING}
DONE = frozenset({State.COMPLETED, State.CACHED})
#: What is done, as it is shown, and the codes of it.
DONE_SHOWN: frozenset[Shown] = DONE | {Reuse.SAME}
DONE_CODES = sorted(CODES[shown] for shown in DONE_SHOWN)
BROKEN = frozenset({State.FAILED, State.TIMED_OUT})

KEY_BYTES = 20

#: A record, by its number, in a flow, by its position.
Position: TypeAlias = tuple[int, int]
#: What was printed and logged, in order: ``stdout``, ``stderr`` or ``log``, and the text.
Parts: TypeAlias = tuple[tuple[str, str], ...]


class Opened(NamedTuple):
    """The first entry: what the run is."""

    run: str
    event: str
    flows: tuple[str, ...]
    at: float
    library: str
    keeps_records: bool = True
    total: int | None = None
    max_in_flight: int | None = None
    #: The fields of a record that the table shows.
    columns: tuple[str, ...] = ()
    #: US dollars that its calls may cost.
    budget: float | None = None


class Resumed(NamedTuple):
    """The run continues: after a crash, or to run failures again."""

    at: float


class Coded(NamedTuple):
    """The code of a step or flow, as this run uses it.

    ``subject``: the step's name, or ``"flow triage"`` for a flow; ``code``: its digest,
    20 bytes; ``why``: what changed in it; ``steps``: those that a flow reaches;
    ``unknown``: the label of a categorizer for what fits no other; ``labels``: all that
    it lists.
    """

    subject: str
    code: bytes
    at: float
    why: str = ""
    steps: tuple[str, ...] = ()
    unknown: str = ""
    labels: tuple[str, ...] = ()


class Listed(NamedTuple):
    """A record was read from the batch: its number, its key, the number of its rows."""

    record: int
    key: str
    rows: int = 1


class Sent(NamedTuple):
    """The batch has been read to its end."""

    records: int


class Failure(NamedTuple):
    """Why a call or a record failed.

    ``traceback`` is text, reduced to the user's frames, without any values.
    """

    step: str | None
    error: str
    message: str
    traceback: str = ""


class Item(NamedTuple):
    """One record reached a state in one flow.

    ``checkpoint`` is the key of the flow's saved value; ``waited`` the seconds in which
    its calls were in line, which are not among its ``seconds``; ``same``: its value is
    cached, and this very run made it or a part of it, for another record or flow.
    """

    record: int
    flow: int
    state: State
    at: float
    seconds: float = 0.0
    checkpoint: str | None = None
    attempts: int = 0
    failure: Failure | None = None
    waited: float = 0
    same: bool = False


class Called(NamedTuple):
    """One attempt of a step ended, or the call was served from its checkpoint.

    ``wait``: seconds until the next attempt; ``waited``: those that this one spent in
    line, which are not among its ``seconds``; ``same``: the checkpoint is of this run.
    """

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
    waited: float = 0
    same: bool = False


class Printed(NamedTuple):
    """What an attempt printed and logged, where no checkpoint has it.

    It stands right before the `Called` of its attempt. ``step`` is ``""`` for the flow
    itself.
    """

    record: int
    flow: int
    step: str
    attempt: int
    parts: Parts


class Waits(NamedTuple):
    """A call waits for something outside the run, or continues: then ``why`` is empty."""

    record: int
    flow: int
    step: str
    at: float
    why: str


class Awaits(NamedTuple):
    """A record waits in a flow, and nobody works on it meanwhile.

    ``step``: the wait's name in the table; ``key``: what it is saved under; ``kind``:
    ``sleep``, ``event`` or ``answer``; ``what``: the event, or the question; ``until``:
    when its time is up, in seconds since the epoch; ``fields``: those of the event that
    have to match, and ``match`` the digest of their values; ``after``: the place in the
    inbox behind which it may come, and ``since`` the time; ``choices``: the answers there
    are.
    """

    record: int
    flow: int
    step: str
    at: float
    key: str
    kind: str
    what: str = ""
    until: float | None = None
    fields: tuple[str, ...] = ()
    match: str = ""
    after: int = 0
    since: float = 0.0
    choices: tuple[str, ...] = ()


class Answered(NamedTuple):
    """A person answered what a record asked, at this time."""

    record: int
    flow: int
    step: str
    at: float
    choice: str
    by: str


class Used(NamedTuple):
    """An attempt of a step reported usage, or a checkpoint saved that usage.

    ``step`` is ``""`` for the flow itself; ``model`` the one that was asked, if its
    price is not known.
    """

    record: int
    flow: int
    step: str
    attempt: int
    at: float
    usage: Usage
    saved: bool = False
    model: str = ""


class Remark(NamedTuple):
    """Something a person should know.

    For example an ``on_failure`` that raised, or a value that could not be saved.
    """

    at: float
    text: str


class Closed(NamedTuple):
    """The run ended.

    ``state``: as `RunState.verdict` gave it; ``tally``: records by state, over all
    flows; ``usage``: what the run has used so far; ``saved``: what it would have used
    without its checkpoints; ``stopped``: why a budget let no further call start;
    ``idle``: seconds between its rounds, in which nobody worked on it; ``standing``:
    records by how they stand, empty in an old ledger.
    """

    state: str
    at: float
    records: int
    tally: dict[State, int]
    usage: Usage = NOTHING
    saved: Usage = NOTHING
    stopped: str = ""
    idle: float = 0.0
    standing: dict[Shown, int] = {}  # noqa: RUF012  # nobody changes an entry


Entry: TypeAlias = (
    Opened
    | Resumed
    | Coded
    | Listed
    | Sent
    | Item
    | Called
    | Printed
    | Waits
    | Awaits
    | Answered
    | Used
    | Remark
    | Closed
)


@dataclass(slots=True)
class StepCount:
    """What the calls of one step in one flow add up to; ``same``: those cached ones whose value this run made."""

    tally: list[int] = field(default_factory=lambda: [0] * len(SHOWN))
    same: int = 0
    attempts: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    usage: Usage = NOTHING
    saved: Usage = NOTHING

    @property
    def states(self) -> Counter[State]:
        """Calls by state; an attempt that is followed by another counts as one."""
        return _by_state(self.tally)


def _by_state(tally: Sequence[int]) -> Counter[State]:
    """Numbers by state, without the states that have none."""
    numbers = zip(_STATES, tally, strict=True)
    found: Counter[State] = Counter()
    for state, number in numbers:
        if number > 0:
            found[state] += number
    return found


#: Which method of the state takes in an entry, by its type. The class fills it; a
#: global is found faster than an attribute.
_TAKE: dict[type, Callable[..., None]] = {}


class RunState:
    """What the entries so far add up to. Feed it with `apply`; the rest only reads.

    Takes the bytes of each key and nine more, and 21 bytes for each flow of a record,
    plus each failure, whatever the records hold; 16 bytes more for each flow of a record
    that reported usage.
    """

    def __init__(self) -> None:
        self.run = ""
        self.event = ""
        self.flows: tuple[str, ...] = ()
        self.library = ""
        self.keeps_records = True
        #: The number of records under way at once, if the sender set one.
        self.max_in_flight: int | None = None
        #: US dollars that its calls may cost, if the sender set a budget.
        self.budget: float | None = None
        #: The fields of a record that the table shows; without any, its first text.
        self.columns: tuple[str, ...] = ()
        self.started = self.ended = 0.0
        #: Seconds in which nobody worked on it, between the end of a round and the
        #: start of the next.
        self.idle = 0.0
        self.state = "RUNNING"
        self.total: int | None = None
        self.keys = Texts()
        self.copies: dict[int, int] = {}
        #: Records of each flow by the code of their state; those that are queued are
        #: what is left.
        self.tallies: list[list[int]] = []
        self.steps: list[dict[str, StepCount]] = []
        #: Why a record failed in a flow, and after how many attempts.
        self.failures: dict[Position, tuple[Failure, int]] = {}
        #: Records under way that are in line for something outside the run, and why.
        self.waiting: dict[Position, str] = {}
        #: Records that nobody works on until something has happened.
        self.awaited: dict[Position, Awaits] = {}
        self.remarks: list[str] = []
        self.coded: dict[str, Coded] = {}
        #: What it used, and what it would have used without its checkpoints.
        self.usage = self.saved = NOTHING
        #: When each round began, and what the run had used by then.
        self.rounds: list[tuple[float, Usage]] = []
        #: Why it ended before everything was done, if a budget was the reason.
        self.stopped = ""
        self.cost_columns: list[array[float]] = []
        self.token_columns: list[array[int]] = []
        self.item_codes: list[bytearray] = []
        self.saved_keys: list[bytearray] = []
        #: How records stand where that takes more than the counts of one flow.
        self.by_standing: Standings | None = None

    def apply(self, entry: Entry) -> None:
        """Take in one more entry."""
        _TAKE[type(entry)](self, entry)

    def apply_all(self, entries: Iterable[Entry]) -> None:
        """Take in some more entries."""
        for entry in entries:
            _TAKE[type(entry)](self, entry)

    def item(self, record: int, flow: int) -> State:
        """The state of one record in one flow."""
        states = self.item_codes[flow]
        if record < len(states):
            return _STATES[states[record]]
        if self.state == "INTERRUPTED":
            return State.INTERRUPTED  # one of the lost
        return State.QUEUED

    def shown_item(self, record: int, flow: int) -> Shown:
        """The state of one record in one flow as it is shown."""
        states = self.item_codes[flow]
        if record < len(states):
            return SHOWN[states[record]]
        return self.item(record, flow)

    def standings(self) -> bytes:
        """How each record stands: a code each, as `codes` has them."""
        return self.codes(0) if self.by_standing is None else self.by_standing.codes

    def stands(self, record: int) -> Shown:
        """How a record stands, as in `standing`."""
        if self.by_standing is None:
            return self.shown_item(record, 0)
        return self.by_standing.of(record)

    def records(self, flow: int, states: Iterable[State]) -> list[int]:
        """The numbers of the records that are in one of ``states`` in ``flow``."""
        wanted = {CODES[state] for state in states}
        if CODES[State.CACHED] in wanted:
            wanted.add(_SAME)
        row = self.item_codes[flow]
        found = [number for number, code in enumerate(row) if code in wanted]
        if CODES[State.QUEUED] in wanted:
            found += range(len(row), len(self.keys))
        return found

    def codes(self, flow: int) -> bytes:
        """The states of the records in ``flow``, one byte each: its place in `SHOWN`.

        Records beyond the end are queued.
        """
        return bytes(self.item_codes[flow])

    def steps_reached(self, flow: int) -> tuple[str, ...]:
        """The steps that the code of a flow reaches, called or not."""
        coded = self.coded.get(f"flow {self.flows[flow]}")
        return () if coded is None else coded.steps

    @property
    def seconds(self) -> float:
        """The number of seconds for which the run was worked on."""
        return self.ended - self.started - self.idle

    @property
    def rows(self) -> int:
        """Rows read so far: one for each record, and its copies."""
        further = sum(self.copies.values()) - len(self.copies)
        return len(self.keys) + further

    @property
    def unread(self) -> int:
        """Rows of a batch of known length that have not been read.

        Before `Sent`, ``total`` counts rows; after it, records.
        """
        return max(0, (self.total or 0) - self.rows)

    def checkpoint(self, record: int, flow: int) -> str | None:
        """The key of the saved value of one record in one flow."""
        place = record * KEY_BYTES
        saved = self.saved_keys[flow][place : place + KEY_BYTES]
        return saved.hex() if any(saved) else None

    def used_since(self, at: float) -> Usage:
        """What the run used in the rounds that began at this time or later."""
        for begun, before in self.rounds:
            if begun >= at:
                return self.usage - before
        return NOTHING

    def has_used(self, flow: int) -> bool:
        """Whether any record reported usage in ``flow``."""
        return bool(self.token_columns[flow])

    def cost(self, record: int, flow: int) -> float:
        """The US dollars that one record cost in one flow, over all attempts and rounds.

        NaN if a price is unknown.
        """
        row = self.cost_columns[flow]
        return row[record] if record < len(row) else 0.0

    def costs(self, flow: int) -> bytes:
        """What the records cost in ``flow``, a double each.

        Records beyond the end cost nothing.
        """
        return self.cost_columns[flow].tobytes()

    def tokens(self, record: int, flow: int) -> int:
        """The tokens that one record used in one flow."""
        row = self.token_columns[flow]
        return row[record] if record < len(row) else 0

    @property
    def lost(self) -> int:
        """Rows that a process had not yet read when it was killed.

        They count as interrupted, like the records under way; a rerun reads them.
        """
        return self.unread if self.state == "INTERRUPTED" else 0

    @property
    def counts(self) -> list[Counter[State]]:
        """Records by state in each flow, as far as they were read."""
        return [self._count(flow) for flow in range(len(self.flows))]

    def count(self, flow: int) -> Counter[State]:
        """Records by state in ``flow``, the `lost` ones included."""
        return self._count(flow, self.lost)

    def _count(self, flow: int, lost: int = 0) -> Counter[State]:
        tally = list(self.tallies[flow])
        tally[_QUEUED] += len(self.keys)
        tally[CODES[State.INTERRUPTED]] += lost
        return _by_state(tally)

    def shown(self, flow: int) -> Counter[Shown]:
        """`count`, with cached records apart whose value this run made."""
        counts: Counter[Shown] = Counter(self.count(flow))
        return with_same(counts, self.tallies[flow][_SAME])

    def tally(self) -> Counter[State]:
        """Records by state, over all flows."""
        tally: Counter[State] = Counter()
        for flow in range(len(self.flows)):
            tally += self.count(flow)
        return tally

    @property
    def total_records(self) -> int:
        """The number of its records, of an iterator those that were read so far."""
        return len(self.keys) + self.unread

    def standing(self) -> Counter[Shown]:
        """Records by how they stand, each once: as the flow of it that matters most.

        The `lost` ones are included.
        """
        if self.by_standing is None:
            return self.shown(0) if self.flows else Counter()
        return self.by_standing.counts + Counter({State.INTERRUPTED: self.lost})

    @property
    def is_cut_short(self) -> bool:
        """Whether it is the run of an iterator that was not read to its end, so far.

        Nobody knows how many records the iterator had left.
        """
        return self.total is None

    @property
    def verdict(self) -> str:
        """The state of a run that has ended: what its records add up to.

        A run that was cut short is never completed, whatever became of its records.
        """
        tally = self.tally()
        broken = tally[State.FAILED] + tally[State.TIMED_OUT]
        if tally[State.INTERRUPTED]:
            return "INTERRUPTED"
        if tally[State.CANCELLED]:
            return "CANCELLED"
        if self.is_cut_short:
            return "INTERRUPTED"
        if not broken:
            return "WAITING" if tally[State.WAITING] else "COMPLETED"
        if tally[State.COMPLETED] + tally[State.CACHED] + tally[State.WAITING]:
            return "PARTIAL"
        return "FAILED"

    def interrupt(self, at: float) -> list[Item]:
        """The entries that mark the unfinished records as interrupted.

        For a run that nobody works on any more. What waits for something keeps
        waiting.
        """
        unfinished = [state for state in State if state not in RESTING]
        entries: list[Item] = []
        for flow in range(len(self.flows)):
            records = self.records(flow, unfinished)
            entries += [Item(each, flow, State.INTERRUPTED, at) for each in records]
        return entries

    def closed(self) -> Closed:
        """The entry that says how it came out, for a run that ended without a word."""
        return Closed(
            self.state,
            self.ended,
            self.total_records,
            dict(self.tally()),
            self.usage,
            self.saved,
            idle=self.idle,
            standing=dict(self.standing()),
        )

    # One method for each type of entry.

    def _opened(self, entry: Opened) -> None:
        self.run = entry.run
        self.event = entry.event
        self.flows = entry.flows
        self.library = entry.library
        self.keeps_records = entry.keeps_records
        self.max_in_flight = entry.max_in_flight
        self.budget = entry.budget
        self.columns = tuple(entry.columns)
        self.total = entry.total
        self.started = self.ended = entry.at
        self.rounds = [(entry.at, NOTHING)]
        self.tallies = [[0] * len(SHOWN) for _ in entry.flows]
        self.steps = [{} for _ in entry.flows]
        self.cost_columns = [array("d") for _ in entry.flows]
        self.token_columns = [array("q") for _ in entry.flows]
        self.item_codes = [bytearray() for _ in entry.flows]
        self.saved_keys = [bytearray() for _ in entry.flows]
        if len(entry.flows) > 1:
            self.by_standing = Standings()

    def _resumed(self, entry: Resumed) -> None:
        self.idle += max(0.0, entry.at - self.ended)
        self.state = "RUNNING"
        self.ended = entry.at
        self.stopped = ""
        self.rounds.append((entry.at, self.usage))

    def _coded(self, entry: Coded) -> None:
        self.coded[entry.subject] = entry

    def _listed(self, entry: Listed) -> None:
        if entry.record == len(self.keys):
            self.keys.append(entry.key)
            if self.by_standing is not None:
                self.by_standing.add()
        if entry.rows > 1:
            self.copies[entry.record] = entry.rows

    def _sent(self, entry: Sent) -> None:
        self.total = entry.records

    def _item(self, entry: Item) -> None:
        record, flow, state, at, _, checkpoint, attempts, failure, _, same = entry
        row, tally, left = self.item_codes[flow], self.tallies[flow], _QUEUED
        code = _SAME if same else CODES[state]
        if record < len(row):
            left = row[record]
        else:
            row.extend(bytes(record + 1 - len(row)))
        row[record] = code
        tally[left] -= 1
        tally[code] += 1
        if self.by_standing is not None:
            self.by_standing.move(record, left, code, self.item_codes)
        if at > self.ended:  # noqa: PLR1730  # faster than max()
            self.ended = at
        if self.waiting or self.awaited:
            self._stir(entry)
        if checkpoint is not None:
            saved, place = self.saved_keys[flow], record * KEY_BYTES
            if len(saved) < place:
                saved.extend(bytes(place - len(saved)))
            saved[place : place + KEY_BYTES] = bytes.fromhex(checkpoint)
        if failure is not None:
            self.failures[record, flow] = (failure, attempts)
        elif self.failures:
            self._forgive(entry, left)

    def _stir(self, entry: Item) -> None:
        """Take back what a record waited for."""
        place = entry.record, entry.flow
        self.waiting.pop(place, None)
        if entry.state is not State.WAITING:
            self.awaited.pop(place, None)

    def _forgive(self, entry: Item, left: int) -> None:
        """Take back a failed call of a record that runs again, or it would count twice."""
        failed = self.failures.pop((entry.record, entry.flow), None)
        if failed is None:
            return
        failure, _ = failed
        count = self.steps[entry.flow].get(failure.step or "")
        if count is not None and count.tally[left]:
            count.tally[left] -= 1

    def _called(self, entry: Called) -> None:
        _, flow, step, state, at, seconds, _, _, _, _, waited, same = entry
        count = self.steps[flow].get(step) or self._step(flow, step)
        count.tally[CODES[state]] += 1
        if state is not State.CACHED:
            count.attempts += 1
            count.seconds += seconds
            count.waited += waited
        elif same:
            count.same += 1
        if at > self.ended:  # noqa: PLR1730  # faster than max()
            self.ended = at

    def _printed(self, entry: Printed) -> None:
        """It changes nothing that is counted: who opens the record reads it."""

    def _waits(self, entry: Waits) -> None:
        if entry.why:
            self.waiting[entry.record, entry.flow] = entry.why
        else:
            self.waiting.pop((entry.record, entry.flow), None)
        self.ended = max(self.ended, entry.at)

    def _awaits(self, entry: Awaits) -> None:
        self.awaited[entry.record, entry.flow] = entry
        self.ended = max(self.ended, entry.at)

    def _answered(self, entry: Answered) -> None:
        """It changes nothing that is counted: who opens the record reads it."""

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
            self._spend(entry)
        if entry.step:  # else it was the flow itself, or all of it came from the store
            count = self._step(entry.flow, entry.step)
            if entry.saved:
                count.saved += used
            else:
                count.usage += used

    def _spend(self, entry: Used) -> None:
        record, used = entry.record, entry.usage
        tokens = self.token_columns[entry.flow]
        costs = self.cost_columns[entry.flow]
        if len(tokens) <= record:
            missing = bytes(_NUMBER_BYTES * (record + 1 - len(tokens)))
            tokens.frombytes(missing)
            costs.frombytes(missing)
        tokens[record] += used.tokens
        costs[record] += math.nan if used.unpriced else used.cost or 0.0

    def _remark(self, entry: Remark) -> None:
        self.remarks.append(entry.text)

    def _closed(self, entry: Closed) -> None:
        self.state = entry.state
        self.ended = entry.at
        self.stopped = entry.stopped
        self.waiting.clear()

    _TAKE[Opened] = _opened
    _TAKE[Resumed] = _resumed
    _TAKE[Coded] = _coded
    _TAKE[Listed] = _listed
    _TAKE[Sent] = _sent
    _TAKE[Item] = _item
    _TAKE[Called] = _called
    _TAKE[Printed] = _printed
    _TAKE[Waits] = _waits
    _TAKE[Awaits] = _awaits
    _TAKE[Answered] = _answered
    _TAKE[Used] = _used
    _TAKE[Remark] = _remark
    _TAKE[Closed] = _closed


_SAME, _QUEUED = CODES[Reuse.SAME], CODES[State.QUEUED]
#: The state of a record by its code.
_STATES: tuple[State, ...] = (*State, State.CACHED)
#: What a number in an array of tokens ("q") or of costs ("d") takes.
_NUMBER_BYTES = 8


def with_same(counts: Counter[Shown], same: int) -> Counter[Shown]:
    """Counts by state, with ``same`` of the cached ones apart."""
    if same:
        counts[State.CACHED] -= same
        counts[Reuse.SAME] = same
    return counts


def fold(entries: Iterable[Entry]) -> RunState:
    """What ``entries`` add up to."""
    state = RunState()
    state.apply_all(entries)
    return state
