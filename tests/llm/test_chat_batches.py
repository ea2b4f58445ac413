"""batch=: several texts in one request, each a call and a checkpoint of its own."""

import asyncio
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
            for answer in (found[0], found[1], found[3])
        ]
    ),
    "some have a label that nobody offered": lambda found: [
        *(answer | {"label": "Happy"} for answer in found[:3]),
        *found[3:],
    ],
    "some are of nobody": lambda found: [
        *(answer | {"id": "zzzz"} for answer in found[:3]),
        *found[3:],
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


def numbered(found, first):
    """Answers that are numbered instead of carrying the ids of their texts."""
    return [answer | {"id": number} for number, answer in enumerate(found, first)]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: numbered(found, 0),
        lambda found: numbered(found, 1),
        lambda found: numbered(found[:2] + found[3:], 1),
    ],
    ids=["from 0", "from 1", "one is skipped"],
)
def test_an_answer_that_numbers_the_texts_gives_none_its_neighbours_label(
    nb, server, categorizer, change
):
    server.faults = [chat.changed(change)]
    assert labels(categorizer(batch=20, retries=0).map(TEXTS)) == LABELS
    assert sizes(server) == [20, 5, 5, 5, 5]
    assert {
        "'0'" in record["your last answer"] or "'1'" in record["your last answer"]
        for record in server.requests[1]["records"]
    } == {True}


def test_ids_cannot_be_counted_and_are_the_same_for_the_same_texts(
    nb, server, categorizer
):
    server.faults = [chat.error(500, "boom")]
    categorizer(batch=20).map(TEXTS)
    first, second = [
        [record["id"] for record in request["records"]] for request in server.requests
    ]
    assert first == second
    assert len(set(first)) == 20
    assert first != sorted(first)
    assert all(name.isalpha() for name in first)


def counting(exchange):
    """A model that numbers the texts from 0, however often it is told."""
    found = numbered(chat.answers(exchange.texts), 0)
    exchange.complete(json.dumps({"answers": found} if len(found) > 1 else found[0]))


def test_a_model_that_always_numbers_the_texts_is_asked_one_by_one_and_the_run_says_so(
    nb, server, categorizer
):
    server.always = counting
    categorize = categorizer(batch=20, retries=0, concurrency=1)
    run = categorize.map([f"{number} {text}" for number in range(4) for text in TEXTS])
    assert labels(run) == LABELS * 4
    several = [size for size in sizes(server) if size > 1]
    assert len(several) < 8, several
    (remark,) = run.reader.state().remarks[-1:]
    assert "openai:stub: no answer to 5 texts at once could be used (the ids" in remark
    assert "so they go one by one now. batch=1 saves the attempts." in remark
    later = categorize.map(["another refund", "another crash"])
    assert sizes(server)[-2:] == [1, 1]
    assert later.reader.state().remarks == [remark]


def test_a_model_whose_long_answers_are_cut_off_is_asked_for_as_many_as_it_manages(
    nb, server, categorizer
):
    def short_of_breath(exchange):
        cut = chat.says(lambda texts: chat.good(texts)[:300], finish="length")
        (cut if len(exchange.texts) > 5 else chat.says(chat.good))(exchange)

    server.always = short_of_breath
    categorize = categorizer(batch=20, retries=0, concurrency=1)
    run = categorize.map([f"{number} {text}" for number in range(10) for text in TEXTS])
    assert labels(run) == LABELS * 10
    assert sizes(server).count(20) == 3
    assert sizes(server).count(5) == 40
    (remark,) = run.reader.state().remarks
    assert (
        "no answer to 20 texts at once could be used (the model's answer was" in remark
    )
    assert "so they go 5 at a time now. batch=5 saves the attempts." in remark


def test_outside_of_runs_a_warning_says_that_texts_go_one_by_one(
    nb, server, categorizer
):
    server.always = counting
    categorize = categorizer(batch=4, retries=0, concurrency=1)

    async def ask():
        return await asyncio.gather(*(categorize.aio(text) for text in TEXTS))

    with pytest.warns(nf.NbflowWarning, match="so they go one by one now") as warned:
        asyncio.run(ask())
    assert len(warned) == 1


def test_an_answer_to_more_texts_than_there_are_is_good_for_those_that_there_are(
    nb, server, categorizer
):
    server.faults = [chat.changed(lambda found: [*found, found[0] | {"id": "zzzz"}])]
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
    def minds(exchange):
        (
            chat.error(400, "filtered")
            if TEXTS[6] in exchange.texts
            else chat.says(chat.good)
        )(exchange)

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


def test_with_several_texts_a_request_at_most_one_request_passes_a_budget(
    nb, server, categorizer, monkeypatch
):
    """A request costs 1 here, whatever texts it has."""
    monkeypatch.setattr("nbflow._session.SESSION.prices", Prices())
    monkeypatch.setattr(batching, "_MOMENT", 0.05)
    nf.set_price("openai:stub", input=0, output=1e6 / chat.COMPLETION)
    texts = [f"text {number}" for number in range(400)]
    run = categorizer(batch=20).map(texts, budget="$5")
    assert run.state == "CANCELLED"
    assert run.usage.cost == pytest.approx(len(server.requests))
    assert 5 <= len(server.requests) <= 6
    assert max(sizes(server)) > 1


def test_a_label_that_stays_wrong_fails_its_own_record_alone(nb, server, categorizer):
    def stubborn(exchange):
        change = {"label": "Happy"}
        found = [
            answer | (change if text == TEXTS[0] else {})
            for answer, text in zip(
                chat.answers(exchange.texts), exchange.texts, strict=True
            )
        ]
        exchange.complete(
            json.dumps({"answers": found} if len(found) > 1 else found[0])
        )

    server.always = stubborn
    run = categorizer(batch=20, retries=1).map(TEXTS)
    assert len(run.failures()) == 1
    # Among twenty, then alone; the second attempt begins among those that wait then,
    # which is nobody.
    assert sizes(server) == [20, 1, 1]
