"""What a class says beside its methods: the statements of its body, or its members if no source says them.

A class has no code object that could prove a source. Its methods have: the class is
read where they stand. A class without methods (a pydantic model, a dataclass, an enum)
is read by its members, in a notebook and in a module alike, so that both give one
digest.
"""

from __future__ import annotations

import enum
import inspect
import re
import typing
from types import FunctionType, MappingProxyType, MemberDescriptorType
from typing import TYPE_CHECKING, TypeAlias

from nbflow._key import stdlib, syntax
from nbflow._key.annotations import annotations_of, generated_docstring, is_union
from nbflow._key.origin import is_users, methods
from nbflow._key.value import Refusal, identify, is_plain, member, seal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    #: The name of a field, and what is said of it: names and values.
    Described: TypeAlias = tuple[str, list[tuple[str, object]]]

# The options that every Python notes.
_DATACLASS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
#: What Python and libraries note in every class, or what is read in another place.
_PYTHONS = frozenset((
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__firstlineno__",
    "__static_attributes__", "__annotations_cache__", "__conditional_annotations__", "__type_params__",
    "__parameters__", "__orig_bases__", "__abstractmethods__", "__class_vars__", "__private_attributes__",
    "__signature__", "__protocol_attrs__", "__required_keys__", "__optional_keys__", "__readonly_keys__",
    "__callable_proto_members_only__", "__non_callable_proto_members__",
    "__mutable_keys__", "__total__", "__closed__", "__extra_items__", "__final__",
    "__slotnames__",  # what pickle and copy note of a class that they met
))  # fmt: skip
#: Members of a class that count as nodes of their own, or follow from the others.
_READ_APART = (FunctionType, type, MemberDescriptorType)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


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
    """Return whether a method of the user's, once an object of the class is made, visibly changes that object."""
    for base in kind.__mro__:
        if not is_users(base):
            continue
        for function in methods(base).values():
            if function.__name__ not in _MAKING and _changes_first(function):
                return True
    return False


def _changes_first(function: FunctionType) -> bool:
    """Return whether a method changes its ``self``; without a source it may."""
    found = syntax.find(function)
    if found is None:
        return True
    first = function.__code__.co_varnames[:1]
    changed = syntax.changed_in_place(found.node)
    return any(chain[:1] == first for chain in changed)


def by_members(kind: type, ignored: Collection[str]) -> bytes:
    """Return the digest of what the members of a class say: fields, defaults, docstring, annotations."""
    said = []
    for name, item in _members(kind):
        if name not in ignored:
            said.append([name, member(_value(item))])
    return seal("class by members", kind.__qualname__, said)


def spelled(kind: type) -> str:
    """Return the members of a class as text, for a reader: one a line, what libraries add left out."""
    said = [f"class {kind.__name__}:"]
    for name, item in _members(kind):
        is_empty = item is None or (isinstance(item, str) and not item)
        if is_empty or _is_added(name, item):
            continue
        if name.endswith(":"):
            said.append(f"    {name} {item}")
        else:
            said.append(f"    {name.strip('_')} = {item!r}")
    return _ADDRESS.sub("", "\n".join(said))


def _is_added(name: str, item: object) -> bool:
    """Return whether a library says this of a class, not its author."""
    if name.startswith("__dataclass") or name == "model_config":
        return True
    _, dot, part = name.partition(".")
    if not dot:
        return False
    if part == "name" or isinstance(item, bool):
        return True
    return not isinstance(item, (str, int, float, list)) or not item


def _members(kind: type) -> Iterator[tuple[str, object]]:
    """Yield what a class consists of, in an order that does not depend on how it was made."""
    space = vars(kind)
    yield "__doc__", _docstring(kind)
    for name, annotation in annotations_of(kind).items():
        yield f"{name}:", spell(annotation)
    if issubclass(kind, enum.Enum):
        for name, entry in kind.__members__.items():
            yield name, entry.value
        return
    for name in sorted(space):
        is_read_apart = isinstance(space[name], _READ_APART)
        if not name.startswith("_") and not is_read_apart:
            yield name, space[name]
    params = space.get("__dataclass_params__")
    options = [getattr(params, name, None) for name in _DATACLASS]
    yield "__dataclass_params__", [*options, "__slots__" in space]
    yield "_field_defaults", space.get("_field_defaults")
    for name, described in [*_fields(kind), *_marks(kind)]:
        for part, item in described:
            yield f"{name}.{part}", item
    for name in sorted(space):
        if is_said_of(kind, name):
            yield name, space[name]


