"""Several samples of one run: which one figures come from, and how one goes on with each."""

import pytest

import nbflow as nf
from nbflow._core.gate import gate
from nbflow.quality.gates import judge

LABELS = ("billing", "other")


@pytest.fixture
def run(nb):
    """Texts of which two of three are labelled right, in records that differ by their day."""

    @nf.flow(on="mail")
    def triage(mail):
        number = int(mail["text"].removeprefix("text "))
        return {"label": LABELS[number % 2], "confidence": number % 7 / 7}

    records = [
        {"id": f"{number}-{day}", "text": f"text {number}", "day": day}
        for number in range(400)
        for day in ("mon", "tue")[: 1 + number % 2]
    ]
    return nb.send("mail", records, key="id")


def true(key):
    number = int(key.partition("-")[0])
    return LABELS[(number + (number % 3 == 0)) % 2]


def decide(review, number=None):
    for key in review.left[:number]:
        review.decide(key, true(key))
    return review


def test_without_columns_the_sample_that_was_drawn_is_gone_on_with(run):
    """What nbflow suggests to a person who is a few decisions short draws no other sample."""
    first = decide(nf.review(run, sample=20, text="text"))
    again = nf.review(run, sample=40)
    assert again.keys[:20] == first.keys
    assert len(again.left) == 20
    decide(again)
    assert nf.estimate(run).decided == 40
    assert len(run.engine.samples.all()) == 1


def test_a_newer_sample_without_decisions_takes_no_figure_away(run):
    decide(nf.review(run, sample=200, text="text"))
    before = nf.estimate(run)
    for asked, others in (([], "text=[]"), (["text", "day"], 'text=["text", "day"]')):
        another = nf.review(run, sample=100, text=asked)
        assert (
            'This is another sample than that of text="text", of which 200 texts are '
            'decided: nf.review(run, sample=200, text="text") goes on with that one.'
        ) in another.about
        assert "goes by that one until 10 of this one are decided" in another.about
        after = nf.estimate(run)
        assert after.accuracy == before.accuracy
        assert f"A newer sample, {others}, has 0 decisions" in repr(after)
        decide(another, 1)
        assert nf.estimate(run).decided == 200
        assert f"{others}, has 1 decision:" in repr(nf.estimate(run))


def test_of_two_samples_with_decisions_the_one_that_was_asked_for_last_counts(run):
    """What was decided of the other one before is known."""
    decide(nf.review(run, sample=60, text="text"))
    later = decide(nf.review(run, sample=50, text=[]))
    found = nf.estimate(run)
    assert "Drawn at random within given label and confidence: 50 of" in repr(found)
    assert "decided before the sample was drawn: known" in repr(found)
    assert nf.review(run, sample=50).keys == later.keys
    again = nf.review(run, sample=60, text="text")
    assert again.left == []
    assert "60 of 400 texts" in repr(nf.estimate(run))
    assert nf.review(run, sample=60).keys == again.keys


def test_decisions_that_are_known_and_none_of_a_sample_give_no_figure(run):
    decide(nf.review(run), 100)
    sample = nf.review(run, sample=50)
    for decided in (0, 1, 8):
        decide(sample, decided)
        with pytest.raises(nf.UsageError, match="say nothing of the others") as caught:
            nf.estimate(run)
        assert "and an estimate needs 10" in str(caught.value)
    decide(sample, 1)
    assert nf.estimate(run).decided == 110


def test_a_group_of_which_none_was_drawn_has_no_figure(run):
    """Also one of which more than ten were decided for another reason."""
    keys = [f"{number}-mon" for number in range(0, 400, 2)]
    decide(nf.review(run, where=keys, text=[]), 20)
    decide(nf.review(run, sample=20, text=[]))
    found = nf.estimate(run, of=lambda row: int(row["id"].split("-")[0]) < 60)
    assert found.too_few.keys() == {True}
    assert not found.groups.get(False, found).accuracy.is_undefined


def test_every_call_that_is_suggested_names_the_columns_that_people_are_shown(run):
    call = 'nf.review(run, sample=200, text="text")'
    decide(nf.review(run, text="text"), 40)
    assert f"{call} draws one" in repr(nf.evaluate(run))
    with pytest.raises(nf.UsageError, match="no sample") as caught:
        nf.estimate(run)
    assert call in str(caught.value)
    calibration = nf.calibrate(run)
    assert call in repr(calibration)
    with pytest.raises(nf.UsageError, match="not calibrated") as caught:
        calibration.at(0.5)
    assert call in str(caught.value)
    decide(nf.review(run, sample=200, text="text"), 5)
    assert f"{call} goes on with the one that was drawn" in repr(nf.evaluate(run))
    with pytest.raises(nf.UsageError, match="an estimate needs 10") as caught:
        nf.estimate(run)
    assert call in str(caught.value)
    (verdict,) = judge([gate("accuracy>=0.5")], [run], lambda told: run)
    assert (
        f'nf.review(nf.open_run("{run.id}"), sample=200, text="text")' in verdict.said
    )


