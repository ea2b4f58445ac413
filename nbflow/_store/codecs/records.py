"""Instances of the user's classes by field: enums, named tuples, dataclasses, attrs and pydantic models.

No ``__init__`` and no validation runs on reading: state is put back as it was. A class
is found by its name, must be of the family that was saved, and must declare the fields
that it declared then. A class that says itself how it is pickled, or that extends a
built-in, is left to pickle.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from functools import partial, reduce
from importlib import import_module
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from nbflow._store.codecs import tags
from nbflow._store.codecs.plain import UnfitError
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec.msgpack import Ext

    from nbflow._store.codecs.plain import Read, ReadExtension, Writer

# Who generates a __getstate__ or __setstate__ that is not the user's own say.
_GENERATORS = frozenset(("dataclasses", "attr", "pydantic"))
#: What a notebook's classes belong to, in its kernel.
_MAIN = "__main__"


def write_record(value: Any, writer: Writer) -> Ext:
    """An extension for an instance of a user's class; ``UnfitError`` when it is of no family known here."""
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
    """What to tell when a class (or a function) that a value needs is not there."""
    return CodecError(
        f"the class {qualname} is not defined in this kernel: run the cell that defines it, "
        f"or import the module that does ({module})",
    )


def _write_enum(value: enum.Enum, writer: Writer) -> Ext:
    cls = type(value)
    name = value._name_  # a class may give .name another meaning
    if cls._member_map_.get(name) is value:
        return writer.ext(tags.ENUM, (*_name(cls), name))
    if isinstance(value, enum.Flag):  # a combination has no name of its own
        return writer.ext(tags.FLAG, (*_name(cls), int(value._value_)))
    raise UnfitError


def _write_namedtuple(value: Any, writer: Writer) -> Ext:
    cls: Any = type(value)
    fields = getattr(cls, "_fields", ())
    if (
        len(fields) != len(value)
        or cls.__reduce__ is not object.__reduce__
        or getattr(value, "__dict__", None)
    ):
        raise UnfitError
    return writer.ext(
        tags.NAMEDTUPLE, (*_name(cls), dict(zip(fields, value, strict=True)))
    )


def _write_model(value: Any, writer: Writer) -> Ext:
    writer.once(value)
    cls = type(value)
    _check_ordinary(cls)
    state = value.__getstate__()
    fields = state["__dict__"]
    return writer.ext(
        tags.PYDANTIC,
        (
            *_name(cls),
            _odd(_model_fields(cls), fields),
            fields,
            sorted(state["__pydantic_fields_set__"]),
            state.get("__pydantic_extra__"),
            state.get("__pydantic_private__"),
        ),
    )


def _write_object(code: int, value: Any, writer: Writer) -> Ext:
    writer.once(value)
    cls = type(value)
    _check_ordinary(cls)
    state = object.__getstate__(
        value
    )  # instance dict and slots, whatever the class made of __getstate__
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    names = [*(attributes or ()), *(slots or ())]
    if (
        "_attrs_cached_hash" in names
    ):  # hashes change from process to process; attrs resets it in its own pickling
        raise UnfitError
    return writer.ext(
        code, (*_name(cls), _odd(_FAMILIES[code][1](cls), names), attributes, slots)
    )


