"""Whose code is it? The user's counts line by line, everybody else's by its name."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, ModuleType

_PACKAGES = frozenset(("site-packages", "dist-packages"))


@functools.cache
def _foreign_folders() -> tuple[str, ...]:
    stdlib = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    return tuple(os.path.realpath(path) + os.sep for path in (*stdlib, str(Path(__file__).parents[1])))


@functools.lru_cache(maxsize=4096)
def is_users_file(filename: str) -> bool:
    """Tell whether a file is the user's: not of Python's library, an installed package or nbflow."""
    path = os.path.realpath(filename)
    return not path.startswith(_foreign_folders()) and _PACKAGES.isdisjoint(Path(path).parts)


def is_users_module(name: str) -> bool:
    """Tell whether a module is the user's: the notebook, a script, a local module, one made on the fly."""
    module = sys.modules.get(name)
    if name == "__main__" or (module is None and name.partition(".")[0] not in sys.stdlib_module_names):
        return True
    filename = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if filename is None:
        return name.partition(".")[0] not in (*sys.stdlib_module_names, *sys.builtin_module_names)
    return is_users_file(filename)


def is_users(thing: FunctionType | type | ModuleType) -> bool:
    """Tell whether a function, a class or a module is the user's."""
    if isinstance(thing, FunctionType):
        filename = thing.__code__.co_filename
        if not filename.startswith("<"):  # a cell has the name of a file that does not exist
            return is_users_file(filename)
        return is_users_module(str(thing.__globals__.get("__name__", "__main__")))
    return is_users_module(thing.__name__ if isinstance(thing, ModuleType) else thing.__module__)
