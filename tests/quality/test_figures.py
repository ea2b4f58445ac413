"""Figures: scikit-learn's, those that are known of recorded answers, and intervals that are what they say."""

import numpy as np
import pytest
from sklearn import metrics

import nbflow as nf
from nbflow.quality.intervals import difference, mcnemar, proportion
from nbflow.quality.metrics import scores
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


@pytest.mark.parametrize("model", MODELS)
def test_the_figures_are_scikit_learn_s(complaints, model):
    labels = sorted(set(complaints["product"]))
    truth, said = complaints["product"].tolist(), complaints[model].tolist()
    found = scores(truth, said, labels)
    by_label = metrics.precision_recall_fscore_support(truth, said, labels=labels)
    for mine, theirs in zip(found[3:], by_label[:3], strict=True):
        assert [one.value for one in mine] == pytest.approx(theirs.tolist())
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(truth, said))
    assert found.kappa.value == pytest.approx(metrics.cohen_kappa_score(truth, said))
    assert found.macro_f1.value == pytest.approx(by_label[2].mean())


def test_a_seed_of_older_code_changes_nothing(complaints):
    one, other = (
        nf.evaluate(complaints, "product", column="o1", seed=seed).accuracy
        for seed in (3, 4)
    )
    assert one == other
    assert one.low < one.value < one.high


def test_no_mistake_is_no_certainty():
    found = nf.evaluate(["a", "b"] * 20, ["a", "b"] * 20)
    for figure in (found.accuracy, found.kappa, found.macro_f1, *found.scores.f1):
        assert figure.low < 0.95 < figure.high == figure.value == 1.0
    alike = nf.compare(["a"] * 40, ["a"] * 40, truth=["a"] * 40).paired.difference
    assert alike.low < 0.0 < alike.high


def test_exact_intervals_are_those_of_the_literature():
    """Blaker 2000, and Agresti and Min 2005 from their formula, worked by hand."""
    assert proportion(0, 10)[1:] == pytest.approx((0.0, 0.2829), abs=1e-4)
    assert proportion(3, 30)[1:] == pytest.approx((0.0278, 0.2596), abs=1e-4)
    assert proportion(999_990, 1_000_000).low == pytest.approx(0.9999818, abs=1e-6)
    assert difference(2, 9, 98)[1:] == pytest.approx((0.0035, 0.1365), abs=1e-4)


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


def test_of_few_records_it_is_said_that_some_intervals_may_be_too_narrow():
    few, many = (nf.evaluate(["a"] * number, ["a"] * number) for number in (29, 30))
    assert (
        "Of 29 records, the intervals of kappa and macro F1 may be too narrow"
        in str(few)
    )
    assert "too narrow" in few._repr_html_()
    assert "too narrow" not in str(many)
    assert "too narrow" in str(nf.compare(["a", "b"], ["a", "a"], truth=["a", "b"]))


def test_it_is_said_where_intervals_are_wider_than_needed():
    """Where simulation shows it: few mistakes, or few records a label."""
    truth = [f"label {n % 30}" for n in range(120)]
    none, nine, ten = (
        nf.evaluate(
            ["label 1"] * wrong + truth[wrong:], ["label 2"] * wrong + truth[wrong:]
        )
        for wrong in (0, 9, 10)
    )
    assert "With no mistake, intervals are wider than needed" in repr(none)
    assert "With 9 mistakes, intervals are wider than needed" in nine._repr_html_()
    assert "With fewer than 7 records a label, the interval of macro F1 is wider" in (
        repr(ten)
    )
    assert "mistakes, intervals" not in repr(ten)
    few_labels = ["ab"[n % 2] for n in range(120)]
    said = nf.evaluate(["a"] * 120, few_labels)
    assert "wider than needed" not in repr(said)
