"""Whose code is it? The user's counts line by line, everybody else's by its name."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import weakref
from pathlib import Path
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from nbflow._key.annotations import EVALUATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

EMPTY = object()

_FOREIGN = sys.stdlib_module_names - {"__main__"} | {
    *sys.builtin_module_names,
    "nbflow",
}
_PACKAGES = frozenset(("site-packages", "dist-packages"))


@functools.cache
def _foreign_folders() -> tuple[str, ...]:
    stdlib = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    folders = [*stdlib, str(Path(__file__).parents[1])]
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


@functools.lru_cache(maxsize=4096)
def is_users_file(filename: str) -> bool:
    """Return whether a file is the user's: not of Python's library, an installed package or nbflow."""
    path = os.path.realpath(filename)
    if path.startswith(_foreign_folders()):
        return False
    return _PACKAGES.isdisjoint(Path(path).parts)


def is_users_module(name: str) -> bool:
    """Return whether a module is the user's: the notebook, a script, a local module, one made on the fly."""
    module = sys.modules.get(name)
    filename = getattr(module, "__file__", None)
    if not filename:  # a package without an __init__.py has folders only
        filename = next(iter(getattr(module, "__path__", ())), None)
    if name == "__main__" or filename is None:
        return name.partition(".")[0] not in _FOREIGN
    return is_users_file(filename)


def is_users(thing: FunctionType | type | ModuleType) -> bool:
    """Return whether a function, a class or a module is the user's."""
    if isinstance(thing, FunctionType):
        filename = thing.__code__.co_filename
        # A cell has the name of a file that does not exist, and is no file in angle
        # brackets either.
        if not filename.startswith("<"):
            return is_users_file(filename)
        module = str(thing.__globals__.get("__name__", "__main__"))
        return is_users_module(module) and not _is_generated(thing)
    if isinstance(thing, ModuleType):
        return is_users_module(thing.__name__)
    return is_users_module(thing.__module__)


def _is_generated(function: FunctionType) -> bool:
    """Return whether dataclasses, attrs or namedtuple wrote a function; it follows from the fields of its class."""
    code = function.__code__
    return (
        code.co_filename.startswith("<attrs generated")
        or code.co_qualname.startswith("__create_fn__.")
        or str(function.__globals__.get("__name__")).startswith("namedtuple_")
    )


def content(cell: CellType) -> object:
    """Return what a closure holds, ``EMPTY`` before it holds anything."""
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY


def carried(function: FunctionType) -> list[object]:
    """Return what a function carries without naming it: a library's wrapper the user's function, say."""
    inside = [content(cell) for cell in function.__closure__ or ()]
    inside.append(getattr(function, "__wrapped__", None))
    overloads = getattr(function, "registry", {})  # of functools.singledispatch
    return [*inside, *overloads.values()]


def leads_to_users(function: FunctionType, above: tuple[object, ...] = ()) -> bool:
    """Return whether a function is the user's or carries one that is."""
    if is_users(function):
        return True
    inside = [part for part in carried(function) if isinstance(part, FunctionType)]
    above = (*above, function)
    return any(leads_to_users(part, above) for part in inside if part not in above)


def holds(value: object, name: str) -> bool:
    """Return whether an attribute is there without asking ``__getattr__``, which a mock or a proxy answers to all."""
    if name in getattr(value, "__dict__", ()):
        return True
    return any(name in vars(base) for base in type(value).__mro__)


def methods(kind: type) -> dict[str, FunctionType]:
    """Return the functions in a class, the ones inside descriptors too, but none that a decorator generated."""
    found = {}
    for name, item in sorted(vars(kind).items()):
        if name in EVALUATORS:
            continue
        for part, function in _functions(item):
            if leads_to_users(function):
                found[name + part] = function
    return found


_BEHAVES: weakref.WeakKeyDictionary[type, tuple[list[int], bool]] = (
    weakref.WeakKeyDictionary()
)


def behaves(kind: type) -> bool:
    """Return whether objects of a class can do what the user wrote: a class of theirs, or a base, has methods."""
    users = [base for base in kind.__mro__ if is_users(base)]
    sizes = [len(vars(base)) for base in users]  # to notice a method that is added
    known = _BEHAVES.get(kind)
    if known is None or known[0] != sizes:
        known = _BEHAVES[kind] = sizes, any(map(methods, users))
    return known[1]


def _functions(item: object) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions in a member of a class, each with what its name gets in addition."""
    if isinstance(item, FunctionType):
        yield "", item
    elif isinstance(item, property):
        for part in ("fget", "fset", "fdel"):
            for _, function in _functions(getattr(item, part)):
                yield f".{part}", function
    elif isinstance(item, functools.singledispatchmethod):
        for kind, overload in item.dispatcher.registry.items():
            for _, function in _functions(overload):
                yield f".{kind.__qualname__}", function
    elif not isinstance(item, type):
        inner = (
            getattr(item, "__func__", None)
            or getattr(item, "func", None)
            or getattr(item, "__wrapped__", None)
        )
        if inner is not None:
            yield from _functions(inner)
