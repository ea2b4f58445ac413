"""batch=: several texts in one request, each a call and a checkpoint of its own."""

import json

import chat_server as chat
import pytest

import nbflow as nf
from nbflow._call.prices import Prices
from nbflow.llm import batching

TEXTS = [
    f"text {number} {word}"
    for number, word in enumerate(["refund", "crash", "else", "refund"] * 5)
]
LABELS = ["billing", "bug", "other", "billing"] * 5


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """A loaded machine takes its time to bring twenty texts together."""
    monkeypatch.setattr(batching, "_MOMENT", 2.0)


def labels(run):
    return [answer.label for answer in run.results("categorize")]


def sizes(server):
    return [len(texts) for texts in server.texts]


def test_texts_go_together_and_are_remembered_apart(nb, server, categorizer):
    categorize = categorizer(batch=20)
    assert labels(categorize.map(TEXTS * 2)) == LABELS * 2
    assert sizes(server) == [20]
    assert categorizer(batch=5).explain(TEXTS[7]).state == "cached"
    assert categorize(TEXTS[7]).label == "billing"
    assert sizes(server) == [20]


def test_calls_of_flows_on_threads_go_together_as_well(nb, server, categorizer):
    categorize = categorizer(batch=4)

    @nf.flow(on="batch/thread")
    def triage(thread):
        return categorize(thread["body"]).label

    run = nb.send(
        "batch/thread",
        [{"id": number, "body": text} for number, text in enumerate(TEXTS)],
        key="id",
        max_in_flight=20,
    )
    assert run.results("triage") == LABELS
    assert sum(sizes(server)) == 20
    assert len(server.requests) < 20


def test_an_answer_in_another_order_goes_to_the_texts_it_names(nb, server, categorizer):
    server.always = chat.shuffled
    assert labels(categorizer(batch=20).map(TEXTS)) == LABELS
    assert sizes(server) == [20]


CHANGES = {
    "some are left out": lambda found: found[:2] + found[5:],
    "some are answered twice, differently": lambda found: (
        found
        + [
            answer | {"label": "bug" if answer["label"] == "other" else "other"}
            for answer in found
            if answer["id"] in (1, 2, 4)
        ]
    ),
    "some have a label that nobody offered": lambda found: [
        answer | {"label": "Happy"} if answer["id"] < 4 else answer for answer in found
    ],
    "some are of nobody": lambda found: [
        answer | {"id": answer["id"] + 100} if answer["id"] < 4 else answer
        for answer in found
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_texts_without_an_answer_are_asked_about_again(
    nb, server, categorizer, change
):
    server.faults = [chat.changed(CHANGES[change])]
    assert labels(categorizer(batch=20, retries=0).map(TEXTS)) == LABELS
    assert sizes(server) == [20, 3]
    assert all("your last answer" in record for record in server.requests[1]["records"])


@pytest.mark.parametrize("by", [-1, 1])
def test_an_answer_that_counts_the_texts_otherwise_gives_none_its_neighbours_label(
    nb, server, categorizer, by
):
    server.faults = [
        chat.changed(
            lambda found: [answer | {"id": answer["id"] + by} for answer in found]
        )
    ]
    assert labels(categorizer(batch=20, retries=0).map(TEXTS)) == LABELS
    assert sizes(server) == [20, 5, 5, 5, 5]


def test_an_answer_to_more_texts_than_there_are_is_good_for_those_that_there_are(
    nb, server, categorizer
):
    server.faults = [chat.changed(lambda found: [*found, found[0] | {"id": 21}])]
    assert labels(categorizer(batch=20, retries=0).map(TEXTS)) == LABELS
    assert sizes(server) == [20]


def test_an_answer_twice_the_same_is_one(nb, server, categorizer):
    server.faults = [chat.changed(lambda found: found + found[:3])]
    assert labels(categorizer(batch=20).map(TEXTS)) == LABELS
    assert sizes(server) == [20]


def test_an_answer_that_was_cut_off_is_asked_for_in_smaller_pieces(
    nb, server, categorizer
):
    server.faults = [chat.says(lambda texts: chat.good(texts)[:300], finish="length")]
    assert labels(categorizer(batch=20, retries=0).map(TEXTS)) == LABELS
    assert sizes(server) == [20, 5, 5, 5, 5]


def test_texts_whose_request_failed_come_back_as_one_request(nb, server, categorizer):
    server.faults = [chat.error(500, "boom"), chat.reset]
    assert labels(categorizer(batch=20).map(TEXTS)) == LABELS
    assert sizes(server) == [20, 20, 20]


def test_a_text_that_the_provider_refuses_costs_the_others_nothing(
    nb, server, categorizer
):
    def minds(handler, texts):
        (chat.error(400, "filtered") if TEXTS[6] in texts else chat.says(chat.good))(
            handler, texts
        )

    server.always = minds
    run = categorizer(batch=20).map(TEXTS)
    assert len(run.failures()) == 1
    assert "openai:stub: filtered" in run.failures()["message"][0]
    assert sorted(sizes(server), reverse=True) == [20, 5, 5, 5, 5, 1, 1, 1, 1, 1]


def test_the_shares_of_a_request_add_up_to_it(nb, server, categorizer):
    server.faults = [chat.changed(CHANGES["some are left out"])]
    run = categorizer(batch=20).map(TEXTS)
    assert run.usage[:3] == (2, 2 * chat.PROMPT, 2 * chat.COMPLETION)


def test_the_price_is_that_of_the_whole_requests(nb, server, categorizer, monkeypatch):
    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    nf.set_price("openai:stub", input=10, output=100)
    run = categorizer(batch=20).map(TEXTS)
    assert run.usage.cost == pytest.approx(
        (10 * chat.PROMPT + 100 * chat.COMPLETION) / 1e6
    )
    assert run.usage.unpriced == 0


def test_a_budget_ends_a_run_before_it_is_passed(nb, server, categorizer, monkeypatch):
    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    nf.set_price("openai:stub", input=0, output=1e6 / chat.COMPLETION)
    run = categorizer().map(TEXTS, budget="$5")
    assert run.usage.cost == pytest.approx(5)
    assert len(server.requests) == 5


def test_a_label_that_stays_wrong_fails_its_own_record_alone(nb, server, categorizer):
    def stubborn(handler, texts):
        change = {"label": "Happy"}
        found = [
            answer | (change if text == TEXTS[0] else {})
            for answer, text in zip(chat.answers(texts), texts, strict=True)
        ]
        handler.complete(json.dumps({"answers": found} if len(texts) > 1 else found[0]))

    server.always = stubborn
    run = categorizer(batch=20, retries=1).map(TEXTS)
    assert len(run.failures()) == 1
    # Among twenty, then alone; the second attempt begins among those that wait then,
    # which is nobody.
    assert sizes(server) == [20, 1, 1]
