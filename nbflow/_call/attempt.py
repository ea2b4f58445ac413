"""Attempt: one try of one call, its timeout kept. What the user's code raises comes back as a value."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from nbflow._call import failure
from nbflow._core.lifecycle import Tried
from nbflow._core.policy import ends_run
from nbflow.errors import StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future as AnyFuture


def attempt(
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    timeout: float | None,
) -> Tried:
    """Try once in this thread; with a timeout on a thread of the try's own, left behind when time is up.

    No thread can be ended from outside, so a try that timed out may still finish its
    work: a step with effects is to be idempotent. Its value is thrown away.
    """
    begun = time.perf_counter()
    try:
        value = (
            function(*args, **kwargs)
            if timeout is None
            else _within(timeout, function, args, kwargs)
        )
    except BaseException as error:
        if _is_no_failure(error):
            raise
        return Tried(None, error, time.perf_counter() - begun)
    return Tried(value, None, time.perf_counter() - begun)


def _is_no_failure(error: BaseException) -> bool:
    """Return whether an error is no failure of the call, but ends what the call is part of.

    `SystemExit` ends the script that calls the step; in a run it fails the record.
    """
    return isinstance(error, SystemExit | GeneratorExit) or ends_run(error)


async def aattempt(
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    timeout: float | None,
) -> Tried:
    """`attempt` for an async function: the try is cancelled when time is up."""
    begun = time.perf_counter()
    try:
        if timeout is None:
            value = await function(*args, **kwargs)
        else:
            import asyncio

            async with asyncio.timeout(timeout) as limit:
                value = await function(*args, **kwargs)
    except BaseException as error:
        import asyncio

        if isinstance(error, asyncio.CancelledError) or _is_no_failure(error):
            raise
        took = time.perf_counter() - begun
        if timeout is not None and limit.expired() and isinstance(error, TimeoutError):
            error = _too_late(timeout, error)
        return Tried(None, error, took)
    return Tried(value, None, time.perf_counter() - begun)


def _too_late(timeout: float, cause: BaseException | None = None) -> StepTimeoutError:
    error = StepTimeoutError(f"no answer within timeout={timeout:g} s")
    return failure.caused(error, cause)


def _within(
    timeout: float,
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> Any:
    result: AnyFuture[Any] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            value = context.run(function, *args, **kwargs)
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(value)

    # A new thread for each try, not a pool's: one that hangs must not take a pool's
    # place.
    threading.Thread(target=run, name="nbflow-attempt", daemon=True).start()
    try:
        return result.result(timeout)
    except TimeoutError:
        if (
            result.done()
        ):  # the user's own TimeoutError, or an answer at the last moment
            return result.result()
        raise _too_late(timeout) from None
