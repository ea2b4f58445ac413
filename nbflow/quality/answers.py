"""Answers: the labels that a run, a frame or a column holds, one for each record, and what is known about each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import DONE, Used
from nbflow._core.label import text_of
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage
from nbflow._run.batch import Batch, columns_of
from nbflow._run.results import fields_of
from nbflow._run.run import Run
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow._core.decision import Decision
    from nbflow._core.entry import RunState
    from nbflow._run.batch import Key, Row

#: What the field of a label is called, where a value has several.
LABEL = "label"


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
        named: do the keys identify records, or only places?
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
    beside: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    decided: dict[int, Decision] = dataclasses.field(default_factory=dict)
    spent: Spent | None = None
    run: Run | None = None

    def column(self, name: str) -> list[Any]:
        """A column of the records.

        Raises:
            UsageError: there is none.
        """
        if self.rows is None:
            raise UsageError(
                f"truth={name!r}: the records of this run were not kept; give the true labels themselves, truth=frame[{name!r}] or {{key: label}}."
            )
        known = {
            str(part): None
            for row in self.rows
            if isinstance(row.record, Mapping)
            for part in row.record
        }
        if name not in known:
            raise UsageError(
                f"truth={name!r} is not a column of the records; they have {', '.join(map(repr, known)) or 'none'}."
            )
        return [
            row.record.get(name) if isinstance(row.record, Mapping) else None
            for row in self.rows
        ]


def answers_of(source: Any, column: str | None = None, key: Key = None) -> Answers:
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
        if column is None:
            raise UsageError(
                f"A frame has several columns: say which one holds the labels, column=... It has {', '.join(map(repr, _names(batch)))}."
            )
        if column not in _names(batch):
            raise UsageError(
                f"column={column!r} is not a column of the frame; it has {', '.join(map(repr, _names(batch)))}."
            )
        values = [row.record.get(column) for row in rows]
    labels = [text_of(value) for value in values]
    name = column or str(getattr(source, "name", None) or "labels")
    return Answers(
        name,
        "",
        "",
        [row.key for row in rows],
        labels,
        {number: "no label" for number, label in enumerate(labels) if label is None},
        rows,
        [number for number, _, _ in numbered],
        bool(batch.key or batch.labels),
        beside=_beside_column(batch, rows, column),
    )


def _has_columns(source: Any) -> bool:
    if isinstance(source, Sequence) and not isinstance(source, str):
        return bool(source) and isinstance(source[0], Mapping)
    return hasattr(source, "columns") or hasattr(source, "schema")


def _names(batch: Batch) -> list[Any]:
    return (
        columns_of(batch.source, batch.library)
        if batch.is_frame
        else list(dict.fromkeys(name for record in batch.source for name in record))
    )


def _beside_column(
    batch: Batch, rows: list[Row], column: str | None
) -> dict[str, list[Any]]:
    """``triage.confidence`` and ``triage.reason`` beside ``triage.label``."""
    if column is None or not column.endswith(f".{LABEL}"):
        return {}
    stem = column.removesuffix(LABEL)
    return {
        name.removeprefix(stem): [row.record.get(name) for row in rows]
        for name in map(str, _names(batch))
        if name in {f"{stem}confidence", f"{stem}reason"}
    }


def _of_run(run: Run, column: str | None) -> Answers:
    state = run._state()  # noqa: SLF001 - the values by record, which the results have by row
    everything = list(range(len(state.keys)))
    flow, field_, values = _chosen(run, state, column, everything)
    labels, beside = _labels(values, field_)
    batch, places = run._rows(state)  # noqa: SLF001
    rows = (
        [row for _, times, row in batch.numbered() if times == 1]
        if batch is not None
        else None
    )
    missing = {
        number: str(state.item(number, flow))
        if state.item(number, flow) not in DONE
        else "no label"
        for number in everything
        if labels[number] is None
    }
    about = run._decided(state, batch)  # noqa: SLF001
    return Answers(
        f"{state.flows[flow]}.{field_}" if field_ else state.flows[flow],
        state.flows[flow],
        field_,
        list(state.keys),
        labels,
        missing,
        rows,
        places,
        bool(batch is None or batch.key or batch.labels),
        beside,
        {
            record: decision
            for (record, at), decision in about.items()
            if at == flow and decision.field == field_
        },
        _spent(run, state, flow),
        run,
    )


def _chosen(
    run: Run, state: RunState, column: str | None, records: list[int]
) -> tuple[int, str, list[Any]]:
    """The flow and the field that ``column`` names, and the flow's values; or the only one that holds labels."""
    fitting, offered = [], []
    for flow, name in enumerate(state.flows):
        if column is not None and column != name and not column.startswith(f"{name}."):
            continue
        values = run._values(state, flow, records)  # noqa: SLF001
        first = next((value for value in values if value is not None), None)
        parts = fields_of(first)
        wanted = (
            column.removeprefix(name).removeprefix(".") if column is not None else ""
        )
        choices = list(parts) if parts is not None else [""]
        offered += [f"{name}.{part}" if part else name for part in choices]
        if wanted in choices or first is None:
            fitting.append(
                (
                    flow,
                    wanted or ("" if parts is None and first is not None else LABEL),
                    values,
                )
            )
        elif not wanted and LABEL in choices:
            fitting.append((flow, LABEL, values))
    if len(fitting) == 1:
        return fitting[0]
    said = (
        "has several columns that may hold labels"
        if fitting
        else "has no such column"
        if column
        else "has no column that holds labels"
    )
    raise UsageError(
        f"Run {run.id} {said}: say which, column={offered[0] if offered else state.flows[0]!r}."
        + (f" There are {', '.join(map(repr, offered))}." if offered else "")
    )


def _labels(
    values: list[Any], name: str
) -> tuple[list[str | None], dict[str, list[Any]]]:
    if not name:
        return [text_of(value) for value in values], {}
    parts = [fields_of(value) or {} for value in values]
    found = {
        other: [part.get(other) for part in parts]
        for other in ("confidence", "reason")
        if any(part.get(other) is not None for part in parts)
    }
    return [text_of(part.get(name)) for part in parts], found


def _spent(run: Run, state: RunState, flow: int) -> Spent:
    # The state adds up what flows that were remembered as a whole saved, but not for
    # each of them.
    entries = (
        run.engine.ledger.read(run.id)[0]
        if state.usage.requests or state.saved.requests
        else []
    )
    usage = sum(
        (
            entry.usage
            for entry in entries
            if isinstance(entry, Used) and entry.flow == flow
        ),
        NOTHING,
    )
    return Spent(
        sum(step.seconds for step in state.steps[flow].values()),
        usage,
        state.counts[flow][State.CACHED],
    )
