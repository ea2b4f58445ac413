"""The journal of runs: append, read on, survive damage and a torn end."""

import os
import resource
import stat

import msgspec
import pytest

import nbflow as nf
from nbflow._core.entry import (
    Called,
    Closed,
    Coded,
    Failure,
    Item,
    Listed,
    Opened,
    Remark,
    Resumed,
    Sent,
    Used,
    Waits,
    fold,
)
from nbflow._core.lifecycle import State
from nbflow._core.usage import Usage
from nbflow._store import ledger_lines
from nbflow._store.ledger import FileLedger
from nbflow._store.memory_ledger import MemoryLedger
from nbflow._store.seal import Seal
from nbflow.errors import StoreError

RUN = "20260101-000000-000ab"
FAILED = Failure("label", "ValueError", "no", "job.py, line 3\n")
ENTRIES = [
    Opened(RUN, "e", ("a", "b"), 1.5, "pandas", True, 2, 4, ("subject",), 5.0),
    Listed(0, "x"),
    Listed(1, "y", 2),
    Item(0, 0, State.RUNNING, 2.0),
    Called(0, 0, "label", State.RETRYING, 2.5, 0.5, 1, None, FAILED, 0.25),
    Waits(0, 0, "label", 2.5, "process 7 works on it"),
    Called(0, 0, "label", State.COMPLETED, 3.0, 0.5, 2, "ab" * 20),
    Item(0, 0, State.COMPLETED, 3.0, 1.0, "cd" * 20, 2),
    Item(1, 1, State.FAILED, 3.0, 1.0, None, 1, FAILED),
    Remark(3.0, "something"),
    Sent(2),
    Resumed(4.0),
    Closed("PARTIAL", 5.0, 2, {State.COMPLETED: 1, State.FAILED: 1}),
]


def file_ledger(folder):
    return FileLedger(folder / "store" / "runs", Seal(bytes(32)))


@pytest.fixture(params=["memory", "file"])
def ledger(request, tmp_path):
    return MemoryLedger() if request.param == "memory" else file_ledger(tmp_path)


def test_a_ledger_from_before_models_were_noted_opens(tmp_path):
    ledger = file_ledger(tmp_path)
    usage = [1, 7, 5, 0, 0.5, 0]
    lines = [
        ["open", RUN, "e", ["a"], 1.5, "pandas", True, 1],
        ["code", "label", bytes(20), 1.5, "new", ["a"]],
        ["record", 0, "x"],
        ["used", 0, 0, "label", 1, 2.0, [*usage, 0], False],
        ["close", "COMPLETED", 5.0, 1, {"COMPLETED": 1}, usage, [*usage, 0]],
    ]
    ledger._write(RUN, "entries", msgspec.msgpack.encode(lines))
    *_, coded, _listed, used, closed = ledger.read(RUN)[0]
    assert (coded.steps, coded.unknown) == (("a",), "")
    assert used.usage == closed.usage == closed.saved == Usage(1, 7, 5, 0, 0.5)
    assert fold(ledger.read(RUN)[0]).usage.models == ()


def test_the_models_that_answered_come_back(ledger):
    entries = [
        Coded("label", bytes(20), 3.0, "new", ("a",), "unclear", ("x",)),
        Used(0, 0, "label", 1, 3.0, Usage(1, 7, models=("m-1", "m-2"))),
    ]
    ledger.append(RUN, entries)
    assert ledger.read(RUN)[0] == entries


def test_entries_come_back_as_they_went_in(ledger):
    ledger.append(RUN, ENTRIES)
    assert ledger.read(RUN)[0] == ENTRIES
    assert fold(ledger.read(RUN)[0]).state == "PARTIAL"


def test_a_reader_goes_on_where_it_stopped(ledger):
    assert ledger.read(RUN) == ([], 0)
    ledger.append(RUN, ENTRIES[:3])
    first, position = ledger.read(RUN)
    assert ledger.read(RUN, position) == ([], position)
    ledger.append(RUN, ENTRIES[3:])
    rest, _ = ledger.read(RUN, position)
    assert first + rest == ENTRIES


def test_the_ends_of_a_run_are_its_first_and_last_entries(ledger):
    for entry in ENTRIES:
        ledger.append(RUN, [entry])
    assert ledger.ends(RUN) == [ENTRIES[0], ENTRIES[-1]]


