"""Headline: a record, or what came of it, in one line that a person reads."""

from __future__ import annotations

import datetime as dt
import enum
import reprlib
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.fields import aside_fields, fields_of
from nbflow._core.table import short
from nbflow._core.visible import seen

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of a headline.
LENGTH = 120
#: The field that is an answer's label, if it has one; otherwise its first field is.
_LABEL = "label"
#: Characters of a text in an opened record.
_WHOLE = 20_000
#: Parts of a list that are shown.
_PARTS = 8
_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = LENGTH


class Answer(NamedTuple):
    """What a flow returned, in short: its label, and its other fields."""

    label: str = ""
    rest: str = ""


def answer_of(value: object) -> Answer:
    """The headline of what a flow returned."""
    fields = fields_of(value)
    if not fields:
        return Answer(text_of(value))
    label = _LABEL if _LABEL in fields else next(iter(fields))
    hidden = {label, *aside_fields(type(value))}
    others = {name: part for name, part in fields.items() if name not in hidden}
    rest = [
        f"{name} {text_of(part)}" for name, part in others.items() if part is not None
    ]
    return Answer(text_of(fields[label]), short(", ".join(rest), LENGTH))


def words_of(record: object, columns: Sequence[str], key: str) -> str:
    """The record's own words: its ``columns``, or its first text of several words.

    Failing that its first text, unless it is its key.
    """
    fields = fields_of(record)
    if fields is None:
        return text_of(record)
    if columns:
        parts = [text_of(fields[name]) for name in columns if name in fields]
        return short(" \u00b7 ".join(filter(None, parts)), LENGTH)
    texts = [part for part in fields.values() if isinstance(part, str) and part != key]
    several = (text for text in texts if " " in text.strip())
    return short(next(several, texts[0] if texts else ""), LENGTH)


def rows_of(value: object) -> list[tuple[str, str]]:
    """A record or an answer by its fields: each with its name and its text.

    A value without fields is one row without a name.
    """
    fields = fields_of(value)
    if fields is None:
        return [("", whole(value))]
    return [(seen(name), whole(part)) for name, part in fields.items()]


def whole(value: object, length: int = _WHOLE) -> str:
    """A value as a text, of several lines where it is nested."""
    if isinstance(value, str):
        return cut(value, length)
    if isinstance(value, list | tuple | dict) or fields_of(value) is not None:
        return cut("\n".join(_lines(value)), length)
    return cut(text_of(value, _WHOLE), length)


def _lines(value: object, indent: str = "") -> list[str]:
    """A nested value: a line for each part that is not nested itself."""
    fields = fields_of(value)
    if fields is None and not isinstance(value, list | tuple):
        return [indent + text_of(value, _WHOLE)]
    parts: list[tuple[str, Any]]
    if fields is not None:
        parts = [(f"{name}:", part) for name, part in fields.items()]
    else:
        parts = [("-", part) for part in value]  # type: ignore[attr-defined]  # a list, as was checked
    lines = []
    for head, part in parts:
        if part and (isinstance(part, list | tuple) or fields_of(part)):
            lines += [indent + head, *_lines(part, indent + "  ")]
        else:
            lines.append(f"{indent}{head} {text_of(part, _WHOLE)}")
    return lines


def cut(text: str, length: int = _WHOLE) -> str:
    """The beginning of a text, and how much more there is."""
    if len(text) <= length:
        return text
    return f"{text[:length]}\n... and {len(text) - length:,} characters more"


def text_of(value: object, length: int = LENGTH) -> str:
    """A value in one line: as a person writes it where that is known, else as Python does."""
    if isinstance(value, enum.Enum):
        value = value.value
    return short(_plain_text(value, length), length)


def _plain_text(value: object, length: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | bool | int | dt.date | dt.time | dt.timedelta):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset) and len(value) <= _PARTS:
        return ", ".join(text_of(part, length) for part in value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__}, {' x '.join(f'{size:,}' for size in shape)}"
    return _REPR.repr(value)
