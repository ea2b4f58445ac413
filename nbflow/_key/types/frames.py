"""Digests of pandas objects: columns, dtypes, index, names and values; blocks, freq and storage do not count."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd

from nbflow._key.types.arrays import array as numpy_array
from nbflow._key.value import (
    ATTRIBUTE,
    ITEM,
    Refusal,
    Walk,
    handler,
    handles,
    member,
    seal,
)


@handles(pd.DataFrame, subclasses=True)
def _frame(walk: Walk, value: pd.DataFrame) -> bytes:
    parts = [_columns(walk, value.columns), _index(walk, value.index)]
    for place, name in enumerate(value.columns):
        parts.append(_named(walk, name, value.iloc[:, place].array))
    return seal(
        "pandas.DataFrame", _kind(value), [*map(member, parts)], *_extras(walk, value)
    )


def _columns(walk: Walk, value: pd.Index[Any]) -> bytes:
    """Digest the labels of columns: as text, pandas 2 and 3 hold them in two dtypes that nobody chose."""
    if isinstance(value.dtype, pd.StringDtype) or (
        value.dtype == object and not isinstance(value, pd.MultiIndex)
    ):
        return seal(
            "labels",
            member(walk.digest(list(value.names))),
            member(walk.digest(value.tolist())),
        )
    return _index(walk, value)


@handles(pd.Series, subclasses=True)
def _series(walk: Walk, value: pd.Series[Any]) -> bytes:
    parts = [
        walk.digest(value.name),
        _index(walk, value.index),
        _column(walk, value.array),
    ]
    return seal(
        "pandas.Series", _kind(value), [*map(member, parts)], *_extras(walk, value)
    )


@handles(pd.Index, subclasses=True)
def _index(walk: Walk, value: pd.Index[Any]) -> bytes:
    """Digest labels and names; a RangeIndex is the integers it stands for."""
    if isinstance(value, pd.MultiIndex):
        levels = [
            member(_column(walk, value.get_level_values(place).array))
            for place in range(value.nlevels)
        ]
    else:
        levels = [member(_column(walk, value.array))]
    return seal("pandas.Index", member(walk.digest(list(value.names))), levels)


@handles(pd.api.extensions.ExtensionArray, subclasses=True)
def _array(walk: Walk, value: Any) -> bytes:
    return seal("pandas array", member(_column(walk, value)))


def _named(walk: Walk, name: object, values: Any) -> bytes:
    try:
        return _column(walk, values)
    except Refusal as refusal:
        refusal.path.append((ITEM, name))
        raise


def _kind(value: pd.DataFrame | pd.Series[Any]) -> str:
    return type(value).__qualname__


def _extras(walk: Walk, value: Any) -> list[object]:
    own = {
        name: getattr(value, name, None)
        for name in value._metadata  # noqa: SLF001  # pandas' protocol for subclasses
        if name != "name"
    }
    return [member(walk.at(ATTRIBUTE, "attrs", value.attrs)), member(walk.digest(own))]


def _column(walk: Walk, values: Any) -> bytes:
    """Return the digest of an array that pandas holds: its dtype and its values."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) or type(values) is pd.arrays.NumpyExtensionArray:
        return numpy_array(walk, values.to_numpy())
    parts: tuple[Any, ...]
    if isinstance(dtype, pd.CategoricalDtype):
        parts = (values.codes, values.categories.rename(None), values.ordered)
    elif isinstance(dtype, pd.DatetimeTZDtype):
        parts = (values.asi8, _zone(dtype.tz))
    elif isinstance(dtype, pd.PeriodDtype):
        parts = (values.asi8,)
    elif isinstance(dtype, pd.IntervalDtype):
        parts = (values.left, values.right)
    elif isinstance(dtype, pd.SparseDtype):
        parts = (values.to_dense(),)
    elif isinstance(dtype, (pd.StringDtype, pd.ArrowDtype)):
        parts = (_arrow(values),)
    elif isinstance(
        values,
        (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray),
    ):
        missing = values.isna()
        kind = dtype.numpy_dtype
        parts = (missing, values.to_numpy(dtype=kind, na_value=kind.type(0)))
    else:  # somebody else's: its items may not be all there is to it
        return handler(object)(walk, values)
    return seal(
        "pandas column", str(dtype), [member(walk.digest(part)) for part in parts]
    )


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    try:
        found = pa.array(values)
    except UnicodeEncodeError:  # text that no file can hold
        return values.tolist()
    found = found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])
    return (
        found.cast(pa.large_string())
        if isinstance(values.dtype, pd.StringDtype)
        else found
    )


@handles(pd.Timestamp)
def _timestamp(_: Walk, value: pd.Timestamp) -> bytes:
    count = int(value.to_datetime64().astype("i8"))
    return seal("pandas.Timestamp", value.unit, count, _zone(value.tz), value.fold)


def _zone(value: Any) -> str | None:
    """Spell a time zone, whichever library it is of; two of fixed offset may have one name."""
    if value is None:
        return None
    return (
        repr(value)
        if isinstance(value, dt.timezone) and value is not dt.UTC
        else str(value)
    )


@handles(pd.Timedelta)
def _timedelta(_: Walk, value: pd.Timedelta) -> bytes:
    return seal(
        "pandas.Timedelta", value.unit, int(value.to_timedelta64().astype("i8"))
    )


@handles(pd.Period)
def _period(_: Walk, value: pd.Period) -> bytes:
    return seal("pandas.Period", value.freqstr, value.ordinal)


@handles(pd.Interval)
def _interval(walk: Walk, value: pd.Interval[Any]) -> bytes:
    return walk.members(
        "pandas.Interval",
        value.closed,
        items=[(ATTRIBUTE, "left", value.left), (ATTRIBUTE, "right", value.right)],
    )


@handles(type(pd.NaT), type(pd.NA))
def _missing(_: Walk, value: object) -> bytes:
    return seal("pandas missing", repr(value))


@handles(pd.tseries.offsets.BaseOffset, subclasses=True)
def _offset(walk: Walk, value: Any) -> bytes:
    said = {
        name: item for name, item in sorted(value.kwds.items()) if name != "calendar"
    }  # made of the holidays
    return seal(
        "pandas offset",
        type(value).__name__,
        value.n,
        value.normalize,
        member(walk.digest(said)),
    )


@handles(pd.api.extensions.ExtensionDtype, subclasses=True)
def _dtype(walk: Walk, value: Any) -> bytes:
    if re.match(r"pandas(\.core\..*)?$", type(value).__module__) is None:
        return handler(object)(
            walk, value
        )  # somebody else's, a unit or a coordinate system in it
    content = (
        (value.categories.rename(None), value.ordered)
        if isinstance(value, pd.CategoricalDtype)
        else ()
    )
    return seal(
        "pandas dtype", str(value), [member(walk.digest(part)) for part in content]
    )
