"""Forecast: what a send or a map would do, from keys and from the ledger's history.

Executes nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow._call import keys, lookup
from nbflow._core.entry import BROKEN, DONE, RunState, fold_blocks
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage
from nbflow._key.explain import listed
from nbflow._run.lane import FlowLane
from nbflow._run.plan import FlowForecast, Plan, StepForecast
from nbflow._run.runs import runs_of, warn_unreadable
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._run.batch import Batch, Row
    from nbflow._run.lane import Lane
    from nbflow._store.checkpoint import Checkpoint

#: Earlier codes of a flow or step whose results are considered.
_CODES = 5
#: Runs of the event that are read for their history.
_RUNS = 5
#: Records that are looked up at once.
_PAGE = 512
#: The shortest time, in seconds, that a run is taken to have lasted, and the smallest
#: number of calls side by side: both are divided by.
_LEAST = 0.001

_PER_RUN = 'it reads a step with ttl="run", whose outputs are good for one run'
_WHY: dict[State, str] = {
    **dict.fromkeys(BROKEN, "failed before"),
    **dict.fromkeys(DONE, "its content changed, or its result is out of date"),
    State.CANCELLED: "cancelled before",
    State.INTERRUPTED: "interrupted before",
}


def forecast(engine: Engine, event: str, lanes: Sequence[Lane], batch: Batch) -> Plan:
    """What a run of these lanes over this batch would do.

    Raises:
        UnkeyableError: a flow reads something that no key can be made of.
    """
    history = list(_history(engine, event))
    forecasters = [_Forecaster(engine, lane, history) for lane in lanes]
    records = rows = 0
    page: list[Row] = []
    for _, times, row in batch.numbered():
        rows += 1
        if times > 1:
            continue
        records += 1
        page.append(row)
        if len(page) == _PAGE:
            for forecaster in forecasters:
                forecaster.take(page)
            page = []
    for forecaster in forecasters:
        forecaster.take(page)
    flows = tuple(forecaster.finish() for forecaster in forecasters)
    past = _past(history)
    return Plan(
        event=event,
        records=records,
        rows=rows,
        flows=flows,
        seconds=_seconds(flows, past),
        cost=_cost(flows, past),
    )


def _history(engine: Engine, event: str) -> Iterator[RunState]:
    """What the latest runs of an event came to, the latest first."""
    runs = runs_of(engine.ledger, event, engine.ledger.runs())
    for run, _ in itertools.islice(runs, _RUNS):
        try:
            yield fold_blocks(engine.ledger.blocks(run))
        except StoreError as error:
            warn_unreadable(run, error)


@dataclass(slots=True)
class _PastCalls:
    """The calls of one step that earlier runs made.

    Attributes:
        calls: how many were executed, not found in the store.
        seconds: they took.
        usage: they had.
    """

    calls: int = 0
    seconds: float = 0.0
    usage: Usage = NOTHING


@dataclass(slots=True)
class _Past:
    """What earlier runs of an event took.

    Attributes:
        steps: their calls, by step.
        busy: seconds of calls in runs that made some.
        wall: seconds that those runs lasted.
    """

    steps: defaultdict[str, _PastCalls] = field(
        default_factory=lambda: defaultdict(_PastCalls)
    )
    busy: float = 0.0
    wall: float = 0.0


def _past(history: Sequence[RunState]) -> _Past:
    past = _Past()
    for state in history:
        worked = 0.0
        for steps in state.steps:
            for step, count in steps.items():
                calls = past.steps[step]
                calls.calls += _ran(count.states)
                calls.seconds += count.seconds
                calls.usage += count.usage
                worked += count.seconds
        if worked:
            past.busy += worked
            past.wall += max(state.seconds, _LEAST)
    return past


def _ran(states: Counter[State]) -> int:
    """How many records or calls were executed to their end, well or not."""
    return sum(states[state] for state in (State.COMPLETED, *BROKEN))


def _seconds(flows: Sequence[FlowForecast], past: _Past) -> float | None:
    """How long these flows would take; ``None`` if nothing is known about some calls.

    Calls times what one took, divided by the number of calls that ran side by side
    when the event was last sent.
    """
    busy = 0.0
    for flow in flows:
        if _is_unknown(flow):
            return None
        for step, expected in flow.steps.items():
            before = past.steps[step]
            if before.calls:
                busy += expected.would_run * (before.seconds / before.calls)
            elif expected.would_run:
                return None
    if past.wall:
        side_by_side = past.busy / past.wall
        return busy / max(side_by_side, _LEAST)
    return None if any(flow.would_run for flow in flows) else 0.0


def _cost(flows: Sequence[FlowForecast], past: _Past) -> float | None:
    """What these flows would cost: calls times what one cost.

    ``None`` if some calls were never made, or have no known price.
    """
    cost = 0.0
    for flow in flows:
        if _is_unknown(flow):
            return None
        for step, expected in flow.steps.items():
            before = past.steps[step]
            used = before.usage
            if expected.would_run and (
                not before.calls or used.unpriced > used.unanswered
            ):
                return None
            # A request without an answer is taken to cost what the others do.
            answered = max(1, used.requests - used.unanswered)
            spent = (used.cost or 0.0) * max(1, used.requests) / answered
            cost += expected.would_run * spent / max(before.calls, 1)
    return cost


def _is_unknown(flow: FlowForecast) -> bool:
    """Whether records would run and no record ever showed which steps that calls."""
    return bool(flow.would_run.total()) and not flow.steps


class _Forecaster:
    """One lane: takes records by the page, and adds up what would happen to them."""

    def __init__(self, engine: Engine, lane: Lane, history: Sequence[RunState]) -> None:
        self._engine = engine
        self._lane = lane
        self._sources = engine.runner.sources
        codes = [version.code for version in self._sources.history(lane.subject)]
        old = [code for code in codes if code != lane.identity.digest]
        #: Earlier codes, the latest first.
        self._old = old[::-1][:_CODES]
        self._steps = {step.name: step for step in lane.identity.steps}
        self._found = FlowForecast(lane.name)
        #: Records that ran with no code that is known.
        self._new = 0
        #: Records that the latest runs knew, and what became of them.
        self._known: dict[str, State] = {}
        #: Calls of each step in the latest runs, and the records that made them.
        self._calls: Counter[str] = Counter()
        self._executed = 0
        for state in reversed(history):
            self._learn(state)

    def _learn(self, state: RunState) -> None:
        """Take in one of the latest runs."""
        if self._lane.name not in state.flows:
            return
        flow = state.flows.index(self._lane.name)
        for record, key in enumerate(state.keys):
            self._known[key] = state.item(record, flow)
        executed = _ran(state.counts[flow])
        if not executed:
            return
        self._executed += executed
        for step, count in state.steps[flow].items():
            # Each retry is another attempt of a call that is counted when it ends.
            self._calls[step] += sum(
                number
                for ended, number in count.states.items()
                if ended is not State.RETRYING
            )

    def take(self, rows: Sequence[Row]) -> None:
        """Look up a page of records."""
        keyed = [(row, self._key(row)) for row in rows]
        wanted = [key for _, key in keyed if key is not None]
        saved = {} if self._lane.identity.per_run else self._heads(wanted)
        left = []
        for row, key in keyed:
            if key is None:
                self._found.refused += 1
            elif key in saved:
                self._found.cached += 1
            else:
                left.append(row)
        self._explain(left)

    def _key(self, row: Row) -> str | None:
        """The record's key; ``None`` if the record would fail."""
        if row.error is not None:
            return None
        try:
            return self._lane.key(row, run=None)
        except Exception:  # the arguments do not fit, or no key can be made of them
            return None

    def _heads(self, wanted: Sequence[str]) -> dict[str, Checkpoint]:
        """The checkpoints under these keys that are there and not out of date."""
        engine = self._engine
        now = engine.clock.time()
        return dict(lookup.fresh_among(engine.store, wanted, self._lane.ttl, now))

    def _explain(self, left: Sequence[Row]) -> None:
        """Count records that would run by why: the code changed, or they did."""
        for code in self._old:
            if not left:
                return
            left = self._with_code(code, left)
        for row in left:
            self._found.would_run[self._why(row)] += 1
        self._new += len(left)

    def _with_code(self, code: bytes, rows: Sequence[Row]) -> Sequence[Row]:
        """Count the records that ran with an earlier code; the others are returned."""
        asked = {self._lane.key(row, None, code): row for row in rows}
        heads = self._heads(list(asked))
        if not heads:
            return rows
        changes = self._sources.changes(self._lane.subject, code, self._lane.identity)
        why = listed(changes) or "what its code reaches changed"
        self._found.would_run[why] += len(heads)
        for head in heads.values():
            self._expect(head)
        done = {id(asked[key]) for key in heads}
        return [row for row in rows if id(row) not in done]

    def _why(self, row: Row) -> str:
        """Why a record would run that no known code is to blame for."""
        if self._lane.identity.per_run:
            return _PER_RUN
        before = self._known.get(row.key)
        return "new" if before is None else _WHY.get(before, "not done before")

    def _expect(self, before: Checkpoint) -> None:
        """Expect the calls that a record made with an earlier code.

        Calls of unchanged steps are saved. After a call of a changed step they may get
        other inputs: they are expected to run, or the plan would say too little.
        """
        if not isinstance(self._lane, FlowLane):
            self._step(self._lane.name).calls += 1
            return
        as_before = True
        for name, key in before.built_on:
            expected = self._step(name)
            expected.calls += 1
            saved = self._is_saved(name, key)
            expected.cached += saved and as_before
            expected.perhaps += saved and not as_before
            as_before = as_before and saved

    def _is_saved(self, name: str, key: str) -> bool:
        """Whether a call is in the store, and its step still has the code that made it."""
        step = self._steps.get(name)
        found = lookup.saved(self._engine.store, key)
        if found is None or step is None:
            return False
        return found.code == keys.identify(step).digest

    def _step(self, name: str) -> StepForecast:
        return self._found.steps.setdefault(name, StepForecast())

    def finish(self) -> FlowForecast:
        """Add the calls of new records: each makes as many as records made so far."""
        if not isinstance(self._lane, FlowLane):
            self._step(self._lane.name).calls += self._new
        elif self._executed:
            for step, calls in self._calls.items():
                self._step(step).calls += self._new * calls / self._executed
        return self._found
