"""Fields: the named parts of a structured value."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE: Mapping[str, object] = MappingProxyType({})


class Fields(dict[str, object]):
    """What is known of an instance whose class is not defined here: its fields.

    What shows values has it in the place of the instance; a step never gets one.
    """

    def __init__(self, name: str = "", fields: dict[str, object] | None = None) -> None:
        super().__init__(fields or {})
        #: The name of the class.
        self.name = name

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={part!r}" for name, part in self.items())
        return f"{self.name}({parts})"


def aside_fields(kind: type) -> Mapping[str, object]:
    """The fields of a class that stand aside, each with its default.

    They make no column. A value that has the default has the key and the saved form of
    one without the field, so a class can get such a field later.
    """
    aside: Mapping[str, object] = vars(kind).get("__nbflow_aside__", _NONE)
    return aside


def without_aside(kind: type, state: dict[str, object]) -> dict[str, object]:
    """The attributes of an instance, without those that stand aside and say nothing."""
    aside = aside_fields(kind)
    if not aside:
        return state
    return {
        name: part
        for name, part in state.items()
        if name not in aside or part is not aside[name]
    }


def fields_of(value: object) -> dict[str, object] | None:
    """The named fields of a structured value; ``None`` if it has none."""
    kind = type(value)
    if kind is dict or issubclass(kind, Fields):
        return {
            str(name): part
            for name, part in cast("dict[object, object]", value).items()
        }
    # Pydantic models and named tuples.
    for names in (getattr(kind, "model_fields", None), getattr(kind, "_fields", None)):
        if isinstance(names, dict | tuple):
            return {name: getattr(value, name) for name in names}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return without_aside(kind, {name: getattr(value, name) for name in names})
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes:
        return {field.name: getattr(value, field.name) for field in attributes}
    return None
