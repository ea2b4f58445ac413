"""Decision models: a probability for each label, and what such servers do wrong."""

import chat_server as chat
import decision_server as stub
import pytest

import nbflow as nf
from nbflow._call.prices import Prices
from nbflow.llm import Category, Reply, Tokens

TEXT = "please refund me"
PROTOCOLS = [
    "system-one:stub",
    "openai-decisions:stub",
    "typesafe:stub",
    "google-decisions:stub",
]
ANSWER = Category(
    "billing", 0.9, None, {"billing": 0.9} | dict.fromkeys(("bug", "other"), 0.05)
)


def tally(run):
    return {
        str(state): count
        for state, count in run.reader.state().tally().items()
        if count
    }


def same(answer):
    shares = {name: round(each, 9) for name, each in answer.probabilities.items()}
    return Category(answer.label, answer.confidence, answer.reason, shares)


@pytest.mark.parametrize("model", PROTOCOLS)
def test_each_protocol_gives_a_label_with_the_probability_of_each(
    nb, deciding, decider, model
):
    categorize = decider(model=model)
    run = categorize.map([TEXT, "crash", TEXT])
    assert [same(answer) for answer in run.results("categorize")][::2] == [ANSWER] * 2
    assert run.usage[:3] == (2, 2 * stub.TOKENS, 0)
    assert len(deciding.requests) == 2
    assert categorize.explain(TEXT).state == "cached"


@pytest.mark.parametrize("model", PROTOCOLS)
def test_it_is_asked_one_question_with_all_that_the_user_said(
    nb, deciding, decider, model
):
    decider(
        {"billing": "charges", "bug": None},
        model=model,
        instructions="The main concern counts.",
        unknown="other",
        examples={"bug": ["it broke"]},
        redact=lambda text: text.replace("me", "[x]"),
    )(TEXT)
    sent = deciding.requests[0]["body"]
    assert (sent.get("state") or sent.get("input")) == "please refund [x]"
    questions = sent["questions"]
    (question,) = questions if isinstance(questions, list) else questions.values()
    assert question["instructions"] == (
        "Which label fits the text best?\n\nThe main concern counts."
    )
    options = question.get("criteria") or {
        each["value"]: each.get("description") for each in question["choices"]
    }
    assert options == {
        "billing": "charges",
        "bug": "Examples:\n- it broke",
        "other": "none of the other labels fits, or the text does not say enough",
    }


def test_the_confidence_is_the_probability_of_the_label_and_nothing_else(
    nb, deciding, decider
):
    """A server's own confidence may be on another scale: here 0.85 beside 0.9."""
    assert decider()(TEXT).confidence == stub.SURE


def test_a_reason_is_not_asked_for_and_does_not_count(nb, deciding, decider):
    assert decider(reason=True)(TEXT).reason is None
    assert decider(reason=False).explain(TEXT).state == "cached"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"instructions": "Choose."}, "`instructions` changed"),
        ({"labels": ["billing", "bug"]}, "`labels` changed"),
        ({"examples": {"bug": ["it broke"]}}, "`examples` changed"),
        ({"model": "system-one:stub-2"}, "`model` changed"),
    ],
    ids=str,
)
def test_what_it_is_told_counts_in_the_key(nb, deciding, decider, edit, said):
    decider(instructions="Pick.")(TEXT)
    assert said in decider(**{"instructions": "Pick."} | edit).explain(TEXT).reason


def test_how_it_is_reached_does_not_count(nb, deciding, decider):
    decider()(TEXT)
    other = decider(base_url=deciding.root, api_key="k", rpm=9, timeout=7, retries=0)
    assert other.explain(TEXT).state == "cached"


@pytest.mark.parametrize("model", PROTOCOLS[:3])
def test_a_key_goes_to_the_server_that_it_was_given_for_alone(
    nb, deciding, decider, model, monkeypatch
):
    for name in ("OPENAI", "TYPESAFE", "SYSTEM_ONE"):
        monkeypatch.setenv(f"{name}_API_KEY", "of somebody else")
    decider(model=model)(TEXT)
    decider(model=model, api_key="mine")("crash")
    assert deciding.keys == ["Bearer none", "Bearer mine"]


