"""Schema: the parameters of a notebook, with what this job gives them, as JSON Schema says it."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError
from nbflow.export.spec import Setting
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

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
_MORE = {"set": {"uniqueItems": True}}


def settings(
    declared: Iterable[Parameter], texts: Sequence[str]
) -> tuple[Setting, ...]:
    """The parameters of a notebook with the ``name=value`` texts that a job gives, which fit them."""
    given = dict(text.split("=", 1) for text in texts)
    return tuple(_setting(one, given.get(one.name)) for one in declared)


def _setting(one: Parameter, given: str | None) -> Setting:
    default = _plain(one.default)
    schema = _schema(ast.parse(one.type, mode="eval").body) | (
        {"description": one.help} if one.help else {}
    )
    if (default is not None or one.default == "None") and _is_json(default):
        schema["default"] = default
    return Setting(
        one.name,
        one.type,
        schema,
        given,
        default if given is None else one.value(given),
        one.help,
    )


def as_text(title: str, found: Iterable[Setting]) -> str:
    """``parameters.schema.json``: what ``-p`` takes."""
    found = list(found)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": {one.name: dict(one.schema) for one in found},
        "required": [
            one.name
            for one in found
            if one.value is None and "default" not in one.schema and one.given is None
        ],
        "additionalProperties": False,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _plain(source: str | None) -> Any:
    try:
        return ast.literal_eval(source) if source is not None else None
    except (ValueError, SyntaxError):
        return None  # `date.today()`: the notebook says it when it runs


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _schema(kind: ast.expr) -> dict[str, Any]:
    """An annotation; what JSON has no word for is anything."""
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        return _either([kind.left, kind.right])
    if isinstance(kind, ast.Subscript):
        return _filled(
            _name(kind.value),
            kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice],
        )
    name = _name(kind)
    return {"type": _TYPES[name], **_MORE.get(name, {})} if name in _TYPES else {}


def _filled(name: str, inside: list[ast.expr]) -> dict[str, Any]:
    """What stands in brackets behind a name."""
    if name == "Literal":
        return {"enum": [ast.literal_eval(one) for one in inside]}
    if name in ("Optional", "Union"):
        return _either([*inside, *([ast.Constant(None)] if name == "Optional" else [])])
    name = name.lower()
    if name == "dict":
        return {"type": "object", "additionalProperties": _schema(inside[-1])}
    if name == "tuple" and not any(
        isinstance(one, ast.Constant) and one.value is ... for one in inside
    ):
        return {
            "type": "array",
            "prefixItems": [_schema(one) for one in inside],
            "minItems": len(inside),
            "maxItems": len(inside),
        }
    return (
        {"type": "array", "items": _schema(inside[0]), **_MORE.get(name, {})}
        if _TYPES.get(name) == "array"
        else {}
    )


def _either(kinds: list[ast.expr]) -> dict[str, Any]:
    parts = [
        part
        for kind in kinds
        for part in (_schema(kind).get("anyOf") or [_schema(kind)])
    ]
    return {"anyOf": parts}


def _name(kind: ast.expr) -> str:
    return (
        kind.attr
        if isinstance(kind, ast.Attribute)
        else str(getattr(kind, "value", getattr(kind, "id", "")))
    )


def spelled(notebook: Path, values: Mapping[str, Any]) -> list[str]:
    """Values as the ``name=value`` texts that mean them for this notebook.

    Raises:
        UsageError: one of them no text means; names the closest parameter of an unknown
            one.
    """
    texts = [
        f"{name}={value if isinstance(value, str) else repr(value)}"
        for name, value in values.items()
    ]
    if texts:
        for name, value in documents.given(documents.read(notebook), texts).items():
            if name in values and (type(value), value) != (
                type(values[name]),
                values[name],
            ):
                raise UsageError(
                    f"parameters: {name}={values[name]!r} would reach the notebook as "
                    f"{value!r}: declare its type in the parameters cell, or give a "
                    f"text."
                )
    return texts
