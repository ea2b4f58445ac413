"""Waiting: what the records of a run wait for, which of them can continue, and answers to what they ask."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbflow._call.waits import answer_of, kept_of
from nbflow._core.awaited import clock_time
from nbflow._core.entry import Answered
from nbflow._core.waiting import ANSWERED, Kind
from nbflow._run import results
from nbflow._run.batch import key_text, number_of
from nbflow._run.person import user
from nbflow._store.inbox import Arrival
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow._call.engine import Engine
    from nbflow._core.entry import Awaits, Position, RunState

_COLUMNS = (
    "record", "flow", "wait", "kind", "what", "since", "until", "choices", "show",
)  # fmt: skip


def ready(engine: Engine, state: RunState) -> frozenset[Position]:
    """The records of a run whose wait is over, each in its flow."""
    now, arrivals = engine.clock.time(), engine.runner.arrivals
    awaited = dict(state.awaited)
    asked = {one.key for one in awaited.values() if one.kind == Kind.ANSWER}
    answered = engine.inbox.find(ANSWERED, asked) if asked else {}
    found = set()
    for place, one in awaited.items():
        is_due = one.until is not None and one.until <= now
        if (
            is_due
            or one.key in answered
            or (
                one.kind == Kind.EVENT
                and arrivals.first(
                    one.what, tuple(one.fields), one.match, one.after, one.since
                )
            )
        ):
            found.add(place)
    return frozenset(found)


def frame(engine: Engine, state: RunState) -> Any:
    """What the records of a run wait for, as a frame of the batch's library."""
    awaited = sorted(state.awaited.items())
    found = engine.store.get_many([one.key for _, one in awaited])
    kept = {key: kept_of(data) for key, data in found.items()}
    rows = [
        (
            state.keys[record],
            state.flows[flow],
            one.step,
            one.kind,
            one.what,
            _utc(kept[one.key].began if one.key in kept else one.at),
            None if one.until is None else _utc(one.until),
            list(one.choices) or None,
            kept[one.key].show if one.key in kept else None,
        )
        for (record, flow), one in awaited
    ]
    return results.frame_of(state.library, _COLUMNS, rows)


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def shown_with(engine: Engine, asked: Awaits) -> object:
    """What a person is to see with a question."""
    data = engine.store.get(asked.key)
    return None if data is None else kept_of(data).show


def answer(
    engine: Engine,
    state: RunState,
    record: object,
    choice: str,
    by: str | None,
    flow: str | None,
) -> None:
    """Keep an answer to what a record asks.

    Raises:
        UsageError: it asks nothing, there is no such choice, or it was answered before.
        StoreError: the answer could not be kept.
    """
    asked = _asked(engine, state, key_text(record), flow)
    if choice not in asked.choices:
        choices = ", ".join(map(repr, asked.choices))
        raise UsageError(
            f"{choice!r} is no answer to {asked.what!r}; they are {choices}."
        )
    by = user() if by is None else by
    said = {"choice": choice, "by": by}
    arrival = Arrival(0, ANSWERED, asked.key, engine.clock.time(), by, said)
    if engine.inbox.add([arrival]) == [True]:
        return
    known = engine.inbox.find(ANSWERED, [asked.key])[asked.key]
    chosen, who = answer_of(known)
    raise _answered_before(key_text(record), chosen, who, known.at)


def _answered_before(key: str, choice: str, by: str, at: float) -> UsageError:
    return UsageError(
        f"Record {key!r} was answered {choice!r} by {by} at {clock_time(at, 0)}; the first"
        " answer counts."
    )


def _asked(engine: Engine, state: RunState, key: str, flow: str | None) -> Awaits:
    """The question of a record."""
    record = number_of(key, state)
    if flow is not None and flow not in state.flows:
        flows = ", ".join(map(repr, state.flows))
        raise UsageError(f"Run {state.run} has no flow {flow!r}; it has {flows}.")
    found = {
        state.flows[number]: one
        for (each, number), one in state.awaited.items()
        if each == record and one.kind == Kind.ANSWER
    }
    if flow is not None:
        found = {name: one for name, one in found.items() if name == flow}
    if not found:
        said = [
            one
            for one in engine.ledger.about(state.run, record)
            if isinstance(one, Answered) and flow in (None, state.flows[one.flow])
        ]
        if said:
            raise _answered_before(key, said[-1].choice, said[-1].by, said[-1].at)
        where = f" in flow {flow!r}" if flow is not None else ""
        raise UsageError(
            f"Record {key!r} asks nothing{where} now; run.waiting() has what does."
        )
    if len(found) > 1:
        flows = ", ".join(map(repr, found))
        raise UsageError(
            f"Record {key!r} asks in {len(found)} flows: say flow=, one of {flows}."
        )
    return next(iter(found.values()))
