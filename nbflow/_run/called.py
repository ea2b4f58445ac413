"""Called: which steps the flows of a run call, also where a record was remembered as a whole and called none."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call import keys, lookup
from nbflow._core.step import closest
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._core.entry import RunState
    from nbflow._run.lane import Lane
    from nbflow._store.store import Store

#: Records whose saved outcomes are asked for the steps that they were built on.
_LOOKED_AT = 100


class Start(NamedTuple):
    """Where a rerun begins: the flows that call the step, and the steps that call it inside."""

    flows: list[int]
    around: frozenset[str]


def start_at(
    step: str,
    state: RunState,
    lanes: Sequence[Lane],
    records: Iterable[int],
    store: Store,
) -> Start:
    """Find out where to begin in order to run ``step`` again.

    Raises:
        UsageError: no flow calls such a step.
    """
    called = [{*state.steps[flow], *_in_code(lane)} for flow, lane in enumerate(lanes)]
    if not any(step in names for names in called):  # a call that the code does not show
        called = [
            names | _built_on(store, state, flow, records)
            for flow, names in enumerate(called)
        ]
    flows = [flow for flow, names in enumerate(called) if step in names]
    if not flows:
        raise _no_such_step(step, state, set().union(*called))
    return Start(flows, frozenset(_around(step, lanes)))


def _in_code(lane: Lane) -> set[str]:
    own = {lane.name} if lane.on_map else set()
    return own | {step.name for step in lane.identity.steps}


def _around(name: str, lanes: Sequence[Lane]) -> Iterator[str]:
    for step in {step for lane in lanes for step in lane.identity.steps}:
        if any(inner.name == name for inner in keys.identify(step).steps):
            yield step.name


def _built_on(
    store: Store, state: RunState, flow: int, records: Iterable[int]
) -> set[str]:
    saved = (state.checkpoint(record, flow) for record in records)
    asked = list(islice(filter(None, saved), _LOOKED_AT))
    found = lookup.among(store, asked)
    return {step for _, head in found for step, _ in head.built_on}


def _no_such_step(step: str, state: RunState, called: set[str]) -> UsageError:
    close = closest(step, called)
    hint = f" Did you mean {close!r}?" if close else ""
    names = ", ".join(sorted(called)) or "none"
    return UsageError(
        f"from_step={step!r}: no such step in run {state.run}; its flows call {names}.{hint}"
    )
