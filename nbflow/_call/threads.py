"""Threads: code that a step starts on threads of its own belongs to the step's call.

Python starts a thread without the context it was started in (3.14 can be told to keep
it), and a pool runs a task on a thread that anybody may have started. So both doors are
wrapped once, as tracers do: ``Thread.start`` and ``ThreadPoolExecutor.submit`` hand on
the call under way, and nothing else of the context. Outside a call they do what they
did.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any

from nbflow._call.scope import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._call.scope import Scope

#: How the names of nbflow's own threads begin; they run what has its context with it.
_OWN = "nbflow-"
_mutex = threading.Lock()


def carry() -> None:
    """Let threads and tasks of pools that are started under a call belong to it, from now on."""
    with _mutex:
        if not hasattr(threading.Thread.start, "carries_calls"):
            threading.Thread.start = _carrying(threading.Thread.start)  # type: ignore[method-assign]  # see above
            ThreadPoolExecutor.submit = _handing_on(ThreadPoolExecutor.submit)  # type: ignore[method-assign]  # see above


def is_foreign() -> bool:
    """Return whether this is a thread that neither Python's main program nor nbflow started."""
    thread = threading.current_thread()
    is_main = thread is threading.main_thread()
    return not is_main and not thread.name.startswith(_OWN)


def _carrying(start: Callable[[threading.Thread], None]) -> Callable[..., None]:
    @wraps(start)
    def carrying(thread: threading.Thread) -> None:
        scope = SCOPE.get()
        if scope is not None and not thread.name.startswith(_OWN):
            run = thread.run

            def run_inside() -> None:
                SCOPE.set(scope)  # of a context that is the thread's own
                run()

            thread.run = run_inside  # type: ignore[method-assign]  # on this thread alone
        start(thread)

    carrying.carries_calls = True  # type: ignore[attr-defined]  # `carry` asks for it
    return carrying


def _handing_on(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def handing_on(
        pool: ThreadPoolExecutor,
        function: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        scope = SCOPE.get()
        if scope is None:
            return submit(pool, function, *args, **kwargs)
        token = SCOPE.set(None)  # the pool's threads outlive the call
        try:
            return submit(pool, _inside, scope, function, args, kwargs)
        finally:
            SCOPE.reset(token)

    return handing_on


def _inside(
    scope: Scope,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    token = SCOPE.set(scope)
    try:
        return function(*args, **kwargs)
    finally:
        SCOPE.reset(token)
