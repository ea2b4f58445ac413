"""Calls that cannot mean what they say are refused before anything runs, and failures say what is missing."""

import pandas as pd
import polars as pl
import pytest

import nbflow as nf

EVENT = "tickets"
ROWS = [{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]


def test_records_given_as_the_event_are_refused_in_one_line(nb):
    for records in (pd.DataFrame(ROWS), pl.DataFrame(ROWS), ROWS, None):
        for start in (nf.send, nf.plan):
            with pytest.raises(
                nf.UsageError, match="The name of the event comes first"
            ):
                start(records, EVENT)


def test_a_column_that_is_not_there_is_named_with_those_that_are(nb):
    plans = {"free": 0}

    @nf.step(retries=0)
    def price(ticket, column):
        return ticket[column]

    @nf.flow(on=EVENT)
    def direct(ticket):
        return ticket["text"]

    @nf.flow(on=EVENT)
    def popped(ticket):
        return ticket.pop("text")

    @nf.flow(on=EVENT)
    def in_a_step(ticket):
        return price(ticket, "text")

    @nf.flow(on=EVENT)
    def in_a_dict_of_its_own(ticket):
        return plans[ticket["plan"]]

    @nf.flow(on=EVENT)
    def made_by_hand(ticket):
        raise KeyError("text")

    data = pd.DataFrame({"id": ["a", "b"], "plan": ["gold", "text"]})
    run = nb.send(EVENT, data, key="id")
    said = "the record has no 'text'; it has 'id', 'plan'"
    failures = run.failures()
    assert failures["error"].unique().tolist() == ["KeyError"]
    assert failures.groupby("flow", sort=False)["message"].agg(list).to_dict() == {
        "direct": [said, said],
        "popped": [said, said],
        "in_a_step": [said, said],
        "in_a_dict_of_its_own": ["'gold'", "'text'"],
        "made_by_hand": ["'text'", "'text'"],
    }
    assert run.inspect("a")["in_a_step"]["price"].failure.message == said
    assert price.map(data, "text").failures()["message"].tolist() == [said, said]


def test_a_column_that_is_not_there_is_asked_for_once_unless_the_step_says_to_retry(nb):
    @nf.step
    def direct(ticket):
        return ticket["text"]

    @nf.step
    async def awaited(ticket):
        return ticket["text"]

    @nf.step(retry_delay=0)
    def answered(ticket):
        return {"label": "x"}[ticket["id"]]

    @nf.step(retry_delay=0, should_retry=lambda error: True)
    def insists(ticket):
        return ticket["text"]

    for step, attempts in ((direct, 1), (awaited, 1), (answered, 4), (insists, 4)):
        run = step.map(pd.DataFrame({"id": ["a"], "plan": ["gold"]}))
        assert run.failures()["attempts"].tolist() == [attempts]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"concurrency": 4}, r"@nf\.step\(concurrency=\.\.\.\)"),
        ({"max_inflight": 4}, "Did you mean max_in_flight=?"),
        ({"colour": "red"}, r"label\(text, model='small'\).*'colour'"),
        ({"model": "large", "text": "x"}, "multiple values for argument 'text'"),
    ],
)
def test_a_map_that_the_step_cannot_be_called_with_is_refused_before(nb, given, said):
    @nf.step
    def label(text, model="small"):
        return text

    for start in (label.map, label.plan):
        with pytest.raises(TypeError, match=said):
            start(["a", "b"], **given)
    with pytest.raises(TypeError, match="too many positional"):
        label.map(["a"], "large", "more")
    assert nb.calls == []
    assert len(nf.runs()) == 0
    assert label.map(["a"], "large").state == "COMPLETED"
    assert label.map(["a"], model="large").state == "COMPLETED"


def test_only_an_id_or_a_path_opens_a_run(nb):
    with pytest.raises(nf.UsageError, match="takes the id of a run, or a path, not 5"):
        nf.open_run(5)


def test_what_is_no_name_of_a_column_is_no_key(nb):
    @nf.flow(on=EVENT)
    def look(ticket):
        return ticket

    frame = pd.DataFrame(ROWS)
    for key in (len, 5, frame.columns):
        with pytest.raises(nf.UsageError, match="key= takes the name of a column"):
            nf.send(EVENT, frame, key=key)


def test_a_run_is_compared_with_a_run(nb):
    @nf.step
    def label(text):
        return text

    run = label.map(["a"])
    with pytest.raises(nf.UsageError, match=r"takes another run, such as nf\.open_run"):
        run.compare(run.id)
