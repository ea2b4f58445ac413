"""Forecast: what a send or a map would do, from keys and from the ledger's history. Executes nothing."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._call import keys
from nbflow._core.entry import BROKEN, DONE, RunState, fold
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage
from nbflow._key.explain import listed
from nbflow._run import render
from nbflow._run.lane import FlowLane
from nbflow._run.runs import runs_of
from nbflow._store import checkpoint
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._core.entry import StepCount
    from nbflow._run.batch import Batch, Row
    from nbflow._run.lane import Lane
    from nbflow._store.checkpoint import Checkpoint

#: Earlier codes of a flow or step whose results are looked for; runs of the event that
#: are read for their history.
_CODES, _RUNS = 5, 5
_PAGE = 512


@dataclass(slots=True)
class StepForecast:
    """Calls of one step: how many are expected, how many of them are saved, and how many others are if their inputs stay as they were."""

    calls: float = 0.0
    cached: float = 0.0
    perhaps: float = 0.0

    @property
    def would_run(self) -> float:
        """Calls that would be made."""
        return self.calls - self.cached


@dataclass(slots=True)
class FlowForecast:
    """One flow (or mapped step): records by what would happen to them.

    Attributes:
        flow: its name.
        cached: records that are done.
        would_run: records that are not, by why.
        refused: records that no key can be made of: they would fail.
        steps: calls expected of each step.
    """

    flow: str
    cached: int = 0
    would_run: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    steps: dict[str, StepForecast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What sending a batch, or a map, would do now. Shown in a notebook or printed it is a table.

    Attributes:
        event: the event, or the step of a map.
        records: different records in the batch; ``rows``: rows, repeated records
            included.
        flows: for each flow how many records are saved, would run and why, and the
            calls expected of its steps.
        seconds: how long it would take, as runs of this event took before; ``None`` if
            there is no history.
        cost: US dollars, as the calls of earlier runs reported them (``nbflow.usage``);
            ``None``: not known.
    """

    event: str
    records: int
    rows: int
    flows: tuple[FlowForecast, ...]
    seconds: float | None
    cost: float | None = None

    @property
    def cached(self) -> int:
        """Records that are done, over all flows."""
        return sum(flow.cached for flow in self.flows)

    @property
    def would_run(self) -> int:
        """Records that would run, over all flows."""
        return sum(flow.would_run.total() for flow in self.flows)

    @property
    def calls(self) -> dict[str, int]:
        """Calls that would be made, by step, to the nearest whole number."""
        found: Counter[str] = Counter()
        for flow in self.flows:
            found.update(
                {
                    step: round(forecast.would_run)
                    for step, forecast in flow.steps.items()
                }
            )
        return dict(found)

    def to_frame(self) -> Any:
        """The plan as a pandas frame: flow, why, records; one row a flow and reason, ``"cached"`` among them."""
        import pandas as pd

        rows = []
        for flow in self.flows:
            rows.append((flow.flow, "cached", flow.cached))
            rows.extend(
                (flow.flow, why, records)
                for why, records in flow.would_run.most_common()
            )
            if flow.refused:
                rows.append((flow.flow, "no key can be made of it", flow.refused))
        return pd.DataFrame(rows, columns=["flow", "why", "records"])

    def __repr__(self) -> str:
        return render.plan_text(self)

    def _repr_html_(self) -> str:
        return render.plan_html(self)


def forecast(engine: Engine, event: str, lanes: Sequence[Lane], batch: Batch) -> Plan:
    """What a run of these lanes over this batch would do.

    Raises:
        UnkeyableError: a flow reads something that no key can be made of.
    """
    history = [*_history(engine, event)]
    flows = [_Forecaster(engine, lane, history) for lane in lanes]
    records = rows = 0
    page: list[Row] = []
    for _, times, row in batch.numbered():
        rows += 1
        if times > 1:
            continue
        records += 1
        page.append(row)
        if len(page) == _PAGE:
            for flow in flows:
                flow.take(page)
            page = []
    for flow in flows:
        flow.take(page)
    made = tuple(flow.finish() for flow in flows)
    return Plan(
        event, records, rows, made, _seconds(made, history), _cost(made, history)
    )


def _history(engine: Engine, event: str) -> Iterator[RunState]:
    """What the latest runs of an event came to, the latest first."""
    for run, _ in itertools.islice(
        runs_of(engine.ledger, event, engine.ledger.runs()), _RUNS
    ):
        yield fold(engine.ledger.read(run)[0])


def _seconds(
    flows: Sequence[FlowForecast], history: Sequence[RunState]
) -> float | None:
    """Calls by what one took, by how many of them ran side by side when the event was last sent."""
    took: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    busy = wall = 0.0
    for state in history:
        worked = 0.0
        for steps in state.steps:
            for step, count in steps.items():
                took[step][0] += count.seconds
                took[step][1] += _made(count)
                worked += count.seconds
        if worked:
            busy, wall = busy + worked, wall + max(state.seconds, 0.001)
    whole = 0.0
    for flow in flows:
        for step, expected in flow.steps.items():
            seconds, calls = took[step]
            if expected.would_run and not calls:
                return None
            whole += expected.would_run * (seconds / calls if calls else 0.0)
        if flow.would_run.total() and not flow.steps:
            return None
    return (
        whole / max(busy / wall, 0.001)
        if wall
        else (0.0 if not any(flow.would_run for flow in flows) else None)
    )


