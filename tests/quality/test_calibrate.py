"""What a confidence is worth, from people's decisions; and the agreement of runs as a confidence."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

import nbflow as nf
from nbflow.quality.calibration import Judged, alone, isotonic, platt

EVENT = "e"
HELPERS = ("gpt-4o-mini", "claude-3-5-haiku", "gemini-2.0-flash", "deepseek-chat")


@pytest.fixture
def send(nb, complaints):
    """A recorded model that says it is sure of everything: ``send("o1")``."""

    def send(model, confidence=0.9, records=complaints):
        said = dict(zip(complaints["id"], complaints[model], strict=True))

        @nf.flow(on=EVENT)
        def triage(complaint):
            return {"label": said[complaint["id"]], "confidence": confidence}

        return nb.send(EVENT, records[["id", "product"]], key="id")

    return send


@pytest.fixture
def agreed(send):
    """gpt-4o, and how many of four others agree with it."""
    run = send("gpt-4o")
    return run, nf.agreement([run, *map(send, HELPERS)])


def drawn(number, seed=0):
    """Confidences of a model that says too much: it is right in conf squared of cases."""
    chance = np.random.default_rng(seed)
    sure = chance.uniform(0.3, 1, number).round(2)
    return sure, chance.random(number) < sure**2


# Agreement


def test_where_others_agree_an_answer_is_right_more_often(agreed, complaints):
    _, agreement = agreed
    assert (agreement.name, list(agreement.index[:2])) == ("agreement", ["1", "2"])
    assert set(agreement.unique()) == {0.0, 0.25, 0.5, 0.75, 1.0}
    right = (complaints["gpt-4o"] == complaints["product"]).to_numpy()
    assert right[agreement == 1].mean() > 0.78 > 0.55 > right[agreement < 1].mean()


def test_agreement_serves_as_confidence_of_review_and_estimate(agreed, complaints):
    run, agreement = agreed
    first = nf.review(run, confidence=agreement).keys[:20]
    assert agreement[first].max() == agreement.min()
    true = complaints.set_index(complaints["id"].astype(str))["product"]
    review = nf.review(run, sample=100, confidence=agreement)
    for key in review.keys:
        review.decide(key, true[key])
    found = nf.estimate(run, confidence=agreement)
    assert found.accuracy.low < 0.736 < found.accuracy.high
    sure = nf.calibrate(run, confidence=agreement)
    assert sure(1.0) > 0.7 > sure(0.0)
    assert nf.review(run, confidence=sure(run)).keys[0] in agreement.index


def test_a_run_that_lacks_a_record_has_no_say_in_it(send, complaints):
    one, other = send("o1"), send("gpt-4o", records=complaints[:400])
    third = send("o1", confidence=0.8)
    agreement = nf.agreement([one, other, third])
    assert agreement.iloc[500] == 1.0
    assert math.isnan(nf.agreement([one, other]).iloc[500])


def test_agreement_of_what_cannot_agree_is_refused(send, complaints):
    run = send("o1", records=complaints[:5])
    for runs in ([run], [run, "x"], run):
        with pytest.raises(nf.UsageError, match="takes two runs or more"):
            nf.agreement(runs)
    with pytest.raises(nf.UsageError, match="no key in common"):
        nf.agreement([run, send("o1", records=complaints[10:])])


def test_a_run_does_not_agree_with_its_own_saved_answers(send):
    one, other = send("o1"), send("gpt-4o")
    for same in (one, send("o1")):
        with pytest.raises(
            nf.UsageError, match=r"has the saved answers of triage\.label"
        ):
            nf.agreement([one, same])
    found = nf.agreement([one, other])
    assert nf.agreement([one, other, other]).equals(found)


def test_records_that_failed_have_no_say_and_no_agreement(nb):
    def send(bad, said):
        @nf.flow(on=EVENT)
        def triage(record):
            if record["id"] == bad:
                raise nf.NonRetriableError("no")
            return {"label": said}

        return nb.send(EVENT, [{"id": number} for number in range(3)], key="id")

    one, two, three = send(0, "a"), send(1, "a"), send(1, "b")
    found = nf.agreement([one, two, three])
    assert math.isnan(found["0"])
    assert math.isnan(found["1"])
    assert found["2"] == 0.5


def test_places_of_other_texts_are_no_records_in_common(nb):
    @nf.step
    def first(text):
        return text[0]

    @nf.step
    def last(text):
        return text[-1]

    with pytest.raises(nf.UsageError, match="different things under the same keys"):
        nf.agreement([first.map(["ab", "cd"]), last.map(["ef", "gh"])])


# The curves


def test_steps_are_scikit_learn_s():
    sure, right = drawn(400)
    mine = isotonic(alone(sure, right))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(sure, right)
    at = np.unique(sure)
    assert [mine.at(one).value for one in at] == pytest.approx(theirs.predict(at))


def test_the_logistic_curve_is_scikit_learn_s():
    """On the log odds, with hardly any penalty; Platt's smoothed targets matter little at 2,000."""
    sure, right = drawn(2000)
    odds = np.log(np.clip(sure, 0.01, 0.99) / (1 - np.clip(sure, 0.01, 0.99)))
    theirs = LogisticRegression(C=1e4).fit(odds[:, None], right)
    mine = platt(alone(sure, right))
    for at in (0.3, 0.5, 0.8, 0.99):
        wanted = theirs.predict_proba([[np.log(at / (1 - at))]])[0, 1]
        assert mine.at(at).value == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize("number", [100, 300])
