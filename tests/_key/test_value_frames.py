"""Frames and arrays are keyed by what they say: names, dtypes, order and values, not by their layout."""

import datetime as dt
import decimal
import itertools
import pickle
import zoneinfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from nbflow._key.reader import digest
from nbflow._store import codec
from nbflow.errors import UnkeyableError

ROWS = {"a": [1, 2, 3, 4], "b": ["x", "y", "x", None], "c": [1.0, None, 3.0, 4.0]}


def distinct(*values):
    seen = {}
    for value in values:
        assert seen.setdefault(digest(value), value) is value


def same(*values):
    assert len({digest(value) for value in values}) == 1


def test_numpy_dtype_shape_and_type_count():
    distinct(
        *(
            np.array([1]),
            np.array([1], "i4"),
            np.array([1.0]),
            np.array([[1]]),
            np.array(1),
            np.array([1], "u8"),
        ),
        *(
            np.array(["1"]),
            np.array([b"1"]),
            np.array([1], object),
            np.array([True]),
            np.array([1], ">i8"),
        ),
        *(
            np.array([], "f8"),
            np.empty((0, 2)),
            np.empty((2, 0)),
            np.array(["2026"], "M8[D]"),
            np.array(["2026"], "M8[s]"),
        ),
        *(
            np.float64(1),
            np.float32(1),
            np.int64(1),
            np.str_("1"),
            np.bool_(True),
            1.0,
            1,
            "1",
            True,
        ),
        *(
            np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
            np.array([(1, 2.0)], [("a", "i4"), ("c", "f8")]),
        ),
        *(
            np.ma.array([1, 2], mask=[0, 1]),
            np.ma.array([1, 2], mask=[1, 0]),
            np.array([1, 2]),
            np.longdouble(1),
        ),
        *(np.matrix([1]), np.dtype("f8"), np.dtype("f4"), np.sum, np.mean, np.add),
    )


def test_numpy_layout_does_not_count():
    grid = np.arange(24.0).reshape(2, 3, 4)
    same(grid, np.asfortranarray(grid), grid.copy(), grid[::-1][::-1])
    same(grid[:, ::2, 1], grid[:, ::2, 1].copy())
    same(np.broadcast_to(np.array([1, 2]), (3, 2)), np.array([[1, 2]] * 3))
    aligned = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    same(
        np.array([(1, 2.0)], aligned), np.array([(1, 2.0)], [("a", "i1"), ("b", "f8")])
    )


def test_a_styled_frame_is_refused():
    pytest.importorskip("jinja2")
    with pytest.raises(UnkeyableError, match="pass the frame"):
        digest(pd.DataFrame({"a": [1]}).style)


def test_what_lies_under_a_mask_does_not_count():
    same(np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 3], mask=[0, 1]))


def test_all_nans_in_arrays_and_columns_are_one():
    one, other = np.array([1.0, np.nan]), np.array([1.0, -np.nan])
    other.view("u8")[1] |= 1
    assert one.tobytes() != other.tobytes()
    same(one, other)
    same(one + 0j, other + 0j)
    same(pd.Series(one), pd.Series(other))
    same(pl.Series(one), pl.Series(other))
    same(pa.array(one), pa.array(other))
    distinct(np.array([0.0]), np.array([-0.0]))


def test_a_memory_map_is_its_content(tmp_path):
    stored = np.memmap(tmp_path / "a", "i8", "w+", shape=(3,))
    same(stored, np.zeros(3, "i8"))


