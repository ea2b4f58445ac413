"""polars frames and pyarrow tables come back with their exact types."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import polars.testing
import pyarrow as pa
import pytest
from test_codec import round_trip

from nbflow._store.codec import encode
from nbflow.errors import CodecError

DAY = dt.datetime(2026, 1, 1)
COLUMNS = {
    **{
        str(kind): pl.Series([1, None, 3], dtype=kind)
        for kind in (pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64)
    },
    "bool": pl.Series([True, None, False]),
    "str": pl.Series(["a", None, "é"]),
    "binary": pl.Series([b"a", None, b""]),
    "null": pl.Series([None, None, None], dtype=pl.Null),
    "date": pl.Series([dt.date(2026, 1, 1), None, None]),
    "time": pl.Series([dt.time(1, 2, 3), None, None]),
    **{
        unit: pl.Series([DAY, None, DAY], dtype=pl.Datetime(unit, "Europe/Berlin"))
        for unit in ("ms", "us", "ns")
    },
    "naive": pl.Series([DAY, None, DAY]),
    **{
        f"d{unit}": pl.Series([dt.timedelta(1), None, None], dtype=pl.Duration(unit))
        for unit in ("ms", "us", "ns")
    },
    "decimal": pl.Series([Decimal("1.10"), None, Decimal(-3)], dtype=pl.Decimal(30, 4)),
    "categorical": pl.Series(["b", None, "a"], dtype=pl.Categorical),
    "enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["unused", "b", "a"])),
    "list": pl.Series([[1, None], None, []], dtype=pl.List(pl.Int16)),
    "deep": pl.Series([[{"a": ["x"], "b": None}], None, []]),
    "enums": pl.Series([["a"], None, []], dtype=pl.List(pl.Enum(["b", "a"]))),
    "array": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int8, 2)),
    "struct": pl.Series([{"a": 1, "b": DAY}, {"a": None, "b": None}, None]),
}


def assert_same_series(a: pl.Series, b: pl.Series) -> None:
    """Name, dtype in full, values and missing values."""
    assert (a.name, a.dtype, repr(a.dtype)) == (b.name, b.dtype, repr(b.dtype))
    polars.testing.assert_series_equal(a, b, check_exact=True, check_order=True)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_every_polars_dtype_comes_back(column):
    """As a series, in a frame, empty, and inside other data."""
    named = column.alias("x")
    assert_same_series(round_trip(named, "arrow"), named)
    assert_same_series(round_trip(named.clear(), "arrow"), named.clear())
    frame = pl.DataFrame({"n": [1, 2, 3], "x": column})
    back = round_trip({"f": [frame]}, "msgpack")["f"][0]
    assert back.schema == frame.schema
    assert_same_series(back["x"], frame["x"])


def test_floats_of_polars_keep_nan_and_signs():
    """NaN is no null, -0.0 is not 0.0."""
    values = pl.Series("f", [float("nan"), -0.0, None, float("-inf")])
    back = round_trip(values, "arrow")
    assert back.null_count() == 1
    assert (
        back.fill_null(0).to_numpy().tobytes()
        == values.fill_null(0).to_numpy().tobytes()
    )


@pytest.mark.parametrize("rows", [0, 1, 70_000, 300_000])
def test_frames_of_any_size_come_back(rows):
    """Small frames are written as streams, large ones as files; several chunks are one frame."""
    frame = pl.DataFrame(
        {"n": range(rows), "s": [f"s{n}" for n in range(rows)]},
        schema={"n": pl.Int64, "s": pl.String},
    )
    for each in (frame, pl.concat([frame, frame], rechunk=False), frame[rows // 3 :]):
        polars.testing.assert_frame_equal(round_trip(each, "arrow"), each)
    assert round_trip(pl.DataFrame(), "arrow").shape == (0, 0)


def test_polars_objects_have_no_codec():
    """Arrow cannot carry them and neither does the pickle of polars: the refusal names the column's place."""
    frame = pl.DataFrame({"o": pl.Series([object(), {1}], dtype=pl.Object)})
    with pytest.raises(CodecError, match="value"):
        encode({"x": frame})


