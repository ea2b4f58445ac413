"""Workers: daemon threads for calls on the side, and the engine's own event loop.

Daemon threads, because a call that hangs in a network read must not keep the kernel or the job from ending;
`concurrent.futures.ThreadPoolExecutor` joins its threads at exit.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Task(Future[T]):
    """A call on the side. Who waits for one that no thread has begun performs it himself.

    That is why fan-out cannot starve: every wait is for a call that is under way on some thread, however many
    threads there are and however deep calls wait for calls.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__()
        context = contextvars.copy_context()
        self._work: Callable[[], T] | None = lambda: context.run(function)

    def perform(self) -> None:
        """Run the call, unless somebody has begun it."""
        with self._condition:
            work, self._work = self._work, None
        if work is None or not self.set_running_or_notify_cancel():
            return
        try:
            self.set_result(work())
        except BaseException as error:
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> T:
        """The call's value; performs it if no thread has begun."""
        if timeout is None:
            self.perform()
        return super().result(timeout)


class Workers:
    """As many daemon threads as there is work for, up to ``most``; idle ones end after a while."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._tasks: deque[Task[Any]] = deque()
        self._changed = threading.Condition()
        self._idle = self._threads = 0

    def submit(self, function: Callable[[], T]) -> Task[T]:
        """Start ``function()`` on a thread when one is free."""
        task = Task(function)
        with self._changed:
            self._tasks.append(task)
            if self._idle >= len(self._tasks):
                self._changed.notify()
            elif self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return task

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                found = self._changed.wait_for(lambda: self._tasks, timeout=10.0)
                self._idle -= 1
                if not found:
                    self._threads -= 1
                    return
                task = self._tasks.popleft()
            task.perform()
            del task  # an idle thread keeps nobody's result alive


class Loop:
    """An event loop on a daemon thread of its own: a Jupyter kernel's loop is busy with the cell."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mutex = threading.Lock()

    def get(self) -> asyncio.AbstractEventLoop:
        """The running loop, begun at first use and again in a forked child."""
        with self._mutex:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="nbflow-loop", daemon=True).start()
            return self._loop

    def forget(self) -> None:
        """After a fork: the parent's loop thread is not in this process."""
        self._loop = None
        self._mutex = threading.Lock()

    def is_current(self) -> bool:
        """Does the caller run on this loop?"""
        return self._loop is not None and asyncio._get_running_loop() is self._loop  # noqa: SLF001 - the C accessor; get_running_loop() raises

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and wait for it; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.get())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


#: A process that keeps this share of a core busy computes; a thread that computes less than this share of its time
#: waits; looks without an end after which a crew counts as stuck.
_BUSY, _WAITS, _WAITS_SURELY, _PATIENCE = 0.9, 0.5, 0.15, 5


class Crew:
    """Threads that work off one queue: as many as waiting makes worth while.

    Threads help a flow that waits, and hurt one that computes, as only one of them computes at a time. So a crew
    begins with one thread and doubles while its threads wait more than they compute.
    """

    def __init__(self, name: str, most: int, function: Callable[[Any], None]) -> None:
        self._name = name
        self._most = most
        self._function = function
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._threads = 0
        self._ended = 0
        self._busy = self._computed = 0.0
        self._seen = (0, 0.0, 0.0)
        self._stuck = 0

    def put(self, work: Any) -> None:
        """Queue a piece of work."""
        self._queue.put(work)
        if not self._threads:
            self._hire(1)

    def grow(self, load: float) -> None:
        """Called every few milliseconds; ``load``: cores that the process has kept busy since the last time."""
        if not self._threads or self._threads >= self._most or self._queue.empty():
            return
        now = (self._ended, self._busy, self._computed)
        ended, busy, computed = (new - old for new, old in zip(now, self._seen, strict=True))
        self._seen = now
        self._stuck = 0 if ended else self._stuck + 1
        # A busy process makes its threads wait for each other, which looks like waiting for the world: then only
        # what waits nearly always, or has not ended anything for a while, is taken for waiting.
        share = _WAITS if load < _BUSY else _WAITS_SURELY
        if (self._stuck and load < _BUSY) or self._stuck > _PATIENCE or (ended and computed < share * busy):
            self._hire(min(self._threads, self._most - self._threads))

    def dismiss(self) -> None:
        """No more work: threads end as they become idle."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _hire(self, count: int) -> None:
        for _ in range(count):
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            begun, computing = time.perf_counter(), time.thread_time()
            self._function(work)
            # Lost updates between threads do no harm: these figures only steer the growth.
            self._computed += time.thread_time() - computing
            self._busy += time.perf_counter() - begun
            self._ended += 1
