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
    re.Pattern,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    pathlib.PurePath,
    enum.Enum,
    range,
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
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
    ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
)
#: What is code by its identity: another object is another code.
WATCHED = (FunctionType, type, *BUNDLES, *NAMED)
#: Libraries whose objects are values. What the three left out of the standard library
#: put into a class is a part of how the class works.
_LIBRARIES = {"numpy", "pandas", "polars", "pyarrow"} | (
    sys.stdlib_module_names - {"_abc", "typing", "weakref"}
)
#: Of a frame with more columns, or a dict with more fields, the parts are not told
#: apart.
MOST_PARTS = 256
_FRAMES = frozenset(
    (("DataFrame", "pandas"), ("DataFrame", "polars"), ("Table", "pyarrow"))
)
_PARTIAL = (functools.partial, functools.partialmethod)


def is_data(value: object) -> bool:
    """Return whether a value counts by its content, and is not code: a function, class, module or step."""
    value = unwrapped(value)
    if wraps(value) or isinstance(value, (FunctionType, type, *BUNDLES)):
        return False
    return not isinstance(value, NAMED) or is_bound(value)


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


def wraps(value: object) -> bool:
    """Return whether a value is an object around a function.

    A function around a function is none: it has the other one in a closure.
    """
    if isinstance(value, (FunctionType, type)):
        return False
    return holds(value, "__wrapped__") or version_of(value) is not None


def version_of(value: Any) -> object:
    """Return the version that stands for the code of a step, if its author gave one."""
    return value.code_version if holds(value, "code_version") else None


def is_constant(value: object) -> bool:
    """Return whether a value cannot change: the same object is the same content."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if isinstance(value, (tuple, frozenset)) and kind in (tuple, frozenset):
        return all(map(is_constant, value))
    if isinstance(value, enum.Enum):
        return is_constant(value._value_)
    return isinstance(value, _CONSTANTS) and not isinstance(value, File)


def is_kept_in_class(value: object) -> bool:
    """Return whether an attribute of a class is a value that the class holds, not a part of how it works."""
    if isinstance(value, (Iterator, io.IOBase)):
        # Nothing can be said of it, and nobody says that the code reads it.
        return False
    kind = type(value)
    if is_users(kind):
        return True
    if hasattr(kind, "__get__") and not isinstance(value, _PARTIAL):
        return False  # a function, a property, a slot
    return kind.__module__.partition(".")[0] in _LIBRARIES


def is_bound(value: object) -> bool:
    """Return whether this is a method of C that is bound to a value: ``PRICES.get``."""
    if not isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
        return False
    owner = getattr(value, "__self__", None)
    return owner is not None and not isinstance(owner, (ModuleType, type))


class Around:
    """The attributes of a user's object around a function, but for those that `functools.wraps` gave it."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def state(self) -> dict[str, object]:
        """Return them by name."""
        found = attributes(self.thing)
        return {name: item for name, item in found.items() if name[:2] != "__"}


def is_librarys(value: object) -> bool:
    """Return whether this is a function of a library, though it looks like a method.

    `random.choice` and `numpy.random.normal` are methods of an object that the library
    made once for all.
    """
    if not isinstance(value, (types.MethodType, types.BuiltinFunctionType)):
        return False
    if isinstance(value.__self__, (ModuleType, type)):
        return False
    module = sys.modules.get(type(value.__self__).__module__)
    if module is None or is_users(module):
        return False
    return bool(vars(module).get(value.__name__) == value)


def with_article(kind: type) -> str:
    """Return a class as a person names an object of it: ``an Engine``."""
    name = kind.__qualname__
    return f"an {name}" if name[:1] in "AEIOUaeiou" else f"a {name}"


def cells_of(function: FunctionType) -> dict[str, CellType]:
    """Return the cells of a closure by name."""
    names = function.__code__.co_freevars
    return dict(zip(names, function.__closure__ or (), strict=True))


def defaults_of(function: FunctionType) -> list[tuple[str, object]]:
    """Return the defaults of a function by the names of its arguments."""
    code, positional = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    keyword_only = function.__kwdefaults__ or {}
    return [*zip(names, positional, strict=True), *sorted(keyword_only.items())]


def carries(thing: FunctionType | type) -> bool:
    """Return whether a function may hold others: in a closure, or as what it wraps."""
    if not isinstance(thing, FunctionType):
        return False
    return bool(thing.__closure__) or hasattr(thing, "__wrapped__")


def is_frame(value: object) -> bool:
    """Return whether a value is a frame of pandas or polars, or a table of pyarrow."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return (kind.__name__, library) in _FRAMES


def columns_of(frame: Any) -> Iterator[tuple[object, object]]:
    """Yield name and content of each column of a frame; nothing of one with too many to tell apart."""
    if len(frame.columns) > MOST_PARTS:
        return
    library = type(frame).__module__.partition(".")[0]
    if library == "pyarrow":
        yield from zip(frame.column_names, frame.columns, strict=True)
    elif library == "polars":
        yield from ((series.name, series) for series in frame.get_columns())
    else:
        # The values alone: the index and attrs, which each column has as well, are
        # the frame's.
        yield from ((label, column.array) for label, column in frame.items())


def contents(thing: Any) -> dict[str, object]:
    """Return what is inside something around a function."""
    if isinstance(thing, property):
        return {name: getattr(thing, name) for name in ("fget", "fset", "fdel")}
    if isinstance(thing, _PARTIAL):
        found = {"func": thing.func}
        for place, item in enumerate(thing.args):
            found[str(place)] = item
        for name, item in sorted(thing.keywords.items()):
            found[f"{name}="] = item
        return found
    if isinstance(thing, types.MethodType):
        return {"func": thing.__func__, "self": thing.__self__}
    if isinstance(thing, functools.cached_property):
        return {"func": thing.func}
    if isinstance(thing, (classmethod, staticmethod)):
        return {"func": thing.__func__}
    return {"wrapped": thing.__wrapped__, "class": type(thing)}
