"""Clock: the time, and every way in which the engine waits. Tests put in one that does not wait."""

from __future__ import annotations

import concurrent.futures
import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from nbflow.errors import RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")

#: How often somebody who waits for something else looks whether the run was cancelled,
#: seconds.
_GLANCE = 0.05


def check(cancelled: threading.Event | None) -> None:
    """Raise `RunCancelledError` if the run was cancelled."""
    if cancelled is not None and cancelled.is_set():
        raise RunCancelledError("The run was cancelled.")


class Clock:
    """Real time."""

    #: Jitter of retry waits, in [0, 1); not of the generator that the user may have seeded.
    random: Callable[[], float] = staticmethod(random.Random().random)  # noqa: S311  # waits are no secret

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds, for differences."""
        return time.monotonic()

    def wait(self, seconds: float, cancelled: threading.Event | None) -> None:
        """Let ``seconds`` pass, or be cancelled."""
        if cancelled is None:
            time.sleep(seconds)
        elif cancelled.wait(seconds):
            check(cancelled)

    async def sleep(self, seconds: float) -> None:
        """`wait` for tasks, which are cancelled as tasks are."""
        import asyncio

        await asyncio.sleep(seconds)

    def wait_for(self, future: Future[T], cancelled: threading.Event | None) -> T:
        """What ``future`` gives, unless the run is cancelled first."""
        if cancelled is None:
            return future.result()
        while True:
            check(cancelled)
            try:
                return future.result(_GLANCE)
            except concurrent.futures.TimeoutError:
                if future.done():
                    raise


class TestClock(Clock):
    """Time that passes only when somebody waits, and then at once. Jitter is its middle."""

    __test__ = False  # not a test, whatever pytest makes of its name

    def __init__(self) -> None:
        self._ahead = 0.0
        self._mutex = threading.Lock()

    random: Callable[[], float] = staticmethod(lambda: 0.5)

    def time(self) -> float:
        """Seconds since the epoch, the waits included."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Seconds, the waits included."""
        return time.monotonic() + self._ahead

    def wait(self, seconds: float, cancelled: threading.Event | None) -> None:
        """Put the clock forward."""
        check(cancelled)
        with self._mutex:
            self._ahead += seconds

    async def sleep(self, seconds: float) -> None:
        """Put the clock forward, after a turn of the event loop."""
        import asyncio

        await asyncio.sleep(0)
        with self._mutex:
            self._ahead += seconds
