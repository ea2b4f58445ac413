"""Figures: scikit-learn's, those that are known of recorded answers, and intervals that are what they say."""

import numpy as np
import pytest
from sklearn import metrics

import nbflow as nf
from nbflow.quality.metrics import Resampled, drawn_scores, mcnemar, scores
from tests.quality.conftest import MODELS

#: As the authors of the data published them.
ACCURACY = (
    0.736, 0.691, 0.763, 0.721, 0.737, 0.758, 0.742, 0.753, 0.707, 0.765, 0.774, 0.777,
    0.752, 0.738,
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "accuracy"), list(zip(MODELS, ACCURACY, strict=True))
)
def test_the_published_accuracies_are_reproduced(complaints, model, accuracy):
    assert nf.evaluate(
        complaints, "product", column=model, key="id"
    ).accuracy.value == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("first", "second", "split", "p", "verdict"),
    [
        ("gpt-4o-mini", "gpt-4o", (46, 91), 0.00015, "gpt-4o is better"),
        (
            "gemini-2.0-flash-lite",
            "gemini-2.0-flash",
            (52, 68),
            0.17,
            "No difference is shown",
        ),
        ("o1", "gpt-4.5-preview", (60, 57), 0.85, "No difference is shown"),
    ],
)
def test_pairs_of_models_differ_as_is_known(
    complaints, first, second, split, p, verdict
):
    compared = nf.compare(
        complaints, complaints, truth="product", column=(first, second), key="id"
    )
    assert (compared.paired.only_first, compared.paired.only_second) == split
    assert compared.paired.p == pytest.approx(p, rel=0.05)
    assert compared.verdict.startswith(verdict)
    assert compared.paired.difference.value == pytest.approx(
        compared.second.accuracy.value - compared.first.accuracy.value
    )


def test_an_answer_outside_the_labels_is_wrong_and_makes_no_class(complaints):
    """A macro F1 over what was answered has 0.613 here, since three answers make a class that nobody can get right."""
    found = nf.evaluate(complaints, "product", column="gpt-4o")
    naive = metrics.f1_score(
        complaints["product"], complaints["gpt-4o"], average="macro"
    )
    assert (round(naive, 3), round(found.macro_f1.value, 3)) == (0.613, 0.736)
    assert found.outside == {"auto_loan": 3}
    assert "3 answers outside the 5 labels, counted as wrong: auto_loan (3)." in repr(
        found
    )
    assert found.confusion.columns == (*found.labels, "auto_loan")
    assert found.confusion.to_frame().to_numpy().sum() == found.records == 1000
    assert sum(found.disagreements["gpt-4o"] == "auto_loan") == 3


def test_what_is_drawn_again_follows_scikit_learn_s_definitions(complaints):
    """With every record drawn once, the formulas of the intervals give the points."""
    labels = sorted(set(complaints["product"]))
    truth, said = complaints["product"].tolist(), complaints["gpt-4o"].tolist()
    codes = {label: code for code, label in enumerate([*labels, "auto_loan"])}
    kinds = np.array(
        [[codes[one], codes[other]] for one, other in zip(truth, said, strict=True)]
    )
    once = drawn_scores(kinds[:, 0], kinds[:, 1], np.ones((1, 1000), int), 5)[0]
    found = scores(truth, said, labels, seed=0)
    points = [
        found.accuracy,
        found.macro_f1,
        found.kappa,
        *found.precision,
        *found.recall,
        *found.f1,
    ]
    assert once.tolist() == pytest.approx([one.value for one in points])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """Percentile bootstrap of an accuracy of 80 % of 300 records: 95 of 100 intervals hold it, give or take chance."""
    chance = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        right = chance.random(300) < 0.8
        found = scores(
            ["a"] * 150 + ["b"] * 150,
            [
                ("a" if place < 150 else "b") if good else "c"
                for place, good in enumerate(right)
            ],
            ["a", "b"],
            seed=1,
        )
        held += found.accuracy.low <= 0.8 <= found.accuracy.high
    assert 180 <= held <= 198


def test_one_seed_gives_one_result_and_another_one_near_it(complaints):
    one, same, other = (
        nf.evaluate(complaints, "product", column="o1", seed=seed).accuracy
        for seed in (3, 3, 4)
    )
    assert one == same != other
    assert other.low == pytest.approx(one.low, abs=0.005)
    assert one.low < one.value < one.high


def test_drawing_kinds_is_drawing_records():
    """Means and spreads of drawn counts are those of drawing 1,000 records with replacement."""
    resampled = Resampled([[0] * 700 + [1] * 300, [0] * 1000], seed=0)
    drawn = resampled.of(lambda kinds, draws: draws @ (kinds[:, 0] == 1))
    assert drawn.mean() == pytest.approx(300, abs=1)
    assert drawn.std() == pytest.approx((1000 * 0.3 * 0.7) ** 0.5, rel=0.05)
    assert len(drawn) == 2000


def test_a_figure_that_is_not_defined_is_not_made_up():
    """One label everywhere: kappa is 0 / 0. A label that neither side has is in no mean."""
    found = nf.evaluate(["a", "a", "a"], ["a", "a", "a"], labels=["a", "b"])
    assert np.isnan(found.kappa.value)
    assert (found.accuracy.value, found.macro_f1.value) == (1.0, 1.0)
    assert np.isnan(found.to_frame().loc["b", "f1"])
    assert "nan" not in repr(found).splitlines()[3]
    assert ">nan" not in found._repr_html_()


def test_mcnemar_needs_records_that_one_side_alone_has_right():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 0) == 1.0
    assert mcnemar(10, 0) == pytest.approx(2 / 2**10)
    assert mcnemar(3, 9) == mcnemar(9, 3)


def test_of_few_records_it_is_said_that_their_intervals_are_too_narrow():
    few, many = (nf.evaluate(["a"] * number, ["a"] * number) for number in (29, 30))
    assert "Drawn from 29 records, intervals are too narrow" in str(few)
    assert "too narrow" in few._repr_html_()
    assert "too narrow" not in str(many)
    assert "too narrow" in str(nf.compare(["a", "b"], ["a", "a"], truth=["a", "b"]))
