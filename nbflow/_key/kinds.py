"""Kinds: what a value is to the code that reads it: code, something around code, a constant, data."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Iterator
from types import CellType, FunctionType, ModuleType
from typing import Any

from nbflow._key.file import File
from nbflow._key.origin import holds, is_users
from nbflow._key.value import attributes

_ATOMS = frozenset(
    (str, bytes, int, float, bool, complex, types.NoneType, types.EllipsisType)
)
_CONSTANTS = (
    *(
        re.Pattern,
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
        pathlib.PurePath,
        enum.Enum,
        range,
    ),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo),
)

#: Things around a function.
BUNDLES = (
    property,
    classmethod,
    staticmethod,
    functools.cached_property,
    functools.partial,
    functools.partialmethod,
    types.MethodType,
)
#: What is known by its name alone.
NAMED = (
    *(
        ModuleType,
        types.BuiltinFunctionType,
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
    ),
    *(
        types.MethodWrapperType,
        types.ClassMethodDescriptorType,
        types.GetSetDescriptorType,
    ),
)
#: What is code by its identity: another object is another code.
WATCHED = (FunctionType, type, *BUNDLES, *NAMED)
_LIBRARIES = frozenset(
    ("numpy", "pandas", "polars", "pyarrow")
) | sys.stdlib_module_names - {"_abc", "typing", "weakref"}
_PARTIAL = (functools.partial, functools.partialmethod)


def is_data(value: object) -> bool:
    """Tell whether a value counts by its content, and is not code: a function, class, module or step."""
    value = unwrapped(value)
    return not (
        wraps(value)
        or isinstance(value, (FunctionType, type, *BUNDLES))
        or (isinstance(value, NAMED) and not is_bound(value))
    )


#: What ``lazy import`` binds until the name is used, since Python 3.15.
_LAZY: Any = getattr(types, "LazyImportType", ())


def loaded(value: Any) -> Any:
    """Return what a lazy import stands for, itself if that cannot be imported; any other value as it is."""
    if isinstance(value, _LAZY):
        # The user's code will meet what is raised, and say so better.
        with contextlib.suppress(Exception):
            return value.resolve()
    return value


def is_module(value: object) -> bool:
    """Return whether this is a module, or a lazy import, which is one in most cases."""
    return isinstance(value, (ModuleType, _LAZY or ModuleType))


def unwrapped(value: Any) -> Any:
    """Return what a step or a wrapper of a library stands for, unless it has a version of its own."""
    value = loaded(value)
    while wraps(value) and not is_users(type(value)) and version_of(value) is None:
        value = value.__wrapped__
    return value


def wraps(value: Any) -> bool:
    """Tell whether a value is an object around a function; a function around a function has it in a closure."""
    return not isinstance(value, (FunctionType, type)) and (
        holds(value, "__wrapped__") or version_of(value) is not None
    )


def version_of(value: Any) -> object:
    """Return the version that stands for the code of a step, if its author gave one."""
    return value.code_version if holds(value, "code_version") else None


def is_constant(value: object) -> bool:
    """Tell whether a value cannot change: the same object is the same content."""
    if type(value) in (tuple, frozenset):
        return all(map(is_constant, value))  # type: ignore[call-overload]
    if isinstance(value, enum.Enum):
        return is_constant(value._value_)
    return type(value) in _ATOMS or (
        isinstance(value, _CONSTANTS) and not isinstance(value, File)
    )


def is_kept_in_class(value: object) -> bool:
    """Tell whether an attribute of a class is a value that the class holds, not a part of how it works."""
    kind = type(value)
    works = hasattr(kind, "__get__") and not isinstance(
        value, _PARTIAL
    )  # a function, a property, a slot
    if isinstance(value, (Iterator, io.IOBase)):
        return (
            False  # nothing can be said of it, and nobody says that the code reads it
        )
    return is_users(kind) or (
        not works and kind.__module__.partition(".")[0] in _LIBRARIES
    )


def is_bound(value: object) -> bool:
    """Tell whether this is a method of C that is bound to a value: ``PRICES.get``."""
    owner = (
        getattr(value, "__self__", None)
        if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType))
        else None
    )
    return owner is not None and not isinstance(owner, (ModuleType, type))


class Around:
    """The attributes of an object of the user's around a function, but for those that `functools.wraps` gave it."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def state(self) -> dict[str, object]:
        """Return them by name."""
        return {
            name: item
            for name, item in attributes(self.thing).items()
            if name[:2] != "__"
        }


def is_librarys(value: object) -> bool:
    """Tell whether this is a function of a library though it looks like a method: `random.choice`, `numpy.random.normal`."""
    if not isinstance(
        value, (types.MethodType, types.BuiltinFunctionType)
    ) or isinstance(value.__self__, (ModuleType, type)):
        return False
    module = sys.modules.get(type(value.__self__).__module__)
    return (
        module is not None
        and not is_users(module)
        and vars(module).get(value.__name__) == value
    )


def with_article(kind: type) -> str:
    """Return a class as a person names an object of it: ``an Engine``."""
    return (
        f"{'an' if kind.__qualname__[:1] in 'AEIOUaeiou' else 'a'} {kind.__qualname__}"
    )


def cells_of(function: FunctionType) -> dict[str, CellType]:
    """Return the cells of a closure by name."""
    return dict(
        zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    )


def defaults_of(function: FunctionType) -> list[tuple[str, object]]:
    """Return the defaults of a function by the names of its arguments."""
    code, positional = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    return [
        *zip(names, positional, strict=True),
        *sorted((function.__kwdefaults__ or {}).items()),
    ]


def carries(thing: FunctionType | type) -> bool:
    """Tell whether a function holds others: in a closure, or as what it wraps."""
    return isinstance(thing, FunctionType) and bool(
        thing.__closure__ or hasattr(thing, "__wrapped__")
    )


def contents(thing: Any) -> dict[str, object]:
    """Return what is inside something around a function."""
    if isinstance(thing, property):
        return {name: getattr(thing, name) for name in ("fget", "fset", "fdel")}
    if isinstance(thing, _PARTIAL):
        keywords = {f"{name}=": value for name, value in sorted(thing.keywords.items())}
        return {
            "func": thing.func,
            **{str(place): item for place, item in enumerate(thing.args)},
            **keywords,
        }
    if isinstance(thing, types.MethodType):
        return {"func": thing.__func__, "self": thing.__self__}
    if isinstance(thing, functools.cached_property):
        return {"func": thing.func}
    if isinstance(thing, (classmethod, staticmethod)):
        return {"func": thing.__func__}
    return {"wrapped": thing.__wrapped__, "class": type(thing)}
