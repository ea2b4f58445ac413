"""Metrics: figures of classification, each with the range that chance leaves open.

Point values are scikit-learn's. Intervals are percentile bootstrap intervals (Efron and
Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13): the records are drawn
again with replacement, 2,000 times from one seed, and the middle 95 % of what comes out
is the interval. Drawing records is drawing the counts of the different (true,
predicted) pairs from a multinomial distribution, which is what happens here: a million
records cost what a thousand do.

Scores are over the labels of the taxonomy: an answer outside of it is wrong, and makes
no class of its own (a macro F1 that averages over such classes punishes one stray
answer in a thousand with a class that no model can get right).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

#: How often the records are drawn again.
DRAWS = 2000
#: Draws whose figures are computed at once.
_AT_ONCE = 200
#: Share of the draws that lie in an interval.
LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and its 95 % interval; ``nan`` where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def is_undefined(self) -> bool:
        """Whether there is no figure, as where nothing was counted."""
        return math.isnan(self.value)

    def __str__(self) -> str:
        value, low, high = map(percent, self)
        return f"{value} ({low} to {high})"


class Scores(NamedTuple):
    """What one set of answers is worth.

    Attributes:
        accuracy: share of the answers that are right.
        macro_f1: mean F1 of the labels that occur.
        kappa: Cohen's: agreement beyond what chance would give.
        precision: by label.
        recall: by label.
        f1: by label.
    """

    accuracy: Interval
    macro_f1: Interval
    kappa: Interval
    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]
    f1: tuple[Interval, ...]


def percent(value: float) -> str:
    """A share as people read it."""
    return "\u2013" if math.isnan(value) else f"{100 * value:.1f}%"


def sklearn_metrics() -> ModuleType:
    """scikit-learn's metrics.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from sklearn import metrics
    except ImportError:
        raise UsageError(
            "Figures of quality need scikit-learn; install it with: "
            "pip install 'nbflow[evaluate]'"
        ) from None
    module: ModuleType = metrics
    return module


class Resampled:
    """The same records drawn again and again: pairs, triples, ... of labels.

    Args:
        columns: the codes of the labels, a column for each member of the tuples.
        seed: of the draws.
        draws: how many.
    """

    def __init__(
        self,
        columns: Sequence[Sequence[int]],
        *,
        seed: int,
        draws: int = DRAWS,
    ) -> None:
        import numpy as np

        codes = np.array(columns, dtype=np.int64).T
        kinds, counts = np.unique(codes, axis=0, return_counts=True)
        #: The different combinations that occur, one a line.
        self.kinds: Counts = kinds
        self._total = int(counts.sum())
        self._shares: Floats = counts / self._total
        self._seed = seed
        self._draws = draws

    def of(self, figure: Callable[[Counts, Counts], Floats]) -> Floats:
        """``figure`` of every draw.

        Args:
            figure: takes the kinds, and how often each was drawn (a line a draw).
        """
        import numpy as np

        source = np.random.default_rng(self._seed)
        found = []
        for start in range(0, self._draws, _AT_ONCE):
            size = min(_AT_ONCE, self._draws - start)
            drawn = source.multinomial(self._total, self._shares, size)
            found.append(figure(self.kinds, drawn))
        return np.concatenate(found)


def interval(value: float, drawn: Floats) -> Interval:
    """``value`` with the percentile interval of what was drawn."""
    import numpy as np

    known = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(known):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def scores(
    truth: Sequence[str],
    said: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
) -> Scores:
    """The scores of ``said`` over ``labels``, which hold every true label."""
    import numpy as np

    metrics = sklearn_metrics()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, said, labels=list(labels), zero_division=np.nan
    )
    kappa = math.nan
    # With one label chance agrees always as well: kappa is 0 / 0.
    if len({*truth, *said}) > 1:
        kappa = metrics.cohen_kappa_score(truth, said)
    accuracy = metrics.accuracy_score(truth, said)
    points = [accuracy, np.nanmean(f1), kappa, *precision, *recall, *f1]
    drawn = _drawn_again(truth, said, labels, seed=seed)
    figures = [
        interval(float(point), column)
        for point, column in zip(points, drawn.T, strict=True)
    ]
    by_label = figures[3:]
    many = len(labels)
    return Scores(
        accuracy=figures[0],
        macro_f1=figures[1],
        kappa=figures[2],
        precision=tuple(by_label[:many]),
        recall=tuple(by_label[many : 2 * many]),
        f1=tuple(by_label[2 * many :]),
    )


def _drawn_again(
    truth: Sequence[str],
    said: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
) -> Floats:
    """`drawn_scores` of these records, drawn again and again."""
    outside = sorted(set(said) - set(labels))
    codes = {label: code for code, label in enumerate([*labels, *outside])}
    true_codes = [codes[label] for label in truth]
    said_codes = [codes[label] for label in said]

    def figures(kinds: Counts, draws: Counts) -> Floats:
        true, given = kinds.T
        return drawn_scores(true, given, draws, len(labels))

    return Resampled([true_codes, said_codes], seed=seed).of(figures)


def drawn_scores(truth: Counts, said: Counts, draws: Counts, labels: int) -> Floats:
    """For each draw accuracy, macro F1, kappa, then the scores of each label.

    Those are all precisions, then all recalls, then all F1; ``nan`` where undefined.

    By the definitions of scikit-learn, from counts: of the label *k*, with :math:`t_k`
    records of it, :math:`s_k` answers of it and :math:`h_k` both, precision is h/s,
    recall h/t, F1 2h/(s+t); kappa is (a - e)/(1 - e) with accuracy a and chance
    agreement e = sum(s t)/n^2 (Cohen 1960).
    """
    import numpy as np

    code = np.arange(labels)
    is_true = truth[:, None] == code
    is_said = said[:, None] == code
    hit = draws @ (is_true & is_said)
    true = draws @ is_true
    given = draws @ is_said
    total = draws.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = hit / given
        recall = hit / true
        f1 = 2 * hit / (given + true)
        accuracy = hit.sum(axis=1) / total
        chance = (given * true).sum(axis=1) / total**2
        kappa = (accuracy - chance) / (1 - chance)
        occurs = (given + true) > 0
        f1_sum = np.where(occurs, f1, 0).sum(axis=1)
        macro = f1_sum / occurs.sum(axis=1)
    return np.column_stack([accuracy, macro, kappa, precision, recall, f1])


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test of the records that one side alone has right.

    The two-sided binomial test of ``only_first`` among both with probability 1/2
    (McNemar 1947, in its exact form).

    Returns:
        How likely so uneven a split is by chance.
    """
    sklearn_metrics()  # it requires scipy, or says what to install
    from scipy.stats import binomtest

    both = only_first + only_second
    return float(binomtest(only_first, both, 0.5).pvalue) if both else 1.0
