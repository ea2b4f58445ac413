"""Metrics: the figures of classification, each with the range that chance leaves open.

Point values are scikit-learn's. Intervals are percentile bootstrap intervals (Efron and
Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13): the records are drawn
again with replacement, 2,000 times from one seed, and the middle 95 % of what comes out
is the interval. Drawing records is drawing the counts of the different (true,
predicted) pairs from a multinomial distribution, which is what happens here: a million
records cost what a thousand do.

Scores are over the labels of the taxonomy: an answer outside of it is wrong, and makes
no class of its own (a macro F1 that averages over such classes punishes one stray
answer in a thousand with a class that nobody can get right).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[Any]

DRAWS = 2000
_AT_ONCE = 200
LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and its 95 % interval; ``nan`` where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{percent(self.value)} ({percent(self.low)} to {percent(self.high)})"


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
    return "\u2013" if value != value else f"{100 * value:.1f}%"  # noqa: PLR0124 - NaN


def sklearn_metrics() -> Any:
    """scikit-learn's metrics.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from sklearn import metrics
    except ImportError:
        raise UsageError(
            "Figures of quality need scikit-learn; install it with: pip install 'nbflow[evaluate]'"
        ) from None
    return metrics


class Resampled:
    """The same records drawn again and again: pairs, triples, ... of labels, each a tuple of codes."""

    def __init__(
        self, columns: Sequence[Sequence[int]], *, seed: int, draws: int = DRAWS
    ) -> None:
        import numpy as np

        #: The different combinations that occur, one a line.
        self.kinds, counts = np.unique(np.array(columns).T, axis=0, return_counts=True)
        self._total = int(counts.sum())
        self._shares = counts / self._total
        self._seed, self._draws = seed, draws

    def of(self, figure: Callable[[Floats, Floats], Floats]) -> Floats:
        """``figure`` of every draw: it takes the kinds and how often each was drawn (a line a draw)."""
        import numpy as np

        source = np.random.default_rng(self._seed)
        sizes = [
            min(_AT_ONCE, self._draws - start)
            for start in range(0, self._draws, _AT_ONCE)
        ]
        return np.concatenate(
            [
                figure(self.kinds, source.multinomial(self._total, self._shares, size))
                for size in sizes
            ]
        )


def interval(value: float, drawn: Floats) -> Interval:
    """``value`` with the percentile interval of what was drawn."""
    import numpy as np

    known = drawn[~np.isnan(drawn)]
    if value != value or not len(known):  # noqa: PLR0124 - NaN
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def scores(
    truth: Sequence[str], said: Sequence[str], labels: Sequence[str], *, seed: int
) -> Scores:
    """The scores of ``said`` over ``labels``, which hold every true label."""
    import numpy as np

    metrics = sklearn_metrics()
    outside = sorted(set(said) - set(labels))
    codes = {label: code for code, label in enumerate([*labels, *outside])}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, said, labels=list(labels), zero_division=np.nan
    )
    one_label = (
        len({*truth, *said}) == 1
    )  # chance agrees always as well: kappa is 0 / 0
    beyond = float("nan") if one_label else metrics.cohen_kappa_score(truth, said)
    resampled = Resampled(
        [[codes[label] for label in truth], [codes[label] for label in said]], seed=seed
    )
    drawn = resampled.of(
        lambda kinds, draws: drawn_scores(kinds[:, 0], kinds[:, 1], draws, len(labels))
    )
    points = [
        metrics.accuracy_score(truth, said),
        float(np.nanmean(f1)),
        beyond,
        *precision,
        *recall,
        *f1,
    ]
    found = [interval(point, drawn[:, place]) for place, point in enumerate(points)]
    many = len(labels)
    accuracy, macro, kappa, *by_label = found
    return Scores(
        accuracy,
        macro,
        kappa,
        tuple(by_label[:many]),
        tuple(by_label[many : 2 * many]),
        tuple(by_label[2 * many :]),
    )


def drawn_scores(truth: Floats, said: Floats, draws: Floats, labels: int) -> Floats:
    """For each draw accuracy, macro F1, kappa, then precision, recall and F1 of each label; ``nan`` where undefined.

    By the definitions of scikit-learn, from counts: of the label *k*, with :math:`t_k`
    records of it, :math:`s_k` answers of it and :math:`h_k` both, precision is h/s,
    recall h/t, F1 2h/(s+t); kappa is (a - e)/(1 - e) with accuracy a and chance
    agreement e = sum(s t)/n^2 (Cohen 1960).
    """
    import numpy as np

    code = np.arange(labels)
    is_true, is_said = truth[:, None] == code, said[:, None] == code
    hit, true, given = draws @ (is_true & is_said), draws @ is_true, draws @ is_said
    total = draws.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall, f1 = hit / given, hit / true, 2 * hit / (given + true)
        accuracy = hit.sum(axis=1) / total
        chance = (given * true).sum(axis=1) / total**2
        kappa = (accuracy - chance) / (1 - chance)
        occurs = (given + true) > 0
        macro = np.where(occurs, f1, 0).sum(axis=1) / occurs.sum(axis=1)
    return np.column_stack([accuracy, macro, kappa, precision, recall, f1])


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test: how likely so uneven a split of the records that one side alone has right is by chance.

    The two-sided binomial test of ``only_first`` among both with probability 1/2
    (McNemar 1947, in its exact form).
    """
    sklearn_metrics()  # brings scipy
    from scipy.stats import binomtest

    both = only_first + only_second
    return float(binomtest(only_first, both, 0.5).pvalue) if both else 1.0
