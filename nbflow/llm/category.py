"""Category: what a categorizer answers."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any


@dataclass(frozen=True, slots=True)
class Category:
    """The label of one text. ``run.results()`` shows it as ``<flow>.label``, ``<flow>.confidence``, ``<flow>.reason``.

    Attributes:
        label: one of the labels that were asked for, never another.
        confidence: 0 to 1 as the model says it, ``None`` if it says nothing. It ranks
            answers of one model; it is no probability.
        reason: why, in the model's words.
    """

    __module__ = "nbflow.llm"  # what checkpoints know it by, wherever it is defined

    label: str
    confidence: float | None = None
    reason: str | None = None


def confidence_of(said: Any) -> float | None:
    """A confidence as it is kept: what is no number from 0 to 1 is none."""
    number = (
        float(said) if isinstance(said, Real) and not isinstance(said, bool) else -1.0
    )
    return number if 0 <= number <= 1 else None
