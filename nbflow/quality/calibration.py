"""Calibration: from a confidence to how often answers of that confidence are right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nbflow.quality.intervals import Interval, Z, proportion

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nbflow.quality.intervals import Floats

    Truths = NDArray[np.bool_]

#: Parts of the decisions of which each is judged by a curve from the others.
_FOLDS = 5
#: Bars of a reliability picture, and decisions that each needs.
_BARS, _IN_BAR = 10, 10
#: Steps of Newton's method, which needs some six.
_STEPS = 50


class Curve(Protocol):
    """How often answers are right, by their confidence; it never falls."""

    def at(self, confidence: float) -> Interval:
        """How often, with its interval."""


class Platt(NamedTuple):
    """A logistic curve over the log odds of the confidence.

    Platt 1999, *Probabilistic outputs for support vector machines*, with his smoothed
    targets; intervals by the delta method on the scale of the log odds.

    Attributes:
        start: log odds at a confidence of one half.
        slope: of the log odds; not negative.
        variance: of both, row by row.
    """

    start: float
    slope: float
    variance: tuple[tuple[float, float], tuple[float, float]]

    def at(self, confidence: float) -> Interval:
        """How often, with its interval."""
        x = _log_odds(confidence)
        middle = self.start + self.slope * x
        (a, b), (_, c) = self.variance
        reach = Z * math.sqrt(max(0.0, a + 2 * b * x + c * x * x))
        value, low, high = (
            1 / (1 + math.exp(-one)) for one in (middle, middle - reach, middle + reach)
        )
        return Interval(value, low, high)


class Isotonic(NamedTuple):
    """The rising steps nearest to what was decided.

    Pool adjacent violators (Ayer and others 1955; for calibration Zadrozny and Elkan
    2002). A step's interval is the exact one of its decisions.

    Attributes:
        ends: the highest confidence of each step.
        steps: how often answers on it are right.
    """

    ends: tuple[float, ...]
    steps: tuple[Interval, ...]

    def at(self, confidence: float) -> Interval:
        """How often, with its interval."""
        from bisect import bisect_left

        place = min(bisect_left(self.ends, confidence), len(self.steps) - 1)
        return self.steps[place]


def platt(sure: Floats, right: Truths) -> Platt:
    """The logistic curve through these decisions."""
    import numpy as np

    x = np.column_stack([np.ones(len(sure)), [_log_odds(one) for one in sure]])
    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
    found = np.zeros(2)
    # A spread of ten in either, so that confidences that are all alike have a curve.
    lean = np.diag([0.01, 0.01])
    information = lean
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        information = (x * (chance * (1 - chance))[:, None]).T @ x + lean
        step = np.linalg.solve(information, x.T @ (target - chance) - lean @ found)
        found += step
        if np.abs(step).max() < 1e-9:  # noqa: PLR2004  # beyond what a figure shows
            break
    if found[1] < 0:
        return _flat(right)
    (a, b), (_, c) = np.linalg.inv(information).tolist()
    return Platt(float(found[0]), float(found[1]), ((a, b), (b, c)))


def _flat(right: Truths) -> Platt:
    """The curve of a confidence that says nothing, or the wrong thing."""
    hits, total = int(right.sum()), len(right)
    share = (hits + 0.5) / (total + 1)
    variance = 1 / (total * share * (1 - share))
    return Platt(math.log(share / (1 - share)), 0.0, ((variance, 0.0), (0.0, 0.0)))


def isotonic(sure: Floats, right: Truths) -> Isotonic:
    """The rising steps nearest to these decisions."""
    blocks: list[list[float]] = []  # hits, decisions, highest confidence
    for confidence in sorted(set(sure.tolist())):
        here = right[sure == confidence]
        blocks.append([float(here.sum()), float(len(here)), confidence])
        while len(blocks) > 1 and _falls(blocks[-2], blocks[-1]):
            hits, number, end = blocks.pop()
            blocks[-1] = [blocks[-1][0] + hits, blocks[-1][1] + number, end]
    return Isotonic(
        tuple(end for _, _, end in blocks),
        tuple(proportion(int(hits), int(number)) for hits, number, _ in blocks),
    )


def _falls(before: Sequence[float], after: Sequence[float]) -> bool:
    return before[0] * after[1] >= after[0] * before[1]


def _log_odds(confidence: float) -> float:
    """Log odds of a confidence; 0 and 1 as if one answer of 100 were otherwise."""
    kept = min(max(confidence, 0.01), 0.99)
    return math.log(kept / (1 - kept))


class Fit(NamedTuple):
    """How well a curve says what it did not see.

    Attributes:
        said: mean squared distance of the confidence itself from right (1) and wrong (0)
            (Brier 1950).
        calibrated: the same of the curve, each decision judged by a curve from others.
        off: mean distance between confidence and share right, over bars of like
            confidence (the expected calibration error of Naeini and others 2015).
        off_calibrated: the same of the curve.
    """

    said: float
    calibrated: float
    off: float
    off_calibrated: float


def cross_fitted(sure: Floats, right: Truths, *, is_isotonic: bool) -> Fit:
    """How well curves say what they did not see: each fifth, by the other four."""
    import numpy as np

    folds = np.random.default_rng(0).permutation(len(sure)) % _FOLDS
    judged = np.zeros(len(sure))
    for fold in range(_FOLDS):
        own = folds == fold
        curve = fitted(sure[~own], right[~own], is_isotonic=is_isotonic)
        judged[own] = [curve.at(one).value for one in sure[own].tolist()]
    return Fit(
        said=float(((sure - right) ** 2).mean()),
        calibrated=float(((judged - right) ** 2).mean()),
        off=_off(sure, right),
        off_calibrated=_off(judged, right),
    )


def fitted(sure: Floats, right: Truths, *, is_isotonic: bool) -> Curve:
    """The curve through these decisions."""
    return isotonic(sure, right) if is_isotonic else platt(sure, right)


def _off(sure: Floats, right: Truths) -> float:
    parts = bars(sure, right)
    total = sum(bar.number for bar in parts)
    return sum(bar.number * abs(bar.sure - bar.right.value) for bar in parts) / total


class ReliabilityBar(NamedTuple):
    """Decisions on answers of like confidence.

    Attributes:
        sure: their mean confidence.
        right: how often they are right.
        number: of the decisions.
    """

    sure: float
    right: Interval
    number: int


def bars(sure: Floats, right: Truths) -> list[ReliabilityBar]:
    """Bars of about as many decisions each; equal confidences are in one."""
    import numpy as np

    number = max(1, min(_BARS, len(sure) // _IN_BAR))
    cuts = np.unique(np.quantile(sure, np.arange(1, number) / number))
    places = np.searchsorted(cuts, sure, side="left")
    found = []
    for place in np.unique(places):
        here = places == place
        hits, total = int(right[here].sum()), int(here.sum())
        found.append(
            ReliabilityBar(float(sure[here].mean()), proportion(hits, total), total)
        )
    return found
