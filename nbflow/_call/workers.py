"""Workers: daemon threads for calls on the side, and the engine's own event loop.

Daemon threads, because a call that hangs in a network read must not keep the kernel or
the job from ending; `concurrent.futures.ThreadPoolExecutor` joins its threads at exit.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections import deque
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
#: A piece of work.
W = TypeVar("W")


class Task(Future[T]):
    """A call on the side. Who waits for one that no thread has begun performs it himself.

    That is why fan-out cannot starve: every wait is for a call that is under way on
    some thread, however many threads there are and however deep calls wait for calls.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__()
        context = contextvars.copy_context()
        self._work: Callable[[], T] | None = lambda: context.run(function)

    def __repr__(self) -> str:
        if not self.done():
            return "<call under way: .result() waits for it>"
        if self.cancelled():
            return "<call that was cancelled>"
        error = self.exception()
        if error is not None:
            return f"<call that raised {type(error).__name__}: .result() raises it>"
        kind = type(super().result()).__name__
        return f"<call that returned a value of type {kind}: .result() gives it>"

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
                threading.Thread(
                    target=self._work, name=f"{self._name}-{self._threads}", daemon=True
                ).start()
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


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop for as long as the process lives.

    asyncio lets `SystemExit` and `KeyboardInterrupt` of a task out of `run_forever`, and
    the user's code may call ``loop.stop()``. The task has its error by then; everybody
    else would wait on a dead loop forever.
    """
    while not loop.is_closed():
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


class Loop:
    """An event loop on a daemon thread of its own: a Jupyter kernel's loop is busy with the cell."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mutex = threading.Lock()
        #: The thread that it runs on.
        self.thread: int | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """The running loop, begun at first use and again in a forked child."""
        with self._mutex:
            if self._loop is None:
                import asyncio

                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_run, args=(self._loop,), name="nbflow-loop", daemon=True
                )
                thread.start()
                self.thread = thread.ident
            return self._loop

    def forget(self) -> None:
        """After a fork: the parent's loop thread is not in this process."""
        self._loop = self.thread = None
        self._mutex = threading.Lock()

    def is_current(self) -> bool:
        """Does the caller run on this loop?"""
        if self._loop is None:
            return False
        import asyncio

        return asyncio._get_running_loop() is self._loop  # noqa: SLF001  # the C accessor; get_running_loop() raises

    def wait(
        self,
        coroutine: Coroutine[Any, Any, T],
        result: Callable[[Future[T]], T] = Future.result,
    ) -> T:
        """Run ``coroutine`` on the loop and wait for it by ``result``.

        Whatever ends the wait, such as an interrupt, cancels it.
        """
        import asyncio

        future = asyncio.run_coroutine_threadsafe(coroutine, self.get())
        try:
            return result(future)
        except BaseException:
            future.cancel()
            raise


#: A process that keeps less than this share of a core busy waits, whatever its threads
#: say, unless other processes have the cores; and threads that are asked about that.
_IDLE, _ASKED = 0.5, 4
#: Several threads that keep about one core busy have one interpreter lock between them.
_ONE_CORE = 0.85, 1.15
#: Seconds over which a crew measures, and measures a trial; ends that make a measurement good, and seconds
#: after which it is good anyway; by how much more threads must be faster to stay, and
#: fewer may be slower; seconds after a trial that failed, at first and at most.
_SPAN, _TRIAL, _ENOUGH, _LONG, _GAIN, _LOSS, _REST, _MOST_REST = (
    0.005, 0.02, 8, 0.2, 1.25, 0.9, 0.1, 1.0
)  # fmt: skip
#: As long as a crew has only waited: seconds that tell it, and times as many threads.
_GLANCE, _MANY = 0.001, 4