def test_what_a_confidence_is_worth_is_held_as_often_as_said(number):
    """200 draws of a model whose log odds are half of what it says."""
    chance, held = np.random.default_rng(5), 0
    for _ in range(200):
        sure = chance.uniform(0.3, 0.99, number)
        true = 1 / (1 + np.exp(-0.5 * np.log(sure / (1 - sure))))
        curve = platt(alone(sure, chance.random(number) < true))
        for at in (0.5, 0.9):
            _, low, high = curve.at(at)
            held += low <= 1 / (1 + (1 / at - 1) ** 0.5) <= high
    assert 0.92 <= held / 400 <= 0.985


@pytest.mark.parametrize("curve_of", [platt, isotonic])
def test_what_was_decided_of_copies_is_held_as_often_as_said(curve_of):
    """One text of ten comes five to forty times: 300 draws of 100 texts."""
    chance, held = np.random.default_rng(2), 0
    for _ in range(300):
        number = 100
        copies = np.where(
            chance.random(number) < 0.1, chance.integers(5, 41, number), 1
        )
        sure = chance.uniform(0.3, 0.99, number)
        true = 1 / (1 + np.exp(-0.5 * np.log(sure / (1 - sure))))
        right = chance.random(number) < true
        judged = Judged(
            np.repeat(sure, copies),
            np.repeat(right, copies),
            np.ones(copies.sum()),
            np.repeat(np.arange(number), copies),
        )
        _, low, high = curve_of(judged).at(0.7)
        held += low <= 1 / (1 + (1 / 0.7 - 1) ** 0.5) <= high
    assert held / 300 >= 0.93


def test_copies_tell_as_much_as_one_and_weigh_as_many():
    sure, right = drawn(80)
    copied = Judged(
        np.repeat(sure, 5),
        np.repeat(right, 5),
        np.ones(400),
        np.repeat(np.arange(80), 5),
    )
    for curve_of in (platt, isotonic):
        once, all_of_them = curve_of(alone(sure, right)), curve_of(copied)
        assert all_of_them.at(0.8) == pytest.approx(once.at(0.8), abs=1e-6)
    weights = np.where(right, 3.0, 1.0)
    weighted = isotonic(Judged(sure, right, weights, np.arange(80)))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(sure, right, weights)
    at = np.unique(sure)
    assert [weighted.at(one).value for one in at] == pytest.approx(theirs.predict(at))


def test_neither_a_perfect_nor_a_hopeless_model_breaks_a_curve():
    sure = np.linspace(0.1, 1, 60)
    for right in (np.ones(60, bool), np.zeros(60, bool), sure < 0.5):
        for curve in (platt(alone(sure, right)), isotonic(alone(sure, right))):
            found = [curve.at(one) for one in (0.0, 0.5, 1.0)]
            assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found)
            assert found[0].value <= found[2].value
            assert found[2].high > found[2].low


# Calibrate


