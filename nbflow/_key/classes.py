"""What a class says beside its methods: the statements of its body, or its members if no source says them.

A class has no code object that could prove a source. Its methods have: the class is
read where they stand. A class without methods (a pydantic model, a dataclass, an enum)
is read by its members, in a notebook and in a module alike, so that both give one
digest.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
import typing
import weakref
from types import FunctionType, MappingProxyType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from nbflow._key import stdlib, syntax
from nbflow._key.annotations import (
    EVALUATORS,
    annotations_of,
    generated_docstring,
    is_union,
)
from nbflow._key.origin import is_users, leads_to_users
from nbflow._key.value import Refusal, identify, member, seal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_DATACLASS = (
    "init",
    "repr",
    "eq",
    "order",
    "unsafe_hash",
    "frozen",
)  # the options every Python notes
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def methods(kind: type) -> dict[str, FunctionType]:
    """Return the functions in a class, the ones inside descriptors too, but none that a decorator generated."""
    found = {}
    written = {
        name: item for name, item in vars(kind).items() if name not in EVALUATORS
    }
    for name, item in sorted(written.items()):
        for part, function in _functions(item):
            if leads_to_users(function):
                found[name + part] = function
    return found


_BEHAVES: weakref.WeakKeyDictionary[type, tuple[list[int], bool]] = (
    weakref.WeakKeyDictionary()
)


def behaves(kind: type) -> bool:
    """Tell whether objects of a class can do what the user wrote: a class of theirs, or a base, has methods."""
    users = [base for base in kind.__mro__ if is_users(base)]
    sizes = [
        len(vars(base)) for base in users
    ]  # a method that is added later is noticed
    known = _BEHAVES.get(kind)
    if known is None or known[0] != sizes:
        known = _BEHAVES[kind] = sizes, any(map(methods, users))
    return known[1]


#: Methods that are done before anybody holds the object.
_MAKING = frozenset(
    (
        "__init__",
        "__new__",
        "__post_init__",
        "__init_subclass__",
        "__set_name__",
        "__setstate__",
    )
)


def changes_itself(kind: type) -> bool:
    """Tell whether a method of the user's, once an object of the class is made, visibly changes that object."""
    written = [
        function
        for base in kind.__mro__
        if is_users(base)
        for function in methods(base).values()
    ]
    return any(
        function.__name__ not in _MAKING and _changes_first(function)
        for function in written
    )


def _changes_first(function: FunctionType) -> bool:
    found = syntax.find(function.__code__, function.__globals__)
    first = function.__code__.co_varnames[:1]
    return found is None or any(
        chain[:1] == first for chain in syntax.changed_in_place(found.node)
    )


def _functions(item: Any) -> Iterator[tuple[str, FunctionType]]:
    if isinstance(item, FunctionType):
        yield "", item
    elif isinstance(item, property):
        for part in ("fget", "fset", "fdel"):
            yield from (
                (f".{part}", found) for _, found in _functions(getattr(item, part))
            )
    elif isinstance(item, functools.singledispatchmethod):
        for kind, found in item.dispatcher.registry.items():
            yield from (
                (f".{kind.__qualname__}", function) for _, function in _functions(found)
            )
    else:
        inner = (
            getattr(item, "__func__", None)
            or getattr(item, "func", None)
            or getattr(item, "__wrapped__", None)
        )
        if inner is not None and not isinstance(item, type):
            yield from _functions(inner)


def by_members(kind: type, ignored: Collection[str]) -> bytes:
    """Return the digest of what the members of a class say: fields, defaults, docstring, annotations."""
    said = [
        [name, member(_value(item))]
        for name, item in _members(kind)
        if name not in ignored
    ]
    return seal("class by members", kind.__qualname__, said)


def spelled(kind: type) -> str:
    """Return the members of a class as text, for a reader: one a line, what libraries add left out."""
    said = [f"class {kind.__name__}:"]
    for name, item in _members(kind):
        _, dot, part = name.partition(".")
        added = dot and (
            part == "name"
            or isinstance(item, bool)
            or not (item and isinstance(item, (str, int, float, list)))
        )
        if (
            item is not None
            and item != ""
            and not added
            and not name.startswith("__dataclass")
            and name != "model_config"
        ):
            said.append(
                f"    {name} {item}"
                if name.endswith(":")
                else f"    {name.strip('_')} = {item!r}"
            )
    return _ADDRESS.sub("", "\n".join(said))


