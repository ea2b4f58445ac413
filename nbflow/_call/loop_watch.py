"""LoopWatch: whose async code holds up the event loop.

Measured from outside, by looks at what the loop's thread does, so that no call pays for
it. A slow machine holds up who looks as well, and is not told.
"""

from __future__ import annotations

import time
from types import FrameType

from nbflow._call.attempt import aattempt
from nbflow._key.thread_frames import frame_of

__all__ = ["LoopWatch"]

#: Seconds between two looks, and looks in a row at one turn of the loop that are too many.
_EVERY, _LOOKS = 0.2, 3


class LoopWatch:
    """Looks at one thread, at times of the caller's."""

    def __init__(self) -> None:
        from asyncio import Handle

        #: What a loop runs at each turn.
        self._code = Handle._run.__code__  # noqa: SLF001  # there is no other mark of it
        self._turn: FrameType | None = None
        self._looks = 0
        self._last = 0.0
        #: Who was told already.
        self._told: set[str] = set()

    def look(self, thread: int | None) -> str | None:
        """What to tell of the loop on this thread; each step and flow once."""
        now = time.monotonic()
        since, frame = now - self._last, None
        if since < _EVERY:
            return None
        self._last = now
        if thread is not None:
            frame = frame_of(thread)
        turn = _outward(frame, self._code)
        self._looks = (
            self._looks + 1 if turn is self._turn and since < 2 * _EVERY else 1
        )
        self._turn = turn
        if turn is None or self._looks < _LOOKS:
            return None
        return self._tell(frame)

    def _tell(self, frame: FrameType | None) -> str | None:
        inner = None
        while frame is not None and not _is_ours(frame):
            inner, frame = frame, _behind(frame)
        # Other code of ours waits for the store, or for a sync step, which is told apart.
        if inner is None or frame is None or frame.f_code is not aattempt.__code__:
            return None
        caller = _behind(frame)
        call = caller.f_locals.get("call") if caller is not None else None
        if call is None:
            return None
        who = f"async {'flow' if call.is_flow else 'step'} {call.name!r}"
        if who in self._told:
            return None
        self._told.add(who)
        return (
            f"The {who} holds up the event loop in line {inner.f_lineno}; everything else"
            " waits. It computes there, or waits for something that is not awaited:"
            " write `await asyncio.to_thread(...)`, use an async client, or make it `def`."
        )


def _outward(frame: FrameType | None, code: object) -> FrameType | None:
    while frame is not None and frame.f_code is not code:
        frame = _behind(frame)
    return frame


def _behind(frame: FrameType) -> FrameType | None:
    """The frame that called this one.

    Its thread goes on meanwhile: what is there may be no frame any more.
    """
    found: object = frame.f_back
    return found if isinstance(found, FrameType) else None


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("nbflow.")