@pytest.fixture
def boastful(nb):
    """A run whose model says too much: right in conf squared of cases; and the truth."""
    sure, right = drawn(600, seed=3)
    truth = ["spam" if hit else "ham" for hit in right]

    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "spam", "confidence": float(sure[record["id"]])}

    run = nb.send(EVENT, pd.DataFrame({"id": range(600)}), key="id")
    return run, truth


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_it_says_what_nine_tenths_are_worth(boastful, method):
    run, truth = boastful
    sure = nf.calibrate(run, truth, method=method)
    assert sure(0.9) == pytest.approx(0.81, abs=0.08)
    low, high = sure.at(0.9)[1:]
    assert low < 0.81 < high
    assert sure.fit.calibrated < sure.fit.said
    assert sure.fit.off_calibrated < sure.fit.off
    assert sure.threshold(0.7) == pytest.approx(0.7**0.5, abs=0.06)
    with pytest.raises(nf.UsageError, match="is sure enough to be right in 99"):
        sure.threshold(0.999)


def test_decisions_on_the_least_sure_serve_as_well(boastful):
    run, truth = boastful
    review = nf.review(run, choices=["spam", "ham"])
    assert not nf.calibrate(run, truth[:1] + [None] * 599).is_calibrated
    for key in review.keys[:200]:
        review.decide(key, truth[int(key)])
    sure = nf.calibrate(run)
    assert (sure.decided, sure.method) == (200, "platt")
    assert sure(0.45) == pytest.approx(0.2, abs=0.1)


def test_one_decision_on_sixty_copies_is_one(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "spam", "confidence": 0.5 + min(record["id"], 40) / 100}

    rows = [{"id": n, "text": f"mail {min(n, 40)}"} for n in range(100)]
    run = nb.send(EVENT, rows, key="id")
    review = nf.review(run, text="text", choices=["spam", "ham"])
    review.accept("40")
    sure = nf.calibrate(run)
    assert not sure.is_calibrated
    assert sure.decided == 1
    assert "not calibrated on your data: 1 decision on answers" in repr(sure)
    assert "60 records judged are 1 text: what was decided of copies counts once." in (
        sure.notes()
    )
    for number in range(40):
        review.decide(number, "ham" if number % 3 else "spam")
    assert nf.calibrate(run).decided == 41
    assert "41 decisions" in repr(nf.calibrate(run))
    # Labels that are given are of as many texts, too.
    known = dict.fromkeys(range(100), "spam")
    assert nf.calibrate(run, known).decided == 41


def test_copies_of_one_text_widen_the_interval(nb):
    sure, right = drawn(150, seed=4)

    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "spam", "confidence": float(sure[record["mail"]])}

    def calibrated(copies):
        mails = [*range(150), *([7] * copies)]
        rows = [{"id": n, "mail": mail} for n, mail in enumerate(mails)]
        run = nb.send(EVENT, rows, key="id")
        review = nf.review(run, text="mail", choices=["spam", "ham"], sample=150)
        for key in review.keys:
            review.decide(key, "spam" if right[rows[int(key)]["mail"]] else "ham")
        return nf.calibrate(run)

    few, many = calibrated(0), calibrated(200)
    assert few.decided == many.decided == 150
    assert many.at(0.9).high - many.at(0.9).low > 2 * (
        few.at(0.9).high - few.at(0.9).low
    )
    assert any("texts of equal weight" in note for note in many.notes())
    assert not any("texts of equal weight" in note for note in few.notes())
    assert not any("does not follow" in note for note in few.notes())


def test_decisions_on_the_least_sure_say_that_they_are_no_sample(boastful):
    run, truth = boastful
    review = nf.review(run, choices=["spam", "ham"])
    for key in review.keys[:200]:
        review.decide(key, truth[int(key)])
    sure = nf.calibrate(run)
    assert repr(sure).startswith(
        "triage.label, of the 200 that were looked at, because they were least sure: "
        "where it says 5"
    )
    assert "of cases, by 200 decisions." in repr(sure)
    highest = sure.known[1]
    surer = sum(one > highest for one in sure.confidences.values())
    assert f"Nothing is known of {surer} answers surer than {highest:.2f}" in repr(sure)
    assert "speak of answers of their confidence alone" in sure._repr_html_()
    for ask in (lambda: sure.at(0.9), lambda: sure(0.9)):
        with pytest.raises(nf.UsageError, match=r"Nothing is known of .* of 0\.90"):
            ask()
    with pytest.raises(nf.UsageError, match=r"of which anything is known, 0\.5"):
        sure.threshold(0.95)
    found = sure(run)
    assert found.isna().sum() == surer
    assert math.isnan(sure([0.9])[0])


