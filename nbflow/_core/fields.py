"""Fields: the named parts of a structured value."""

from __future__ import annotations

import dataclasses


def fields_of(value: object) -> dict[str, object] | None:
    """The named fields of a structured value; ``None`` if it has none."""
    kind = type(value)
    if type(value) is dict:
        return {str(name): part for name, part in value.items()}
    # Pydantic models and named tuples.
    for names in (getattr(kind, "model_fields", None), getattr(kind, "_fields", None)):
        if isinstance(names, dict | tuple):
            return {name: getattr(value, name) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names}
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes:
        return {field.name: getattr(value, field.name) for field in attributes}
    return None