def _members(kind: type) -> Iterator[tuple[str, object]]:
    space = vars(kind)
    yield "__doc__", _docstring(kind)
    for name, annotation in annotations_of(kind).items():
        yield f"{name}:", _spell(annotation)
    if issubclass(kind, enum.Enum):
        yield from ((name, item.value) for name, item in kind.__members__.items())
        return
    for name in sorted(space):
        if not name.startswith("_") and not isinstance(
            space[name], (FunctionType, type, MemberDescriptorType)
        ):
            yield name, space[name]
    params = space.get("__dataclass_params__")
    yield (
        "__dataclass_params__",
        [getattr(params, name, None) for name in _DATACLASS] + ["__slots__" in space],
    )
    yield "_field_defaults", space.get("_field_defaults")
    for name, described in [*_fields(kind), *_marks(kind)]:
        yield from ((f"{name}.{part}", item) for part, item in described)


def _docstring(kind: type) -> str:
    """Return the docstring of a class, without those of its bases."""
    text = kind.__doc__ if "__doc__" in vars(kind) else None
    if not isinstance(text, str):
        return ""
    generated = generated_docstring(kind, text)
    # Dataclasses write the defaults into it, and the classes of fields with their
    # module, which does not count. From Python 3.13 on the compiler takes the
    # indentation out.
    said = inspect.cleandoc(text) if generated is None else generated
    return _ADDRESS.sub("", said).replace(f"{kind.__module__}.", "")


def _fields(kind: type) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield the fields that pydantic, dataclasses and attrs note in a class, with what is said of each."""
    space = vars(kind)
    found = {
        **space.get("__dataclass_fields__", {}),
        **space.get("__pydantic_fields__", {}),
    }
    found |= {field.name: field for field in space.get("__attrs_attrs__", ())}
    for name, field in sorted(found.items()):
        parts = (part for part in type(field).__slots__ if not part.startswith("_"))
        said = [
            (part, _plain(getattr(field, part)))
            for part in parts
            if part not in ("annotation", "type")
        ]
        yield (
            name,
            [(part, item) for part, item in said if item is not None],
        )  # libraries add more to say


def _plain(item: object) -> object:
    """Return the metadata of a field as Pythons before 3.15 hold it where there is none."""
    return MappingProxyType({}) if type(item).__name__ == "frozendict" else item


def _value(item: object) -> bytes:
    if isinstance(item, (FunctionType, type)):
        return seal("name", item.__qualname__)  # what it says is up to mentioned()
    try:
        return identify(item).digest  # the code in it is up to mentioned() as well
    except Refusal:
        return seal("type alone", type(item).__qualname__)


def _spell(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, typing.ForwardRef):
        return f"ForwardRef({annotation.__forward_arg__!r})"
    if stdlib.mark(annotation) is not None:
        return f"<dataclasses.{stdlib.mark(annotation)} object>"
    origin = typing.get_origin(annotation)
    if origin is None:
        return getattr(annotation, "__qualname__", None) or _ADDRESS.sub(
            "", repr(annotation)
        )
    args = typing.get_args(annotation)
    spelled = ", ".join(
        repr(arg) if isinstance(arg, str) else _spell(arg) for arg in args
    )
    return f"{'UnionType' if is_union(annotation) else _spell(origin)}[{spelled}]"


def mentioned(kind: type) -> Iterator[tuple[str, object]]:
    """Yield the classes and functions that the annotations and fields of a class are made of."""
    for name, annotation in annotations_of(kind).items():
        yield from (
            (f"{name}: {part.__qualname__}", part) for part in _classes(annotation)
        )
    for name, field in (
        vars(kind).get("__pydantic_fields__", {}).items()
    ):  # pydantic has resolved what is in quotes
        yield from (
            (f"{name}: {part.__qualname__}", part)
            for part in _classes(field.annotation)
        )
    for name, described in [*_fields(kind), *_marks(kind)]:
        for part, item in described:
            yield from (
                (f"{name}.{part} {place}".removesuffix(" 0"), thing)
                for place, thing in enumerate(_code_in(item))
            )


def _code_in(item: object) -> tuple[object, ...]:
    try:
        return identify(item).code
    except Refusal:
        return ()


def _marks(kind: type) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield what the annotations of a class say beside the type: ``Annotated[str, "as the customer says it"]``."""
    for name, annotation in annotations_of(kind).items():
        if said := [
            (str(place), mark) for place, mark in enumerate(_metadata(annotation))
        ]:
            yield f"{name}:", said


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for arg in (
        ()
        if typing.get_origin(annotation) is typing.Literal
        else typing.get_args(annotation)
    ):
        yield from _metadata(arg)


def _classes(annotation: Any) -> Iterator[type]:
    yield from (part for part in _leaves(annotation) if isinstance(part, type))


def quoted(kind: type) -> Iterator[str]:
    """Yield the annotations in a class that are text: in quotes, or all of them under ``from __future__``."""
    for annotation in annotations_of(kind).values():
        for part in _leaves(annotation):
            if isinstance(part, (str, typing.ForwardRef)):
                yield part if isinstance(part, str) else part.__forward_arg__


def _leaves(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is typing.Literal or not (
        args := typing.get_args(annotation)
    ):
        yield annotation
        return
    for arg in args:
        yield from _leaves(arg)
