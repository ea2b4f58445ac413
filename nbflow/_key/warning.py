"""Warning: tells the user something, at the line of the user's code that led to it."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import TYPE_CHECKING

from nbflow._key.origin import is_users_file
from nbflow._key.thread_frames import frame_of

if TYPE_CHECKING:
    from types import FrameType


def warn(text: str, kind: type[Warning]) -> None:
    """Warn at the innermost line of the user's code.

    A thread of nbflow itself has none: then it is the line at which the main thread
    stands, such as the cell that waits for a run.
    """
    main = threading.main_thread().ident or 0
    current = sys._getframe(1)  # noqa: SLF001  # as `warnings.warn` does
    frame = _users(current) or _users(frame_of(main))
    if frame is None:
        warnings.warn(text, kind, stacklevel=2)
        return
    warnings.warn_explicit(
        text,
        kind,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _users(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame of the user's code, from one outwards."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith("<frozen") and is_users_file(name):
            return frame
        frame = frame.f_back
    return None
