"""Failure: an exception as the ledger keeps it: type, message, the user's own frames, and no values."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nbflow._core.entry import Failure
from nbflow._key.secret import KNOWN
from nbflow.errors import StepError, failed_call

if TYPE_CHECKING:
    from collections.abc import Iterator

E = TypeVar("E", bound=BaseException)

#: What asyncio says of a client, lock or queue that belongs to another event loop.
_OTHER_LOOP = ("different event loop", "different loop", "Event loop is closed")
_LOOPS = (
    " (something made for one event loop was used on another: runs and step.sync() use"
    " nbflow's, `await` in a cell uses the kernel's)"
)
#: Frames of these folders are left out of tracebacks: nbflow's own, installed packages,
#: the standard library.
FOREIGN = tuple(
    str(folder) + os.sep
    for folder in {
        Path(__file__).parents[1],
        *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    }
)
_MESSAGE_LENGTH = 2_000
#: Fields of a record that a message names.
_NAMED = 12


def text_of(error: BaseException) -> str:
    """The message of an exception, whatever its ``__str__`` does, without secrets."""
    try:
        text = KNOWN.mask(str(error))
    except Exception as broken:
        return f"(its message raised {type(broken).__name__})"
    if len(text) > _MESSAGE_LENGTH:
        return text[:_MESSAGE_LENGTH] + " ..."
    if isinstance(error, RuntimeError) and any(sign in text for sign in _OTHER_LOOP):
        return text + _LOOPS
    return text


def describe(error: BaseException) -> str:
    """Type and message, on one line."""
    message = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def root(error: BaseException) -> tuple[BaseException, str | None, int]:
    """The user's exception at the bottom of nested steps, the innermost step that failed, and its attempts.

    Of several that failed together (an ``asyncio.TaskGroup``) the first speaks for all.
    """
    step, attempts = None, 0
    while True:
        call = failed_call(error)
        if call is not None:
            step, attempts = call.step, call.attempts
        if isinstance(error, StepError) and error.__cause__ is not None:
            error = error.__cause__
        elif isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            return error, step, attempts


def of(error: BaseException, step: str | None = None, record: object = None) -> Failure:
    """``error`` as an entry of the ledger; ``record``: the one under way."""
    cause, inner, _ = root(error)
    frames = "".join(_lines(cause))
    message = no_field(cause, record) or text_of(cause)
    return Failure(inner or step, type(cause).__name__, message, frames)


def no_field(error: BaseException, record: object) -> str | None:
    """What a ``KeyError`` means where the code asked the record for a field that it has not.

    No retry helps there; ``None`` for any other error.
    """
    if type(error) is not KeyError or type(record) is not dict:
        return None
    name = error.args[0] if error.args and error.__traceback__ is not None else None
    if not isinstance(name, str) or name in record or not _asked(error, record):
        return None
    fields = list(map(repr, record))
    more = ", ..." if len(fields) > _NAMED else ""
    has = ", ".join(fields[:_NAMED]) + more
    return KNOWN.mask(f"the record has no {name!r}; it has {has or 'no fields'}")


def _asked(error: BaseException, record: dict[Any, Any]) -> bool:
    """Whether it was the record that was asked where the error was raised: ``thread["text"]``.

    Each flow has a copy of it, which is known by its fields.
    """
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    asked = frame.f_locals.get(_asked_name(error))
    return type(asked) is dict and asked.keys() == record.keys()


def _asked_name(error: BaseException) -> str:
    """Return the name of what was indexed, or asked by a method, where the error was raised."""
    *_, place = traceback.extract_tb(error.__traceback__)
    line = linecache.getline(place.filename, place.lineno or 0).encode()
    text = line[place.colno : place.end_colno].decode(errors="replace")
    found = re.fullmatch(r"(\w+)(\[[^\[\]]*\]|\.\w+\([^()]*\))", text)
    return found[1] if found else ""


def _lines(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(FOREIGN):
            yield f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}\n"
            if frame.line:
                yield f"    {frame.line}\n"


def _place(filename: str) -> str:
    """What a person calls a file: of a cell, ``Cell In[7]``, not the file that does not exist."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    said = name(filename) if name is not None else None
    return " ".join(said) if said else filename


def caused(error: E, cause: BaseException | None) -> E:
    """Return ``error`` as ``raise error from cause`` raises it."""
    error.__cause__ = cause
    return error