def test_decisions_that_where_chose_say_so(boastful):
    run, truth = boastful
    keys = [str(n) for n in range(0, 600, 4) if truth[n] == "spam"]
    review = nf.review(run, keys, choices=["spam", "ham"])
    for key in review.keys:
        review.accept(key)
    said = repr(nf.calibrate(run))
    assert "because where= chose them" in said
    assert "others of the same confidence may be right more often, or less" in said


def test_decisions_on_a_sample_stand_for_the_whole_run(boastful):
    """All that people looked at before were wrong: they stand for themselves alone."""
    run, truth = boastful
    right = np.array([label == "spam" for label in truth])
    wrong = [str(n) for n in range(600) if not right[n]][:100]
    before = nf.review(run, wrong, choices=["spam", "ham"])
    for key in wrong:
        before.decide(key, "ham")
    biased = nf.calibrate(run)
    assert biased.right == 0
    assert biased.about
    sample = nf.review(run, choices=["spam", "ham"], sample=150)
    for key in sample.keys[:30]:
        sample.decide(key, truth[int(key)])
    early = nf.calibrate(run)
    assert early.about
    assert (
        "30 decisions on a sample: with 50, it speaks of the whole run."
        in early.notes()
    )
    for key in sample.keys[30:]:
        sample.decide(key, truth[int(key)])
    sure = nf.calibrate(run)
    assert (sure.about, sure.decided) == ("", 250)
    assert sure.right == pytest.approx(right.mean(), abs=0.07)
    assert sure(0.9) == pytest.approx(0.81, abs=0.1)
    assert (
        "100 decisions made before the sample was drawn: added as they are."
        in sure.notes()
    )
    assert sure.known == (
        min(sure.confidences.values()),
        max(sure.confidences.values()),
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (2, "A confidence has to be between 0 and 1, and 2 is not. Did you mean 0.02?"),
        (95, "Did you mean 0.95?"),
        (-0.1, "and -0.1 is not.$"),
        ("x", r"A confidence has to be a number between 0 and 1, not 'x'."),
        (True, "not True"),
        (math.nan, "A confidence cannot be missing"),
        (None, "A confidence cannot be missing"),
        ([0.5, 95], "Did you mean 0.95?"),
        (["0.9"], "not '0.9'"),
        ({"a": math.inf}, "and inf is not"),
    ],
)
def test_what_is_no_confidence_is_refused(boastful, asked, said):
    run, truth = boastful
    sure = nf.calibrate(run, truth)
    with pytest.raises(nf.UsageError, match=said.replace("?", r"\?")):
        sure(asked)
    if not isinstance(asked, list | dict):
        with pytest.raises(nf.UsageError, match=said.replace("?", r"\?")):
            sure.at(asked)
        with pytest.raises(nf.UsageError, match="How often answers are to be right"):
            sure.threshold(asked)


def test_another_run_is_calibrated_by_what_it_says_itself(boastful, send, complaints):
    run, truth = boastful
    sure = nf.calibrate(run, truth)
    other = send("o1", confidence=0.5, records=complaints[:3])
    assert sure(other).tolist() == [sure(0.5)] * 3
    assert list(sure(other).index) == ["1", "2", "3"]
    given = nf.calibrate(run, truth, confidence=dict.fromkeys(range(600), 0.9))
    with pytest.raises(
        nf.UsageError, match="calibrated on confidences that were given"
    ):
        given(other)


def test_it_takes_and_gives_whatever_is_at_hand(boastful):
    run, truth = boastful
    sure = nf.calibrate(run, truth)
    results = run.results()
    assert sure(results).index.equals(results.index)
    assert sure([{"triage.confidence": 0.9}]) == [sure(0.9)]
    assert sure([0.5, 0.9]) == [sure(0.5), sure(0.9)]
    assert sure(pd.Series([0.9], ["x"])).loc["x"] == sure(0.9)
    frame = pd.DataFrame({"triage.confidence": [0.9]}, index=["x"])
    assert sure(frame).loc["x"] == sure(pl.from_pandas(frame))[0] == sure(0.9)
    assert sure(run).index[1] == "1"
    assert sure({"a": 0.9, "b": None}) == pytest.approx(
        {"a": sure(0.9), "b": math.nan}, nan_ok=True
    )
    assert (sure(np.array([0.5, 0.9])) < 0.5).tolist() == [True, False]
    arrow = pa.table({"triage.confidence": [0.9, None]})
    assert sure(arrow).to_pylist()[0] == sure(0.9)
    assert math.isnan(sure([None])[0])
    unsure = nf.review(run, where=sure(results) < 0.2)
    assert 0 < len(unsure.keys) < 200


