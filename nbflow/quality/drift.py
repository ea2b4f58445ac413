"""Drift: whether the shares of labels moved between two nights by more than chance explains.

Records come and go, and their labels are counted. A share of 20 % in 400 records is 16 %
one night and 24 % the next by chance alone, and nights differ more than that: mail
comes in bursts, and on Mondays. The test is Fisher's exact one for each label (Fisher,
*Statistical Methods for Research Workers*, 1934, section 21.02; both tails as twice the
smaller one), with the counts divided by the design effect: how many times more they vary
than records drawn independently would (Rao and Scott, *The Analysis of Categorical Data
from Complex Sample Surveys*, JASA 76, 1981). It is the larger one of two: that of
earlier nights, of which each series has a level of its own, and that of the copies in
the two nights: one mail that came sixty times is one (a cluster of Kish, *Survey
Sampling*, 1965). Over several labels the smallest p counts times their number
(Bonferroni).

`benchmarks/drift.py` has its false alarms, and those of what was rejected: Pearson's
chi-squared test and Fisher's alone cry wolf in half of the nights where mail comes in
bursts.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    #: How many records of a night have each label.
    Night = Mapping[str, int]
    #: The records of a night that are copies of each other, by label; each at least once.
    Clusters = Iterable[Mapping[str, int]]

#: A shift that chance makes less often than this is called one: in fewer than 1 of
#: 1,000 nights.
RARE = 0.001
#: Terms of a sum smaller than this part of it do not count.
_NEGLIGIBLE = 1e-15
#: What chance does in more than every second night needs no number.
_OFTEN = 0.5


class Shift(NamedTuple):
    """How the share of one label moved.

    Attributes:
        label: which one.
        before: records with it last time, and all.
        now: the same of this time.
        p: how often chance makes so large a move.
    """

    label: str
    before: tuple[int, int]
    now: tuple[int, int]
    p: float

    @property
    def move(self) -> float:
        """By how much the share has changed."""
        return _share(self.now) - _share(self.before)

    @property
    def is_rare(self) -> bool:
        """Whether chance hardly explains it."""
        return self.p < RARE


def shifts(
    series: Sequence[Sequence[Night]],
    now: Night,
    clusters: tuple[Clusters, Clusters] = ((), ()),
) -> list[Shift]:
    """How each label moved since the last night, each with its own p.

    Args:
        series: earlier nights, the last one last; those before it only say how much
            nights vary. Between two series the shares moved, and somebody accepted it.
        now: this one.
        clusters: copies among the records of the last night and of this one; empty
            where nobody knows.
    """
    last = series[-1][-1]
    labels = sorted(
        now.keys() | set().union(*(night for one in series for night in one))
    )
    effects = design_effects(series, labels)
    both = Counter(last) + Counter(now)
    shares = {label: both[label] / both.total() for label in both}
    of_copies = [copies_effects(one, shares) for one in clusters]
    return [
        _shift(
            label, last, now, [max(effect, one.get(label, 1.0)) for one in of_copies]
        )
        for label, effect in zip(labels, effects, strict=True)
    ]


def most_shifted(found: Sequence[Shift]) -> list[Shift]:
    """The labels of these nights, each with the p that holds for all of them together, the most unlikely first."""
    there = [shift for shift in found if shift.before[0] or shift.now[0]]
    together = [shift._replace(p=min(1.0, shift.p * len(there))) for shift in there]
    return sorted(together, key=lambda shift: (shift.p, -abs(shift.move)))


def design_effects(
    series: Sequence[Sequence[Night]], labels: Sequence[str]
) -> list[float]:
    """How many times more the share of each label varied from night to night than by chance.

    It is Pearson's X-squared within each series over its degrees of freedom: the larger
    of the label's own and that of all labels, and 1 at least, which is chance alone.
    With one night nobody knows.
    """
    degrees = freedom(series)
    if not degrees:
        return [1.0] * len(labels)
    spread, kinds = 0.0, 0
    own = [0.0] * len(labels)
    for nights in series:
        if len(nights) < 2:  # noqa: PLR2004  # one night does not vary
            continue
        whole: Counter[str] = Counter()
        for night in nights:
            whole.update(night)
        kinds = max(kinds, sum(1 for label in labels if whole[label]))
        for place, label in enumerate(labels):
            gone, share = _spread(nights, label), whole[label] / (whole.total() or 1)
            spread += gone / share if share else 0.0
            rest = share * (1 - share)
            own[place] += gone / rest if rest else len(nights) - 1
    shared = spread / (degrees * max(1, kinds - 1))
    return [max(1.0, shared, each / degrees) for each in own]


def freedom(series: Sequence[Sequence[Night]]) -> int:
    """Degrees of freedom by which it is known how much nights vary."""
    return sum(len(nights) - 1 for nights in series)


def _spread(nights: Sequence[Night], label: str) -> float:
    """The squared distances of a label's counts from those of like shares, over the records."""
    sizes = [sum(night.values()) for night in nights]
    share = sum(night.get(label, 0) for night in nights) / (sum(sizes) or 1)
    return sum(
        (night.get(label, 0) - size * share) ** 2 / size
        for night, size in zip(nights, sizes, strict=True)
        if size
    )


