"""Label column: which column of a run's results holds its labels. It is never guessed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from nbflow._run.results import columns_of
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.entry import RunState
    from nbflow._run.results import Columns
    from nbflow._run.run import Run

#: What the field of a label is called, where a value has several.
LABEL = "label"


class Column(NamedTuple):
    """A column of a run's results.

    Attributes:
        flow: its number.
        flow_name: what it is called.
        field: the field of the flow's value; empty where the value itself is the label.
        columns: what the flow's values make, by name.
        is_named: whether the caller or the truth calls it by its name; if not, it is
            the only one that may hold the labels.
    """

    flow: int
    flow_name: str
    field: str
    columns: Columns
    is_named: bool = True

    @property
    def name(self) -> str:
        """What the results call it."""
        return f"{self.flow_name}.{self.field}" if self.field else self.flow_name

    def is_of(self, name: str) -> bool:
        """Whether its field is called that way, or its flow, if it gives only labels."""
        if name in (self.name, self.field):
            return True
        return name == self.flow_name and self.field in ("", LABEL)


def label_column(run: Run, column: str | None, truth: str | None) -> Column:
    """The column that holds the labels of a run.

    It is the one that ``column`` names. Without that it is the one that is called like
    the true labels, and else the only one: the ``label`` of a flow's values stands for
    all of them.

    Raises:
        UsageError: there is no such column, or several may hold labels.
    """
    state = run.reader.state()
    offered = [
        each for flow in _flows(state, column) for each in _columns(run, state, flow)
    ]
    if column is not None:
        found = [each for each in offered if each.name == column]
        found = found or [each for each in offered if each.is_of(column)]
    else:
        found = [each for each in offered if truth is not None and each.is_of(truth)]
        found = found or _labels(offered)
    found = found or _without_values(state, offered, column or "")
    if len(found) == 1:
        return found[0]
    names = [each.name for each in offered] or list(state.flows)
    close = get_close_matches(column or truth or LABEL, names, n=1, cutoff=0.3)
    raise UsageError(
        f"Run {run.id} {_wrong(column, found)}: say which, "
        f"column={(close or names)[0]!r}. There are {', '.join(map(repr, names))}."
    )


def _wrong(column: str | None, found: Sequence[Column]) -> str:
    """Why none of the columns found can be taken."""
    if column is None:
        there = "several columns that may hold labels" if found else "no labels yet"
        return f"has {there}"
    return f"has {'several columns' if found else 'no column'} {column!r}"


def _flows(state: RunState, column: str | None) -> Sequence[int]:
    """The flows whose values are worth a look."""
    named = [
        flow
        for flow, name in enumerate(state.flows)
        if f"{column}.".startswith(f"{name}.")
    ]
    return named or range(len(state.flows))


def _columns(run: Run, state: RunState, flow: int) -> list[Column]:
    """The columns that a flow's values make."""
    name = state.flows[flow]
    values = run.reader.values(state, flow, list(range(len(state.keys))))
    columns = columns_of(name, values)
    stem = f"{name}."
    return [
        Column(flow, name, "" if each == name else each.removeprefix(stem), columns)
        for each in columns
    ]


def _labels(offered: Sequence[Column]) -> list[Column]:
    """Those that may hold labels: nothing that stands beside a ``label``."""
    labelled = {each.flow for each in offered if each.field == LABEL}
    return [
        each._replace(is_named=False)
        for each in offered
        if each.field == LABEL or each.flow not in labelled
    ]


def _without_values(
    state: RunState, offered: Sequence[Column], column: str
) -> list[Column]:
    """The column that a flow of which no record has a value yet would have."""
    flow, *others = _flows(state, column)
    if offered or others:
        return []
    name = state.flows[flow]
    field = column.removeprefix(name).removeprefix(".")
    return [Column(flow, name, field or LABEL, {})]
