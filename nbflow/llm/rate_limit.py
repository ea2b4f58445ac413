"""RateLimiter: the limits of one provider, and the pauses that it asks for.

All steps that name the provider share it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from nbflow._core.policy import TOO_MANY_REQUESTS, http_status, retry_after, seconds
from nbflow.errors import RetryAfterError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from nbflow._call.clock import Clock

T = TypeVar("T")

#: Seconds of a bucket's rate that may go at once, to catch up: providers count minutes
#: in much shorter windows.
_BURST = 0.01
#: The share of a rate that is used: requests that start evenly arrive less evenly, and
#: one too many in a second is refused.
_USED = 0.95
#: Pauses without an answer in between, after which a request counts as failed.
_PATIENCE = 6
#: The longest pause, the longest for a pause without a length, and the longest for
#: headers that say nothing is left; in seconds.
_LONGEST, _LONGEST_GUESS, _LONGEST_RESET = 600.0, 60.0, 60.0
#: Answers, for each request that may be under way, after which one more may be.
_CAREFUL = 4
_BUSY = frozenset({503, 529})


class Bucket:
    """An amount per minute, spread evenly. The time is an argument.

    Keeps the time at which what was taken so far is paid off (the "theoretical arrival
    time" of ATM's generic cell rate algorithm): two numbers, however many calls wait.
    """

    def __init__(self) -> None:
        self.per_minute: float | None = None
        self._paid_off = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0 or less: now."""
        return self._paid_off - now

    def take(self, amount: float, now: float) -> None:
        """Take ``amount`` now."""
        self._paid_off = max(self._paid_off, now - _BURST)
        self.settle(amount)

    def settle(self, amount: float) -> None:
        """Add what was taken beyond the estimate; negative if it was less."""
        if self.per_minute is not None:
            self._paid_off += amount * 60 / (self.per_minute * _USED)


class RateLimiter:
    """The limits of one provider at one address.

    Used only on the engine's event loop, except for `limit`.
    """

    def __init__(self) -> None:
        self._requests = Bucket()
        self._tokens = Bucket()
        self._door = asyncio.Lock()
        self._paused_until = 0.0
        #: Pauses since the last answer.
        self._pauses = 0
        #: Requests under way, how many there may be after the provider has complained,
        #: and who waits for a place.
        self._under_way = 0
        self._most = float("inf")
        self._waiting: list[asyncio.Future[None]] = []

    def limit(self, rpm: float | None, tpm: float | None) -> None:
        """Set the requests and tokens per minute; ``None`` leaves a limit as it is."""
        self._requests.per_minute = rpm or self._requests.per_minute
        self._tokens.per_minute = tpm or self._tokens.per_minute

    async def send(
        self, request: Callable[[], Awaitable[T]], tokens: int, clock: Clock
    ) -> T:
        """Send a request when its turn has come, and again after each pause.

        A request that has to wait has not failed. As long as others are answered,
        it waits its turn; only after several pauses in a row does it count as a
        failure.

        Args:
            request: sends it.
            tokens: an estimate of what it will use.
            clock: to wait by.

        Raises:
            RetryAfterError: the provider only ever says "later".
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
        """Add the tokens that a request used beyond the estimate; negative if fewer."""
        self._tokens.settle(tokens)

    @asynccontextmanager
    async def _turn(self, tokens: int, clock: Clock) -> AsyncIterator[None]:
        """A place among the requests under way, once no limit or pause forbids it."""
        while self._under_way >= self._most:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._let_in()  # the place may have been ours already
                raise
        self._under_way += 1
        try:
            # One at a time, each counted when it really starts: after a stall they do
            # not start together.
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
        """The seconds that the provider asks to wait, ``None`` if it says otherwise."""
        asked = retry_after(error)
        status = http_status(error)
        is_limit = isinstance(error, RetryAfterError) or status == TOO_MANY_REQUESTS
        if asked is not None:
            return asked if is_limit or status in _BUSY else None
        return min(_LONGEST_GUESS, 2.0**self._pauses) if is_limit else None

    def _pause(
        self, length: float, begun: float, clock: Clock, error: Exception
    ) -> None:
        """Hold all requests, and allow fewer at once afterwards."""
        # Requests that were under way during an earlier pause only repeat it.
        if begun >= self._paused_until:
            self._pauses += 1
            self._most = max(1.0, min(self._most, self._under_way) // 2)
        wait = min(length, _LONGEST)
        self._paused_until = max(self._paused_until, clock.monotonic() + wait)
        said = ""
        if length > _LONGEST:
            said = f"asks to wait for {length:.0f} s"
        elif self._pauses > _PATIENCE:
            said = "keeps asking to wait"
        if said:
            raise RetryAfterError(
                f"the provider {said} ({error})", retry_after=wait
            ) from error

    def _answered(self) -> None:
        self._pauses = 0
        self._most += 1 / (_CAREFUL * self._most)
        self._let_in()

    def heed(self, headers: Mapping[str, str], now: float, wall: float) -> None:
        """Read how much a provider says is left, and wait for its reset if nothing is.

        Args:
            headers: of an answer, as OpenAI (``x-ratelimit-remaining-requests``) and
                Anthropic name them.
            now: the clock's seconds.
            wall: seconds since the epoch.
        """
        for left, reset in _HEADERS:
            if headers.get(left) == "0":
                length = min(_until(headers.get(reset, ""), wall), _LONGEST_RESET)
                self._paused_until = max(self._paused_until, now + length)


#: What is left of a limit, and when it is full again, as OpenAI and Anthropic say it.
_HEADERS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
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


_LIMITERS: dict[tuple[str, str], RateLimiter] = {}
_MUTEX = threading.Lock()


def limiter_of(provider: str, base_url: str | None) -> RateLimiter:
    """The limiter of a provider at an address: one in this process for all steps."""
    address = (base_url or "").rstrip("/")
    with _MUTEX:
        return _LIMITERS.setdefault((provider, address), RateLimiter())
