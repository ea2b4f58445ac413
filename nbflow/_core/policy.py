"""Policy: when to retry, how long to wait, how many at once. Only arithmetic."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nbflow._core import carried
from nbflow._core.duration import duration
from nbflow.errors import (
    NbflowError,
    NonRetriableError,
    RetryAfterError,
    StepError,
    StepTimeoutError,
    UsageError,
    failed_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Errors of the program rather than of the world: a retry would fail in the same way.
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
FORBIDDEN, TOO_MANY_REQUESTS = 403, 429
_SERVER_ERROR, UNAVAILABLE = 500, 503
#: Python's own errors of networks and time, not those derived from them.
_PATIENT = (
    TimeoutError,
    ConnectionError,
    ConnectionResetError,
    ConnectionAbortedError,
    ConnectionRefusedError,
    BrokenPipeError,
)
#: The number of the attempt from which the delay is ``max_delay`` without a look: a
#: float power overflows near attempt 1000.
_ANY_FURTHER = 64

#: Seconds that a call takes beside its attempts and the waits between them, at most.
_GRACE = 60.0

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
_DURATION = r"(?i)\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*"
_RATE = r"(?i)\s*(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*"


def _unit(name: str) -> float | None:
    return _UNITS.get(name.lower()) or _UNITS.get(name.lower().removesuffix("s"))


def seconds(value: float | str | timedelta, option: str) -> float:
    """A duration in seconds.

    From a number of seconds, a timedelta, or text such as ``"90s"``, ``"5m"``,
    ``"1.5h"``, ``"1d"``.
    """
    if isinstance(value, str):
        return _parsed_seconds(value, option)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(
            f"{option}={value!r} is not a duration; "
            'write seconds (30) or text such as "90s", "5m", "1d".'
        )
    return float(value)


def _parsed_seconds(text: str, option: str) -> float:
    match = re.compile(_DURATION).match
    total, end = 0.0, 0
    while part := match(text, end):
        unit = _unit(part[2])
        if unit is None:
            break
        total += float(part[1]) * unit
        end = part.end()
    if not text or end < len(text):
        raise UsageError(
            f"{option}={text!r} is not a duration; "
            'write seconds (30) or text such as "90s", "5m", "1h30m", "1d".'
        )
    return total


class Throttle:
    """At most a number of starts per period; the excess waits.

    In any window of one period no more than ``starts`` calls start (a sliding window,
    so no burst at its edges). Several steps can share one ``Throttle``, and with it the
    pause that a ``Retry-After`` asks for. It holds for one process: two that run at the
    same time make twice as many.

    Args:
        rate: ``"300/min"``, ``"10/s"``, ``"5/30s"``.
    """

    def __init__(self, rate: str) -> None:
        match = re.fullmatch(_RATE, rate) if isinstance(rate, str) else None
        unit = _unit(match[3]) if match else None
        if match is None or unit is None or not int(match[1]):
            raise UsageError(
                f"throttle={rate!r} is not a rate; "
                'write starts per period, such as "300/min", "10/s" or "5/30s".'
            )
        self.rate = rate
        self.starts = int(match[1])
        self.period = float(match[2] or 1) * unit

    def __repr__(self) -> str:
        return f"Throttle({self.rate!r})"


class Window:
    """The starts of one throttle's last period. Not thread-safe."""

    def __init__(self, starts: int | None, period: float) -> None:
        self._period = period
        self._recent: deque[float] = deque(maxlen=starts)
        self.starts = starts

    def start_of(self, ahead: int) -> float:
        """When the next may start after ``ahead`` others that start as soon as they may."""
        if self.starts is None:
            return 0.0
        periods, place = divmod(ahead + len(self._recent), self.starts)
        if not periods:
            return 0.0
        # Those that have not started yet count as if they started now.
        newest = self._recent[-1] if self._recent else 0.0
        oldest = self._recent[place] if place < len(self._recent) else newest
        return oldest + periods * self._period

    def start(self, now: float) -> None:
        """A call starts."""
        if self.starts is not None:
            self._recent.append(now)


