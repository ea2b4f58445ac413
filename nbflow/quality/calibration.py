"""Calibration: from a confidence to how often answers of that confidence are right.

Each answer has a weight, the records of the run that it stands for, and a text. The
answers of one text are right or wrong together: they tell as much as one answer with
their weights added up. So many answers of different weights tell as much as fewer of
like weight (the effective size of Kish, *Survey Sampling*, 1965, section 11.7).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nbflow.quality.intervals import Interval, Z, at_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nbflow.quality.intervals import Floats

    Truths = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

#: Parts of the decisions of which each is judged by a curve from the others.
_FOLDS = 5
#: Bars of a reliability picture, and decisions that each needs.
_BARS, _IN_BAR = 10, 10
#: Steps of Newton's method, which needs some six.
_STEPS = 50


class Judged(NamedTuple):
    """Answers of which people say whether they are right.

    Attributes:
        sure: the confidence of each.
        right: whether it is right.
        weight: records that it stands for.
        text: the number of its text; copies of a text have one.
    """

    sure: Floats
    right: Truths
    weight: Floats
    text: Numbers

    @property
    def texts(self) -> int:
        """Different texts."""
        return len(set(self.text.tolist()))

    @property
    def share(self) -> Interval:
        """How many are right, with its interval."""
        value = float((self.weight * self.right).sum() / self.weight.sum())
        return at_size(value, self.size)

    @property
    def size(self) -> float:
        """As how many texts of like weight they tell."""
        import numpy as np

        _, places = np.unique(self.text, return_inverse=True)
        weights = np.bincount(places, self.weight)
        return float(weights.sum() ** 2 / (weights**2).sum())

    @property
    def heaviest(self) -> float:
        """The share of all records that the text with the most of them stands for."""
        import numpy as np

        weights = np.bincount(self.text, self.weight)
        return float(weights.max() / weights.sum())

    def part(self, here: Truths) -> Judged:
        """Some of them."""
        sure, right, weight, text = self
        return Judged(sure[here], right[here], weight[here], text[here])


def alone(sure: Floats, right: Truths) -> Judged:
    """Answers on different texts, each of which counts as one."""
    import numpy as np

    return Judged(sure, right, np.ones(len(sure)), np.arange(len(sure)))


class Curve(Protocol):
    """How often answers are right, by their confidence; it never falls."""

    def at(self, confidence: float) -> Interval:
        """How often, with its interval."""


class Platt(NamedTuple):
    """A logistic curve over the log odds of the confidence.

    Platt 1999, *Probabilistic outputs for support vector machines*, with his smoothed
    targets; intervals by the delta method on the scale of the log odds, with the
    variance of weighted answers whose texts are drawn, not they (Binder 1983, *On the
    variances of asymptotically normal estimators from complex surveys*).

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
    2002). A step's interval is that of a share of as many texts as its decisions tell.

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


def platt(judged: Judged) -> Platt:
    """The logistic curve through these decisions."""
    import numpy as np

    sure, right, texts = judged.sure, judged.right, judged.texts
    x = np.column_stack([np.ones(len(sure)), [_log_odds(one) for one in sure]])
    weight = judged.weight * (texts / judged.weight.sum())
    hits = float(weight[right].sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (texts - hits + 2))
    found = np.zeros(2)
    # A spread of ten in either, so that confidences that are all alike have a curve.
    lean = np.diag([0.01, 0.01])
    information, spread = lean, np.zeros(len(sure))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        spread = chance * (1 - chance)
        information = (x * (weight * spread)[:, None]).T @ x + lean
        step = np.linalg.solve(
            information, x.T @ (weight * (target - chance)) - lean @ found
        )
        found += step
        if np.abs(step).max() < 1e-9:  # noqa: PLR2004  # beyond what a figure shows
            break
    if found[1] < 0:
        return _flat(judged)
    scores = _by_text(judged.text, x * (weight * np.sqrt(spread))[:, None])
    inverse = np.linalg.inv(information) * _student(judged.size)
    (a, b), (_, c) = (inverse @ (scores.T @ scores + lean) @ inverse).tolist()
    return Platt(float(found[0]), float(found[1]), ((a, b), (b, c)))


