"""Usage: what calls of a model used, and what that came to in money. Arithmetic and words, nothing else.

Money is US dollars, as the price lists of the providers are.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from nbflow.errors import UsageError

_DOLLARS = re.compile(
    r"(?:US)?\$?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)\s*(?:\$|USD|dollars?)?", re.IGNORECASE
)
_CENT = 0.01
#: What is rounded to one of the next unit, and to a hundred.
_ROUND, _WHOLE = 0.9995, 99.95


class Usage(NamedTuple):
    """What requests to a model used; adds up with ``+``.

    Attributes:
        requests: how many there were.
        input_tokens: tokens sent, ``cached_tokens`` among them.
        output_tokens: tokens received.
        cached_tokens: of those sent, the ones that the provider had in its own cache.
        cost: US dollars of the requests whose price is known; ``None`` if none is.
        unpriced: requests whose price is not known.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.input_tokens + self.output_tokens

    # A sum, where two tuples would be joined.
    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cost
            if other.cost is None
            else other.cost
            if self.cost is None
            else self.cost + other.cost,
            self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Usage) -> Usage:
        """What came to an earlier sum since."""
        cost = None if other.cost is None else -other.cost
        return self + Usage(
            -other.requests,
            -other.input_tokens,
            -other.output_tokens,
            -other.cached_tokens,
            cost,
            -other.unpriced,
        )

    def __radd__(self, other: object) -> Usage:
        return self if other == 0 else NotImplemented  # so that sum() begins

    @property
    def told_cost(self) -> str:
        """The money in a word; with a plus where the price of some requests is not known."""
        if self.cost is None:
            return "unknown" if self.unpriced else ""
        return money(self.cost) + "+" * bool(self.unpriced)

    def __str__(self) -> str:
        tokens = f"{short_number(self.tokens)} tokens"
        if self.cost is None:
            return f"{tokens}, cost unknown" if self.unpriced else tokens
        unknown = (
            f"; the price of {self.unpriced:,} of {self.requests:,} requests is unknown"
            if self.unpriced
            else ""
        )
        return f"{money(self.cost)} for {tokens}{unknown}"


NOTHING = Usage()


def money(dollars: float) -> str:
    """Dollars as a person says them: cents, and two digits of less than a cent."""
    if 0 < dollars < _CENT:
        dollars = round(
            dollars, _digits(dollars)
        )  # what comes to a cent is told as one
    return (
        f"${dollars:.{_digits(dollars)}f}"
        if 0 < dollars < _CENT
        else f"${dollars:,.2f}"
    )


def _digits(dollars: float) -> int:
    """Decimals that leave two digits of less than a cent."""
    return 1 - math.floor(math.log10(dollars))


def short_number(number: int) -> str:
    """``950``, ``12.3k``, ``1.2M``."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        share = number / size
        if share >= (1 if unit == "k" else _ROUND):
            return f"{share:.{0 if share >= _WHOLE else 1}f}{unit}"
    return f"{number}"


def dollars(value: float | str, option: str = "budget") -> float:
    """An amount of money, from ``"$5"``, ``"0.50 USD"`` or a number of dollars."""
    found = _DOLLARS.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        value = float(found[1].replace(",", ""))
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise UsageError(
            f'{option}={value!r} is not an amount of money; write US dollars, more than 0, such as "$5" or 0.50.'
        )
    return float(value)
