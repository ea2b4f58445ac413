"""frames: pandas.

Frames, series and indexes are written as Arrow columns, and a description of what Arrow
does not know. What has a length of its own (categories, levels, labels) is an index in
the description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

from nbflow._store.codecs import tags
from nbflow._store.codecs.columns import (
    read_rows,
    read_values,
    write_rows,
    write_values,
)
from nbflow._store.codecs.plain import UnfitError
from nbflow._store.codecs.rows import as_one

if TYPE_CHECKING:
    import pandas as pd

    from nbflow._store.codecs.columns import (
        Columns,
        Description,
        Extension,
        SavedColumns,
    )
    from nbflow._store.codecs.plain import Read, ReadExtension, Writer

_INDEXES = (
    "Index",
    "DatetimeIndex",
    "TimedeltaIndex",
    "PeriodIndex",
    "IntervalIndex",
    "CategoricalIndex",
)
#: Columns from which pandas itself calls a frame fragmented.
_MANY = 100


def frame_kind(cls: type) -> str | None:
    """The kind that ``cls``, a class of pandas, is written as.

    ``None`` for a class that is not made of columns.
    """
    import pandas as pd

    if cls in (pd.DataFrame, pd.Series):
        return f"pandas.{cls.__name__}"
    return "pandas.Index" if issubclass(cls, pd.Index) else None


def write_frame(kind: str, value: Any, columns: Columns, writer: Writer) -> Description:
    """Add the columns of ``value`` to ``columns``; returns their description.

    The description is in terms of msgpack.

    Raises:
        UnfitError: a dtype, an index class or a frequency that has no rule here.
    """
    if kind == "pandas.Index":
        return _write_index(value, columns, writer)
    writer.once(value)
    common = [
        _write_index(value.index, columns, writer),
        writer.wire(dict(value.attrs)),
        value.flags.allows_duplicate_labels,
    ]
    if kind == "pandas.Series":
        return [*common, writer.wire(value.name), write_values(value, columns, writer)]
    series = [value.iloc[:, position] for position in range(value.shape[1])]
    return [
        *common,
        writer.wire(value.columns),
        write_rows(series, columns)
        or [write_values(each, columns, writer) for each in series],
    ]


def read_frame(kind: str, description: Any, columns: SavedColumns) -> object:
    """The twin of ``write_frame``: fresh and writable."""
    import pandas as pd

    if kind == "pandas.Index":
        return _read_index(description, columns)
    index_description, attrs, duplicates, name, values = description
    index = _read_index(index_description, columns)
    result: Any  # the stubs know no flags of a Series
    if kind == "pandas.Series":
        array = read_values(values, columns)
        if not columns.owned:
            array = array.copy()
        result = pd.Series(array, index=index, name=name, dtype=array.dtype, copy=False)
    else:
        arrays = read_rows(values, columns)
        if arrays is None:
            arrays = [read_values(each, columns) for each in values]
        result = _assembled(arrays, index, owned=columns.owned)
        result.columns = name
    result.attrs = attrs
    if not duplicates:
        result.flags.allows_duplicate_labels = False
    return result


def _assembled(
    arrays: list[Extension], index: pd.Index, *, owned: bool
) -> pd.DataFrame:
    """A frame of these columns, in their memory if they are ``owned``."""
    import pandas as pd

    if (table := as_one(arrays)) is not None:
        table = table if owned else table.copy(order="K")
        return pd.DataFrame(table, index=index, copy=False)
    # By position, because labels may repeat.
    data = {at: _column(each, index) for at, each in enumerate(arrays)}
    # Many columns in places of their own are slow to compute with: pandas joins them.
    copied = not owned or len(data) > _MANY
    return pd.DataFrame(data, index=index, copy=copied)


def _column(array: Extension, index: pd.Index) -> Extension:
    """``array`` for a frame.

    Objects become a Series, because pandas looks for strings in an object array.
    """
    import pandas as pd

    if array.dtype == object:
        return pd.Series(array, index, dtype=object, copy=False)
    return array


def _write_index(index: Any, columns: Columns, writer: Writer) -> Description:
    import pandas as pd

    cls: type = type(index)
    if cls is pd.RangeIndex:
        return ["range", index.start, index.stop, index.step, writer.wire(index.name)]
    if cls is pd.MultiIndex:
        levels = [writer.wire(level) for level in index.levels]
        codes = [write_values(pd.Series(each), columns, writer) for each in index.codes]
        names = [writer.wire(name) for name in index.names]
        return ["multi", levels, codes, names, index.sortorder]
    if cls not in [getattr(pd, name) for name in _INDEXES]:
        raise UnfitError
    values = write_values(index, columns, writer)
    return ["values", values, writer.wire(index.name), _write_freq(index)]


def _read_index(description: list[Any], columns: SavedColumns) -> pd.Index:
    import pandas as pd

    kind, *rest = description
    if kind == "range":
        start, stop, step, name = rest
        return pd.RangeIndex(start, stop, step, name=name)
    if kind == "multi":
        levels, codes, names, sortorder = rest
        arrays = [read_values(each, columns).copy() for each in codes]
        make: Any = pd.MultiIndex  # its stubs know no sortorder
        multi: pd.Index = make(levels, arrays, sortorder=sortorder, names=names)
        return multi
    values, name, freq = rest
    array = read_values(values, columns)
    index: Any = pd.Index(  # the stubs give it no freq
        array,
        dtype=array.dtype,
        name=name,
        copy=not columns.owned,
        tupleize_cols=False,
    )
    if freq is not None:
        index.freq = freq
    made: pd.Index = index
    return made


def _write_freq(index: pd.Index) -> str | None:
    import pandas as pd

    if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return None
    if index.freq is None:
        return None
    freq = index.freqstr
    try:
        known = pd.tseries.frequencies.to_offset(freq) == index.freq
    except ValueError:
        known = False
    if not known:  # an offset with arguments that are not in its name
        raise UnfitError
    return freq


def write_scalar(value: Any, writer: Writer) -> Ext:
    """An extension for a single value of pandas."""
    import pandas as pd

    if value is pd.NaT:
        return Ext(tags.NOT_A_TIME, b"")
    if value is pd.NA:
        return Ext(tags.NOT_AVAILABLE, b"")
    cls = type(value)
    if cls is pd.Timestamp:
        moment = int(value.asm8.view("i8"))
        return writer.ext(tags.TIMESTAMP, (moment, value.unit, value.tz))
    if cls is pd.Timedelta:
        length = int(value.asm8.view("i8"))
        return writer.ext(tags.PANDAS_TIMEDELTA, (length, value.unit))
    if cls is pd.Period and pd.PeriodDtype(value.freqstr) == pd.PeriodDtype(value.freq):
        return writer.ext(tags.PERIOD, (value.ordinal, value.freqstr))
    if cls is pd.Interval:
        return writer.ext(tags.INTERVAL, (value.left, value.right, value.closed))
    raise UnfitError


def _read_timestamp(data: memoryview, read: Read) -> object:
    import numpy as np
    import pandas as pd

    moment, unit, tz = read(data)
    stamp = pd.Timestamp(np.datetime64(moment, unit))
    return stamp if tz is None else stamp.tz_localize("UTC").tz_convert(tz)


def _read_timedelta(data: memoryview, read: Read) -> pd.Timedelta:
    import numpy as np
    import pandas as pd

    return pd.Timedelta(np.timedelta64(*read(data)))


def _read_period_scalar(data: memoryview, read: Read) -> pd.Period:
    import pandas as pd

    ordinal, freq = read(data)
    return pd.Period(ordinal=ordinal, freq=freq)


def _read_interval_scalar(data: memoryview, read: Read) -> object:
    import pandas as pd

    return pd.Interval(*read(data))


def _read_not_a_time(_: memoryview, __: Read) -> object:
    import pandas as pd

    return pd.NaT


def _read_not_available(_: memoryview, __: Read) -> object:
    import pandas as pd

    return pd.NA


READERS: dict[int, ReadExtension] = {
    tags.TIMESTAMP: _read_timestamp,
    tags.PANDAS_TIMEDELTA: _read_timedelta,
    tags.PERIOD: _read_period_scalar,
    tags.INTERVAL: _read_interval_scalar,
    tags.NOT_A_TIME: _read_not_a_time,
    tags.NOT_AVAILABLE: _read_not_available,
}