def test_with_few_decisions_it_is_not_calibrated_and_says_so(boastful):
    run, truth = boastful
    sure = nf.calibrate(run, truth[:40] + [None] * 560)
    assert "not calibrated on your data: 40 decisions" in repr(sure)
    assert "not calibrated on your data" in sure._repr_html_()
    for ask in (lambda: sure(0.9), lambda: sure.at(0.9), lambda: sure.threshold(0.9)):
        with pytest.raises(nf.UsageError, match="50 are needed"):
            ask()


def test_its_picture_says_what_is_seen(boastful):
    run, truth = boastful
    sure = nf.calibrate(run, truth)
    page = sure._repr_html_()
    assert 'aria-label="Reliability: ' in page
    assert "it is right in" in page
    frame = sure.to_frame()
    assert frame["decided"].sum() == 600
    assert frame["confidence"].is_monotonic_increasing
    assert "nan" not in repr(sure)


def test_what_cannot_be_calibrated_is_refused(boastful, send, nb):
    run, _ = boastful
    with pytest.raises(nf.UsageError, match="Nobody has decided anything"):
        nf.calibrate(run)
    with pytest.raises(nf.UsageError, match='has to be "platt" or "isotonic"'):
        nf.calibrate(run, method="beta")
    with pytest.raises(nf.UsageError, match="takes a run"):
        nf.calibrate(pd.DataFrame())
    with pytest.raises(nf.UsageError, match="between 0 and 1, such as 95"):
        nf.calibrate(send("o1", confidence=95), "product")

    @nf.step
    def label(text):
        return "spam"

    with pytest.raises(nf.UsageError, match="says no confidence"):
        nf.calibrate(label.map(["a", "b"]), ["spam", "ham"])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_threshold_that_nothing_reaches_says_the_figure_it_went_by(nb, method):
    """All right at 0.9: the figure of `at` is beyond what is asked for, and the interval is not."""

    @nf.step
    def certain(text):
        return {"label": "x", "confidence": 0.9}

    sure = nf.calibrate(certain.map(range(60)), ["x"] * 60, method=method)
    value, low, high = sure.at(0.9)
    wanted = (value + (low + high) / 2) / 2
    assert (low + high) / 2 < wanted < value
    with pytest.raises(nf.UsageError) as refused:
        sure.threshold(wanted)
    said = str(refused.value)
    assert f"the interval is {low:.1%} to {high:.1%}" in said
    assert f"its middle, {(low + high) / 2:.1%}, counts" in said
    assert f"(the figure itself is {value:.1%})" in said
    assert sure.threshold((low + high) / 2 - 0.001) == 0.9


def test_one_text_that_counts_for_many_and_is_wrong_is_said_to_move_the_curve(nb):
    """The rows of high confidence are right, and the curve is flat: read the rows."""
    confidence = [(n % 50) / 50 for n in range(150)]

    @nf.flow(on=EVENT)
    def sort(row):
        return {"label": "spam", "confidence": confidence[row["mail"]]}

    mails = [*range(150), *([49] * 200)]
    rows = [{"id": n, "mail": mail} for n, mail in enumerate(mails)]
    run = nb.send(EVENT, rows, key="id")
    review = nf.review(run, text="mail", choices=["spam", "ham"])
    for key in list(review.left):
        mail = rows[int(key)]["mail"]
        wrong = mail == 49 or confidence[mail] < 0.3
        review.decide(key, "ham" if wrong else "spam")
    sure = nf.calibrate(run, method="platt")
    row = sure.bars[-2]
    assert row.right.value > sure.at(row.sure).high
    (said,) = [note for note in sure.notes() if "does not follow" in note]
    assert "one text counts for 57.4% of the records" in said
    assert said.endswith("Read the rows.")
    assert repr(sure).splitlines()[1] == said


def test_a_name_is_no_confidence_and_the_columns_are_said(boastful):
    run, truth = boastful
    with pytest.raises(nf.UsageError, match=r"'nope' is a name.*'triage\.confidence'"):
        nf.calibrate(run, truth, confidence="nope")
