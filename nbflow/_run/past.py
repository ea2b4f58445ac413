"""Past: what earlier runs tell of a batch: what became of its records, what calls took and cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import (
    BROKEN,
    DONE,
    FINAL,
    Called,
    Coded,
    Item,
    Listed,
    Opened,
    Resumed,
    Used,
)
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._core.entry import Entry

    #: US dollars of one request to a model; ``None``: the price is not known.
    Cost = Callable[[str, Usage], float | None]
    #: The models that steps say they call, by the step's name.
    Models = dict[str, str]

#: Calls and records that are enough to know how long one takes.
_ENOUGH = 10
#: Records at the beginning of a run whose calls are looked at.
SAMPLES = 24
_EXECUTED = frozenset({State.COMPLETED, *BROKEN})


@dataclass(slots=True)
class StepPast:
    """The executed calls of one step.

    Attributes:
        calls: how many there were, and ``attempts`` of them.
        seconds: that they took.
        usage: that they had.
    """

    calls: int = 0
    attempts: int = 0
    seconds: float = 0.0
    usage: Usage = NOTHING

    def add(self, other: StepPast) -> None:
        """Count the calls of another run as well."""
        self.calls += other.calls
        self.attempts += other.attempts
        self.seconds += other.seconds
        self.usage += other.usage


@dataclass(slots=True)
class LanePast:
    """The records that ran to their end in a flow, or a mapped step.

    Attributes:
        records: how many there were.
        calls: of theirs, by step, those that were found in the store among them.
        done: the records of them that ended well.
        busy: seconds that these took, and ``called`` those of their calls.
        failing: seconds that the others took.
    """

    records: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    done: int = 0
    busy: float = 0.0
    called: float = 0.0
    failing: float = 0.0

    def add(self, other: LanePast) -> None:
        """Count the records of another run as well."""
        self.records += other.records
        self.calls += other.calls
        self.done += other.done
        self.busy += other.busy
        self.called += other.called
        self.failing += other.failing


class Spread(NamedTuple):
    """How the different calls of a step spread over the records of a run.

    Attributes:
        code: of the step.
        records: how many there were.
        times: the number of calls that so many records made.
    """

    code: bytes
    records: int
    times: Counter[int]


class Known(NamedTuple):
    """What became of a record in a flow.

    Attributes:
        state: its state.
        seconds: it took.
        calls: (step, key) of the calls that it made, in order, if it did not end well;
            the key is ``None`` where the call did not.
    """

    state: State
    seconds: float = 0.0
    calls: tuple[tuple[str, str | None], ...] = ()


#: Of records that are done nothing more is to be known.
_DONE = {state: Known(state) for state in DONE}


class PastRun:
    """One earlier run."""

    def __init__(self, cost: Cost, models: Models) -> None:
        self.id = ""
        self.flows: tuple[str, ...] = ()
        self.keys: list[str] = []
        self.codes: dict[str, bytes] = {}
        self.steps: defaultdict[str, StepPast] = defaultdict(StepPast)
        self.lanes: list[LanePast] = []
        self.known: list[dict[int, Known]] = []
        #: The checkpoints of the first records, of those that are done, by (record, flow).
        self.samples: dict[tuple[int, int], str] = {}
        self.max_in_flight: int | None = None
        self._cost = cost
        self._models = models
        #: Seconds for which it worked on records.
        self.wall = 0.0
        self._since: float | None = None
        self._open: dict[tuple[int, int], list[tuple[str, str | None]]] = {}
        self._called: defaultdict[tuple[int, int], float] = defaultdict(float)
        #: For each call of a step how many records made it.
        self._met: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._records: set[int] = set()
        #: The calls of records that are not through all flows, and how many flows they are through.
        self._under_way: dict[int, tuple[set[tuple[str, str]], int]] = {}
        self._take: dict[type, Callable[..., None]] = {
            Opened: self._opened,
            Resumed: self._resumed,
            Coded: self._coded,
            Listed: self._listed,
            Item: self._item,
            Called: self._call,
            Used: self._used,
        }

    def take(self, entries: Iterable[Entry]) -> None:
        """Take in some more of its entries."""
        for entry in entries:
            take = self._take.get(type(entry))
            if take is not None:
                take(entry)

    def spreads(self) -> dict[str, Spread]:
        """How the calls of each step spread over the records."""
        for record in list(self._under_way):
            self._through(record)
        return {
            step: Spread(
                self.codes.get(step, b""),
                len(self._records),
                Counter(met.values()),
            )
            for step, met in self._met.items()
        }

    def _opened(self, entry: Opened) -> None:
        self.id, self.flows = entry.run, entry.flows
        self.max_in_flight = entry.max_in_flight
        self.lanes = [LanePast() for _ in entry.flows]
        self.known = [{} for _ in entry.flows]

    def _resumed(self, _: Resumed) -> None:
        self._since = None  # nobody worked on it meanwhile

    def _coded(self, entry: Coded) -> None:
        self.codes[entry.subject] = entry.code

    def _listed(self, entry: Listed) -> None:
        if entry.record == len(self.keys):
            self.keys.append(entry.key)

    def _item(self, entry: Item) -> None:
        place = entry.record, entry.flow
        if self._since is not None:
            self.wall += max(0.0, entry.at - self._since)
        self._since = max(self._since or 0.0, entry.at)
        if entry.state not in FINAL:
            calls = self._open.pop(place, [])
            if entry.state is State.WAITING:
                waits = Known(entry.state, entry.seconds, tuple(calls))
                self.known[entry.flow][entry.record] = waits
            return
        calls, called = self._open.pop(place, []), self._called.pop(place, 0.0)
        known = _DONE.get(entry.state)
        if known is None:
            known = Known(entry.state, entry.seconds, tuple(calls))
        elif entry.checkpoint is not None and entry.record < SAMPLES:
            self.samples[place] = entry.checkpoint
        self.known[entry.flow][entry.record] = known
        self._count(self.lanes[entry.flow], entry, calls, called)
        self._meet(place, calls)

    @staticmethod
    def _count(
        lane: LanePast,
        entry: Item,
        calls: list[tuple[str, str | None]],
        called: float,
    ) -> None:
        """Count a record; one that was remembered as a whole tells nothing."""
        if entry.state in BROKEN:
            lane.failing += entry.seconds
        elif entry.state is State.COMPLETED or (calls and entry.state in DONE):
            lane.done += 1
            lane.busy += entry.seconds
            lane.called += called
        else:
            return
        lane.records += 1
        lane.calls.update(step for step, _ in calls)

    def _meet(
        self, place: tuple[int, int], calls: list[tuple[str, str | None]]
    ) -> None:
        """Count calls by the records that make them, each once, however many flows do."""
        record, _ = place
        met, flows = self._under_way.get(record, (set(), 0))
        # One that failed was like no other.
        met.update((step, key or f"{place}") for step, key in calls)
        self._under_way[record] = met, flows + 1
        if flows + 1 == len(self.flows):
            self._through(record)

    def _through(self, record: int) -> None:
        met, _ = self._under_way.pop(record)
        if met:
            self._records.add(record)
        for step, key in met:
            self._met[step][key] += 1

    def _call(self, entry: Called) -> None:
        place, state = (entry.record, entry.flow), entry.state
        if state is not State.CACHED:
            step = self.steps[entry.step]
            step.calls += state in _EXECUTED
            step.attempts += 1
            step.seconds += entry.seconds
            self._called[place] += entry.seconds
        # Each retry is another attempt of a call that is counted when it ends.
        if state in DONE or state in BROKEN:
            self._open.setdefault(place, []).append((entry.step, entry.checkpoint))

    def _used(self, entry: Used) -> None:
        if entry.step and not entry.saved:
            self.steps[entry.step].usage += self._priced(entry)

    def _priced(self, entry: Used) -> Usage:
        """What an attempt used, by a price that was given since."""
        used = entry.usage
        model = entry.model or self._models.get(entry.step, "")
        if used.unpriced <= used.unanswered or not model or not used.tokens:
            return used
        cost = self._cost(model, used)
        if cost is None:
            return used
        return used._replace(cost=cost, unpriced=used.unanswered)


class Past:
    """What earlier runs tell, the latest first."""

    def __init__(self) -> None:
        self.steps: defaultdict[str, StepPast] = defaultdict(StepPast)
        self.lanes: defaultdict[str, LanePast] = defaultdict(LanePast)
        #: What became of each record, by the flow's name and the record's key.
        self.known: defaultdict[str, dict[str, Known]] = defaultdict(dict)
        self.spreads: dict[str, Spread] = {}
        #: The codes of each flow that ran.
        self.codes: defaultdict[str, set[bytes]] = defaultdict(set)
        #: The latest code of each step.
        self.latest: dict[str, bytes] = {}
        #: The run that tells most of how many records go side by side.
        self.pace: PastRun | None = None
        #: The latest runs that have samples, by flow.
        self.samples: dict[str, PastRun] = {}

    def add(self, run: PastRun) -> None:
        """Take in a run of the event, earlier than those before."""
        self.add_steps(run)
        for step, spread in run.spreads().items():
            before = self.spreads.get(step)
            if before is None or spread.records > before.records:
                self.spreads[step] = spread
        for number, flow in enumerate(run.flows):
            self._add_lane(flow, run, number)
        self.latest = run.codes | self.latest
        if self.pace is None or _executed(run) > 2 * _executed(self.pace):
            self.pace = run

    def add_steps(self, run: PastRun) -> None:
        """Take in what calls took in a run of any event."""
        for step, past in run.steps.items():
            if self.steps[step].calls < _ENOUGH:
                self.steps[step].add(past)

    def _add_lane(self, flow: str, run: PastRun, number: int) -> None:
        if self.lanes[flow].records < _ENOUGH:
            self.lanes[flow].add(run.lanes[number])
        self.codes[flow] |= {
            code
            for subject in (flow, f"flow {flow}")
            if (code := run.codes.get(subject)) is not None
        }
        if any(place[1] == number for place in run.samples):
            self.samples.setdefault(flow, run)
        known, of_run = self.known[flow], run.known[number]
        for record, key in enumerate(run.keys):
            found = of_run.get(record)
            if key not in known:
                known[key] = found if found is not None else Known(State.QUEUED)


def _executed(run: PastRun) -> int:
    return sum(lane.records for lane in run.lanes)
