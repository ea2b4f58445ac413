"""Estimation: figures of a whole run from the records of it that people looked at.

The stratified estimator of a total, with poststrata by the label that was given and the
band of its confidence (Cochran, *Sampling Techniques*, 3rd edition, 1977, sections 5.3
and 5A.9): records that nobody saw count as those of their stratum that somebody saw.
Units of several records are weighed by them (the ratio estimator, section 6.4). The
variance within a stratum leans by one unit towards that within all, and the interval is
that of a share with the same variance, with Student's quantile.

What was decided before a sample was drawn is known, not estimated: it is added as it is.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from nbflow.quality.intervals import LEVEL, UNDEFINED, Interval, Z, at_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.quality.intervals import Floats

    #: The stratum of a unit: the label that was given, and the band of its confidence.
    Stratum = tuple[str | None, int]

#: Decisions that a stratum needs for a mean and a variance that mean something.
_LEAST = 4
#: Units by which the variance within a stratum leans towards that within all.
_LEAN = 1.0
#: How many times as good as a simple random sample a stratified one is taken to be.
_MOST = 4
#: Decisions for which the interval that allows looking again and again is narrowest.
_NARROWEST = 100


class Seen(NamedTuple):
    """One unit of a run.

    Attributes:
        records: how many look like this.
        stratum: which it is in.
        label: what a person decided; ``None`` if that is not known, or not counted.
        given: labels that the model gave for its records.
        is_known: whether it was decided before the sample was drawn.
    """

    records: int
    stratum: Stratum
    label: str | None
    given: Counter[str | None]
    is_known: bool


class Part(NamedTuple):
    """A figure of each unit: of those in the sample, and of those that are known."""

    sampled: Floats
    known: Floats

    @property
    def number(self) -> int:
        """Units of which the figure is not 0."""
        return int((self.sampled > 0).sum() + (self.known > 0).sum())


class Frame:
    """What is known of the units of a run, or of a group of its records.

    Args:
        units: all of them.
        anytime: whether intervals hold however often one looks.
    """

    def __init__(self, units: Sequence[Seen], *, anytime: bool) -> None:
        import numpy as np

        self.units = units
        self.known = [one for one in units if one.is_known and one.label is not None]
        self.open = [one for one in units if not one.is_known or one.label is None]
        self.sampled = [one for one in self.open if one.label is not None]
        self.records = sum(one.records for one in units)
        merged = _merged(self.open, self.sampled)
        self._stratum = np.array(
            [merged[one.stratum] for one in self.sampled], dtype=np.int64
        )
        self._weight = np.array([one.records for one in self.sampled], dtype=float)
        self._known_weight = np.array([one.records for one in self.known], dtype=float)
        many = max(merged.values(), default=-1) + 1
        self._units = np.zeros(many)
        self._sizes = np.zeros(many)
        for one in self.open:
            self._units[merged[one.stratum]] += 1
            self._sizes[merged[one.stratum]] += one.records
        self._seen = np.bincount(self._stratum, minlength=many).astype(float)
        self._reach = _reach(len(self.sampled), anytime=anytime)
        self._student = _student(len(self.sampled) - many)

    def part(self, figure: Callable[[Seen], float]) -> Part:
        """A figure of each unit that is in the sample or known: mean of its records."""
        import numpy as np

        return Part(
            np.array([figure(one) for one in self.sampled], dtype=float),
            np.array([figure(one) for one in self.known], dtype=float),
        )

    def total(self, part: Part) -> float:
        """The sum of a figure over all records, estimated where nobody looked."""
        return float(self._sizes @ self._means(part.sampled)) + self._of_known(part)

    def share(self, part: Part, domain: Part, records: float) -> Interval:
        """A figure as a share of records whose number is known.

        Args:
            part: the figure; 0 outside of these records.
            domain: 1 for these records.
            records: how many there are, all in all.
        """
        if not records:
            return UNDEFINED
        known, inside = self._of_known(part), records - self._of_known(domain)
        if inside < 1:
            return Interval(*[known / records] * 3)
        if not domain.sampled.any():
            return UNDEFINED
        found = self._interval(part.sampled, domain.sampled, inside)
        low, high = (max(0.0, min(1.0, one)) for one in found[1:])
        value, low, high = (
            (known + inside * one) / records for one in (found[0], low, high)
        )
        return Interval(value, low, high)

    def ratio(self, part: Part, domain: Part) -> Interval:
        """A figure as a share of records whose number is estimated, too."""
        whole = self.total(domain)
        known = self._of_known(domain)
        if not whole:
            return UNDEFINED
        if whole <= known:
            return Interval(*[self._of_known(part) / known] * 3)
        value = self.total(part) / whole
        rest = part.sampled - value * domain.sampled
        variance = self._variance(rest) / whole**2
        return self._around(value, variance, domain.sampled, whole - known)

    def _interval(self, part: Floats, domain: Floats, records: float) -> Interval:
        """The share among the records of a domain of which nothing is known for sure."""
        value = min(1.0, float(self._sizes @ self._means(part)) / records)
        return self._around(value, self._variance(part) / records**2, domain, records)

    def _around(
        self, value: float, variance: float, domain: Floats, records: float
    ) -> Interval:
        """The interval of a share with this variance.

        Its size is at least that of a simple random sample, which is known no better
        than one by strata of the same shares, and at most four times that: where no
        mistake was found there is no variance, and no certainty.
        """
        seen = float((self._weight * domain).sum())
        if seen >= records - 1e-9:
            return Interval(value, value, value)
        size = float((domain > 0).sum()) / (1 - seen / records)
        if 0 < value < 1:
            apart = value * (1 - value) / max(variance * self._student**2, 1e-12)
            size = min(max(apart, size), _MOST * size)
        return at_size(value, size, self._reach)

    def _of_known(self, part: Part) -> float:
        return float((part.known * self._known_weight).sum())

    def _means(self, sampled: Floats) -> Floats:
        """The mean of a figure in each stratum."""
        import numpy as np

        many = len(self._sizes)
        sums = np.bincount(self._stratum, self._weight * sampled, many)
        weights = np.bincount(self._stratum, self._weight, many)
        means: Floats = sums / np.maximum(weights, 1e-12)
        return means

    def _variance(self, sampled: Floats) -> float:
        """The variance of the estimated total of a figure."""
        import numpy as np

        many = len(self._sizes)
        mean_weight = np.bincount(self._stratum, self._weight, many) / np.maximum(
            self._seen, 1
        )
        off = sampled - self._means(sampled)[self._stratum]
        off *= self._weight / mean_weight[self._stratum]
        squares = np.bincount(self._stratum, off**2, many)
        freedom = np.maximum(self._seen - 1, 0)
        within_all = squares.sum() / max(freedom.sum(), 1)
        within = (squares + _LEAN * within_all) / (freedom + _LEAN)
        unseen = 1 - np.minimum(1, self._seen / self._units)
        return float(
            (self._sizes**2 * unseen * within / np.maximum(self._seen, 1)).sum()
        )


def _merged(open_units: Sequence[Seen], sampled: Sequence[Seen]) -> dict[Stratum, int]:
    """The stratum that each is counted in, by number, so that all have a variance.

    A band of too few decisions joins the next band of its label, a label of too few
    joins the others of that kind, and these the largest.
    """
    seen = Counter(one.stratum for one in sampled)
    size = Counter(one.stratum for one in open_units)
    by_label: dict[str | None, list[list[Stratum]]] = {}
    for stratum in sorted(size, key=lambda one: (one[0] or "", one[0] is None, one[1])):
        by_label.setdefault(stratum[0], []).append([stratum])
    groups: list[list[Stratum]] = []
    rare: list[Stratum] = []
    for bands in by_label.values():
        joined = _joined(bands, seen)
        groups += [group for group in joined if _count(group, seen) >= _LEAST]
        rare += [
            one for group in joined if _count(group, seen) < _LEAST for one in group
        ]
    if rare and _count(rare, seen) < _LEAST and groups:
        max(groups, key=lambda group: _count(group, size)).extend(rare)
    elif rare:
        groups.append(rare)
    return {stratum: number for number, group in enumerate(groups) for stratum in group}


def _joined(bands: list[list[Stratum]], seen: Counter[Stratum]) -> list[list[Stratum]]:
    """The bands of a label, each with enough decisions if they have so many in all."""
    joined: list[list[Stratum]] = []
    for band in bands:
        if joined and _count(joined[-1], seen) < _LEAST:
            joined[-1] = joined[-1] + band
        else:
            joined.append(band)
    if len(joined) > 1 and _count(joined[-1], seen) < _LEAST:
        last = joined.pop()
        joined[-1] = joined[-1] + last
    return joined


def _count(group: Sequence[Stratum], numbers: Counter[Stratum]) -> int:
    return sum(numbers[stratum] for stratum in group)


def _student(freedom: int) -> float:
    """Student's quantile over the normal one (Abramowitz and Stegun 1964, 26.7.5)."""
    return 1 + (Z * Z + 1) / (4 * max(freedom, 2))


def _reach(decisions: int, *, anytime: bool) -> float:
    """Standard errors that an interval reaches to each side.

    To hold at all numbers of decisions at once: the bound of an asymptotic confidence
    sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, *Time-uniform central
    limit theory and asymptotic confidence sequences*, Annals of Statistics 52, theorem
    2.2).
    """
    if not anytime or not decisions:
        return Z
    alpha = 1 - LEVEL
    log = 2 * math.log(1 / alpha)
    grown = decisions * (log + math.log(log) + 1) / _NARROWEST
    return math.sqrt(2 * (grown + 1) / grown * math.log(math.sqrt(grown + 1) / alpha))
