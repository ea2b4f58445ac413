"""Intervals hold the truth as often as they say: simulated, seeded, with as many draws as a test can wait for."""

import numpy as np
import pytest

coverage = pytest.importorskip(
    "benchmarks.coverage"
)  # an installed nbflow comes without them

SIZES = (30, 50, 100, 200, 500)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("accuracy", [0.5, 0.69, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99])
def test_an_accuracy_is_held_exactly(accuracy, size):
    """At least as often as it says; more often only where numbers of hits are few and far between."""
    held = coverage.of_accuracy(accuracy, size)
    assert 0.95 <= held <= 0.99
    if size * (1 - accuracy) >= 8:
        assert held <= 0.97


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pair", coverage.PAIRS)
def test_a_difference_is_held(pair, size):
    held = coverage.of_difference(pair, size, 2000).share
    assert held >= 0.935
    one, two, both = pair
    if size * (one + two - 2 * both) >= 10:
        assert held <= 0.97


@pytest.mark.parametrize("size", SIZES)
def test_kappa_and_macro_f1_are_held_over_2_to_30_labels(size):
    """200 draws of each of 48 models: single shares stray by four points, their means by half a point."""
    found = [coverage.of_model(model, size, 200) for model in coverage.MODELS]
    kappas, f1s = (
        np.array([one.share for one in ones]) for ones in zip(*found, strict=True)
    )
    # Of 30 records few are mistakes: wider than needed, and said to be.
    most = 0.985 if size == 30 else 0.975
    assert 0.935 <= kappas.mean() <= most
    assert 0.935 <= f1s.mean() <= most
    assert kappas.min() >= 0.9
    assert f1s.min() >= 0.9


@pytest.mark.parametrize("size", [50, 100, 200, 500])
def test_estimates_of_real_labels_are_held_and_narrower_than_those_of_people_alone(
    size,
):
    """Five models, 80 draws each: 480 intervals of accuracy and shares a model, 2,400 in all."""
    held = []
    for model in coverage.ESTIMATED:
        found = coverage.of_estimate(model, size, 80, confidence=True)
        held += [estimated.share for estimated, _ in found.values()]
        accuracy, accuracy_alone = found.pop("accuracy")
        width = sum(estimated.width for estimated, _ in found.values())
        alone = sum(people.width for _, people in found.values())
        assert accuracy.width <= 1.03 * accuracy_alone.width
        assert width <= (0.8 if model != "gpt-4o-mini" else 0.85) * alone
    assert 0.93 <= np.mean(held) <= 0.97
    assert min(held) >= 0.85


def test_looking_again_and_again_is_allowed_with_anytime():
    """24 looks at 40 samples: intervals of one look fail somewhere in a third of them."""
    assert coverage.of_looking_again("o1", 40, anytime=False) <= 0.9
    assert coverage.of_looking_again("o1", 40, anytime=True) >= 0.925


@pytest.mark.parametrize("copies", ["ten", "many"])
@pytest.mark.parametrize("size", [50, 200])
def test_estimates_of_runs_with_copies_are_held(size, copies):
    """One to ten records a text, or one text in 64 of 1,970: a decision holds for all its copies, and is one."""
    held = []
    for model in ("gpt-4o-mini", "o1"):
        found = coverage.of_estimate(model, size, 80, confidence=True, copies=copies)
        held += [estimated.share for estimated, _ in found.values()]
        accuracy, alone = found["accuracy"]
        assert accuracy.width <= alone.width, "a decision tells of all copies"
    assert 0.93 <= np.mean(held) <= 0.98
    assert min(held) >= 0.85


@pytest.mark.parametrize("copies", coverage.COPIES)
def test_estimates_of_groups_are_held_where_copies_of_a_text_are_in_several(copies):
    held = coverage.of_groups("o1", 100, 120, copies=copies).values()
    assert len(held) == len(coverage.GROUPS)
    assert 0.93 <= np.mean([one.share for one in held]) <= 0.985
    assert min(one.share for one in held) >= 0.88


def test_samples_of_older_versions_drew_texts_alike_and_are_held_as_well():
    """One of ten copies was as likely to come as one of one: it is weighed for that."""
    found = coverage.of_estimate(
        "o1", 100, 120, confidence=True, copies="ten", alike=True
    )
    held = [estimated.share for estimated, _ in found.values()]
    assert 0.93 <= np.mean(held) <= 0.98
    assert min(held) >= 0.88


@pytest.mark.parametrize("copies", ["ten", "many"])
def test_what_evaluate_and_compare_say_of_a_sample_with_copies_is_held(copies):
    """Accuracy, kappa, macro F1 and the difference of two models, weighed by how likely each text was drawn."""
    found = coverage.of_evaluation("gpt-4o-mini", "o1", 100, 100, copies=copies)
    assert {*found} == {"accuracy", "kappa", "macro F1", "difference"}
    assert min(one.share for one in found.values()) >= 0.93
    assert max(abs(one.bias) for one in found.values()) <= 0.015


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (coverage.Model(2, 0.7, skewed=True, uneven=True), 30),
        (coverage.Model(2, 0.7, skewed=False, uneven=True), 50),
        (coverage.Model(30, 0.7, skewed=False, uneven=False), 200),
        (coverage.Model(30, 0.9, skewed=False, uneven=False), 100),
    ],
)
def test_single_cells_that_were_too_narrow_are_held(model, size):
    """Two uneven labels of few records, and thirty equally frequent ones: 92 % before."""
    of_kappa, of_f1 = coverage.of_model(model, size, 2000)
    assert of_kappa.share >= 0.93
    assert of_f1.share >= 0.93
