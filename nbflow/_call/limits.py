"""Limits: how many calls of a step run at once, and when the next may start. For threads and tasks alike."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nbflow._core.policy import Window
from nbflow._key import fork

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from nbflow._call.clock import Clock
    from nbflow._core.policy import Policy, Throttle


class Pace:
    """One throttle's window, shared by every step that names it."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._mutex = fork.free_lock()
        #: Nothing to wait for: no throttle, and no pause so far.
        self.idle = window.starts is None

    def _reserve(self, now: float) -> float:
        with self._mutex:
            return self._window.reserve(now) - now

    def pause(self, now: float, seconds: float) -> None:
        """Hold every further start for ``seconds``."""
        with self._mutex:
            self._window.pause(now + seconds)
            self.idle = False

    def waits(self, clock: Clock) -> Iterator[float]:
        """The waits, in seconds, before the call may start; its start is booked. Usually none."""
        if self.idle:
            return
        delay = self._reserve(clock.monotonic())
        while delay > 0:
            yield delay
            # A pause that came meanwhile moves the start behind it, in line with
            # everybody else's.
            now = clock.monotonic()
            delay = self._reserve(now) if self._window.paused_until > now else 0.0


class Gate:
    """What a call of one step passes before each attempt: a free place, then the throttle."""

    def __init__(self, places: int | None, pace: Pace) -> None:
        self.pace = pace
        self._places = self._free = places
        self._queue: deque[Future[None]] = deque()
        self._mutex = fork.free_lock()
        if places is not None:
            fork.watch(self)

    def after_fork(self) -> None:
        """In a forked child nobody gives back the places that the parent's calls have."""
        self._free = self._places
        self._queue.clear()

    def _take(self) -> Future[None] | None:
        if self._free is None:
            return None
        with self._mutex:
            if self._free:
                self._free -= 1
                return None
            place: Future[None] = Future()
            self._queue.append(place)
            return place

    def enter(self, clock: Clock, cancelled: threading.Event | None) -> None:
        """Wait for a place and for the throttle; to be followed by `leave`."""
        if self._free is None and self.pace.idle:
            return
        place = self._take()
        if place is not None:
            try:
                clock.wait_for(place, cancelled)
            except BaseException:
                self._give_up(place)
                raise
        try:
            for delay in self.pace.waits(clock):
                clock.wait(delay, cancelled)
        except BaseException:
            self.leave()
            raise

    async def aenter(self, clock: Clock) -> None:
        """`enter` for tasks."""
        place = self._take()
        if place is not None:
            import asyncio

            try:
                await asyncio.wrap_future(place)
            except BaseException:
                self._give_up(place)
                raise
        try:
            for delay in self.pace.waits(clock):
                await clock.sleep(delay)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> bool:
        """Give the place to whoever has waited longest; answers whether somebody has."""
        if self._free is None:
            return False
        with self._mutex:
            while self._queue:
                place = self._queue.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(None)
                    return True
            self._free += 1
            return False

    def _give_up(self, place: Future[None]) -> None:
        # A place that was granted while its waiter turned away goes on to the next.
        if not place.cancel():
            self.leave()


class Gates:
    """The gate of each step; steps with one `Throttle` share its pace."""

    def __init__(self) -> None:
        self._paces: WeakKeyDictionary[Throttle, Pace] = WeakKeyDictionary()
        self._mutex = fork.free_lock()

    def gate(self, policy: Policy) -> Gate:
        """A new gate with the policy's places and its throttle's pace."""
        return Gate(policy.concurrency, self._pace(policy.throttle))

    def _pace(self, throttle: Throttle | None) -> Pace:
        if throttle is None:
            return Pace(Window(None, 0.0))
        with self._mutex:
            pace = self._paces.get(throttle)
            if pace is None:
                pace = self._paces[throttle] = Pace(
                    Window(throttle.starts, throttle.period)
                )
            return pace
