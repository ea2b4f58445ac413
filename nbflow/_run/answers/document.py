"""Document: one JSON object with the name and version of its schema, small and without secrets.

A version goes up when a key changes its meaning or goes; a new key is no new version.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from nbflow._core.fields import fields_of
from nbflow._key import secret_patterns
from nbflow._key.redaction import masker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Facts: TypeAlias = dict[str, Any]

#: Characters of a text, items of a list, fields of a record, and levels of a value.
TEXT, ITEMS, FIELDS, DEPTH = 500, 20, 50, 5


def document(schema: str, facts: Facts) -> str:
    """One answer as JSON text, secrets masked.

    Args:
        schema: its name and version: ``"nbflow.run/1"``.
        facts: what it says; what JSON has no type for is made `plain`.
    """
    made = _plain({"schema": schema, **facts}, masker(), -math.inf)
    return json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False)


def error(kind: str, message: str, exit_code: int) -> str:
    """What went wrong, in the place of an answer."""
    facts = {"error": kind, "message": message, "exit_code": exit_code}
    return document("nbflow.error/1", facts)


def moment(seconds: float) -> str | None:
    """A time in UTC, as ISO 8601 has it; ``None`` for a time that is none."""
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return at.isoformat(timespec="seconds")


def taken(seconds: float) -> float:
    """Seconds with three digits, always a number with a point."""
    return round(float(seconds), 3)


def plain(value: object) -> Any:
    """A value of the user's as JSON has it, cut where it is long.

    A number stays one, unless JSON has none for it: NaN and NaT are null, infinity is a
    text. Bytes are a text that says how many there are. Fields of dataclasses, models and
    named tuples are those of an object.
    """
    return _plain(value, lambda text: text, 0)


def _plain(value: Any, mask: Callable[[str], str], depth: float) -> Any:
    """The same; what nbflow itself says, at a depth below 0, is neither cut nor flattened."""
    atom = _atom(value.value if isinstance(value, enum.Enum) else value)
    if isinstance(atom, str):
        return _text(mask(atom), depth)
    return _structure(value, mask, depth) if atom is _NO_ATOM else atom


#: What is made of a value that has parts, or that nothing is known of.
_NO_ATOM = object()


def _atom(value: Any) -> Any:
    """A value without parts as JSON has it."""
    if value is None or isinstance(value, bool | str):
        return value
    if _is_missing(value):
        return None
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        is_time = type(value).__name__ in ("datetime64", "timedelta64")
        return str(value) if is_time else _atom(value.item())
    for types, made in _ATOMS:
        if isinstance(value, types):
            return made(value)
    return _NO_ATOM


def _structure(value: Any, mask: Callable[[str], str], depth: float) -> Any:
    if depth >= DEPTH:
        return _text(mask(_shown(value)), depth)
    inner = depth + 1
    found = fields_of(value)
    if found is not None:
        return _object(found, mask, inner)
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        most = ITEMS if depth >= 0 else len(items)
        made = [_plain(one, mask, inner) for one in items[:most]]
        return [*made, f"... {len(items) - most:,} more"] if len(items) > most else made
    return _text(mask(_shown(value)), max(0, depth))


def _object(found: Facts, mask: Callable[[str], str], depth: float) -> Facts:
    most = FIELDS if depth > 0 else len(found)
    made = {}
    for name, part in list(found.items())[:most]:
        hides = depth > 0 and secret_patterns.is_secret(str(name), part)
        text = _text(mask(str(name)), 0)
        made[text] = "<hidden>" if hides else _plain(part, mask, depth)
    if len(found) > most:
        made["..."] = f"{len(found) - most:,} more fields"
    return made


def _text(text: str, depth: float) -> str:
    # Halves of characters, which no UTF-8 has.
    text = text.encode("utf-8", "backslashreplace").decode()
    if depth < 0 or len(text) <= TEXT:
        return text
    return f"{text[:TEXT]}... ({len(text) - TEXT:,} characters more)"


def _real(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else str(float(value))


def _size(value: bytes | bytearray | memoryview) -> str:
    return f"<{len(value):,} bytes>"


#: How values without parts are written, by their types.
_ATOMS: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((int,), int),
    ((float,), _real),
    ((bytes, bytearray, memoryview), _size),
    ((dt.datetime, dt.date, dt.time), lambda value: value.isoformat()),
    ((Decimal, PurePath, UUID, dt.timedelta, complex), str),
)


def _is_missing(value: object) -> bool:
    """Whether it is NaT or NA, of pandas or numpy."""
    if type(value).__module__.partition(".")[0] not in ("pandas", "numpy"):
        return False
    try:
        return str(value) in ("NaT", "<NA>")
    except Exception:
        return False


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        # A class of the user's: its repr is the user's, too.
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
