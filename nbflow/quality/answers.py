"""Answers: the labels that a run, a frame or a column holds, one for each record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import DONE, Used
from nbflow._core.label import text_of
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage
from nbflow._run.batch import Batch, columns_of
from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality.label_column import LABEL, label_column

if TYPE_CHECKING:
    from nbflow._core.decision import Decision
    from nbflow._core.entry import RunState
    from nbflow._run.batch import Key, Row
    from nbflow._run.results import Columns
    from nbflow.quality.label_column import Column

#: Fields that are kept beside the label.
_BESIDE = ("confidence", "reason")


class Spent(NamedTuple):
    """What the answers of a run took.

    Attributes:
        seconds: of the calls that this run made, without those that they were in line.
        waited: the seconds in line.
        usage: what all its answers used when they were made; those that were remembered
            cost nothing again.
        cached: records whose answer was remembered.
    """

    seconds: float
    usage: Usage
    cached: int
    waited: float = 0.0


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
        is_named: whether somebody called for these labels by name, see `Column`.
        columns: what the flow's values make, by name.
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
    is_named: bool = True
    columns: tuple[str, ...] = ()

    def checkpoints(self, numbers: Sequence[int]) -> list[str | None]:
        """The keys of the checkpoints of these answers; ``None`` where there is none."""
        if self.run is None:
            return [None] * len(numbers)
        state = self.run.reader.state()
        flow = state.flows.index(self.flow)
        return [state.checkpoint(number, flow) for number in numbers]

    def column(self, name: str, argument: str = "truth") -> list[object]:
        """A column of the records.

        Args:
            name: what it is called.
            argument: what called for it, for the error.

        Raises:
            UsageError: there is none.
        """
        if self.rows is None:
            raise UsageError(
                f"{argument}={name!r}: the records of this run were not kept; give the true "
                f"labels themselves, {argument}=frame[{name!r}] or {{key: label}}."
            )
        records = [row.record for row in self.rows]
        mappings = [record for record in records if isinstance(record, Mapping)]
        known = dict.fromkeys(str(part) for record in mappings for part in record)
        if name not in known:
            raise UsageError(
                f"{argument}={name!r} is not a column of the records; they have "
                f"{', '.join(map(repr, known)) or 'none'}."
            )
        return [
            record.get(name) if isinstance(record, Mapping) else None
            for record in records
        ]


def answers_of(
    source: object,
    column: str | None = None,
    key: Key = None,
    truth: str | None = None,
) -> Answers:
    """The labels in a run, a frame or a column.

    Args:
        source: what holds them.
        column: of a run a column of its results (``"triage.label"``), see
            `label_column`; of a frame the column.
        key: what identifies the rows of a frame.
        truth: what the true labels are called, if they have a name.
    """
    if isinstance(source, Run):
        return _of_run(source, column, truth)
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


def answers_of_run(
    function: str, run: object, column: str | None, truth: str | None = None
) -> Answers:
    """The labels of a run whose records are there to be looked at.

    Args:
        function: who asks, for the error.
        run: what holds them.
        column: see `answers_of`.
        truth: see `answers_of`.

    Raises:
        UsageError: it is no run, its records were not kept, or it has none.
    """
    if not isinstance(run, Run):
        raise UsageError(
            f"nbflow.{function} takes a run (of send or map), not {type(run).__name__}."
        )
    if not run.reader.state().keys:
        raise UsageError(
            f"Run {run.id} has no records: there is nothing to {function}."
        )
    answers = answers_of(run, column, None, truth)
    if answers.rows is None:
        raise UsageError(
            f"The records of run {run.id} were not kept (keep_records=False), so there "
            f"is nothing to look at: send them again, then nbflow.{function}."
        )
    return answers


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


def _of_run(run: Run, column: str | None, truth: str | None) -> Answers:
    state = run.reader.state()
    chosen = label_column(run, column, truth)
    flow = chosen.flow
    values = chosen.columns.get(chosen.name, [None] * len(state.keys))
    labels = [text_of(value) for value in values]
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
    return Answers(
        name=chosen.name,
        flow=chosen.flow_name,
        field=chosen.field,
        keys=list(state.keys),
        labels=labels,
        missing=missing,
        rows=rows,
        places=places,
        named=bool(batch is None or batch.key or batch.labels),
        beside=_beside(chosen),
        decided={
            record: decision
            for (record, at), made in about.items()
            for decision in made
            if at == flow and decision.field == chosen.field
        },
        spent=_spent(run, state, flow),
        run=run,
        is_named=chosen.is_named,
        columns=tuple(chosen.columns),
    )


def _beside(chosen: Column) -> Columns:
    """What a flow says beside its labels."""
    beside = {}
    for field in _BESIDE:
        said = chosen.columns.get(f"{chosen.flow_name}.{field}", [])
        if any(one is not None for one in said):
            beside[field] = said
    return beside


def _spent(run: Run, state: RunState, flow: int) -> Spent:
    usage = NOTHING
    # The state adds up what flows that were remembered as a whole saved, but not for
    # each of them.
    if state.usage.requests or state.saved.requests:
        for entries, _ in run.engine.ledger.blocks(run.id):
            for entry in entries:
                if isinstance(entry, Used) and entry.flow == flow:
                    usage += entry.usage
    steps = state.steps[flow].values()
    seconds = sum(step.seconds for step in steps)
    waited = sum(step.waited for step in steps)
    return Spent(seconds, usage, state.counts[flow][State.CACHED], waited)
