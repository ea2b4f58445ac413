"""Results: values back in their places, in the library that the batch came in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from nbflow._core.fields import Fields, aside_fields, fields_of
from nbflow._core.label import NOTHING, parts_of
from nbflow._core.quote import Quote, quoted_fields
from nbflow._run import column
from nbflow._run.column import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from nbflow._core.decision import Decision

    #: Columns by name, each with a value for every record.
    Columns = dict[str, list[object]]


def columns_of(flow: str, values: Sequence[object]) -> Columns:
    """The columns that a flow's values make.

    One for each field if every value has fields, else one called like the flow. A flow
    that returns nothing makes none, and neither does a field that stands aside.
    """
    if all(value is MISSING for value in values):
        return {}
    parts = [fields_of(value) for value in values]
    names: dict[str, object] = {}
    for part, value in zip(parts, values, strict=True):
        if part is not None:
            names.update(part)
        elif value is not MISSING:
            return {flow: list(values)}
    kinds = set(map(type, values))
    aside = {name for kind in kinds for name in aside_fields(kind)}
    quoted = {name for kind in kinds for name in quoted_fields(kind)}
    columns: Columns = {}
    for name in names:
        found = [part.get(name) if part else None for part in parts]
        if name in quoted or any(isinstance(one, Quote) for one in found):
            columns |= _with_places(f"{flow}.{name}", found)
        elif name not in aside:
            columns[f"{flow}.{name}"] = found
    return columns


def _with_places(name: str, values: list[object]) -> Columns:
    """A column of words that are quoted from a text, and one that says where they begin."""
    places = [_each(value, lambda quote: quote.start) for value in values]
    return {name: [_each(value, str) for value in values], f"{name}.at": places}


def _each(value: Any, change: Callable[[Quote], object]) -> object:
    """What is made of a quote, or of each of several; nothing of anything else."""
    if isinstance(value, Quote):
        return change(value)
    if isinstance(value, list | tuple):
        return [change(one) for one in value if isinstance(one, Quote)]
    return None


def corrected_columns(
    flow: str,
    columns: Columns,
    decisions: Sequence[tuple[Decision, ...]],
) -> Columns:
    """The columns of a flow with the labels that people gave.

    A further column says whether a person gave any of them. Where nobody decided
    anything, the columns stay as they are.
    """
    fields = dict.fromkeys(one.field for made in decisions for one in made)
    if not fields:
        return columns
    columns = dict(columns)
    for field in fields:
        label = f"{flow}.{field}" if field else flow
        values = columns.get(label, [MISSING] * len(decisions))
        columns[label] = [
            _decided(value, made, field)
            for value, made in zip(values, decisions, strict=True)
        ]
    by: list[object] = [
        _by(value, made) for value, made in zip(columns[label], decisions, strict=True)
    ]
    return columns | {free(f"{flow}.by", columns): by}


def _decided(value: object, made: tuple[Decision, ...], field: str) -> object:
    """A cell with what a person said of this field, if anybody did."""
    for decision in made:
        if decision.field == field:
            return _like(value, decision.label)
    return value


def _by(value: object, made: tuple[Decision, ...]) -> str | None:
    """Who gave a label."""
    if made:
        return "human"
    return "model" if value is not MISSING else None


def corrected(value: Any, made: tuple[Decision, ...]) -> object:
    """``value`` with the labels that people gave.

    A field can only be set where there is a value.
    """
    for decision in made:
        value = _corrected(value, decision)
    return value


def _corrected(value: Any, decision: Decision) -> object:
    if not decision.field:
        return decision.label
    if value is MISSING:
        return MISSING
    before = (fields_of(value) or {}).get(decision.field)
    label = _like(before, decision.label)
    if type(value) is dict or isinstance(value, Fields):
        return value | {decision.field: label}
    if hasattr(value, "_replace"):
        return value._replace(**{decision.field: label})
    value = copy.copy(value)
    # Frozen or not: nobody else has the copy.
    object.__setattr__(value, decision.field, label)
    return value


def _like(before: object, label: str | None) -> object:
    """What people decided, which is a text, as a value of the kind that the field has."""
    if label is None or isinstance(before, str) or before is MISSING:
        return None if label == NOTHING else label
    if isinstance(before, bool):
        return {"True": True, "False": False}.get(label, label)
    if isinstance(before, list | tuple | set | frozenset):
        return type(before)(parts_of(label))
    if label == NOTHING:
        return None
    try:
        return type(before)(label)  # type: ignore[call-arg]  # an Enum, a number
    except (TypeError, ValueError):
        return label


def as_series(library: str, source: object, name: str, values: list[object]) -> object:
    """``values`` as one column of ``library``, with the index of ``source``."""
    root = library.partition(".")[0]
    if root == "pandas":
        return column.of_pandas(name, values, getattr(source, "index", None))
    if root == "polars":
        return column.of_polars(name, values)
    return column.of_arrow(name, values) if root == "pyarrow" else values


def as_frame(library: str, source: Any, columns: Columns) -> object:
    """``source`` with further columns, in its own library.

    Args:
        library: what ``source`` is: ``"pandas.DataFrame"``, ``"records"``.
        source: a frame, a series, or records (which become a list of dicts).
        columns: the further columns, each with a value for every row.
    """
    root, _, kind = library.partition(".")
    if root == "records":
        return _records_with(source, columns)
    if kind:
        source = _framed(root, source)
    if root == "pandas":
        return _pandas_with(source, columns)
    if root == "polars":
        return _polars_with(source, columns)
    return _arrow_with(source, columns)


def frame_of(
    library: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> Any:
    """Return rows as a frame of a library; pandas where the batch was a list or an iterator."""
    data: Columns = {name: [] for name in columns}
    for row in rows:
        for name, value in zip(columns, row, strict=True):
            data[name].append(value)
    return frame_from(library, data)


def frame_from(library: str, columns: Columns) -> Any:
    """Return columns as a frame of a library; pandas where the batch was a list or an iterator."""
    root = library.partition(".")[0]
    if root == "polars":
        import polars as pl

        return pl.DataFrame([column.of_polars(*each) for each in columns.items()])
    if root == "pyarrow":
        import pyarrow as pa

        return pa.table({each[0]: column.of_arrow(*each) for each in columns.items()})
    import pandas as pd

    return pd.DataFrame({each[0]: column.of_pandas(*each) for each in columns.items()})


def free(name: str, taken: Iterable[Hashable]) -> str:
    """A name for a further column.

    One that is taken already is marked, never overwritten.
    """
    names = set(taken)
    while name in names:
        name += "'"
    return name


def _free(taken: list[Hashable], columns: Columns) -> dict[str, str]:
    return {name: free(name, taken) for name in columns}


def _framed(root: str, source: Any) -> object:
    """A series as a frame of one column."""
    if root == "pandas":
        return source.to_frame(name=source.name if source.name is not None else "value")
    if root == "polars":
        return source.alias(source.name or "value").to_frame()
    import pyarrow as pa

    return pa.table({"value": source})


# Records


def _records_with(
    source: Iterable[object],
    columns: Columns,
) -> list[dict[object, object]]:
    rows: list[dict[object, object]] = [
        dict(row) if isinstance(row, dict) else {"value": row} for row in source
    ]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[f"{name}'" if name in row else name] = value
    return rows


# Pandas


def _pandas_with(source: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    import pandas as pd

    # One concat, not an assignment for each column: a hundred assignments fragment the
    # frame.
    added = pd.DataFrame(
        {
            name: column.of_pandas(name, values, source.index)
            for name, values in columns.items()
        },
        index=source.index,
    )
    named = added.rename(columns=_free(list(source.columns), columns))
    joined = pd.concat([source, named], axis=1)
    joined.attrs = dict(source.attrs)
    return joined


# Polars


def _polars_with(source: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    names = _free(list(source.columns), columns)
    return source.hstack(
        [column.of_polars(names[name], values) for name, values in columns.items()]
    )


# Arrow


def _arrow_with(source: pa.Table | pa.RecordBatch, columns: Columns) -> pa.Table:
    import pyarrow as pa

    is_batch = isinstance(source, pa.RecordBatch)
    table = pa.Table.from_batches([source]) if is_batch else source
    names = _free(list(source.schema.names), columns)
    for name, values in columns.items():
        table = table.append_column(names[name], column.of_arrow(name, values))
    return table