SERIES = [
    *(
        pd.Series([1]),
        pd.Series([1.0]),
        pd.Series([1], name="a"),
        pd.Series([1], index=[1]),
        pd.Series([1], index=["0"]),
    ),
    *(
        pd.Series([1], dtype=kind)
        for kind in ("Int64", "Int32", "Float64", "category", object, "int64[pyarrow]")
    ),
    *(pd.Series(["a"], dtype=kind) for kind in ("string", "category", object)),
    *(
        [pd.Series(["a"])] if pd.Series(["a"]).dtype != object else []
    ),  # text has a dtype of its own since pandas 3
    *(
        pd.Series(pd.Categorical(["a"], ["a", "b"])),
        pd.Series(pd.Categorical(["a"], ordered=True)),
    ),
    *(
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1, 0], dtype="Int64"),
        pd.Series([True, None], dtype="boolean"),
    ),
    *(
        pd.to_datetime(pd.Series(["2026"])).dt.tz_localize(zone)
        for zone in (None, "UTC", "Europe/Berlin")
    ),
    *(
        pd.Series([dt.date(2026, 1, 1)]),
        pd.Series([decimal.Decimal(1)]),
        pd.Series([[1]]),
        pd.Series([(1,)]),
    ),
    *(pd.Series(pd.period_range("2026", periods=1, freq=freq)) for freq in "DM"),
    *(
        pd.Series(pd.interval_range(0, 1, closed=closed))
        for closed in ("left", "right")
    ),
    *(
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series([np.nan]),
        pd.Series([pd.NaT]),
    ),
    *(
        pd.Series([None], dtype=object),
        pd.Series([np.nan], dtype=object),
        pd.Series([pd.NA], dtype=object),
    ),
    *(
        pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        pd.Series([pd.Timedelta(1)]),
        pd.Series([], dtype="f8"),
    ),
]


def test_pandas_series_of_different_content_or_dtype_differ():
    digests = [digest(series) for series in SERIES]
    alike = {
        (a, b) for a in range(len(SERIES)) for b in range(a) if digests[a] == digests[b]
    }
    assert alike == set()


@pytest.mark.parametrize("series", SERIES, ids=lambda series: str(series.dtype))
def test_a_copied_or_concatenated_series_is_the_same(series):
    same(series, series.copy(), series.iloc[:])
    if series.name is None and len(series) > 1:
        same(series, pd.concat([series.iloc[:1], series.iloc[1:]]))


def test_pandas_frames():
    frame = pd.DataFrame(ROWS)
    noted = frame.copy()
    noted.attrs["source"] = "a.csv"
    distinct(
        *(
            frame,
            frame[["b", "a", "c"]],
            frame.rename(columns={"a": "d"}),
            frame.astype({"a": "int32"}),
            frame.iloc[::-1],
        ),
        *(
            frame.set_index("a"),
            frame.set_index("a", drop=False),
            frame[:3],
            noted,
            frame.rename_axis("i"),
            frame.head(0),
        ),
        *(
            frame.assign(a=[1, 2, 3, 5]),
            frame.rename_axis("c", axis=1),
            pd.DataFrame(),
            pd.DataFrame(index=[1]),
        ),
        *(
            frame.astype({"b": "category"}),
            frame.astype({"b": "string"}),
            pl.DataFrame(ROWS),
            pa.table(ROWS),
            ROWS,
        ),
    )
    same(
        *(
            frame,
            frame.copy(),
            pd.concat([frame[:2], frame[2:]]),
            frame[["a"]].join(frame[["b", "c"]]),
        ),
        *(frame.iloc[[0, 1, 2, 3]], frame.set_axis(pd.Index([0, 1, 2, 3]))),
    )
    doubled = pd.DataFrame([[1, 2]], columns=["a", "a"])
    distinct(doubled, doubled.iloc[:, ::-1])


def test_a_column_changed_in_place_is_noticed():
    frame = pd.DataFrame(ROWS)
    before = digest(frame)
    frame.loc[1, "b"] = "z"
    assert digest(frame) != before


def test_how_pandas_stores_text_does_not_count():
    same(
        *(
            pd.Series(["a", None], dtype=f"string[{storage}]")
            for storage in ("python", "pyarrow")
        )
    )


def test_pandas_indexes():
    product = pd.MultiIndex.from_product([[1, 2, 3], ["a"]])
    same(pd.RangeIndex(3), pd.Index([0, 1, 2]))
    same(
        product[:2],
        product[:2].remove_unused_levels(),
        pd.MultiIndex.from_tuples([(1, "a"), (2, "a")]),
    )
    dates = pd.date_range("2026", periods=2, freq="D")
    bare = pd.DatetimeIndex(list(dates), dtype=dates.dtype)
    same(bare, dates._with_freq(None))
    same(dates, pd.DatetimeIndex(dates, freq="D"), codec.decode(*codec.encode(dates)))
    distinct(
        bare,
        pd.timedelta_range("1D", periods=2),
        pd.timedelta_range("1D", periods=2)._with_freq(None),
        product,
        product.set_names(["x", "y"]),
        product[::-1],
        pd.Index([1]),
        pd.Index([1], name="a"),
        pd.Series([1]),
        dates,
    )


