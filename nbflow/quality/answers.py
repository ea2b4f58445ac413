"""Answers: the labels that a run, a frame or a column holds, one for each record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import DONE, Used
from nbflow._core.fields import fields_of
from nbflow._core.label import text_of
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage
from nbflow._run.batch import Batch, columns_of
from nbflow._run.run import Run
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow._core.decision import Decision
    from nbflow._core.entry import RunState
    from nbflow._run.batch import Key, Row

    Columns = dict[str, list[object]]

#: What the field of a label is called, where a value has several.
LABEL = "label"
#: Fields that are kept beside the label.
_BESIDE = ("confidence", "reason")


class Spent(NamedTuple):
    """What the answers of a run took.

    Attributes:
        seconds: of the calls that this run made.
        usage: what all its answers used when they were made; those that were remembered
            cost nothing again.
        cached: records whose answer was remembered.
    """

    seconds: float
    usage: Usage
    cached: int


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """Labels by record. ``None`` is no answer: the record failed, or says nothing.

    Attributes:
        name: what the labels are called in a table.
        flow: the flow that gave them; empty for a frame's.
        field: the field of the flow's value.
        keys: of the records.
        labels: as texts, one a record.
        missing: why a record has no answer, by its number.
        rows: the records; none where a run did not keep them.
        places: for each row of the source the number of its record.
        named: whether the keys identify records, not only places.
        beside: further fields of the answers, such as ``confidence`` and ``reason``.
        decided: what people said about the records, by number.
        spent: what it took.
        run: the run that they come from.
    """

    name: str
    flow: str
    field: str
    keys: list[str]
    labels: list[str | None]
    missing: dict[int, str]
    rows: list[Row] | None
    places: list[int]
    named: bool
    beside: Columns = dataclasses.field(default_factory=dict)
    decided: dict[int, Decision] = dataclasses.field(default_factory=dict)
    spent: Spent | None = None
    run: Run | None = None

    def column(self, name: str) -> list[object]:
        """A column of the records.

        Raises:
            UsageError: there is none.
        """
        if self.rows is None:
            raise UsageError(
                f"truth={name!r}: the records of this run were not kept; give the true "
                f"labels themselves, truth=frame[{name!r}] or {{key: label}}."
            )
        records = [row.record for row in self.rows]
        mappings = [record for record in records if isinstance(record, Mapping)]
        known = dict.fromkeys(str(part) for record in mappings for part in record)
        if name not in known:
            raise UsageError(
                f"truth={name!r} is not a column of the records; they have "
                f"{', '.join(map(repr, known)) or 'none'}."
            )
        return [
            record.get(name) if isinstance(record, Mapping) else None
            for record in records
        ]


def answers_of(source: object, column: str | None = None, key: Key = None) -> Answers:
    """The labels in a run, a frame or a column.

    Args:
        source: what holds them.
        column: of a run a column of its results (``"triage.label"``), found by itself
            where there is only one; of a frame the column.
        key: what identifies the rows of a frame.
    """
    if isinstance(source, Run):
        return _of_run(source, column)
    batch = Batch(source, key) if _has_columns(source) else Batch(source, values=True)
    numbered = list(batch.numbered())
    rows = [row for _, times, row in numbered if times == 1]
    values = [row.record for row in rows]
    if not batch.values:
        column = _checked(column, _names(batch))
        values = [row.record.get(column) for row in rows]
    labels = [text_of(value) for value in values]
    unlabelled = [number for number, label in enumerate(labels) if label is None]
    return Answers(
        name=column or str(getattr(source, "name", None) or "labels"),
        flow="",
        field="",
        keys=[row.key for row in rows],
        labels=labels,
        missing=dict.fromkeys(unlabelled, "no label"),
        rows=rows,
        places=[number for number, _, _ in numbered],
        named=bool(batch.key or batch.labels),
        beside=_beside_column(batch, rows, column),
    )


def _has_columns(source: object) -> bool:
    if isinstance(source, Sequence) and not isinstance(source, str):
        return bool(source) and isinstance(source[0], Mapping)
    return hasattr(source, "columns") or hasattr(source, "schema")


def _names(batch: Batch) -> list[object]:
    """The columns of a frame, or of a list of records."""
    if batch.is_frame:
        return columns_of(batch.source, batch.library)
    return list(dict.fromkeys(name for record in batch.source for name in record))


def _checked(column: str | None, names: list[object]) -> str:
    """The column of a frame, if it names one that is there."""
    has = ", ".join(map(repr, names))
    if column is None:
        raise UsageError(
            "A frame has several columns: say which one holds the labels, column=... "
            f"It has {has}."
        )
    if column not in names:
        raise UsageError(
            f"column={column!r} is not a column of the frame; it has {has}."
        )
    return column


def _beside_column(batch: Batch, rows: list[Row], column: str | None) -> Columns:
    """``triage.confidence`` and ``triage.reason`` beside ``triage.label``."""
    if column is None or not column.endswith(f".{LABEL}"):
        return {}
    stem = column.removesuffix(LABEL)
    names = [str(name) for name in _names(batch)]
    wanted = {f"{stem}{field}" for field in _BESIDE}
    return {
        name.removeprefix(stem): [row.record.get(name) for row in rows]
        for name in names
        if name in wanted
    }


def _of_run(run: Run, column: str | None) -> Answers:
    state = run.reader.state()
    everything = list(range(len(state.keys)))
    flow, field_, values = _chosen(run, state, column, everything)
    labels, beside = _labels(values, field_)
    batch, places = run.reader.rows(state)
    rows = None
    if batch is not None:
        rows = [row for _, times, row in batch.numbered() if times == 1]
    missing: dict[int, str] = {}
    for number, label in enumerate(labels):
        if label is None:
            ended = state.item(number, flow)
            missing[number] = "no label" if ended in DONE else str(ended)
    about = run.reader.decided(state, batch)
    name = state.flows[flow]
    return Answers(
        name=f"{name}.{field_}" if field_ else name,
        flow=name,
        field=field_,
        keys=list(state.keys),
        labels=labels,
        missing=missing,
        rows=rows,
        places=places,
        named=bool(batch is None or batch.key or batch.labels),
        beside=beside,
        decided={
            record: decision
            for (record, at), decision in about.items()
            if at == flow and decision.field == field_
        },
        spent=_spent(run, state, flow),
        run=run,
    )


class _Column(NamedTuple):
    """A column of a run that may hold labels: flow, field, the flow's values."""

    flow: int
    field: str
    values: list[object]


