"""A provider that is away: one request at a time finds out when it is back, and nobody fails meanwhile."""

import socket

import chat_server as chat
import pytest

import nbflow as nf
from nbflow._core.entry import Waits
from nbflow.llm.outage import Outage, is_away

TEXTS = [f"text {number}" for number in range(20)]


def tally(run):
    state = run.reader.state()
    return {str(key): count for key, count in state.tally().items() if count}


def waits(run):
    """What the ledger says that records waited for."""
    entries, _ = run.engine.ledger.read(run.id)
    return {each.why for each in entries if isinstance(each, Waits)}


class Gone:
    """A port that nobody listens at."""

    def __init__(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"


@pytest.mark.parametrize(
    "fault",
    [
        chat.error(503, "no upstream"),
        chat.error(502, "bad gateway"),
        chat.error(503, "busy", retry_after="1"),
        chat.reset,
        chat.hang_up,
    ],
    ids=["503", "502", "503 with Retry-After", "reset", "hung up"],
)
def test_a_provider_that_comes_back_fails_nobody(nb, server, categorizer, fault):
    server.faults = [fault] * 40
    run = categorizer(concurrency=8).map(TEXTS)
    assert tally(run) == {"COMPLETED": 20}
    assert len(server.requests) == 60


def test_while_it_is_away_one_request_at_a_time_asks_and_the_rest_is_waiting(
    nb, server, categorizer
):
    together = []

    def away(exchange):
        together.append(exchange.texts)
        chat.error(503, "no upstream")(exchange)

    server.faults = [away] * 30
    run = categorizer(concurrency=8).map(TEXTS)
    assert tally(run) == {"COMPLETED": 20}
    said = waits(run)
    assert any("the provider does not answer" in why for why in said)
    assert "" in said, "and goes on"


def test_a_pause_that_the_provider_asks_for_is_told(nb, server, categorizer):
    server.faults = [chat.error(429, "slow down", retry_after="20")]
    run = categorizer(concurrency=1).map(TEXTS)
    assert tally(run) == {"COMPLETED": 20}
    said = waits(run)
    assert any("told to wait" in why and "slow down" in why for why in said)
    assert "" in said, "and goes on"


def test_nobody_at_the_address_is_waited_for_in_a_run_and_given_up_after_minutes(
    nb, categorizer
):
    run = categorizer(base_url=Gone().url, concurrency=8).map(TEXTS)
    assert tally(run) == {"FAILED": 20}
    assert any("Connect call failed" in why for why in waits(run))
    state = run.reader.state()
    assert state.seconds > 600
    assert not state.waiting


def test_a_call_outside_a_run_fails_after_its_attempts(nb, categorizer):
    before = nb.engine.clock.monotonic()
    with pytest.raises(nf.StepError, match="tried 4 times"):
        categorizer(base_url=Gone().url)("refund")
    assert nb.engine.clock.monotonic() - before < 60


def test_a_text_that_breaks_the_server_does_not_hold_up_the_others(
    nb, server, categorizer
):
    def broken(exchange):
        if "text 3" in exchange.texts:
            chat.error(502, "worker died")(exchange)
        else:
            exchange.complete(chat.good(exchange.texts))

    server.always = broken
    run = categorizer(concurrency=4).map([*TEXTS, *(f"more {n}" for n in range(30))])
    assert tally(run)["COMPLETED"] == 49


def test_who_is_asked_for_ever_more_rarely_is_given_up_and_asked_anew_later():
    outage, now, error = Outage(), 1000.0, ConnectionRefusedError("nobody")
    pauses = []
    while outage.fail(error, now, now):
        pauses.append(outage.probe_at - now)
        now = outage.probe_at
    assert pauses[:6] == [1, 2, 4, 8, 15, 15]
    assert 600 < sum(pauses) < 620
    with pytest.raises(nf.llm.ModelError, match="10 minutes"):
        outage.check(now)
    outage.check(now + 120)
    assert not outage.is_on


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), True),
        (socket.gaierror(-2, "not known"), True),
        (nf.llm.ModelError("x", 503), True),
        (nf.llm.ModelError("x", 500), False),
        (nf.llm.ModelError("x", 429), False),
        (TimeoutError(), False),
        (FileNotFoundError(), False),
        (ValueError(), False),
    ],
    ids=repr,
)
def test_only_a_missing_answer_is_an_outage(error, expected):
    assert is_away(error) is expected
    wrapped = nf.llm.ModelError("wrapped")
    wrapped.__cause__ = error
    if not isinstance(error, nf.llm.ModelError):
        assert is_away(wrapped) is expected
