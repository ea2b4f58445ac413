"""pandas: frames, series and indexes as Arrow columns and a description of all that Arrow does not know.

Every dtype is taken apart into plain Arrow arrays by a rule of its own and put together by the twin of that rule;
nothing is inferred. What has a length of its own (categories, levels, labels) is an index in the description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

from nbflow._state import _tags as tags
from nbflow._state._arrays import object_array
from nbflow._state._plain import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._state._plain import Read, ReadExtension, Writer

# Fewer strings than this are cheaper in the description than as an Arrow stream of their own.
_FEW = 1000
_INDEXES = ("Index", "DatetimeIndex", "TimedeltaIndex", "PeriodIndex", "IntervalIndex", "CategoricalIndex")
_MASKED = (
    *("BooleanDtype", "Float32Dtype", "Float64Dtype", "Int8Dtype", "Int16Dtype", "Int32Dtype", "Int64Dtype"),
    *("UInt8Dtype", "UInt16Dtype", "UInt32Dtype", "UInt64Dtype"),
)


class Columns:
    """Arrow arrays of one length; a description refers to them by position."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []

    def add(self, array: Any) -> int:
        """Take an Arrow array (the chunks of a chunked one become one); its position."""
        import pyarrow as pa

        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):  # more text than one array can address
                raise UnfitError
        self.arrays.append(array)
        return len(self.arrays) - 1


def frame_kind(cls: type) -> str | None:
    """The kind that ``cls``, a class of pandas, is written as; ``None`` for those that are no columns."""
    import pandas as pd

    if cls in (pd.DataFrame, pd.Series):
        return f"pandas.{cls.__name__}"
    return "pandas.Index" if issubclass(cls, pd.Index) else None


