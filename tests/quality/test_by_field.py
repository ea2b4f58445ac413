"""evaluate, compare, review and estimate of one field of records that were extracted."""

import enum
from typing import Literal

import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.metrics import f1_score, jaccard_score
from sklearn.preprocessing import MultiLabelBinarizer

import nbflow as nf
from nbflow.quality.evaluation import Evaluation
from nbflow.quality.field_evaluation import FieldEvaluation

ISSUES = ["late", "refund", "rude"]


class Mood(enum.Enum):
    ANGRY = "angry"
    CALM = "calm"


class Ticket(BaseModel):
    topic: Literal["billing", "delivery"] | None
    issues: list[Literal["late", "refund", "rude"]]
    amount: float | None
    order: str | None = nf.llm.quote("the order")
    urgent: bool
    mood: Mood


def records(number):
    """Texts with what is true of them."""
    rows = []
    for place in range(number):
        issues = [one for bit, one in enumerate(ISSUES) if place >> bit & 1]
        rows.append(
            {
                "id": place,
                "text": f"order A-{place} costs {place}.5 " + " ".join(issues),
                "topic": ["billing", "delivery", None][place % 3],
                "issues": issues,
                "amount": None if place % 4 == 3 else place + 0.5,
                "order": f"order a-{place}",
                "urgent": place % 2 == 0,
                "mood": ["angry", "calm"][place % 2],
            }
        )
    return pd.DataFrame(rows, columns=list(rows[0])).astype({"topic": object})


def extracted(rows, change=lambda place, record: record):
    """A run of an extractor that says what is true, but for some changes."""
    by_text = {row["text"]: (n, row) for n, row in enumerate(rows.to_dict("records"))}

    def rule(text):
        place, row = by_text[text]
        record = {name: row[name] for name in Ticket.model_fields}
        for name in ("amount", "topic"):
            record[name] = None if pd.isna(record[name]) else record[name]
        return change(place, record)

    read = nf.llm.extractor(Ticket, model=rule, retries=0)

    @nf.flow(on="fields/rows")
    def ticket(row):
        return read(row["text"])

    return nf.send("fields/rows", rows, key="id")


def some_wrong(place, record):
    if place % 5 == 0:
        record["issues"] = ["late"]
        record["topic"] = "billing"
    if place % 6 == 0 and record["amount"] is not None:
        record["amount"] += 0.3
    if place % 7 == 0:
        record["order"] = None
    return record


@pytest.fixture
def rows():
    return records(60)


def test_a_set_is_scored_by_member_and_by_what_is_shared(nb, rows):
    run = extracted(rows, some_wrong)
    found = nf.evaluate(run, truth="issues", field="issues")
    given = [ticket.issues for ticket in run.results("ticket")]
    binary = MultiLabelBinarizer(classes=ISSUES)
    true, said = binary.fit_transform(rows["issues"]), binary.transform(given)
    right = [
        set(one) == set(other) for one, other in zip(given, rows["issues"], strict=True)
    ]
    assert isinstance(found, FieldEvaluation)
    assert found.accuracy.value == pytest.approx(sum(right) / 60)
    jaccard = jaccard_score(true, said, average="samples", zero_division=1.0)
    assert found.jaccard.value == pytest.approx(jaccard)
    assert found.jaccard.low < jaccard < found.jaccard.high
    assert found.labels["f1"].tolist() == pytest.approx(
        f1_score(true, said, average=None)
    )
    assert found.labels["records"].tolist() == true.sum(axis=0).tolist()
    assert len(found.disagreements) == 60 - sum(right)
    assert "Jaccard" in repr(found)
    assert "F1 late" in found._repr_html_()


def test_sets_that_are_written_as_text_are_sets(nb, rows):
    run = extracted(rows)
    for between in (", ", ";", "|"):
        written = rows["issues"].map(between.join)
        assert (
            nf.evaluate(run, truth=written, field="issues", empty="nothing").accuracy[0]
            == 1
        )
    assert (
        nf.evaluate(run, truth=rows["issues"].map(str), field="issues").accuracy[0] == 1
    )


def test_numbers_are_right_within_a_tolerance(nb, rows):
    run = extracted(rows, some_wrong)
    off = sum(place % 6 == 0 and place % 4 != 3 for place in range(60))
    exact = nf.evaluate(run, truth="amount", field="amount")
    assert exact.kind == "number"
    assert (exact.records, exact.unknown) == (45, 15)
    assert exact.accuracy.value == pytest.approx(1 - off / 45)
    assert (
        nf.evaluate(run, truth="amount", field="amount", tolerance=0.31).accuracy[0]
        == 1
    )
    assert "A number is right if it is within 0.31" in repr(
        nf.evaluate(run, truth="amount", field="amount", tolerance=0.31)
    )
    whole = nf.evaluate(run, truth="amount", field="amount", empty="nothing")
    assert whole.records == 60, "null where nothing is true is right"
    assert whole.accuracy.value == pytest.approx(1 - off / 60)


