"""Names of Python's library as Python 3.11 has them: what a later one moved or renamed is the same thing.

A function or class that is not the user's counts by the module and the name that it
says it has. Those differ between Pythons where it was rewritten, and a notebook and its
job may run on two of them.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

#: Modules that were split or got a private half; their names are otherwise as before.
_MODULES = {
    "pathlib._local": "pathlib",  # Python 3.13 only
    "_py_warnings": "warnings",
    "math.integer": "math",
    "zipfile._path": "zipfile",
    "_decimal": "decimal",
}
#: (module, name) -> the same in Python 3.11.
_NAMES = {
    ("re", "prefixmatch"): ("re", "match"),
    ("re", "PatternError"): ("re", "error"),
    ("_io", "open"): ("io", "open"),
    ("_io", "open_code"): ("io", "open_code"),
    ("_io", "text_encoding"): ("io", "text_encoding"),
    ("signal", "ItimerError"): ("signal", "itimer_error"),
    ("annotationlib", "ForwardRef"): ("typing", "ForwardRef"),
    ("annotationlib", "get_annotations"): ("inspect", "get_annotations"),
    ("genericpath", "islink"): ("posixpath", "islink"),
    ("genericpath", "lexists"): ("posixpath", "lexists"),
    ("genericpath", "isjunction"): ("posixpath", "isjunction"),
    ("posix", "_path_normpath"): ("posixpath", "normpath"),
    ("posix", "_path_splitroot_ex"): ("posixpath", "splitroot"),
    ("_asyncio", "current_task"): ("asyncio.tasks", "current_task"),
    ("_asyncio", "all_tasks"): ("asyncio.tasks", "all_tasks"),
    ("_thread", "lock"): ("_thread", "allocate_lock"),
}
#: What was a function of Python in 3.11 and is one of C now, or the other way round.
_IN_PYTHON = frozenset(
    (
        ("posixpath", "normpath"),
        ("posixpath", "splitroot"),
        ("asyncio.tasks", "current_task"),
        ("asyncio.tasks", "all_tasks"),
    )
)
_IN_C = frozenset((("_thread", "allocate_lock"),))
#: Values that stand for nothing, by the class that they had in Python 3.11.
_MARKS = (
    (dataclasses.MISSING, "_MISSING_TYPE"),
    (dataclasses.KW_ONLY, "_KW_ONLY_TYPE"),
)


def name_of(thing: Any, tag: str) -> tuple[str, str, str]:
    """Return how a function or class that is not the user's is known: a tag, a module and a name in it.

    Args:
        thing: the function or class.
        tag: ``"installed"`` for what is written in Python, ``"named"`` for what is
            written in C.
    """
    name = (
        getattr(thing, "__qualname__", None)
        or getattr(thing, "__name__", None)
        or type(thing).__qualname__
    )
    module = str(getattr(thing, "__module__", None))
    module, name = _NAMES.get((module, name), (_MODULES.get(module, module), name))
    if (module, name) in _IN_PYTHON:
        tag = "installed"
    elif (module, name) in _IN_C:
        tag = "named"
    return tag, module, name


def is_special_form(thing: object) -> bool:
    """Return whether this is ``typing.Union``, a class since Python 3.14 and no class before."""
    return thing is typing.Union


def is_special_class(thing: object) -> bool:
    """Return whether this is ``typing.Annotated``, a class up to Python 3.12 and no class since."""
    return thing is typing.Annotated


def mark(value: object) -> str | None:
    """Return the class that a value which stands for nothing had in Python 3.11, ``None`` for other values."""
    return next((name for known, name in _MARKS if value is known), None)