def test_whether_labels_may_be_there_twice_counts():
    df = pd.DataFrame({"a": [1]})
    strict = df.set_flags(allows_duplicate_labels=False)
    distinct(df, strict, df["a"], df["a"].set_flags(allows_duplicate_labels=False))
    same(strict, codec.decode(*codec.encode(strict)))


def test_pandas_scalars():
    stamp = pd.Timestamp("2026-11-23 12:00")
    distinct(
        *(
            stamp,
            stamp.tz_localize("UTC"),
            stamp.tz_localize("Europe/Berlin"),
            stamp.to_pydatetime(),
            stamp + pd.Timedelta(1, "us"),
        ),
        *(
            pd.NaT,
            pd.NA,
            None,
            np.nan,
            pd.Timedelta(1),
            pd.Period("2026", "D"),
            pd.Period("2026", "M"),
            pd.Interval(0, 1),
        ),
        *(
            pd.Interval(0, 1, "left"),
            pd.Categorical(["a"]),
            pd.CategoricalDtype(["a"]),
            pd.CategoricalDtype(["b"]),
        ),
        *(
            pd.offsets.MonthEnd(),
            pd.offsets.MonthEnd(2),
            pd.offsets.Day(),
            pd.offsets.MonthEnd(normalize=True),
        ),
    )


def test_all_there_is_to_an_offset_counts():
    offsets = pd.offsets
    distinct(
        *(
            offsets.CustomBusinessDay(),
            offsets.CustomBusinessDay(holidays=["2026-01-01"]),
            offsets.CustomBusinessDay(weekmask="Mon Tue"),
        ),
        *(
            offsets.BusinessHour(start="09:00"),
            offsets.BusinessHour(start="10:00"),
            offsets.Week(),
            offsets.Week(weekday=1),
        ),
        *(
            pd.DateOffset(days=3),
            pd.DateOffset(day=3),
            pd.DateOffset(days=4),
            offsets.YearEnd(month=3),
            offsets.YearEnd(month=4),
        ),
    )
    same(
        *(
            offsets.CustomBusinessDay(holidays=days)
            for days in (["2026-01-01"], [pd.Timestamp("2026-01-01")])
        )
    )
    same(pd.DateOffset(days=3, hours=2), pd.DateOffset(hours=2, days=3))


def test_time_zones_count_by_name_whoever_made_them_and_fixed_ones_by_offset():
    pytz = pytest.importorskip("pytz")
    naive = pd.Series(pd.to_datetime(["2026-01-01"]))
    same(
        *(
            naive.dt.tz_localize(zone)
            for zone in (
                zoneinfo.ZoneInfo("Europe/Berlin"),
                pytz.timezone("Europe/Berlin"),
            )
        )
    )
    instant = naive.dt.tz_localize("UTC")
    zones = [dt.timezone(dt.timedelta(hours=hours), "office") for hours in (1, 2)]
    distinct(*(instant.dt.tz_convert(zone) for zone in zones))
    distinct(*(instant[0].tz_convert(zone) for zone in zones))


def test_what_the_list_of_categories_is_called_does_not_count():
    named = pd.Index(["a", "b"], name="x")
    same(pd.Categorical(["a"], ["a", "b"]), pd.Categorical(["a"], named))
    same(pd.CategoricalDtype(["a", "b"]), pd.CategoricalDtype(named))


def test_columns_are_called_the_same_in_every_dtype_of_text():
    frame = pd.DataFrame({"a": [1], "b": [2]})
    same(
        frame,
        *(
            frame.set_axis(frame.columns.astype(dtype), axis=1)
            for dtype in (object, "string")
        ),
    )
    distinct(
        frame,
        frame.set_axis([0, 1], axis=1),
        frame.set_axis(["a", 1], axis=1),
        frame.set_axis(["a", None], axis=1),
    )


def test_text_that_is_no_utf8_is_keyed_in_every_dtype():
    columns = [
        pd.Series([text, None], dtype=dtype)
        for text in ("\ud800", "\ud801")
        for dtype in (object, pd.StringDtype("python"))
    ]
    distinct(*columns)
    same(columns[1], columns[1].copy())


def test_a_hard_mask_counts():
    distinct(np.ma.array([1], mask=[1]), np.ma.array([1], mask=[1], hard_mask=True))


def test_masked_is_a_value():
    same(np.ma.masked, np.ma.array([1], mask=[1])[0])
    distinct(np.ma.masked, np.ma.array(1.0, mask=True), None)