def test_quotes_are_right_by_their_words(nb, rows):
    run = extracted(rows, some_wrong)
    found = nf.evaluate(run, truth="order", field="order")
    assert found.kind == "words"
    nulls = sum(place % 7 == 0 for place in range(60))
    assert found.accuracy.value == pytest.approx(1 - nulls / 60)
    assert set(found.disagreements["ticket.order"]) == {"(nothing)"}


def test_a_label_is_scored_as_ever_and_null_is_an_answer(nb, rows):
    run = extracted(rows, some_wrong)
    found = nf.evaluate(run, truth="topic", field="topic", empty="nothing")
    assert isinstance(found, Evaluation)
    assert found.records == 60
    assert found.labels == ("(nothing)", "billing", "delivery")
    wrong = sum(place % 5 == 0 and place % 3 != 0 for place in range(60))
    assert found.accuracy.value == pytest.approx(1 - wrong / 60)
    unknown = nf.evaluate(run, truth="topic", field="topic")
    assert (unknown.records, unknown.unknown) == (40, 20)
    assert nf.evaluate(run, truth="urgent", field="urgent").accuracy.value == 1
    assert nf.evaluate(run, truth="mood", field="mood").accuracy.value == 1


def test_two_runs_are_compared_by_field(nb, rows):
    good, bad = extracted(rows), extracted(rows, some_wrong)
    names = ("good", "bad")
    sets = nf.compare(good, bad, truth="issues", field="issues", names=names)
    assert sets.accuracy[0].value == 1
    assert sets.only_second == 0
    assert sets.only_first == len(sets.disagreements) > 5
    assert sets.p < 0.05
    assert "good is right on 100.0%" in sets.verdict
    free = nf.compare(good, bad, field="amount", tolerance=0.31)
    assert free.agreement.value == 1
    assert "only true values can tell" in free.verdict
    labels = nf.compare(good, bad, truth="topic", field="topic", names=names)
    assert labels.paired.only_first == 4, "of those whose topic is known"
    labels = nf.compare(
        good, bad, truth="topic", field="topic", names=names, empty="nothing"
    )
    assert labels.verdict.startswith("good is better")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"field": "mod"}, "has no column 'mod'"),
        ({"field": "topic", "column": "ticket.topic"}, "are one: give one"),
        ({"field": "issues", "empty": "no"}, "empty='no' has to be"),
    ],
)
def test_what_cannot_be_scored_is_said(nb, rows, options, said):
    run = extracted(rows.head(6))
    with pytest.raises(nf.UsageError, match=said):
        nf.evaluate(run, truth="topic", **options)


def test_a_person_decides_a_field_and_it_keeps_its_type(nb, rows):
    run = extracted(rows.head(6), some_wrong)
    topics = nf.review(run, field="topic", text="text")
    assert set(topics.choices) == {"billing", "delivery", "(nothing)"}
    topics.decide("0", "delivery")
    nf.review(run, field="urgent", text="text").decide("0", "False")
    nf.review(run, field="mood", text="text").decide("0", "calm")
    issues = nf.review(run, field="issues", text="text")
    assert "late" in issues.choices
    issues.decide("3", "(nothing)")
    first, *_, last = run.results("ticket")
    assert (first.topic, first.urgent, first.mood) == ("delivery", False, Mood.CALM)
    assert run.results("ticket")[3].issues == []
    assert last.topic == "billing"
    assert nf.evaluate(run, field="topic").looked_at is not None
    with pytest.raises(nf.UsageError, match="'amount' holds numbers, which nobody"):
        nf.review(run, field="amount")


def test_the_whole_run_is_estimated_by_field(nb, rows):
    run = extracted(rows, some_wrong)
    true = dict(zip(map(str, rows["id"]), rows["issues"], strict=True))
    review = nf.review(run, sample=40, field="issues", text="text")
    for key in review.left:
        review.decide(key, ", ".join(true[key]) or "(nothing)")
    found = nf.estimate(run, field="issues")
    whole = nf.evaluate(run, truth="issues", field="issues").accuracy.value
    assert found.accuracy.low <= whole <= found.accuracy.high
    assert found.decided == 40
