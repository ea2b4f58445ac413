"""Against a real server that fails.

Every record is accounted for, and the number of requests is what the policy says.
"""

import threading

import chat_server as chat
import pytest

import nbflow as nf
from nbflow._call.prices import Prices

TEXT = "please refund me"
PASSING = {
    "500": chat.error(500, "boom"),
    "503": chat.error(503, "busy"),
    "reset": chat.reset,
    "truncated body": chat.truncated,
    "no choices": lambda exchange: exchange.give(
        200, exchange.completion("") | {"choices": []}, {}
    ),
}
NO_ANSWER = {
    "empty": (chat.says(""), "the model's answer is empty"),
    "chatter": (chat.says("Sure! Happy to help."), "not JSON: 'Sure! Happy to help.'"),
    "cut off": (chat.says('{"label": "bil', finish="length"), "cut off"),
    "refused": (chat.says(None, refusal="I would rather not"), "refused"),
    "filtered": (chat.says("", finish="content_filter"), "refused"),
    "another label": (
        chat.says('{"label": "Customer Happiness", "confidence": 0.99}'),
        "'Customer Happiness', which is not one of the labels",
    ),
    "too deep": (chat.says('{"a":' * 50_000 + "}" * 50_000), "not JSON"),
    "no label": (
        chat.says('{"confidence": 0.99}'),
        "None, which is not one of the labels",
    ),
}
HOPELESS = {
    "key": (
        chat.error(401, "Incorrect API key", "invalid_api_key"),
        "openai:stub does not accept the key: Incorrect API key",
    ),
    "quota": (
        chat.error(429, "You exceeded your quota", "insufficient_quota"),
        "the account behind openai:stub has nothing left to spend",
    ),
    "model": (
        chat.error(404, "no such model", "model_not_found"),
        "there is no openai:stub at this address",
    ),
}


def tally(run):
    return {
        str(state): count
        for state, count in run.reader.state().tally().items()
        if count
    }


def test_an_answer_is_paid_once(nb, server, categorizer):
    categorize = categorizer()
    assert [categorize(TEXT) for _ in range(3)] == [
        nf.llm.Category("billing", 0.9, "it says so")
    ] * 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again_by_nbflow_alone(nb, server, categorizer, fault):
    server.faults = [PASSING[fault]] * 2
    assert categorizer(retries=2)(TEXT).label == "billing"
    assert len(server.requests) == 3
    server.always = PASSING[fault]
    with pytest.raises(nf.StepError, match="tried 3 times"):
        categorizer(retries=2)("another")
    assert len(server.requests) == 6


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_an_answer_that_is_none_fails_the_attempt_and_the_next_one_says_why(
    nb, server, categorizer, fault
):
    answer, said = NO_ANSWER[fault]
    server.faults = [answer]
    assert categorizer()(TEXT).label == "billing"
    first, second = [request["records"][0] for request in server.requests]
    assert first == {"text": TEXT}
    assert said in second["your last answer"]


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_there_is_never_a_made_up_label(nb, server, categorizer, fault):
    server.always, said = NO_ANSWER[fault]
    with pytest.raises(nf.StepError, match="tried 4 times") as failed:
        categorizer()(TEXT)
    assert said in str(failed.value.__cause__)
    assert isinstance(failed.value.__cause__, nf.llm.AnswerError)
    assert len(server.requests) == 4


def test_what_a_refused_answer_cost_is_reported_too(nb, server, categorizer):
    server.faults = [chat.says("nonsense")] * 2
    run = categorizer().map([TEXT])
    assert run.usage[:3] == (3, 3 * chat.PROMPT, 3 * chat.COMPLETION)


@pytest.mark.parametrize("fault", HOPELESS)
def test_what_no_request_would_escape_is_asked_once_for_all_records_of_a_run(
    nb, server, categorizer, fault
):
    server.always, said = HOPELESS[fault]
    categorize = categorizer(concurrency=1)
    run = categorize.map([f"text {number}" for number in range(30)])
    assert tally(run) == {"FAILED": 30}
    assert len(server.requests) == 1
    assert {said in message for message in run.failures()["message"]} == {True}
    server.always = None
    run.rerun_failed()
    assert tally(run) == {"COMPLETED": 30}
    assert len(server.requests) == 31


FORBIDDEN = chat.error(403, "moderation: the input was flagged")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_text_that_is_forbidden_fails_alone_and_is_no_wrong_key(
    nb, server, categorizer, batch
):
    def minds(exchange):
        fault = FORBIDDEN if "text 3" in exchange.texts else chat.says(chat.good)
        fault(exchange)

    server.always = minds
    run = categorizer(concurrency=1, batch=batch).map([f"text {n}" for n in range(8)])
    assert tally(run) == {"COMPLETED": 7, "FAILED": 1}
    (message,) = run.failures()["message"]
    assert message == (
        "openai:stub refuses the request (403): moderation: the input was flagged"
    )
    assert sum("text 3" in texts for texts in server.texts) == 1 + (batch > 1)


def test_an_account_that_lacks_a_right_is_asked_a_few_times_for_a_whole_run(
    nb, server, categorizer
):
    server.always = FORBIDDEN
    run = categorizer(concurrency=1).map([f"text {number}" for number in range(30)])
    assert tally(run) == {"FAILED": 30}
    assert len(server.requests) == 3
    assert {"(403)" in message for message in run.failures()["message"]} == {True}
    server.always = None
    run.rerun_failed()
    assert tally(run) == {"COMPLETED": 30}


