"""Runs are evaluated and compared by what the model said, record by record, and nobody is dropped in silence."""

import re
import subprocess
import sys
from enum import Enum

import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._core.decision import Decision
from nbflow._run.decisions import content
from tests.quality.conftest import MODELS

EVENT = "e"


@pytest.fixture
def replay(nb, complaints):
    """A recorded model as a flow: ``replay("gpt-4o")`` sends complaints to it."""

    def replay(model, records=complaints, failing=()):
        recorded = dict(zip(complaints["id"], complaints[model], strict=True))

        @nf.flow(on=EVENT)
        def triage(complaint):
            if complaint["id"] in failing:
                raise nf.NonRetriableError("no answer")
            return {"label": recorded[complaint["id"]], "confidence": 0.5}

        return nb.send(EVENT, records[["id", "product"]], key="id")

    return replay


@pytest.mark.parametrize("model", MODELS)
def test_every_recorded_model_can_be_replayed_and_gets_the_figures_of_its_column(
    replay, complaints, model
):
    run = replay(model)
    one, other = (
        nf.evaluate(run, "product"),
        nf.evaluate(complaints, "product", column=model, key="id"),
    )
    assert one.name == "triage.label"
    assert (one.scores, one.outside, one.confusion) == (
        other.scores,
        other.outside,
        other.confusion,
    )


def test_two_prompts_of_one_flow_are_a_and_b(replay):
    compared = nf.compare(replay("gpt-4o-mini"), replay("gpt-4o"), truth="product")
    assert compared.names == ("A", "B")
    assert (
        compared.verdict
        == "B is better: B alone is right on 91 records, A alone on 46 (McNemar's exact test, p = 0.00015)."
    )
    frame = compared.disagreements
    assert list(frame.columns) == [
        "record",
        "id",
        "product",
        "truth",
        "right",
        "A",
        "A.confidence",
        "B",
        "B.confidence",
    ]
    assert frame["right"].value_counts().to_dict() == {
        "B": 91,
        "A": 46,
        "neither": len(frame) - 137,
    }
    assert compared.to_frame().loc["accuracy", ["A", "B"]].tolist() == pytest.approx(
        [0.691, 0.736]
    )
    assert len(compared.to_frame()) == 5 + 5


def test_without_true_labels_they_agree_or_differ(replay):
    compared = nf.compare(
        replay("gpt-4o-mini"), replay("gpt-4o"), names=("short", "long")
    )
    assert (compared.first, compared.second, compared.paired, compared.truth) == (
        None,
        None,
        None,
        "",
    )
    assert compared.agreement.value == pytest.approx(0.834)
    assert len(compared.disagreements) == 166
    assert "They agree on 83.4%" in compared.verdict
    assert list(compared.confusion.to_frame().axes[0].names) == ["short"]


def test_records_without_an_answer_are_counted_and_said(replay):
    one, two = (
        replay("gpt-4o-mini", failing={1, 2, 3}),
        replay("gpt-4o", failing={3, 4}),
    )
    alone = nf.evaluate(one, "product")
    assert (alone.records, alone.missing) == (997, {"FAILED": 3})
    assert alone.accuracy_of_all == pytest.approx(alone.accuracy.value * 0.997)
    assert (
        "3 records (3 failed) without an answer: not in the figures; counted as wrong, accuracy is"
        in repr(alone)
    )
    compared = nf.compare(one, two, truth="product")
    assert compared.records == compared.first.records == compared.second.records == 996
    assert compared.missing.set_index("record")[["A.status", "B.status"]].T.to_dict(
        "list"
    ) == {
        "1": ["FAILED", ""],
        "2": ["FAILED", ""],
        "3": ["FAILED", "FAILED"],
        "4": ["", "FAILED"],
    }
    assert "3 records (3 failed) without an answer in A" in repr(compared)
    assert "2 records (2 failed) without an answer in B" in compared._repr_html_()


def test_records_of_one_run_alone_are_counted_and_said(replay, complaints):
    compared = nf.compare(
        replay("gpt-4o", complaints[:600]),
        replay("gpt-4o-mini", complaints[100:]),
        truth="product",
    )
    assert (compared.records, compared.alone) == (500, (100, 400))
    assert "400 records only in B: not in the figures." in repr(compared)