def _chosen(
    run: Run,
    state: RunState,
    column: str | None,
    records: list[int],
) -> _Column:
    """What ``column`` names; without one the only column that holds labels.

    Raises:
        UsageError: there is no such column, or several may hold labels.
    """
    fitting: list[_Column] = []
    offered: list[str] = []
    for flow, name in enumerate(state.flows):
        if column is not None and column != name and not column.startswith(f"{name}."):
            continue
        values = run.reader.values(state, flow, records)
        first = next((value for value in values if value is not None), None)
        fields = fields_of(first)
        if fields is None:
            offered.append(name)
        else:
            offered += [f"{name}.{part}" for part in fields]
        wanted = (column or "").removeprefix(name).removeprefix(".")
        field = _field(wanted, first)
        if field is not None:
            fitting.append(_Column(flow, field, values))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        said = "has several columns that may hold labels"
    elif column:
        said = "has no such column"
    else:
        said = "has no column that holds labels"
    example = offered[0] if offered else state.flows[0]
    there_are = f" There are {', '.join(map(repr, offered))}." if offered else ""
    raise UsageError(f"Run {run.id} {said}: say which, column={example!r}.{there_are}")


def _field(wanted: str, value: object) -> str | None:
    """The field of a value that holds the label: the ``wanted`` one, if it names one.

    Returns:
        Empty if the value itself is the label; ``None`` if the value has no such field.
    """
    if value is None:
        # No record has a value yet: whatever is wanted may be there.
        return wanted or LABEL
    fields = fields_of(value)
    if fields is None:
        return None if wanted else ""
    field = wanted or LABEL
    return field if field in fields else None


def _labels(values: list[object], name: str) -> tuple[list[str | None], Columns]:
    """The labels in a field of values, and what the values say beside them."""
    if not name:
        return [text_of(value) for value in values], {}
    parts = [fields_of(value) or {} for value in values]
    beside: Columns = {}
    for field in _BESIDE:
        said = [part.get(field) for part in parts]
        if any(one is not None for one in said):
            beside[field] = said
    return [text_of(part.get(name)) for part in parts], beside


def _spent(run: Run, state: RunState, flow: int) -> Spent:
    usage = NOTHING
    # The state adds up what flows that were remembered as a whole saved, but not for
    # each of them.
    if state.usage.requests or state.saved.requests:
        for entry in run.engine.ledger.read(run.id)[0]:
            if isinstance(entry, Used) and entry.flow == flow:
                usage += entry.usage
    steps = state.steps[flow].values()
    seconds = sum(step.seconds for step in steps)
    return Spent(seconds, usage, state.counts[flow][State.CACHED])
