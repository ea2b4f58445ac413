"""Function: a user's function of one text as a model.

Its answers are checked against the labels, like those of any other model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbflow._core.label import plain
from nbflow.llm.category import Category, confidence_of, probabilities_of
from nbflow.llm.model import AnswerError

if TYPE_CHECKING:
    from nbflow.llm.taxonomy import Taxonomy

_FIELDS = ("label", "confidence", "reason", "probabilities")


def category(answer: object, taxonomy: Taxonomy) -> Category:
    """What a function returned as a `Category`.

    Args:
        answer: a label, a member of an Enum, a dict or an object with ``label``, and
            ``confidence``, ``reason`` and ``probabilities`` if it has them.
        taxonomy: the labels.

    Raises:
        AnswerError: it has no label, or one that nobody offered.
    """
    if isinstance(answer, str):
        return Category(_label(answer, taxonomy))
    if isinstance(answer, Mapping):
        fields = {name: answer.get(name) for name in _FIELDS}
    else:
        fields = {name: getattr(answer, name, None) for name in _FIELDS}
    label = _label(fields["label"] or answer, taxonomy)
    reason = fields["reason"]
    probabilities = probabilities_of(fields["probabilities"], taxonomy.labels)
    confidence = confidence_of(fields["confidence"])
    if confidence is None and probabilities is not None:
        confidence = probabilities[label]
    return Category(
        label, confidence, None if reason is None else str(reason), probabilities
    )


def _label(answer: object, taxonomy: Taxonomy) -> str:
    said = plain(answer)
    label = taxonomy.find(said) if isinstance(said, str) else None
    if label is not None:
        return label
    if not said:
        raise AnswerError("the model's answer is empty")
    raise AnswerError(f"the model answered {said!r}, which is not one of the labels")
