"""Decisions of people are kept by whoever makes them, however they end, and nobody can make one up."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nbflow._core.decision import Decision
from nbflow._store.decisions import Decisions
from nbflow._store.ledger import FileLedger
from nbflow._store.memory_ledger import MemoryLedger
from nbflow._store.seal import Seal
from nbflow.errors import StoreWarning

ROOT = Path(__file__).parents[2]
REVIEWER = """
import os, signal, sys
from pathlib import Path
from nbflow._core.decision import Decision
from nbflow._store.ledger import FileLedger
from nbflow._store.decisions import Decisions
from nbflow._store.seal import Seal

folder, name, count, kill = sys.argv[1:]
reviews = Decisions(FileLedger(Path(folder) / "runs", Seal(bytes(32))).beside("reviews"))
for n in range(int(count)):
    reviews.add(Decision("triage", "label", (), bytes(20), f"{name}-{n}", None, name, float(n), "k", "r"))
if kill == "yes":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def decision(label="billing", at=1.0):
    return Decision(
        "triage",
        "label",
        ("text",),
        bytes(range(20)),
        label,
        "bug",
        "ana",
        at,
        "t-1",
        "run",
    )


@pytest.fixture(params=["file", "memory"])
def ledger(request, tmp_path):
    return (
        FileLedger(tmp_path / "runs", Seal(bytes(32)))
        if request.param == "file"
        else MemoryLedger()
    )


def test_a_decision_comes_back_whole_and_is_no_run(ledger):
    Decisions(ledger.beside("reviews")).add(decision())
    assert Decisions(ledger.beside("reviews")).all() == [decision()]
    assert ledger.runs() == []


def start(folder, name, count, kill="no"):
    return subprocess.Popen(
        [sys.executable, "-c", REVIEWER, str(folder), name, str(count), kill],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_processes_and_threads_that_review_at_once_lose_nothing(tmp_path):
    processes = [start(tmp_path, name, 60) for name in ("ana", "bo")]
    reviews = Decisions(
        FileLedger(tmp_path / "runs", Seal(bytes(32))).beside("reviews")
    )
    threads = [
        threading.Thread(
            target=lambda name=name: [
                reviews.add(decision(f"{name}-{n}")) for n in range(60)
            ]
        )
        for name in ("cy", "di")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert {one.label for one in reviews.all()} == {
        f"{name}-{n}" for name in ("ana", "bo", "cy", "di") for n in range(60)
    }
    assert len(reviews.all()) == 240


def test_a_process_that_is_killed_leaves_every_decision_that_it_made(tmp_path):
    process = start(tmp_path, "ana", 5, "yes")
    assert process.wait(60) == -signal.SIGKILL
    reviews = Decisions(
        FileLedger(tmp_path / "runs", Seal(bytes(32))).beside("reviews")
    )
    assert [one.label for one in reviews.all()] == [f"ana-{n}" for n in range(5)]


def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path):
    reviews = Decisions(
        FileLedger(tmp_path / "runs", Seal(bytes(32))).beside("reviews")
    )
    reviews.add(decision("parent"))
    child = os.fork()
    if not child:
        reviews.add(decision("child"))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    reviews.add(decision("parent again"))
    assert {one.label for one in reviews.all()} == {"parent", "child", "parent again"}


def test_what_was_changed_or_made_with_another_secret_or_taken_from_a_batch_is_no_decision(
    tmp_path,
):
    ledger = FileLedger(tmp_path / "runs", Seal(bytes(32)))
    Decisions(ledger.beside("reviews")).add(decision())
    forged = Decisions(
        FileLedger(tmp_path / "runs", Seal(bytes([1] * 32))).beside("reviews")
    )
    with pytest.warns(StoreWarning, match="damaged"):
        assert forged.all() == []
    ledger.add_records("20261124-1", b"anything")
    shutil.copytree(
        tmp_path / "runs" / "20261124-1", tmp_path / "reviews" / "reviewer-1"
    )
    (file,) = (tmp_path / "reviews").glob("reviewer-????????????????/records")
    file.write_bytes(file.read_bytes().replace(b"billing", b"Billing"))
    with pytest.warns(StoreWarning, match="damaged"):
        assert Decisions(ledger.beside("reviews")).all() == []


def test_a_thread_that_comes_second_finds_a_writer(ledger, monkeypatch):
    """While the first one names it: the decisions of a whole thread were lost."""
    decisions = Decisions(ledger.beside("reviews"))
    urandom, late = os.urandom, []

    def named(count):
        if not late:
            late.append(threading.Thread(target=decisions.add, args=(decision("two"),)))
            late[0].start()
            late[0].join()
        return urandom(count)

    monkeypatch.setattr(os, "urandom", named)
    decisions.add(decision("one"))
    assert {each.label for each in decisions.all()} == {"one", "two"}
