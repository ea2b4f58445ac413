"""What a class says beside its methods: the statements of its body, or its members if no source says them.

A class has no code object that could prove a source. Its methods have: the class is read where they stand.
A class without methods (a pydantic model, a dataclass, an enum) is read by its members, in a notebook and in
a module alike, so that both give one digest.
"""

from __future__ import annotations

import enum
import re
import typing
from types import FunctionType
from typing import TYPE_CHECKING, Any

from nbflow._key.value import digest, member, seal
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def methods(kind: type) -> dict[str, FunctionType]:
    """Return the functions in a class, the ones inside descriptors too, but none that a decorator generated."""
    found = {}
    for name, item in sorted(vars(kind).items()):
        for part, function in _functions(item):
            written = function.__code__.co_qualname == function.__qualname__
            if written or not function.__code__.co_filename.startswith("<"):
                found[name + part] = function
    return found


def _functions(item: Any) -> Iterator[tuple[str, FunctionType]]:
    if isinstance(item, FunctionType):
        yield "", item
    elif isinstance(item, property):
        for part in ("fget", "fset", "fdel"):
            yield from ((f".{part}", found) for _, found in _functions(getattr(item, part)))
    else:
        inner = getattr(item, "__func__", None) or getattr(item, "func", None) or getattr(item, "__wrapped__", None)
        if inner is not None and not isinstance(item, type):
            yield from _functions(inner)


def by_members(kind: type, ignored: Collection[str]) -> bytes:
    """Return the digest of what the members of a class say: fields, defaults, docstring, annotations."""
    said = [[name, member(_value(item))] for name, item in _members(kind) if name not in ignored]
    return seal("class by members", kind.__qualname__, said)


def _members(kind: type) -> Iterator[tuple[str, object]]:
    space = vars(kind)
    yield "__doc__", space.get("__doc__") or ""
    for name, annotation in space.get("__annotations__", {}).items():
        yield f"{name}:", _spell(annotation)
    if issubclass(kind, enum.Enum):
        yield from ((name, item.value) for name, item in kind.__members__.items())
        return
    for name in sorted(space):
        if not name.startswith("_") and not isinstance(space[name], (FunctionType, type)):
            yield name, space[name]
    for listing in ("__dataclass_fields__", "__pydantic_fields__", "__attrs_attrs__", "_field_defaults"):
        if listing in space:
            yield listing, _ADDRESS.sub("", repr(space[listing]))
    yield "__dataclass_params__", repr(space.get("__dataclass_params__"))


def _value(item: object) -> bytes:
    try:
        return digest(item)
    except UnkeyableError:
        return seal("type alone", type(item).__qualname__)


def _spell(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if typing.get_origin(annotation) is None:
        return getattr(annotation, "__qualname__", None) or _ADDRESS.sub("", repr(annotation))
    args = typing.get_args(annotation)
    spelled = ", ".join(repr(arg) if isinstance(arg, str) else _spell(arg) for arg in args)
    return f"{_spell(typing.get_origin(annotation))}[{spelled}]"


def mentioned(kind: type) -> Iterator[tuple[str, type]]:
    """Yield the classes that the annotations in a class are made of."""
    for name, annotation in vars(kind).get("__annotations__", {}).items():
        yield from ((f"{name}: {part.__qualname__}", part) for part in _classes(annotation))
    fields = vars(kind).get("__pydantic_fields__", {})  # pydantic has resolved what is in quotes
    for name, field in fields.items():
        yield from ((f"{name}: {part.__qualname__}", part) for part in _classes(field.annotation))


def _classes(annotation: Any) -> Iterator[type]:
    if args := typing.get_args(annotation):
        for arg in args:
            yield from _classes(arg)
    elif isinstance(annotation, type):
        yield annotation