class Crew(Generic[W]):
    """Threads that work off one queue: as many as make it faster.

    Threads help a flow that waits, and hurt one that computes, as only one of them
    computes at a time. A crew begins with one thread and quickly has many if all that
    they do is to wait; later it doubles while the process is idle. Once it is busy
    nothing that a thread can be asked tells computing from waiting, so the crew tries:
    half as many, twice as many, and keeps what was better. What worked is tried once
    more, what did not not so soon.
    """

    def __init__(self, name: str, most: int, function: Callable[[W], None]) -> None:
        self._name = name
        self._most = most
        self._function = function
        self._queue: SimpleQueue[W | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._threads = self._wanted = 0
        self._ended = 0
        #: Those that run, as the system knows them.
        self._running: set[int] = set()
        #: Ends and time when the measurement began, and what the threads had waited
        #: for a core by then.
        self._from = (0, 0.0, 0.0)
        #: A trial under way: the threads and the rate before it. Then: when the next
        #: one may begin, and which way.
        self._trial: tuple[int, float] | None = None
        self._next, self._fewer, self._rest = 0.0, True, _REST
        #: Whether its threads have only waited so far, and more of them can be had.
        self.grows = most > 1

    def put(self, work: W) -> None:
        """Queue a piece of work."""
        self._queue.put(work)
        if not self._wanted:
            self._from = (0, time.monotonic(), 0.0)
            self._want(1)

    def adjust(self, load: float, own: float = 0.0) -> None:
        """Called every few milliseconds: measure, and have more or fewer threads.

        Args:
            load: cores that the process has kept busy since the last call.
            own: those of them that the caller did.
        """
        now = time.monotonic()
        ended, span = self._ended - self._from[0], now - self._from[1]
        if not self._wanted:
            return
        if ended:
            self.grows = False
        if self._queue.empty():
            return
        if self.grows:
            self._grow(load - own, span, now)
            return
        if span < _SPAN:
            return
        ready = self._ready()
        wanted = load + max(0.0, ready - self._from[2]) / span
        if wanted < _IDLE or (not ended and span > _LONG):
            self._want(2 * self._wanted)
            self._trial = None
        elif span < _TRIAL or (ended < _ENOUGH and span < _LONG):
            return
        else:
            least, most = _ONE_CORE
            is_one = self._wanted > 1 and wanted > least and load < most
            self._try(ended / span, now, fewer=self._fewer or is_one)
        self._from = (self._ended, now, ready)

    def _grow(self, load: float, span: float, now: float) -> None:
        """Have many more threads if these have only waited; else do not hurry any more."""
        if span < _GLANCE:
            return
        self.grows = load < _IDLE
        if self.grows:
            self._want(_MANY * self._wanted)
            self.grows = self._wanted < self._most
            # Of threads that have just begun nobody can tell how long they were ready.
            self._from = (self._ended, now, self._ready())

    def _ready(self) -> float:
        """Seconds that threads were ready to run and had no core; 0 if the system does not say."""
        threads = list(self._running)
        asked = threads[:_ASKED]
        waited = sum(map(_run_delay, asked))
        return waited * len(threads) / len(asked) if asked else 0.0

    def _try(self, rate: float, now: float, *, fewer: bool) -> None:
        if self._trial is not None:
            before, rate_before = self._trial
            if rate < rate_before * (_LOSS if self._wanted < before else _GAIN):
                self._want(before)
                self._fewer = not self._fewer
                self._next = now + self._rest
                self._rest = min(2 * self._rest, _MOST_REST)
            self._trial = None
        elif now >= self._next:
            self._trial = self._wanted, rate
            self._fewer = fewer and self._wanted > 1
            self._want(self._wanted // 2 if self._fewer else 2 * self._wanted)

    def dismiss(self) -> None:
        """No more work: threads end as they become idle."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _want(self, count: int) -> None:
        with self._mutex:
            self._wanted = max(1, min(count, self._most))
            missing = self._wanted - self._threads
            self._threads = max(self._threads, self._wanted)
        for _ in range(missing):
            threading.Thread(
                target=self._work, name=f"{self._name}-thread", daemon=True
            ).start()

    def _work(self) -> None:
        thread = threading.get_native_id()
        self._running.add(thread)
        while (work := self._queue.get()) is not None:
            self._function(work)
            self._ended += 1  # may lose a count to another thread: it only steers
            if self._threads > self._wanted:
                with self._mutex:
                    if self._threads > self._wanted:
                        self._threads -= 1
                        break
        self._running.discard(thread)


def _run_delay(thread: int) -> float:
    """Seconds that a thread of this process was ready and had no core, as Linux tells."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:  # noqa: PTH123  # every few milliseconds
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