def test_evaluate_offers_the_estimate_where_a_sample_is_decided(run):
    decide(nf.review(run, text="text"), 40)
    decide(nf.review(run, sample=50, text="text"))
    said = repr(nf.evaluate(run))
    assert (
        "nf.estimate(run) says it of the whole run, by 50 decisions on a sample."
    ) in said
    assert "draws one" not in said


# What is decided outside of the sample


def right(run):
    results = run.results(reviewed=False)
    return sum(row["triage.label"] == true(row["id"]) for row in results) / len(results)


@pytest.mark.parametrize("shown", ["text", []], ids=["by text", "by record"])
@pytest.mark.parametrize("sampled", [0, 5, 60])
def test_once_no_record_is_left_figures_are_counts(run, shown, sampled):
    """However people came to decide them."""
    decide(nf.review(run, sample=60, text="text"), sampled)
    decide(nf.review(run, text=shown))
    found = nf.estimate(run, of="day")
    assert found.accuracy == pytest.approx((right(run),) * 3)
    assert found.is_complete
    assert "these are counts" in repr(found)
    assert "looked at for another reason" not in repr(found)
    shares = found.shares
    assert (shares["low"] == shares["high"]).all()
    assert (shares["recall.low"] == shares["recall"]).all()
    assert all(one.is_complete for one in found.groups.values())
    assert nf.evaluate(run).accuracy.value == pytest.approx(right(run))
    (verdict,) = judge([gate("accuracy>=0.5")], [run], lambda told: run)
    assert verdict.value == verdict.low == verdict.high == pytest.approx(right(run))


def test_evaluate_says_of_what_its_intervals_are_when_everything_is_decided(run):
    sentence = (
        "Their intervals are of a wider population, more records of the same kind."
    )
    decide(nf.review(run, sample=60, text="text"))
    assert sentence not in repr(nf.evaluate(run))
    decide(nf.review(run, sample=400, text="text"))
    found = nf.evaluate(run)
    assert sentence in repr(found)
    assert found.accuracy.value == pytest.approx(nf.estimate(run).accuracy.value)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert "weigh each by how likely it was drawn" not in repr(found)


def test_a_label_and_confidence_of_which_nothing_is_left_is_known(run):
    """The others are estimated by the sample as before, not by what was chosen."""
    decide(nf.review(run, sample=80, text=[]))
    before = nf.estimate(run)
    results = run.results(reviewed=False)
    of_one = [row["id"] for row in results if row["triage.label"] == "other"]
    decide(nf.review(run, where=of_one[: len(of_one) // 4], text=[]))
    assert nf.estimate(run).accuracy == before.accuracy
    assert "not in the figures" in repr(nf.estimate(run))
    decide(nf.review(run, where=of_one, text=[]))
    after = nf.estimate(run)
    assert "with which nothing is left of their label and confidence" in repr(after)
    assert "not in the figures" not in repr(after)
    shares, old = after.shares.loc["other"], before.shares.loc["other"]
    precision = sum(true(key) == "other" for key in of_one) / len(of_one)
    assert shares["precision"] == pytest.approx(precision)
    assert shares["precision.low"] == shares["precision.high"]
    assert after.shares.loc["billing", "precision"] == pytest.approx(
        before.shares.loc["billing", "precision"]
    )
    assert shares["high"] - shares["low"] < old["high"] - old["low"]
    assert after.accuracy.low < right(run) < after.accuracy.high


def test_a_group_of_which_nothing_is_left_is_counted(run):
    decide(nf.review(run, sample=40, text=[]))
    keys = [row["id"] for row in run.results() if row["day"] == "tue"]
    decide(nf.review(run, where=keys, text=[]))
    found = nf.estimate(run, of="day")
    tuesday = found.groups["tue"]
    assert tuesday.is_complete
    hits = sum(true(key) == "other" for key in keys) / len(keys)
    assert tuesday.accuracy == pytest.approx((hits,) * 3)
    assert not found.groups["mon"].is_complete


def test_nothing_is_said_of_intervals_where_none_is_printed(run):
    decide(nf.review(run, text="text"), 40)
    said = repr(nf.evaluate(run))
    assert "tell as much as one." in said
    assert "Intervals allow" not in said
    decide(nf.review(run, text="text"))
    assert "Intervals allow for that." in repr(nf.evaluate(run))


# What is refused


@pytest.mark.parametrize("argument", ["where", "of"])
def test_a_function_that_raises_names_the_argument_and_the_record(run, argument):
    decide(nf.review(run, sample=20, text="text"))
    asked = {"where": nf.review, "of": nf.estimate}[argument]

    def fails(row):
        return 1 / (row["text"] != "text 3")

    said = (
        rf"{argument}= raised ZeroDivisionError on record '3-mon': division by zero\."
    )
    with pytest.raises(nf.UsageError, match=said) as caught:
        asked(run, **{argument: fails})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ({}, r"truth= is empty: give \{key: label\}, with the keys .* such as '0-mon'"),
        ({"zz": "billing"}, "No record has both a true label"),
        ({"0-mon": None}, "No record has both a true label"),
    ],
    ids=str,
)
def test_a_truth_that_says_nothing_is_said_so(run, truth, said):
    with pytest.raises(nf.UsageError, match=said):
        nf.evaluate(run, truth=truth)
