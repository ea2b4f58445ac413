"""pandas frames, series, indexes and scalars come back in every detail that pandas compares, and some more."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd
from test_codec import assert_same, round_trip

from nbflow._store.codec import decode, encode

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def assert_same_index(a: pd.Index, b: pd.Index) -> None:
    """Class, dtype, names with their types, frequency, levels and categories."""
    pd.testing.assert_index_equal(a, b, exact=True, check_exact=True, check_order=True)
    assert type(a) is type(b)
    assert_same(list(a.names), list(b.names))
    assert getattr(a, "freq", None) == getattr(b, "freq", None)
    if isinstance(a, pd.MultiIndex):
        for one, other in zip(a.levels, b.levels, strict=True):
            assert_same_index(one, other)
        assert [list(each) for each in a.codes] == [list(each) for each in b.codes]
    assert_same_cells(a.to_series(), b.to_series())


def assert_same_cells(a: pd.Series, b: pd.Series) -> None:
    """dtype in full, missing values by kind, and object cells by type."""
    assert a.dtype == b.dtype
    assert repr(a.dtype) == repr(b.dtype)
    assert type(a.array) is type(b.array)
    if a.dtype == object:
        assert_same(a.tolist(), b.tolist())
    elif isinstance(a.dtype, np.dtype):
        assert a.to_numpy().tobytes() == b.to_numpy().tobytes()
    elif isinstance(a.dtype, pd.CategoricalDtype):
        assert_same_index(a.dtype.categories, b.dtype.categories)
        assert a.dtype.ordered == b.dtype.ordered


def assert_same_frame(a: pd.DataFrame, b: pd.DataFrame) -> None:
    """As pandas compares most strictly, and labels, attrs, flags, every column's dtype and cells."""
    assert type(a) is type(b)
    pd.testing.assert_frame_equal(
        a,
        b,
        check_exact=True,
        check_freq=True,
        check_column_type="equiv",
        check_index_type=True,
        check_flags=True,
    )
    assert_same_index(a.index, b.index)
    assert_same_index(a.columns, b.columns)
    assert_same(a.attrs, b.attrs)
    for position in range(a.shape[1]):
        assert_same_cells(a.iloc[:, position], b.iloc[:, position])


