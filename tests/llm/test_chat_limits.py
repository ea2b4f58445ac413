"""Limits: what a provider allows is kept to, by all together; being told to wait is nobody's failure."""

import chat_server as chat
import pytest

import nbflow as nf
from nbflow.llm.channel import Bucket, Channel, channel


def tally(run):
    return {str(state): count for state, count in run._state().tally().items() if count}


class Paused:
    """A clock that moves when somebody waits, and remembers for how long."""

    def __init__(self):
        self.now, self.waits = 1000.0, []

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.waits.append(round(seconds, 3))
        self.now += seconds


def sends(way, clock, outcomes):
    """Send one request; ``outcomes``: what it meets, one after the other."""
    import asyncio

    left = list(outcomes)

    async def request():
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return asyncio.run(way.send(request, 100, clock))


def limited(retry_after=None):
    return nf.llm.ModelError("slow down", 429, retry_after)


def test_a_bucket_gives_evenly_and_queues_what_is_too_much():
    bucket = Bucket()
    assert [bucket.take(1, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0], "without a limit nobody waits"
    bucket.per_minute = 600
    assert [round(bucket.take(1, 100.0), 3) for _ in range(4)] == [0.0, 0.05, 0.15, 0.25]
    assert bucket.take(1, 101.0) == 0.0


def test_what_a_request_came_to_is_settled_afterwards():
    bucket = Bucket()
    bucket.per_minute = 60_000
    bucket.take(1_000, 100.0)
    bucket.settle(2_000)
    assert bucket.take(1, 100.0) == pytest.approx(2.95)


def test_a_pause_is_as_long_as_the_provider_says():
    way, clock = Channel(), Paused()
    assert sends(way, clock, [limited(7.0), "answer"]) == "answer"
    assert clock.waits == [7.0]


def test_a_pause_of_one_is_a_pause_of_all_who_name_the_provider():
    way, clock = Channel(), Paused()
    way.heed({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m3s"}, clock.now, 0.0)
    assert sends(way, clock, ["answer"]) == "answer"
    assert clock.waits == [60.0]
    assert channel("openai", "http://here/v1") is channel("openai", "http://here/v1/")
    assert channel("openai", None) is not channel("openai", "http://here/v1")
    assert channel("openai", None) is not channel("anthropic", None)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, [0.25]),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5"}, [1.5]),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:09Z"}, [9.0]),
        ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "9s"}, []),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, []),
    ],
)
def test_nothing_left_means_waiting_until_there_is(headers, waits):
    way, clock = Channel(), Paused()
    way.heed(headers, clock.now, 1795521600.0)
    sends(way, clock, ["answer"])
    assert clock.waits == waits


def test_a_provider_that_says_nothing_but_wait_fails_the_attempt_in_the_end():
    way, clock = Channel(), Paused()
    with pytest.raises(nf.RetryAfterError, match="nothing but to wait"):
        sends(way, clock, [limited()] * 20)
    assert clock.waits == [1, 2, 4, 8, 16, 32]


def test_an_answer_in_between_gives_patience_anew():
    way, clock = Channel(), Paused()
    for _ in range(5):
        assert sends(way, clock, [limited(1.0), limited(1.0), limited(1.0), "answer"]) == "answer"


def test_being_told_to_wait_costs_no_attempt(nb, server, categorizer):
    server.faults = [chat.error(429, "slow down", retry_after="20")] * 3
    assert categorizer(retries=0)("refund").label == "billing"
    assert len(server.requests) == 4


def test_a_busy_server_that_says_when_is_asked_then(nb, server, categorizer):
    server.faults = [chat.error(503, "busy", retry_after="20")]
    assert categorizer(retries=0)("refund").label == "billing"


def test_the_headers_of_good_answers_are_heeded(nb, server, categorizer):
    server.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}
    categorizer()("one")
    way = channel("openai-chat", server.url)
    assert way._paused_until > nb.engine.clock.monotonic() + 5


def test_three_hundred_rows_against_a_limit_are_three_hundred_requests(server, categorizer):
    """Eighty a second are allowed, sixty asked for; none is lost, none is refused."""
    server.allow = 40, 0.5
    run = categorizer(rpm=60 * 60, concurrency=32).map([f"text {number}" for number in range(300)])
    assert tally(run) == {"COMPLETED": 300}
    assert len(server.requests) == 300


def test_without_a_limit_of_ones_own_one_pause_holds_all_and_none_is_lost(server, categorizer):
    server.allow = 20, 0.1
    run = categorizer(concurrency=32, retries=0).map([f"text {number}" for number in range(300)])
    assert tally(run) == {"COMPLETED": 300}
    assert server.answered == 300
    assert 300 < len(server.requests) < 400


def test_a_limit_is_shared_by_all_steps_of_the_provider(nb, server, categorizer):
    """Forty requests at sixty a minute: the fortieth starts 39 seconds after the first, whichever step makes it."""
    texts = [f"text {number}" for number in range(20)]
    begun = nb.engine.clock.monotonic()
    for name in ("one", "two"):
        categorizer(name=name, rpm=60, instructions=name).map(texts)
    assert nb.engine.clock.monotonic() - begun >= 38