def test_runs_are_listed_oldest_first(ledger):
    assert ledger.runs() == []
    for run in ("20260102-000000-000ab", RUN):
        ledger.append(run, ENTRIES[:1])
    assert ledger.runs() == [RUN, "20260102-000000-000ab"]


def test_the_batch_is_kept_in_blocks(ledger):
    for block in (b"one", b"", b"three" * 100_000):
        ledger.add_records(RUN, block)
    assert list(ledger.records(RUN)) == [b"one", b"", b"three" * 100_000]


@pytest.mark.parametrize("place", [0, 3, 10, 40, -1])
def test_damage_is_reported_and_costs_what_comes_behind_it_only(tmp_path, place):
    ledger = file_ledger(tmp_path)
    ledger.append(RUN, ENTRIES[:3])
    file = next((tmp_path / "store").rglob("entries"))
    good = file.stat().st_size
    ledger.append(RUN, ENTRIES[3:])
    blob = bytearray(file.read_bytes())
    at = good + place if place >= 0 else len(blob) - 1
    blob[at] ^= 0xFF
    file.write_bytes(blob)
    if (
        place == 0 or place == 3
    ):  # a length that is wrong looks like a block still being written, or like damage
        entries = file_ledger(tmp_path).read(RUN)[0]
    else:
        with pytest.warns(nf.StoreWarning, match="is damaged"):
            entries = file_ledger(tmp_path).read(RUN)[0]
    assert entries == ENTRIES[:3]


@pytest.mark.parametrize("cut", [1, 3, 5, 60])
def test_a_block_cut_short_by_a_crash_is_dropped_and_the_next_one_follows(
    tmp_path, cut
):
    ledger = file_ledger(tmp_path)
    ledger.append(RUN, ENTRIES[:3])
    file = next((tmp_path / "store").rglob("entries"))
    good = file.stat().st_size
    ledger.append(RUN, ENTRIES[3:])
    os.truncate(file, good + cut)
    again = file_ledger(tmp_path)
    assert again.read(RUN)[0] == ENTRIES[:3]
    again.append(RUN, ENTRIES[3:])
    assert again.read(RUN)[0] == ENTRIES


def test_a_run_whose_first_note_was_refused_is_in_no_list(tmp_path):
    """The next note finds its place as if nothing had been."""
    ledger, unlimited = file_ledger(tmp_path), resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, unlimited))
    try:
        for write in (ledger.append, ledger.add_records):
            with pytest.raises(StoreError, match="could not be written"):
                write(RUN, b"x" * 99 if write == ledger.add_records else ENTRIES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    assert ledger.runs() == []
    ledger.append(RUN, ENTRIES)
    assert ledger.runs() == [RUN]
    assert ledger.read(RUN)[0] == ENTRIES


def test_blocks_of_another_run_or_another_secret_are_not_believed(tmp_path):
    ledger = file_ledger(tmp_path)
    other = "20260102-000000-000ab"
    ledger.append(RUN, ENTRIES)
    ledger.append(other, ENTRIES[:1])
    entries = sorted((tmp_path / "store").rglob("entries"))
    entries[1].write_bytes(entries[0].read_bytes())
    with pytest.warns(nf.StoreWarning, match="is damaged"):
        assert file_ledger(tmp_path).read(other)[0] == []
    with pytest.warns(nf.StoreWarning, match="is damaged"):
        assert (
            FileLedger(tmp_path / "store" / "runs", Seal(b"\1" * 32)).read(RUN)[0] == []
        )


def test_files_are_their_users_alone(tmp_path):
    before = os.umask(0)
    try:
        file_ledger(tmp_path).append(RUN, ENTRIES)
    finally:
        os.umask(before)
    for path in (tmp_path / "store").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert (tmp_path / "store" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "x\0"])
def test_a_run_s_id_is_never_a_path(tmp_path, name):
    with pytest.raises(nf.StoreError, match="not the id of a run"):
        file_ledger(tmp_path).append(name, ENTRIES)


@pytest.fixture
def long(ledger):
    """A run of a hundred records that went through one after the other, a few in each block; two of them ran again."""
    ledger.append(RUN, [Opened(RUN, "e", ("f",), 1.0, "records", False, 100)])
    for start in range(0, 100, 5):
        ledger.append(
            RUN,
            [
                entry
                for n in range(start, start + 5)
                for entry in (
                    Listed(n, f"t-{n}"),
                    Called(n, 0, "s", State.COMPLETED, 2.0, 0.1, 1),
                    Item(n, 0, State.COMPLETED, 2.0),
                )
            ],
        )
    ledger.append(
        RUN,
        [Resumed(3.0), Item(7, 0, State.RUNNING, 3.0), Item(93, 0, State.RUNNING, 3.0)],
    )
    return ledger