#: Options that are lengths of time, and those that a person does not set.
_DURATIONS = frozenset({"retry_delay", "max_delay", "timeout", "ttl"})
_OF_MODELS = frozenset({"is_paid", "together"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How one step is retried, limited and kept; durations in seconds."""

    retries: int = 3
    retry_delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    should_retry: Callable[[BaseException], bool] | None = None
    timeout: float | None = None
    concurrency: int | None = None
    throttle: Throttle | None = None
    ttl: float | None = None
    #: It says which model it calls; so many of its calls may be one request.
    is_paid: bool = False
    together: int = 1

    def delay(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); ``jitter`` is in [0, 1).

        Exponential with "equal jitter": half fixed, half random, so that no retry comes
        at once and a crowd spreads out (Brooker, "Exponential Backoff And Jitter", AWS
        Architecture Blog, 2015).
        """
        full = self.max_delay
        if attempt <= _ANY_FURTHER:
            full = min(full, self.retry_delay * self.backoff ** (attempt - 1))
        return full * (0.5 + 0.5 * jitter)

    def told(self) -> Iterator[tuple[str, str]]:
        """The options that are not as by default, in words."""
        for option in fields(self):
            value = getattr(self, option.name)
            if value == option.default or option.name in _OF_MODELS:
                continue
            if option.name in _DURATIONS:
                value = duration(value)
            elif isinstance(value, Throttle):
                value = value.rate
            yield option.name, getattr(value, "__name__", str(value))

    @property
    def longest(self) -> float:
        """Seconds that a call can take; infinite without a timeout, or with a line to wait in."""
        if self.timeout is None or self.concurrency or self.throttle:
            return math.inf
        waits = sum(self.delay(number, 1.0) for number in range(1, self.retries + 1))
        return (self.retries + 1) * self.timeout + waits + _GRACE

    def retries_on(self, error: BaseException, *, is_mistake: bool = False) -> bool:
        """Whether the next attempt may pass where this one met ``error``.

        The step's own rule decides before ``is_mistake``: that this error cannot pass.
        """
        if isinstance(error, SystemExit) or ends_run(error):
            return False
        if isinstance(error, NonRetriableError) and failed_call(error) is None:
            return False
        if self.should_retry is not None:
            return bool(self.should_retry(error))
        return not is_mistake and may_pass(error)


def ends_run(error: BaseException) -> bool:
    """Return whether an error ends the whole run: an interrupt, alone or in a group.

    Everything else is the failure of one record, whatever class it has: a panic of a
    library in Rust, or a class of the user's, derives from `BaseException` as well. A
    class with a true attribute ``ends_run`` ends it, too: the simulated crash of tests.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(ends_run, error.exceptions))
    return isinstance(error, KeyboardInterrupt) or getattr(error, "ends_run", False)


def may_pass(error: BaseException) -> bool:
    """The default rule: patient with networks and models, fast on typos."""
    if failed_call(error) is not None:
        return False  # a nested step has had its retries
    if isinstance(error, BaseExceptionGroup):
        return all(map(may_pass, error.exceptions))
    if isinstance(error, RetryAfterError | StepTimeoutError):
        return True
    if isinstance(error, NbflowError):
        return False  # what nbflow itself refuses, it refuses again
    return _judged(*carried.wrapped(error))


def _judged(error: BaseException, *inner: BaseException) -> bool:
    """Whether it may pass: what the error says counts, else its type, else what it wraps."""
    said = _said(error)
    if said is not None:
        return said
    if isinstance(error, PERMANENT):
        return False
    if type(error) in _PATIENT:
        return True  # whoever raises these by hand, from whatever, asks for a retry
    return next((said for said in map(_said, inner) if said is not None), True)


def _said(error: BaseException) -> bool | None:
    """What one error says itself: whether the next attempt may pass, if anything."""
    status = carried.http_status(error)
    if status is not None:
        return status in PASSING_4XX or status >= _SERVER_ERROR
    return False if carried.is_mistake(error) else None


def http_status(error: BaseException) -> int | None:
    """The HTTP status of an error of any common client, or of one that it wraps."""
    found = map(carried.http_status, carried.wrapped(error))
    return next((status for status in found if status is not None), None)


def retry_after(error: BaseException, now: datetime | None = None) -> float | None:
    """The seconds that the other side asked to wait, if it did.

    Read from ``RetryAfterError``, an attribute ``retry_after``, or the ``Retry-After``
    header of the error's response: delta-seconds or an HTTP date (RFC 9110, 10.2.3).
    """
    found = map(_asked, carried.wrapped(error))
    asked = next((one for one in found if one is not None), None)
    if asked is None:
        return None
    if isinstance(asked, timedelta):
        return max(0.0, asked.total_seconds())
    try:
        return max(0.0, float(asked))
    except (TypeError, ValueError):
        return _until_date(str(asked), now or datetime.now(UTC))


def _asked(error: BaseException) -> Any:
    """What one error says of waiting, as it says it."""
    asked = getattr(error, "retry_after", None)
    headers = carried.headers(error)
    if asked is not None or not headers:
        return asked
    try:
        return headers.get("retry-after") or headers.get("Retry-After")
    except Exception:
        return None  # an object that only looks like headers


def _until_date(text: str, now: datetime) -> float | None:
    """The seconds until an HTTP date, ``None`` if the text is not a date."""
    from email.utils import parsedate_to_datetime  # 10 ms that few runs need

    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


#: Statuses with which a gateway says that nobody answered it in time.
_NO_ANSWER = frozenset({504, 524})


def is_unanswered(error: BaseException) -> bool:
    """Whether a request was sent and no answer came, so that nobody knows what it cost.

    A step inside has counted its own requests.
    """
    if isinstance(error, StepError):
        return False
    status = http_status(error)
    return carried.is_unanswered(error) if status is None else status in _NO_ANSWER


def pauses_throttle(error: BaseException) -> float | None:
    """The seconds that every call of the throttle has to wait after ``error``, if any."""
    if isinstance(error, RetryAfterError):
        return retry_after(error)
    if http_status(error) in {TOO_MANY_REQUESTS, UNAVAILABLE}:
        return retry_after(error)
    return None
