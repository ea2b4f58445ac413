"""What a long run came to is kept beside its ledger: it opens at once, and nothing depends on it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import nbflow as nf
import nbflow.store
from nbflow._core.entry import Closed, Item, Remark
from nbflow._core.lifecycle import State
from nbflow._run import snapshots
from nbflow._session import SESSION

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path, monkeypatch, nb):
    """A store in which every run is worth a snapshot."""
    monkeypatch.setattr(snapshots, "_WORTH", 1)
    nf.use(tmp_path / "store")
    return tmp_path / "store"


def send(records=40, event="mail"):
    @nf.step(retries=0)
    def ask(n):
        if n % 7 == 3:
            raise ValueError(f"no answer for {n}")
        return n * n

    @nf.flow(on=event)
    def flow(record):
        return ask(record["n"])

    rows = [{"id": f"t-{n}", "n": n} for n in range(records)]
    return nf.send(event, iter(rows), key="id")


def opened_elsewhere(store):
    """The run as a process sees it that did not make it."""
    nf.use(store)
    return nf.open_run()


def picture(run):
    text = repr(run)
    with run.reader.look() as (state, sheet):
        tracks = {
            name: bytes(track.codes) for name, track in sheet.columns[0].tracks.items()
        }
        rows = list(sheet.columns[0].seconds), bytes(sheet.columns[0].attempts), tracks
        return text, dict(state.tally()), list(state.keys), rows, sheet.worst()


def reads(run, monkeypatch):
    """From where the ledger's entries are read."""
    seen, ledger = [], run.engine.ledger
    blocks = ledger._blocks

    def read(run, what, start, **how):
        if what == "entries":
            seen.append(start)
        return blocks(run, what, start, **how)

    monkeypatch.setattr(ledger, "_blocks", read)
    return seen


def test_a_long_run_opens_without_its_entries(store, monkeypatch):
    made = send()
    before = picture(made)
    run = opened_elsewhere(store)
    seen = reads(run, monkeypatch)
    assert (run.state, run.records, run.counts) == (
        "PARTIAL",
        40,
        {"flow": {"COMPLETED": 34, "FAILED": 6}},
    )
    assert repr(run) == before[0]
    assert run.engine.ledger.size(run.id) in seen
    assert 0 not in seen  # nothing before the end was read
    assert run.results("flow") == made.results("flow")
    view = run.inspect("t-10")["flow"]
    assert (view.state, view.failure.message) == (State.FAILED, "no answer for 10")
    assert [step.step for step in run.inspect("t-11")["flow"].steps] == ["ask"]


@pytest.mark.parametrize("is_long", [True, False])
def test_the_rows_of_a_table_are_kept_by_the_run_or_by_whoever_looked_first(
    store, monkeypatch, is_long
):
    if not is_long:
        monkeypatch.setattr(snapshots, "rows_from", lambda *_: None)
    made = send()
    assert (store / "runs" / made.id / "rows").exists() is is_long
    before = picture(made)
    run = opened_elsewhere(store)
    assert picture(run) == before  # of a short run this reads all entries
    run = opened_elsewhere(store)
    seen = reads(run, monkeypatch)
    assert picture(run) == before
    assert 0 not in seen


def test_a_rerun_continues_from_a_snapshot_and_outdates_it(store):
    send()
    run = opened_elsewhere(store)

    @nf.step(retries=0)
    def ask(n):
        return n * n

    @nf.flow(on="mail")
    def flow(record):
        return ask(record["n"])

    run.rerun_failed()
    after = picture(run)
    assert run.counts == {"flow": {"COMPLETED": 40}}
    assert SESSION.engine.ledger.snapshot(run.id, "rows")[1] == (
        SESSION.engine.ledger.size(run.id)
    )
    again = opened_elsewhere(store)
    assert again.results("flow") == [n * n for n in range(40)]
    assert picture(again)[:3] == after[:3]


def test_a_little_that_is_new_is_no_new_snapshot(store, monkeypatch):
    """A run that goes on for one record now and again does not write all the others each time."""
    send()
    run = opened_elsewhere(store)
    kept = SESSION.engine.ledger.snapshot_end(run.id)
    monkeypatch.setattr(snapshots, "_WORTH", 100_000)
    send_again = run.rerun("t-10")
    assert SESSION.engine.ledger.snapshot_end(run.id) == kept
    assert SESSION.engine.ledger.size(run.id) > kept
    before = picture(send_again)
    again = opened_elsewhere(store)
    assert again.counts == run.counts
    assert picture(again) == before
    assert SESSION.engine.ledger.snapshot_end(run.id) == kept


