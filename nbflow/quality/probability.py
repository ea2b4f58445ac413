"""Probability: a number between 0 and 1, as people write it."""

from __future__ import annotations

import math
from numbers import Real

from nbflow._core.label import is_missing
from nbflow.errors import UsageError

#: The most that may be meant in per cent.
_HUNDRED = 100


def checked(value: object, what: str) -> float:
    """A probability that has to be there.

    Args:
        value: what was given.
        what: it is to be, for the error: ``"a confidence"``.

    Raises:
        UsageError: it is none.
    """
    found = probability(value, what)
    if found is None:
        raise UsageError(f"{_said(what)} cannot be missing: give a number, 0 to 1.")
    return found


def probability(value: object, what: str) -> float | None:
    """A probability; ``None`` where there is nothing.

    Raises:
        UsageError: it is none.
    """
    value = getattr(value, "as_py", lambda: value)()  # a scalar of Arrow
    if is_missing(value):
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(
            f"{_said(what)} has to be a number between 0 and 1, not {value!r}."
        )
    number = float(value)
    if math.isnan(number):
        return None
    if not 0 <= number <= 1:
        meant = ""
        if 1 < number <= _HUNDRED:
            meant = f" Did you mean {number / _HUNDRED:g}?"
        raise UsageError(
            f"{_said(what)} has to be between 0 and 1, and {number:g} is not.{meant}"
        )
    return number


def _said(what: str) -> str:
    return what[:1].upper() + what[1:]
