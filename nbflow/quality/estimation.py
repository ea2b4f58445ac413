"""Estimation: figures of a whole run from the records of it that people looked at.

The unit is a text with all its copies: one decision holds for all of them. Within a
stratum, the label that was given and the band of its confidence, records that nobody saw
count as those that somebody saw, each weighed by how likely it was drawn (poststrata:
Cochran, *Sampling Techniques*, 3rd edition, 1977, section 5A.9; ratios of units of unequal
size: section 9A.1; chances where larger units come earlier: Rosen 1997, *On sampling with
probability proportional to size*, Journal of Statistical Planning and Inference 62).

The variance within a stratum leans by one unit towards that within all. It counts the
copies of texts that nobody saw as well, which are known. The interval is that of a share
with the same variance, with Student's quantile.

What was decided before a sample was drawn is known, not estimated, and so are strata of
which nothing is left: they are added as they are.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from nbflow.quality.intervals import LEVEL, UNDEFINED, Interval, Z, at_size, student

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nbflow.quality.intervals import Floats

    Bools = NDArray[np.bool_]
    #: The stratum of a unit: the label that was given, and the band of its confidence.
    Stratum = tuple[str | None, int]

#: Decisions that a stratum needs for a mean and a variance that mean something.
_LEAST = 4
#: Units by which the variance within a stratum leans towards that within all.
_LEAN = 1.0
#: How many times as good as a simple random sample a stratified one is taken to be.
_MOST = 4
#: Steps towards a time, and the share of it at which they end.
_STEPS, _EXACT = 100, 1e-9
#: Decisions for which the interval that allows looking again and again is narrowest.
_NARROWEST = 100


class Seen(NamedTuple):
    """One unit of a run.

    Attributes:
        records: how many look like this.
        stratum: which it is in.
        label: what a person decided; ``None`` if that is not known, or not counted.
        given: labels that the model gave for its records.
        is_known: whether it was decided before the sample was drawn, or for another reason
            in a stratum of which nothing is left.
        chance: how likely it was to be drawn first, next to the others.
    """

    records: int
    stratum: Stratum
    label: str | None
    given: Counter[str | None]
    is_known: bool
    chance: float = 1.0


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
        unknown = [one for one in units if not one.is_known or one.label is None]
        self.sampled = [one for one in unknown if one.label is not None]
        self.records = sum(one.records for one in units)
        merged = _merged(unknown, self.sampled)
        strata = np.array([merged[one.stratum] for one in unknown], dtype=np.int64)
        chances = np.array([one.chance for one in unknown], dtype=float)
        sizes = np.array([one.records for one in unknown], dtype=float)
        looked_at = np.array([one.label is not None for one in unknown], dtype=bool)
        drawn = _drawn(strata, chances, looked_at)[looked_at]
        many = max(merged.values(), default=-1) + 1
        self._strata = many
        self._stratum, self._size = strata[looked_at], sizes[looked_at]
        self._known_size = np.array([one.records for one in self.known], dtype=float)
        # A unit stands for as many that were not drawn as it was likely not to be.
        self._weight = self._size * np.maximum(1 - drawn, 1e-9) / drawn
        self._whole = np.maximum(self._sums(self._weight), 1e-12)
        # What it counts in a variance, and how many units of one weight would tell as
        # much of it (Satterthwaite 1946).
        self._square = self._size * self._weight / drawn
        self._squared = np.maximum(self._sums(self._square), 1e-300)
        fourth = np.maximum(
            self._sums((self._square / self._squared[self._stratum]) ** 2), 1e-300
        )
        self._worth = np.where(self._sums(self._weight) > 0, 1 / fourth, 0.0)
        # What the variance of a figure within a stratum makes of that of its total: by
        # units that nobody saw, and by the mean that stands for these.
        self._unseen = _sums(strata, sizes * ~looked_at, many)
        missed = _sums(strata, sizes**2 * ~looked_at, many)
        means = self._sums(self._weight**2) / self._whole**2
        self._spread = missed + self._unseen**2 * means
        self._reach = _reach(len(self.sampled), anytime=anytime)
        self._student = student(float(self._worth.sum()) - many)

    def part(self, figure: Callable[[Seen], float]) -> Part:
        """A figure of each unit that is in the sample or known: mean of its records."""
        import numpy as np

        return Part(
            np.array([figure(one) for one in self.sampled], dtype=float),
            np.array([figure(one) for one in self.known], dtype=float),
        )

    @property
    def weights(self) -> Floats:
        """For how many records each record of the sample stands, itself included."""
        unseen = (self._unseen / self._whole)[self._stratum]
        weights: Floats = 1 + unseen * self._weight / self._size
        return weights

    @property
    def worth(self) -> float:
        """The size of a simple random sample, of a run without end, that tells as much."""
        total = float(self._unseen.sum() + self._size.sum())
        return total**2 / max(float(self._spread.sum()), 1e-12)

    def total(self, part: Part) -> float:
        """The sum of a figure over all records, estimated where nobody looked."""
        return self._of_sampled(part.sampled) + self._of_known(part)

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
        drawn = self._of_sampled(domain.sampled)
        if not drawn:
            return UNDEFINED
        value = self._of_sampled(part.sampled) / drawn
        found = self._around(value, part.sampled, domain.sampled, inside)
        return Interval(*((known + inside * one) / records for one in found))

    def ratio(self, part: Part, domain: Part) -> Interval:
        """A figure as a share of records whose number is estimated, too."""
        whole = self.total(domain)
        known = self._of_known(domain)
        if not whole:
            return UNDEFINED
        if whole <= known and self._unseen.sum() >= 1:
            # None of the sample is of the domain: nothing follows for the others.
            return UNDEFINED
        if whole <= known:
            return Interval(*[self._of_known(part) / known] * 3)
        value = self.total(part) / whole
        return self._around(value, part.sampled, domain.sampled, whole - known, whole)

    def _around(
        self,
        value: float,
        part: Floats,
        domain: Floats,
        inside: float,
        whole: float | None = None,
    ) -> Interval:
        """The interval of a share of a domain.

        Its size is at least that of a sample without strata, which is known no better
        than one by strata of the same shares, and at most four times that: where no
        mistake was found there is no variance, and no certainty.

        Args:
            value: the share.
            part: the figure of each unit of the sample.
            domain: the share of its records that are of the domain.
            inside: records of the domain of which not all is known.
            whole: all its records, if the share is of these.
        """
        value = min(1.0, max(0.0, value))
        if float(self._size @ domain) >= inside - 1e-9:
            return Interval(value, value, value)
        whole = inside if whole is None else whole
        unexplained = part - value * domain
        spread = self._spread_of(domain**2)
        size = inside**2 / max(spread, 1e-12)
        if 0 < value < 1:
            apart, alone = value * (1 - value), self._spread_of(unexplained**2)
            variance = self._variance(unexplained) * self._student**2
            known = apart * whole**2 / max(variance, 1e-12)
            least = size * min(1.0, apart * spread / max(alone, 1e-12))
            size = min(max(known, least), _MOST * size)
        return at_size(value, size, self._reach)

    def _of_known(self, part: Part) -> float:
        return float(part.known @ self._known_size)

    def _of_sampled(self, figure: Floats) -> float:
        """The sum of a figure over the records that are not known: seen and unseen."""
        return float(self._size @ figure + self._unseen @ self._means(figure))

    def _sums(self, values: Floats) -> Floats:
        """The sum over the sample in each stratum."""
        return _sums(self._stratum, values, self._strata)

    def _means(self, figure: Floats) -> Floats:
        """The mean of a figure among the records of each stratum that nobody saw."""
        return self._sums(self._weight * figure) / self._whole

    def _squares(self, figure: Floats) -> Floats:
        """The mean square of a figure in each stratum, weighed as in its variance."""
        return self._sums(self._square * figure**2) / self._squared

    def _spread_of(self, squares: Floats) -> float:
        """The variance of a total if these were the squares of what is left to chance."""
        return float(self._spread @ self._squares(squares**0.5))

    def _variance(self, figure: Floats) -> float:
        """The variance of the estimated total of a figure."""
        import numpy as np

        off = figure - self._means(figure)[self._stratum]
        squares = self._worth * self._squares(off)
        freedom = np.maximum(self._worth - 1, 0)
        within_all = squares.sum() / max(freedom.sum(), 1)
        within = (squares + _LEAN * within_all) / (freedom + _LEAN)
        return float(self._spread @ within)


def _sums(strata: NDArray[np.int64], values: Floats, many: int) -> Floats:
    """The sum in each of so many strata."""
    import numpy as np

    # Of nothing, numpy counts in whole numbers.
    return np.bincount(strata, values, many).astype(float)


def _drawn(strata: NDArray[np.int64], chances: Floats, looked_at: Bools) -> Floats:
    """How likely each unit was to be among as many of its stratum as were looked at.

    Units that come in the order of exponential times, each at the rate of its chance,
    are drawn one by one with these chances (Rosen 1997). All are looked at where the
    time is long enough.
    """
    import numpy as np

    drawn = np.ones(len(strata))
    for stratum in np.unique(strata):
        mine = strata == stratum
        number = int(looked_at[mine].sum())
        if number < mine.sum():
            drawn[mine] = -np.expm1(-_time(chances[mine], number) * chances[mine])
    return np.maximum(drawn, 1e-12)


def _time(chances: Floats, number: int) -> float:
    """When as many units have come as were looked at, on average.

    By Newton's steps: fewer come as time goes on, so that none goes too far.
    """
    import numpy as np

    time = 0.0
    for _ in range(_STEPS):
        left = np.exp(-time * chances)
        step = (number - len(chances) + left.sum()) / (left @ chances)
        time += step
        if step <= _EXACT * time:
            break
    return time


def _merged(units: Sequence[Seen], sampled: Sequence[Seen]) -> dict[Stratum, int]:
    """The stratum that each is counted in, by number, so that all have a variance.

    A band of too few decisions joins the next band of its label, a label of too few
    joins the others of that kind, and these the largest.
    """
    seen = Counter(one.stratum for one in sampled)
    size = Counter(one.stratum for one in units)
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
