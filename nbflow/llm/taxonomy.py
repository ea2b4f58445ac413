"""Taxonomy: the labels that a text may have, in whichever form they were given."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
        label = label.strip()
        if label in self.labels:
            return label
        found = [known for known in self.labels if known.casefold() == label.casefold()]
        return found[0] if len(found) == 1 else None


def read(labels: Any, unknown: str | None = None) -> Taxonomy:
    """A taxonomy of labels in any form.

    Args:
        labels: a list, a dict of label -> description, an ``Enum``, a ``Literal``, or a pydantic model with one field
            that is a ``Literal`` or an ``Enum``.
        unknown: a label for what fits no other; one of ``labels`` or one more.

    Raises:
        UsageError: what is wrong with them.
    """
    about, pairs = _pairs(labels)
    found: dict[str, str] = {}
    for place, (label, description) in enumerate(pairs):
        _check(label, f"labels[{place}]")
        if label in found:
            raise UsageError(f"The label {label!r} is there twice.")
        if not isinstance(description, str | None):
            raise UsageError(f"The description of {label!r} is {description!r}, which is no text: labels={{label: description}}.")
        found[label] = (description or "").strip()
    if unknown is not None:
        _check(unknown, "unknown")
        found[unknown] = found.get(unknown) or _UNKNOWN
    if len(found) < 2:  # noqa: PLR2004
        raise UsageError(f"There {'is one label' if found else 'are no labels'}: to choose between takes two or more.")
    return Taxonomy(found, about, unknown)


def _check(label: Any, where: str) -> None:
    if not isinstance(label, str):
        raise UsageError(f"{where} is {label!r}: a label is a text.")
    if not label.strip() or label != label.strip() or "\n" in label:
        raise UsageError(f"{where} is {label!r}: a label is one line of text, without spaces around it.")


def _pairs(labels: Any) -> tuple[str, list[tuple[Any, Any]]]:
    """What the labels' type says of them, and each label with its description."""
    if isinstance(labels, type) and issubclass(labels, enum.Enum):
        return _doc(labels), [(item.value if isinstance(item.value, str) else name, None) for name, item in labels.__members__.items() if item.name == name]
    if typing.get_origin(labels) is typing.Literal:
        return "", [(label, None) for label in typing.get_args(labels)]
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
    choices = {name: choice for name, field in model.model_fields.items() if (choice := _choice(field.annotation)) is not None}
    if len(choices) != 1:
        found = f"{len(choices)} ({', '.join(choices)})" if choices else "none"
        raise UsageError(f"{model.__name__} has to have one field that is a Literal or an Enum, and has {found}: its choices are the labels.")
    ((name, choice),) = choices.items()
    about, pairs = _pairs(choice)
    said = (_doc(model), model.model_fields[name].description or "", about)
    return "\n".join(text for text in said if text), pairs


def _choice(annotation: Any) -> Any:
    """The Literal or Enum that a field is, alone or with ``None``."""
    if typing.get_origin(annotation) is typing.Literal or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return annotation
    inside = [part for part in typing.get_args(annotation) if part is not type(None)]
    return _choice(inside[0]) if len(inside) == 1 else None


def _doc(kind: type) -> str:
    """What the author of a class says of it, not what Python says of every such class."""
    said = vars(kind).get("__doc__")
    inherited = {getattr(base, "__doc__", None) for base in kind.__mro__[1:]}
    return inspect.cleandoc(said) if said and said not in inherited and said != "An enumeration." else ""
