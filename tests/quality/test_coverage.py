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
    assert 0.935 <= kappas.mean() <= 0.97
    assert 0.935 <= f1s.mean() <= 0.97
    assert kappas.min() >= 0.9
    assert f1s.min() >= 0.9
