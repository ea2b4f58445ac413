"""columns: the columns of pandas as plain Arrow arrays.

Each dtype has a rule that takes a column apart, and a twin that puts it together.
Nothing is inferred: a dtype without a rule is left to pickle.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from msgspec import Raw

from nbflow._store.codecs.arrays import object_array
from nbflow._store.codecs.plain import UnfitError, encode
from nbflow._store.codecs.rows import as_one

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    import pandas as pd
    import pyarrow as pa

    from nbflow._store.codecs.arrays import Array
    from nbflow._store.codecs.plain import Writer

#: What a column is written as: positions in `Columns`, and what msgpack can hold.
Description: TypeAlias = "list[object]"
Closed: TypeAlias = Literal["left", "right", "both", "neither"]
#: An extension array of pandas; each rule knows the attributes of its own kind.
Extension: TypeAlias = Any

# Fewer strings than this are cheaper in the description than as an Arrow stream of
# their own.
_FEW = 1000
#: Bytes of an item of numpy, at most, for which Arrow has a type.
_WIDEST = 8
_TEXTS = frozenset((str, type(None)))
#: The description of columns that lie row by row; others begin with a list.
_ROWS = "rows"
_MASKED = (
    "BooleanDtype",
    "Float32Dtype",
    "Float64Dtype",
    "Int8Dtype",
    "Int16Dtype",
    "Int32Dtype",
    "Int64Dtype",
    "UInt8Dtype",
    "UInt16Dtype",
    "UInt32Dtype",
    "UInt64Dtype",
)


class Columns:
    """Arrow arrays of one length; a description refers to them by position."""

    def __init__(self) -> None:
        self.arrays: list[pa.Array] = []

    def add(self, array: pa.Array | pa.ChunkedArray) -> int:
        """Take an Arrow array, the chunks of a chunked one as one; returns its position."""
        import pyarrow as pa

        if isinstance(array, pa.ChunkedArray):
            # Of a single chunk this would make a copy.
            is_one = array.num_chunks == 1
            array = array.chunk(0) if is_one else array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                raise UnfitError  # more text than one array can address
        self.arrays.append(array)
        return len(self.arrays) - 1


class SavedColumns:
    """The same as they were read.

    Args:
        arrays: the Arrow arrays.
        memory: what they lie in, if that can be written to and nobody else reads it.
    """

    def __init__(self, arrays: list[pa.Array], memory: memoryview | None) -> None:
        self._arrays = arrays
        self._memory: Array | None = None
        if memory is not None:
            import numpy as np

            self._memory = np.frombuffer(memory, np.uint8)

    @property
    def owned(self) -> bool:
        """Whether what `numpy` returns may be changed."""
        return self._memory is not None

    def __getitem__(self, position: int) -> pa.Array:
        return self._arrays[position]

    def numpy(self, position: int) -> Array:
        """The values of an array as they lie in memory, flat; whatever lies under nulls, too.

        A copy for booleans alone, whose bits are unpacked.
        """
        import pyarrow as pa

        column = self._arrays[position]
        if pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        if column.null_count and column.type != pa.bool_():
            _, data = column.buffers()
            parts = (column.type, len(column), [None, data], 0, column.offset)
            column = pa.Array.from_buffers(*parts)
        array: Array = column.to_numpy(zero_copy_only=False)
        if self._memory is None or array.flags.writeable or not array.size:
            return array
        return _part_of(self._memory, array)


def _part_of(memory: Array, array: Array) -> Array:
    """``array``, which Arrow gives as read-only, as a part of the memory that it lies in."""
    start = array.ctypes.data - memory.ctypes.data
    inside = 0 <= start <= memory.size - array.nbytes
    if not (inside and array.flags.c_contiguous):
        return array.copy()
    return memory[start : start + array.nbytes].view(array.dtype)


def write_values(
    values: pd.Series | pd.Index, columns: Columns, writer: Writer
) -> Description:
    """Describe a Series or an Index, its dtype by a rule of ``_DTYPES``."""
    import numpy as np

    if isinstance(values.dtype, np.dtype):
        return _write_numpy(values.to_numpy(), columns, writer)
    dtype = type(values.dtype)
    rule = _DTYPES.get(dtype.__name__)
    if rule is None or dtype.__module__.partition(".")[0] != "pandas":
        raise UnfitError
    return [dtype.__name__, *rule.write(values.array, columns, writer)]


def read_values(description: list[Any], columns: SavedColumns) -> Extension:
    """The array that was described, in the memory of the payload: `SavedColumns.owned` says who may change it."""
    kind, *rest = description
    return _DTYPES[kind].read(columns, *rest)


def _write_numpy(array: Array, columns: Columns, writer: Writer) -> Description:
    import numpy as np
    import pyarrow as pa

    dtype = array.dtype
    if dtype.kind == "O":
        return _write_objects(array, columns, writer)
    if dtype.kind not in "biufmM" or not dtype.isnative:
        raise UnfitError
    if dtype.itemsize > _WIDEST:
        raise UnfitError
    # Times as their integers: NaT is one of them, while Arrow would make it null.
    plain = array.view("i8") if dtype.kind in "mM" else array
    column = pa.array(np.ascontiguousarray(plain), from_pandas=False)
    return ["numpy", columns.add(column), dtype.str]


def write_rows(values: Sequence[pd.Series], columns: Columns) -> Description | None:
    """Describe all columns of a frame if they lie row by row in one array; ``None`` if not.

    One by one they would be copied, an item here and an item there.
    """
    import numpy as np
    import pyarrow as pa

    if len(values) <= 1 or not all(
        isinstance(each.dtype, np.dtype) and each.dtype.isnative for each in values
    ):
        return None
    table = as_one([each.to_numpy() for each in values])
    if table is None or not table.flags.c_contiguous or table.itemsize > _WIDEST:
        return None
    flat = pa.array(table.reshape(-1), from_pandas=False)
    size = table.shape[1]
    position = columns.add(pa.FixedSizeListArray.from_arrays(flat, size))
    return [_ROWS, position, size]


def read_rows(description: list[Any], columns: SavedColumns) -> list[Array] | None:
    """The twin of `write_rows`; ``None`` for columns that were described one by one."""
    if not description or description[0] != _ROWS:
        return None
    _, position, size = description
    return list(columns.numpy(position).reshape(-1, size).T)


def _read_numpy(columns: SavedColumns, position: int, dtype: str) -> Array:
    array = columns.numpy(position)
    return array if array.dtype == dtype else array.view(dtype)


def _write_zoned(array: Extension, columns: Columns, writer: Writer) -> Description:
    import pyarrow as pa

    position = columns.add(pa.array(array.asi8))
    return [position, array.dtype.unit, writer.wire(array.dtype.tz)]


def _read_zoned(
    columns: SavedColumns, position: int, unit: str, tz: tzinfo
) -> Extension:
    import pandas as pd

    stamps = pd.DatetimeIndex(columns.numpy(position).view(f"M8[{unit}]"))
    return stamps.tz_localize("UTC").tz_convert(tz).array


def _write_period(array: Extension, columns: Columns, _: Writer) -> Description:
    import pandas as pd
    import pyarrow as pa

    name = array.dtype.name
    if pd.PeriodDtype.construct_from_string(name) != array.dtype:
        raise UnfitError
    return [columns.add(pa.array(array.asi8)), name]


def _read_period(columns: SavedColumns, position: int, name: str) -> Extension:
    import pandas as pd

    dtype: Any = pd.PeriodDtype.construct_from_string(name)
    return pd.arrays.PeriodArray(columns.numpy(position), dtype=dtype)


def _write_interval(array: Extension, columns: Columns, writer: Writer) -> Description:
    left = write_values(array.left, columns, writer)
    right = write_values(array.right, columns, writer)
    return [left, right, array.closed]


def _read_interval(
    columns: SavedColumns,
    left: list[object],
    right: list[object],
    closed: Closed,
) -> Extension:
    import pandas as pd

    return pd.arrays.IntervalArray.from_arrays(
        read_values(left, columns), read_values(right, columns), closed
    )


def _write_categorical(
    array: Extension, columns: Columns, writer: Writer
) -> Description:
    import pyarrow as pa

    position = columns.add(pa.array(array.codes))
    return [position, writer.wire(array.categories), array.ordered]


def _read_categorical(
    columns: SavedColumns,
    position: int,
    categories: pd.Index,
    ordered: bool,  # noqa: FBT001  # from a description, by position
) -> Extension:
    import pandas as pd

    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return pd.Categorical.from_codes(columns.numpy(position), dtype=dtype)


def _write_string(array: Extension, columns: Columns, writer: Writer) -> Description:
    import pandas as pd

    missing_is_na = array.dtype.na_value is pd.NA
    # With this suffix pandas 2 says that a missing text is NaN.
    storage = array.dtype.storage.removesuffix("_numpy")
    if len(array) >= _FEW:
        return [columns.add(array.__arrow_array__()), storage, missing_is_na, None]
    texts = array.to_numpy(object, na_value=None)
    return [None, storage, missing_is_na, [writer.wire(item) for item in texts]]


def _read_string(
    columns: SavedColumns,
    position: int | None,
    storage: str,
    missing_is_na: bool,  # noqa: FBT001  # from a description, by position
    few: list[object],
) -> Extension:
    import pandas as pd
    import pyarrow as pa

    make: Any = pd.StringDtype  # its stubs know two storages only, and no na_value
    missing = {} if missing_is_na else {"na_value": float("nan")}
    try:
        dtype = make(storage, **missing)
    except TypeError:  # pandas 2
        dtype = make(f"{storage}_numpy")
    if position is None:
        return pd.array(object_array(few), dtype=dtype)
    return dtype.__from_arrow__(pa.chunked_array([columns[position]]))


def _write_arrow(array: Extension, columns: Columns, _: Writer) -> Description:
    return [columns.add(array.__arrow_array__())]


def _read_arrow(columns: SavedColumns, position: int) -> Extension:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(columns[position])


def _read_masked(columns: SavedColumns, position: int) -> Extension:
    import pandas as pd

    column = columns[position]
    mask = column.is_null().to_numpy(zero_copy_only=False)
    if column.type == "bool":
        filled = column.fill_null(False)
        return pd.arrays.BooleanArray(filled.to_numpy(zero_copy_only=False), mask)
    values = columns.numpy(position)
    if column.null_count:
        values = values if values.flags.writeable else values.copy()
        values[mask] = 0
    # Not the dtype's own __from_arrow__: it takes NaN for missing.
    if values.dtype.kind == "f":
        return pd.arrays.FloatingArray(values, mask)
    return pd.arrays.IntegerArray(values, mask)


def _write_objects(array: Array, columns: Columns, writer: Writer) -> Description:
    """Describe objects: many texts as a column, other plain data in one go."""
    items = array.tolist()
    if len(items) >= _FEW and (texts := _texts(items)) is not None:
        return ["texts", columns.add(texts)]
    if writer.native(items):
        # What msgpack refuses is written one by one, or left to pickle.
        with contextlib.suppress(UnicodeEncodeError, OverflowError):
            return ["object", Raw(encode(items))]
    return ["object", [writer.wire(item) for item in items]]


def _texts(items: list[object]) -> pa.Array | None:
    """Objects that are texts or ``None`` as a column of text; ``None`` if there are others."""
    import pyarrow as pa

    if not _TEXTS.issuperset(map(type, items)):
        return None
    try:
        return pa.array(items, pa.large_string())
    except UnicodeEncodeError:  # half a character
        return None


def _read_object(_: SavedColumns, items: list[object]) -> Array:
    return object_array(items)


def _read_texts(columns: SavedColumns, position: int) -> Array:
    array: Array = columns[position].to_numpy(zero_copy_only=False)
    return array


class _Rule(NamedTuple):
    """How columns of one dtype are taken apart, and put together."""

    write: Callable[[Extension, Columns, Writer], Description]
    read: Callable[..., Extension]


_DTYPES: dict[str, _Rule] = {
    "numpy": _Rule(_write_numpy, _read_numpy),
    "object": _Rule(_write_numpy, _read_object),
    "texts": _Rule(_write_numpy, _read_texts),
    "DatetimeTZDtype": _Rule(_write_zoned, _read_zoned),
    "PeriodDtype": _Rule(_write_period, _read_period),
    "IntervalDtype": _Rule(_write_interval, _read_interval),
    "CategoricalDtype": _Rule(_write_categorical, _read_categorical),
    "StringDtype": _Rule(_write_string, _read_string),
    "ArrowDtype": _Rule(_write_arrow, _read_arrow),
    **dict.fromkeys(_MASKED, _Rule(_write_arrow, _read_masked)),
}