def is_said_of(kind: type, name: str) -> bool:
    """Return whether an author says something of a class under a name of Python's form: ``__match_args__``."""
    if name[:2] != "__" or name[-2:] != "__" or name in _PYTHONS:
        return False
    if name in ("__slots__", "__match_args__") and has_fields(kind):
        return False  # they follow from the fields
    if name.startswith(("__dataclass_", "__pydantic_", "__attrs_", "__struct_")):
        return False
    item = vars(kind)[name]
    return item is not None and item != () and (is_plain(item) or _is_words(item))


def has_fields(kind: type) -> bool:
    """Return whether a library makes a class of its fields: a dataclass, a named tuple."""
    names = ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__", "_fields")
    return any(hasattr(kind, name) for name in names)


def _is_words(item: object) -> bool:
    return isinstance(item, tuple) and all(isinstance(part, str) for part in item)


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


def _fields(kind: type) -> Iterator[Described]:
    """Yield the fields that pydantic, dataclasses and attrs note in a class, with what is said of each."""
    space = vars(kind)
    found = dict(space.get("__dataclass_fields__", {}))
    found |= space.get("__pydantic_fields__", {})
    found |= {field.name: field for field in space.get("__attrs_attrs__", ())}
    for name, field in sorted(found.items()):
        said = []
        for part in type(field).__slots__:
            if part.startswith("_") or part in ("annotation", "type"):
                continue
            item = _plain(getattr(field, part))
            if item is not None:  # libraries add more to say
                said.append((part, item))
        yield name, said


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


def spell(annotation: object) -> str:
    """Return how an annotation is written, whatever module its classes are in."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, typing.ForwardRef):
        return f"ForwardRef({annotation.__forward_arg__!r})"
    mark = stdlib.mark(annotation)
    if mark is not None:
        return f"<dataclasses.{mark} object>"
    origin = typing.get_origin(annotation)
    if origin is None:
        name = getattr(annotation, "__qualname__", None)
        return name or _ADDRESS.sub("", repr(annotation))
    args = typing.get_args(annotation)
    spelled = [repr(arg) if isinstance(arg, str) else spell(arg) for arg in args]
    name = "UnionType" if is_union(annotation) else spell(origin)
    return f"{name}[{', '.join(spelled)}]"


def mentioned(kind: type) -> Iterator[tuple[str, object]]:
    """Yield the classes and functions that the annotations and fields of a class are made of."""
    annotations = list(annotations_of(kind).items())
    # Pydantic has resolved what is in quotes.
    for name, field in vars(kind).get("__pydantic_fields__", {}).items():
        annotations.append((name, field.annotation))
    for name, annotation in annotations:
        for part in _leaves(annotation):
            if isinstance(part, type):
                yield f"{name}: {part.__qualname__}", part
    for name, described in [*_fields(kind), *_marks(kind)]:
        for said, item in described:
            for place, thing in enumerate(_code_in(item)):
                yield f"{name}.{said} {place}".removesuffix(" 0"), thing


def _code_in(item: object) -> tuple[object, ...]:
    try:
        return identify(item).code
    except Refusal:
        return ()


def _marks(kind: type) -> Iterator[Described]:
    """Yield what the annotations of a class say beside the type: ``Annotated[str, "as the customer says it"]``."""
    for name, annotation in annotations_of(kind).items():
        said = [(str(place), mark) for place, mark in enumerate(_metadata(annotation))]
        if said:
            yield f"{name}:", said


def _metadata(annotation: object) -> Iterator[object]:
    yield from getattr(annotation, "__metadata__", ())
    for arg in _args(annotation):
        yield from _metadata(arg)


def quoted(kind: type) -> Iterator[str]:
    """Yield the annotations in a class that are text: in quotes, or all of them under ``from __future__``."""
    for annotation in annotations_of(kind).values():
        for part in _leaves(annotation):
            if isinstance(part, (str, typing.ForwardRef)):
                yield part if isinstance(part, str) else part.__forward_arg__


def _leaves(annotation: object) -> Iterator[object]:
    args = _args(annotation)
    if not args:
        yield annotation
    for arg in args:
        yield from _leaves(arg)


def _args(annotation: object) -> tuple[object, ...]:
    """Return what an annotation is made of; a Literal is made of values, which are no types."""
    if typing.get_origin(annotation) is typing.Literal:
        return ()
    return typing.get_args(annotation)
