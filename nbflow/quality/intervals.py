"""Intervals: figures, each with the range that chance leaves open.

They are computed, not drawn, so that they have a width where a model makes no mistake.
``python -m benchmarks.coverage`` prints how often they hold the truth.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: How often an interval is to hold the truth.
LEVEL = 0.95
#: The standard normal's quantile at that level, two-sided.
Z = 1.959963984540054
#: Variance, in records, from which on a share is far enough from 0 and 1.
_MANY = 8
#: Bisections of a limit: nine digits.
_HALVINGS = 30


class Interval(NamedTuple):
    """A figure and its 95 % interval; ``nan`` where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def is_undefined(self) -> bool:
        """Whether there is no figure, as where nothing was counted."""
        return math.isnan(self.value)

    @property
    def is_alone(self) -> bool:
        """Whether nothing is known of how far off the figure may be."""
        return math.isnan(self.low)

    def alone(self) -> Interval:
        """The figure without an interval, where it says nothing about other records."""
        return Interval(self.value, math.nan, math.nan)

    def __str__(self) -> str:
        value, low, high = map(percent, self)
        return value if self.is_alone else f"{value} ({low} to {high})"


#: What there is no figure of.
UNDEFINED = Interval(math.nan, math.nan, math.nan)


def percent(value: float) -> str:
    """A share as people read it."""
    return "\u2013" if math.isnan(value) else f"{100 * value:.1f}%"


@lru_cache(maxsize=4096)
def proportion(hits: int, total: int) -> Interval:
    """Share of ``hits`` in ``total`` with Blaker's exact interval.

    It holds the truth at least as often as it says, at any number of records and any
    share, and lies within the interval of Clopper and Pearson (Blaker 2000,
    *Confidence curves and improved exact confidence intervals for discrete
    distributions*, Canadian Journal of Statistics 28, 783-798).
    """
    if not total:
        return UNDEFINED
    share = hits / total
    below, above = 0.0, 1.0
    if hits:
        below = _edge(0.0, share, lambda p: _acceptability(hits, total, p))
    if hits < total:
        above = _edge(1.0, share, lambda p: _acceptability(hits, total, p))
    return Interval(share, below, above)


def _edge(
    outside: float, inside: float, acceptability: Callable[[float], float]
) -> float:
    """Where the shares that are accepted end."""
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if acceptability(middle) > 1 - LEVEL:
            inside = middle
        else:
            outside = middle
    return outside


def _acceptability(hits: int, total: int, share: float) -> float:
    """How likely what is as far out as ``hits`` is, on either side, if ``share`` is true.

    The smaller tail, and the largest tail on the other side that is no larger.
    """
    import numpy as np

    start, chances = _binomial(total, share)
    at = hits - start
    up_to = np.cumsum(chances)
    from_on = np.cumsum(chances[::-1])[::-1]
    lower = float(up_to[min(at, len(up_to) - 1)]) if at >= 0 else 0.0
    upper = float(from_on[max(at, 0)]) if at < len(from_on) else 0.0
    near = min(lower, upper)
    far = from_on if lower < upper else up_to
    return near + float(far[far <= near * (1 + 1e-9)].max(initial=0.0))


def _binomial(total: int, share: float) -> tuple[int, Floats]:
    """Chances of the numbers of hits that are at all likely, and the least of these."""
    import numpy as np

    reach = 12 * math.sqrt(total * share * (1 - share)) + 30
    start = max(0, int(total * share - reach))
    end = min(total, int(total * share + reach) + 1)
    hits = np.arange(start, end + 1)
    logs = _log_factorials(1 << total.bit_length())
    ways = logs[total] - logs[hits] - logs[total - hits]
    chances = ways + hits * math.log(share) + (total - hits) * math.log1p(-share)
    return start, np.exp(chances)


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> Floats:
    """Logarithms of 0!, 1!, ... up to ``size``."""
    import numpy as np

    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])


