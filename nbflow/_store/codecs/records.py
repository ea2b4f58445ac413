"""records: instances of the user's classes, field by field.

Enums, named tuples, dataclasses, attrs classes and pydantic models. No ``__init__`` and
no validation runs on reading: the state is restored as it was. A class is found by its
name, must be of the family that was saved, and must declare the fields that it declared
then. A class that defines how it is pickled, or extends a built-in, is left to pickle.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from functools import partial, reduce
from importlib import import_module
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.fields import Fields, aside_fields, without_aside
from nbflow._store.codecs import tags
from nbflow._store.codecs.plain import UnfitError
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec.msgpack import Ext

    from nbflow._store.codecs.plain import Read, ReadExtension, Writer

# The libraries that generate a __getstate__ or __setstate__ which the user did not
# write.
_GENERATORS = frozenset(("dataclasses", "attr", "pydantic"))
#: Values of members that are written beside their names, to be shown without the class.
_SHOWN = (str, int, float)
#: The module of a notebook's classes, in its kernel.
_MAIN = "__main__"


def write_record(value: object, writer: Writer) -> Ext:
    """An extension for an instance of a user's class.

    Raises:
        UnfitError: the class is of no family known here.
    """
    cls = type(value)
    if isinstance(value, enum.Enum):
        return _write_enum(value, writer)
    if isinstance(value, tuple):
        return _write_namedtuple(value, writer)
    if _is_model(cls):
        return _write_model(value, writer)
    if hasattr(cls, "__attrs_attrs__"):
        return _write_object(tags.ATTRS, value, writer)
    if hasattr(cls, "__dataclass_fields__"):
        return _write_object(tags.DATACLASS, value, writer)
    raise UnfitError


def missing_class(module: str, qualname: str) -> CodecError:
    """The error for a value whose class (or function) is not defined here."""
    return CodecError(
        f"the class {qualname} is not defined in this kernel: run the cell that "
        f"defines it, or import the module that does ({module})",
    )


def _write_enum(value: enum.Enum, writer: Writer) -> Ext:
    cls = type(value)
    name = value._name_  # a class may give .name another meaning
    if cls._member_map_.get(name) is value:
        shown = (value._value_,) if type(value._value_) in _SHOWN else ()
        return writer.ext(tags.ENUM, (*_name(cls), name, *shown))
    if isinstance(value, enum.Flag):  # a combination has no name of its own
        return writer.ext(tags.FLAG, (*_name(cls), int(value._value_)))
    raise UnfitError


def _write_namedtuple(value: tuple[object, ...], writer: Writer) -> Ext:
    cls = type(value)
    fields = getattr(cls, "_fields", ())
    if len(fields) != len(value) or getattr(value, "__dict__", None):
        raise UnfitError
    if cls.__reduce__ is not object.__reduce__:
        raise UnfitError
    named = dict(zip(fields, value, strict=True))
    return writer.ext(tags.NAMEDTUPLE, (*_name(cls), named))


def _write_model(value: Any, writer: Writer) -> Ext:
    writer.once(value)
    cls = type(value)
    _check_ordinary(cls)
    state: dict[str, Any] = value.__getstate__()
    fields = state["__dict__"]
    parts = (
        *_name(cls),
        _odd(_model_fields(cls), fields),
        fields,
        sorted(state["__pydantic_fields_set__"]),
        state.get("__pydantic_extra__"),
        state.get("__pydantic_private__"),
    )
    return writer.ext(tags.PYDANTIC, parts)


def _write_object(code: int, value: object, writer: Writer) -> Ext:
    writer.once(value)
    cls = type(value)
    _check_ordinary(cls)
    # The instance dict and the slots, even if the class has its own __getstate__.
    state: Any = object.__getstate__(value)
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    slots = slots and without_aside(cls, slots)
    names = [*aside_fields(cls), *(attributes or ()), *(slots or ())]
    if "_attrs_cached_hash" in names:
        # Hashes change from process to process; attrs resets it in its own pickling.
        raise UnfitError
    odd = _odd(_FAMILIES[code].fields(cls), names)
    return writer.ext(code, (*_name(cls), odd, attributes, slots))


def _name(cls: type) -> tuple[str, str]:
    """The module and qualified name by which a reader finds ``cls``."""
    module, qualname = cls.__module__, cls.__qualname__
    try:
        found: object = reduce(getattr, qualname.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        raise UnfitError from None
    if found is not cls:
        raise UnfitError
    return _MAIN if _is_notebook(sys.modules[module]) else module, qualname


def _is_notebook(module: object) -> bool:
    """Whether `nbflow export` made a module of a notebook.

    Its classes are those of the notebook.
    """
    return "__notebook__" in getattr(module, "__dict__", ())


def _check_ordinary(cls: Any) -> None:
    """Raise `UnfitError` for a class that defines how it is made or pickled."""
    if cls.__new__ is not object.__new__:
        raise UnfitError
    if cls.__reduce_ex__ is not object.__reduce_ex__:
        raise UnfitError
    if cls.__reduce__ is not object.__reduce__:
        raise UnfitError
    hooks = (cls.__getstate__, getattr(cls, "__setstate__", None))
    if not all(map(_is_generated, hooks)):
        raise UnfitError


def _is_generated(hook: Callable[..., object] | None) -> bool:
    if hook is None or hook is object.__getstate__:
        return True
    return str(hook.__module__).partition(".")[0] in _GENERATORS


def _odd(declared: Iterable[str], present: Iterable[str]) -> list[str]:
    """The fields that are declared and not set, or set and not declared.

    If reading finds others, the class has changed.
    """
    return sorted(set(declared).symmetric_difference(present))


def _is_enum(cls: type) -> bool:
    return issubclass(cls, enum.Enum)


def _is_model(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _is_flag(cls: type) -> bool:
    return issubclass(cls, enum.Flag)


def _is_tuple(cls: type) -> bool:
    return issubclass(cls, tuple)


def _is_attrs(cls: type) -> bool:
    return hasattr(cls, "__attrs_attrs__")


def _model_fields(cls: Any) -> Iterable[str]:
    fields: dict[str, object] = cls.__pydantic_fields__
    return fields.keys()


def _attrs_fields(cls: type) -> Iterable[str]:
    return [field.name for field in getattr(cls, "__attrs_attrs__", ())]


def _dataclass_fields(cls: Any) -> Iterable[str]:
    return [field.name for field in dataclasses.fields(cls)]


class _Family(NamedTuple):
    """A kind of classes: how to tell that a class is one, and where it declares fields.

    The fields of enums and named tuples are looked at where they are read.
    """

    has: Callable[[type], bool]
    fields: Callable[[type], Iterable[str]] = lambda _: ()


_FAMILIES: dict[int, _Family] = {
    tags.ENUM: _Family(_is_enum),
    tags.FLAG: _Family(_is_flag),
    tags.NAMEDTUPLE: _Family(_is_tuple),
    tags.DATACLASS: _Family(dataclasses.is_dataclass, _dataclass_fields),
    tags.ATTRS: _Family(_is_attrs, _attrs_fields),
    tags.PYDANTIC: _Family(_is_model, _model_fields),
}


#: Classes of nbflow that were saved under another name: by that, what they are now.
_MOVED = {
    ("nbflow._run.sources", "Version"): ("nbflow._call.sources", "Version"),
    ("nbflow.notebook.objects", "_View"): (
        "nbflow.notebook.shared_objects",
        "_ArrayView",
    ),
}


def _find_class(code: int, module: str, qualname: str) -> Any:
    module, qualname = _MOVED.get((module, qualname), (module, qualname))
    try:
        found: object = sys.modules.get(module) or import_module(module)
        found = reduce(getattr, qualname.split("."), found)
    except (ImportError, AttributeError) as error:
        found = _in_notebook(qualname) if module == _MAIN else None
        if found is None:
            raise missing_class(module, qualname) from error
    if not isinstance(found, type) or not _FAMILIES[code].has(found):
        raise CodecError(
            f"{module}.{qualname} is no longer the kind of class that it was when "
            "this was saved"
        )
    return found


def _in_notebook(qualname: str) -> object:
    """The class of this name in the imported modules that were notebooks.

    ``None`` if none of them has it, or several have.
    """
    found = []
    for module in list(sys.modules.values()):
        if _is_notebook(module):
            value: object = module
            for name in qualname.split("."):
                value = getattr(value, name, None)
            if value is not None:
                found.append(value)
    return found[0] if len(found) == 1 else None


def _changed(cls: type) -> CodecError:
    return CodecError(
        f"the class {cls.__qualname__} has changed since: its fields are not those "
        "that were saved"
    )


# Reading: each builds an instance of the parts that were written.


def _enum(parts: list[Any]) -> enum.Enum:
    module, qualname, member, *_ = parts
    cls = _find_class(tags.ENUM, module, qualname)
    members: dict[str, enum.Enum] = cls._member_map_
    if member not in members:
        raise CodecError(
            f"{cls.__qualname__}.{member} was saved, but the class no longer has this "
            "member"
        )
    return members[member]


def _flag(parts: list[Any]) -> object:
    module, qualname, value = parts
    return _find_class(tags.FLAG, module, qualname)(value)


def _namedtuple(parts: list[Any]) -> object:
    module, qualname, fields = parts
    cls = _find_class(tags.NAMEDTUPLE, module, qualname)
    if tuple(fields) != getattr(cls, "_fields", None):
        raise _changed(cls)
    return tuple.__new__(cls, fields.values())


def _model(parts: list[Any]) -> object:
    module, qualname, odd, fields, fields_set, extra, private = parts
    cls = _find_class(tags.PYDANTIC, module, qualname)
    if _odd(_model_fields(cls), fields) != odd:
        raise _changed(cls)
    _check_ordinary(cls)
    model = object.__new__(cls)
    model.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_fields_set__": set(fields_set),
            "__pydantic_extra__": extra,
            "__pydantic_private__": private,
        },
    )
    return model


def _object(parts: list[Any], *, code: int) -> object:
    module, qualname, odd, attributes, slots = parts
    cls = _find_class(code, module, qualname)
    if aside := aside_fields(cls):
        slots = {**aside, **(slots or {})}
    names = [*(attributes or ()), *(slots or ())]
    if _odd(_FAMILIES[code].fields(cls), names) != odd:
        raise _changed(cls)
    instance: object = object.__new__(cls)
    if attributes:
        vars(instance).update(attributes)
    for name, value in (slots or {}).items():
        # Never a property, whose setter would run.
        if type(getattr(cls, name, None)) is not MemberDescriptorType:
            raise _changed(cls)
        object.__setattr__(instance, name, value)
    return instance


# What can be shown of the parts without the class.


def _enum_value(parts: list[Any]) -> object:
    if len(parts) < len(("module", "qualname", "member", "value")):
        raise missing_class(*parts[:2])
    return parts[3]


def _model_values(parts: list[Any]) -> Fields:
    _, qualname, _, fields, _, extra, _ = parts
    return Fields(qualname, fields | (extra or {}))


def _object_values(parts: list[Any]) -> Fields:
    _, qualname, _, attributes, slots = parts
    return Fields(qualname, (attributes or {}) | (slots or {}))


#: How an instance is built of its parts, and what is shown of them where its class is
#: not defined, or has changed.
_BUILT: dict[int, tuple[Callable[[list[Any]], object], Callable[[list[Any]], object]]]
_BUILT = {
    tags.ENUM: (_enum, _enum_value),
    tags.FLAG: (_flag, lambda parts: parts[2]),
    tags.NAMEDTUPLE: (_namedtuple, lambda parts: Fields(*parts[1:])),
    tags.DATACLASS: (partial(_object, code=tags.DATACLASS), _object_values),
    tags.ATTRS: (partial(_object, code=tags.ATTRS), _object_values),
    tags.PYDANTIC: (_model, _model_values),
}


def _read(data: memoryview, read: Read, *, code: int) -> object:
    return _BUILT[code][0](read(data))


def _show(data: memoryview, read: Read, *, code: int) -> object:
    build, show = _BUILT[code]
    parts = read(data)
    try:
        return build(parts)
    except CodecError:
        return show(parts)


READERS: dict[int, ReadExtension] = {code: partial(_read, code=code) for code in _BUILT}
#: The same for what is only shown: `Fields` in the place of an instance that cannot be
#: built.
VIEWERS: dict[int, ReadExtension] = {code: partial(_show, code=code) for code in _BUILT}
