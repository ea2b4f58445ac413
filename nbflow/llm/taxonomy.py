"""Taxonomy: the labels that a text may have, in whatever form they were given."""

from __future__ import annotations

import enum
import inspect
import typing
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nbflow._core.label import choice_of, is_missing, plain
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

#: Labels with their descriptions, both as they were given.
Pairs: TypeAlias = "list[tuple[object, object]]"

_FORMS = (
    "a list of labels, a dict of label -> description, an Enum, a Literal, or a "
    "pydantic model with one field of these"
)
_UNKNOWN = "none of the other labels fits, or the text does not say enough"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Labels in their order.

    Attributes:
        labels: each with its description, empty if there is none.
        about: the documentation of the type that the labels came from.
        unknown: the label for texts that fit no other, if one was asked for.
    """

    labels: dict[str, str]
    about: str = ""
    unknown: str | None = None

    @property
    def value(self) -> list[str] | dict[str, str]:
        """The labels as their author would write them.

        This is what keys cover and an explanation shows.
        """
        return dict(self.labels) if any(self.labels.values()) else list(self.labels)

    def find(self, label: str) -> str | None:
        """The label that is meant.

        The same, or one that differs only in capitals and surrounding spaces, if there
        is only one.
        """
        label = _composed(label.strip())
        known = {each: _composed(each) for each in self.labels}
        found = [each for each, text in known.items() if text == label]
        if not found:
            label = label.casefold()
            found = [each for each, text in known.items() if text.casefold() == label]
        return found[0] if len(found) == 1 else None


def read(labels: object, unknown: str | None = None) -> Taxonomy:
    """A taxonomy of labels in any form.

    Args:
        labels: a list, a dict of label -> description, an ``Enum``, a ``Literal``, or a
            pydantic model with one field that is a ``Literal`` or an ``Enum``.
        unknown: a label for what fits no other; one of ``labels`` or one more.

    Raises:
        UsageError: what is wrong with them.
    """
    about, pairs = _pairs(labels)
    found: dict[str, str] = {}
    seen: set[str] = set()
    for place, (given, said) in enumerate(pairs):
        label = _checked(given, f"labels[{place}]")
        if _composed(label) in seen:
            raise UsageError(f"The label {label!r} appears twice.")
        seen.add(_composed(label))
        description = "" if is_missing(said) else said
        if not isinstance(description, str):
            raise UsageError(
                f"The description of {label!r} is {description!r}, which is not a text: "
                "labels={label: description}."
            )
        found[label] = description.strip()
    if unknown is not None:
        unknown = _checked(unknown, "unknown")
        found[unknown] = found.get(unknown) or _UNKNOWN
    if not found:
        raise UsageError("There are no labels: a choice needs two or more.")
    if len(found) == 1:
        raise UsageError("There is one label: a choice needs two or more.")
    return Taxonomy(found, about, unknown)


def _checked(given: object, where: str) -> str:
    """A label as text."""
    label = plain(given)
    if not isinstance(label, str):
        raise UsageError(f"{where} is {label!r}: a label is a text.")
    if label.splitlines() != [label] or label != label.strip():
        raise UsageError(
            f"{where} is {label!r}: a label is one line of text, without spaces "
            "around it."
        )
    return label


def _pairs(labels: object) -> tuple[str, Pairs]:
    """The documentation of the labels' type, and each label with its description."""
    choice = choice_of(labels)
    if isinstance(choice, enum.EnumType):
        return _doc(choice), _undescribed(choice)
    if choice is not None:
        return "", _undescribed(typing.get_args(choice))
    if isinstance(labels, type) and hasattr(labels, "model_fields"):
        return _of_model(labels)
    if isinstance(labels, Mapping):
        return "", list(labels.items())
    if isinstance(labels, set | frozenset):
        return "", _undescribed(sorted(labels, key=str))
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise UsageError(f"labels={labels!r} has to be {_FORMS}.")
    return "", _undescribed(labels)


def _undescribed(labels: Iterable[object]) -> Pairs:
    return [(label, None) for label in labels]


def _of_model(model: type[BaseModel]) -> tuple[str, Pairs]:
    choices = {}
    for name, field in model.model_fields.items():
        choice = choice_of(field.annotation)
        if choice is not None:
            choices[name] = choice
    if len(choices) != 1:
        found = f"{len(choices)} ({', '.join(choices)})" if choices else "none"
        raise UsageError(
            f"{model.__name__} needs one field that is a Literal or an Enum, "
            f"whose choices are the labels; it has {found}."
        )
    ((name, choice),) = choices.items()
    about, pairs = _pairs(choice)
    said = (_doc(model), model.model_fields[name].description, about)
    return "\n".join(text for text in said if text), pairs


def _composed(label: str) -> str:
    """One code for what looks the same: some texts have a letter and its accent."""
    return unicodedata.normalize("NFC", label)


def _doc(kind: type) -> str:
    """The docstring that the author of a class wrote, not one that Python gave it."""
    said = vars(kind).get("__doc__")
    inherited = {getattr(base, "__doc__", None) for base in kind.__mro__[1:]}
    if not said or said in inherited or said == "An enumeration.":
        return ""
    return inspect.cleandoc(said)
