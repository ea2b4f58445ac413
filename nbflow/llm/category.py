"""Category: what a categorizer returns."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True, slots=True)
class Category:
    """The label of one text.

    ``run.results()`` shows it as ``<flow>.label``, ``<flow>.confidence`` and
    ``<flow>.reason``.

    Attributes:
        label: one of the given labels, never another.
        confidence: from 0 to 1, as the model gave it; ``None`` if it gave none. It
            ranks the answers of one model; it is not a probability.
        reason: why, in the model's words.
    """

    __module__ = "nbflow.llm"  # what checkpoints know it by, wherever it is defined

    label: str
    confidence: float | None = None
    reason: str | None = None


def confidence_of(said: object) -> float | None:
    """What a model gave as its confidence, ``None`` unless a number from 0 to 1."""
    if isinstance(said, bool) or not isinstance(said, Real):
        return None
    number = float(said)
    return number if 0 <= number <= 1 else None