def test_the_address_of_a_server_may_come_from_the_environment(
    nb, deciding, monkeypatch
):
    monkeypatch.delenv("SYSTEM_ONE_BASE_URL", raising=False)
    with pytest.raises(nf.UsageError, match="needs base_url=, the address of your"):
        nf.llm.categorizer(["a", "b"], model="system-one:stub")
    monkeypatch.setenv("SYSTEM_ONE_BASE_URL", deciding.root)
    assert nf.llm.categorizer(chat.LABELS, model="system-one:stub")(TEXT).label == (
        "billing"
    )


@pytest.mark.parametrize("model", PROTOCOLS)
def test_more_labels_than_it_can_choose_from_are_refused_where_they_are_given(model):
    labels = [f"label {number}" for number in range(300)]
    with pytest.raises(nf.UsageError, match="at most 255 labels, and there are 300"):
        nf.llm.categorizer(labels, model=model, base_url="http://127.0.0.1:1")
    nf.llm.categorizer(labels[:254], unknown="?", model=model, base_url="http://a")
    with pytest.raises(nf.UsageError, match="and there are 256"):
        nf.llm.categorizer(labels[:255], unknown="?", model=model, base_url="http://a")


def test_several_texts_a_request_are_refused_where_they_are_asked_for():
    with pytest.raises(nf.UsageError, match="batch=20 is for models that write"):
        nf.llm.categorizer(
            ["a", "b"], model="system-one:x", base_url="http://a", batch=20
        )