def test_positions_are_no_keys_for_different_records(nb):
    """Row 0 of one batch is not row 0 of another one: only equal content pairs them."""

    @nf.step
    def label(text):
        return text[0]

    one, two = (
        label.map(["apple", "bean", "corn"]),
        label.map(["apple", "beet", "corn", "date"]),
    )
    assert nf.compare(one, two).records == 2
    assert nf.compare(one, two).alone == (1, 2)
    with pytest.raises(nf.UsageError, match="say different things under the same keys"):
        nf.compare(label.map(["x", "y"]), label.map(["z", "w"]))


def test_true_labels_can_be_known_in_parts(replay, complaints):
    known = complaints.assign(
        product=complaints["product"].where(complaints["id"] <= 50)
    )
    found = nf.evaluate(replay("gpt-4o", known), "product")
    assert (found.records, found.unknown) == (50, 950)
    assert found.outside == {}, "a label that is not in fifty records may still exist"
    compared = nf.compare(
        replay("gpt-4o", known), replay("gpt-4o-mini", known), truth="product"
    )
    assert (compared.records, compared.unknown) == (50, 950)
    assert compared.disagreements["right"].isna().any()


@pytest.mark.parametrize(
    "form",
    [
        list,
        pd.Series,
        pl.Series,
        lambda labels: dict(zip(map(str, range(1, 1001)), labels, strict=True)),
    ],
)
def test_true_labels_come_in_any_form(replay, complaints, form):
    assert nf.evaluate(
        replay("gpt-4o"), form(complaints["product"].tolist())
    ).accuracy.value == pytest.approx(0.736)


