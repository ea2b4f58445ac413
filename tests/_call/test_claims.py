"""Calls that another process works on: a real one, on one store."""

import subprocess
import sys
import warnings

import pytest

import nbflow as nf
from nbflow._call import claim
from nbflow._call.clock import TestClock
from nbflow._core.entry import Waits
from nbflow._core.policy import Policy, Throttle
from nbflow._session import SESSION

#: Locks a key until it reads a line.
HOLD = """
import sys
from pathlib import Path
from nbflow._store.disk.disk_store import DiskStore
store = DiskStore(Path(sys.argv[1]))
print(store.lock(sys.argv[2]), flush=True)
input()
"""


@pytest.fixture
def held(tmp_path):
    """Have another process hold a key of the session's store; gives it, to end it."""
    processes = []

    def hold(key):
        command = [sys.executable, "-c", HOLD, SESSION.engine.store.url, key]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield hold
    for process in processes:
        process.communicate("\n")


class Waiter:
    """A call, as far as claiming goes."""

    name, place, is_waiting = "ask", object(), False

    def __init__(self, key, policy):
        self.key, self.policy, self.said = key, policy, []

    def note_wait(self, why):
        self.is_waiting = bool(why)
        self.said.append(why)


def wait(waiter, until=lambda: False):
    """Wait for the key by a clock that does not."""
    clock = TestClock()
    begun = clock.monotonic()
    for pause in claim.knocks(SESSION.engine.store, clock, waiter):
        clock.wait(pause, None)
        until()
    return clock.monotonic() - begun


KEY = "ab" * 20


def test_who_waits_for_another_process_says_for_which_and_since_when(held):
    process = held(KEY)
    waiter = Waiter(KEY, Policy())

    def until():
        if waiter.said and process.poll() is None:
            process.kill()
            process.wait()

    assert wait(waiter, until) > claim.SILENT
    who, end = waiter.said
    assert end == ""
    if sys.platform == "linux":
        assert who.startswith(f"process {process.pid} works on it since ")


def test_the_wait_ends_when_a_call_cannot_take_that_long(held):
    held(KEY)
    with pytest.raises(nf.StepTimeoutError, match=r"longer than timeout= .*2 min 33 s"):
        wait(Waiter(KEY, Policy(timeout=30, retries=2)))


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(timeout=1, concurrency=2),
        Policy(timeout=1, throttle=Throttle("1/min")),
    ],
    ids=["no timeout", "concurrency", "throttle"],
)
def test_a_call_that_may_stand_in_line_there_is_waited_for_without_end(policy):
    assert policy.longest == float("inf")


def test_the_ledger_has_the_record_waiting(held, monkeypatch):
    """The other process ends once the table shows it."""
    monkeypatch.setattr(claim, "SILENT", 0.05)

    @nf.step
    def ask(text: str) -> str:
        return text.upper()

    ask.map(["other"])
    [key] = {
        call.checkpoint for call in ask.map(["text"]).inspect(0).flows["ask"].steps
    }
    ask.forget()
    process = held(key)
    run = ask.map(["text"], wait=False)
    while not run.reader.state().waiting:
        assert run.state == "RUNNING"
    process.kill()
    process.wait()
    run.wait()
    assert list(run.results("ask")) == ["TEXT"]
    entries, _ = run.engine.ledger.read(run.id)
    said = [each.why for each in entries if isinstance(each, Waits)]
    assert len(said) == 2
    assert said[1] == ""


def test_a_call_outside_a_run_warns(held, monkeypatch):
    monkeypatch.setattr(claim, "SILENT", 0.05)
    process = held(KEY)
    waiter = Waiter(KEY, Policy())
    waiter.place = None

    def until():
        if waiter.said and process.poll() is None:
            process.kill()
            process.wait()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wait(waiter, until)
    assert "'ask' waits: " in str(caught[0].message)
