"""A crew has as many threads as make it faster: many at once where they wait, one where they compute."""

import threading
import time

import pytest

from nbflow._call import workers
from nbflow._call.workers import Crew


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(workers, "time", clock)
    return clock


@pytest.fixture
def crew():
    """A crew whose work waits until the test is over."""
    over = threading.Event()
    crew = Crew("nbflow-test", 64, lambda _: over.wait(30))
    yield crew
    over.set()
    crew.dismiss()


def looks(crew, clock, load, seconds=0.001):
    clock.now += seconds
    crew.adjust(load)
    return crew._wanted


def test_a_crew_that_only_waits_has_all_its_threads_after_three_looks(crew, clock):
    for work in range(200):
        crew.put(work)
    assert [looks(crew, clock, 0.05) for _ in range(4)] == [4, 16, 64, 64]
    assert not crew.grows
    deadline = time.monotonic() + 10
    while crew._queue.qsize() > 200 - 64 and time.monotonic() < deadline:
        pass
    assert crew._queue.qsize() == 200 - 64


def test_a_crew_that_computes_keeps_its_one_thread(crew, clock):
    for work in range(200):
        crew.put(work)
    assert [looks(crew, clock, 0.9) for _ in range(4)] == [1] * 4
    assert not crew.grows
    # Later it takes longer looks, and doubles.
    assert looks(crew, clock, 0.1, 0.0005) == 1
    assert looks(crew, clock, 0.1, 0.006) == 2


def test_what_its_caller_computes_does_not_keep_a_crew_small(crew, clock):
    for work in range(200):
        crew.put(work)
    clock.now += 0.001
    crew.adjust(1.05, own=0.95)
    assert crew._wanted == 4


def test_a_crew_without_work_in_line_does_not_grow(crew, clock):
    crew.put(1)
    while crew._queue.qsize():
        pass
    assert [looks(crew, clock, 0.0) for _ in range(3)] == [1] * 3
    assert crew.grows
