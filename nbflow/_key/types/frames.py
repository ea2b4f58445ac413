"""Digests of pandas objects: columns, dtypes, index, names and values; blocks and storage do not count."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from nbflow._key.jobs import Job, side_by_side
from nbflow._key.types.arrays import array as numpy_array
from nbflow._key.types.arrays import integers
from nbflow._key.value import (
    ATTRIBUTE,
    ITEM,
    Refusal,
    Walk,
    handler,
    handles,
    is_plain,
    member,
    seal,
    with_class,
)

if TYPE_CHECKING:
    import pyarrow as pa

    #: What pandas keeps a column in; the attributes depend on its dtype.
    Array: TypeAlias = Any


_FLAT = (
    *(pd.StringDtype, pd.ArrowDtype, pd.DatetimeTZDtype, pd.PeriodDtype),
    *(pd.BooleanDtype, pd.Float32Dtype, pd.Float64Dtype),
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype),
)


@handles(pd.DataFrame, subclasses=True)
def _frame(walk: Walk, value: pd.DataFrame) -> bytes:
    labels = _columns(walk, value.columns)
    jobs = [_index_job(value.index)]
    for place, name in enumerate(value.columns):
        jobs.append(_column_job(name, value.iloc[:, place].array))
    parts = [labels, *side_by_side(walk, jobs)]
    return seal(
        "pandas.DataFrame",
        type(value).__qualname__,
        [*map(member, parts)],
        *_extras(walk, value),
    )


def _index_job(index: pd.Index[Any]) -> Job:
    is_flat = (
        not isinstance(index, pd.MultiIndex)
        and _is_flat(index.dtype)
        and is_plain(list(index.names))
        and getattr(index, "freq", None) is None
    )
    return Job(lambda walk: _index(walk, index), is_flat, 8 * len(index))


def _column_job(name: object, values: Array) -> Job:
    def digest(walk: Walk) -> bytes:
        return _named(walk, name, values)

    dtype = values.dtype
    if type(values) is pd.arrays.NumpyExtensionArray:
        dtype = dtype.numpy_dtype
    is_flat = _is_flat(dtype)
    # Another library's array need not know its size.
    return Job(digest, is_flat, values.nbytes if is_flat else 0)


def _is_flat(dtype: Any) -> bool:
    """Whether arrays of a dtype hold no Python objects, directly or as categories."""
    if isinstance(dtype, np.dtype):
        return not dtype.hasobject and dtype.names is None
    if isinstance(dtype, pd.CategoricalDtype):
        return dtype.categories is not None and _is_flat(dtype.categories.dtype)
    return type(dtype) in _FLAT


def _columns(walk: Walk, value: pd.Index[Any]) -> bytes:
    """Digest the labels of columns: as text, pandas 2 and 3 hold them in two dtypes that nobody chose."""
    is_object = value.dtype == object and not isinstance(value, pd.MultiIndex)
    if not is_object and not isinstance(value.dtype, pd.StringDtype):
        return _index(walk, value)
    return seal(
        "labels",
        member(walk.digest(list(value.names))),
        member(walk.digest(value.tolist())),
    )


@handles(pd.Series, subclasses=True)
def _series(walk: Walk, value: pd.Series[Any]) -> bytes:
    parts = [
        walk.digest(value.name),
        _index(walk, value.index),
        _column(walk, value.array),
    ]
    return seal(
        "pandas.Series",
        type(value).__qualname__,
        [*map(member, parts)],
        *_extras(walk, value),
    )


@handles(pd.Index, subclasses=True)
def _index(walk: Walk, value: pd.Index[Any]) -> bytes:
    """Digest labels and names; a RangeIndex is the integers it stands for."""
    indexes = [value]
    if isinstance(value, pd.MultiIndex):
        indexes = [value.get_level_values(place) for place in range(value.nlevels)]
    levels = [member(_labels(walk, index)) for index in indexes]
    names = member(walk.digest(list(value.names)))
    return seal("pandas.Index", names, levels, *_frequency(walk, value))


def _labels(walk: Walk, index: pd.Index[Any]) -> bytes:
    if isinstance(index, pd.RangeIndex):
        return integers(index)
    return _column(walk, index.array)


def _frequency(walk: Walk, value: pd.Index[Any]) -> list[object]:
    """Return the digest of the frequency of an index of times that has one: ``shift()`` reads it."""
    is_of_times = isinstance(value, (pd.DatetimeIndex, pd.TimedeltaIndex))
    frequency = getattr(value, "freq", None) if is_of_times else None
    return [] if frequency is None else [member(walk.digest(frequency))]


@handles(pd.api.extensions.ExtensionArray, subclasses=True)
def _array(walk: Walk, value: pd.api.extensions.ExtensionArray) -> bytes:
    return seal("pandas array", member(_column(walk, value)))


def _named(walk: Walk, name: object, values: Array) -> bytes:
    try:
        return _column(walk, values)
    except Refusal as refusal:
        refusal.path.append((ITEM, name))
        raise


def _extras(walk: Walk, value: pd.DataFrame | pd.Series[Any]) -> list[object]:
    """Return the digests of what a frame or series has beside its data: attrs, what subclasses add, flags."""
    added = list(value._metadata)  # noqa: SLF001  # pandas' protocol for subclasses
    own = {name: getattr(value, name, None) for name in added if name != "name"}
    attrs = member(walk.at(ATTRIBUTE, "attrs", value.attrs))
    flags = [] if value.flags.allows_duplicate_labels else ["no duplicate labels"]
    return [attrs, member(walk.digest(own)), *flags]


def _column(walk: Walk, values: Array) -> bytes:
    """Return the digest of an array that pandas holds: its dtype and its values."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) or type(values) is pd.arrays.NumpyExtensionArray:
        return numpy_array(walk, values.to_numpy())
    parts: tuple[object, ...]
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
        return with_class(handler(object))(walk, values)
    digests = [member(walk.digest(part)) for part in parts]
    return seal("pandas column", str(dtype), digests)


