"""Label: a label as text, in whatever form its author wrote it."""

from __future__ import annotations

import enum
import math
import types
import typing
from typing import Any


def is_missing(value: object) -> bool:
    """Whether a frame has this where there is nothing: None, NaN, NaT, NA."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and math.isnan(value)


def plain(label: object) -> object:
    """A label without its class.

    A member of an Enum becomes its value if that is a text, else its name; a text of
    any class becomes a ``str``; everything else is returned as it is.
    """
    if isinstance(label, enum.Enum):
        label = label.value if isinstance(label.value, str) else label.name
    return str.__str__(label) if isinstance(label, str) else label


#: What the text has nothing of, as a label: a field that is null, a list without members.
NOTHING = "(nothing)"
#: Between the members of several labels that are one text.
_AND = ", "


def text_of(label: object) -> str | None:
    """A label as text; ``None`` for a missing one.

    A whole number stays one, also if a frame made it 5.0 because others are missing.
    Several labels are one text, whatever their order.
    """
    if isinstance(label, list | tuple | set | frozenset):
        return _AND.join(sorted({str(text_of(one)) for one in label})) or NOTHING
    if is_missing(label):
        return None
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(plain(label))


def parts_of(label: str) -> list[str]:
    """The labels that are one text; see `text_of`."""
    return [] if label == NOTHING else label.split(_AND)


def choice_of(annotation: object) -> Any:
    """The Literal or Enum that a type is.

    The type may be an alias, annotated, or allow ``None`` as well.
    """
    annotation = getattr(annotation, "__value__", annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal or isinstance(annotation, enum.EnumType):
        return annotation
    inside = [part for part in typing.get_args(annotation) if part is not type(None)]
    if origin is typing.Annotated:
        return choice_of(inside[0])
    if origin in (typing.Union, types.UnionType) and len(inside) == 1:
        return choice_of(inside[0])
    return None
