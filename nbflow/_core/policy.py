"""Policy: when to try again, how long to wait, how many at once. Arithmetic and nothing else."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from nbflow.errors import (
    NbflowError,
    NonRetriableError,
    RetryAfterError,
    StepTimeoutError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Errors of the program rather than of the world: the next try would meet the same one.
PERMANENT = (
    NameError,
    TypeError,
    AttributeError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    RecursionError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
#: Client errors of HTTP that may pass next time: Request Timeout, Conflict, Too Early,
#: Too Many Requests.
PASSING_4XX = frozenset({408, 409, 425, 429})
TOO_MANY_REQUESTS = 429

_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "w": 604800.0,
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*", re.IGNORECASE)


def _unit(name: str) -> float | None:
    return _UNITS.get(name.lower()) or _UNITS.get(name.lower().removesuffix("s"))


def seconds(value: float | str | timedelta, option: str) -> float:
    """A duration in seconds, from a number of seconds, ``"90s"``, ``"5m"``, ``"1.5h"``, ``"1d"`` or a timedelta."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        parts = list(_DURATION.finditer(value))
        units = [_unit(part[2]) for part in parts]
        if not parts or "".join(part[0] for part in parts) != value or None in units:
            raise UsageError(
                f'{option}={value!r} is not a duration; write seconds (30) or text such as "90s", "5m", "1h30m", "1d".'
            )
        return sum(
            float(part[1]) * (unit or 0.0)
            for part, unit in zip(parts, units, strict=True)
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(
            f'{option}={value!r} is not a duration; write seconds (30) or text such as "90s", "5m", "1d".'
        )
    return float(value)


class Throttle:
    """At most so many starts per period; the excess waits.

    In any window of one period no more than ``starts`` calls start (a sliding window,
    so no burst at its edges). One ``Throttle`` given to several steps is shared by
    them; so is a pause that a ``Retry-After`` asks for.

    Args:
        rate: ``"300/min"``, ``"10/s"``, ``"5/30s"``.
    """

    def __init__(self, rate: str) -> None:
        match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
        unit = _unit(match[3]) if match else None
        if match is None or unit is None or not int(match[1]):
            raise UsageError(
                f'throttle={rate!r} is not a rate; write starts per period, such as "300/min", "10/s" or "5/30s".'
            )
        self.rate = rate
        self.starts = int(match[1])
        self.period = float(match[2] or 1) * unit

    def __repr__(self) -> str:
        return f"Throttle({self.rate!r})"


class Window:
    """The starts of one throttle's last period, and the pause it is under. Not thread-safe."""

    def __init__(self, starts: int | None, period: float) -> None:
        self._period = period
        self._recent: deque[float] = deque(maxlen=starts)
        self.starts = starts
        self.paused_until = 0.0

    def reserve(self, now: float) -> float:
        """Book the next start; answer its time, ``now`` or later."""
        start = max(now, self.paused_until)
        if self.starts is not None:
            if len(self._recent) == self.starts:
                start = max(start, self._recent[0] + self._period)
            self._recent.append(start)
        return start

    def pause(self, until: float) -> None:
        """No start before ``until``."""
        self.paused_until = max(self.paused_until, until)


@dataclass(frozen=True, slots=True)
class Policy:
    """How one step is tried, limited and kept; durations in seconds."""

    retries: int = 3
    retry_delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    should_retry: Callable[[BaseException], bool] | None = None
    timeout: float | None = None
    concurrency: int | None = None
    throttle: Throttle | None = None
    ttl: float | None = None

    def delay(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); ``jitter`` is in [0, 1).

        Exponential with "equal jitter": half fixed, half random, so that no retry comes
        at once and a crowd spreads out (Brooker, "Exponential Backoff And Jitter", AWS
        Architecture Blog, 2015).
        """
        # A float power overflows near attempt 1000; no one waits beyond max_delay
        # anyway.
        full = (
            self.max_delay
            if attempt > 64  # noqa: PLR2004
            else min(self.max_delay, self.retry_delay * self.backoff ** (attempt - 1))
        )
        return full * (0.5 + 0.5 * jitter)

    def retries_on(self, error: BaseException) -> bool:
        """May the next attempt pass where this one met ``error``?"""
        if isinstance(error, NonRetriableError) or not isinstance(error, Exception):
            return False
        if self.should_retry is not None:
            return bool(self.should_retry(error))
        return may_pass(error)


def may_pass(error: Exception) -> bool:
    """The default answer: patient with networks and models, fast on typos."""
    if isinstance(error, ExceptionGroup):
        return all(map(may_pass, error.exceptions))
    if isinstance(error, RetryAfterError | StepTimeoutError):
        return True
    if isinstance(error, NbflowError):
        return False  # a nested step has had its retries; what nbflow itself refuses it refuses again
    status = http_status(error)
    if status is not None:
        return status in PASSING_4XX or status >= 500  # noqa: PLR2004
    return not isinstance(error, PERMANENT)


def http_status(error: BaseException) -> int | None:
    """The HTTP status an error of any common client carries (httpx, requests, aiohttp, urllib, openai, ...)."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if type(status) is int and 400 <= status < 600:  # noqa: PLR2004
                return status
    return None


def retry_after(error: BaseException, now: datetime | None = None) -> float | None:
    """Seconds that the other side asked to wait, if it did.

    Read from ``RetryAfterError``, an attribute ``retry_after``, or the ``Retry-After``
    header of the error's response: delta-seconds or an HTTP date (RFC 9110, 10.2.3).
    """
    asked = getattr(error, "retry_after", None)
    if asked is None:
        headers = getattr(getattr(error, "response", None), "headers", None) or getattr(
            error, "headers", None
        )
        try:
            asked = (
                headers.get("retry-after") or headers.get("Retry-After")
                if headers
                else None
            )
        except Exception:
            return None  # an object that only looks like headers
    if isinstance(asked, timedelta):
        return max(0.0, asked.total_seconds())
    try:
        return max(0.0, float(asked)) if asked is not None else None
    except (TypeError, ValueError):
        pass
    from email.utils import parsedate_to_datetime  # 10 ms that few runs need

    try:
        return max(
            0.0,
            (
                parsedate_to_datetime(str(asked)) - (now or datetime.now(UTC))
            ).total_seconds(),
        )
    except (TypeError, ValueError):
        return None


def pauses_throttle(error: BaseException) -> float | None:
    """Seconds for which every call of the throttle has to wait after ``error``, or ``None``."""
    if isinstance(error, RetryAfterError) or http_status(error) in (
        TOO_MANY_REQUESTS,
        503,
    ):
        return retry_after(error)
    return None
