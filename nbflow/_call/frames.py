"""Frames: a traceback shows the user's lines, none of nbflow's.

What formats an exception reads the exception itself. So it holds the user's frames alone
while it is formatted, and all of them again before a debugger looks at it.
``NBFLOW_TRACEBACK=full`` leaves tracebacks alone.
"""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call.failure import FOREIGN
from nbflow.errors import NbflowError, StepError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The frames of a traceback, the outermost first.
Frames = list[TracebackType]

_OURS = str(Path(__file__).parents[1]) + os.sep
#: What is called from here is the user's, also if it is a function of a library.
_ATTEMPT = str(Path(__file__).with_name("attempt.py"))


class Trace(NamedTuple):
    """What is shown of an exception.

    Attributes:
        frames: the lines of code.
        is_ours: whether nbflow raised it, at the last of them.
        origin: the exception whose causes are shown; that of the user's code for what a
            failed step raises.
    """

    frames: Frames
    is_ours: bool
    origin: BaseException


class _Links(NamedTuple):
    """What an exception says of where it comes from."""

    trace: TracebackType | None
    cause: BaseException | None
    context: BaseException | None
    suppresses: bool

    def put(self, error: BaseException) -> None:
        """Have ``error`` say so, also one whose class lets nobody set anything."""
        put = functools.partial(object.__setattr__, error)
        put("__traceback__", self.trace)
        put("__cause__", self.cause)
        put("__context__", self.context)
        put("__suppress_context__", self.suppresses)  # which a cause sets


#: Exceptions, each with what it said before it was trimmed, by id.
_Trimmed = dict[int, tuple[BaseException, _Links]]


@contextmanager
def of_user(
    error: BaseException, trace: TracebackType | None = None
) -> Iterator[tuple[TracebackType | None, bool]]:
    """Let an exception, and those it comes from, hold the user's frames alone for the block.

    Args:
        error: the exception.
        trace: its traceback, if not the one that it holds.

    Yields:
        The traceback to show, and whether nbflow itself raised the exception.
    """
    top = trace or error.__traceback__
    if os.environ.get("NBFLOW_TRACEBACK") == "full":
        yield top, False
        return
    trimmed: _Trimmed = {}
    try:
        shown = _trim(error, top, trimmed)
        yield error.__traceback__, shown.is_ours
    finally:
        for one, links in trimmed.values():
            links.put(one)


def _trim(
    error: BaseException, trace: TracebackType | None, trimmed: _Trimmed
) -> Trace:
    """Trim an exception, its causes and the members of a group."""
    trimmed[id(error)] = error, _links(error)
    shown = _shown(error, trace)
    _links(shown.origin)._replace(trace=_chained(shown.frames)).put(error)
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for linked in (error.__cause__, error.__context__, *members):
        if linked is not None and id(linked) not in trimmed:
            _trim(linked, linked.__traceback__, trimmed)
    return shown


def _links(error: BaseException) -> _Links:
    return _Links(
        error.__traceback__,
        error.__cause__,
        error.__context__,
        error.__suppress_context__,
    )


def whole(error: BaseException, trace: TracebackType | None) -> TracebackType | None:
    """The traceback that a debugger walks: what a failed step raised goes on with what its code raised."""
    frames, _ = _joined(error, trace)
    return _chained(frames)


def _joined(
    error: BaseException, trace: TracebackType | None
) -> tuple[Frames, BaseException]:
    """The frames down to the user's code that raised, and the exception that it raised.

    What a failed step raises, and what its code raised, are one to the user.
    """
    frames, cause = _frames(trace), error.__cause__
    if not isinstance(error, StepError) or cause is None:
        return frames, error
    below, origin = _joined(cause, cause.__traceback__)
    if _ends_with(frames, below):
        return frames, origin
    if frames and _is_ours(frames[-1]):
        return frames + below, origin
    return frames, error  # the user's code raised it


def _ends_with(frames: Frames, others: Frames) -> bool:
    """Whether frames were joined with these already."""
    tail = frames[len(frames) - len(others) :]
    return [one.tb_frame for one in tail] == [one.tb_frame for one in others]


def _shown(error: BaseException, trace: TracebackType | None) -> Trace:
    frames, origin = _joined(error, trace)
    kept = _of_user(frames)
    is_ours = bool(kept) and kept[-1] is not frames[-1]
    if not kept or (is_ours and _is_a_bug(error, frames)):
        return Trace(_frames(trace), is_ours=False, origin=error)
    return Trace(kept, is_ours, origin)


def _frames(trace: TracebackType | None) -> Frames:
    found = []
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    return found


def _chained(frames: Frames) -> TracebackType | None:
    """The frames as a traceback; the very one they come from if nothing was left out."""
    follows: TracebackType | None = None
    for frame in reversed(frames):
        if frame.tb_next is follows:
            follows = frame
        else:
            follows = TracebackType(
                follows, frame.tb_frame, frame.tb_lasti, frame.tb_lineno
            )
    return follows


def _file(frame: TracebackType) -> str:
    return frame.tb_frame.f_code.co_filename


def _is_ours(frame: TracebackType) -> bool:
    file = _file(frame)
    if file == "<string>":  # what dataclasses write for a class
        return str(frame.tb_frame.f_globals.get("__name__")).startswith("nbflow.")
    return file.startswith(_OURS)


def _of_user(frames: Frames) -> Frames:
    """The frames without nbflow's own, and without those of libraries that it called."""
    kept = []
    is_within = False
    for frame in frames:
        file = _file(frame)
        if _is_ours(frame):
            is_within = file != _ATTEMPT
        elif not (is_within and file.startswith(FOREIGN)):
            is_within = False
            kept.append(frame)
    return kept


def _is_a_bug(error: BaseException, frames: Frames) -> bool:
    """Whether nbflow, or a library below it, raised what it did not mean to: that is reported whole.

    A function of ours that raises another error on purpose says so to all who show
    tracebacks: it has ``__tracebackhide__``.
    """
    if isinstance(error, NbflowError) or not isinstance(error, Exception):
        return False
    last = [frame for frame in frames if _is_ours(frame)][-1]
    return "__tracebackhide__" not in last.tb_frame.f_locals
