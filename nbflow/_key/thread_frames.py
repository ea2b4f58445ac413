"""Thread frames: what another thread does right now."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from nbflow._key import fork

if TYPE_CHECKING:
    from types import FrameType

_MUTEX = fork.free_lock()


def frame_of(thread: int) -> FrameType | None:
    """Return the frame that a thread is in, by its identifier; ``None`` if it has ended.

    Garbage is not collected meanwhile: Python holds its list of threads while it makes
    the frames, and code that a collection runs may wait for a thread that waits for that
    list. The process would stand still for ever (cpython issue 106883, mended in 3.11.9
    and 3.12).
    """
    with _MUTEX:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames().get(thread)  # noqa: SLF001  # there is no other way
        finally:
            if collects:
                gc.enable()
