"""Label: a label as text, in whichever form its author has it."""

from __future__ import annotations

import enum
from typing import Any


def is_missing(value: Any) -> bool:
    """Is it what a frame has where there is nothing: None, NaN, NaT, NA?"""
    return (
        value is None
        or type(value).__name__ in {"NAType", "NaTType"}
        or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN
    )


def plain(label: Any) -> Any:
    """A member of an Enum as its value if that is a text, else as its name; texts of any class as mere texts; the rest as it is."""
    if isinstance(label, enum.Enum):
        label = label.value if isinstance(label.value, str) else label.name
    return str.__str__(label) if isinstance(label, str) else label


def text_of(label: Any) -> str | None:
    """A label as text; ``None`` for a missing one. A whole number is one, also where a frame made it 5.0 as others are missing."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return None if is_missing(label) else str(plain(label))