def _by_text(text: Numbers, rows: Floats) -> Floats:
    """The sums of the rows of each text."""
    import numpy as np

    _, places = np.unique(text, return_inverse=True)
    return np.column_stack([np.bincount(places, column) for column in rows.T])


def _flat(judged: Judged) -> Platt:
    """The curve of a confidence that says nothing, or the wrong thing."""
    size = judged.size
    share = (judged.share.value * size + 0.5) / (size + 1)
    variance = _student(size) ** 2 / (size * share * (1 - share))
    return Platt(math.log(share / (1 - share)), 0.0, ((variance, 0.0), (0.0, 0.0)))


def _student(size: float) -> float:
    """Student's quantile over the normal one (Abramowitz and Stegun 1964, 26.7.5)."""
    return 1 + (Z * Z + 1) / (4 * max(size - 2, 2))


def isotonic(judged: Judged) -> Isotonic:
    """The rising steps nearest to these decisions."""
    blocks: list[list[float]] = []  # weight of hits, of all, highest confidence
    for confidence in sorted(set(judged.sure.tolist())):
        here = judged.sure == confidence
        hits = judged.weight[here & judged.right].sum()
        blocks.append([float(hits), float(judged.weight[here].sum()), confidence])
        while len(blocks) > 1 and _falls(blocks[-2], blocks[-1]):
            more, weight, end = blocks.pop()
            blocks[-1] = [blocks[-1][0] + more, blocks[-1][1] + weight, end]
    ends = tuple(end for _, _, end in blocks)
    starts = (-math.inf, *ends)
    steps = (
        judged.part((judged.sure > start) & (judged.sure <= end)).share
        for start, end in zip(starts, ends, strict=False)
    )
    return Isotonic(ends, tuple(steps))


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


def cross_fitted(judged: Judged, *, is_isotonic: bool) -> Fit:
    """How well curves say what they did not see: each fifth of the texts, by the others."""
    import numpy as np

    texts, places = np.unique(judged.text, return_inverse=True)
    folds = (np.random.default_rng(0).permutation(len(texts)) % _FOLDS)[places]
    said = np.zeros(len(judged.sure))
    for fold in range(_FOLDS):
        own = folds == fold
        curve = fitted(judged.part(~own), is_isotonic=is_isotonic)
        said[own] = [curve.at(one).value for one in judged.sure[own].tolist()]
    calibrated = judged._replace(sure=said)
    return Fit(_brier(judged), _brier(calibrated), _off(judged), _off(calibrated))


def fitted(judged: Judged, *, is_isotonic: bool) -> Curve:
    """The curve through these decisions."""
    return isotonic(judged) if is_isotonic else platt(judged)


def _brier(judged: Judged) -> float:
    import numpy as np

    apart = (judged.sure - judged.right) ** 2
    return float(np.average(apart, weights=judged.weight))


def _off(judged: Judged) -> float:
    import numpy as np

    parts = [judged.part(here) for here in _bands(judged)]
    weights = [part.weight.sum() for part in parts]
    return float(
        np.average(
            [abs(_mean_sure(part) - part.share.value) for part in parts],
            weights=weights,
        )
    )


def _mean_sure(judged: Judged) -> float:
    import numpy as np

    return float(np.average(judged.sure, weights=judged.weight))


class ReliabilityBar(NamedTuple):
    """Decisions on answers of like confidence.

    Attributes:
        sure: their mean confidence.
        right: how often they are right.
        number: of the texts.
    """

    sure: float
    right: Interval
    number: int


def bars(judged: Judged) -> list[ReliabilityBar]:
    """Bars of about as many decisions each; equal confidences are in one."""
    parts = [judged.part(here) for here in _bands(judged)]
    return [ReliabilityBar(_mean_sure(part), part.share, part.texts) for part in parts]


def _bands(judged: Judged) -> list[Truths]:
    """Which decisions are in each bar."""
    import numpy as np

    number = max(1, min(_BARS, judged.texts // _IN_BAR))
    cuts = np.unique(np.quantile(judged.sure, np.arange(1, number) / number))
    places = np.searchsorted(cuts, judged.sure, side="left")
    return [places == place for place in np.unique(places)]
