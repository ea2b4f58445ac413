"""Prices: what a request to a model costs, from the list of genai-prices and what the user set."""

from __future__ import annotations

from typing import NamedTuple

from nbflow._core.usage import Usage
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning, UsageError

_MILLION = 1_000_000


class Price(NamedTuple):
    """US dollars per million tokens."""

    input: float
    output: float
    cached: float


class Prices:
    """The prices of models, known as ``"provider:model"`` or by the model's name alone.

    The list is that of genai-prices (https://github.com/pydantic/genai-prices), as it
    is installed: nothing is downloaded. What was set comes first.
    """

    def __init__(self) -> None:
        self._own: dict[str, Price] = {}
        self._warned = False

    def set(self, model: str, price: Price) -> None:
        """Say what a model costs."""
        for name, value in price._asdict().items():
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < float("inf")
            ):
                raise UsageError(
                    f"{name}={value!r} is not a price; write US dollars per million"
                    " tokens, such as 0.15, or 0 for a model of your own."
                )
        self._own[model] = price

    def knows(self, model: str) -> bool:
        """Is there a price for this model?"""
        return self.cost(model, Usage(1, 1, 1)) is not None

    def cost(self, model: str, used: Usage) -> float | None:
        """US dollars of one request, or ``None`` if the price is not known.

        A request is priced alone and never a sum of several: some models cost more
        above a number of tokens.
        """
        own = self._own.get(model)
        if own is not None:
            fresh = used.input_tokens - used.cached_tokens
            return (
                fresh * own.input
                + used.cached_tokens * own.cached
                + used.output_tokens * own.output
            ) / _MILLION
        try:
            from genai_prices import Usage as Tokens
            from genai_prices import calc_price
        except ImportError:
            self._warn()
            return None
        provider, _, name = model.partition(":") if ":" in model else ("", "", model)
        tokens = Tokens(
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cache_read_tokens=used.cached_tokens,
        )
        try:
            return float(
                calc_price(
                    tokens, model_ref=name, provider_id=provider or None
                ).total_price
            )
        except LookupError:
            return None

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            warn(
                "Costs are not known without the list of prices; install it with: pip"
                " install 'nbflow[llm]', or say nf.set_price(...).",
                NbflowWarning,
            )
