"""Channel: the way to one provider. What all steps that name it share: its limits, and the pause that it asks for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from nbflow._core.policy import TOO_MANY_REQUESTS, http_status, retry_after, seconds
from nbflow.errors import RetryAfterError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from nbflow._call.clock import Clock

#: Seconds of a bucket's rate that may go at once, to catch up: providers count minutes
#: in much shorter windows.
_BURST = 0.01
#: Of a rate so much is used: requests that start evenly arrive less so, and one too
#: many in a second is refused.
_USED = 0.95
#: Pauses in a row without an answer in between, after which a request counts as failed;
#: the longest pause, seconds.
_PATIENCE, _LONGEST = 6, 600.0
#: Answers, for each request that may be under way, after which one more may be.
_CAREFUL = 4
_BUSY = frozenset({503, 529})


class Bucket:
    """So much a minute, evenly; whoever comes too early waits. The time is an argument.

    Keeps the time at which what was taken so far is paid off (the "theoretical arrival
    time" of ATM's generic cell rate algorithm): two numbers, however many calls wait.
    """

    def __init__(self) -> None:
        self.per_minute: float | None = None
        self._paid_off = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next may go; none or less: now."""
        return self._paid_off - now

    def take(self, amount: float, now: float) -> None:
        """So much goes now."""
        self._paid_off = max(self._paid_off, now - _BURST)
        self.settle(amount)

    def settle(self, amount: float) -> None:
        """So much more was taken than was thought, or less."""
        if self.per_minute is not None:
            self._paid_off += amount * 60 / (self.per_minute * _USED)


class Channel:
    """Limits of one provider at one address. Used on the engine's event loop alone, but for `limit`."""

    def __init__(self) -> None:
        self._requests, self._tokens = Bucket(), Bucket()
        self._door = asyncio.Lock()
        self._paused_until = 0.0
        #: Pauses since the last answer.
        self._pauses = 0
        #: Requests under way, how many may be after the provider has complained, and
        #: who waits for a place.
        self._under_way = 0
        self._most = float("inf")
        self._waiting: list[asyncio.Future[None]] = []

    def limit(self, rpm: float | None, tpm: float | None) -> None:
        """Requests and tokens per minute from now on; ``None`` leaves the limit as it is."""
        self._requests.per_minute = rpm or self._requests.per_minute
        self._tokens.per_minute = tpm or self._tokens.per_minute

    async def send(self, request: Callable[[], Any], tokens: int, clock: Clock) -> Any:
        """Make a request when its turn has come, and again after each pause that the provider asks for instead.

        A request that is told to wait has not failed: it is nobody's fault. As long as
        others are answered it waits its turn; only when pause follows pause is it a
        failure that counts.

        Args:
            request: makes it.
            tokens: what it will come to, roughly.
            clock: to wait by.

        Raises:
            RetryAfterError: the provider answers nothing but "later".
            Exception: whatever the request raises.
        """
        while True:
            async with self._turn(tokens, clock):
                begun = clock.monotonic()
                try:
                    reply = await request()
                except Exception as error:
                    pause = self._told_to_wait(error)
                    if pause is None:
                        raise
                    self._tokens.settle(-tokens)  # it came to nothing
                    self._pause(pause, begun, clock, error)
                    continue
            self._answered()
            return reply

    def settle(self, tokens: int) -> None:
        """A request came to so many more tokens than was thought, or less."""
        self._tokens.settle(tokens)

    @asynccontextmanager
    async def _turn(self, tokens: int, clock: Clock) -> AsyncIterator[None]:
        """A place, when neither a limit nor a pause is in the way."""
        while self._under_way >= self._most:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._let_in()  # it may have been ours already
                raise
        self._under_way += 1
        try:
            # One at a time, each by the time at which it really starts: after a stall
            # they do not start together.
            async with self._door:
                while (delay := self._delay(now := clock.monotonic())) > 0:
                    await clock.sleep(delay)
                self._requests.take(1, now)
                self._tokens.take(tokens, now)
            yield
        finally:
            self._under_way -= 1
            self._let_in()

    def _delay(self, now: float) -> float:
        return max(
            self._requests.wait(now), self._tokens.wait(now), self._paused_until - now
        )

    def _let_in(self) -> None:
        free = self._most - self._under_way
        while self._waiting and free > 0:
            place = self._waiting.pop(0)
            if not place.done():
                place.set_result(None)
                free -= 1

    def _told_to_wait(self, error: Exception) -> float | None:
        """Seconds to wait if that is what the provider says; nothing if it says something else."""
        asked, status = retry_after(error), http_status(error)
        if (
            isinstance(error, RetryAfterError)
            or status == TOO_MANY_REQUESTS
            or (status in _BUSY and asked is not None)
        ):
            return asked if asked is not None else min(60.0, 2.0**self._pauses)
        return None

    def _pause(
        self, length: float, begun: float, clock: Clock, error: Exception
    ) -> None:
        """Hold everybody; from then on fewer at once."""
        if (
            begun >= self._paused_until
        ):  # those under way when it was said tell the same thing again
            self._pauses += 1
            self._most = max(1.0, min(self._most, self._under_way) // 2)
        wait = min(length, _LONGEST)
        self._paused_until = max(self._paused_until, clock.monotonic() + wait)
        if self._pauses > _PATIENCE or length > _LONGEST:
            said = (
                "answers nothing but to wait"
                if length <= _LONGEST
                else f"asks to wait for {length:.0f} s"
            )
            raise RetryAfterError(
                f"the provider {said} ({error})", retry_after=wait
            ) from error

    def _answered(self) -> None:
        self._pauses = 0
        self._most += 1 / (_CAREFUL * self._most)
        self._let_in()

    def heed(self, headers: Mapping[str, str], now: float, wall: float) -> None:
        """Read how much a provider says is left: with nothing left, everybody waits until there is again.

        Args:
            headers: of an answer, as OpenAI (``x-ratelimit-remaining-requests``) and
                Anthropic name them.
            now: the clock's seconds.
            wall: seconds since the epoch.
        """
        for what in ("requests", "tokens"):
            for left, reset in (
                (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}"),
                (
                    f"anthropic-ratelimit-{what}-remaining",
                    f"anthropic-ratelimit-{what}-reset",
                ),
            ):
                if headers.get(left) == "0":
                    self._paused_until = max(
                        self._paused_until,
                        now + min(_until(headers.get(reset, ""), wall), 60.0),
                    )


def _until(said: str, wall: float) -> float:
    """Seconds until a reset: ``1.5``, ``6m0s`` or a time."""
    try:
        return float(said)
    except ValueError:
        pass
    try:
        return seconds(said, "reset")
    except UsageError:
        pass
    from datetime import datetime

    try:
        return max(0.0, datetime.fromisoformat(said).timestamp() - wall)
    except ValueError:
        return 0.0


_CHANNELS: dict[tuple[str, str], Channel] = {}
_MUTEX = threading.Lock()


def channel(provider: str, base_url: str | None) -> Channel:
    """The channel to a provider, one in this process for all who name it and its address."""
    with _MUTEX:
        return _CHANNELS.setdefault((provider, (base_url or "").rstrip("/")), Channel())