def with_attrs(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame that knows where it came from."""
    frame.attrs = {"source": ("api", 1)}
    return frame.set_flags(allows_duplicate_labels=False)


STAMPS = pd.to_datetime(["2026-01-01 00:00", None, "2026-10-25 02:30"])
COLUMNS = {
    "bool": pd.Series([True, False, True]),
    **{
        name: pd.Series([1, 0, 3], dtype=name)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint64")
    },
    **{name: pd.Series([np.nan, -0.0, np.inf], dtype=name) for name in ("float16", "float32", "float64")},
    **{unit: pd.Series(STAMPS).astype(f"M8[{unit}]") for unit in ("s", "ms", "us", "ns")},
    **{f"m{unit}": pd.Series(pd.to_timedelta([1, None, 3])).astype(f"m8[{unit}]") for unit in ("s", "ns")},
    "zone": pd.Series(STAMPS.tz_localize(BERLIN, ambiguous=True)).dt.as_unit("us"),
    "utc": pd.Series(STAMPS.tz_localize("UTC")),
    "offset": pd.Series(STAMPS.tz_localize(dt.timezone(dt.timedelta(hours=2)))),
    "period": pd.Series(pd.PeriodIndex(["2026-01", None, "2026-03"], freq="M")),
    "quarter": pd.Series(pd.period_range("2026", periods=3, freq="Q-NOV")),
    "interval": pd.Series(pd.arrays.IntervalArray.from_tuples([(0, 1), None, (1, 2)], closed="left")),
    "stamps": pd.Series(pd.interval_range(pd.Timestamp("2026", tz="UTC"), periods=3)),
    "category": pd.Series(pd.Categorical(["b", None, "a"], categories=["unused", "b", "a"], ordered=True)),
    "numbers": pd.Series(pd.Categorical([3, 1, 3])),
    "days": pd.Series(pd.Categorical(pd.to_datetime(["2026-01-01", "2026-01-01", None]))),
    "Int64": pd.Series([1, pd.NA, 2**62 + 1], dtype="Int64"),
    "UInt8": pd.Series([1, pd.NA, 255], dtype="UInt8"),
    "boolean": pd.Series([True, pd.NA, False], dtype="boolean"),
    "Float64": pd.Series(pd.arrays.FloatingArray(np.array([1.5, np.nan, 0]), np.array([False, False, True]))),
    "Float32": pd.Series([1.5, pd.NA, 2], dtype="Float32"),
    "str": pd.Series(["a", None, "é"], dtype="str"),
    "string": pd.Series(["a", pd.NA, ""], dtype="string"),
    "python": pd.Series(["a", pd.NA, "\ud800"], dtype=pd.StringDtype("python")),
    "pyarrow": pd.Series(["a", pd.NA, ""], dtype=pd.StringDtype("pyarrow")),
    "arrow int": pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.int32())),
    "arrow text": pd.Series(["a", None, ""], dtype=pd.ArrowDtype(pa.string())),
    "arrow list": pd.Series([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
    "arrow struct": pd.Series([{"a": 1}, None, {"a": 2}], dtype=pd.ArrowDtype(pa.struct({"a": pa.int8()}))),
    "arrow stamp": pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.timestamp("ms", "UTC"))),
    "arrow decimal": pd.Series(
        [Decimal("1.10"), None, Decimal(2)], dtype=pd.ArrowDtype(pa.decimal128(10, 3))
    ),
    "objects": pd.Series([1, True, "1"], dtype=object),
    "missing": pd.Series([None, np.nan, pd.NA], dtype=object),
    "times": pd.Series([pd.NaT, pd.Timestamp("2026"), dt.date(2026, 1, 1)], dtype=object),
    "lists": pd.Series([[1, 2], [3, 4], (5, 6)], dtype=object),
    "texts": pd.Series(["a", "b", None], dtype=object),
    "bytes": pd.Series([b"a", b"", None], dtype=object),
    "dicts": pd.Series([{"a": 1}, {}, None], dtype=object),
}  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_every_dtype_comes_back(column):
    """As a column, as a series, as an index, empty, and inside other data."""
    frame = pd.DataFrame({"x": column, "n": range(3)})
    assert_same_frame(round_trip(frame, "arrow"), frame)
    assert_same_frame(round_trip(frame.iloc[:0], "arrow"), frame.iloc[:0])
    assert_same_frame(round_trip([{"f": frame}], "msgpack")[0]["f"], frame)
    back = round_trip(column, "arrow")
    pd.testing.assert_series_equal(back, column, check_exact=True, check_freq=True)
    assert_same_cells(back, column)
    if (
        column.dtype != "float16"
        and not column.map(lambda cell: isinstance(cell, (list, dict))).any()
    ):
        index = pd.Index(column, dtype=column.dtype, name=("n", 1))
        assert_same_index(round_trip(index, "arrow"), index)
        by_index = pd.DataFrame({"n": range(3)}, index=index)
        assert_same_frame(round_trip(by_index, "arrow"), by_index)


def test_long_text_goes_the_same_way_in_columns_of_its_own():
    """Few strings live in the description, many in an Arrow stream: the same dtype either way."""
    for dtype in (
        "str",
        "string",
        pd.StringDtype("python"),
        pd.StringDtype("pyarrow"),
        object,
    ):
        frame = pd.DataFrame(
            {"t": pd.Series([None, *(f"text {n}" for n in range(2000))], dtype=dtype)}
        )
        assert_same_frame(round_trip(frame, "arrow"), frame)
        assert_same_frame(
            round_trip(frame.set_index("t"), "arrow"), frame.set_index("t")
        )
    lone = pd.DataFrame(
        {"t": pd.Series(["\ud800"] * 2000, dtype=pd.StringDtype("python"))}
    )
    assert_same_frame(round_trip(lone, "pickle"), lone)


FRAMES = {
    "empty": pd.DataFrame(),
    "no columns": pd.DataFrame(index=[3, 1]),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="int8"), "b": pd.Series([], dtype="str")}),
    "range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(10, 4, -3, name="r")),
    "number labels": pd.DataFrame([[1, 2.5]], columns=[0, 1]),
    "mixed labels": pd.DataFrame([[1, 2, 3, 4]], columns=[1, "1", None, ("a", 2)]),
    "duplicate labels": pd.DataFrame([[1, "x", 2.5]], columns=["a", "a", "b"], index=["i"]),
    "named columns": pd.DataFrame([[1]], columns=pd.Index(["a"], name=("odd", 1))),
    "date columns": pd.DataFrame([[1, 2]], columns=pd.date_range("2026", periods=2, freq="MS", name="month")),
    "multi columns": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None])
    ),
    "multi index": pd.DataFrame(
        {"v": range(3)}, pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", None)])
    ),
    "unused level": pd.DataFrame({"v": range(4)}, pd.MultiIndex.from_product([["a", "b"], [1, 2]])).loc[
        ["b"]
    ],
    "deep index": pd.DataFrame(
        {"v": range(2)},
        pd.MultiIndex.from_arrays(
            [pd.date_range("2026", periods=2, tz=BERLIN), pd.Categorical(["x", "y"])], names=[0, ""]
        ),
    ),
    "freq": pd.DataFrame(
        {"v": range(4)}, pd.date_range("2026-01-01", periods=4, freq="2h", tz=BERLIN, name="t")
    ),
    "business": pd.DataFrame({"v": range(4)}, pd.date_range("2026-01-01", periods=4, freq="BME")),
    "weeks": pd.DataFrame({"v": range(4)}, pd.date_range("2026-01-01", periods=4, freq="W-WED", unit="s")),
    "steps": pd.DataFrame({"v": range(4)}, pd.timedelta_range("1h", periods=4, freq="90min")),
    "periods": pd.DataFrame({"v": range(4)}, pd.period_range("2026", periods=4, freq="D")),
    "attrs": with_attrs(pd.DataFrame({"a": [1]})),
    "strided": pd.DataFrame(np.arange(12.0).reshape(3, 4)).T.iloc[::2],
    "slices": pd.DataFrame({"a": range(10), "s": list("abcdefghij")}).iloc[2:5],
}  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_shapes_labels_and_indexes_come_back(frame):
    """Frames as people make them."""
    assert_same_frame(round_trip(frame, "arrow"), frame)
    assert_same_index(round_trip(frame.index, "arrow"), frame.index)
    assert_same_index(round_trip(frame.columns, "arrow"), frame.columns)
    for position in range(frame.shape[1]):
        series = frame.iloc[:, position]
        back = round_trip(series, "arrow")
        pd.testing.assert_series_equal(
            back, series, check_exact=True, check_freq=True, check_flags=True
        )
        assert_same((back.name, back.attrs), (series.name, series.attrs))


class Frame(pd.DataFrame):
    """A subclass, as geopandas makes one."""

    @property
    def _constructor(self):
        return Frame


SHARED = [1]
UNUSUAL = {
    "sparse": pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1])}),
    "complex": pd.DataFrame({"a": [1 + 2j]}),
    "longdouble": pd.DataFrame({"a": np.array([1.5], dtype=np.longdouble)}),
    "big endian": pd.DataFrame({"a": np.array([1.5], dtype=">f8")}),
    "shared cells": pd.DataFrame({"a": pd.Series([SHARED, SHARED], dtype=object)}),
    "odd cells": pd.DataFrame({"a": [type, 1]}),
    "offset with arguments": pd.DataFrame(
        {"a": [1, 2]}, pd.date_range("2026", periods=2, freq=pd.DateOffset(months=1))
    ),
    "subclass": Frame({"a": [1]}),
}


@pytest.mark.parametrize("frame", UNUSUAL.values(), ids=UNUSUAL)
def test_what_arrow_loses_goes_to_pickle(frame):
    """No dtype is approximated: what has no rule is pickled whole."""
    assert_same_frame(round_trip(frame, "pickle"), frame)


@settings(deadline=None)  # the first example imports much
@given(
    hpd.data_frames(
        [
            hpd.column("i", dtype="int64"),
            hpd.column("f", dtype="float64"),
            hpd.column("t", dtype="M8[ns]"),
            hpd.column("s", elements=st.text() | st.none(), dtype=object),
            hpd.column("b", dtype=bool),
        ],
        index=hpd.range_indexes() | hpd.indexes(dtype="int64"),
    )
)
def test_frames_round_trip(frame):
    """Any values, any number of rows."""
    assert_same_frame(round_trip(frame, "arrow"), frame)


def test_results_are_writable_and_their_own():
    """A frame from a checkpoint is edited in place like any other; neither the payload nor a twin changes."""
    frame = pd.DataFrame(
        {"a": [1, 2], "b": [0.5, 1.5], "s": ["x", "y"], "c": pd.Categorical(["u", "v"])}
    )
    codec, payload = encode(frame)
    before = bytes(bytearray(payload))
    first, second = decode(codec, payload), decode(codec, payload)
    first.loc[0, ["a", "b", "s", "c"]] = [9, 9.5, "z", "v"]
    column = decode(codec, payload)["b"].copy()
    column.iloc[0] = 3
    series_codec, series_payload = encode(frame["a"])
    series = decode(series_codec, series_payload)
    series.iloc[0] = 7
    assert series.tolist() == [7, 2]
    assert first.loc[0].tolist() == [9, 9.5, "z", "v"]
    assert_same_frame(second, frame)
    assert payload == before
    assert len(second._mgr.blocks) <= 5


@pytest.mark.parametrize(
    "value",
    [
        *(pd.NaT, pd.NA, pd.Timestamp("2026-01-01 01:02:03.123456789")),
        *(
            pd.Timestamp("2026-10-25 01:30", tz="UTC").tz_convert(BERLIN),
            pd.Timestamp("2026", tz="UTC").as_unit("s"),
        ),
        *(
            pd.Timedelta("1d 2ns"),
            pd.Timedelta("1d").as_unit("ms"),
            pd.Period("2026-01", "M"),
            pd.Period("2026Q1", "Q-NOV"),
        ),
        *(
            pd.Interval(0, 1, "both"),
            pd.Interval(pd.Timestamp("2026"), pd.Timestamp("2027")),
        ),
    ],
    ids=repr,
)
def test_scalars_come_back(value):
    """Type, value, unit, zone and fold."""
    back = round_trip([value], "msgpack")[0]
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    for name in ("unit", "tz", "fold", "freq"):
        assert getattr(back, name, None) == getattr(value, name, None)
    if value is pd.NaT or value is pd.NA:
        assert back is value
    else:
        assert back == value
        assert hash(back) == hash(value)