def _cost(flows: Sequence[FlowForecast], history: Sequence[RunState]) -> float | None:
    """Calls by what one cost in the runs before; `None` where one was never made, or its price is not known."""
    used: defaultdict[str, Usage] = defaultdict(lambda: NOTHING)
    calls: Counter[str] = Counter()
    for state in history:
        for steps in state.steps:
            for step, count in steps.items():
                used[step] += count.usage
                calls[step] += _made(count)
    whole = 0.0
    for flow in flows:
        if flow.would_run.total() and not flow.steps:
            return None
        for step, expected in flow.steps.items():
            if expected.would_run and (not calls[step] or used[step].unpriced):
                return None
            whole += expected.would_run * (used[step].cost or 0.0) / max(calls[step], 1)
    return whole


def _made(count: StepCount) -> int:
    """Calls that were made, and not remembered."""
    return count.states[State.COMPLETED] + sum(count.states[key] for key in BROKEN)


class _Forecaster:
    """One lane: takes records by the page, and adds up what would happen to them."""

    def __init__(self, engine: Engine, lane: Lane, history: Sequence[RunState]) -> None:
        self._engine = engine
        self._lane = lane
        self._sources = engine.runner.sources
        self._old = [
            version.code
            for version in reversed(self._sources.history(lane.subject))
            if version.code != lane.identity.digest
        ][:_CODES]
        self._steps = {step.name: step for step in lane.identity.steps}
        self._found = FlowForecast(lane.name)
        self._new = 0
        #: Records that the latest runs knew, and what became of them.
        self._known: dict[str, State] = {}
        self._per_record: Counter[str] = Counter()
        self._executed = 0
        for state in reversed(history):
            self._learn(state)

    def _learn(self, state: RunState) -> None:
        if self._lane.name not in state.flows:
            return
        flow = state.flows.index(self._lane.name)
        self._known.update(
            (key, state.item(record, flow)) for record, key in enumerate(state.keys)
        )
        ran = state.counts[flow][State.COMPLETED] + sum(
            state.counts[flow][key] for key in BROKEN
        )
        if ran:
            self._executed += ran
            for step, count in state.steps[flow].items():
                self._per_record[step] += sum(
                    number
                    for key, number in count.states.items()
                    if key is not State.RETRYING
                )

    def take(self, rows: Sequence[Row]) -> None:
        """Look up a page of records."""
        keyed = []
        for row in rows:
            try:
                key = self._lane.key(row, None) if row.error is None else None
            except Exception:  # the arguments do not fit, or no key can be made of them: the record would fail
                key = None
            if key is None:
                self._found.refused += 1
            else:
                keyed.append((row, key))
        saved = (
            {}
            if self._lane.identity.per_run
            else self._heads([key for _, key in keyed])
        )
        self._found.cached += sum(key in saved for _, key in keyed)
        self._why([row for row, key in keyed if key not in saved])

    def _heads(self, wanted: Sequence[str]) -> dict[str, Checkpoint]:
        """The checkpoints under these keys that are there and not out of date."""
        now, found = self._engine.clock.time(), {}
        for key, data in self._engine.store.get_many(wanted).items():
            try:
                head = checkpoint.load(data)
            except StoreError:
                continue
            until = head.fresh_until(self._lane.ttl)
            if until is None or until > now:
                found[key] = head
        return found

    def _why(self, rows: Sequence[Row]) -> None:
        left = list(rows)
        for code in self._old:
            if not left:
                return
            asked = {self._lane.key(row, None, code): row for row in left}
            heads = self._heads([*asked])
            if heads:
                why = (
                    listed(
                        self._sources.changes(
                            self._lane.subject, code, self._lane.identity
                        )
                    )
                    or "what its code reaches changed"
                )
                self._found.would_run[why] += len(heads)
                for head in heads.values():
                    self._expect(head)
                done = {id(asked[key]) for key in heads}
                left = [row for row in left if id(row) not in done]
        for row in left:
            before = self._known.get(row.key)
            why = (
                _PER_RUN
                if self._lane.identity.per_run
                else "new"
                if before is None
                else _WHY.get(before, "not done before")
            )
            self._found.would_run[why] += 1
        self._new += len(left)

    def _expect(self, before: Checkpoint) -> None:
        """A record that ran with an earlier code calls what it called then: saved are the calls of unchanged steps.

        Behind a call of a changed step they may get other inputs: they are expected to
        run, or the plan would say too little.
        """
        if not isinstance(self._lane, FlowLane):
            self._step(self._lane.name).calls += 1
            return
        as_before = True
        for name, key in before.built_on:
            expected = self._step(name)
            expected.calls += 1
            data = self._engine.store.get(key)
            step = self._steps.get(name)
            saved = (
                data is not None
                and step is not None
                and checkpoint.load(data).code == keys.identify(step).digest
            )
            expected.cached += saved and as_before
            expected.perhaps += saved and not as_before
            as_before = as_before and saved

    def _step(self, name: str) -> StepForecast:
        return self._found.steps.setdefault(name, StepForecast())

    def finish(self) -> FlowForecast:
        """Add what is known of the calls of new records: as many as records had so far."""
        if not isinstance(self._lane, FlowLane):
            self._step(self._lane.name).calls += self._new
        elif self._executed:
            for step, calls in self._per_record.items():
                self._step(step).calls += self._new * calls / self._executed
        return self._found


_PER_RUN = 'it reads a step with ttl="run", whose outputs are good for one run'
_WHY: dict[State, str] = {
    **dict.fromkeys(BROKEN, "failed before"),
    **dict.fromkeys(DONE, "its content changed, or its result is out of date"),
    State.CANCELLED: "cancelled before",
    State.INTERRUPTED: "interrupted before",
}