def test_rows_that_repeat_a_record_count_once(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return "a"

    run = nb.send(
        EVENT, [{"id": 1, "t": "a"}, {"id": 2, "t": "b"}, {"id": 1, "t": "a"}], key="id"
    )
    assert nf.evaluate(run, "t").records == 2
    assert nf.evaluate(run, ["a", "b", "a"]).accuracy.value == 0.5


class Label(Enum):
    BUG = "bug"
    BILLING = "billing"


def test_labels_may_be_an_enum_or_numbers(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": Label.BUG}

    @nf.flow(on=EVENT)
    def stars(record):
        return 5

    run = nb.send(EVENT, [{"t": "bug", "n": 5}, {"t": "billing", "n": 4}])
    assert nf.evaluate(run, "t", column="triage", labels=Label).accuracy.value == 0.5
    assert nf.evaluate(run, "n", column="stars").labels == ("4", "5")


def decide(run, place, label, at=1.0):
    row = list(run.reader.batch().rows())[place]
    run.engine.decisions.add(
        Decision(
            "triage",
            "label",
            (),
            content(row, ()),
            label,
            None,
            "ana",
            at,
            row.key,
            run.id,
        )
    )


def test_what_people_decided_is_the_truth_and_never_the_answer(replay):
    run = replay("gpt-4o")
    wrong = nf.evaluate(run, "product").disagreements["record"].tolist()
    with pytest.raises(
        nf.UsageError,
        match=r"name the column that has them, truth=\.\.\., or let a person decide",
    ):
        nf.evaluate(run)
    for key in wrong[:5]:
        decide(
            run,
            int(key) - 1,
            run.results(reviewed=False).set_index("id").loc[int(key), "triage.label"],
        )
    found = nf.evaluate(run)
    assert (found.truth, found.records, found.unknown, found.accuracy.value) == (
        "what people decided",
        5,
        995,
        1.0,
    )
    against = nf.evaluate(run, "product")
    assert against.truth == "column 'product'"
    assert against.accuracy.value == pytest.approx(0.736)
    assert against.revised.accuracy == pytest.approx(0.741)
    assert nf.evaluate(run, run.results()["product"]).accuracy.value == pytest.approx(
        0.736
    ), "labels that are given are taken as they are"
    assert nf.compare(run, replay("gpt-4o-mini")).records == 5


@pytest.fixture
def one_sided(replay, complaints):
    """Somebody looked at 40 records on which gpt-4o-mini and the column differ, and agreed with the model."""
    run = replay("gpt-4o-mini")
    wrong = nf.evaluate(run, "product").disagreements["record"].tolist()[:40]
    said = complaints.set_index("id")["gpt-4o-mini"]
    for key in wrong:
        decide(run, int(key) - 1, said[int(key)])
    return run


def test_decisions_where_model_and_column_differ_lift_no_figure_in_silence(one_sided):
    """People corrected the column on 40 of its differences from the model, and on none of its agreements."""
    found = nf.evaluate(one_sided, "product")
    assert found.accuracy.value == pytest.approx(0.691)
    assert found.revised[:3] == (40, 40, 1000)
    assert found.revised.accuracy == pytest.approx(0.731)
    said = (
        "People decided 40 of these 1,000 records, 40 of them otherwise than the true "
        "labels say: with that in their place, accuracy is 73.1%. It is corrected only "
        "where they looked"
    )
    assert said in repr(found)
    page = found._repr_html_()
    assert said in page
    assert "people decided 40 of 1,000" in page
    assert len(found.disagreements) == 309


def test_decisions_where_one_model_differs_make_it_no_better_in_silence(
    replay, one_sided
):
    """Mixed into the column, they would lift gpt-4o-mini by four points, and gpt-4o by less than one."""
    compared = nf.compare(one_sided, replay("gpt-4o"), truth="product")
    values = [side.accuracy.value for side in (compared.first, compared.second)]
    assert values == pytest.approx([0.691, 0.736])
    assert compared.first.revised.accuracy == pytest.approx(0.731)
    assert compared.second.revised.accuracy == pytest.approx(0.744)
    assert repr(compared).count("40 of them otherwise than the true labels say") == 2
    assert "B is better" in compared.verdict


def test_decisions_that_agree_with_a_column_are_said_and_change_nothing(
    replay, complaints
):
    run = replay("o1")
    decide_next(nf.review(run), complaints, 10)
    found = nf.evaluate(run, "product")
    assert found.revised.accuracy == found.accuracy.value
    assert "People decided 10 of these 1,000 records, all as the true labels say." in (
        repr(found)
    )
    assert "with decisions" not in found._repr_html_()


def test_decisions_on_every_record_take_the_place_of_a_column(replay, complaints):
    run = replay("o1", complaints[:30])
    said = complaints.set_index("id")["o1"]
    for place in range(30):
        decide(run, place, said[place + 1])
    found = nf.evaluate(run, "product")
    assert (found.accuracy.value, found.revised) == (1.0, None)
    assert found.truth == "column 'product', 30 of them as people decided"


def test_decisions_stand_where_a_column_says_nothing(replay, complaints):
    known = complaints.assign(product=complaints["product"].where(complaints["id"] > 5))
    run = replay("o1", known)
    decide_next(nf.review(run), complaints, 5)
    found = nf.evaluate(run, "product")
    assert (found.records, found.revised) == (1000, None)
    assert found.truth == "column 'product', 5 of them as people decided"


TWICE = dict.fromkeys(range(1, 41), 2)


def decide_copies(review, complaints):
    true = dict(zip(complaints["id"].astype(str), complaints["product"], strict=True))
    for key in review.left:
        review.decide(key, true[key.partition("-")[0]])


def test_a_decision_that_holds_for_two_records_tells_as_much_as_one(copied, complaints):
    """Each figure is that of the 40 texts, and so is its interval."""
    run = copied("o1", TWICE)
    decide_copies(nf.review(run, text="text"), complaints)
    found, alone = (
        nf.evaluate(run),
        nf.evaluate(
            complaints["o1"][:40].tolist(), complaints["product"][:40].tolist()
        ),
    )
    assert (found.records, found.alike.distinct) == (80, 40)
    for figure in ("accuracy", "macro_f1", "kappa"):
        one, other = getattr(found, figure), getattr(alone, figure)
        assert one.value == pytest.approx(other.value)
        assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.08)
    assert found.to_frame()["recall.low"].to_numpy() == pytest.approx(
        alone.to_frame()["recall.low"].to_numpy(), abs=0.05
    )
    assert "80 records are 40 that differ" in repr(found)
    assert "Intervals allow for that." in found._repr_html_()


def test_two_runs_are_compared_by_what_differs_and_not_by_its_copies(
    copied, complaints
):
    one, two = copied("gpt-4o-mini", TWICE), copied("o1", TWICE)
    decide_copies(nf.review(one, text="text"), complaints)
    found = nf.compare(one, two)
    alone = nf.compare(
        complaints["gpt-4o-mini"][:40].tolist(),
        complaints["o1"][:40].tolist(),
        truth=complaints["product"][:40].tolist(),
    )
    assert found.paired.only_second == 2 * alone.paired.only_second
    assert found.paired.texts == alone.paired.texts
    assert found.paired.difference == pytest.approx(alone.paired.difference)
    assert f"{alone.paired.only_second} texts ({found.paired.only_second} records)" in (
        found.verdict
    )
    assert "80 records are 40 that differ" in repr(found)


def sent_twice(nb, first, second, copies):
    """Two runs of the same texts, of which each stands in so many records."""
    records = [
        {"id": f"{text}-{copy}", "text": str(text)}
        for text, number in enumerate(copies)
        for copy in range(number)
    ]

    def send(given):
        said = tuple(given)

        @nf.flow(on="e")
        def triage(record):
            return {"label": said[int(record["text"])]}

        return nb.send("e", records, key="id")

    return send(first), send(second)


@pytest.mark.parametrize("sample", [None, 60])
@pytest.mark.parametrize("copies", [1, 5, 60])
def test_the_verdict_on_copies_is_that_of_the_interval(nb, sample, copies):
    """B has the text with many copies, A has more of the others."""
    first = ["y"] + ["y"] * 2 + ["x"] * 117
    second = ["x"] * 3 + ["y"] * 5 + ["x"] * 112
    many = [copies, *[2] * 119]
    one, two = sent_twice(nb, first, second, many)
    review = nf.review(one, sample=sample, text="text", choices=["x", "y"])
    for key in list(review.left):
        review.decide(key, "x")
    found = nf.compare(one, two)
    _, low, high = found.paired.difference
    assert (found.paired.p < 0.05) == (low > 0 or high < 0)
    assert found.verdict.startswith("No difference") == (low <= 0 <= high)
    assert "McNemar" not in found.verdict
    assert "records)" in found.verdict


def test_the_verdict_on_copies_names_the_one_that_has_more_records_right(nb):
    first = ["y"] * 30 + ["x"] * 90
    second = ["x"] * 30 + ["y"] * 32 + ["x"] * 58
    one, two = sent_twice(nb, first, second, [6] * 30 + [1] * 90)
    review = nf.review(one, text="text", choices=["x", "y"])
    for key in list(review.left):
        review.decide(key, "x")
    found = nf.compare(one, two)
    assert found.paired.texts == (32, 30)
    assert found.paired.difference.low > 0
    assert found.verdict == (
        "B is better: B alone is right on 30 texts (180 records), A alone on 32 (32 "
        "records); difference in accuracy +54.8 points, in which a text counts for its "
        f"records (p = {found.paired.p:.2g})."
    )


def test_where_test_and_interval_differ_by_a_hair_it_is_said():
    truth = ["x"] * 100
    found = nf.compare(["x"] * 100, ["y"] * 5 + ["x"] * 95, truth=truth)
    assert found.paired.difference.high < 0
    assert found.verdict.startswith("No difference is shown")
    assert "leaves out 0 only just" in repr(found)
    assert "only just" not in repr(nf.compare(truth, truth, truth=truth))


def test_records_that_one_call_answered_are_one_against_a_column_too(nb):
    """A map of equal texts makes one call for all of them."""

    @nf.step
    def label(text):
        return text[0]

    texts = [f"{'ab'[n % 2]} {n % 20}" for n in range(200)]
    truth = ["a" if n % 20 < 12 else "b" for n in range(200)]
    found = nf.evaluate(label.map(texts), truth)
    assert (found.records, found.alike.distinct) == (200, 20)
    assert found.accuracy.high - found.accuracy.low > 0.35


def test_a_sample_in_which_records_look_alike_is_weighed(nb, complaints):
    """Texts with many copies are wrong more often here, and were drawn more often."""

    @nf.flow(on=EVENT)
    def triage(record):
        return "billing"

    records = [
        {"id": f"{text}-{copy}", "text": text}
        for text in range(300)
        for copy in range(9 if text % 3 == 0 else 1)
    ]
    run = nb.send(EVENT, records, key="id")
    review = nf.review(run, sample=100, text="text", choices=["billing", "bug"])
    for key in review.keys:
        is_large = int(key.partition("-")[0]) % 3 == 0
        review.decide(key, "bug" if is_large else "billing")
    found, whole = nf.evaluate(run), nf.estimate(run)
    assert found.accuracy.value == pytest.approx(whole.accuracy.value)
    assert found.accuracy.low < 200 / 1100 < found.accuracy.high
    assert "They were drawn as a sample: figures weigh each" in repr(found)


def test_a_sample_of_other_records_is_none_of_these(unsure, nb, complaints):
    """Decisions hold for records of another batch, but nobody drew them from it."""
    run = unsure()
    decide_next(nf.review(run, sample=60), complaints, 60)
    assert nf.evaluate(run).looked_at is None
    shown = complaints[["id"]][:500]
    again = nb.send(EVENT, shown, key="id")
    assert "looked at, as a sample of other records" in repr(nf.evaluate(again))
    assert nf.evaluate(again).accuracy.is_alone


def test_what_cannot_be_told_is_asked_for(nb, replay, complaints):
    run = replay("gpt-4o", complaints[:20])
    with pytest.raises(
        nf.UsageError,
        match="'prodct' is not a column of the records; they have 'id', 'product'",
    ):
        nf.evaluate(run, "prodct")
    with pytest.raises(
        nf.UsageError,
        match=r"has no column 'triage\.lable': say which, column='triage\.label'",
    ):
        nf.evaluate(run, "product", column="triage.lable")
    with pytest.raises(nf.UsageError, match="has 3 labels and there are 20 rows"):
        nf.evaluate(run, ["a", "b", "c"])
    with pytest.raises(
        nf.UsageError,
        match="The truth has labels that labels= lacks: 'credit_reporting'",
    ):
        nf.evaluate(
            run,
            "product",
            labels=[
                "credit_card",
                "debt_collection",
                "mortgages_and_loans",
                "retail_banking",
            ],
        )
    with pytest.raises(nf.UsageError, match="A frame has several columns"):
        nf.evaluate(complaints, "product")

    @nf.flow(on=EVENT)
    def language(record):
        return {"label": "en"}

    run = nb.send(EVENT, complaints[["id", "product"]][:20], key="id")
    with pytest.raises(
        nf.UsageError,
        match=r"several columns that may hold labels: .* 'triage\.confidence', 'language\.label'",
    ):
        nf.evaluate(run, "product")


@pytest.fixture
def understood(nb):
    """Two flows: one gives several fields, the other drafts a letter."""

    @nf.flow(on=EVENT)
    def understand(record):
        return {"sentiment": record["mood"], "topic": "bug", "score": 0.5}

    @nf.flow(on=EVENT)
    def reply(record):
        return f"Dear customer, thank you for the {record['mood']} words."

    records = [
        {"mood": mood, "sentiment": "good", "urgent": "no"} for mood in ("good", "bad")
    ]
    return nb.send(EVENT, records)


@pytest.mark.parametrize(
    ("truth", "column"),
    [
        ("sentiment", None),
        (pd.Series(["good", "good"], name="sentiment"), None),
        ({0: "good", 1: "good"}, "sentiment"),
        (["good", "good"], "understand.sentiment"),
    ],
    ids=["column", "series", "field", "full name"],
)
def test_the_column_that_is_called_like_the_truth_is_scored(understood, truth, column):
    found = nf.evaluate(understood, truth, column=column)
    assert (found.name, found.accuracy.value) == ("understand.sentiment", 0.5)
    compared = nf.compare(understood, understood, truth=truth, column=column)
    assert compared.first.accuracy.value == 0.5


def test_where_several_columns_may_be_meant_none_is_taken(understood):
    listed = r"There are 'understand\.sentiment', 'understand\.topic', .*, 'reply'"
    with pytest.raises(nf.UsageError, match=f"several columns that may .*{listed}"):
        nf.evaluate(understood, "urgent")
    with pytest.raises(nf.UsageError, match=f"several columns that may .*{listed}"):
        nf.compare(understood, understood)
    with pytest.raises(nf.UsageError, match=f"several columns that may .*{listed}"):
        nf.review(understood)
    with pytest.raises(
        nf.UsageError, match=r"no column 'sentimnt': .*'understand\.sentiment'"
    ):
        nf.evaluate(understood, "sentiment", column="sentimnt")
    with pytest.raises(nf.UsageError, match="no column 'understand': say which"):
        nf.evaluate(understood, "sentiment", column="understand")


def test_a_name_that_two_flows_give_is_no_answer(nb):
    @nf.flow(on=EVENT)
    def one(record):
        return {"topic": "a", "note": ""}

    @nf.flow(on=EVENT)
    def two(record):
        return {"topic": "a"}

    run = nb.send(EVENT, [{"topic": "a"}])
    with pytest.raises(nf.UsageError, match="several columns that may hold labels"):
        nf.evaluate(run, "topic")
    with pytest.raises(nf.UsageError, match="several columns 'topic'"):
        nf.evaluate(run, "topic", column="topic")
    assert nf.evaluate(run, "topic", column="two.topic").name == "two.topic"


def test_a_flow_without_values_is_no_column_and_one_that_shares_the_truths_name_is(nb):
    @nf.flow(on=EVENT)
    def product(record):
        return {"label": "card", "reason": "it says so"}

    @nf.flow(on=EVENT)
    def save(record):
        return None

    run = nb.send(EVENT, [{"product": "card", "kind": "card"}])
    assert nf.evaluate(run, "product").name == "product.label"
    assert nf.evaluate(run, "kind").name == "product.label"


def test_the_only_column_is_no_label_if_it_says_nothing_of_what_the_truth_says(nb):
    @nf.flow(on=EVENT)
    def reply(record):
        return "Dear customer"

    run = nb.send(EVENT, [{"sentiment": "good"}])
    with pytest.raises(
        nf.UsageError, match="No answer in reply is one of the labels of the truth"
    ):
        nf.evaluate(run, "sentiment")
    with pytest.raises(nf.UsageError, match="No answer in reply is one of"):
        nf.compare(run, run, truth={0: "good"})
    assert nf.evaluate(run, "sentiment", column="reply").accuracy.value == 0
    labels = ["good", "Dear customer"]
    assert nf.evaluate(run, "sentiment", labels=labels).accuracy.value == 0


def test_a_label_is_not_scored_against_a_truth_that_it_says_nothing_of(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "billing", "confidence": 0.9, "reason": "an invoice"}

    run = nb.send(EVENT, [{"sentiment": "good"}])
    with pytest.raises(
        nf.UsageError,
        match=r"No answer in triage\.label is one of the labels .*"
        r"There are 'triage\.label', 'triage\.confidence', 'triage\.reason'\.",
    ):
        nf.evaluate(run, "sentiment")
    with pytest.raises(nf.UsageError, match=r"No answer in triage\.label is one of"):
        nf.compare(run, run, truth="sentiment")
    assert nf.evaluate(run, "sentiment", column="triage.label").accuracy.value == 0


def test_a_label_that_no_record_has_is_said_to_be_no_answer(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": None, "reason": "no idea"}

    run = nb.send(EVENT, [{"sentiment": "good"}])
    with pytest.raises(nf.UsageError, match="No record has both"):
        nf.evaluate(run, "sentiment")


def test_nothing_in_a_label_or_a_record_becomes_html(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "<script>alert(1)</script>", "reason": "<img src=x>"}

    run = nb.send(EVENT, [{"id": "<b>1</b>", "t": "<i>true</i>"}], key="id")
    for shown in (
        nf.evaluate(run, "t", column="label"),
        nf.compare(run, run),
        nf.evaluate(run, "t", column="label").confusion,
    ):
        page = shown._repr_html_()
        assert not any(tag in page for tag in ("<script", "<img", "<i>", "<b>1"))


def test_figures_need_neither_scikit_learn_nor_scipy():
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['sklearn', 'scipy', 'statsmodels'])\n"
        "import nbflow as nf\n"
        "print(nf.compare(['a', 'b'], ['a', 'a'], truth=['a', 'b']).verdict)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("No difference is shown")


LEAST_SURE = "of the 100 that were looked at, because they were least sure"


@pytest.fixture
def unsure(nb, complaints):
    """gpt-4o-mini, as sure as four other models agree with it, and the true labels."""
    others = ["gpt-4o", "claude-3-5-haiku", "gemini-2.0-flash", "o3-mini"]
    said = complaints["gpt-4o-mini"]
    sure = sum((complaints[other] == said).astype(int) for other in others) / 4
    recorded = dict(zip(complaints["id"], zip(said, sure, strict=True), strict=True))

    def unsure(model=None):
        answers = recorded
        if model is not None:
            labels = zip(complaints["id"], complaints[model], strict=True)
            answers = {one: (label, 0.5) for one, label in labels}

        @nf.flow(on=EVENT)
        def triage(complaint):
            label, confidence = answers[complaint["id"]]
            return {"label": label, "confidence": confidence}

        return nb.send(EVENT, complaints[["id"]], key="id")

    return unsure


def decide_next(review, complaints, number):
    true = dict(zip(complaints["id"].astype(str), complaints["product"], strict=True))
    for key in review.left[:number]:
        review.decide(key, true[key])


def test_the_least_sure_answers_have_no_interval_for_the_whole(unsure, complaints):
    """The accuracy of all is 69 %; that of the hundred least sure must not pass for it."""
    run = unsure()
    decide_next(nf.review(run), complaints, 100)
    found = nf.evaluate(run)
    assert found.accuracy.value < 0.3
    assert str(found.accuracy) == f"{found.accuracy.value:.1%}"
    assert f"{found.accuracy.value:.1%} {LEAST_SURE}" in repr(found)
    assert "nothing follows for the other 900 records" in repr(found)
    assert "nf.estimate(run)" in repr(found)
    assert LEAST_SURE in found._repr_html_()
    assert " to " not in found._repr_html_().split("Cohen")[1].split("</tr>")[0]
    assert found.to_frame()["f1.low"].isna().all()


def test_of_two_runs_the_least_sure_of_one_make_neither_the_better(unsure, complaints):
    one, two = unsure(), unsure("gpt-4o")
    decide_next(nf.review(one), complaints, 100)
    compared = nf.compare(one, two)
    assert "is better" not in compared.verdict
    assert LEAST_SURE in compared.verdict
    assert compared.paired.difference.is_alone
    assert compared.second.accuracy.is_alone
    assert "nan" not in repr(compared)
    assert ">nan" not in compared._repr_html_()


def test_records_that_were_chosen_otherwise_say_so(unsure, complaints):
    run = unsure()
    decide_next(nf.review(run, where=[3, 4, 5]), complaints, 3)
    assert "of the 3 that were looked at, because where= chose them" in repr(
        nf.evaluate(run)
    )
    decide_next(nf.review(run), complaints, 3)
    assert "of the 6 that were looked at, for several reasons" in repr(nf.evaluate(run))


def test_decisions_about_every_record_are_about_the_whole(unsure, complaints):
    run = unsure()
    decide_next(nf.review(run), complaints, 1000)
    found = nf.evaluate(run)
    assert found.looked_at is None
    assert found.accuracy.low < 0.691 < found.accuracy.high


def test_a_column_of_true_labels_needs_no_such_care(replay, complaints):
    run = replay("o1")
    decide_next(nf.review(run), complaints, 10)
    assert nf.evaluate(run, "product").looked_at is None


def test_runs_that_share_their_checkpoints_say_that_nothing_was_asked_anew(replay):
    one = replay("gpt-4o")
    said = repr(nf.compare(one, replay("gpt-4o"), truth="product"))
    assert "0 of 1,000 answers were asked for anew" in said
    assert "`batch=`, does not count" in said
    assert "asked for anew" not in repr(
        nf.compare(one, replay("gpt-4o-mini"), truth="product")
    )


def test_what_the_answers_cost_is_said_and_a_remembered_answer_cost_what_it_cost(
    nb, complaints
):
    @nf.step
    def ask(n):
        nf.usage(input_tokens=90, output_tokens=10, cost=0.001)
        return "credit_card"

    @nf.flow(on=EVENT)
    def triage(complaint):
        return ask(complaint["id"])

    records = complaints[["id", "product"]][:50]
    one = nb.send(EVENT, records[:40], key="id")
    two = nb.send(EVENT, records, key="id")
    compared = nf.compare(one, two, truth="product")
    assert [spent.usage.cost for spent in compared.spent] == pytest.approx([0.04, 0.05])
    assert "The calls of A cost $0.04 for 4.0k tokens." in repr(compared)
    assert "40 records of B reused a saved answer." in repr(compared)
    shown = nf.evaluate(two, "product")._repr_html_()
    assert "The calls cost $0.05 for 5.0k tokens." in shown


def test_terms_of_statistics_are_explained_where_the_mouse_rests(nb, complaints):
    @nf.flow(on=EVENT)
    def triage(complaint):
        return "credit_card"

    run = nb.send(EVENT, complaints[["id", "product"]][:50])
    shown = nf.evaluate(run, "product")._repr_html_()
    for term in ("macro F1", "Cohen\u2019s kappa", "precision", "recall"):
        assert re.search(f'<abbr title="[^"]+"[^>]*>{term}</abbr>', shown)


def test_labels_of_a_categorizer_and_of_figures_are_the_same_for_an_enum_of_numbers(nb):
    class Topic(Enum):
        billing = 1
        bug = 2

    run = nf.llm.categorizer(
        Topic, model=lambda text: Topic.billing if "refund" in text else Topic.bug
    ).map(["refund", "crash", "a refund"])
    found = nf.evaluate(run, truth=[Topic.billing, Topic.bug, Topic.bug], labels=Topic)
    assert found.labels == ("billing", "bug")
    assert found.accuracy.value == pytest.approx(2 / 3)
    assert not found.outside
    assert list(nf.review(run, choices=Topic).choices) == ["billing", "bug"]


def test_a_true_label_that_is_missing_is_missing_in_any_library(nb):
    run = nf.llm.categorizer(["a", "b"], model=lambda text: "a").map(
        ["one", "two", "three", "four"]
    )
    assert nf.evaluate(run, truth=["a", pd.NA, float("nan"), None]).unknown == 3


TRUTHS = {
    "by key": {10: "card", 20: "cash", 30: "cash"},
    "by index": pd.Series(["cash", "cash", "card"], index=[30, 20, 10]),
    "by row": ["card", "cash", "cash"],
}


@pytest.mark.parametrize("form", TRUTHS)
def test_true_labels_find_their_records_whatever_type_keys_have_and_in_whichever_order_they_come(
    nb, form
):
    run = nf.llm.categorizer(["card", "cash"], model=lambda text: text[:4]).map(
        pd.Series(["card a", "cash b", "card c"], index=[10, 20, 30])
    )
    assert nf.evaluate(run, TRUTHS[form]).disagreements["record"].tolist() == ["30"]


def test_a_number_is_one_label_although_a_frame_made_it_a_float(nb):
    found = nf.evaluate(pd.Series([1.0, 2.0, None]), pd.Series([1, 2, 2]))
    assert (found.accuracy.value, found.labels) == (1.0, ("1", "2"))


@pytest.mark.parametrize("names", [("one",), ("one", "one"), ("a", "b", "c"), "ab"])
def test_two_things_are_called_by_two_names(names):
    with pytest.raises(nf.UsageError, match="has to be two different names"):
        nf.compare(["a"], ["b"], names=names)