def test_what_is_known_of_one_record_is_what_reading_everything_would_give(long):
    for record in (0, 7, 50, 93, 99, 100):
        assert long.about(RUN, record) == [
            entry
            for entry in long.read(RUN)[0]
            if isinstance(entry, Listed | Called | Item) and entry.record == record
        ]


def test_to_know_of_one_record_only_its_blocks_are_read(tmp_path):
    ledger = file_ledger(tmp_path)
    ledger.append(RUN, [Opened(RUN, "e", ("f",), 1.0, "records", False, 100)])
    for start in range(0, 100, 5):
        ledger.append(
            RUN, [Item(n, 0, State.COMPLETED, 2.0) for n in range(start, start + 5)]
        )
    read = []
    blocks = ledger._blocks
    ledger._blocks = lambda run, what, start: (
        read.append(start) or block for block in blocks(run, what, start)
    )
    assert len(ledger.about(RUN, 42)) == 1
    assert len(read) == 1
    other = file_ledger(tmp_path)
    assert other.about(RUN, 42) == ledger.about(RUN, 42)
    ledger.append(RUN, [Item(42, 0, State.RUNNING, 3.0)])
    assert len(other.about(RUN, 42)) == 2


def test_what_another_process_noted_meanwhile_is_kept(tmp_path):
    """Each has written before, and knows where it stopped."""
    one, other = file_ledger(tmp_path), file_ledger(tmp_path)
    for ledger, text in [(one, "a"), (other, "b"), (one, "c"), (other, "d")]:
        ledger.append(RUN, [Remark(1.0, text)])
    assert [entry.text for entry in one.read(RUN)[0]] == ["a", "b", "c", "d"]


def test_a_long_run_is_read_block_by_block(tmp_path, monkeypatch):
    """No more than one of them is taken apart at a time."""
    ledger, taken = file_ledger(tmp_path), []
    for text in "abc":
        ledger.append(RUN, [Remark(1.0, text)])
    decode = ledger_lines.decode
    monkeypatch.setattr(
        ledger_lines, "decode", lambda block: taken.append(block) or decode(block)
    )
    blocks = ledger.blocks(RUN)
    for number, text in enumerate("abc", 1):
        (entry,), end = next(blocks)
        assert (entry.text, len(taken)) == (text, number)
    assert list(blocks) == []
    assert list(ledger.blocks(RUN, end)) == []


def test_records_that_were_saved_take_twenty_bytes_and_their_key(tmp_path):
    """What they share is written once, and they are read as if it was not."""
    ledger = file_ledger(tmp_path)
    cached = [Item(n, 0, State.CACHED, 1.5, 0.0, f"{n:040x}", 0) for n in range(1000)]
    used = [
        Used(n, 0, "ask", 0, 1.5, Usage(1, n, 7, 0, 0.25), saved=True)
        for n in range(1000)
    ]
    called = [
        Called(n, 0, "ask", State.CACHED, 1.5, 0.0, 0, f"{n:040x}") for n in range(1000)
    ]
    others = [Item(7, 0, State.CACHED, 1.5, 0.0, "not a key"), Listed(8, "x", 2)]
    listed = [Listed(n, f"t-{n}") for n in range(1000)]
    entries = [*listed, *called, *used, *cached, *others, *others]
    ledger.append(RUN, cached)
    assert ledger.size(RUN) < 1000 * 20 + 200
    ledger.append(RUN, entries)
    assert file_ledger(tmp_path).read(RUN)[0] == [*cached, *entries]
    assert file_ledger(tmp_path).about(RUN, 7) == [
        entry for entry in [*cached, *entries] if entry[0] == 7
    ]


def test_a_removed_run_is_in_no_list_and_on_no_disk(tmp_path):
    ledger = file_ledger(tmp_path)
    ledger.append(RUN, ENTRIES)
    ledger.add_records(RUN, b"x" * 1000)
    assert ledger.bytes_of(RUN) > 1000
    ledger.remove(RUN)
    assert ledger.runs() == []
    assert ledger.read(RUN) == ([], 0)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [
        ".gitignore"
    ]
    ledger.remove(RUN)
    ledger.append(RUN, ENTRIES)
    assert file_ledger(tmp_path).read(RUN)[0] == ENTRIES
