"""Schema: the parameters of a notebook, with the values of this job, as JSON Schema."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.export.source import is_open
from nbflow.export.spec import Setting
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nbflow.export.spec import JsonSchema
    from nbflow.notebook.parameters import Parameter

_TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str": "string",
    "None": "null",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "dict": "object",
}
_MORE: dict[str, JsonSchema] = {"set": {"uniqueItems": True}}


def settings(
    declared: Iterable[Parameter], texts: Sequence[str]
) -> tuple[Setting, ...]:
    """The parameters of a notebook, with the ``name=value`` texts that a job gives.

    The texts were checked: they fit the parameters.
    """
    given = dict(text.split("=", 1) for text in texts)
    return tuple(_setting(one, given.get(one.name)) for one in declared)


def _setting(one: Parameter, given: str | None) -> Setting:
    default = _plain(one.default)
    schema = _schema(ast.parse(one.type, mode="eval").body)
    if one.help:
        schema = {**schema, "description": one.help}
    if (default is not None or one.default == "None") and _is_json(default):
        schema = {**schema, "default": default}
    value = default if given is None else one.value(given)
    return Setting(one.name, one.type, schema, given, value, one.help)


def as_text(title: str, found: Iterable[Setting]) -> str:
    """``parameters.schema.json``: what ``-p`` takes."""
    found = list(found)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {one.name: dict(one.schema) for one in found},
        "required": [one.name for one in found if is_open(one)],
        "additionalProperties": False,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _plain(source: str | None) -> object:
    """The value of a literal; ``None`` for what the notebook works out: `date.today()`."""
    if source is None:
        return None
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError):
        return None


def _is_json(value: object) -> bool:
    """Whether JSON gives a value back as it is."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _schema(kind: ast.expr) -> JsonSchema:
    """The schema of an annotation; one that JSON has no word for allows anything."""
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        return _either([kind.left, kind.right])
    if isinstance(kind, ast.Subscript):
        inside = kind.slice
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        return _filled(_name(kind.value), parts)
    name = _name(kind)
    if name not in _TYPES:
        return {}
    return {"type": _TYPES[name], **_MORE.get(name, {})}


def _filled(name: str, inside: list[ast.expr]) -> JsonSchema:
    """The schema of a type with others in brackets behind its name."""
    if name == "Literal":
        return {"enum": [ast.literal_eval(one) for one in inside]}
    if name in ("Optional", "Union"):
        nothing = [ast.Constant(None)] if name == "Optional" else []
        return _either([*inside, *nothing])
    name = name.lower()
    if name == "dict":
        return {"type": "object", "additionalProperties": _schema(inside[-1])}
    if name == "tuple" and not any(map(_is_ellipsis, inside)):
        return {
            "type": "array",
            "prefixItems": [_schema(one) for one in inside],
            "minItems": len(inside),
            "maxItems": len(inside),
        }
    if _TYPES.get(name) == "array":
        return {"type": "array", "items": _schema(inside[0]), **_MORE.get(name, {})}
    return {}


def _is_ellipsis(kind: ast.expr) -> bool:
    return isinstance(kind, ast.Constant) and kind.value is ...


def _either(kinds: list[ast.expr]) -> JsonSchema:
    """The schema of a union; a union in it is part of it."""
    parts: list[JsonSchema] = []
    for kind in kinds:
        schema = _schema(kind)
        parts += schema.get("anyOf") or [schema]
    return {"anyOf": parts}


def _name(kind: ast.expr) -> str:
    if isinstance(kind, ast.Attribute):
        return kind.attr
    if isinstance(kind, ast.Name):
        return kind.id
    return str(getattr(kind, "value", ""))


def spelled(notebook: Path, values: Mapping[str, object]) -> list[str]:
    """Values as the ``name=value`` texts that mean them for this notebook.

    Raises:
        UsageError: no text means one of them, or a parameter is unknown; names the
            closest one.
    """
    texts = [
        f"{name}={value if isinstance(value, str) else repr(value)}"
        for name, value in values.items()
    ]
    if not texts:
        return texts
    read = documents.given(documents.read(notebook), texts)
    for name, value in values.items():
        if name in read and (type(read[name]), read[name]) != (type(value), value):
            raise UsageError(
                f"parameters: {name}={value!r} would reach the notebook as "
                f"{read[name]!r}: declare its type in the parameters cell, or give a "
                "text."
            )
    return texts
