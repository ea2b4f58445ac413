"""Field match: whether the value of a field is the true one: sets, numbers and words."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nbflow._core.label import NOTHING
from nbflow.quality.field import NUMBER, SET

#: What holds the members of a set together where it is written as text.
_BETWEEN = re.compile(r"\s*[,;|]\s*")
_AROUND = "[](){}'\" "


class Match(NamedTuple):
    """How one value compares with the true one.

    Attributes:
        is_right: whether they are the same.
        likeness: from 0 to 1; of sets, what they share of what either has (Jaccard).
        error: of numbers, how far off; ``nan`` where one of the two is none.
    """

    is_right: bool
    likeness: float
    error: float = math.nan


def match(given: str, true: str, kind: str, tolerance: float) -> Match:
    """Compare two values, as texts."""
    if kind == SET:
        one, other = members(given), members(true)
        shared = len(one & other) / len(one | other) if one | other else 1.0
        return Match(one == other, shared)
    if kind == NUMBER:
        return _of_numbers(given, true, tolerance)
    is_right = _plain(given) == _plain(true)
    return Match(is_right, float(is_right))


def members(text: str) -> frozenset[str]:
    """The members of a set that is written as text, in whatever way."""
    if text == NOTHING:
        return frozenset()
    parts = (part.strip(_AROUND) for part in _BETWEEN.split(text.strip(_AROUND)))
    return frozenset(part for part in parts if part)


def _of_numbers(given: str, true: str, tolerance: float) -> Match:
    try:
        error = abs(float(given) - float(true))
    except ValueError:
        is_right = given == true  # of both the text has nothing
        return Match(is_right, float(is_right))
    is_right = error <= tolerance
    return Match(is_right, float(is_right), error)


def _plain(words: str) -> str:
    """Words as they are compared: whitespace and case do not count."""
    return " ".join(words.casefold().split())
