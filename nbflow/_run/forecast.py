"""Forecast: what a send or a map would do, from keys and from the ledger's history.

Executes nothing.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call import lookup
from nbflow._core import distinct
from nbflow._core.entry import BROKEN, DONE
from nbflow._core.lifecycle import State
from nbflow._core.step import name_of
from nbflow._key.explain import listed
from nbflow._run import pace
from nbflow._run.arguments import Arguments
from nbflow._run.expected_calls import ExpectedCalls, steps_of
from nbflow._run.kept_batch import first_rows
from nbflow._run.lane import FlowLane
from nbflow._run.pace import Lot, Span
from nbflow._run.past import SAMPLES
from nbflow._run.past_runs import PastRuns
from nbflow._run.plan import FlowForecast, Plan, StepForecast
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._call.engine import Engine
    from nbflow._run.batch import Batch, Row
    from nbflow._run.lane import Lane
    from nbflow._run.past import Cost, Known, Past, StepPast

#: Earlier codes of a flow or step whose results are considered.
_CODES = 5
#: Runs that are read for their history, and the bytes after which no further one is.
_RUNS, _BYTES = 5, 60_000_000
#: Records that are looked up at once.
_PAGE = 512

#: Seconds of looking up that are not worth a word.
_SHORT = 1.0

_PER_RUN = 'it reads a step with ttl="run", whose outputs are good for one run'
_WHY: dict[State, str] = {
    **dict.fromkeys(BROKEN, "failed before"),
    **dict.fromkeys(DONE, "its content changed, or its result is out of date"),
    State.CANCELLED: "cancelled before",
    State.INTERRUPTED: "interrupted before",
    State.WAITING: "they wait in an earlier run",
}


def forecast(
    engine: Engine, event: str, lanes: Sequence[Lane], batch: Batch, cost: Cost
) -> Plan:
    """What a run of these lanes over this batch would do.

    Args:
        engine: on the store that it would use.
        event: the event, or the mapped step.
        lanes: the flows.
        batch: the records.
        cost: what a request to a model costs now.

    Raises:
        UnkeyableError: a flow reads something that no key can be made of.
    """
    history = PastRuns(engine, event, lanes, cost)
    calls = ExpectedCalls(engine, lanes)
    forecasters = [_Forecaster(engine, lane, history, calls) for lane in lanes]
    records = rows = cached = to_run = 0
    numbered = batch.numbered()
    while page := list(itertools.islice(numbered, _PAGE)):
        rows += len(page)
        fresh = [row for _, times, row in page if times == 1]
        records += len(fresh)
        found = [forecaster.take(fresh) for forecaster in forecasters]
        cached += len(set.intersection(*(one.cached for one in found)))
        to_run += len(set.union(*(one.to_run for one in found)))
    flows = tuple(forecaster.finish() for forecaster in forecasters)
    seconds, dollars = _seconds(forecasters, history), _cost(flows, history)
    return Plan(
        event=event,
        records=records,
        rows=rows,
        flows=flows,
        seconds=seconds.likely if seconds is not None else None,
        cost=dollars.likely if dollars is not None else None,
        seconds_range=(seconds.least, seconds.most) if seconds is not None else None,
        cost_range=(dollars.least, dollars.most) if dollars is not None else None,
        records_cached=cached,
        records_to_run=to_run,
    )


def _seconds(forecasters: Sequence[_Forecaster], history: PastRuns) -> Span | None:
    """How long these flows would take; ``None`` if nothing is known about some calls."""
    looked_up = sum(forecaster.looked_up for forecaster in forecasters)
    if not any(forecaster.to_run for forecaster in forecasters):
        # So little that nobody waits for it is none.
        return pace.exactly(looked_up) if looked_up > _SHORT else pace.NONE
    past, busy = history.past, pace.NONE
    numbers: dict[str, Span] = {}
    for forecaster in forecasters:
        seconds = forecaster.seconds(past)
        if seconds is None:
            return None
        busy += seconds
        for name, expected in forecaster.found.steps.items():
            numbers[name] = numbers.get(name, pace.NONE) + expected.span
    lot = Lot(
        tuple((forecaster.to_run, forecaster.is_async) for forecaster in forecasters),
        numbers,
        busy,
        max(forecaster.longest for forecaster in forecasters),
    )
    steps = {name: step for each in forecasters for name, step in each.steps.items()}
    policies = {name: step.policy for name, step in steps.items()}
    is_async = {
        forecaster.found.flow: forecaster.is_async for forecaster in forecasters
    }
    span = pace.wall(lot, past.pace, past.steps, policies, is_async)
    return None if span is None else span + pace.exactly(looked_up)


def _cost(flows: Sequence[FlowForecast], history: PastRuns) -> Span | None:
    """What these flows would cost: calls times what one cost.

    ``None`` if some calls were never made, or have no known price.
    """
    cost = pace.NONE
    for flow in flows:
        if flow.unknown is not None and flow.would_run:
            return None
        for step, expected in flow.steps.items():
            if not expected.span.most:
                continue
            each = _price(history.past.steps[step])
            if each is None:
                return None
            cost += expected.span.times(each)
    return cost


def _price(past: StepPast) -> float | None:
    """US dollars of one call; ``None`` if it is not known."""
    used = past.usage
    if not past.calls or used.unpriced > used.unanswered:
        return None
    # A request without an answer is taken to cost what the others do.
    answered = max(1, used.requests - used.unanswered)
    spent = (used.cost or 0.0) * max(1, used.requests) / answered
    return spent / past.calls


class _Page(NamedTuple):
    """The keys of some records by what would happen to them in one flow."""

    cached: set[str]
    to_run: set[str]


class _Forecaster:
    """One lane: takes records by the page, and adds up what would happen to them."""

    def __init__(
        self, engine: Engine, lane: Lane, history: PastRuns, calls: ExpectedCalls
    ) -> None:
        self._engine = engine
        self._lane = lane
        self._history = history
        self._calls = calls
        self._sources = engine.runner.sources
        codes = [version.code for version in self._sources.history(lane.subject)]
        old = [code for code in codes if code != lane.identity.digest]
        #: Earlier codes, the latest first.
        self._old = old[::-1][:_CODES]
        self.steps = {step.name: step for step in steps_of(lane)}
        self.found = FlowForecast(lane.name)
        self.is_async = lane.is_async
        #: Seconds that looking records up took: a send does that as well.
        self.looked_up = 0.0
        #: Keys of the outcomes that were asked for.
        self._asked: set[str] = set()
        #: Records that ran with no code that is known, or did not come to their end.
        self._new = 0
        #: Records that made calls with an earlier code, and those calls by step.
        self._as_before = 0
        self._calls_before: Counter[str] = Counter()
        #: Records that failed and would do the same again, their seconds, and the calls
        #: that failed.
        self._again_records, self._again_seconds = 0, 0.0
        self._again: Counter[str] = Counter()
        #: Seconds of the record that took longest to fail.
        self.longest = 0.0
        #: Calls of new records by step, where their keys are known.
        self._exact: Counter[str] = Counter()

    def take(self, rows: Sequence[Row]) -> _Page:
        """Look up a page of records."""
        begun = time.perf_counter()
        keyed = [(row, self._key(row)) for row in rows]
        wanted = [key for _, key in keyed if key is not None]
        saved = {} if self._lane.identity.per_run else self._fresh(wanted)
        self.looked_up += time.perf_counter() - begun
        left, page = [], _Page(set(), set())
        for row, key in keyed:
            if key is None:
                self.found.refused += 1
            elif key in saved:
                self.found.cached += 1
                page.cached.add(row.key)
            elif key in self._asked:
                self.found.same += 1
            else:
                self._asked.add(key)
                left.append(row)
                page.to_run.add(row.key)
        self._explain(left)
        return page

    def _key(self, row: Row) -> str | None:
        """The record's key; ``None`` if the record would fail."""
        if row.error is not None:
            return None
        try:
            return self._lane.key(row, run=None)
        except Exception:  # the arguments do not fit, or no key can be made of them
            return None

    def _fresh(self, wanted: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        """Which of these outcomes are saved and not out of date, and the calls that they are built on."""
        store, now = self._engine.store, self._engine.clock.time()
        fresh = lookup.fresh_among(store, wanted, self._lane.ttl, now)
        return {key: found.built_on for key, found in fresh}

    def _explain(self, left: Sequence[Row]) -> None:
        """Count records that would run by why: the code changed, or they did."""
        for code in self._old:
            if not left:
                return
            left = self._with_code(code, left)
        if not left:
            return
        known = self._history.past.known[self._lane.name]
        before = [(row, known.get(row.key)) for row in left]
        for _, record in before:
            self.found.would_run[self._why(record)] += 1
        self._unfinished([record for _, record in before if record and record.calls])
        self._first_time(
            [row for row, record in before if not (record and record.calls)]
        )

    def _with_code(self, code: bytes, rows: Sequence[Row]) -> Sequence[Row]:
        """Count the records that ran with an earlier code; the others are returned."""
        asked = {self._lane.key(row, None, code): row for row in rows}
        heads = self._fresh(list(asked))
        if not heads:
            return rows
        changes = self._sources.changes(self._lane.subject, code, self._lane.identity)
        why = listed(changes) or "what its code reaches changed"
        self.found.would_run[why] += len(heads)
        self._as_before += len(heads)
        self._calls.read(key for calls in heads.values() for _, key in calls)
        for key, calls in heads.items():
            self._expect(
                calls if isinstance(self._lane, FlowLane) else [(self._lane.name, key)]
            )
        done = {id(asked[key]) for key in heads}
        return [row for row in rows if id(row) not in done]

    def _why(self, before: Known | None) -> str:
        """Why a record would run that no known code is to blame for."""
        if self._lane.identity.per_run:
            return _PER_RUN
        return "new" if before is None else _WHY.get(before.state, "not done before")

    def _expect(
        self, calls: Iterable[tuple[str, str]], *, as_before: bool = True
    ) -> bool:
        """Expect the calls that a record made with an earlier code.

        Calls of unchanged steps are saved. After a call of a changed step they may get
        other inputs: they are expected to run, or the plan would say too little.

        Returns:
            Whether all of them give what they gave before.
        """
        for name, key in calls:
            if name not in self.steps:
                continue  # its code does not call it any more
            expected = self._step(name)
            expected.calls += 1
            self._calls_before[name] += 1
            is_saved = self._calls.seen.get(key)
            if is_saved is not None:
                expected.cached += 1
                as_before = as_before and is_saved
                continue
            head = self._calls.head(key)
            is_saved = self._calls.is_current(name, head)
            self._calls.seen[key] = is_saved
            expected.cached += is_saved and as_before
            expected.perhaps += is_saved and not as_before
            if not is_saved and head is not None:
                self._expect(head.built_on, as_before=as_before)
            as_before = as_before and is_saved
        return as_before

    def _unfinished(self, records: Sequence[Known]) -> None:
        """Expect what records did that failed or were stopped, and that they come further."""
        self._calls.read(
            key for record in records for _, key in record.calls if key is not None
        )
        rates = self._rates()
        for record in records:
            made = [(name, key) for name, key in record.calls if key is not None]
            broken = [
                name for name, key in record.calls if key is None and name in self.steps
            ]
            as_before = self._expect(made)
            for name in broken:
                self._step(name).calls += 1
            if as_before and not self._is_edited(broken):
                self._again.update(broken)
                self._again_records += 1
                self._again_seconds += record.seconds
                self.longest = max(self.longest, record.seconds)
            called = {name for name, _ in record.calls}
            for name, rate in rates.items():
                if name not in called:
                    further = self._step(name)
                    further.calls += rate
                    # It may fail again, and go no further.
                    further.perhaps += rate * (bool(broken) or not as_before)

    def _is_edited(self, names: Iterable[str]) -> bool:
        """Whether any of these steps has another code than in the latest run."""
        latest, identities = self._history.past.latest, self._calls.identities
        return any(latest.get(name) != identities[name].digest for name in names)

    def _first_time(self, rows: Sequence[Row]) -> None:
        """Expect the calls of records of which nothing is known."""
        self._new += len(rows)
        if not isinstance(self._lane, FlowLane):
            self._step(self._lane.name).calls += len(rows)
            return
        if not rows:
            return
        for name in self._arguments.names:
            step, identity = self.steps[name], self._calls.identities[name]
            found = [self._arguments.key(step, identity, row) for row in rows]
            self._calls.read(key for key in found if key is not None)
            for key in found:
                self._expect_exactly(name, key)
            self._exact[name] += len(found)

    def _expect_exactly(self, name: str, key: str | None) -> None:
        """Expect a call whose key is known, or at least that there is one."""
        expected, calls = self._step(name), self._calls
        expected.calls += 1
        if key is None:
            return
        if key in calls.seen:
            expected.cached += 1
            return
        calls.seen[key] = calls.is_current(name, calls.head(key))
        expected.cached += calls.seen[key]

    @cached_property
    def _arguments(self) -> Arguments:
        """What steps are called with, learnt from done records of an earlier run."""
        arguments = Arguments()
        run = self._history.past.samples.get(self._lane.name)
        if run is None:
            return arguments
        flow, store = run.flows.index(self._lane.name), self._engine.store
        numbers = {key: number for number, key in enumerate(run.keys[:SAMPLES])}
        try:
            rows = first_rows(self._engine.ledger, run.id, SAMPLES)
        except (UsageError, StoreError):  # they were not kept
            return arguments
        for row in rows:
            key = run.samples.get((numbers.pop(row.key, -1), flow))
            found = lookup.saved(store, key) if key is not None else None
            if found is None:
                continue
            calls = dict(lookup.among(store, [key for _, key in found.built_on]))
            if len(calls) == len(found.built_on):
                made = [(head.name, head.inputs) for head in calls.values()]
                arguments.learn(row, made, self.steps)
        return arguments

    def _rates(self) -> dict[str, float]:
        """Calls of each step that a record makes."""
        past = self._history.past.lanes[self._lane.name]
        records, calls = past.records, past.calls
        if not records:
            records, calls = self._as_before, self._calls_before
        return {
            name: number / records
            for name, number in calls.items()
            if records and name in self.steps
        }

    def _step(self, name: str) -> StepForecast:
        return self.found.steps.setdefault(name, StepForecast())

    def finish(self) -> FlowForecast:
        """Add the calls of new records: each makes as many as records made so far."""
        if self._new:
            for name, rate in self._rates().items():
                if not self._exact[name] and name != self._own:
                    self._estimate(name, rate)
        if self.to_run:
            self.found.unknown = self._unknown()
        return self.found

    @property
    def _own(self) -> str:
        """The step of a map."""
        return "" if isinstance(self._lane, FlowLane) else self._lane.name

    def _estimate(self, name: str, rate: float) -> None:
        """Expect calls of new records: as many as there are different ones among them."""
        calls, new = rate * self._new, self._new
        different = Span(calls, calls, calls)
        spread = self._history.past.spreads.get(name)
        if spread is not None and spread.records:
            is_same = spread.code == self._calls.identities[name].digest
            base = spread.records if is_same else self._as_before
            found = distinct.further(spread.times, spread.records, base, new)
            different = Span(*(min(calls, number) for number in found))
            different = self._with_fresh(different, calls, is_same=is_same)
        own = self._calls.take(name, calls, different.likely)
        share = own / different.likely if different.likely else 1.0
        expected = self._step(name)
        expected.calls += calls
        expected.cached += calls - own
        expected.perhaps += share * (different.likely - different.least)
        expected.further += share * (different.most - different.likely)

    def _with_fresh(self, different: Span, calls: float, *, is_same: bool) -> Span:
        """Widen an estimate by what is known: a step gets what others returned.

        If they get much that is new, so may it; if nothing, it may get nothing new.
        """
        known = [self.found.steps[name] for name in self._exact if self._exact[name]]
        if not known:
            return different
        fresh = max(expected.calls - expected.cached for expected in known)
        if not fresh and is_same:
            return different._replace(least=0.0)
        return different._replace(most=max(different.most, min(calls, fresh)))

    def _unknown(self) -> tuple[str, ...] | None:
        """The steps of which nobody knows how often they would be called; ``None``: of all one does."""
        past, lane = self._history.past, self._lane
        if lane.on_map:
            return None
        called = {*past.lanes[lane.name].calls, *self._calls_before}
        ran = past.lanes[lane.name].records + self._as_before
        if not ran:
            return tuple(self.steps)
        if lane.identity.digest in past.codes[lane.name]:
            return None
        old = {
            part.name
            for code in self._old[:1]
            for part in self._sources.parts(lane.subject, code)
        }
        new = [
            name
            for name, step in self.steps.items()
            if name not in called and name_of(step.__wrapped__) not in old
        ]
        return tuple(new) if new else None

    @property
    def to_run(self) -> int:
        """Records that would run."""
        return self.found.would_run.total()

    def seconds(self, past: Past) -> Span | None:
        """What its records and calls take, one after the other; ``None`` if that is not known."""
        if self.found.unknown is not None:
            return None
        lane = past.lanes[self._lane.name]
        busy = pace.NONE
        for name, expected in self.found.steps.items():
            step = past.steps[name]
            if not expected.span.most:
                continue
            if not step.calls:
                return None
            again = self._again[name]
            busy += expected.span.less(again).times(step.seconds / step.calls)
        if lane.done:
            # Calls side by side, or inside others, take less than one after the other.
            share = min(1.0, lane.busy / lane.called) if lane.called else 1.0
            own = max(0.0, lane.busy - lane.called) / lane.done
            rest = own * (self.to_run - self._again_records)
            busy = busy.times(share) + Span(rest, rest, rest)
        return busy + Span(0.0, self._again_seconds, self._again_seconds)