def f1(hits: Interval) -> Interval:
    """F1 of a label.

    With J the share of right answers among the records that have the label, or were given
    it, F1 is 2J/(1+J), which rises with J: the interval of J, bent, is that of F1.

    Args:
        hits: that share.
    """
    return Interval(*(2 * j / (1 + j) for j in hits))


def at_size(value: float, size: float, z: float = Z) -> Interval:
    """Interval of a share that is known as well as from ``size`` records.

    The size is the one at which a simple random sample would have the figure's variance
    (Kish, *Survey Sampling*, 1965; Korn and Graubard 1998). The interval is Wilson's, and
    near 0 and 1, where that holds less than it says, as wide as the exact one.

    Args:
        value: the share.
        size: of the sample.
        z: standard errors that the interval is to reach to each side.
    """
    if size * value * (1 - value) >= _MANY:
        return _wilson(value, size, z)
    exact = _between(value, max(1, round(size)))
    low = value - (value - exact.low) * z / Z
    high = value + (exact.high - value) * z / Z
    # At the ends of the scale a limit is the value, but for rounding.
    return Interval(value, min(value, max(0.0, low)), max(value, min(1.0, high)))


def _between(share: float, total: int) -> Interval:
    """The exact interval of any share: between whole numbers of hits, between theirs."""
    hits = min(total, max(0.0, share * total))
    rest = hits - math.floor(hits)
    fewer = proportion(math.floor(hits), total)
    more = proportion(math.ceil(hits), total)
    low = (1 - rest) * fewer.low + rest * more.low
    high = (1 - rest) * fewer.high + rest * more.high
    return Interval(share, low, high)


def _wilson(value: float, size: float, z: float) -> Interval:
    """The score interval of a share (Wilson 1927)."""
    spread = z * z / size
    middle = (value + spread / 2) / (1 + spread)
    reach = math.sqrt(value * (1 - value) * spread + spread * spread / 4) / (1 + spread)
    return Interval(value, middle - reach, middle + reach)


def student(freedom: float) -> float:
    """Student's quantile over the normal one (Abramowitz and Stegun 1964, 26.7.5)."""
    return 1 + (Z * Z + 1) / (4 * max(freedom, 2))


def difference(only_first: float, only_second: float, total: float) -> Interval:
    """Share that the second alone has right minus that of the first alone.

    The interval of Agresti and Min for paired shares: half a record more in each of the
    four cells (Agresti and Min 2005, *Simple improved confidence intervals for comparing
    matched proportions*, Statistics in Medicine 24, 729-740).
    """
    value = (only_second - only_first) / total
    middle, error = _apart(only_first, only_second, total)
    reach = Z * error
    return Interval(value, max(-1.0, middle - reach), min(1.0, middle + reach))


def chance_of_difference(only_first: float, only_second: float, total: float) -> float:
    """How likely a difference so large is by chance: below 0.05 where its interval leaves out 0.

    Wald's test with the figures of `difference`.
    """
    middle, error = _apart(only_first, only_second, total)
    return math.erfc(abs(middle) / error / math.sqrt(2))


def _apart(only_first: float, only_second: float, total: float) -> tuple[float, float]:
    """The middle of the interval of a difference, and its standard error."""
    size = total + 2
    middle = (only_second - only_first) / size
    apart = (only_first + only_second + 1) / size
    return middle, math.sqrt((apart - middle**2) / size)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test of the records that one side alone has right.

    The two-sided binomial test of ``only_first`` among both with probability 1/2
    (McNemar 1947, in its exact form).

    Returns:
        How likely so uneven a split is by chance.
    """
    both = only_first + only_second
    if only_first == only_second:
        return 1.0
    start, chances = _binomial(both, 0.5)
    tail = chances[: max(0, min(only_first, only_second) - start + 1)].sum()
    return min(1.0, 2 * float(tail))
