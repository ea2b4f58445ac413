"""How fast a service takes calls, without a clock, a thread or a service."""

import random

import pytest

from nbflow._core.congestion import Congestion


class Service:
    """Takes a call when the last one it took is so many seconds ago; a clock of its own."""

    def __init__(self, distance=0.0):
        self.distance, self.now = distance, 1000.0
        self.congestion = Congestion(6, trusts=True)
        self.refused, self.starts, self._last = 0, [], 0.0

    def call(self, *, refuses=None, is_rate=True, takes=0.01, asks=1.0):
        """One call, as soon as it may start; returns whether it was refused."""
        self.now = max(self.now, self.congestion.start_of(0))
        self.congestion.start(self.now)
        self.starts.append(begun := self.now)
        early = self.now - self._last < self.distance
        is_refused = early if refuses is None else refuses
        if not is_refused:
            self._last = begun
        self.now += takes
        self.congestion.end(begun)
        if is_refused:
            self.refused += 1
            self.congestion.refuse(begun, self.now, asks, is_rate=is_rate)
        else:
            self.congestion.answer()
        return is_refused

    def pace(self, calls):
        """Calls a second over the last so many."""
        return calls / (self.starts[-1] - self.starts[-1 - calls])


def test_without_a_refusal_nobody_keeps_a_distance():
    service = Service()
    for _ in range(100):
        service.call(takes=0.0)
    assert len(set(service.starts)) == 1


def test_a_service_without_any_burst_is_found_out_and_rarely_refuses():
    """Four a second, and each call that comes too early is refused for a second."""
    service = Service(0.25)
    answered = sum(not service.call() for _ in range(300))
    assert service.refused < 300 // 10
    assert answered / (service.now - 1000) > 2.5, "with a second lost by each refusal"


def test_who_waited_comes_back_one_after_the_other():
    congestion = Congestion(6, trusts=True)
    for _ in range(32):
        congestion.start(1000.0)
    for number in range(32):
        congestion.end(1000.0)
        if number < 4:
            congestion.answer()
        else:
            congestion.refuse(1000.0, 1000.1, 1.0, is_rate=True)
    congestion.start(congestion.start_of(0))
    turns = [congestion.start_of(ahead) for ahead in range(3)]
    assert turns[1] - turns[0] > 0.2
    assert turns[2] - turns[1] > 0.2


def test_being_busy_now_and_then_does_not_slow_down_for_good():
    service = Service()
    for number in range(1, 1001):
        service.call(refuses=number % 100 == 0, is_rate=False)
    assert service.pace(50) > 50, "of a hundred"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
def test_a_service_that_refuses_some_calls_whatever_their_rate_is_not_starved(share):
    """Others use it too, or it draws lots: to slow down further and further helps nobody."""
    service, luck = Service(), random.Random(7)
    answered = sum(
        not service.call(refuses=luck.random() < share, asks=0.1) for _ in range(1_000)
    )
    pauses = 0.1 * service.refused
    assert answered > 600
    assert service.now - 1000 < 5 * pauses + 60


def test_a_limit_that_is_gone_is_forgotten():
    service = Service(0.25)
    for _ in range(50):
        service.call()
    service.distance = 0.0
    for _ in range(300):
        service.call()
    assert service.pace(50) > 50, "of a hundred"


def test_an_hour_without_calls_is_no_slow_service():
    service = Service()
    for _ in range(100):
        service.call()
    service.now += 3600
    for _ in range(50):
        service.call()
    service.call(refuses=True)
    service.call()
    assert service.congestion.interval < 0.1


def refusals(congestion, times, others=0):
    """Which of so many refusals in a row are nobody's failure."""
    found, now = [], 1000.0
    for _ in range(others):
        congestion.start(now)
    for _ in range(times):
        now = max(now, congestion.start_of(0))
        congestion.start(now)
        congestion.end(now)
        found.append(congestion.refuse(now, now, 1.0, is_rate=True))
    return found


def test_who_is_refused_while_others_are_served_has_not_failed():
    assert all(refusals(Congestion(6, trusts=False), 20, others=1))
    known = Congestion(6, trusts=False)
    known.answer()
    assert refusals(known, 8) == [True] * 6 + [False] * 2
    assert refusals(Congestion(6, trusts=False), 2) == [False] * 2


def test_a_crowd_that_is_refused_together_is_refused_once():
    congestion = Congestion(1, trusts=True)
    for _ in range(32):
        congestion.start(1000.0)
    for _ in range(32):
        congestion.end(1000.0)
        assert congestion.refuse(1000.0, 1000.1, 1.0, is_rate=True)


def test_whoever_hopes_for_others_that_are_refused_as_well_fails_in_the_end():
    """Each call ends after the next one has started, so nobody is ever alone."""
    congestion, now = Congestion(6, trusts=True), 1000.0
    congestion.start(begun := now)
    for _ in range(20):
        now = congestion.start_of(0) + 1
        congestion.start(now)
        congestion.end(begun)
        is_free = congestion.refuse(begun, now, 1.0, is_rate=True)
        begun = now
    assert not is_free
