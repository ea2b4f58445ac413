"""Shape: what a field of a record may hold, as a model is asked for it.

It is read from the JSON schema that pydantic makes. What no provider can hold in a strict
answer is refused here, with the name of the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbflow._core.quote import MARK
from nbflow.errors import UsageError
from nbflow.llm.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.llm.form import Json

#: The bounds that a schema may have, which the answer is checked against in any case.
_BOUNDS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "pattern", "format", "minItems", "maxItems",
)  # fmt: skip
#: Texts that stand for something else.
_TIMES = frozenset({"date", "date-time", "time", "duration"})
#: A text that pydantic would take for the seconds since 1970.
_DIGITS = re.compile(r"\s*[+-]?\d+(\.\d*)?\s*")
#: How deep records may be in each other, and the members of all closed lists, as
#: OpenAI's structured outputs have it; others hold no less.
_DEEPEST, _MOST_MEMBERS = 10, 1000
#: What makes an answer without a value.
_NULL: Json = {"type": "null"}
#: How values are named to a model.
_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date, as YYYY-MM-DD",
    "date-time": "a date and time, as ISO 8601 has it",
    "time": "a time, as HH:MM:SS",
    "duration": "a duration, as ISO 8601 has it",
    "quote": "words of the text, copied exactly",
}


class Unfit(ValueError):  # noqa: N818  # it ends as the error of a field
    """An answer that is none, although pydantic would take it."""


@dataclass(frozen=True, eq=False)
class Shape:
    """What one field holds.

    Attributes:
        path: its name, with those of the records that it is in.
        kind: ``"label"``, ``"boolean"``, ``"integer"``, ``"number"``, ``"string"``,
            ``"quote"``, one of dates and times, ``"list"`` or ``"record"``.
        nullable: whether it may be null.
        about: what its author says of it.
        bounds: that its value has to keep.
        members: of a closed list, by the text that stands for each.
        item: what a list holds.
        fields: of a record, by the names that the model sees.
    """

    path: str
    kind: str
    nullable: bool
    about: str
    bounds: Json
    members: Mapping[str, object]
    item: Shape | None
    fields: Mapping[str, Shape]

    @cached_property
    def schema(self) -> Json:
        """What an answer has to satisfy, for a provider."""
        schema = self._schema()
        return {"anyOf": [schema, _NULL]} if self.nullable else schema

    def _schema(self) -> Json:
        if self.fields:
            properties = {name: each.schema for name, each in self.fields.items()}
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        if self.item is not None:
            return {"type": "array", "items": self.item.schema, **self.bounds}
        if self.members:
            return {"enum": list(self.members.values())} | _type_of(self.members)
        kind = "string" if self.kind in _TIMES or self.kind == "quote" else self.kind
        return {"type": kind, **self.bounds}

    @property
    def is_closed(self) -> bool:
        """Whether it is one of a list, or yes or no."""
        return self.kind in ("label", "boolean")

    @property
    def has_quotes(self) -> bool:
        """Whether it is a quote, or holds any."""
        inside = [*self.fields.values()] + ([self.item] if self.item else [])
        return self.kind == "quote" or any(each.has_quotes for each in inside)

    @property
    def labels(self) -> dict[str, str]:
        """The members of a closed list, or of the closed list that a list is of."""
        shape = self.item or self
        return dict.fromkeys(shape.members, "")

    def described(self, depth: int = 0) -> Iterator[str]:
        """What the model is told of it, in lines."""
        _, _, name = self.path.rpartition(".")
        about = " ".join(self.about.split())
        said = (
            f"- {name} ({self.said()}): {about}"
            if about
            else f"- {name}: {self.said()}"
        )
        yield "  " * depth + said
        inside = self.item if self.item is not None else self
        for field in inside.fields.values():
            yield from field.described(depth + 1)

    def said(self) -> str:
        """What its value has to be, in words."""
        limits = [
            f"{name} {value}" for name, value in self.bounds.items() if name != "format"
        ]
        said = ", ".join([self._noun(), *limits])
        return f"{said}; null if the text does not say" if self.nullable else said

    def _noun(self) -> str:
        if self.members:
            return f"one of {', '.join(self.members)}"
        if self.item is not None:
            inside = self.item
            if inside.members:
                return f"a list of those of {', '.join(inside.members)} that apply"
            return f"a list, each {inside.said()}"
        return "a record" if self.fields else _WORDS[self.kind]

    def fit(self, said: object) -> object:
        """What a model said, with labels spelled as they are.

        Raises:
            Unfit: pydantic would make something of it that the model did not say.
        """
        if said is None:
            return None
        if self.item is not None and isinstance(said, list):
            return [self.item.fit(one) for one in said]
        if self.fields and isinstance(said, dict):
            return {name: self._inside(name, said) for name in self.fields}
        if self.members:
            return self._member(said)
        is_number = isinstance(said, int | float)
        if self.kind in _TIMES and (is_number or _is_digits(said)):
            raise Unfit(f"{said!r} is not {_WORDS[self.kind]}")
        if self.kind in ("integer", "number") and isinstance(said, bool):
            raise Unfit(f"{said!r} is not a number")
        if isinstance(said, float) and not -_HUGE < said < _HUGE:
            raise Unfit(f"{said!r} is not a number")
        return said

    def _inside(self, name: str, said: Json) -> object:
        if name not in said:
            raise Unfit(f"{self.fields[name].path} is missing")
        return self.fields[name].fit(said[name])

    def _member(self, said: object) -> object:
        if isinstance(said, str | int) and not isinstance(said, bool):
            found = Taxonomy(self.labels).find(str(said))
            if found is not None:
                return self.members[found]
        raise Unfit(f"{said!r} is not one of {', '.join(self.members)}")


_HUGE = float("inf")


def _is_digits(said: object) -> bool:
    return isinstance(said, str) and _DIGITS.fullmatch(said) is not None


def _type_of(members: Mapping[str, object]) -> Json:
    kinds = {type(member) for member in members.values()}
    if kinds == {str}:
        return {"type": "string"}
    return {"type": "integer"} if kinds == {int} else {}


def shapes_of(schema: Json, name: str) -> dict[str, Shape]:
    """The fields of a record, by the names that a model sees.

    Args:
        schema: of the record, as pydantic makes it.
        name: of the record, for errors.

    Raises:
        UsageError: a field is something that no provider can hold.
    """
    reader = _Reader(schema.get("$defs", {}), name)
    shape = reader.record(schema, "", ())
    members = sum(map(len, reader.closed))
    if members > _MOST_MEMBERS:
        raise UsageError(
            f"The closed lists of {name} have {members:,} members, and a provider holds "
            f"{_MOST_MEMBERS:,}: divide the fields between two extractors."
        )
    return dict(shape)


class _Reader:
    """Reads one schema."""

    def __init__(self, definitions: Json, name: str) -> None:
        self._definitions = definitions
        self._name = name
        self.closed: list[Mapping[str, object]] = []

    def record(
        self, schema: Json, path: str, inside: tuple[str, ...]
    ) -> dict[str, Shape]:
        """The fields of a record."""
        required = set(schema.get("required", ()))
        stem = f"{path}." if path else ""
        fields = {}
        for name, given in schema.get("properties", {}).items():
            shape = self.shape(given, f"{stem}{name}", inside)
            if name not in required:
                self._check_default(given, shape)
            fields[name] = shape
        return fields

    def shape(self, schema: Json, path: str, inside: tuple[str, ...]) -> Shape:
        """What one field holds."""
        about = schema.get("description", "")
        is_quote = bool(schema.get(MARK))
        nullable, schema, inside = self._resolved(schema, path, inside)
        about = about or schema.get("description", "")
        bounds = {name: schema[name] for name in _BOUNDS if name in schema}
        kind, item = self._kind(schema, path), None
        members: dict[str, object] = {}
        fields: dict[str, Shape] = {}
        if is_quote and kind not in ("string", "list"):
            raise self._refuse(path, "is no text, and a quote is words of a text")
        if kind == "label":
            given = schema["enum"] if "enum" in schema else [schema["const"]]
            members = {str(member): member for member in given}
            self.closed.append(members)
        elif kind == "list":
            item = self.shape(schema["items"] | _mark(is_quote), path, inside)
            if item.nullable:
                raise self._refuse(path, "is a list of values that may be None")
        elif kind == "record":
            fields = self.record(schema, path, inside)
            if not fields:
                raise self._refuse(path, "is a record without fields")
        elif is_quote:
            kind = "quote"
        return Shape(path, kind, nullable, about, bounds, members, item, fields)

    def _resolved(
        self, schema: Json, path: str, inside: tuple[str, ...]
    ) -> tuple[bool, Json, tuple[str, ...]]:
        """Whether it may be null, and the schema of what it is else, with the records it is in."""
        nullable = False
        while True:
            parts = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if parts:
                left = [part for part in parts if part.get("type") != "null"]
                nullable = nullable or len(left) < len(parts)
                if len(left) != 1:
                    raise self._union(left, path)
                about = {key: schema[key] for key in ("description",) if key in schema}
                schema = left[0] | about
            elif "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                if name in inside:
                    raise self._refuse(
                        path, f"is a {name} inside a {name}, without an end"
                    )
                if len(inside) + 1 >= _DEEPEST:
                    raise self._refuse(path, f"is more than {_DEEPEST} records deep")
                about = {key: schema[key] for key in ("description",) if key in schema}
                schema, inside = self._definitions[name] | about, (*inside, name)
            else:
                return nullable, schema, inside

    def _union(self, parts: list[Json], path: str) -> UsageError:
        if not parts:
            return self._refuse(path, "is always None")
        return self._refuse(
            path, "may be of several types: give it one, or a field for each"
        )

    def _kind(self, schema: Json, path: str) -> str:
        if "enum" in schema or "const" in schema:
            return "label"
        kind = schema.get("type")
        if kind == "array":
            if "prefixItems" in schema or not schema.get("items"):
                raise self._refuse(
                    path,
                    "is a tuple, or a list of anything: write list[...] of one type",
                )
            return "list"
        if kind == "object":
            if "properties" not in schema:
                raise self._refuse(
                    path,
                    "is a dict, whose keys nobody knows: write a model, or a list "
                    "of models with a field for the key",
                )
            return "record"
        if kind == "string" and schema.get("format") in _TIMES:
            return str(schema["format"])
        if kind in ("string", "integer", "number", "boolean"):
            return str(kind)
        raise self._refuse(path, "may be anything: give it a type")

    def _check_default(self, schema: Json, shape: Shape) -> None:
        default = schema.get("default", _NOTHING)
        is_empty = shape.kind == "list" and (default is _NOTHING or default == [])
        if is_empty or (default is None and shape.nullable):
            return
        has = "has a default" if default is _NOTHING else f"has the default {default!r}"
        raise self._refuse(
            shape.path,
            f"{has}, and the model is asked for every field, so that it would never be "
            "used: leave it out, or let the field be None",
        )

    def _refuse(self, path: str, why: str) -> UsageError:
        return UsageError(f"The field {path!r} of {self._name} {why}.")


_NOTHING: Any = object()


def _mark(is_quote: bool) -> Json:  # noqa: FBT001  # a mark that is there or not
    return {MARK: True} if is_quote else {}
