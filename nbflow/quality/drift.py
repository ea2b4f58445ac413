"""Drift: whether the shares of labels moved between two nights by more than chance explains.

Records come and go, and their labels are counted. A share of 20 % in 400 records is 16 %
one night and 24 % the next by chance alone, and nights differ more than that: mail
comes in bursts, and on Mondays. The test is Fisher's exact one for each label (Fisher,
*Statistical Methods for Research Workers*, 1934, section 21.02; both tails as twice the
smaller one), with the counts divided by the design effect: how many times more earlier
nights varied than records drawn independently would (Rao and Scott, *The Analysis of
Categorical Data from Complex Sample Surveys*, JASA 76, 1981). Over several labels the
smallest p counts times their number (Bonferroni).

`benchmarks/drift.py` has its false alarms, and those of what was rejected: Pearson's
chi-squared test and Fisher's alone cry wolf in half of the nights where mail comes in
bursts.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: How many records of a night have each label.
    Night = Mapping[str, int]

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


def shifts(nights: Sequence[Night], now: Night) -> list[Shift]:
    """How each label moved since the last night, each with its own p.

    Args:
        nights: earlier ones, the last one last; those before it only say how much
            nights vary.
        now: this one.
    """
    last = nights[-1]
    labels = sorted(now.keys() | set().union(*nights))
    effects = design_effects(nights, labels)
    total, total_now = sum(last.values()), sum(now.values())
    return [
        _shift(
            label, (last.get(label, 0), total), (now.get(label, 0), total_now), effect
        )
        for label, effect in zip(labels, effects, strict=True)
    ]


def most_shifted(found: Sequence[Shift]) -> list[Shift]:
    """The labels of these nights, each with the p that holds for all of them together, the most unlikely first."""
    there = [shift for shift in found if shift.before[0] or shift.now[0]]
    together = [shift._replace(p=min(1.0, shift.p * len(there))) for shift in there]
    return sorted(together, key=lambda shift: shift.p)


def design_effects(nights: Sequence[Night], labels: Sequence[str]) -> list[float]:
    """How many times more the share of each label varied from night to night than by chance.

    It is Pearson's X-squared over its degrees of freedom: the larger of the label's own
    and that of all labels, and 1 at least, which is chance alone. With one night nobody
    knows.
    """
    whole: Counter[str] = Counter()
    for night in nights:
        whole.update(night)
    total, degrees = whole.total(), len(nights) - 1
    if not degrees or not total:
        return [1.0] * len(labels)
    sizes = [sum(night.values()) for night in nights]
    spread = 0.0
    own = []
    for label in labels:
        share = whole[label] / total
        gone = [
            (night.get(label, 0) - size * share) ** 2 / size
            for night, size in zip(nights, sizes, strict=True)
            if size
        ]
        spread += sum(gone) / share if share else 0.0
        rest = share * (1 - share)
        own.append(sum(gone) / rest / degrees if rest else 1.0)
    kinds = sum(1 for label in labels if whole[label])
    shared = spread / (degrees * max(1, kinds - 1))
    return [max(1.0, shared, each) for each in own]


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


def _shift(
    label: str, before: tuple[int, int], now: tuple[int, int], effect: float
) -> Shift:
    counts = _shrunk(now, effect) + _shrunk(before, effect)
    return Shift(label, before, now, fisher(*counts))


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