def write_frame(kind: str, value: Any, columns: Columns, writer: Writer) -> Any:
    """Add the columns of ``value`` to ``columns``; the description in terms of msgpack.

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
        return [*common, writer.wire(value.name), _write_values(value, columns, writer)]
    series = (value.iloc[:, position] for position in range(value.shape[1]))
    return [*common, writer.wire(value.columns), [_write_values(each, columns, writer) for each in series]]


def read_frame(kind: str, description: Any, columns: list[Any]) -> Any:
    """The twin of ``write_frame``: fresh and writable."""
    import pandas as pd

    if kind == "pandas.Index":
        return _read_index(description, columns)
    index, attrs, duplicates, name, values = description
    index = _read_index(index, columns)
    if kind == "pandas.Series":
        array = _read_values(values, columns).copy()
        result: Any = pd.Series(array, index=index, name=name, dtype=array.dtype, copy=False)
    else:
        arrays = (_read_values(each, columns) for each in values)
        # By position, because labels may repeat.
        data = {at: _column(each, index) for at, each in enumerate(arrays)}
        result = pd.DataFrame(data, index=index, copy=True)
        result.columns = name
    result.attrs = attrs
    if not duplicates:
        result.flags.allows_duplicate_labels = False
    return result


def _column(array: Any, index: Any) -> Any:
    """``array`` for a frame; objects as a Series, because pandas looks for strings in an object array."""
    import pandas as pd

    return pd.Series(array, index, dtype=object, copy=False) if array.dtype == object else array


def _write_index(index: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pandas as pd

    cls: type = type(index)
    if cls is pd.RangeIndex:
        return ["range", index.start, index.stop, index.step, writer.wire(index.name)]
    if cls is pd.MultiIndex:
        levels = [writer.wire(level) for level in index.levels]
        codes = [_write_values(pd.Series(each), columns, writer) for each in index.codes]
        return ["multi", levels, codes, [writer.wire(name) for name in index.names], index.sortorder]
    if cls not in [getattr(pd, name) for name in _INDEXES]:
        raise UnfitError
    return ["values", _write_values(index, columns, writer), writer.wire(index.name), _write_freq(index)]


def _read_index(description: list[Any], columns: list[Any]) -> Any:
    import pandas as pd

    kind, *rest = description
    if kind == "range":
        start, stop, step, name = rest
        return pd.RangeIndex(start, stop, step, name=name)
    if kind == "multi":
        levels, codes, names, sortorder = rest
        arrays = [_read_values(each, columns).copy() for each in codes]
        make: Any = pd.MultiIndex  # its stubs know no sortorder
        return make(levels, arrays, sortorder=sortorder, names=names)
    values, name, freq = rest
    array = _read_values(values, columns)
    index = pd.Index(array, dtype=array.dtype, name=name, copy=True, tupleize_cols=False)
    if freq is not None:
        index.freq = freq
    return index


def _write_freq(index: Any) -> Any:
    import pandas as pd

    if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) or index.freq is None:
        return None
    freq = index.freqstr
    try:
        known = pd.tseries.frequencies.to_offset(freq) == index.freq
    except ValueError:
        known = False
    if not known:  # an offset with arguments that its name does not tell
        raise UnfitError
    return freq


def _write_values(values: Any, columns: Columns, writer: Writer) -> list[Any]:
    """Describe a Series or an Index, its dtype by a rule of ``_DTYPES``."""
    import numpy as np

    if isinstance(values.dtype, np.dtype):
        return _write_numpy(values.to_numpy(), columns, writer)
    name = type(values.dtype).__name__
    if type(values.dtype).__module__.partition(".")[0] != "pandas" or name not in _DTYPES:
        raise UnfitError
    return [name, *_DTYPES[name][0](values.array, columns, writer)]


def _read_values(description: list[Any], columns: list[Any]) -> Any:
    kind, *rest = description
    return _DTYPES[kind][1](columns, *rest)


def _write_numpy(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import numpy as np
    import pyarrow as pa

    dtype = array.dtype
    if dtype.kind == "O":
        return ["object", [writer.wire(item) for item in array.tolist()]]
    if dtype.kind not in "biufmM" or not dtype.isnative or dtype.itemsize > np.dtype("i8").itemsize:
        raise UnfitError
    # Times as their integers: NaT is one of them, while Arrow would make it null.
    plain = array.view("i8") if dtype.kind in "mM" else array
    return ["numpy", columns.add(pa.array(np.ascontiguousarray(plain), from_pandas=False)), dtype.str]


def _read_numpy(columns: list[Any], position: int, dtype: str) -> Any:
    array = columns[position].to_numpy(zero_copy_only=False)  # bits of booleans are unpacked
    return array if array.dtype == dtype else array.view(dtype)


def _write_zoned(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pyarrow as pa

    return [columns.add(pa.array(array.asi8)), array.dtype.unit, writer.wire(array.dtype.tz)]


def _read_zoned(columns: list[Any], position: int, unit: str, tz: Any) -> Any:
    import pandas as pd

    stamps = pd.DatetimeIndex(columns[position].to_numpy().view(f"M8[{unit}]"))
    return stamps.tz_localize("UTC").tz_convert(tz).array


def _write_period(array: Any, columns: Columns, _: Writer) -> list[Any]:
    import pandas as pd
    import pyarrow as pa

    name = array.dtype.name
    if pd.PeriodDtype.construct_from_string(name) != array.dtype:
        raise UnfitError
    return [columns.add(pa.array(array.asi8)), name]


def _read_period(columns: list[Any], position: int, name: str) -> Any:
    import pandas as pd

    dtype: Any = pd.PeriodDtype.construct_from_string(name)
    return pd.arrays.PeriodArray(columns[position].to_numpy(), dtype=dtype)


def _write_interval(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    sides = [_write_values(side, columns, writer) for side in (array.left, array.right)]
    return [*sides, array.closed]


def _read_interval(columns: list[Any], left: list[Any], right: list[Any], closed: Any) -> Any:
    import pandas as pd

    return pd.arrays.IntervalArray.from_arrays(_read_values(left, columns), _read_values(right, columns), closed)


def _write_categorical(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pyarrow as pa

    return [columns.add(pa.array(array.codes)), writer.wire(array.categories), array.ordered]


def _read_categorical(columns: list[Any], position: int, categories: Any, ordered: Any) -> Any:
    import pandas as pd

    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return pd.Categorical.from_codes(columns[position].to_numpy(), dtype=dtype)


def _write_string(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pandas as pd

    missing_is_na = array.dtype.na_value is pd.NA
    storage = array.dtype.storage.removesuffix("_numpy")  # how pandas 2 says that missing is NaN
    if len(array) < _FEW:
        return [None, storage, missing_is_na, [writer.wire(item) for item in array.to_numpy(object, na_value=None)]]
    return [columns.add(array.__arrow_array__()), storage, missing_is_na, None]


def _read_string(columns: list[Any], position: int | None, storage: Any, missing_is_na: Any, few: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    try:
        dtype: Any = pd.StringDtype(storage) if missing_is_na else pd.StringDtype(storage, na_value=float("nan"))
    except TypeError:  # pandas 2
        dtype = pd.StringDtype(f"{storage}_numpy")
    if position is None:
        return pd.array(object_array(few), dtype=dtype)
    return dtype.__from_arrow__(pa.chunked_array([columns[position]]))


def _write_masked(array: Any, columns: Columns, _: Writer) -> list[Any]:
    return [columns.add(array.__arrow_array__())]


def _read_masked(columns: list[Any], position: int) -> Any:
    import pandas as pd

    column = columns[position]
    mask = column.is_null().to_numpy(zero_copy_only=False)
    values = column.fill_null(False if column.type == "bool" else 0).to_numpy(zero_copy_only=False)
    # Not the dtype's own __from_arrow__: it takes NaN for missing.
    kinds = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
    return kinds.get(values.dtype.kind, pd.arrays.IntegerArray)(values, mask)


def _write_arrow(array: Any, columns: Columns, _: Writer) -> list[Any]:
    return [columns.add(array.__arrow_array__())]


def _read_arrow(columns: list[Any], position: int) -> Any:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(columns[position])


def _read_object(_: list[Any], items: list[Any]) -> Any:
    return object_array(items)


_Rule = tuple["Callable[[Any, Columns, Writer], list[Any]]", "Callable[..., Any]"]
_DTYPES: dict[str, _Rule] = {
    "numpy": (_write_numpy, _read_numpy),
    "object": (_write_numpy, _read_object),
    "DatetimeTZDtype": (_write_zoned, _read_zoned),
    "PeriodDtype": (_write_period, _read_period),
    "IntervalDtype": (_write_interval, _read_interval),
    "CategoricalDtype": (_write_categorical, _read_categorical),
    "StringDtype": (_write_string, _read_string),
    "ArrowDtype": (_write_arrow, _read_arrow),
    **dict.fromkeys(_MASKED, (_write_masked, _read_masked)),
}


def write_scalar(value: Any, writer: Writer) -> Ext:
    """An extension for a single value of pandas."""
    import pandas as pd

    cls = type(value)
    if value is pd.NaT or value is pd.NA:
        return Ext(tags.NOT_A_TIME if value is pd.NaT else tags.NOT_AVAILABLE, b"")
    if cls is pd.Timestamp:
        return writer.ext(tags.TIMESTAMP, (int(value.asm8.view("i8")), value.unit, value.tz))
    if cls is pd.Timedelta:
        return writer.ext(tags.PANDAS_TIMEDELTA, (int(value.asm8.view("i8")), value.unit))
    if cls is pd.Period and pd.PeriodDtype(value.freqstr) == pd.PeriodDtype(value.freq):
        return writer.ext(tags.PERIOD, (value.ordinal, value.freqstr))
    if cls is pd.Interval:
        return writer.ext(tags.INTERVAL, (value.left, value.right, value.closed))
    raise UnfitError


def _read_timestamp(data: memoryview, read: Read) -> Any:
    import numpy as np
    import pandas as pd

    moment, unit, tz = read(data)
    stamp = pd.Timestamp(np.datetime64(moment, unit))
    return stamp if tz is None else stamp.tz_localize("UTC").tz_convert(tz)


def _read_timedelta(data: memoryview, read: Read) -> Any:
    import numpy as np
    import pandas as pd

    return pd.Timedelta(np.timedelta64(*read(data)))


def _read_period_scalar(data: memoryview, read: Read) -> Any:
    import pandas as pd

    ordinal, freq = read(data)
    return pd.Period(ordinal=ordinal, freq=freq)


def _read_interval_scalar(data: memoryview, read: Read) -> Any:
    import pandas as pd

    return pd.Interval(*read(data))


def _read_missing(name: str) -> ReadExtension:
    def read(_: memoryview, __: Read) -> Any:
        import pandas as pd

        return getattr(pd, name)

    return read


READERS: dict[int, ReadExtension] = {
    tags.TIMESTAMP: _read_timestamp,
    tags.PANDAS_TIMEDELTA: _read_timedelta,
    tags.PERIOD: _read_period_scalar,
    tags.INTERVAL: _read_interval_scalar,
    tags.NOT_A_TIME: _read_missing("NaT"),
    tags.NOT_AVAILABLE: _read_missing("NA"),
}
