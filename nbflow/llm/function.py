"""Function: a model that is a function of the user's, of one text. Its answers are held against the labels like any other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbflow._core.label import plain
from nbflow.llm.category import Category, confidence_of
from nbflow.llm.model import AnswerError

if TYPE_CHECKING:
    from nbflow.llm.taxonomy import Taxonomy


def category(answer: Any, taxonomy: Taxonomy) -> Category:
    """What a function answered as a `Category`: a label, a member of an Enum, a dict or an object with ``label``.

    Raises:
        AnswerError: it has no label, or one that nobody offered.
    """
    fields = (
        answer
        if isinstance(answer, Mapping)
        else {
            name: getattr(answer, name, None)
            for name in ("label", "confidence", "reason")
        }
    )
    said = answer if isinstance(answer, str) else fields.get("label") or answer
    said = plain(said)
    label = taxonomy.find(said) if isinstance(said, str) else None
    if label is None:
        raise AnswerError(
            f"the model answered {said!r}, which is none of the labels"
            if said
            else "the model's answer is empty"
        )
    if isinstance(answer, str):
        return Category(label)
    return Category(
        label,
        confidence_of(fields.get("confidence")),
        None if fields.get("reason") is None else str(fields["reason"]),
    )