@pytest.mark.skipif(
    not hasattr(np.dtypes, "StringDType"), reason="numpy 1 has no text of any length"
)
def test_numpy_text_of_any_length_is_keyed_by_its_text():
    kind = np.dtypes.StringDType()
    long = "b" * 50
    same(
        np.array(["a", long], kind),
        np.array(["x", "a", long], kind)[1:],
        np.array(["a", long], kind)[::-1][::-1],
    )
    distinct(
        np.array(["a", long], kind),
        np.array(["a", long + "b"], kind),
        np.array(["a", long]),
        np.array(["a", long], object),
    )


@pytest.mark.skipif(not hasattr(pl, "Int128"), reason="polars has them since 1.18")
def test_polars_integers_that_arrow_does_not_have():
    series = pl.Series([1, None, 2**100], dtype=pl.Int128)
    same(series, series.clone(), pl.concat([series[:1], series[1:]], rechunk=False))
    distinct(
        series,
        series[:2],
        pl.Series([1, None, 2**100 + 1], dtype=pl.Int128),
        pl.Series([1, None], dtype=pl.Int64),
    )


def test_a_subclass_of_a_frame_counts_what_it_adds():
    class Located(pd.DataFrame):
        _metadata = ["place"]

    one, other = Located(ROWS), Located(ROWS)
    one.place, other.place = "here", "there"
    distinct(one, other, pd.DataFrame(ROWS))


def test_a_column_that_cannot_be_keyed_is_named():
    with pytest.raises(
        UnkeyableError, match=r'^frame\["made"\]\[1\] is a list_iterator'
    ):
        digest(pd.DataFrame({"made": [1, iter([])]}), "frame")


POLARS = pl.DataFrame(
    {
        **ROWS,
        "list": [[1], None, [], [2, 3]],
        "struct": [{"x": 1}, None, {"x": 3}, {"x": None}],
        "cat": pl.Series(["u", None, "w", "u"], dtype=pl.Categorical),
        "bool": [True, None, False, True],
        "cats": pl.Series([["u"], None, ["w"], []], dtype=pl.List(pl.Categorical)),
        "pair": pl.Series([[1, 2], None, [3, 4], [5, 6]], dtype=pl.Array(pl.Int8, 2)),
        "when": [dt.datetime(2026, 1, day) for day in range(1, 5)],
        "price": [decimal.Decimal("1.5"), None, None, decimal.Decimal("2.5")],
        "raw": [b"a", None, b"", b"bc"],
    }
)


def test_polars_chunks_do_not_count():
    parts = pl.concat([POLARS[:1], POLARS[1:3], POLARS[3:]], rechunk=False)
    assert parts.n_chunks() == 3
    same(POLARS, parts, parts.rechunk(), POLARS.clone())
    same(POLARS[1:3], POLARS[1:3].rechunk(), parts[1:3])
    for name in POLARS.columns:
        same(
            POLARS[name],
            parts[name],
            pl.Series(name, POLARS[name].to_list(), dtype=POLARS[name].dtype),
        )


def test_polars_content_counts():
    distinct(
        *(
            POLARS,
            POLARS.rename({"a": "d"}),
            POLARS.reverse(),
            POLARS[:3],
            POLARS.drop("a"),
            POLARS.select(pl.all().exclude("b"), "b"),
        ),
        *(
            POLARS.with_columns(pl.col(name).shift(1))
            for name in POLARS.columns
            if name not in ("cats", "pair")
        ),
        *(
            pl.Series([1]),
            pl.Series([1], dtype=pl.Int8),
            pl.Series("a", [1]),
            pl.Series([None]),
            pl.Series([None], dtype=pl.Int8),
        ),
        *(
            pl.Series(["a"]),
            *(
                pl.Series(["a"], dtype=kind)
                for kind in (pl.Categorical, pl.Enum(["a"]), pl.Enum(["a", "b"]))
            ),
        ),
        *(
            pl.Series([[1, 2], []]),
            pl.Series([[1], [2]]),
            pl.Series([[1, 2], None]),
            pl.Series([{"a": None}]),
            pl.Series([1, 2]),
        ),
        *(
            pl.Series([object], dtype=pl.Object),
            pl.DataFrame(),
            pl.Series([{"a": 1}]),
            pl.Series([None], dtype=pl.Struct({"a": pl.Int64})),
        ),
    )