def _arrow(values: Array) -> pa.ChunkedArray | list[object]:
    import pyarrow as pa

    try:
        found = pa.array(values)
    except UnicodeEncodeError:  # text that no file can hold
        items: list[object] = values.tolist()
        return items
    if not isinstance(found, pa.ChunkedArray):
        found = pa.chunked_array([found])
    if isinstance(values.dtype, pd.StringDtype):
        found = found.cast(pa.large_string())
    return found


@handles(pd.Timestamp)
def _timestamp(_: Walk, value: pd.Timestamp) -> bytes:
    count = int(value.to_datetime64().astype("i8"))
    return seal("pandas.Timestamp", value.unit, count, _zone(value.tz), value.fold)


def _zone(value: dt.tzinfo | None) -> str | None:
    """Spell a time zone, whichever library it is of; two of fixed offset may have one name."""
    if value is None:
        return None
    is_offset = isinstance(value, dt.timezone) and value is not dt.UTC
    return repr(value) if is_offset else str(value)


@handles(pd.Timedelta)
def _timedelta(_: Walk, value: pd.Timedelta) -> bytes:
    count = int(value.to_timedelta64().astype("i8"))
    return seal("pandas.Timedelta", value.unit, count)


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
    said = dict(sorted(value.kwds.items()))
    said.pop("calendar", None)  # made of the holidays
    return seal(
        "pandas offset",
        type(value).__name__,
        value.n,
        value.normalize,
        member(walk.digest(said)),
    )


@handles(pd.api.extensions.ExtensionDtype, subclasses=True)
def _dtype(walk: Walk, value: pd.api.extensions.ExtensionDtype) -> bytes:
    if re.match(r"pandas(\.core\..*)?$", type(value).__module__) is None:
        # Somebody else's, a unit or a coordinate system in it.
        return handler(object)(walk, value)
    parts: tuple[object, ...] = ()
    if isinstance(value, pd.CategoricalDtype):
        parts = (value.categories.rename(None), value.ordered)
    digests = [member(walk.digest(part)) for part in parts]
    return seal("pandas dtype", str(value), digests)
