"""columns: the columns of pandas as plain Arrow arrays.

Each dtype has a rule that takes a column apart, and a twin that puts it together.
Nothing is inferred: a dtype without a rule is left to pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from nbflow._store.codecs.arrays import object_array
from nbflow._store.codecs.plain import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable
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
            array = array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                raise UnfitError  # more text than one array can address
        self.arrays.append(array)
        return len(self.arrays) - 1


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


def read_values(description: list[Any], columns: list[pa.Array]) -> Extension:
    """The array that was described; often a view of the payload: copy to change it."""
    kind, *rest = description
    return _DTYPES[kind].read(columns, *rest)


def _write_numpy(array: Array, columns: Columns, writer: Writer) -> Description:
    import numpy as np
    import pyarrow as pa

    dtype = array.dtype
    if dtype.kind == "O":
        return ["object", [writer.wire(item) for item in array.tolist()]]
    if dtype.kind not in "biufmM" or not dtype.isnative:
        raise UnfitError
    if dtype.itemsize > np.dtype("i8").itemsize:
        raise UnfitError
    # Times as their integers: NaT is one of them, while Arrow would make it null.
    plain = array.view("i8") if dtype.kind in "mM" else array
    column = pa.array(np.ascontiguousarray(plain), from_pandas=False)
    return ["numpy", columns.add(column), dtype.str]


def _read_numpy(columns: list[pa.Array], position: int, dtype: str) -> Array:
    # A copy for booleans alone, whose bits are unpacked.
    array: Array = columns[position].to_numpy(zero_copy_only=False)
    return array if array.dtype == dtype else array.view(dtype)


def _write_zoned(array: Extension, columns: Columns, writer: Writer) -> Description:
    import pyarrow as pa

    position = columns.add(pa.array(array.asi8))
    return [position, array.dtype.unit, writer.wire(array.dtype.tz)]


def _read_zoned(
    columns: list[pa.Array], position: int, unit: str, tz: tzinfo
) -> Extension:
    import pandas as pd

    stamps = pd.DatetimeIndex(columns[position].to_numpy().view(f"M8[{unit}]"))
    return stamps.tz_localize("UTC").tz_convert(tz).array


def _write_period(array: Extension, columns: Columns, _: Writer) -> Description:
    import pandas as pd
    import pyarrow as pa

    name = array.dtype.name
    if pd.PeriodDtype.construct_from_string(name) != array.dtype:
        raise UnfitError
    return [columns.add(pa.array(array.asi8)), name]


def _read_period(columns: list[pa.Array], position: int, name: str) -> Extension:
    import pandas as pd

    dtype: Any = pd.PeriodDtype.construct_from_string(name)
    return pd.arrays.PeriodArray(columns[position].to_numpy(), dtype=dtype)


def _write_interval(array: Extension, columns: Columns, writer: Writer) -> Description:
    left = write_values(array.left, columns, writer)
    right = write_values(array.right, columns, writer)
    return [left, right, array.closed]


def _read_interval(
    columns: list[pa.Array],
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
    columns: list[pa.Array],
    position: int,
    categories: pd.Index,
    ordered: bool,  # noqa: FBT001  # from a description, by position
) -> Extension:
    import pandas as pd

    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return pd.Categorical.from_codes(columns[position].to_numpy(), dtype=dtype)


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
    columns: list[pa.Array],
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


def _read_arrow(columns: list[pa.Array], position: int) -> Extension:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(columns[position])


def _read_masked(columns: list[pa.Array], position: int) -> Extension:
    import pandas as pd

    column = columns[position]
    mask = column.is_null().to_numpy(zero_copy_only=False)
    filled = column.fill_null(False if column.type == "bool" else 0)
    values = filled.to_numpy(zero_copy_only=False)
    # Not the dtype's own __from_arrow__: it takes NaN for missing.
    if values.dtype.kind == "b":
        return pd.arrays.BooleanArray(values, mask)
    if values.dtype.kind == "f":
        return pd.arrays.FloatingArray(values, mask)
    return pd.arrays.IntegerArray(values, mask)


def _read_object(_: list[pa.Array], items: list[object]) -> Array:
    return object_array(items)


class _Rule(NamedTuple):
    """How columns of one dtype are taken apart, and put together."""

    write: Callable[[Extension, Columns, Writer], Description]
    read: Callable[..., Extension]


_DTYPES: dict[str, _Rule] = {
    "numpy": _Rule(_write_numpy, _read_numpy),
    "object": _Rule(_write_numpy, _read_object),
    "DatetimeTZDtype": _Rule(_write_zoned, _read_zoned),
    "PeriodDtype": _Rule(_write_period, _read_period),
    "IntervalDtype": _Rule(_write_interval, _read_interval),
    "CategoricalDtype": _Rule(_write_categorical, _read_categorical),
    "StringDtype": _Rule(_write_string, _read_string),
    "ArrowDtype": _Rule(_write_arrow, _read_arrow),
    **dict.fromkeys(_MASKED, _Rule(_write_arrow, _read_masked)),
}