PASSING = {
    "500": chat.error(500, "boom"),
    "503": chat.error(503, "busy"),
    "reset": chat.reset,
    "half an answer": chat.truncated,
    "no JSON": lambda exchange: exchange.send(200, b"<html>", {}),
    "not all labels": stub.chooses(probabilities={"billing": 1.0}),
    "more than one": stub.chooses(
        probabilities={"billing": 0.9, "bug": 0.9, "other": 0}
    ),
    "no number": stub.chooses(
        probabilities={"billing": float("nan"), "bug": 0.5, "other": 0.5}
    ),
    "another label": stub.chooses(choice="Customer Happiness"),
    "not the likeliest": stub.chooses(choice="bug"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again_and_never_becomes_a_label(
    nb, deciding, decider, fault
):
    deciding.faults = [PASSING[fault]] * 2
    assert same(decider(retries=2)(TEXT)) == ANSWER
    assert len(deciding.requests) == 3
    assert deciding.texts == [[TEXT]] * 3, "it judges the text, not a complaint"
    deciding.faults = [PASSING[fault]] * 2
    with pytest.raises(nf.StepError, match="tried 2 times"):
        decider(retries=1)("another")


@pytest.mark.parametrize("model", PROTOCOLS)
def test_too_many_requests_are_nobodys_failure(nb, deciding, decider, model):
    deciding.faults = [chat.error(429, "slow down", retry_after="0.01")] * 3
    run = decider(model=model, retries=0).map([TEXT, "crash"])
    assert tally(run) == {"COMPLETED": 2}
    assert len(deciding.requests) == 5


def test_a_refusal_is_paid_and_not_asked_for_again(nb, deciding, decider):
    deciding.faults = [stub.refused]
    categorize = decider(model="openai-decisions:stub", concurrency=1)
    run = categorize.map(["a secret", TEXT])
    assert tally(run) == {"COMPLETED": 1, "FAILED": 1}
    (message,) = run.failures()["message"]
    assert message == "openai-decisions:stub declined to judge this text"
    assert len(deciding.requests) == 2
    assert run.usage[:3] == (2, 2 * stub.TOKENS, 0)


TOO_LONG = [
    chat.error(413, "request entity too large"),
    chat.error(
        400, "maximum context length is 32000 tokens", "context_length_exceeded"
    ),
    lambda exchange: exchange.give(422, {"error": "state is too long"}, {}),
    chat.error(
        400, "The input token count (40000) exceeds the maximum allowed (32000)"
    ),
    lambda exchange: exchange.give(
        422, {"detail": [{"msg": "state: too many tokens"}]}, {}
    ),
]


@pytest.mark.parametrize("fault", TOO_LONG, ids=range(len(TOO_LONG)))
@pytest.mark.parametrize("model", PROTOCOLS)
def test_a_text_that_is_too_long_fails_alone_and_once(
    nb, deciding, decider, model, fault
):
    deciding.faults = [fault]
    run = decider(model=model, concurrency=1).map(["long " * 9, TEXT])
    assert tally(run) == {"COMPLETED": 1, "FAILED": 1}
    (message,) = run.failures()["message"]
    assert message.startswith(f"the text is too long for {model}: ")
    assert "status_code" not in message
    assert message.endswith("Shorten it in the flow, or label its parts.")
    assert len(deciding.requests) == 2


def test_what_a_server_echoes_of_a_text_stays_out_of_the_message(nb, deciding, decider):
    echo = {"detail": [{"msg": "no such model", "input": {"state": TEXT}}]}
    deciding.always = lambda exchange: exchange.give(422, echo, {})
    (message,) = decider().map([TEXT]).failures()["message"]
    assert message == "system-one:stub: no such model"


@pytest.mark.parametrize("model", PROTOCOLS)
def test_what_a_server_of_another_version_echoes_stays_out_of_the_message(
    nb, deciding, decider, model
):
    deciding.always = lambda exchange: exchange.give(
        200, {"model": "stub", "results": [{"state": TEXT}]}, {}
    )
    (message,) = decider(model=model).map([TEXT]).failures()["message"]
    assert f"{model} answers in another form than POST /v1" in message
    assert TEXT not in message
    assert "input_value" not in message


OTHER_VERSIONS = {
    "other fields": lambda exchange: exchange.give(
        200, {"model": "stub", "results": [{"label": "billing"}]}, {}
    ),
    "another kind of answer": stub.chooses(type="pick", probabilities=None),
    "no usage": stub.body(lambda body: {"answers": {}, "model": "stub"}),
}


@pytest.mark.parametrize("model", PROTOCOLS)
@pytest.mark.parametrize("fault", OTHER_VERSIONS)
def test_a_server_of_another_version_is_asked_a_few_times_for_a_whole_run(
    nb, deciding, decider, model, fault
):
    deciding.always = OTHER_VERSIONS[fault]
    run = decider(model=model, concurrency=1).map([f"text {n}" for n in range(30)])
    assert tally(run) == {"FAILED": 30}
    assert len(deciding.requests) == 3
    said = f"{model} answers in another form than POST /v1"
    assert {said in message for message in run.failures()["message"]} == {True}
    assert run.usage.unanswered == 3, "what they cost is unknown"
    deciding.always = None
    run.rerun_failed()
    assert tally(run) == {"COMPLETED": 30}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_decisions_is_asked_once_for_a_whole_run(
    nb, deciding, decider, status
):
    deciding.always = chat.error(status, "not here")
    run = decider(concurrency=1).map([f"text {number}" for number in range(9)])
    assert len(deciding.requests) == 1
    (said,) = set(run.failures()["message"])
    assert said == (
        "there is no system-one:stub at this address: not here. It has to answer POST "
        "/v1/systemone, which a server of another version may not."
    )


@pytest.mark.parametrize("model", PROTOCOLS)
def test_what_is_no_json_is_a_mishap_and_no_other_version(nb, deciding, decider, model):
    deciding.always = lambda exchange: exchange.send(200, b"<html>proxy", {})
    (said,) = decider(model=model, retries=0).map([TEXT]).failures()["message"]
    assert said == f"{model} answered what is no JSON: '<html>proxy'"


@pytest.mark.parametrize("model", PROTOCOLS)
def test_a_server_that_is_away_or_silent_is_no_answer(nb, deciding, decider, model):
    deciding.always = chat.hang
    run = decider(model=model, timeout=0.5, retries=0).map([TEXT])
    assert tally(run) == {"TIMED_OUT": 1}
    assert run.usage.unanswered == 1
    deciding.close()
    away = decider(model=model, retries=0)
    with pytest.raises(nf.StepError, match="tried once") as failed:
        away("another")
    assert model in str(failed.value)


def test_a_model_of_another_name_that_answers_is_named_in_the_table(
    nb, deciding, decider
):
    deciding.calls_itself = "stub-1.14"
    run = decider().map([TEXT, "crash"])
    assert str(run).count("system-one:stub: the model that answers is 'stub-1.14'") == 1
    assert "the model that answers" not in str(decider(model="system-one:stub-1.14"))


def test_a_wrong_key_and_an_empty_account_are_asked_once(nb, deciding, decider):
    for status, said in ((401, "does not accept the key"), (402, "nothing left")):
        deciding.requests.clear()
        deciding.always = chat.error(status, "no")
        run = decider(concurrency=1).map([f"{status} {n}" for n in range(9)])
        assert len(deciding.requests) == 1
        assert said in run.failures()["message"].iloc[0]


@pytest.fixture
def priced(monkeypatch):
    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    nf.set_price("system-one:stub", input=1, output=0)


def test_it_costs_what_it_reads_and_a_budget_holds(nb, deciding, decider, priced):
    run = decider().map([TEXT])
    assert run.usage.cost == pytest.approx(stub.TOKENS / 1e6)
    texts = [f"text {number}" for number in range(50)]
    held = decider(concurrency=1).map(texts, budget=f"${10 * stub.TOKENS / 1e6:f}")
    assert len(deciding.requests) <= 1 + 11
    assert tally(held)["COMPLETED"] <= 11


def test_a_budget_needs_a_price(nb, deciding, decider):
    with pytest.raises(nf.UsageError, match=r'set_price\("system-one:stub"'):
        decider().map([TEXT], budget="$1")
    assert not deciding.requests


def test_a_plan_says_what_is_cached_and_what_would_be_asked(
    nb, deciding, decider, priced
):
    categorize = decider()

    @nf.flow(on="decisions/thread")
    def triage(thread):
        return categorize(thread["body"])

    threads = [{"id": number, "body": f"text {number}"} for number in range(4)]
    nb.send("decisions/thread", threads[:1], key="id")
    plan = nf.plan("decisions/thread", threads, key="id")
    assert len(deciding.requests) == 1
    assert plan.cost == pytest.approx(3 * stub.TOKENS / 1e6)


def test_a_hosted_model_has_the_price_of_its_list(monkeypatch):
    prices = Prices()
    assert prices.knows("openai-decisions:gpt-6-luna")
    assert prices.knows("typesafe:jev-latest")


def test_limits_hold_for_its_requests(nb, deciding, decider):
    deciding.always = lambda exchange: exchange.answer()
    decider(concurrency=3).map([f"text {number}" for number in range(20)])
    assert len(deciding.requests) == 20


def test_a_stub_and_the_baseline_stand_for_it(nb, deciding, decider):
    offline = nf.llm.categorizer(chat.LABELS)("a bug, a bug")
    categorize = decider()
    nb.stub("categorize", lambda text: offline)
    assert categorize(TEXT).probabilities == offline.probabilities
    assert not deciding.requests


class Own:
    """A decision model of the user's own."""

    name = "house:own"
    decides = True

    async def ask(self, request):
        assert request.options == {"bug": "it crashes", "other": ""}
        assert request.text == TEXT
        return Reply("bug", Tokens(7), probabilities={"bug": 0.75, "other": 0.25})


def test_an_object_that_decides_is_a_decision_model_as_well(nb):
    categorize = nf.llm.categorizer({"bug": "it crashes", "other": None}, model=Own())
    assert categorize(TEXT) == Category("bug", 0.75, None, {"bug": 0.75, "other": 0.25})


def test_a_text_that_no_encoding_knows_is_sent_with_a_question_mark(
    nb, deciding, decider
):
    assert decider()("half a pair: \ud83d").label == "other"
    assert deciding.texts == [["half a pair: ?"]]
