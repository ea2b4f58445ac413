"""Taxonomy: the labels that a text may have, in whichever form they were given."""

from __future__ import annotations

import enum
import inspect
import types
import typing
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbflow._core.label import is_missing, plain
from nbflow.errors import UsageError

_FORMS = "a list of labels, a dict of label -> description, an Enum, a Literal, or a pydantic model with one field of these"
_UNKNOWN = "none of the other labels fits, or the text does not say enough"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Labels in their order.

    Attributes:
        labels: each with its description, empty where there is none.
        about: what the type that the labels came from says of them.
        unknown: the label for texts that fit no other, if one was asked for.
    """

    labels: dict[str, str]
    about: str = ""
    unknown: str | None = None

    @property
    def value(self) -> list[str] | dict[str, str]:
        """The labels as their author would write them: what keys cover and an explanation shows."""
        return dict(self.labels) if any(self.labels.values()) else list(self.labels)

    def find(self, label: str) -> str | None:
        """The label that is meant: as it is, or with other capitals or spaces around it, if only one can be."""
        label = _composed(label.strip())
        found = [known for known in self.labels if _composed(known) == label]
        found = found or [
            known
            for known in self.labels
            if _composed(known).casefold() == label.casefold()
        ]
        return found[0] if len(found) == 1 else None


def read(labels: Any, unknown: str | None = None) -> Taxonomy:
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
        label, description = plain(given), None if is_missing(said) else said
        _check(label, f"labels[{place}]")
        if _composed(label) in seen:
            raise UsageError(f"The label {label!r} is there twice.")
        seen.add(_composed(label))
        if not isinstance(description, str | None):
            raise UsageError(
                f"The description of {label!r} is {description!r}, which is no text: labels={{label: description}}."
            )
        found[label] = (description or "").strip()
    if unknown is not None:
        unknown = plain(unknown)
        _check(unknown, "unknown")
        found[unknown] = found.get(unknown) or _UNKNOWN
    if len(found) < 2:  # noqa: PLR2004
        raise UsageError(
            f"There {'is one label' if found else 'are no labels'}: to choose between takes two or more."
        )
    return Taxonomy(found, about, unknown)


def _check(label: Any, where: str) -> None:
    if not isinstance(label, str):
        raise UsageError(f"{where} is {label!r}: a label is a text.")
    if label.splitlines() != [label] or label != label.strip():
        raise UsageError(
            f"{where} is {label!r}: a label is one line of text, without spaces around it."
        )


def _pairs(labels: Any) -> tuple[str, list[tuple[Any, Any]]]:
    """What the labels' type says of them, and each label with its description."""
    choice = _choice(labels)
    if choice is not None:
        members: list[Any] = (
            [*choice]
            if isinstance(choice, enum.EnumType)
            else [*typing.get_args(choice)]
        )
        return _doc(choice) if isinstance(choice, enum.EnumType) else "", [
            (label, None) for label in members
        ]
    if isinstance(labels, type) and hasattr(labels, "model_fields"):
        return _of_model(labels)
    if isinstance(labels, Mapping):
        return "", [*labels.items()]
    if isinstance(labels, set | frozenset):
        return "", [(label, None) for label in sorted(labels, key=str)]
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise UsageError(f"labels={labels!r} has to be {_FORMS}.")
    return "", [(label, None) for label in labels]


def _of_model(model: Any) -> tuple[str, list[tuple[Any, Any]]]:
    choices = {
        name: choice
        for name, field in model.model_fields.items()
        if (choice := _choice(field.annotation)) is not None
    }
    if len(choices) != 1:
        found = f"{len(choices)} ({', '.join(choices)})" if choices else "none"
        raise UsageError(
            f"{model.__name__} has to have one field that is a Literal or an Enum, and has {found}: its choices are the labels."
        )
    ((name, choice),) = choices.items()
    about, pairs = _pairs(choice)
    said = (_doc(model), model.model_fields[name].description or "", about)
    return "\n".join(text for text in said if text), pairs


def _choice(annotation: Any) -> Any:
    """The Literal or Enum that a type is, by another name, annotated or with ``None`` as well."""
    annotation = getattr(annotation, "__value__", annotation)
    origin, inside = (
        typing.get_origin(annotation),
        [part for part in typing.get_args(annotation) if part is not type(None)],
    )
    if origin is typing.Literal or (
        isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    ):
        return annotation
    if origin is typing.Annotated or (
        origin in (typing.Union, types.UnionType) and len(inside) == 1
    ):
        return _choice(inside[0])
    return None


def _composed(label: str) -> str:
    """With one code for what looks the same: a letter and its accent are two in some texts."""
    return unicodedata.normalize("NFC", label)


def _doc(kind: type) -> str:
    """What the author of a class says of it, not what Python says of every such class."""
    said = vars(kind).get("__doc__")
    inherited = {getattr(base, "__doc__", None) for base in kind.__mro__[1:]}
    return (
        inspect.cleandoc(said)
        if said and said not in inherited and said != "An enumeration."
        else ""
    )
