"""Usage: what calls of a model used, and what that cost. Only arithmetic and words.

Money is in US dollars, as are the price lists of the providers.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbflow._core.plural import several
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOLLARS = r"(?i)(?:US)?\$?\s*(\d[\d,]*(?:\.\d+)?|\.\d+)\s*(?:\$|USD|dollars?)?"
_CENT = 0.01
#: What is rounded up to one of the next unit, and to a hundred.
_ROUNDS_TO_ONE, _ROUNDS_TO_HUNDRED = 0.9995, 99.95
_SIZES = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


class _Printer(Protocol):
    """What IPython prints with."""

    def text(self, text: str) -> None:
        """Print a text."""


class Usage(NamedTuple):
    """What requests to a model used; adds up with ``+``.

    Attributes:
        requests: the number of requests.
        input_tokens: tokens sent, including ``cached_tokens``.
        output_tokens: tokens received.
        cached_tokens: the tokens sent that the provider had in its own cache.
        cost: US dollars of the requests whose price is known; ``None`` if none is.
        unpriced: the number of requests whose cost is unknown.
        unanswered: those of them that were sent and not answered.
        models: the models that answered, as far as their providers said it.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None
    unpriced: int = 0
    unanswered: int = 0
    models: tuple[str, ...] = ()

    @classmethod
    def noted(cls, fields: Sequence[Any]) -> Usage:
        """What was noted as a list: by an older version with fewer fields."""
        usage = cls(*fields)
        return usage._replace(models=tuple(usage.models))

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.input_tokens + self.output_tokens

    # A sum, where two tuples would be joined.
    def __add__(self, other: object) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        cost = self.cost
        if cost is None:
            cost = other.cost
        elif other.cost is not None:
            cost += other.cost
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            cost,
            self.unpriced + other.unpriced,
            self.unanswered + other.unanswered,
            _both(self.models, other.models),
        )

    def __sub__(self, other: Usage) -> Usage:
        """What was added since ``other``, an earlier sum; of the models all."""
        cost = None if other.cost is None else -other.cost
        return self + Usage(
            -other.requests,
            -other.input_tokens,
            -other.output_tokens,
            -other.cached_tokens,
            cost,
            -other.unpriced,
            -other.unanswered,
        )

    def __radd__(self, other: object) -> Usage:
        # sum() begins with 0.
        return self if other == 0 else NotImplemented

    @property
    def told_cost(self) -> str:
        """The cost in a word, with a plus if the price of some requests is unknown."""
        if self.cost is None:
            return "unknown" if self.unpriced else ""
        cost = money(self.cost)
        return f"{cost}+" if self.unpriced else cost

    def __str__(self) -> str:
        tokens = f"{short_number(self.tokens)} tokens"
        if self.cost is None and not self.unpriced:
            return tokens
        if self.cost is None:
            lost = self._unknown if self.unanswered else ""
            return f"{tokens}, cost unknown{lost}"
        return f"{money(self.cost)} for {tokens}{self._unknown}"

    def _repr_pretty_(self, printer: _Printer, _cycle: bool) -> None:  # noqa: FBT001  # IPython calls it so
        """A notebook shows the sentence."""
        printer.text(f"{self}, {several(self.requests, 'request')}")

    @property
    def _unknown(self) -> str:
        """Which requests the cost leaves out, and why."""
        left_out, of = "", f"of {self.requests:,} requests"
        priceless = self.unpriced - self.unanswered
        if priceless > 0:
            left_out += f"; the price of {priceless:,} {of} is unknown"
        if self.unanswered > 0:
            left_out += (
                f"; {self.unanswered:,} {of} got no answer, and what they cost is"
                " unknown"
            )
        return left_out


def _both(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """The models of both, each once. Mostly they are the same: every call comes here."""
    if some == others or not others:
        return some
    return tuple(dict.fromkeys(some + others)) if some else others


NOTHING = Usage()
#: A request that was sent and got no answer.
UNANSWERED = Usage(requests=1, unpriced=1, unanswered=1)


def money(dollars: float) -> str:
    """Dollars as a person says them: cents, or two digits of less than a cent."""
    if 0 < dollars < _CENT:
        dollars = round(dollars, _decimals(dollars))  # may come to a whole cent
    if 0 < dollars < _CENT:
        return f"${dollars:.{_decimals(dollars)}f}"
    return f"${dollars:,.2f}"


def _decimals(dollars: float) -> int:
    """The decimals that show two digits of less than a cent."""
    return 1 - math.floor(math.log10(dollars))


def short_number(number: int) -> str:
    """``950``, ``12.3k``, ``1.2M``."""
    for size, unit in _SIZES:
        share = number / size
        least = 1 if unit == "k" else _ROUNDS_TO_ONE
        if share >= _ROUNDS_TO_HUNDRED:
            return f"{share:.0f}{unit}"
        if share >= least:
            return f"{share:.1f}{unit}"
    return f"{number}"


def dollars(value: float | str, option: str = "budget") -> float:
    """An amount of money, from ``"$5"``, ``"0.50 USD"`` or a number of dollars."""
    found = re.fullmatch(_DOLLARS, value.strip()) if isinstance(value, str) else None
    if found is not None:
        value = float(found[1].replace(",", ""))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(value) < math.inf:
        raise UsageError(
            f"{option}={value!r} is not an amount of money; "
            'write US dollars, more than 0, such as "$5" or 0.50.'
        )
    return float(value)
