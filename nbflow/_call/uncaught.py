"""Uncaught: how Python shows what ends a script, or one of its threads: with the user's frames alone."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


def install() -> None:
    """Show the user's frames alone, the way that was in place before."""
    script, thread = sys.excepthook, threading.excepthook

    def at_end(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        from nbflow._call import frames

        with frames.of_user(error, trace) as (shown, _):
            script(kind, error, shown)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        from nbflow._call import frames

        if args.exc_value is None:
            thread(args)
            return
        with frames.of_user(args.exc_value, args.exc_traceback) as (shown, _):
            kept = (args.exc_type, args.exc_value, shown, args.thread)
            thread(threading.ExceptHookArgs(kept))

    sys.excepthook, threading.excepthook = at_end, in_thread