def _name(cls: type) -> tuple[str, str]:
    module, qualname = cls.__module__, cls.__qualname__
    try:
        found: Any = reduce(getattr, qualname.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        raise UnfitError from None
    if found is not cls:
        raise UnfitError
    return _MAIN if _is_notebook(sys.modules[module]) else module, qualname


def _is_notebook(module: object) -> bool:
    """Tell whether a module is what `nbflow export` made of a notebook: its classes are those of the notebook."""
    return "__notebook__" in getattr(module, "__dict__", ())


def _check_ordinary(cls: Any) -> None:
    ordinary = cls.__new__ is object.__new__ and (
        cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
    )
    hooks = (cls.__getstate__, getattr(cls, "__setstate__", None))
    if not ordinary or not all(_is_generated(hook) for hook in hooks):
        raise UnfitError


def _is_generated(hook: Any) -> bool:
    if hook is None or hook is object.__getstate__:
        return True
    return str(hook.__module__).partition(".")[0] in _GENERATORS


def _odd(declared: Iterable[str], present: Iterable[str]) -> list[str]:
    """Declared and not set, or set and not declared: another answer on reading means that the class has changed."""
    return sorted(set(declared).symmetric_difference(present))


def _is_enum(cls: type) -> bool:
    return issubclass(cls, enum.Enum)


def _is_model(cls: type) -> bool:
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _model_fields(cls: Any) -> Iterable[str]:
    return cls.__pydantic_fields__.keys()  # type: ignore[no-any-return]


def _attrs_fields(cls: Any) -> Iterable[str]:
    return [field.name for field in cls.__attrs_attrs__]


def _dataclass_fields(cls: Any) -> Iterable[str]:
    return [field.name for field in dataclasses.fields(cls)]


_FAMILIES: dict[int, tuple[Callable[[type], bool], Callable[[Any], Iterable[str]]]] = {
    tags.ENUM: (_is_enum, lambda cls: cls._member_map_),
    tags.FLAG: (lambda cls: issubclass(cls, enum.Flag), lambda _: ()),
    tags.NAMEDTUPLE: (
        lambda cls: issubclass(cls, tuple),
        lambda cls: getattr(cls, "_fields", ()),
    ),
    tags.DATACLASS: (dataclasses.is_dataclass, _dataclass_fields),
    tags.ATTRS: (lambda cls: hasattr(cls, "__attrs_attrs__"), _attrs_fields),
    tags.PYDANTIC: (_is_model, _model_fields),
}


def _find_class(code: int, module: str, qualname: str) -> Any:
    try:
        found: Any = sys.modules.get(module) or import_module(module)
        found = reduce(getattr, qualname.split("."), found)
    except (ImportError, AttributeError) as error:
        found = _in_notebook(qualname) if module == _MAIN else None
        if found is None:
            raise missing_class(module, qualname) from error
    if not isinstance(found, type) or not _FAMILIES[code][0](found):
        raise CodecError(
            f"{module}.{qualname} is not the kind of class any more that it was when this was saved"
        )
    return found


def _in_notebook(qualname: str) -> Any:
    """The class of this name in the one imported module that was a notebook and has it; else ``None``."""
    notebooks: list[Any] = [
        module for module in list(sys.modules.values()) if _is_notebook(module)
    ]
    found: list[Any] = [
        value
        for module in notebooks
        if (
            value := reduce(
                lambda inner, name: getattr(inner, name, None),
                qualname.split("."),
                module,
            )
        )
        is not None
    ]
    return found[0] if len(found) == 1 else None


def _changed(cls: type) -> CodecError:
    return CodecError(
        f"the class {cls.__qualname__} has changed since: its fields are not those that were saved"
    )


def _read_enum(data: memoryview, read: Read) -> Any:
    *name, member = read(data)
    cls = _find_class(tags.ENUM, *name)
    if member not in cls._member_map_:
        raise CodecError(
            f"{cls.__qualname__}.{member} was saved, and the class has no such member any more"
        )
    return cls._member_map_[member]


def _read_flag(data: memoryview, read: Read) -> Any:
    *name, value = read(data)
    return _find_class(tags.FLAG, *name)(value)


def _read_namedtuple(data: memoryview, read: Read) -> Any:
    *name, fields = read(data)
    cls = _find_class(tags.NAMEDTUPLE, *name)
    if tuple(fields) != getattr(cls, "_fields", None):
        raise _changed(cls)
    return tuple.__new__(cls, fields.values())


def _read_model(data: memoryview, read: Read) -> Any:
    module, qualname, odd, fields, fields_set, extra, private = read(data)
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


def _read_object(data: memoryview, read: Read, *, code: int) -> Any:
    module, qualname, odd, attributes, slots = read(data)
    cls = _find_class(code, module, qualname)
    if _odd(_FAMILIES[code][1](cls), [*(attributes or ()), *(slots or ())]) != odd:
        raise _changed(cls)
    instance = object.__new__(cls)
    if attributes:
        vars(instance).update(attributes)
    for name, value in (slots or {}).items():
        if (
            type(getattr(cls, name, None)) is not MemberDescriptorType
        ):  # never a property: that would run its setter
            raise _changed(cls)
        object.__setattr__(instance, name, value)
    return instance


READERS: dict[int, ReadExtension] = {
    tags.ENUM: _read_enum,
    tags.FLAG: _read_flag,
    tags.NAMEDTUPLE: _read_namedtuple,
    tags.DATACLASS: partial(_read_object, code=tags.DATACLASS),
    tags.ATTRS: partial(_read_object, code=tags.ATTRS),
    tags.PYDANTIC: _read_model,
}