def test_a_request_that_hangs_ends_with_its_timeout(nb, server, categorizer):
    server.always = chat.hang
    run = categorizer(timeout=1, retries=1).map([TEXT])
    assert tally(run) == {"TIMED_OUT": 1}
    assert len(server.requests) == 2
    assert run.usage[:2] == (2, 0)
    assert run.usage.unanswered == 2


BROKEN_OFF = ["reset", "truncated body", "no choices"]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("fault", BROKEN_OFF)
def test_what_broke_off_is_a_request_of_unknown_cost(
    nb, server, categorizer, fault, batch
):
    """As many requests are counted as the server got."""
    server.faults = [PASSING[fault]]
    run = categorizer(batch=batch).map([TEXT, "crash", "else"])
    assert tally(run) == {"COMPLETED": 3}
    assert run.usage.requests == len(server.requests)
    assert run.usage.unanswered == 1
    assert run.usage.output_tokens == server.answered * chat.COMPLETION


def test_a_server_that_does_not_say_what_it_used_did_not_answer_for_nothing(
    nb, server, categorizer, monkeypatch
):
    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    nf.set_price("openai:stub", input=1, output=1)
    server.tokens = (0, 0)
    usage = categorizer().map([TEXT]).usage
    assert (usage.cost, usage.unpriced, usage.unanswered) == (None, 1, 0)


def test_what_was_not_sent_or_was_refused_cost_nothing(nb, server, categorizer):
    server.faults = [chat.error(500, "boom"), chat.error(429, "later", retry_after="0")]
    run = categorizer().map([TEXT])
    assert run.usage[:1] == (1,)
    url = server.url
    server.close()
    away = nf.llm.categorizer(chat.LABELS, model="openai:stub", base_url=url, retries=0)
    assert away.map([TEXT]).usage.requests == 0


def test_cancelling_a_run_ends_requests_that_wait(nb, server, categorizer):
    arrived = threading.Semaphore(0)

    def hangs(exchange):
        arrived.release()
        chat.hang(exchange)

    server.always = hangs
    run = categorizer().map(["one", "two"], wait=False)
    assert arrived.acquire(timeout=60)
    assert arrived.acquire(timeout=60), "both were sent"
    run.cancel()
    run.wait()
    assert tally(run) == {"CANCELLED": 2}
    assert server.gone.wait(60)
    assert run.usage.unanswered == len(server.requests)


def test_cancelling_ends_them_in_a_sync_flow_as_well(nb, server, categorizer):
    categorize = categorizer()

    @nf.flow(on="chat/cancelled")
    def triage(thread):
        return categorize(thread["body"])

    server.always = chat.hang
    run = nb.send("chat/cancelled", [{"id": 1, "body": TEXT}], key="id", wait=False)
    assert server.hanging.wait(60)
    run.cancel()
    run.wait()
    assert tally(run) == {"CANCELLED": 1}
    assert server.gone.wait(60)


def test_every_record_is_accounted_for_when_everything_happens_at_once(
    nb, server, categorizer
):
    """One in each: passed, retried, refused for good; the counts add up to the requests that were made."""
    server.faults = [
        *PASSING.values(),
        *(answer for answer, _ in NO_ANSWER.values()),
        chat.error(429, "slow down", retry_after="30"),
    ] * 3
    faults = len(server.faults)
    texts = [
        f"text {number} {word}"
        for number in range(20)
        for word in ("refund", "crash", "else")
    ]
    run = categorizer(retries=20).map(texts)
    assert tally(run) == {"COMPLETED": 60}
    assert [answer.label for answer in run.results("categorize")] == [
        "billing",
        "bug",
        "other",
    ] * 20
    assert len(server.requests) == 60 + faults


def test_it_is_called_mapped_and_used_in_sync_and_async_flows_alike(
    nb, server, categorizer
):
    categorize = categorizer()

    @nf.flow(on="chat/thread")
    def waits(thread):
        return categorize(thread["body"]).label

    @nf.flow(on="chat/thread")
    async def awaits(thread):
        return (await categorize.aio(thread["body"])).label

    @nf.flow(on="chat/thread")
    def fans_out(thread):
        return [answer.label for answer in categorize.map([thread["body"], "crash"])]

    @nf.flow(on="chat/thread")
    def submits(thread):
        return categorize.submit(thread["body"]).result().label

    run = nb.send("chat/thread", [{"id": 1, "body": TEXT}], key="id")
    assert (
        run.results("waits")
        == run.results("awaits")
        == run.results("submits")
        == ["billing"]
    )
    assert run.results("fans_out") == [["billing", "bug"]]
    assert sorted(server.texts) == [["crash"], [TEXT]], (
        "flows with equal calls share one"
    )


def test_an_async_flow_that_forgets_aio_is_told_so(nb, server, categorizer):
    categorize = categorizer()

    @nf.flow(on="chat/forgetful")
    async def triage(thread):
        return categorize(thread["body"])

    run = nb.send("chat/forgetful", [{"id": 1, "body": TEXT}], key="id")
    (message,) = run.failures()["message"]
    assert "await categorize.aio(...)" in message


def test_it_can_be_awaited_on_any_event_loop(nb, server, categorizer):
    """The client belongs to the engine's own loop, whoever asks."""
    import asyncio

    categorize = categorizer()
    labels = [
        asyncio.run(categorize.aio(f"{number} refund")).label for number in range(3)
    ]
    assert labels == ["billing"] * 3


def test_a_stub_stands_for_it_in_tests(nb, categorizer):
    categorize = categorizer()
    nb.stub("categorize", lambda text: nf.llm.Category("bug"))
    assert categorize(TEXT).label == "bug"
