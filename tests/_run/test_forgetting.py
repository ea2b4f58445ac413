"""A result that is deleted is computed again, and so is what was built on it."""

import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._call import lookup

EVENT = "thread.created"


def records(count=3):
    return [{"id": f"t-{n}", "body": f"text {n}"} for n in range(count)]


def test_a_forgotten_call_and_what_was_built_on_it_run_again(nb, cells):
    nb.send(EVENT, records(), key="id")
    nb.calls.clear()
    assert cells.categorize.forget("text 1") == 2
    assert nb.send(EVENT, records(), key="id").counts == {
        "triage": {"COMPLETED": 1, "CACHED": 2}
    }
    assert nb.calls == ["categorize"]
    assert cells.categorize.forget("never called") == 0


def test_all_of_a_step_can_be_forgotten(nb, cells):
    cells.categorize("x")
    cells.edit("Pick one", "Choose one")
    cells.categorize("x")
    cells.shape([1])
    assert cells.categorize.forget() == 2
    assert cells.categorize.explain("x").state == "would run"
    assert cells.shape.explain([1]).state == "cached"
    assert {head.name for _, head in lookup.every(nb.engine.store)} >= {"shape"}


@pytest.mark.parametrize("library", ["pandas", "polars", "records"])
def test_a_forgotten_value_leaves_its_place_empty_and_says_so(nb, cells, library):
    frames = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "records": list}
    run = nb.send(EVENT, frames[library](records()), key="id")
    whole = list(run.results("triage"))
    cells.categorize.forget("text 1")
    for held in (run, nf.open_run(run.id)):
        with pytest.warns(
            nf.StoreWarning, match="1 saved value of flow 'triage'.*'t-1'"
        ):
            frame = held.results()
        with pytest.warns(nf.StoreWarning, match="Send the batch again"):
            values = list(held.results("triage"))
        assert [values[0], values[2]] == [whole[0], whole[2]]
        assert pd.isna(values[1])
        statuses = [row["triage.status"] for row in rows_of(frame)]
        assert statuses == ["COMPLETED"] * 3
        assert "cannot be had from the store any more" in repr(held)
    assert list(nb.send(EVENT, records(), key="id").results("triage")) == whole


def rows_of(frame):
    if isinstance(frame, pd.DataFrame):
        return frame.to_dict("records")
    return frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame


def test_a_forgotten_value_is_not_compared(nb, cells):
    before = nb.send(EVENT, records(), key="id")
    cells.edit("Pick one", "Choose one")
    after = nb.send(EVENT, records(), key="id")
    changed = len(before.compare(after))
    cells.categorize.forget("text 1")
    with pytest.warns(nf.StoreWarning, match="'t-1'"):
        assert len(before.compare(after)) == changed - 1


def test_what_is_made_of_a_run_with_gaps_is_not_kept(nb):
    """Or a report would show the empty places after the values are back."""

    @nf.flow(on="gaps")
    def label(record):
        return "ab"[record["n"]]

    @nf.step
    def report(run):
        return run.results("label")

    records = [{"n": 0}, {"n": 1}]
    run = nb.send("gaps", records)
    key = run.reader.state().checkpoint(0, 0)
    nb.engine.store.delete([key])
    with pytest.warns(nf.StoreWarning, match="places are empty"):
        assert report(run) == [None, "b"]
    run = nb.send("gaps", records)
    assert report(run) == ["a", "b"]
    assert nb.calls == ["report", "report"]