def with_metadata(table: pa.Table) -> pa.Table:
    """A table whose schema and fields say more than types."""
    field = pa.field("a", pa.int64(), nullable=False, metadata={"unit": "m"})
    return table.cast(pa.schema([field], metadata={"who": "me"}))


TABLES = {
    "plain": pa.table({"a": [1, None], "s": ["x", None]}),
    "empty": pa.table({}),
    "no rows": pa.table({"a": pa.array([], pa.list_(pa.int8()))}),
    "no columns": pa.table({"a": [1, 2]}).select([]),
    "duplicates": pa.table([pa.array([1]), pa.array(["x"])], names=["a", "a"]),
    "metadata": with_metadata(pa.table({"a": [1, 2]})),
    "chunks": pa.table(
        {"a": pa.chunked_array([[1], [], [2, 3]]), "b": pa.chunked_array([["x", "y"], ["z"]])}
    ),
    "dictionary": pa.table({"d": pa.array(["a", "b", "a"]).dictionary_encode()}),
    "dictionaries": pa.table(
        {"d": pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()])}
    ),
    "times": pa.table(
        {"t": pa.array([1, None], pa.timestamp("ns", "UTC")), "d": pa.array([86_400_000, None], pa.date64())}
    ),
    "nested": pa.table({"m": pa.array([[("k", [1])], None], pa.map_(pa.string(), pa.list_(pa.int8())))}),
    "half": pa.table(
        {
            "h": pa.array([np.float16(1.5)], pa.float16()),
            "x": pa.array([Decimal("1.0")], pa.decimal256(50, 1)),
        }
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_arrow_tables_come_back(table):
    """Schema with metadata, rows, and the same for their batches and columns."""
    back = round_trip(table, "arrow")
    assert back.equals(table, check_metadata=True)
    assert (type(back), back.num_rows) == (pa.Table, table.num_rows)
    for batch in table.to_batches()[:1]:
        assert round_trip(batch, "arrow").equals(batch, check_metadata=True)
        assert isinstance(round_trip(batch, "arrow"), pa.RecordBatch)
    for column in table.columns:
        assert round_trip(column, "arrow").equals(column)
        assert isinstance(round_trip(column, "arrow"), pa.ChunkedArray)
        for chunk in column.chunks:
            back = round_trip([chunk], "msgpack")[0]
            assert back.equals(chunk)
            assert (type(back), back.type) == (type(chunk), chunk.type)


def test_an_empty_batch_is_a_batch():
    """No row, yet its schema."""
    batch = pa.RecordBatch.from_pylist([], schema=pa.schema({"a": pa.int8()}))
    assert round_trip(batch, "arrow").equals(batch)
    assert round_trip(pa.array([], pa.int8()), "arrow").equals(pa.array([], pa.int8()))
    assert round_trip(pa.chunked_array([], pa.int8()), "arrow").equals(
        pa.chunked_array([], pa.int8())
    )


class Meters(pa.ExtensionType):
    """A type whose meaning is registered in this process only."""

    def __init__(self):
        super().__init__(pa.float64(), "nbflow.test.meters")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


def test_extension_types_are_left_to_pickle():
    """Arrow would silently give back their storage where the type is not registered."""
    array = pa.ExtensionArray.from_storage(Meters(), pa.array([1.5]))
    back = round_trip(array, "pickle")
    assert (back.type, back.equals(array)) == (Meters(), True)
    assert encode(pa.table({"a": array}))[0] == "pickle"
    assert (
        encode(pa.table({"a": pa.StructArray.from_arrays([array], ["x"])}))[0]
        == "pickle"
    )


def test_arrow_data_that_arrow_calls_invalid_is_left_to_pickle():
    """It exists all the same (a date64 that is no whole day) and must not be lost on reading."""
    table = pa.table({"d": pa.array([1, 2], pa.date64())})
    assert round_trip(table, "pickle").equals(table)


def test_what_is_no_table_of_arrow_goes_to_pickle():
    """Schemas, types and scalars."""
    for value in (pa.schema({"a": pa.int8()}), pa.int8(), pa.scalar(1)):
        assert round_trip(value, "pickle") == value
