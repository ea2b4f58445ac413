"""Limits: what a provider allows is kept to, by all together; being told to wait is nobody's failure."""

import chat_server as chat
import pytest

import nbflow as nf
from nbflow.llm.rate_limit import Bucket, RateLimiter, limiter_of


def tally(run):
    return {
        str(state): count
        for state, count in run.reader.state().tally().items()
        if count
    }


#: Headers that say that nothing is left.
EMPTY = {
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "200ms",
}


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


def starts(bucket, times, now=100.0, stall=None):
    """When each of so many requests goes that all want to go ``now``; before one of them the process stalls."""
    found = []
    for number in range(times):
        now += max(0.0, bucket.wait(now)) + (0.2 if number == stall else 0.0)
        bucket.take(1, now)
        found.append(round(now, 3))
    return found


def test_a_bucket_gives_evenly_and_queues_what_is_too_much():
    bucket = Bucket()
    assert starts(bucket, 3) == [100.0] * 3, "without a limit nobody waits"
    bucket.per_minute = 600
    assert starts(bucket, 4) == pytest.approx([100.0, 100.1, 100.2, 100.3], abs=0.02)
    assert bucket.wait(101.0) <= 0


@pytest.mark.parametrize("stall", [None, 150])
def test_who_names_the_limit_itself_stays_below_it_however_unevenly_requests_arrive(
    stall,
):
    """Twenty a second: the twenty-first of any row goes more than a second after the first.

    The margin is more than the jitter of a network.
    """
    bucket = Bucket()
    bucket.per_minute = 20 * 60
    found = starts(bucket, 300, stall=stall)
    assert (
        min(last - first for first, last in zip(found, found[20:], strict=False)) > 1.03
    )
    assert found[-1] - found[0] < 300 / 20 * 1.1


def test_what_a_request_came_to_is_settled_afterwards():
    bucket = Bucket()
    bucket.per_minute = 60_000
    bucket.take(1_000, 100.0)
    bucket.settle(2_000)
    assert bucket.wait(100.0) == pytest.approx(3 / 0.95, abs=0.02)


def test_a_pause_is_as_long_as_the_provider_says():
    way, clock = RateLimiter(), Paused()
    assert sends(way, clock, [limited(7.0), "answer"]) == "answer"
    assert clock.waits == [7.0]


def test_a_pause_of_one_is_a_pause_of_all_who_name_the_provider():
    way, clock = RateLimiter(), Paused()
    way.heed(
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m3s"},
        clock.now,
        0.0,
    )
    assert sends(way, clock, ["answer"]) == "answer"
    assert clock.waits == [60.0]
    assert limiter_of("openai", "http://here/v1") is limiter_of(
        "openai", "http://here/v1/"
    )
    assert limiter_of("openai", None) is not limiter_of("openai", "http://here/v1")
    assert limiter_of("openai", None) is not limiter_of("anthropic", None)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"},
            [0.25],
        ),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1.5",
            },
            [1.5],
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:09Z",
            },
            [9.0],
        ),
        (
            {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "9s"},
            [],
        ),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "soon",
            },
            [],
        ),
    ],
)
def test_nothing_left_means_waiting_until_there_is(headers, waits):
    way, clock = RateLimiter(), Paused()
    way.heed(headers, clock.now, 1795521600.0)
    sends(way, clock, ["answer"])
    assert clock.waits == waits


def test_a_provider_that_says_nothing_but_wait_fails_the_attempt_in_the_end():
    way, clock = RateLimiter(), Paused()
    with pytest.raises(nf.RetryAfterError, match="keeps asking to wait"):
        sends(way, clock, [limited()] * 20)
    assert clock.waits == [1, 2, 4, 8, 16, 32]


def test_nobody_waits_for_hours_in_one_attempt():
    with pytest.raises(nf.RetryAfterError, match="asks to wait for 7200 s") as told:
        sends(RateLimiter(), Paused(), [limited(7200.0)])
    assert told.value.retry_after == 600


def test_a_refused_request_uses_up_no_tokens():
    way, clock = RateLimiter(), Paused()
    way.limit(None, 600)
    sends(way, clock, [limited(1.0)] * 3 + ["answer"])
    assert clock.now < 1000 + 3 + 1


def test_an_answer_in_between_gives_patience_anew():
    way, clock = RateLimiter(), Paused()
    for _ in range(5):
        assert (
            sends(way, clock, [limited(1.0), limited(1.0), limited(1.0), "answer"])
            == "answer"
        )


def test_being_told_to_wait_costs_no_attempt(nb, server, categorizer):
    server.faults = [chat.error(429, "slow down", retry_after="20")] * 3
    assert categorizer(retries=0)("refund").label == "billing"
    assert len(server.requests) == 4


