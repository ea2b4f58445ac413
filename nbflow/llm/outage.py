"""Outage: a provider that answers nobody. It is asked by one request at a time, for minutes.

Such a failure is nobody's own: without this, each text of a run would use up its
attempts within seconds, and all of them would fail.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbflow._core.policy import PERMANENT, http_status
from nbflow.llm.model import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What httpx, httpcore and aiohttp call a connection that was closed without an answer.
_HUNG_UP = frozenset({"RemoteProtocolError", "ServerDisconnectedError"})
#: What a gateway says whose server is away or overloaded.
_STATUSES = frozenset({502, 503, 504, 529})
#: Failures in a row, of requests that reached somebody, after which it is an outage. One
#: of them may be the fault of its text.
_IN_A_ROW = 3
#: The longest time between two requests that find out, and how long they try; how long
#: everybody fails at once afterwards; in seconds.
_LONGEST_PAUSE, _LONGEST, _GIVEN_UP = 15.0, 600.0, 60.0


class Outage:
    """Whether a provider is away, and when it is asked again. The time is an argument."""

    def __init__(self) -> None:
        self.is_on = False
        self.probe_at = 0.0
        self._failures = 0
        self._since = 0.0
        self._probes = 0
        self._given_up: Exception | None = None
        #: Those who wait for an answer, and what they have been told last.
        self._waiting: set[Callable[[str], None]] = set()
        self._said = ""

    @contextmanager
    def told(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Have ``tell`` called with what everybody waits for, and with "" when it continues."""
        if self._said:
            tell(self._said)
        self._waiting.add(tell)
        try:
            yield
        finally:
            self._waiting.discard(tell)

    def check(self, now: float) -> None:
        """Raise `ModelError` if it is not worth asking."""
        if self._given_up is None:
            return
        if now < self._since + _LONGEST + _GIVEN_UP:
            minutes = _LONGEST // 60
            raise ModelError(
                f"nobody has answered for {minutes:.0f} minutes: {self._given_up}"
            ) from self._given_up
        self.end()

    def fail(
        self, error: Exception, begun: float, now: float, *, is_sure: bool = False
    ) -> bool:
        """Take in a failure of a request; whether it waits for the end of the outage.

        Args:
            error: see `is_away`.
            begun: when the request was sent.
            now: the time.
            is_sure: whether it is known that nobody gets through.
        """
        self._failures += 1
        if not self.is_on:
            is_sure = is_sure or not _was_heard(error)
            if not is_sure and self._failures < _IN_A_ROW:
                return False
            self.is_on, self._since, self._probes = True, now, 0
            self._tell(f"the provider does not answer: {_root(error)}")
        elif begun < self.probe_at:
            return True  # it was under way when the outage began
        if now - self._since > _LONGEST:
            self._given_up = error
            self._tell("")
            return False
        self._probes += 1
        self.probe_at = now + min(_LONGEST_PAUSE, 2.0 ** (self._probes - 1))
        return True

    def end(self) -> None:
        """Somebody got an answer."""
        self._failures = 0
        if self.is_on:
            self.is_on, self.probe_at, self._given_up = False, 0.0, None
        if self._said:
            self._tell("")

    def pause(self, said: str) -> None:
        """The provider is there, and told everybody to wait."""
        if not self._said:
            self._tell(said)

    def _tell(self, said: str) -> None:
        self._said = said
        for tell in list(self._waiting):
            tell(said)


def is_away(error: BaseException) -> bool:
    """Whether an error says that nobody is there: no connection, or a gateway alone."""
    status = http_status(error)
    if status is not None:
        return status in _STATUSES
    return any(map(_is_of_connection, _causes(error)))


def _was_heard(error: BaseException) -> bool:
    """Whether the request may have reached somebody: then its text may be what broke it."""
    return http_status(error) is not None or any(
        isinstance(each, ConnectionResetError | BrokenPipeError) or _was_hung_up(each)
        for each in _causes(error)
    )


def _is_of_connection(error: BaseException) -> bool:
    other = (TimeoutError, ssl.SSLError, *PERMANENT)
    is_broken = isinstance(error, OSError) and not isinstance(error, other)
    return is_broken or _was_hung_up(error)


def _was_hung_up(error: BaseException) -> bool:
    """Whether a connection was taken and closed without an answer, as by a proxy whose server is away."""
    return type(error).__name__ in _HUNG_UP


def _root(error: BaseException) -> BaseException:
    """The first error of the connection; clients say little of it."""
    found = [each for each in _causes(error) if _is_of_connection(each)]
    return found[-1] if found else error


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