@pytest.mark.parametrize("harm", ["gone", "flipped", "cut", "empty", "of another run"])
def test_without_a_sound_snapshot_the_run_is_read_and_keeps_a_new_one(store, harm):
    other, before = send(12, "other"), picture(send())
    run = nf.open_run()
    files = [store / "runs" / run.id / what for what in ("state", "rows")]
    whole = [file.read_bytes() for file in files if file.exists()]
    assert whole
    for file in filter(Path.exists, files):
        blob = bytearray(file.read_bytes())
        if harm == "gone":
            file.unlink()
        elif harm == "flipped":
            blob[len(blob) // 2] ^= 1
            file.write_bytes(blob)
        elif harm == "cut":
            os.truncate(file, len(blob) - 3)
        elif harm == "empty":
            file.write_bytes(b"")
        else:
            state = store / "runs" / other.id / "state"
            file.write_bytes(state.read_bytes())
    assert picture(opened_elsewhere(store)) == before
    again = SESSION.engine.ledger.snapshot(run.id, "state")
    assert again is not None
    assert again[0].facts["run"] == run.id


def test_a_snapshot_of_entries_that_are_no_more_is_not_believed(store):
    run = send()
    ledger, entries = SESSION.engine.ledger, store / "runs" / run.id / "entries"
    assert ledger.snapshot(run.id, "state") is not None
    os.truncate(entries, entries.stat().st_size - 3)
    ledger.append(run.id, [Remark(1.0, "in its place" * 100)])
    assert ledger.size(run.id) > ledger._spans_of(run.id).end - 100
    assert ledger.snapshot(run.id, "state") is None
    assert opened_elsewhere(store).counts == run.counts


def test_a_run_that_was_killed_keeps_its_snapshot_when_it_is_found(store):
    """The first who opens it reads it, and says how it came out; the next one finds both."""
    run = send()
    ledger = SESSION.engine.ledger
    entries = [one for one in ledger.read(run.id)[0] if not isinstance(one, Closed)]
    started = next(
        place
        for place, one in enumerate(entries)
        if isinstance(one, Item) and one.state is State.COMPLETED
    )
    lost = "20260101-000000-000ab"
    first = entries[0]._replace(run=lost)
    ledger.append(lost, [first, *entries[1 : started + 1]])
    nf.use(store)
    found = nf.open_run(lost)
    assert found.state == "INTERRUPTED"
    again = opened_elsewhere(store) and nf.open_run(lost)
    assert picture(again)[1] == dict(found.reader.state().tally())
    assert nf.open_run(lost).state == "INTERRUPTED"
    assert isinstance(ledger.read(lost)[0][-1], Closed)


def test_an_erased_person_is_in_no_snapshot(store):
    run = send()
    picture(opened_elsewhere(store))
    (store / "runs" / run.id / "state.new").write_text("t-13")  # of a killed writer
    nf.use(store)
    stale = nf.open_run(run.id)
    assert stale.reader.state().keys.index("t-13") == 13
    nf.store.erase(record="t-13", event="mail")
    # Who read it before must not bring it back.
    position = stale.engine.ledger.size(run.id)
    stale.reader._kept = 0
    stale.reader.runs.keep_snapshot(
        run.id, position, stale.reader._read, stale.reader.sheet
    )
    for file in (store / "runs").rglob("*"):
        assert file.is_dir() or b"t-13" not in file.read_bytes()
    assert "t-13" not in opened_elsewhere(store).reader.state().keys


def test_check_finds_a_damaged_snapshot_and_repair_removes_it(store, capsys):
    run = send()
    state = store / "runs" / run.id / "state"
    os.truncate(state, state.stat().st_size - 1)
    torn = SESSION.engine.ledger.torn(run.id)
    assert len(torn) == 1
    assert "state from byte" in torn[0]
    SESSION.engine.ledger.torn(run.id, cut=True)
    assert not state.exists()
    assert SESSION.engine.ledger.torn(run.id) == []
    assert opened_elsewhere(store).counts == run.counts


def test_a_disk_that_refuses_a_snapshot_costs_nothing_else(store, monkeypatch):
    def refuse(*_, **__):
        raise nf.StoreError("full")

    monkeypatch.setattr(type(SESSION.engine.ledger), "keep_snapshot", refuse)
    run = send()
    assert opened_elsewhere(store).counts == run.counts


def test_a_small_run_has_no_snapshot(tmp_path, nb):
    nf.use(tmp_path / "store")
    run = send()
    files = sorted(file.name for file in (tmp_path / "store/runs" / run.id).iterdir())
    assert files == ["entries", "records"]


JOB = """
import sys
import nbflow as nf
from nbflow._run import snapshots

snapshots._WORTH = 1
nf.use(sys.argv[1])


@nf.flow(on="mail")
def flow(record):
    return record["n"]


nf.send("mail", iter([{"n": n} for n in range(30)]))
"""


def test_killed_between_the_ledger_and_the_snapshot_the_run_opens(store):
    ended = subprocess.run(
        [sys.executable, "-c", JOB, str(store)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NBFLOW_CRASH_AT": "snapshot"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    run = opened_elsewhere(store)
    assert not (store / "runs" / run.id / "state").exists()
    assert (run.state, run.results("flow")) == ("COMPLETED", list(range(30)))
    assert SESSION.engine.ledger.snapshot(run.id, "state") is not None
