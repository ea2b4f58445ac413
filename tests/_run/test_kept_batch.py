"""A batch of which a killed process kept only a part is never taken for the whole."""

import itertools
from collections import deque

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf
from nbflow.errors import StoreError

EVENT = "kept"
ROWS = [{"id": f"t-{n}", "n": n} for n in range(1_300)]


@pytest.fixture
def flow(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] == 3:
            raise ValueError("three")
        return record["n"]


def cut(nb, run, blocks):
    """What a kill leaves: the first blocks of the batch, and a kernel that knows nothing."""
    kept = nb.engine.ledger._blocks
    kept[run.id] = list(itertools.islice(kept[run.id], blocks))
    nb.forget()
    return nf.open_run(run.id)


def refused(run, message):
    for use in (
        run.results,
        run.rerun_failed,
        run.rerun,
        lambda: run.results("triage"),
        lambda: run.inspect("t-1299").record,
    ):
        with pytest.raises(nf.UsageError, match=message):
            use()
    assert (run.state, run.records) == ("PARTIAL", 1_300)


@pytest.mark.parametrize(
    ("blocks", "count"), [(1, "0"), (2, "512"), (3, "1,024")], ids=str
)
def test_a_list_that_was_kept_in_part_is_refused(nb, flow, blocks, count):
    run = cut(nb, nb.send(EVENT, ROWS, key="id"), blocks)
    refused(run, f"Only {count} of the 1,300 records .*Send them again")


@pytest.mark.parametrize("blocks", [1, 3])
def test_an_iterator_that_was_kept_in_part_is_refused(nb, flow, blocks):
    refused(
        cut(nb, nb.send(EVENT, iter(ROWS), key="id"), blocks), "Only .* of the 1,300"
    )


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, pa.Table.from_pylist])
def test_a_frame_of_which_only_the_head_was_kept_is_refused(nb, flow, made):
    run = cut(nb, nb.send(EVENT, made(ROWS), key="id"), 1)
    refused(run, "were not kept .*Send them again")


def test_nothing_kept_is_refused_alike(nb, flow):
    refused(cut(nb, nb.send(EVENT, ROWS, key="id"), 0), "were not kept")


def test_rows_that_repeat_a_record_count(nb, flow):
    twice = [*ROWS[:400], *ROWS[:400]]
    run = nb.send(EVENT, twice, key="id")
    nb.forget()
    assert len(nf.open_run(run.id).results()) == 800
    with pytest.raises(nf.UsageError, match="Only 512 of the 800 records"):
        cut(nb, run, 2).results()


def test_the_run_of_a_process_killed_while_it_kept_the_batch_lists_no_part_of_it(
    nb, flow
):
    """Listing what was kept would make a run of 512 records, COMPLETED, of one of 1,300."""
    run = nb.send(EVENT, ROWS, key="id")
    entries = nb.engine.ledger._entries[run.id]
    opened = [entry for entry in entries if type(entry).__name__ in {"Opened", "Coded"}]
    entries[:] = opened
    run = cut(nb, run, 2)
    for use in (run.rerun_failed, run.rerun, run.results):
        with pytest.raises(nf.UsageError, match="Only 512 of the 1,300"):
            use()
    assert run.state == "INTERRUPTED"
    assert run.counts == {"triage": {"INTERRUPTED": 1_300}}


@pytest.mark.filterwarnings("ignore:The records of run")
@pytest.mark.parametrize("made", [list, iter], ids=["list", "iterator"])
def test_a_write_that_was_refused_leaves_a_batch_that_is_refused(
    nb, flow, monkeypatch, made
):
    keep, calls = type(nb.engine.ledger).add_records, deque(range(9))

    def add_records(self, run, block):
        if calls.popleft() == 2:
            raise StoreError("No space left on device.")
        keep(self, run, block)

    monkeypatch.setattr(type(nb.engine.ledger), "add_records", add_records)
    run = nb.send(EVENT, made(ROWS), key="id")
    assert len(run.results()) == 1_300 if made is list else True
    nb.forget()
    refused(nf.open_run(run.id), "Only .* of the 1,300 records")


def test_sent_again_it_finds_what_is_done(nb, flow):
    cut(nb, nb.send(EVENT, ROWS, key="id"), 2)
    run = nb.send(EVENT, ROWS, key="id")
    assert run.counts == {"triage": {"CACHED": 1_299, "FAILED": 1}}


@pytest.mark.parametrize("made", [list, pd.DataFrame], ids=["list", "frame"])
def test_a_batch_that_is_sent_again_is_kept_once(tmp_path, made):
    """An all-cached send of a known batch takes less than 100 bytes a record, its flows and costs included."""
    nf.use(tmp_path / "store")

    @nf.step
    def ask(text):
        nf.usage("m", input_tokens=1000, output_tokens=7, cost=0.01)
        return text

    @nf.flow(on=EVENT)
    def triage(record):
        return ask(record["text"])

    @nf.flow(on=EVENT)
    def other(record):
        return ask(record["text"])

    rows = [{"id": f"t-{n:05}", "text": f"thread {n} " * 30} for n in range(1_500)]

    def size():
        folder = tmp_path / "store" / "runs"
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    first = nf.send(EVENT, made(rows), key="id")
    before = size()
    again = nf.send(EVENT, made(rows), key="id")
    assert size() - before < 100 * len(rows)
    assert again.counts["triage"] == {"CACHED": 1_500}
    third = nf.send(EVENT, made(rows), key="id")
    changed = nf.send(EVENT, made([*rows[:-1], {"id": "x", "text": "new"}]), key="id")
    read = {run.id: run.results("triage") for run in (again, third, changed)}
    nf.store.delete_runs(first.id, keep_outputs=True)
    nf.use("memory:")
    nf.use(tmp_path / "store")
    for run, values in read.items():
        found = nf.open_run(run)
        assert found.inspect("t-00007").record == rows[7]
        assert list(found.results("triage")) == list(values)
    nf.store.delete_runs(again.id, keep_outputs=True)
    assert nf.open_run(third.id).inspect("t-01499").record == rows[1499]
    assert nf.store.check().is_sound


def test_a_run_whose_batch_goes_while_it_begins_keeps_its_own(nb, flow, monkeypatch):
    first = nb.send(EVENT, ROWS, key="id")
    runs = nf._session.SESSION.runs
    wait = type(runs.gate).wait

    def delete_and_wait(gate):
        monkeypatch.undo()
        nb.engine.ledger.remove(first.id)
        wait(gate)

    monkeypatch.setattr(type(runs.gate), "wait", delete_and_wait)
    run = nb.send(EVENT, ROWS, key="id")
    nb.forget()
    assert len(nf.open_run(run.id).results()) == 1_300
