"""Tracebacks: how IPython shows an exception in a cell: with the user's frames alone, in every mode of ``%xmode``.

Debuggers still see all frames.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any

from nbflow._call import frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
#: What is before the line of a frame that runs.
_ARROW = re.compile(r"-+> *\d")


def install(ipython: Any) -> None:
    """Show so what an IPython shows from now on."""
    formatter = ipython.InteractiveTB
    if hasattr(formatter, "_nbflow"):
        return
    formatter._nbflow = True  # noqa: SLF001  # a mark of ours on their object
    format_ = formatter.structured_traceback

    @functools.wraps(format_)
    def structured_traceback(
        kind: Any, error: Any, trace: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        if error is None or isinstance(trace, tuple | list):  # it calls itself
            return list(format_(kind, error, trace, *args, **kwargs))
        with frames.of_user(error, trace) as (shown, is_ours):
            lines = list(format_(kind, error, shown, *args, **kwargs))
        _tell_debuggers(error, trace)
        return list(map(_short, lines)) if is_ours else lines

    formatter.structured_traceback = structured_traceback
    ipython.showtraceback = _of_groups(ipython.showtraceback)


def _tell_debuggers(error: BaseException, trace: TracebackType | None) -> None:
    """``%debug`` begins where the user's code raised, and goes up from there through all frames."""
    if trace is not None and getattr(sys, "last_traceback", None) is trace:
        sys.last_traceback = frames.whole(error, trace)
        object.__setattr__(error, "__traceback__", sys.last_traceback)


def _short(part: str) -> str:
    """Of a frame, its place and the line that runs: what nbflow says of a call needs no lines around it."""
    place, *lines = part.rstrip("\n").split("\n")
    running = [line for line in lines if _ARROW.match(_COLOURS.sub("", line))]
    return "\n".join([place, *running, ""]) if running else part


def _of_groups(show: Callable[..., None]) -> Callable[..., None]:
    """IPython leaves groups of exceptions to Python, which reads the exception at hand."""

    @functools.wraps(show)
    def showtraceback(*args: Any, **kwargs: Any) -> None:
        error = sys.exception()
        if error is None or not _has_group(error):
            show(*args, **kwargs)
            return
        with frames.of_user(error):
            show(*args, **kwargs)
        sys.last_traceback = error.__traceback__

    return showtraceback


def _has_group(error: BaseException | None) -> bool:
    """Whether IPython finds a group in an exception or in what it comes from."""
    return error is not None and (
        isinstance(error, BaseExceptionGroup) or _has_group(error.__context__)
    )
