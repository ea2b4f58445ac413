"""Extraction on real data with recorded truth, by a real decision model and by the baseline, field by field."""

import csv
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

import nbflow as nf

DATA = Path(__file__).parents[2] / "notebooks" / "data" / "banking_questions.csv"
MODEL = "system-one:sparrow-nano-general-v1.1"
THINGS = {
    "card_arrival": ["card"],
    "card_not_working": ["card"],
    "cash_withdrawal_charge": ["cash", "fee"],
    "exchange_rate": ["currency"],
    "lost_or_stolen_card": ["card"],
    "pin_blocked": ["card", "PIN"],
    "terminate_account": ["account"],
    "top_up_failed": ["top-up"],
    "transfer_timing": ["transfer"],
    "verify_my_identity": ["identity"],
}


class Question(BaseModel):
    topic: Literal[
        "card_arrival",
        "card_not_working",
        "cash_withdrawal_charge",
        "exchange_rate",
        "lost_or_stolen_card",
        "pin_blocked",
        "terminate_account",
        "top_up_failed",
        "transfer_timing",
        "verify_my_identity",
    ] = Field(description="what a customer of a bank asks about")
    things: list[
        Literal[
            "card",
            "cash",
            "fee",
            "currency",
            "PIN",
            "account",
            "top-up",
            "transfer",
            "identity",
        ]
    ]


@pytest.fixture(scope="module")
def questions():
    rows = list(csv.DictReader(DATA.open(encoding="utf-8", newline="")))
    for row in rows:
        row["things"] = THINGS[row["label"]]
    return rows


def scores(run):
    topic = nf.evaluate(run, truth="label", field="topic")
    things = nf.evaluate(run, truth="things", field="things")
    return topic.accuracy, things.accuracy, things.jaccard


def read_by(extract, rows):
    @nf.flow(on="bank/question")
    def ask(row):
        return extract(row["text"])

    return nf.send("bank/question", rows, key="id")


def test_the_baseline_fills_both_fields_of_a_thousand_questions(nb, questions):
    known = [
        (row["text"], {"topic": row["label"], "things": row["things"]})
        for row in questions
        if row["use"] == "example"
    ]
    rows = [row for row in questions if row["use"] == "question"]
    run = read_by(nf.llm.extractor(Question, examples=known), rows)
    assert len(run.failures()) == 0
    topic, things, jaccard = scores(run)
    assert topic.value > 0.9
    assert jaccard.value > 0.8
    assert things.value < jaccard.value, "some share what they are about, and not all"


def test_a_real_decision_model_answers_all_questions_of_a_text_at_once(
    nb, sparrow, questions
):
    rows = [row for row in questions if row["use"] == "question"][:60]
    extract = nf.llm.extractor(Question, model=MODEL, base_url=sparrow, concurrency=4)
    run = read_by(extract, rows)
    assert run.usage.requests == len(rows), "ten questions each, one request"
    topic, _, _ = scores(run)
    assert topic.value > 0.6
    assert topic.low > 0.1, "far better than chance"
