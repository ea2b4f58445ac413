"""A column of results holds what the flows returned, in the library of the batch."""

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf
from nbflow._run import column

NAIVE = dt.datetime(2026, 1, 1)
AWARE = NAIVE.replace(tzinfo=dt.UTC)


@dataclass
class Point:
    x: int


#: Values, and the type of the polars column that holds them all.
TYPED = {
    "lists of ints, then of floats": ([[1, 0], [0.25, 0.75]], pl.List(pl.Float64)),
    "a whole number, then a fraction": ([1, 0.5], pl.Float64),
    "dicts with other fields": (
        [{"a": 1}, {"b": 0.5}, None],
        pl.Struct({"a": pl.Int64, "b": pl.Float64}),
    ),
    "dicts in dicts": (
        [{"a": {"x": 1}}, {"a": {"y": [1]}}],
        pl.Struct({"a": pl.Struct({"x": pl.Int64, "y": pl.List(pl.Int64)})}),
    ),
    "late": ([{"a": 1}] * 200 + [{"b": 2}], pl.Struct({"a": pl.Int64, "b": pl.Int64})),
    "decimals of two scales": ([Decimal("1.5"), Decimal("1.25")], pl.Decimal(38, 2)),
    "a dataclass": ([Point(1), Point(2)], pl.Struct({"x": pl.Int64})),
    "arrays": ([np.arange(2), np.arange(3)], pl.List(pl.Int64)),
    "a large number": ([2**63, 1], pl.UInt64),
    "a number missing": ([2**53 + 1, None], pl.Int64),
    "NaN": ([math.nan, 1.5], pl.Float64),
    "times": ([AWARE, None], pl.Datetime("us", "UTC")),
    "empty lists": ([[], [1]], pl.List(pl.Int64)),
    "tuples": ([(1, 2), (3, 4)], pl.List(pl.Int64)),
}
UNTYPED = {
    "naive and aware times": [NAIVE, AWARE],
    "a date and a time": [dt.date(2026, 1, 1), NAIVE],
    "times of two zones": [
        NAIVE.replace(tzinfo=ZoneInfo("Europe/Berlin")),
        NAIVE.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
    ],
    "a number that no float is": [2**53 + 1, 0.5],
    "such a number in a list": [[2**53 + 1], [0.5]],
    "a number and a text": [1, "1"],
    "a truth value and a number": [True, 2],
    "bytes and text": [b"a", "a"],
    "a decimal of 41 digits": [Decimal("1E+40"), Decimal("0.1")],
    "no decimal number": [Decimal("NaN"), Decimal(1)],
    "lists of numbers, then of texts": [[1], ["a"]],
    "a mixed list": [[1, "a"]],
    "keys that are no texts": [{1: 2}],
    "nanoseconds": [pd.Timestamp("2026-01-01 00:00:00.000000001")],
    "sets": [{1, 2}],
    "half a character": ["\ud800"],
}


def same(value, back):
    if isinstance(value, Decimal) and value.is_nan():
        return back.is_nan()
    return value == back and type(value) is type(back)


@pytest.mark.parametrize(("values", "dtype"), TYPED.values(), ids=TYPED)
def test_polars_and_arrow_take_the_type_that_holds_every_value(values, dtype):
    made, missing = (
        column.of_polars("made", values),
        sum(each is None for each in values),
    )
    assert made.dtype == dtype
    assert made.null_count() == missing
    if not isinstance(values[0], Point) and dtype != pl.UInt64:
        array = column.of_arrow("made", values)
        assert array.null_count == missing
        assert not pa.types.is_string(array.type)


def test_what_a_field_holds_is_what_was_returned():
    made = column.of_polars("made", TYPED["dicts with other fields"][0])
    assert made.to_list() == [{"a": 1, "b": None}, {"a": None, "b": 0.5}, None]
    lists = column.of_polars("made", TYPED["lists of ints, then of floats"][0])
    assert lists.to_list() == [[1, 0], [0.25, 0.75]]


@pytest.mark.parametrize("values", UNTYPED.values(), ids=UNTYPED)
def test_values_that_have_no_type_in_common_stay_the_objects_that_they_are(values):
    made = column.of_polars("made", values)
    assert made.dtype == pl.Object
    assert all(map(same, values, made.to_list()))
    assert all(map(same, values, column.of_pandas("made", values).tolist()))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 0.5], "float64"),
        ([2**53 + 1, 0.5], "object"),
        ([2**53 + 1, None], "Int64"),
        ([2**70, None], "object"),
        ([2**63, 1], "uint64"),
        ([-1, 2**63], "object"),
        ([True, None], "boolean"),
        ([True, 1], "object"),
        ([np.int64(1), np.int64(2)], "int64"),
        ([np.int64(1), None], "Int64"),
        ([np.float64(0.5), 1], "float64"),
        ([np.bool_(True), None], "boolean"),
        ([pd.Timestamp("2026-01-01"), pd.NaT], "datetime64[us]"),
        ([1, pd.NA], "Int64"),
    ],
    ids=str,
)
def test_a_pandas_column_keeps_numbers_exact(values, dtype):
    made = column.of_pandas("made", values)
    assert made.dtype == dtype
    assert [value for value in made.tolist() if not pd.isna(value)] == [
        value for value in values if not pd.isna(value)
    ]


@pytest.mark.parametrize(
    "values", [[1, "1"], [True, 2], [NAIVE, AWARE], [{1: 2}]], ids=str
)
def test_an_arrow_column_that_has_to_be_text_is_reported(values):
    with pytest.warns(
        nf.NbflowWarning, match="no type that holds every value of 'made'"
    ):
        array = column.of_arrow("made", [*values, None])
    assert array.to_pylist() == [*map(repr, values), None]


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_the_results_of_a_run_are_what_its_flows_returned(nb, library):
    given = [2**53 + 1, 0.5, None]

    @nf.flow(on="column")
    def mixed(record):
        return {"number": given[record["n"]], "when": (NAIVE, AWARE, None)[record["n"]]}

    run = nb.send("column", library({"n": [0, 1, 2]}))
    frame = run.results()
    assert list(frame["mixed.number"]) == given
    assert list(frame["mixed.when"]) == [NAIVE, AWARE, None]


def test_a_comparison_of_runs_keeps_numbers_exact(nb):
    factor = 1

    @nf.step
    def number(n):
        return (2**53 + n) * factor if n else None

    @nf.flow(on="column")
    def mixed(record):
        return number(record["n"])

    first = nb.send("column", [{"n": 0}, {"n": 1}])
    factor = 3
    frame = first.compare(nb.send("column", [{"n": 0}, {"n": 1}]))
    assert frame["before"].tolist() == [2**53 + 1]
    assert frame["after"].tolist() == [3 * (2**53 + 1)]
