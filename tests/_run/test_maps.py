"""step.map: a durable, concurrent, retried Series.map."""

import asyncio

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf


@pytest.fixture
def double():
    @nf.step(retries=0)
    def double(x, times=2):
        if x is None:
            raise ValueError("nothing to double")
        return times * x

    return double


def test_a_pandas_series_keeps_its_index(nb, double):
    series = pd.Series([1.0, None, 3.0], index=["a", "b", "a"], name="n")
    run = double.map(series)
    assert run.state == "PARTIAL"
    values = run.results("double")
    assert values.index.tolist() == ["a", "b", "a"]
    assert values.iloc[[0, 2]].tolist() == [2.0, 6.0]
    frame = run.results()
    assert list(frame.columns) == ["n", "double.status", "double"]
    assert frame["double.status"].tolist() == ["COMPLETED", "FAILED", "COMPLETED"]


def test_whole_numbers_stay_whole_where_something_is_missing(nb, double):
    values = double.map(pd.Series([1, None, 3], dtype="Int64")).results("double")
    assert values.dtype == "Int64"
    assert values.isna().tolist() == [False, True, False]


def test_other_sequences_come_back_as_they_came(nb, double):
    assert double.map([1, 2]).results("double") == [2, 4]
    assert double.map(iter([1, 2])).results("double") == [2, 4]
    assert double.map(range(3)).results("double") == [0, 2, 4]
    assert double.map({"a": 1, "b": 2}.values()).results("double") == [2, 4]
    assert double.map(pl.Series("n", [1, 2])).results("double").to_list() == [2, 4]
    assert double.map(pa.array([1, 2])).results("double").to_pylist() == [2, 4]
    assert double.map(pl.Series("n", [1, 2])).results().columns == [
        "n",
        "double.status",
        "double",
    ]


def test_further_arguments_are_the_same_for_every_item(nb, double):
    assert double.map([1, 2], 3).results("double") == [3, 6]
    assert double.map([1, 2], times=5).results("double") == [5, 10]


def test_a_mapped_call_and_a_direct_one_are_the_same_call(nb, double):
    double(1)
    run = double.map([1, 2, 2])
    assert nb.calls == ["double", "double"]
    assert run.counts == {"double": {"CACHED": 2, "COMPLETED": 1}}


def test_an_async_step_maps_too(nb):
    @nf.step
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    assert double.map(range(200)).results("double") == list(range(0, 400, 2))


def test_a_method_maps_over_its_own_argument(nb):
    class Model:
        def __init__(self, factor):
            self.factor = factor

        @nf.step(name="times")
        def times(self, x):
            return self.factor * x

    assert Model(3).times.map([1, 2]).results("times") == [3, 6]


def test_a_mapped_run_goes_on_with_the_step_as_it_is_now(nb, double):
    run = double.map([1, None])

    @nf.step(retries=0)
    def double(x, times=2):
        return 0 if x is None else times * x

    assert run.rerun_failed().state == "COMPLETED"
    assert run.results("double") == [2, 0]
    nb.forget()
    with pytest.raises(nf.UsageError, match=r"double.map\(...\) again"):
        nf.open_run(run.id).rerun()
