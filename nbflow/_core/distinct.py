"""Distinct: how many different things further draws bring, from how often those before were met."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Of a normal distribution 95 % are within so many standard deviations.
_DEVIATIONS = 1.96


def further(
    times: Mapping[int, int], seen: int, base: int, new: int
) -> tuple[float, float, float]:
    """The number of different things that ``new`` more records bring: at least, probably, at most.

    As Chao and others estimate it ("Rarefaction and extrapolation with Hill numbers",
    Ecological Monographs 84, 2014), with 95 % between the least and the most.

    Args:
        times: the number of things that were met in so many records.
        seen: the number of records in which they were met.
        base: the number of records before those that are new.
        new: the number of records that are asked about.
    """
    once = times.get(1, 0)
    least, likely, most = (
        _held(times, seen, base + new, hidden) - _held(times, seen, base, hidden)
        for hidden in _hidden(times, seen)
    )
    if once == sum(times.values()):  # nothing was ever met twice
        likely = most = once * new / seen
    return min(least, likely), likely, max(likely, most)


def _held(times: Mapping[int, int], seen: int, records: int, hidden: float) -> float:
    """The number of different things in so many records, if so many were not met yet."""
    if records <= seen:
        return sum(
            number * (1 - _missed(often, seen, records))
            for often, number in times.items()
        )
    met, once = sum(times.values()), times.get(1, 0)
    if not hidden or not once:
        return met
    share = once / (seen * hidden + once)
    return met + hidden * (1 - (1 - share) ** (records - seen))


def _missed(often: int, seen: int, records: int) -> float:
    """How likely it is that none of so many of the records is one of those ``often``."""
    others = seen - often
    if records > others:
        return 0.0
    ways, of = _log_choices(others, records), _log_choices(seen, records)
    return math.exp(ways - of)


def _log_choices(number: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose so many."""
    left = math.lgamma(number - chosen + 1)
    return math.lgamma(number + 1) - math.lgamma(chosen + 1) - left


def _hidden(times: Mapping[int, int], seen: int) -> tuple[float, float, float]:
    """The number of things that nobody met yet: at least, probably, at most."""
    once, twice = times.get(1, 0), times.get(2, 0)
    hidden = (seen - 1) / seen * once * (once - 1) / (2 * (twice + 1))
    if not hidden:
        return 0.0, 0.0, 0.0
    if twice:
        ratio = once / twice
        variance = twice * (ratio**2 / 2 + ratio**3 + ratio**4 / 4)
    else:
        met = sum(times.values()) + hidden
        square = once * (2 * once - 1) ** 2 / 4
        variance = once * (once - 1) / 2 + square - once**4 / (4 * met)
    spread = math.log(1 + max(0.0, variance) / hidden**2)
    factor = math.exp(_DEVIATIONS * math.sqrt(spread))
    return hidden / factor, hidden, hidden * factor
