"""Results: values back in their places, in the library that the batch came in."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._core.decision import Decision

MISSING = None


def fields_of(value: Any) -> dict[str, Any] | None:
    """The named fields of a structured value; ``None`` if it has none."""
    kind = type(value)
    if kind is dict:
        return {str(name): part for name, part in value.items()}
    for names in (getattr(kind, "model_fields", None), getattr(kind, "_fields", None)):
        if isinstance(names, dict | tuple):
            return {name: getattr(value, name) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
        }
    if attributes := getattr(kind, "__attrs_attrs__", None):
        return {field.name: getattr(value, field.name) for field in attributes}
    return None


def columns_of(flow: str, values: Sequence[Any]) -> dict[str, list[Any]]:
    """The columns that a flow's values make: one a field if every value has fields, else one called like the flow.

    A flow that returns nothing makes none.
    """
    given = [value for value in values if value is not MISSING]
    if not given:
        return {}
    parts = [fields_of(value) for value in values]
    if any(
        part is None
        for part, value in zip(parts, values, strict=True)
        if value is not MISSING
    ):
        return {flow: list(values)}
    names = list(dict.fromkeys(name for part in parts for name in part or ()))
    return {
        f"{flow}.{name}": [part.get(name) if part else None for part in parts]
        for name in names
    }


def corrected_columns(
    flow: str, columns: dict[str, list[Any]], decisions: Sequence[Decision | None]
) -> dict[str, list[Any]]:
    """The columns of a flow with the labels that people gave, and a column that says whose label each is."""
    label = ""
    for field in dict.fromkeys(
        decision.field for decision in decisions if decision is not None
    ):
        label = f"{flow}.{field}" if field else flow
        values = columns.get(label, [MISSING] * len(decisions))
        corrected = [
            decision.label
            if decision is not None and decision.field == field
            else value
            for value, decision in zip(values, decisions, strict=True)
        ]
        columns = columns | {label: corrected}
    if not label:
        return columns
    by = [
        "human"
        if decision is not None
        else "model"
        if value is not MISSING
        else MISSING
        for value, decision in zip(columns[label], decisions, strict=True)
    ]
    return columns | {free(f"{flow}.by", columns): by}


def corrected(value: Any, decision: Decision | None) -> Any:
    """``value`` with the label that a person gave; a field can only be set where there is a value."""
    if decision is None:
        return value
    if not decision.field:
        return decision.label
    if value is MISSING:
        return MISSING
    if type(value) is dict:
        return value | {decision.field: decision.label}
    if hasattr(value, "_replace"):
        return value._replace(**{decision.field: decision.label})
    value = copy.copy(value)
    object.__setattr__(
        value, decision.field, decision.label
    )  # frozen or not: the copy is nobody else's
    return value


def as_series(library: str, source: Any, name: str, values: list[Any]) -> Any:
    """``values`` as one column of ``library``, with the index of ``source``."""
    root = library.partition(".")[0]
    if root == "pandas":
        return _pandas(name, values, getattr(source, "index", None))
    if root == "polars":
        return _polars(name, values)
    return _arrow(values) if root == "pyarrow" else values


def as_frame(library: str, source: Any, columns: dict[str, list[Any]]) -> Any:
    """``source`` with further columns, in its own library; a list of records as a list of records."""
    root, _, kind = library.partition(".")
    if root == "records":
        return _records(source, columns)
    if kind:
        source = _framed(library, source)
    if root == "pandas":
        import pandas as pd

        # One concat, not an assignment a column: a hundred assignments fragment the
        # frame.
        added = pd.DataFrame(
            {
                name: _pandas(name, values, source.index)
                for name, values in columns.items()
            },
            index=source.index,
        )
        joined = pd.concat(
            [source, added.rename(columns=_free(list(source.columns), columns))], axis=1
        )
        joined.attrs = dict(source.attrs)
        return joined
    names = _free(
        list(source.schema.names if root == "pyarrow" else source.columns), columns
    )
    if root == "polars":
        return source.hstack(
            [_polars(names[name], values) for name, values in columns.items()]
        )
    import pyarrow as pa

    table = (
        pa.Table.from_batches([source])
        if isinstance(source, pa.RecordBatch)
        else source
    )
    for name, values in columns.items():
        table = table.append_column(names[name], _arrow(values))
    return table


def free(name: str, taken: Iterable[Any]) -> str:
    """A name for a further column; one that is taken already is marked, never overwritten."""
    names = set(taken)
    while name in names:
        name += "'"
    return name


def _free(taken: list[Any], columns: dict[str, list[Any]]) -> dict[str, str]:
    return {name: free(name, taken) for name in columns}


def _records(source: Any, columns: dict[str, list[Any]]) -> list[dict[Any, Any]]:
    rows = [dict(row) if isinstance(row, dict) else {"value": row} for row in source]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name + "'" if name in row else name] = value
    return rows


def _framed(library: str, source: Any) -> Any:
    root = library.partition(".")[0]
    if root == "pandas":
        return source.to_frame(name=source.name if source.name is not None else "value")
    if root == "polars":
        return source.alias(source.name or "value").to_frame()
    import pyarrow as pa

    return pa.table({"value": source})


def _pandas(name: str, values: list[Any], index: Any) -> Any:
    import pandas as pd

    kinds = {type(value) for value in values if value is not MISSING}
    holes = any(value is MISSING for value in values)
    # Where something is missing, whole numbers stay whole and truth values true or
    # false.
    kind: Any = (
        {frozenset({int}): "Int64", frozenset({bool}): "boolean"}.get(frozenset(kinds))
        if holes
        else None
    )
    plain = (len(kinds) == 1 and kinds <= {int, float, bool, str}) or kinds == {
        int,
        float,
    }
    if kind is None and not plain and not _is_time(kinds):
        kind = object
    if kind == "Int64" and any(
        value is not MISSING and abs(value) >= 2**63 for value in values
    ):
        kind = object
    try:
        return pd.Series(values, index=index, name=name, dtype=kind)
    except (OverflowError, ValueError, TypeError):
        return pd.Series(values, index=index, name=name, dtype=object)


def _is_time(kinds: set[type]) -> bool:
    return len(kinds) == 1 and next(iter(kinds)).__name__ in {
        "Timestamp",
        "Timedelta",
        "datetime",
        "timedelta",
    }


def _polars(name: str, values: list[Any]) -> Any:
    import polars as pl

    try:
        return pl.Series(name, values)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)


def _arrow(values: list[Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
    ):
        # Arrow has no column of Python objects.
        return pa.array([None if value is MISSING else repr(value) for value in values])