def test_polars_categories_are_text():
    pl.Series(["w", "v"], dtype=pl.Categorical)  # takes the first codes
    same(POLARS["cat"], pl.Series("cat", ["u", None, "w", "u"], dtype=pl.Categorical))


def test_a_long_enum_counts_in_full():
    names = [f"name {n}" for n in range(500)]
    distinct(
        *(
            pl.Series(["name 0"], dtype=pl.Enum(listed))
            for listed in (names, names[:-1], [*names[:-1], "x"])
        )
    )


def test_expressions_of_polars_count_by_what_they_say():
    def price(factor):
        return (pl.col("price") * factor).alias("total")

    assert digest(price(2)) == digest(price(2)) != digest(price(3))


@pytest.mark.parametrize("plan", [POLARS.lazy()], ids=["LazyFrame"])
def test_polars_plans_are_refused(plan):
    with pytest.raises(UnkeyableError):
        digest(plan)


def test_arrow_chunks_and_offsets_do_not_count():
    table = POLARS.to_arrow()
    pieces = pa.concat_tables([table[:1], table[1:3], table[3:]])
    same(table, pieces, pieces.combine_chunks())
    same(table[1:3], pa.concat_tables([table[1:2], table[2:3]]), table.take([1, 2]))
    distinct(
        table,
        table[1:],
        table.to_batches()[0],
        table.replace_schema_metadata({"a": "b"}),
    )


ARROW = [
    pa.array(
        [[("k", 1)], None, [("k", 2), ("l", 3)]], pa.map_(pa.string(), pa.int64())
    ),
    pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
    pa.array([None, b"ab", b"cd"], pa.binary(2)),
    pa.array([None, "a", "a longer text than fits a view"], pa.string_view()),
    pa.array([None, np.float16(1.5), np.float16(2.5)], pa.float16()),
    pa.array([None, decimal.Decimal("1.5"), decimal.Decimal("2.5")]),
    pa.array([dt.timedelta(1), None, dt.timedelta(2)]),
    pa.array([True, None, False]),
    pa.array([None, None, None]),
    pa.array([{"a": [1]}, None, {"a": None}]),
    pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2]),
    pa.array(["a", None, "a"]).dictionary_encode(),
    pa.array([[1], None, [2, 3]], pa.list_view(pa.int64())),
    pa.UnionArray.from_dense(
        pa.array([0, 1, 0], "i1"),
        pa.array([0, 0, 1], "i4"),
        [pa.array([1, 2]), pa.array(["a"])],
    ),
    pa.array([(1, 2, 3), None, (1, 2, 4)], pa.month_day_nano_interval()),
    pa.array([None, decimal.Decimal(1), decimal.Decimal(2)], pa.decimal256(40, 2)),
]


@pytest.mark.parametrize("array", ARROW, ids=lambda array: str(array.type))
def test_every_arrow_type_is_keyed_by_its_items(array):
    halves = pa.chunked_array([array[:1], array[1:]])
    same(pa.chunked_array([array]), halves)
    rebuilt = pa.concat_arrays([array[1:2], array[2:3]])
    same(array[1:], rebuilt)
    if array.null_count < 3:
        distinct(array, array[1:], array[:2], array[2:], halves)


@pytest.mark.parametrize("array", ARROW, ids=lambda array: str(array.type))
def test_an_unpickled_arrow_array_is_the_same(array):
    same(array, pickle.loads(pickle.dumps(array)))


def test_the_dictionary_of_a_dictionary_array_does_not_count():
    same(
        *(
            pa.DictionaryArray.from_arrays(pa.array(codes), words)
            for codes, words in (([0, 1], ["a", "b"]), ([1, 0], ["b", "a"]))
        )
    )
    same(
        *(
            pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))
            for codes, words in (([0, None], ["a"]), ([0, 1], ["a", None]))
        )
    )
    distinct(
        *(
            pa.DictionaryArray.from_arrays(
                pa.array([0, 1], kind), ["a", "b"], ordered=ordered
            )
            for kind in ("i1", "i4")
            for ordered in (True, False)
        )
    )


def test_what_lies_under_a_null_does_not_count():
    valid = pa.py_buffer(b"\x01")
    same(
        *(
            pa.Array.from_buffers(
                pa.int64(), 2, [valid, pa.py_buffer(bytes([1] + [0] * 7 + [rest] * 8))]
            )
            for rest in (0, 7)
        ),
        pa.array([1, None]),
    )


