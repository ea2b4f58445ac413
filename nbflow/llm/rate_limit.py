"""RateLimiter: the limits of one provider, and the pauses that it asks for.

All steps that name the provider share it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from nbflow._core.congestion import Congestion
from nbflow._core.policy import TOO_MANY_REQUESTS, http_status, retry_after, seconds
from nbflow.errors import RetryAfterError, UsageError
from nbflow.llm.outage import Outage, is_away

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
        self._congestion = Congestion(_PATIENCE, trusts=True)
        #: Whether anybody answers at all.
        self.outage = Outage()
        #: Until when the headers of answers say that nothing is left.
        self._empty_until = 0.0
        self._door = asyncio.Lock()

    def limit(self, rpm: float | None, tpm: float | None) -> None:
        """Set the requests and tokens per minute; ``None`` leaves a limit as it is."""
        self._requests.per_minute = rpm or self._requests.per_minute
        self._tokens.per_minute = tpm or self._tokens.per_minute

    async def send(
        self,
        request: Callable[[], Awaitable[T]],
        tokens: int,
        clock: Clock,
        *,
        is_patient: bool = False,
    ) -> T:
        """Send a request when its turn has come, and again after each pause.

        A request that has to wait has not failed. As long as others are answered,
        it waits its turn; only after several pauses in a row does it count as a
        failure.

        Args:
            request: sends it.
            tokens: an estimate of what it will use.
            clock: to wait by.
            is_patient: whether it waits for a provider that does not answer anybody.

        Raises:
            RetryAfterError: the provider only ever says "later".
            Exception: whatever the request raises.
        """
        while True:
            begun: float | None = None
            try:
                async with self._turn(tokens, clock) as begun:
                    reply = await request()
            except Exception as error:
                if begun is None:
                    raise
                now = clock.monotonic()
                if not self._waits(error, begun, now, is_patient=is_patient):
                    raise
                self._tokens.settle(-tokens)  # it came to nothing
            else:
                self._congestion.answer()
                self.outage.end()
                return reply

    def settle(self, tokens: int) -> None:
        """Add the tokens that a request used beyond the estimate; negative if fewer."""
        self._tokens.settle(tokens)

    @asynccontextmanager
    async def _turn(self, tokens: int, clock: Clock) -> AsyncIterator[float]:
        """A request, once no limit or pause forbids it; gives the time when it begins."""
        # One at a time, each counted when it really starts: after a stall they do not
        # start together.
        await self._door.acquire()
        is_probe = True
        try:
            while (delay := self._delay(now := clock.monotonic())) > 0:
                self._check(now)
                await clock.sleep(delay)
            self.outage.check(now)
            self._requests.take(1, now)
            self._tokens.take(tokens, now)
            self._congestion.start(now)
            try:
                # While nobody gets through, the next one waits for how this one ends.
                is_probe = self.outage.is_on or self._congestion.is_hopeless
                if not is_probe:
                    self._door.release()
                yield now
            finally:
                self._congestion.end(now)
        finally:
            if is_probe:
                self._door.release()

    def _check(self, now: float) -> None:
        """Fail like the request that found out that the provider says nothing but to wait."""
        pause = self._congestion.paused_until - now
        if pause > 0 and self._congestion.is_hopeless and not self.outage.is_on:
            raise _nothing_but("keeps asking to wait", pause)

    def _delay(self, now: float) -> float:
        until = max(
            self._congestion.start_of(0), self._empty_until, self.outage.probe_at
        )
        return max(self._requests.wait(now), self._tokens.wait(now), until - now)

    def _waits(
        self, error: Exception, begun: float, now: float, *, is_patient: bool
    ) -> bool:
        """Whether a request that failed is sent again: it was told to wait, or nobody is there."""
        pause = self._told_to_wait(error)
        if pause is not None:
            return self._refused(error, pause, begun, now, is_patient=is_patient)
        if is_away(error):
            return is_patient and self._is_away(error, begun, now)
        if http_status(error) is not None:
            self.outage.end()
        return False

    def _told_to_wait(self, error: Exception) -> float | None:
        """The seconds that the provider asks to wait, ``None`` if it says otherwise."""
        asked = retry_after(error)
        if asked is not None:
            is_told = _is_limit(error) or http_status(error) in _BUSY
            return asked if is_told else None
        if not _is_limit(error):
            return None
        return min(_LONGEST_GUESS, 2.0**self._congestion.refusals)

    def _refused(
        self,
        error: Exception,
        pause: float,
        begun: float,
        now: float,
        *,
        is_patient: bool,
    ) -> bool:
        """Hold all requests; returns whether this one waits."""
        wait = min(pause, _LONGEST)
        is_free = self._congestion.refuse(begun, now, wait, is_rate=_is_limit(error))
        said = ""
        if pause > _LONGEST:
            said = f"asks to wait for {pause:.0f} s"
        elif not is_free:
            if is_patient and not _is_limit(error):
                return self._is_away(error, begun, now, is_sure=True)
            said = "keeps asking to wait"
        if said:
            raise _nothing_but(f"{said} ({error})", wait) from error
        if pause >= _WORTH_A_WORD:
            self.outage.pause(f"told to wait: {error}")
        return True

    def _is_away(
        self, error: Exception, begun: float, now: float, *, is_sure: bool = False
    ) -> bool:
        """Whether the request waits until somebody is there again."""
        waits = self.outage.fail(error, begun, now, is_sure=is_sure)
        if waits:
            self._congestion.hold(now)
        return waits

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
                self._empty_until = max(self._empty_until, now + length)


#: Seconds of a pause that a table tells.
_WORTH_A_WORD = 2.0


def _nothing_but(said: str, pause: float) -> RetryAfterError:
    return RetryAfterError(f"the provider {said}", retry_after=pause)


def _is_limit(error: Exception) -> bool:
    """Whether a provider refuses because of too many requests, rather than being busy."""
    return isinstance(error, RetryAfterError) or http_status(error) == TOO_MANY_REQUESTS


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
