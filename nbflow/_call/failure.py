"""Failure: an exception as the ledger keeps it: type, message, the user's own frames, and no values."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._core.entry import Failure
from nbflow._key.secret import KNOWN
from nbflow.errors import StepError, failed_call

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Frames of these folders are left out of tracebacks: nbflow's own, installed packages,
#: the standard library.
_FOREIGN = tuple(
    str(folder) + os.sep
    for folder in {
        Path(__file__).parents[1],
        *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    }
)
_MESSAGE_LENGTH = 2_000


def text_of(error: BaseException) -> str:
    """The message of an exception, whatever its ``__str__`` does, without secrets."""
    try:
        text = KNOWN.mask(str(error))
    except Exception as broken:
        return f"(its message raised {type(broken).__name__})"
    return text if len(text) <= _MESSAGE_LENGTH else text[:_MESSAGE_LENGTH] + " ..."


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


def of(error: BaseException, step: str | None = None) -> Failure:
    """``error`` as an entry of the ledger."""
    cause, inner, _ = root(error)
    frames = "".join(_lines(cause))
    return Failure(inner or step, type(cause).__name__, text_of(cause), frames)


def _lines(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(_FOREIGN):
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
