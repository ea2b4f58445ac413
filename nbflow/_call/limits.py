"""Limits: how many calls of a step run at once, and when the next may start. For threads and tasks alike."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nbflow._core.congestion import Congestion
from nbflow._core.policy import UNAVAILABLE, Window, http_status, pauses_throttle
from nbflow._key import fork

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from nbflow._call.clock import Clock
    from nbflow._core.policy import Policy, Throttle


#: Seconds that a call sleeps at least whose turn has not come: clocks are not finer.
_SHORTEST = 0.001
#: Refusals in a row that are nobody's failure, once anybody has got through.
_PATIENCE = 6


class Pace:
    """When calls may start: one throttle's window, and the pauses that its service asks for.

    Shared by every step that names the throttle.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._congestion = Congestion(_PATIENCE, trusts=False)
        self._mutex = fork.free_lock()
        #: Turns that were taken, and those of them that have started or were given up.
        self._taken = self._left = 0
        #: Nothing to wait for: no throttle, and no refusal so far.
        self.idle = window.starts is None

    def turns(self, clock: Clock) -> Iterator[float]:
        """The waits, in seconds, before the next call starts; to be followed by `end`.

        Nothing is booked: a call that waits sleeps until its turn may have come, and looks
        again. So a pause costs no starts, and nobody waits for somebody who needs the
        same thread.
        """
        with self._mutex:
            place = self._taken
            self._taken += 1
        try:
            while (delay := self._start(place, clock.monotonic())) > 0:
                yield delay
        finally:
            with self._mutex:
                self._left += 1

    def _start(self, place: int, now: float) -> float:
        """Start if nothing forbids it, else give the seconds until it may be allowed."""
        with self._mutex:
            if self._start_of(0) <= now:
                self._window.start(now)
                self._congestion.start(now)
                return 0.0
            ahead = max(0, place - self._left)
            # Half of it: meanwhile others may give up, or the service take more.
            until = (self._start_of(ahead) - now) / 2
            return max(until, self._start_of(0) - now, _SHORTEST)

    def _start_of(self, ahead: int) -> float:
        return max(self._window.start_of(ahead), self._congestion.start_of(ahead))

    def end(self, started: float) -> None:
        """A call that had its turn then has ended."""
        with self._mutex:
            self._congestion.end(started)

    def learn(self, started: float, error: BaseException | None, clock: Clock) -> bool:
        """Learn from a call that has ended.

        Returns:
            Whether it was turned away while others get through: then it has not failed.
        """
        if error is None:
            with self._mutex:
                self._congestion.answer()
            return False
        asked = pauses_throttle(error)
        if asked is None:
            return False
        is_rate = http_status(error) != UNAVAILABLE
        with self._mutex:
            self.idle = False
            now = clock.monotonic()
            return self._congestion.refuse(started, now, asked, is_rate=is_rate)


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

    def enter(self, clock: Clock, cancelled: threading.Event | None) -> float:
        """Wait for a place and for the throttle; to be followed by `leave`.

        Returns when the call starts; 0 if nobody keeps count.
        """
        if self._free is None and self.pace.idle:
            return 0.0
        place = self._take()
        if place is not None:
            try:
                clock.wait_for(place, cancelled)
            except BaseException:
                self._give_up(place)
                raise
        if self.pace.idle:
            return 0.0
        try:
            for delay in self.pace.turns(clock):
                clock.wait(delay, cancelled)
        except BaseException:
            self.leave(0.0)
            raise
        return clock.monotonic()

    async def aenter(self, clock: Clock) -> float:
        """`enter` for tasks."""
        place = self._take()
        if place is not None:
            import asyncio

            try:
                await asyncio.wrap_future(place)
            except BaseException:
                self._give_up(place)
                raise
        if self.pace.idle:
            return 0.0
        try:
            for delay in self.pace.turns(clock):
                await clock.sleep(delay)
        except BaseException:
            self.leave(0.0)
            raise
        return clock.monotonic()

    def leave(self, started: float) -> bool:
        """Give the place to whoever has waited longest; answers whether somebody has."""
        if started:
            self.pace.end(started)
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
            self.leave(0.0)


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
