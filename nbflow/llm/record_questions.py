"""Record questions: the closed fields of a record as what a decision model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.llm.model import AnswerError, Question

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.llm.model import Decided
    from nbflow.llm.shape import Shape

_QUESTION = "Which fits the text best?"
_YES = "Is this so, by what the text says?"
_FITS = "Does this fit the text?"
#: The option of a field that may be null.
_NOTHING = "(nothing)"
_SAYS_NOTHING = "the text does not say"


def questions(shapes: Mapping[str, Shape], context: str) -> dict[str, Question]:
    """A question for each closed field; for each label of a field that has several.

    Args:
        shapes: the fields.
        context: what is said with each of them.
    """
    asked: dict[str, Question] = {}
    for shape in _leaves(shapes):
        about = shape.about or shape.path.replace("_", " ").replace(".", ", ")
        if shape.kind == "list":
            for label in shape.labels:
                words = _words(_FITS, f"{about}: {label}", context)
                asked[f"{shape.path}/{label}"] = Question(words)
        elif shape.kind == "boolean" and not shape.nullable:
            asked[shape.path] = Question(_words(_YES, about, context))
        else:
            words = _words(_QUESTION, about, context)
            asked[shape.path] = Question(words, _options(shape))
    return asked


def _words(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _options(shape: Shape) -> dict[str, str]:
    labels = shape.labels or {"yes": "", "no": ""}
    return labels | ({_NOTHING: _SAYS_NOTHING} if shape.nullable else {})


def chosen(shape: Shape, answers: Mapping[str, Decided]) -> object:
    """The value of a field, as JSON, that a decision model chose."""
    if shape.fields:
        return {name: chosen(each, answers) for name, each in shape.fields.items()}
    if shape.kind == "list":
        return [
            label
            for label in shape.labels
            if answers[f"{shape.path}/{label}"].choice == "yes"
        ]
    choice, probabilities = answers[shape.path]
    if choice not in probabilities or probabilities[choice] < max(
        probabilities.values()
    ):
        raise AnswerError(
            f"{shape.path}: the model chose {choice!r}, although it takes another option "
            "to be likelier"
        )
    if choice == _NOTHING:
        return None
    return choice == "yes" if shape.kind == "boolean" else choice


def _leaves(shapes: Mapping[str, Shape]) -> Iterator[Shape]:
    for shape in shapes.values():
        if shape.fields:
            yield from _leaves(shape.fields)
        else:
            yield shape


def check_closed(shape: Shape, name: str) -> None:
    """Refuse a field that a decision model cannot choose."""
    if shape.fields and not shape.nullable:
        for field in shape.fields.values():
            check_closed(field, name)
        return
    is_list = shape.item is not None and shape.item.kind == "label"
    if not shape.is_closed and not (is_list and not shape.nullable):
        raise UsageError(
            f"The field {shape.path!r} of {name} is not closed, and a decision model only "
            "chooses: a Literal, an Enum, a bool, or a list of a Literal. Take a model "
            "that writes, or an extractor of its own for this field."
        )
