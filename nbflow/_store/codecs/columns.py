"""Columns of pandas as plain Arrow arrays: one rule per dtype to take it apart, its twin to put it together.

Nothing is inferred: what has no rule is left to pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow._store.codecs.arrays import object_array
from nbflow._store.codecs.plain import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._store.codecs.plain import Writer

# Fewer strings than this are cheaper in the description than as an Arrow stream of
# their own.
_FEW = 1000
_MASKED = (
    *(
        "BooleanDtype",
        "Float32Dtype",
        "Float64Dtype",
        "Int8Dtype",
        "Int16Dtype",
        "Int32Dtype",
        "Int64Dtype",
    ),
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
            if isinstance(
                array, pa.ChunkedArray
            ):  # more text than one array can address
                raise UnfitError
        self.arrays.append(array)
        return len(self.arrays) - 1


def write_values(values: Any, columns: Columns, writer: Writer) -> list[Any]:
    """Describe a Series or an Index, its dtype by a rule of ``_DTYPES``."""
    import numpy as np

    if isinstance(values.dtype, np.dtype):
        return _write_numpy(values.to_numpy(), columns, writer)
    name = type(values.dtype).__name__
    if (
        type(values.dtype).__module__.partition(".")[0] != "pandas"
        or name not in _DTYPES
    ):
        raise UnfitError
    return [name, *_DTYPES[name][0](values.array, columns, writer)]


def read_values(description: list[Any], columns: list[Any]) -> Any:
    """The array that was described, often a view on the payload: copy before it is changed."""
    kind, *rest = description
    return _DTYPES[kind][1](columns, *rest)


def _write_numpy(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import numpy as np
    import pyarrow as pa

    dtype = array.dtype
    if dtype.kind == "O":
        return ["object", [writer.wire(item) for item in array.tolist()]]
    if (
        dtype.kind not in "biufmM"
        or not dtype.isnative
        or dtype.itemsize > np.dtype("i8").itemsize
    ):
        raise UnfitError
    # Times as their integers: NaT is one of them, while Arrow would make it null.
    plain = array.view("i8") if dtype.kind in "mM" else array
    return [
        "numpy",
        columns.add(pa.array(np.ascontiguousarray(plain), from_pandas=False)),
        dtype.str,
    ]


def _read_numpy(columns: list[Any], position: int, dtype: str) -> Any:
    array = columns[position].to_numpy(
        zero_copy_only=False
    )  # bits of booleans are unpacked
    return array if array.dtype == dtype else array.view(dtype)


def _write_zoned(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pyarrow as pa

    return [
        columns.add(pa.array(array.asi8)),
        array.dtype.unit,
        writer.wire(array.dtype.tz),
    ]


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
    sides = [write_values(side, columns, writer) for side in (array.left, array.right)]
    return [*sides, array.closed]


def _read_interval(
    columns: list[Any], left: list[Any], right: list[Any], closed: Any
) -> Any:
    import pandas as pd

    return pd.arrays.IntervalArray.from_arrays(
        read_values(left, columns), read_values(right, columns), closed
    )


def _write_categorical(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pyarrow as pa

    return [
        columns.add(pa.array(array.codes)),
        writer.wire(array.categories),
        array.ordered,
    ]


def _read_categorical(
    columns: list[Any], position: int, categories: Any, ordered: Any
) -> Any:
    import pandas as pd

    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return pd.Categorical.from_codes(columns[position].to_numpy(), dtype=dtype)


def _write_string(array: Any, columns: Columns, writer: Writer) -> list[Any]:
    import pandas as pd

    missing_is_na = array.dtype.na_value is pd.NA
    storage = array.dtype.storage.removesuffix(
        "_numpy"
    )  # how pandas 2 says that missing is NaN
    if len(array) < _FEW:
        return [
            None,
            storage,
            missing_is_na,
            [writer.wire(item) for item in array.to_numpy(object, na_value=None)],
        ]
    return [columns.add(array.__arrow_array__()), storage, missing_is_na, None]


def _read_string(
    columns: list[Any], position: int | None, storage: Any, missing_is_na: Any, few: Any
) -> Any:
    import pandas as pd
    import pyarrow as pa

    try:
        dtype: Any = (
            pd.StringDtype(storage)
            if missing_is_na
            else pd.StringDtype(storage, na_value=float("nan"))
        )
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
    values = column.fill_null(False if column.type == "bool" else 0).to_numpy(
        zero_copy_only=False
    )
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