def test_a_busy_server_that_says_when_is_asked_then(nb, server, categorizer):
    server.faults = [chat.error(503, "busy", retry_after="20")]
    assert categorizer(retries=0)("refund").label == "billing"


def test_the_headers_of_good_answers_are_heeded(nb, server, categorizer):
    server.headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "55s",
    }
    categorizer()("one")
    way = limiter_of("openai-chat", server.url)
    assert way._delay(nb.engine.clock.monotonic()) > 5


def test_three_hundred_rows_against_a_limit_are_three_hundred_requests(
    server, categorizer
):
    """Eighty a second are allowed, sixty asked for; none is lost, none is refused."""
    server.allow = 40, 0.5
    run = categorizer(rpm=60 * 60, concurrency=32).map(
        [f"text {number}" for number in range(300)]
    )
    assert tally(run) == {"COMPLETED": 300}
    assert len(server.requests) == 300


def test_without_a_limit_of_ones_own_what_is_refused_is_asked_again_and_none_is_lost(
    server, categorizer
):
    """After each twenty the server has had enough for a moment."""
    server.faults = [
        *[None] * 20,
        chat.error(429, "slow down", "rate_limit_exceeded", retry_after="0.1"),
    ] * 14
    run = categorizer(concurrency=32, retries=0).map(
        [f"text {number}" for number in range(300)]
    )
    assert tally(run) == {"COMPLETED": 300}
    assert server.answered == 300
    assert len(server.requests) == 314


@pytest.mark.parametrize("says_left", [False, True])
def test_a_limit_that_nobody_named_is_found_out(server, categorizer, says_left):
    """Forty a second, whether headers say how many are left or not: a crowd is refused once, then few are."""
    server.allow, server.says_left = (20, 0.5), says_left
    run = categorizer(concurrency=32, retries=0).map(
        [f"text {number}" for number in range(200)]
    )
    assert tally(run) == {"COMPLETED": 200}
    assert len(server.requests) < 200 + 70


def test_a_limiter_without_any_burst_leaves_no_text_behind(server, categorizer):
    """Two requests within the twentieth of a second are one too many."""
    server.allow = 1, 0.05
    run = categorizer(concurrency=32, retries=0).map(
        [f"text {number}" for number in range(60)]
    )
    assert tally(run) == {"COMPLETED": 60}
    assert len(server.requests) < 60 + 31 + 25


@pytest.mark.parametrize("headers", [{}, EMPTY])
def test_a_provider_that_only_says_wait_fails_all_and_is_asked_a_few_times(
    server, categorizer, headers
):
    server.always = chat.error(429, "slow down", retry_after="0.2", **headers)
    run = categorizer(retries=1).map([f"text {number}" for number in range(30)])
    assert tally(run) == {"FAILED": 30}
    assert len(server.requests) < 30 + 6 + 15


def test_a_refusal_with_headers_counts_as_one_without():
    """The headers of a refusal are read before the refusal is."""
    way, clock = RateLimiter(), Paused()

    async def request():
        way.heed(EMPTY, clock.now, 0.0)
        raise limited(1.0)

    import asyncio

    with pytest.raises(nf.RetryAfterError, match="keeps asking to wait"):
        asyncio.run(way.send(request, 100, clock))
    assert sum(clock.waits) == pytest.approx(6, abs=0.5)


def test_a_limit_is_shared_by_all_steps_of_the_provider(nb, server, categorizer):
    """Forty requests at sixty a minute: the fortieth starts 39 seconds after the first, whichever step makes it."""
    texts = [f"text {number}" for number in range(20)]
    begun = nb.engine.clock.monotonic()
    for name in ("one", "two"):
        categorizer(name=name, rpm=60, instructions=name).map(texts)
    assert nb.engine.clock.monotonic() - begun >= 38


def test_tokens_per_minute_are_those_that_requests_really_came_to(
    nb, server, categorizer
):
    """Twenty requests of 114 tokens each, at 600 a minute: the last starts when nineteen are paid off."""
    begun = nb.engine.clock.monotonic()
    categorizer(tpm=600, concurrency=1).map([f"text {number}" for number in range(20)])
    waited = nb.engine.clock.monotonic() - begun
    assert waited >= 19 * (chat.PROMPT + chat.COMPLETION) / 10 - 1


def test_a_call_took_what_its_request_took_and_was_in_line_before(
    nb, server, categorizer
):
    """One request at a time: all together take no longer than the run."""
    run = categorizer(concurrency=1).map([f"text {number}" for number in range(8)])
    calls = [run.inspect(number)["categorize"]["categorize"] for number in range(8)]
    assert sum(call.seconds for call in calls) <= run.reader.state().seconds
    assert sum(call.waited for call in calls) > 0
    assert run.table().flows[0].waited == pytest.approx(
        sum(call.waited for call in calls)
    )
