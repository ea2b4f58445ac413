"""One record of a run is found without reading those before it, wherever the batch came from."""

import re
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf
from nbflow._run import batch as batches
from nbflow._run import intake
from nbflow._run.kept_batch import kept_row
from nbflow._session import SESSION
from nbflow._store import codec

EVENT = "e"
ROWS = [{"id": f"t-{n}", "n": n} for n in range(1_500)]


@pytest.fixture
def flow(nb):
    @nf.flow(on=EVENT)
    def look(record):
        return record["n"]


@pytest.mark.parametrize(
    "made",
    [
        lambda: ROWS,
        lambda: pd.DataFrame(ROWS),
        lambda: pl.DataFrame(ROWS),
        lambda: pa.Table.from_pylist(ROWS),
        lambda: iter(ROWS),
    ],
    ids=["list", "pandas", "polars", "arrow", "iterator"],
)
@pytest.mark.parametrize("key", ["id", None])
def test_the_record_that_was_sent_is_shown(nb, flow, made, key):
    nb.send(EVENT, made(), key=key)
    nb.forget()
    run = nf.open_run()
    for n in (0, 511, 512, 1_234, 1_499):
        assert run.inspect(f"t-{n}" if key else n).record == ROWS[n]


def test_a_record_behind_copies_of_others_is_its_own(nb, flow):
    nb.send(EVENT, [ROWS[0], ROWS[1], ROWS[0], ROWS[1], *ROWS[2:10]], key="id")
    nb.forget()
    assert [nf.open_run().inspect(f"t-{n}").record["n"] for n in range(10)] == list(
        range(10)
    )


@pytest.mark.parametrize("made", [list, iter], ids=["list", "iterator"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_no_more_is_read_than_the_block_that_it_stands_in(
    nb, flow, monkeypatch, made, where, tmp_path
):
    if where == "disk":
        nf.use(tmp_path / "store")
    run = nf.send(EVENT, made(ROWS), key="id")
    read, decoded = [], []
    decode = codec.decode
    monkeypatch.setattr(
        codec, "decode", lambda *kept: decoded.append(decode(*kept)) or decoded[-1]
    )
    row = batches.Batch._row
    monkeypatch.setattr(
        batches.Batch,
        "_row",
        lambda self, place, record: (
            read.append(record["id"]) or row(self, place, record)
        ),
    )
    found = kept_row(SESSION.engine.ledger, run.id, 1_234)
    assert (found.record, found.key) == (ROWS[1_234], "t-1234")
    assert read == ["t-1234"]
    assert len(decoded) == 2
    assert kept_row(SESSION.engine.ledger, run.id, 1_499).key == "t-1499"
    assert kept_row(SESSION.engine.ledger, run.id, 1_500) is None


def test_a_record_of_an_iterator_that_takes_its_time_is_found(nb, flow, monkeypatch):
    """Its chunks have any number of rows."""
    monkeypatch.setattr(intake, "_SLOW", 0.0)
    run = nb.send(EVENT, iter(ROWS[:40]), key="id")
    rows = [kept_row(SESSION.engine.ledger, run.id, n) for n in range(40)]
    assert [row.record for row in rows] == ROWS[:40]


def test_a_record_of_an_iterator_that_an_earlier_version_kept_is_found(nb, flow):
    run = nb.send(EVENT, iter(ROWS), key="id")
    ledger = SESSION.engine.ledger
    ledger.rewrite(
        run.id,
        "records",
        lambda block: re.sub(rb"\A(\w+) \d+\0", rb"\1\0", block),
    )
    assert kept_row(ledger, run.id, 3).key == "t-3"
    assert kept_row(ledger, run.id, 1_234) is None
    nb.forget()
    assert nf.open_run().inspect("t-1234").record == ROWS[1_234]


def test_why_a_record_ran_again_is_known_from_where_it_was_before(nb):
    """Also where it stands elsewhere in the batch than it did."""
    kind = ["a"]

    @nf.flow(on=EVENT)
    def look(record):
        return kind[0], record["n"]

    nb.send(EVENT, ROWS[:20], key="id")
    moved = nb.send(EVENT, [{"id": "t-7", "n": -7}, *ROWS[:7]], key="id")
    assert (
        "record.n" in moved.inspect("t-7")["look"].why
        or "`n`" in moved.inspect("t-7")["look"].why
    )
    again = nb.send(EVENT, [*ROWS[:7], {"id": "t-7", "n": 700}], key="id")
    assert again.inspect("t-7")["look"].why == moved.inspect("t-7")["look"].why.replace(
        "7 -> -7", "-7 -> 700"
    )


def lines_run(work):
    """How many lines Python executes."""
    count = 0

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_a_record_of_many_calls_costs_what_it_has_of_them(nb):
    @nf.step
    def one(n):
        return n

    @nf.flow(on="many")
    def look(record):
        return [one((record["id"], n)) for n in range(record["calls"])]

    records = [{"id": 1, "calls": 50}, {"id": 2, "calls": 400}]
    nb.send("many", records, key="id")
    run = nb.send("many", records, key="id").rerun(from_step="one")
    few, many = (lines_run(lambda key=key: repr(run.inspect(key))) for key in (1, 2))
    assert many < 12 * few
