"""Pace: how long work takes, from how many records went side by side before and from what limits steps have."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._core.policy import Policy, Throttle
    from nbflow._run.past import PastRun, StepPast

#: Records of an async flow, and threads of a sync one, that go side by side at most.
TASKS, THREADS = 1024, 32
#: Seconds that a run takes beside its work, and further ones for each record and call.
_BEGIN, _EACH = 0.02, 0.0001
#: As many records side by side as this share of the most: they wait for something, and
#: more of them go as well. With fewer they compete, and more do not help.
_WAIT = 0.5


class Span(NamedTuple):
    """A figure that is not sure: what it is at least, probably and at most."""

    least: float
    likely: float
    most: float

    def __add__(self, other: object) -> Span:
        if not isinstance(other, Span):
            return NotImplemented
        return Span(*map(sum, zip(self, other, strict=True)))

    def less(self, number: float) -> Span:
        """Without so much of it."""
        return Span(*(max(0.0, figure - number) for figure in self))

    def times(self, factor: float) -> Span:
        """As many times as much."""
        return Span(*(factor * figure for figure in self))


NONE = Span(0.0, 0.0, 0.0)


class Lot(NamedTuple):
    """What a run has to do.

    Attributes:
        records: that are to run, by flow, each with whether it is async.
        calls: that are to be made, by step.
        seconds: that calls and records take, one after the other.
        longest: seconds that one record takes which is tried again and again.
    """

    records: tuple[tuple[int, bool], ...]
    calls: Mapping[str, Span]
    seconds: Span
    longest: float = 0.0

    def places(self, most: int | None) -> int:
        """The number of records that can go side by side."""
        return sum(
            min(records, most or (TASKS if is_async else THREADS))
            for records, is_async in self.records
        )


def wall(
    lot: Lot,
    run: PastRun | None,
    steps: Mapping[str, StepPast],
    policies: Mapping[str, Policy],
    is_async: Mapping[str, bool],
) -> Span | None:
    """Seconds from the beginning of a run to its end; ``None`` if no run tells.

    Args:
        lot: what it has to do.
        run: the earlier one that tells most.
        steps: what calls took.
        policies: of the steps.
        is_async: which flows are.
    """
    places = lot.places(run.max_in_flight if run is not None else None)
    if not places:
        return NONE
    if run is None or not any(lane.records for lane in run.lanes):
        return None
    least, most = _side_by_side(run, places, steps, policies, is_async)
    likely = most if most >= _WAIT * places else least
    seconds = lot.seconds
    count = sum(records for records, _ in lot.records)
    beside = _BEGIN + _EACH * (
        count + sum(calls.likely for calls in lot.calls.values())
    )
    by_work = Span(
        seconds.least / most,
        max(seconds.likely / likely, lot.longest),
        max(seconds.most / least, lot.longest),
    )
    limits = _limits(lot.calls, steps, policies)
    both = (max(pair) + beside for pair in zip(by_work, limits, strict=True))
    return Span(*both)


def _side_by_side(
    run: PastRun,
    places: int,
    steps: Mapping[str, StepPast],
    policies: Mapping[str, Policy],
    is_async: Mapping[str, bool],
) -> tuple[float, float]:
    """How many records go side by side at least and at most."""
    records = tuple(
        (lane.records, is_async.get(flow, False))
        for flow, lane in zip(run.flows, run.lanes, strict=True)
    )
    calls = {name: exactly(step.calls) for name, step in run.steps.items()}
    before = Lot(records, calls, NONE)
    had = max(1, before.places(run.max_in_flight))
    busy = sum(lane.busy + lane.failing for lane in run.lanes)
    beside = _BEGIN + _EACH * (
        sum(number for number, _ in records)
        + sum(step.calls for step in run.steps.values())
    )
    worked = max(run.wall - beside, busy / had, 1e-9)
    were = max(1.0, min(busy / worked, had))
    if _limits(calls, steps, policies).likely > run.wall / 2:
        return float(places), float(places)  # limits of steps held it up, nothing else
    most = were / had * places if were >= _WAIT * had else were
    return min(were, places), min(max(were, most), places)


def exactly(number: float) -> Span:
    """A figure that is sure."""
    return Span(number, number, number)


def _limits(
    calls: Mapping[str, Span],
    steps: Mapping[str, StepPast],
    policies: Mapping[str, Policy],
) -> Span:
    """Seconds that throttles and limits of concurrency make a run last."""
    longest = [NONE]
    starts: defaultdict[Throttle, Span] = defaultdict(lambda: NONE)
    for name, number in calls.items():
        policy, past = policies.get(name), steps.get(name)
        if policy is None or past is None or not past.calls:
            continue
        if policy.concurrency is not None:
            each = past.seconds / past.calls
            longest.append(number.times(each / policy.concurrency))
        if policy.throttle is not None:
            starts[policy.throttle] += number.times(past.attempts / past.calls)
    longest += [_throttled(throttle, number) for throttle, number in starts.items()]
    return _longest(longest)


def _throttled(throttle: Throttle, starts: Span) -> Span:
    """The first ``starts`` of a throttle begin at once, as many more after each period."""
    return Span(
        *(
            max(0.0, number - 1) // throttle.starts * throttle.period
            for number in starts
        )
    )


def _longest(spans: Iterable[Span]) -> Span:
    return Span(*map(max, zip(*spans, strict=True)))
