"""What a person decided stands in the results, of this run and of every other in which the record says the same."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import pydantic
import pytest

import nbflow as nf
from nbflow._core.decision import Decision, standing
from nbflow._run.decisions import content

EVENT = "e"


@dataclass(frozen=True)
class Frozen:
    label: str
    confidence: float


class Named(NamedTuple):
    label: str
    confidence: float


class Model(pydantic.BaseModel, frozen=True):
    label: str
    confidence: float


def decide(run, place, label, *, on=(), field="label", at=1.0):
    """Keep a decision about the record in this place of the batch."""
    row = list(run.reader.batch().rows())[place]
    run.engine.decisions.add(
        Decision(
            "triage",
            field,
            on,
            content(row, on),
            label,
            None,
            "ana",
            at,
            row.key,
            run.id,
        )
    )


def sent(nb, make, records):
    @nf.flow(on=EVENT)
    def triage(record):
        return make(record)

    return nb.send(EVENT, records, key="id")


RECORDS = pd.DataFrame({"id": ["a", "b", "c"], "text": ["one", "two", "one"]})


@pytest.mark.parametrize(
    "kind",
    [
        Frozen,
        Named,
        Model,
        lambda label, confidence: {"label": label, "confidence": confidence},
    ],
)
def test_a_decision_takes_the_place_of_the_label_and_says_so(nb, kind):
    run = sent(nb, lambda record: kind(label="bug", confidence=0.5), RECORDS)
    assert "triage.by" not in run.results()
    decide(run, 1, "billing")
    assert run.results()["triage.label"].tolist() == ["bug", "billing", "bug"]
    assert run.results()["triage.by"].tolist() == ["model", "human", "model"]
    assert run.results()["triage.confidence"].tolist() == [0.5, 0.5, 0.5]
    values = run.results("triage").tolist()
    assert values[1] == kind(label="billing", confidence=0.5)
    assert type(values[1]) is type(values[0])
    assert run.results(reviewed=False)["triage.label"].tolist() == ["bug", "bug", "bug"]


def test_a_plain_value_is_the_label_itself(nb):
    run = sent(nb, lambda record: "bug", RECORDS)
    decide(run, 0, "billing", field="")
    assert run.results("triage").tolist() == ["billing", "bug", "bug"]
    assert list(run.results().columns) == [
        "id",
        "text",
        "triage.status",
        "triage",
        "triage.by",
    ]


def test_it_holds_for_all_that_a_person_would_have_seen_the_same_of(nb):
    """The third record has the text of the first; another column or prompt changes nothing, another text does."""
    decide(
        sent(nb, lambda record: {"label": "bug"}, RECORDS), 0, "billing", on=("text",)
    )
    later = RECORDS.assign(seen=[1, 2, 3], text=["one", "two", "one, edited"])
    run = sent(nb, lambda record: {"label": "other"}, later)
    assert run.results()["triage.label"].tolist() == ["billing", "other", "other"]


def test_a_record_that_failed_can_get_its_label_from_a_person(nb):
    def make(record):
        raise nf.NonRetriableError("no")

    run = sent(nb, make, RECORDS)
    decide(run, 2, "billing")
    frame = run.results()
    assert frame["triage.status"].tolist() == ["FAILED"] * 3
    assert frame["triage.label"].isna().tolist() == [True, True, False]
    assert run.results("triage").isna().all()


def test_the_latest_decision_stands_and_one_taken_back_does_not(nb):
    run = sent(nb, lambda record: {"label": "bug"}, RECORDS)
    decide(run, 0, "late", at=3.0)
    decide(run, 0, "early", at=2.0)
    assert run.results()["triage.label"].tolist()[0] == "late"
    decide(run, 0, None, at=4.0)
    assert run.results()["triage.label"].tolist()[0] == "bug"
    assert standing(run.engine.decisions.all()) == []


def test_a_run_whose_records_were_not_kept_knows_what_was_decided_on_it(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "bug"}

    run = nb.send(EVENT, [{"id": "a"}, {"id": "b"}], key="id", keep_records=False)
    decide(run, 1, "billing")
    nb.forget()
    assert [row["triage.label"] for row in nf.open_run(run.id).results()] == [
        "bug",
        "billing",
    ]


def test_a_step_that_is_given_a_run_sees_a_new_decision(nb):
    calls = []

    @nf.step(ignore="calls")
    def report(run):
        calls.append(1)
        return run.results("triage").tolist()

    run = sent(nb, lambda record: "bug", RECORDS)
    report(run)
    report(run)
    assert len(calls) == 1
    decide(run, 0, "billing", field="")
    assert report(run) == ["billing", "bug", "bug"]
