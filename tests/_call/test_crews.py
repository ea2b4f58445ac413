"""A crew has as many threads as make it faster: one that computes has one, also on a busy machine."""

import threading

import pytest

from nbflow._call import workers


class Bench:
    """A crew whose time, work and waits for a core are what the test says."""

    def __init__(self, monkeypatch):
        self.now, self.ready, self.gate = 0.0, 0.0, threading.Event()
        monkeypatch.setattr(workers.time, "monotonic", lambda: self.now)
        self.crew = workers.Crew("test", 32, lambda _: self.gate.wait())
        monkeypatch.setattr(self.crew, "_ready", lambda: self.ready)
        for _ in range(100):
            self.crew.put(0)

    def pass_time(self, seconds, load, rate, starved=0.0):
        """So many seconds, in steps as a run takes them; ``rate``: what ends in a second with so many threads."""
        for _ in range(round(seconds / 0.005)):
            self.now += 0.005
            self.ready += 0.005 * starved
            self.crew._ended += 0.005 * rate(self.crew._wanted)
            self.crew.adjust(load)

    @property
    def threads(self):
        return self.crew._wanted

    def end(self):
        self.gate.set()
        self.crew.dismiss()


@pytest.fixture
def bench(monkeypatch):
    bench = Bench(monkeypatch)
    yield bench
    bench.end()


def computing(threads):
    """One computes at a time, and more of them are in each other's way."""
    return 3000 / (1 + 0.2 * (threads - 1))


def waiting(threads):
    return 20 * threads


def test_work_that_waits_gets_all_threads(bench):
    bench.pass_time(1, 0.1, waiting)
    assert bench.threads == 32


def test_work_that_computes_keeps_one(bench):
    bench.pass_time(5, 1.0, computing)
    assert bench.threads <= 2
    bench.pass_time(0.1, 1.0, computing)
    assert bench.threads <= 2


def test_a_process_that_gets_no_core_does_not_wait(bench):
    """Others have the cores: its load is small, and more threads would not help."""
    bench.pass_time(2, 0.3, computing, starved=0.65)
    assert bench.threads <= 2


def test_work_that_first_waited_and_then_computes_gives_threads_back_soon(bench):
    """Not one step a second."""
    bench.pass_time(1, 0.1, waiting)
    bench.pass_time(0.5, 1.0, computing, starved=0.5)
    assert bench.threads <= 2


def test_work_that_computes_beside_the_interpreter_gets_more(bench):
    """What releases its lock keeps two cores busy with two threads."""
    bench.pass_time(2, 1.8, lambda threads: 100 * min(threads, 2))
    assert bench.threads >= 2


def test_the_system_says_how_long_a_thread_was_ready_or_nothing():
    assert workers._run_delay(threading.get_native_id()) >= 0
    assert workers._run_delay(2**30) == 0
