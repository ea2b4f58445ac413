"""Every file operation of a prune and of an erasure fails once, and once kills: what stays verifies and hits."""

import contextlib
import os
import shutil
import signal
import warnings
from pathlib import Path

import pytest
from test_disk_faults import Faults, die, full

import nbflow as nf
from nbflow._session import SESSION


def flows(calls):
    @nf.step(retries=0)
    def measure(text):
        calls.append(text)
        return text * 40, "x" * 5000 if text.endswith("0") else "y"

    @nf.flow(on="people")
    def look(record):
        return measure(record["text"])


def rows(name):
    return [{"id": f"{name}-{n}", "text": f"{name} says {n}"} for n in range(3)]


@pytest.fixture
def store(tmp_path):
    """A fresh copy of a store, each time it is called.

    It has runs of three batches, one of which was sent twice and is kept once, and what
    a deleted run left.
    """
    made, calls = tmp_path / "made", []
    nf.use(made)
    flows(calls)
    gone = nf.send("people", rows("gone"), key="id")
    for name in ("old", "kept", "other", "kept"):
        nf.send("people", rows(name), key="id")
    nf.store.delete_runs(gone.id, keep_outputs=True)
    SESSION.engine.store.close()

    def fresh(name):
        return Path(shutil.copytree(made, tmp_path / name))

    fresh.calls = calls
    return fresh


def prune():
    """All but the last two runs."""
    nf.store.prune(keep_runs=2)


def erase():
    """One person, by what she said."""
    nf.store.erase(text="old says 1")


def erase_record():
    """One person of a deleted run, by her key."""
    nf.store.erase(record="gone-1")


ACTIONS = [prune, erase, erase_record]
#: What no file holds when they are through.
GONE = {prune: b"kept says nothing", erase: b"old says 1", erase_record: b"gone says 1"}
#: Of so many operations one is tried; NBFLOW_EVERY=1 tries each.
EVERY = int(os.environ.get("NBFLOW_EVERY", "4"))


def verify(path, calls, action):
    """What is kept hits, what is damaged says nothing; and the action can be finished."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nf.use(path)
        for name in ("kept", "other"):
            calls.clear()
            nf.send("people", rows(name), key="id")
            assert calls == [], name
        action()
        held = [file for file in path.rglob("*") if file.is_file()]
        assert not [file for file in held if GONE[action] in file.read_bytes()]
        nf.store.prune(older_than=0, keep_runs=0)
        assert nf.store.info().outputs == 0
        assert not list(path.glob("gone-*"))
        for name in ("left", "batches"):
            assert SESSION.engine.ledger.beside(name).runs() == []
        nf.send("people", rows("kept"), key="id")
        assert len(calls) == 3
        SESSION.engine.store.close()


@pytest.mark.parametrize("action", ACTIONS)
def test_no_failing_operation_costs_what_is_kept(store, monkeypatch, action):
    at = 1 - EVERY
    while True:
        at += EVERY
        path = store(str(at))
        nf.use(path)
        assert len(nf.runs()) == 4
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            faults = Faults(patch, at, full)
            with contextlib.suppress(nf.StoreError):
                action()
            faults.armed = False
        SESSION.engine.store.close()
        verify(path, store.calls, action)
        shutil.rmtree(path)
        if at > faults.count:
            break
    assert at > 10


@pytest.mark.parametrize("action", ACTIONS)
def test_no_moment_of_death_costs_what_is_kept(store, monkeypatch, action):
    at, status = 1 - EVERY, None
    while status != 0:
        at += EVERY
        path = store(str(at))
        pid = os.fork()
        if pid == 0:
            try:
                nf.use(path)
                nf.runs()
                Faults(monkeypatch, at, die)
                action()
                SESSION.engine.store.close()
            except BaseException:
                os._exit(1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL), at
        verify(path, store.calls, action)
        shutil.rmtree(path)
    assert at > 10