def test_the_notes_pandas_leaves_in_a_schema_count_without_its_version():
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1]}, index=["x"]))
    older = {
        b"pandas": table.schema.metadata[b"pandas"].replace(
            pd.__version__.encode(), b"2.2.0"
        )
    }
    same(table, table.replace_schema_metadata(older))
    distinct(table, table.replace_schema_metadata(None))


def test_arrow_scalars_types_and_schemas():
    distinct(
        pa.scalar(1),
        pa.scalar(1, pa.int8()),
        pa.scalar(None),
        pa.scalar("1"),
        1,
        pa.int64(),
        pa.schema([("a", pa.int64())]),
    )


def test_layout_does_not_count_in_arrays_of_many_pieces():
    grid = np.arange(600_000.0).reshape(600, 1000)
    grid[300, 7] = np.nan
    same(
        grid,
        np.asfortranarray(grid),
        grid[::-1][::-1].copy(),
        grid[::-1].copy()[::-1],
        np.asfortranarray(grid[:, ::-1])[:, ::-1],
    )
    same(grid[:, 3], grid[:, 3].copy(), grid.T.copy()[3])
    same(*(layout(grid.astype(">f8")) for layout in (np.asarray, np.asfortranarray)))
    same(*(layout(grid.astype(complex)) for layout in (np.asarray, np.asfortranarray)))
    things = grid.astype(object)
    same(things, np.asfortranarray(things), things[::-1][::-1])
    packed = np.zeros(100_000, [("a", "i1"), ("b", "f8"), ("c", "U3")])
    same(packed["b"], np.zeros(100_000), packed[::-1]["b"])
    same(packed, packed.astype(np.dtype(packed.dtype.descr, align=True)))


@pytest.mark.parametrize("place", [0, 65_535, 65_536, 150_000, 199_999])
def test_every_item_of_a_long_column_counts(place):
    def changed(values, new):
        return [*values[:place], new, *values[place + 1 :]]

    texts = [f"text {n % 7}" if n % 5 else None for n in range(200_000)]
    numbers = [float(n) for n in range(200_000)]
    for values, new in (
        (texts, "other"),
        (texts, ""),
        (numbers, None),
        (numbers, float("nan")),
    ):
        other = changed(values, new)
        distinct(pd.Series(values, dtype=object), pd.Series(other, dtype=object))
        distinct(pl.Series(values), pl.Series(other))
        distinct(pa.array(values), pa.array(other))
        cuts = [0, place // 2, place, len(values)]
        same(
            pl.Series(other),
            pl.concat(
                [
                    pl.Series(other[a:b], dtype=pl.Series(values).dtype)
                    for a, b in itertools.pairwise(cuts)
                ],
                rechunk=False,
            ),
        )


def test_a_column_of_objects_with_one_odd_item_is_told_from_others():
    dates = [dt.date(2026, 1, 1)] * 3
    stamps = [dt.datetime(2026, 1, 1)] * 3
    prices = [decimal.Decimal("1.0")] * 3
    columns = [
        *(
            dates,
            stamps,
            prices,
            [str(day) for day in dates],
            [str(price) for price in prices],
            [None] * 3,
            [1, "a", None],
        ),
        *(
            [*dates[:2], None],
            [*dates[:2], stamps[0]],
            [*prices[:2], decimal.Decimal(1)],
            ["a", np.nan, None],
            ["a", None, np.nan],
        ),
        *(
            ["a", pd.NA, None],
            ["a", pd.NaT, None],
            ["a", "\ud800", None],
            [2**70, 1, None],
            [[1], (1,), None],
        ),
    ]
    distinct(*(pd.Series(column, dtype=object) for column in columns))
    for column in columns:
        same(
            pd.Series(column, dtype=object),
            pd.Series(list(column), dtype=object).copy(),
        )


def test_a_slice_of_a_polars_struct_is_its_content():
    rows = [{"x": number, "y": str(number), "z": [number]} for number in range(12)]
    whole = pl.Series("c", rows)
    same(whole[6:], pl.Series("c", rows[6:]), whole[3:][3:])
    distinct(
        whole[6:],
        whole[5:11],
        pl.Series("c", [*rows[6:11], {**rows[11], "x": 0}]),
        pl.Series("c", [*rows[6:11], None], dtype=whole.dtype),
    )
