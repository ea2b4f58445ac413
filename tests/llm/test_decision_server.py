"""Against a real decision model: the server of sparrow-decider, a process of its own, on loopback."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

import nbflow as nf

MODEL = "system-one:sparrow-nano-general-v1.1"
TOPICS = {
    "billing": "charges, refunds, invoices",
    "bug": "something crashes or does not work",
    "praise": None,
}
TEXT = "I was charged twice, please refund one payment"
QUESTIONS = Path(__file__).parents[2] / "notebooks" / "data" / "banking_questions.csv"


@pytest.fixture
def ask(sparrow):
    """A categorizer with the model of the real server."""

    def make(labels=TOPICS, model=MODEL, **options):
        # It lets five connections wait; others try again after a second.
        options |= {"base_url": sparrow, "concurrency": 4}
        return nf.llm.categorizer(labels, model=model, **options)

    return make


def test_it_gives_each_text_a_label_and_the_probability_of_each(nb, ask):
    categorize = ask()
    texts = [TEXT, "The app crashes when I open it", "I love it, thanks!", TEXT]
    run = categorize.map(texts)
    answers = run.results("categorize")
    assert [answer.label for answer in answers] == [
        "billing",
        "bug",
        "praise",
        "billing",
    ]
    for answer in answers:
        assert list(answer.probabilities) == list(TOPICS)
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=0.001)
        assert answer.confidence == max(answer.probabilities.values())
        assert answer.reason is None
    assert run.usage.requests == 3
    assert "the model that answers" not in str(run)
    assert categorize.explain(TEXT).state == "cached"


def test_the_order_of_labels_and_another_kernel_change_nothing(nb, ask):
    turned = dict(reversed(TOPICS.items()))
    assert ask(turned)(TEXT).probabilities == ask()(TEXT).probabilities


def test_a_flow_and_a_sync_call_take_it_like_any_other_categorizer(nb, ask):
    categorize = ask(unknown="unclear")

    @nf.flow(on="sparrow/thread")
    async def triage(thread):
        return await categorize.aio(thread["body"])

    run = nb.send(
        "sparrow/thread", [{"id": 1, "body": TEXT}, {"id": 2, "body": ""}], key="id"
    )
    labels = [row["triage.label"] for row in run.results()]
    assert labels == ["billing", "unclear"], "an empty text is not sent"
    assert categorize(TEXT).label == "billing"


def test_what_it_takes_to_be_likelier_is_more_often_right(nb, ask):
    """On questions to a bank, with no more than the names of ten labels."""
    rows = list(csv.DictReader(QUESTIONS.open(encoding="utf-8", newline="")))[:200]
    labels = sorted({row["label"] for row in rows})
    names = {label: label.replace("_", " ") for label in labels}
    answers = ask(names).map([row["text"] for row in rows]).results("categorize")
    right = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        right[answer.confidence >= 0.8].append(answer.label == row["label"])
    sure, unsure = (sum(right[key]) / len(right[key]) for key in (True, False))
    assert sure > 0.85 > unsure


def test_the_name_of_the_model_that_answers_is_said_if_it_is_another(nb, ask):
    run = ask(model="system-one:jev-latest").map([TEXT])
    assert "the model that answers is 'sparrow-nano-general-v1.1'" in str(run)


def test_what_it_refuses_is_said_in_its_words(nb, sparrow):
    other = nf.llm.categorizer(
        TOPICS, model=MODEL, base_url=f"{sparrow}/elsewhere", retries=0
    )
    (said,) = other.map([TEXT]).failures()["message"]
    assert "has to answer POST /v1/systemone" in said


def test_a_budget_holds_once_it_has_a_price(nb, ask, monkeypatch):
    from nbflow._call.prices import Prices

    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    nf.set_price(MODEL, input=0, output=0)
    run = ask().map([TEXT], budget="$1")
    assert run.usage.cost == 0