def copies_effects(clusters: Clusters, shares: Mapping[str, float]) -> dict[str, float]:
    """How many times more the share of each label varies as copies come and go together.

    It is 1 without copies.

    Args:
        clusters: the records of a night that are copies of each other, by label.
        shares: of each label of theirs, as they are taken to be.
    """
    sizes, squares = 0.0, 0.0
    #: What the texts that have a label change in the sum of squares.
    changes = dict.fromkeys(shares, 0.0)
    given: Counter[str] = Counter()
    for each in clusters:
        size = sum(each.values())
        sizes, squares = sizes + size, squares + size * size
        for label, number in each.items():
            given[label] += number
            changes[label] += number * (number - 2 * size * shares[label])
    found = {}
    for label, share in shares.items():
        alone = given[label] * (1 - 2 * share) + sizes * share**2
        together = changes[label] + squares * share**2
        found[label] = max(1.0, together / alone) if alone > 0 else 1.0
    return found


def fisher(some: int, total: int, others: int, total_others: int) -> float:
    """How likely two shares are to differ so much if they are one: Fisher's exact test.

    From the observed table the terms fall off to one side, so that a few standard
    deviations of them are summed, whatever the counts.
    """
    if not total or not total_others:
        return 1.0
    both, everything = some + others, total + total_others
    log = _choices(total, some) + _choices(total_others, others)
    term = math.exp(log - _choices(everything, both))
    is_above = some * everything > total * both
    tail = 0.0
    while term > tail * _NEGLIGIBLE:
        tail += term
        if is_above:
            term *= (total - some) * others
            some, others = some + 1, others - 1
            term /= some * (total_others - others)
        else:
            term *= some * (total_others - others)
            some, others = some - 1, others + 1
            term /= (total - some) * others
    return min(1.0, 2 * tail)


def chance(p: float) -> str:
    """How often chance does that, in words."""
    if p < RARE:
        return f"by chance that happens in fewer than 1 of {1 / RARE:,.0f} nights"
    if p > _OFTEN:
        return "by chance that happens in most nights"
    return f"by chance that happens in 1 of {round(1 / p):,} nights"


def _shift(label: str, last: Night, now: Night, effects: Sequence[float]) -> Shift:
    before, after = (
        (night.get(label, 0), sum(night.values())) for night in (last, now)
    )
    counts = _shrunk(after, effects[1]) + _shrunk(before, effects[0])
    return Shift(label, before, after, fisher(*counts))


def _shrunk(counts: tuple[int, int], effect: float) -> tuple[int, int]:
    """As many records as would vary by chance as much as these do."""
    some, total = counts
    left = round(some / effect)
    return left, left + round((total - some) / effect)


def _share(counts: tuple[int, int]) -> float:
    some, total = counts
    return some / total if total else 0.0


def _choices(total: int, some: int) -> float:
    """The logarithm of the number of ways to choose some of all."""
    rest = total - some
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(rest + 1)
