"""What functions and classes are annotated with, the same on every Python.

Up to Python 3.13 annotations are evaluated where they stand. Since 3.14 they are
evaluated when somebody asks, which may be too early or raise whatever they raise.
"""

from __future__ import annotations

import contextlib
import re
import sys
import types
import typing
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FunctionType

#: Under these names Python 3.14 keeps the function that evaluates the annotations of a
#: class. It is no method: what it returns counts, not how.
EVALUATORS = frozenset(("__annotate__", "__annotate_func__"))

_FORWARD_REFERENCE = re.compile(r"ForwardRef\(('[^']*'|\"[^\"]*\")[^()]*\)")
_UNION = re.compile(r"\b(Optional|Union)\[")


if sys.version_info >= (3, 14):
    import annotationlib

    def annotations_of(thing: FunctionType | type) -> dict[str, Any]:
        """Return the annotations that a function or class has itself, not those of its bases.

        What cannot be evaluated yet is a ``ForwardRef``. If an annotation raises, all of
        them are text.
        """
        for form in (annotationlib.Format.FORWARDREF, annotationlib.Format.STRING):
            # The user's expressions may raise anything.
            with contextlib.suppress(Exception):
                return annotationlib.get_annotations(thing, format=form)
        return {}

    def signature_of(kind: type) -> str:
        """Return how a class is called, as text."""
        form = annotationlib.Format.FORWARDREF
        return str(signature(kind, annotation_format=form))

else:

    def annotations_of(thing: FunctionType | type) -> dict[str, Any]:
        """Return the annotations that a function or class has itself, not those of its bases."""
        if isinstance(thing, type):
            return dict(vars(thing).get("__annotations__") or {})
        return thing.__annotations__

    def signature_of(kind: type) -> str:
        """Return how a class is called, as text."""
        return str(signature(kind))


def is_union(annotation: object) -> bool:
    """Return whether this is ``X | Y`` or ``Union[X, Y]``, which are one class since Python 3.14."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def generated_docstring(kind: type, text: str) -> str | None:
    """Return the docstring that ``dataclass`` wrote in one spelling, ``None`` if a person wrote it.

    It is the signature. Python 3.14 writes unions in another way than those before, and
    3.15 writes it as late as somebody reads it.
    """
    is_signature = text.startswith(f"{kind.__name__}(") and text.endswith(")")
    if "__dataclass_fields__" not in vars(kind) or not is_signature:
        return None
    with contextlib.suppress(TypeError, ValueError):  # it has no signature any more
        text = kind.__name__ + signature_of(kind).replace(" -> None", "")
    text = with_bars(text.replace("typing.", ""))
    return _FORWARD_REFERENCE.sub(r"ForwardRef(\1)", text)


def with_bars(text: str) -> str:
    """Return text with ``X | None`` for ``Optional[X]`` and ``X | Y`` for ``Union[X, Y]``."""
    while (found := _UNION.search(text)) is not None:
        parts, end = _parts(text, found.end())
        if not end:
            return text
        if found[1] == "Optional":
            parts.append("None")
        bars = " | ".join("None" if part == "NoneType" else part for part in parts)
        text = text[: found.start()] + bars + text[end:]
    return text


def _parts(text: str, start: int) -> tuple[list[str], int]:
    """Return what stands between commas up to the closing bracket, and the place after it; 0 if there is none."""
    parts, depth, begun = list[str](), 0, start
    for place in range(start, len(text)):
        if text[place] in "[(":
            depth += 1
        elif depth and text[place] in "])":
            depth -= 1
        elif not depth and text[place] in ",]":
            parts.append(text[begun:place].strip())
            begun = place + 1
            if text[place] == "]":
                return parts, begun
    return parts, 0
