"""Steps that call a service which says how much is too much: a real server, over HTTP."""

import urllib.error
import urllib.request
from collections import Counter

import pytest
from limited_server import LimitedServer

import nbflow as nf
from nbflow._call.clock import TestClock
from nbflow._call.limits import Pace
from nbflow._core.policy import Window


@pytest.fixture
def limited():
    """Make a server that takes so many requests in a window of seconds."""
    servers = []

    def make(most, window, retry_after, **options):
        servers.append(LimitedServer(most, window, retry_after, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def answer(url):
    try:
        with urllib.request.urlopen(url) as reply:
            return reply.read().decode()
    except urllib.error.HTTPError as refusal:
        refusal.close()
        raise


def step_that_asks(server, **options):
    url = server.url

    @nf.step(**options)
    def ask(number: int) -> str:
        return answer(f"{url}{number}")

    return ask


def states(run):
    return Counter(map(str, run.reader.state().tally().elements()))


@pytest.mark.parametrize("throttle", [None, "1000/s"])
def test_being_told_when_to_come_back_costs_no_attempt(limited, throttle):
    """A crowd against twenty a second: nobody fails, and few are turned away twice."""
    server = limited(4, 0.2, "0.2")
    ask = step_that_asks(server, retries=1, throttle=throttle)
    run = ask.map(list(range(60)), max_in_flight=32)
    assert states(run) == {"COMPLETED": 60}
    assert server.served == 60
    assert server.requests < 60 + 32 + 20


def test_tasks_wait_their_turn_as_threads_do(limited):
    server = limited(4, 0.2, "0.2")
    url = server.url

    @nf.step(retries=1)
    async def ask(number: int) -> str:
        import asyncio

        return await asyncio.to_thread(answer, f"{url}{number}")

    run = ask.map(list(range(60)), max_in_flight=32)
    assert states(run) == {"COMPLETED": 60}
    assert server.requests < 60 + 32 + 20


def test_who_is_alone_and_always_refused_fails_after_its_attempts(nb, limited):
    server = limited(0, 1, "20")
    with pytest.raises(nf.StepError, match="tried 3 times"):
        step_that_asks(server, retries=2)(1)
    assert server.requests == 3


def test_a_step_without_retries_is_tried_once(nb, limited):
    server = limited(1, 1000, "20")
    ask = step_that_asks(server, retries=0)
    ask(1)
    with pytest.raises(nf.StepError, match="tried once"):
        ask(2)
    assert server.requests == 2


def test_a_throttle_counts_starts_that_took_place():
    """Four a minute, one of them refused: whoever waited through the pauses has the other three."""
    pace, clock = Pace(Window(4, 60.0)), TestClock()
    assert list(pace.turns(clock)) == []
    begun = clock.monotonic()
    waiting = []
    for _ in range(5):
        pace.learn(begun, nf.RetryAfterError(retry_after=1), clock)
        waiting.append(pace.turns(clock))
        for turn in waiting:
            assert next(turn) > 0
    for turn in waiting[:3]:
        for delay in turn:
            clock.wait(delay, None)
    assert clock.monotonic() - begun < 10
    assert next(waiting[3]) > 40
