"""Digests of pandas objects: columns, dtypes, index, names and values; blocks, freq and storage do not count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbflow._key.arrays import array as numpy_array
from nbflow._key.value import ATTRIBUTE, ITEM, Refusal, Walk, handles, member, seal


@handles(pd.DataFrame, subclasses=True)
def _frame(walk: Walk, value: pd.DataFrame) -> bytes:
    parts = [_index(walk, value.columns), _index(walk, value.index)]
    for place, name in enumerate(value.columns):
        parts.append(_named(walk, name, value.iloc[:, place].array))
    return seal("pandas.DataFrame", _kind(value), [*map(member, parts)], *_extras(walk, value))


@handles(pd.Series, subclasses=True)
def _series(walk: Walk, value: pd.Series[Any]) -> bytes:
    parts = [walk.digest(value.name), _index(walk, value.index), _column(walk, value.array)]
    return seal("pandas.Series", _kind(value), [*map(member, parts)], *_extras(walk, value))


@handles(pd.Index, subclasses=True)
def _index(walk: Walk, value: pd.Index[Any]) -> bytes:
    """Digest labels and names; a RangeIndex is the integers it stands for."""
    if isinstance(value, pd.MultiIndex):
        levels = [member(_column(walk, value.get_level_values(place).array)) for place in range(value.nlevels)]
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
    own = {name: getattr(value, name, None) for name in value._metadata if name != "name"}  # noqa: SLF001  # pandas' protocol for subclasses
    return [member(walk.at(ATTRIBUTE, "attrs", value.attrs)), member(walk.digest(own))]


def _column(walk: Walk, values: Any) -> bytes:
    """Return the digest of an array that pandas holds: its dtype and its values."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) or type(values) is pd.arrays.NumpyExtensionArray:
        return numpy_array(walk, values.to_numpy())
    parts: tuple[Any, ...]
    if isinstance(dtype, pd.CategoricalDtype):
        parts = (values.codes, values.categories, values.ordered)
    elif isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        parts = (values.asi8,)
    elif isinstance(dtype, pd.IntervalDtype):
        parts = (values.left, values.right)
    elif isinstance(dtype, pd.SparseDtype):
        parts = (values.to_dense(),)
    elif isinstance(dtype, (pd.StringDtype, pd.ArrowDtype)):
        parts = (_arrow(values),)
    elif isinstance(values, (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)):
        missing = values.isna()
        kind = dtype.numpy_dtype
        parts = (missing, values.to_numpy(dtype=kind, na_value=kind.type(0)))
    else:
        parts = (list(values),)
    return seal("pandas column", str(dtype), [member(walk.digest(part)) for part in parts])


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    found = pa.array(values)
    found = found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])
    return found.cast(pa.large_string()) if isinstance(values.dtype, pd.StringDtype) else found


@handles(pd.Timestamp)
def _timestamp(_: Walk, value: pd.Timestamp) -> bytes:
    count = int(value.to_datetime64().astype("i8"))
    return seal("pandas.Timestamp", value.unit, count, str(value.tz) if value.tz else None, value.fold)


@handles(pd.Timedelta)
def _timedelta(_: Walk, value: pd.Timedelta) -> bytes:
    return seal("pandas.Timedelta", value.unit, int(value.to_timedelta64().astype("i8")))


@handles(pd.Period)
def _period(_: Walk, value: pd.Period) -> bytes:
    return seal("pandas.Period", value.freqstr, value.ordinal)


@handles(pd.Interval)
def _interval(walk: Walk, value: pd.Interval[Any]) -> bytes:
    return walk.members("pandas.Interval", value.closed, items=[(ATTRIBUTE, "left", value.left), (ATTRIBUTE, "right", value.right)])


@handles(type(pd.NaT), type(pd.NA))
def _missing(_: Walk, value: object) -> bytes:
    return seal("pandas missing", repr(value))


@handles(pd.tseries.offsets.BaseOffset, subclasses=True)
def _offset(_: Walk, value: pd.tseries.offsets.BaseOffset) -> bytes:
    return seal("pandas offset", value.freqstr)


@handles(pd.api.extensions.ExtensionDtype, subclasses=True)
def _dtype(walk: Walk, value: Any) -> bytes:
    content = (value.categories, value.ordered) if isinstance(value, pd.CategoricalDtype) else ()
    return seal("pandas dtype", str(value), [member(walk.digest(part)) for part in content])
