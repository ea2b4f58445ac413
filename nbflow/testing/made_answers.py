"""Made answers: what the server of models says if nobody tells it what to say.

They have the form that was asked for, and come from the text: the member of a list that
it names, its first number. A test that is about their content gives its own.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DATES = {"date": "2026-01-31", "date-time": "2026-01-31T12:00:00Z", "time": "12:00:00"}


def made(schema: dict[str, Any], text: str) -> Any:
    """A value that a JSON schema allows, by what a text says."""
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            return made(part, text)
    if "enum" in schema or "const" in schema:
        return chosen(schema.get("enum") or [schema["const"]], text)
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: made(part, text) for name, part in properties.items()}
    if kind == "array":
        return _several(schema.get("items", {}), text)
    return _simple(schema, text)


def _simple(schema: dict[str, Any], text: str) -> Any:
    if schema.get("type") in ("integer", "number"):
        return _number(schema, text)
    if schema.get("type") == "boolean":
        return "?" not in text
    return _text(schema, text)


def chosen(members: list[Any], text: str) -> Any:
    """The member that a text names; the first if it names none."""
    said = text.casefold()
    return next((one for one in members if str(one).casefold() in said), members[0])


def _several(items: dict[str, Any], text: str) -> list[Any]:
    members = items.get("enum")
    if members:
        return [one for one in members if str(one).casefold() in text.casefold()]
    return [made(items, text)] if items.get("type") == "object" else []


def _number(schema: dict[str, Any], text: str) -> float:
    found = _NUMBER.search(text)
    number = float(found[0]) if found else 0.5
    number = max(number, schema.get("minimum", number))
    number = min(number, schema.get("maximum", number))
    return int(number) if schema.get("type") == "integer" else number


def _text(schema: dict[str, Any], text: str) -> str:
    if schema.get("format") in _DATES:
        return _DATES[schema["format"]]
    found = re.search(schema.get("pattern") or r"\S+", text)
    return found[0] if found else text
