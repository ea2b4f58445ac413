"""What steps were called with stays at hand, by number and by bytes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._run import kept_inputs
from nbflow._run.kept_inputs import KeptInputs, weight

MEGABYTE = 2**20
LARGE = {
    "text": "x" * MEGABYTE,
    "array": np.zeros(MEGABYTE // 8),
    "pandas": pd.DataFrame({"a": np.zeros(MEGABYTE // 8)}),
    "texts of pandas": pd.Series(["x" * 1000] * 1049),
    "polars": pl.DataFrame({"a": np.zeros(MEGABYTE // 8)}),
    "arrow": pl.DataFrame({"a": np.zeros(MEGABYTE // 8)}).to_arrow(),
    "list": ["x" * 1000] * 1049,
    "record": {"id": 1, "parts": [{"text": "x" * 1000}] * 1049},
    "matrix": [[[0.5] * 32] * 32] * 40,
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_value_weighs_about_what_it_takes(kind):
    assert 0.8 * MEGABYTE < weight(LARGE[kind]) < 3 * MEGABYTE


def test_a_list_that_holds_itself_is_weighed():
    loop = [1]
    loop.append(loop)
    assert weight(loop) < 10_000


def given(value):
    return [("ask", (value,), {})]


@pytest.mark.parametrize("failed", [True, False])
def test_inputs_are_kept_as_long_as_they_fit(monkeypatch, failed):
    monkeypatch.setattr(kept_inputs, "ROOM", 8 * MEGABYTE)
    kept = KeptInputs()
    for number in range(20):
        kept.keep((number, 0), given("x" * MEGABYTE), failed=failed)
    assert sorted(number for number, _ in kept) == (
        [*range(7)] if failed else [*range(13, 20)]
    )
    kept.keep((99, 0), given("x" * 9 * MEGABYTE), failed=failed)
    assert (99, 0) not in kept


def test_small_inputs_are_kept_by_number():
    kept = KeptInputs()
    for number in range(3000):
        kept.keep((number, 0), given(number), failed=number < 1500)
    assert len(kept) == 2000
    assert kept[2999, 0] == given(2999)


def test_a_record_that_runs_again_is_kept_once():
    kept = KeptInputs()
    for _ in range(3):
        kept.keep((1, 0), given("x" * MEGABYTE), failed=False)
    assert list(kept) == [(1, 0)]


def test_a_run_of_large_records_lets_go_of_all_but_the_latest(nb, monkeypatch):
    monkeypatch.setattr(kept_inputs, "ROOM", 4 * MEGABYTE)

    @nf.step
    def size(text):
        return len(text)

    @nf.flow(on="large")
    def look(record):
        return size(record["text"])

    records = [{"id": n, "text": f"{n}" + "x" * MEGABYTE} for n in range(12)]
    run = nb.send("large", records, key="id", max_in_flight=1)
    assert run.inspect(11)["look"]["size"].inputs is not None
    assert run.inspect(0)["look"]["size"].inputs is None


def test_an_object_that_breaks_when_it_is_looked_at_breaks_no_run(nb):
    class Broken(dict):
        def values(self):
            raise RuntimeError("do not look")

    kept = KeptInputs()
    kept.keep((1, 0), given(Broken(a=1)), failed=False)
    assert list(kept) == []
