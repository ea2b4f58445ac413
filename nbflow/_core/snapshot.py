"""Snapshot: what a run's entries came to, in few bytes, so that nobody has to read them again.

Facts are plain data: numbers, texts, and lists and dicts of them. Columns are large: a
few bytes for each record. They begin with the bytes that `RunState` and `Sheet` hold.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import Awaits, Coded, Failure, RunState, StepCount
from nbflow._core.lifecycle import SHOWN
from nbflow._core.sheet import FlowColumns, Sheet, Track
from nbflow._core.standing import Standings
from nbflow._core.table import Cause
from nbflow._core.texts import Texts
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    #: What holds a column while a run is under way.
    Column = bytes | bytearray | array[Any]

#: What of a state is a fact as it stands.
_FACTS = (
    "run", "event", "library", "keeps_records", "max_in_flight", "budget", "started",
    "ended", "idle", "state", "total", "stopped", "tallies", "remarks",
)  # fmt: skip
#: Of this form, and of a machine that puts the bytes of a number in this order.
_FORM = f"1 {sys.byteorder}"


class Snapshot(NamedTuple):
    """A state or a sheet, written down."""

    facts: dict[str, Any]
    columns: list[Column]

    @property
    def is_of_this_form(self) -> bool:
        """Whether it can be read here."""
        return self.facts.get("form") == _FORM


def of_state(state: RunState) -> Snapshot:
    """Write down what is known of a run."""
    facts = {name: getattr(state, name) for name in _FACTS}
    facts |= {
        "form": _FORM,
        "flows": list(state.flows),
        "columns": list(state.columns),
        "copies": list(state.copies.items()),
        "steps": [
            {name: _of_step(count) for name, count in steps.items()}
            for steps in state.steps
        ],
        "failures": [
            (*place, *failure, attempts)
            for place, (failure, attempts) in state.failures.items()
        ],
        "waiting": [(*place, why) for place, why in state.waiting.items()],
        "awaited": [tuple(awaits) for awaits in state.awaited.values()],
        "coded": [tuple(coded) for coded in state.coded.values()],
        "usage": tuple(state.usage),
        "saved": tuple(state.saved),
        "rounds": [(at, tuple(usage)) for at, usage in state.rounds],
    }
    columns: list[Column] = [state.keys.raw, state.keys.lengths]
    for flow in range(len(state.flows)):
        columns += (
            state.item_codes[flow],
            state.saved_keys[flow],
            state.cost_columns[flow],
            state.token_columns[flow],
        )
    if state.by_standing is not None:
        columns.append(state.by_standing.ranks)
    return Snapshot(facts, columns)


def state_of(snapshot: Snapshot) -> RunState:
    """The state that was written down; it takes the columns over."""
    facts, state = snapshot.facts, RunState()
    columns = iter(snapshot.columns)
    for name in _FACTS:
        setattr(state, name, facts[name])
    state.flows = tuple(facts["flows"])
    state.columns = tuple(facts["columns"])
    state.copies = dict(facts["copies"])
    state.steps = [
        {name: _step_of(fields) for name, fields in steps.items()}
        for steps in facts["steps"]
    ]
    state.failures = {
        (record, flow): (Failure(*said), attempts)
        for record, flow, *said, attempts in facts["failures"]
    }
    state.waiting = {(record, flow): why for record, flow, why in facts["waiting"]}
    state.awaited = {
        (awaits.record, awaits.flow): awaits
        for awaits in map(_awaits, facts["awaited"])
    }
    for subject, code, at, why, steps, *more in facts["coded"]:
        state.coded[subject] = Coded(subject, code, at, why, tuple(steps), *_said(more))
    state.usage, state.saved = _usage(facts["usage"]), _usage(facts["saved"])
    state.rounds = [(at, _usage(usage)) for at, usage in facts["rounds"]]
    raw = _owned(next(columns))
    state.keys = Texts.joined(raw, _array("I", next(columns)))
    for _ in state.flows:
        state.item_codes.append(_owned(next(columns)))
        state.saved_keys.append(_owned(next(columns)))
        state.cost_columns.append(_array("d", next(columns)))
        state.token_columns.append(_array("q", next(columns)))
    if len(state.flows) > 1:
        state.by_standing = Standings(_owned(next(columns)))
    return state


def _said(more: Sequence[Any]) -> Iterator[Any]:
    """What a categorizer says of its labels; older versions wrote down fewer fields."""
    unknown, *labels = more
    yield unknown
    yield from map(tuple, labels)


def of_sheet(sheet: Sheet) -> Snapshot:
    """Write down the rows of a run."""
    facts = {
        "form": _FORM,
        "started": sheet.started,
        "flows": list(sheet.flows),
        "tracks": [list(columns.tracks) for columns in sheet.columns],
        "causes": [tuple(cause) for cause in sheet.causes],
        "cause_of": [(*place, number) for place, number in sheet.cause_of.items()],
        "resting": list(sheet.resting),
        "retrying": [
            (*place, step, failed and tuple(failed))
            for place, (step, failed) in sheet.retrying.items()
        ],
    }
    columns: list[Column] = []
    for each in sheet.columns:
        columns += (each.attempts, each.seconds)
        columns += (track.codes for track in each.tracks.values())
    return Snapshot(facts, columns)


def sheet_of(snapshot: Snapshot) -> Sheet:
    """The rows that were written down; they take the columns over."""
    facts, columns = snapshot.facts, iter(snapshot.columns)
    sheet = Sheet(facts["started"], facts["flows"])
    for each, names in zip(sheet.columns, facts["tracks"], strict=True):
        _fill(each, names, columns)
    for fields in facts["causes"]:
        sheet.know(Cause(*fields))
    sheet.cause_of = {
        (record, flow): number for record, flow, number in facts["cause_of"]
    }
    sheet.resting = {(record, flow) for record, flow in facts["resting"]}
    sheet.retrying = {
        (record, flow): (step, failed and Failure(*failed))
        for record, flow, step, failed in facts["retrying"]
    }
    return sheet


def _fill(each: FlowColumns, names: list[str], columns: Iterator[Column]) -> None:
    each.attempts = _owned(next(columns))
    each.seconds = _array("f", next(columns))
    for name in names:
        codes = _owned(next(columns))
        tally = [codes.count(code) for code in range(len(SHOWN))]
        each.tracks[name] = Track(codes, tally)


def _owned(column: Column) -> bytearray:
    """The column itself if it may grow: it is read once, and may be large."""
    return column if isinstance(column, bytearray) else bytearray(column)


def _array(kind: str, column: Column) -> array[Any]:
    found: array[Any] = array(kind)
    found.frombytes(memoryview(column))
    return found


def _awaits(fields: list[Any]) -> Awaits:
    return Awaits._make(tuple(one) if isinstance(one, list) else one for one in fields)


def _usage(fields: list[Any]) -> Usage:
    usage = Usage.noted(fields)
    return NOTHING if usage == NOTHING else usage


def _of_step(count: StepCount) -> tuple[Any, ...]:
    return (
        count.tally,
        count.same,
        count.attempts,
        count.seconds,
        count.waited,
        tuple(count.usage),
        tuple(count.saved),
    )


def _step_of(fields: list[Any]) -> StepCount:
    tally, same, attempts, seconds, waited, usage, saved = fields
    return StepCount(
        tally, same, attempts, seconds, waited, _usage(usage), _usage(saved)
    )
