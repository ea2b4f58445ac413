"""Category: what a categorizer returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING

from nbflow._core.fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Collection

#: How far a probability may be off that was rounded to two decimals, and what float
#: arithmetic adds to it.
_ROUNDED, _FLOAT = 0.005, 1e-6


@dataclass(frozen=True, slots=True, repr=False)
class Category:
    """The label of one text.

    ``run.results()`` shows it as ``<flow>.label``, ``<flow>.confidence`` and
    ``<flow>.reason``. The probabilities are in the answers themselves,
    ``run.results("<flow>")``.

    Attributes:
        label: one of the given labels, never another.
        confidence: from 0 to 1; ``None`` if the model gave none. Of a decision model it
            is the probability of the label. Of others it is what the model says of
            itself: it ranks the answers of one model, and is not a probability.
        reason: why, in the model's words. A decision model gives none.
        probabilities: of each label, as a decision model gave them; ``None`` if the
            model gave none.

    Example:
        >>> categorize = nbflow.llm.categorizer({"billing": "charges", "bug": "crashes"})
        >>> answer = categorize("two charges, one payment")
        >>> answer.label, answer.probabilities["billing"] > answer.probabilities["bug"]
        ('billing', True)
    """

    __module__ = "nbflow.llm"  # what checkpoints know it by, wherever it is defined
    # Keys and checkpoints of what has none are as they were before there was any.
    __nbflow_aside__ = MappingProxyType({"probabilities": None})

    label: str
    confidence: float | None = None
    reason: str | None = None
    probabilities: Mapping[str, float] | None = field(default=None, hash=False)

    def __repr__(self) -> str:
        fields = fields_of(self) or {}
        shown = ", ".join(f"{name}={part!r}" for name, part in fields.items())
        return f"Category({shown})"


def confidence_of(said: object) -> float | None:
    """What a model gave as its confidence, ``None`` unless a number from 0 to 1."""
    if isinstance(said, bool) or not isinstance(said, Real):
        return None
    number = float(said)
    return number if 0 <= number <= 1 else None


def probabilities_of(said: object, labels: Collection[str]) -> dict[str, float] | None:
    """What a model gave as the probability of each label.

    ``None`` unless it is a number from 0 to 1 for each of the labels, and they add up
    to 1, as far as numbers do that were rounded to be shown.
    """
    if not isinstance(said, Mapping) or said.keys() != {*labels}:
        return None
    found = {label: confidence_of(said[label]) for label in labels}
    known = {label: each for label, each in found.items() if each is not None}
    is_whole = abs(sum(known.values()) - 1) <= _FLOAT + _ROUNDED * len(labels)
    return known if is_whole and len(known) == len(found) else None
