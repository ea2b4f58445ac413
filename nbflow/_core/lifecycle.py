"""Plan: the life of one call, as a generator of commands.

The plan decides and does nothing: it yields commands, is sent what came of them, and
returns the call's `Outcome`. A driver performs the commands, inline for sync callers or
awaiting for async ones (`nbflow._call.runner`). What the order promises:

- look up once the call is ours alone and before anything runs, so that done work is not
  done twice (looking up before that as well would make a hit cheaper by one lock and
  every new call dearer by one search of the store);
- save before anybody sees the value, note afterwards, so that a crash may lose a note
  and never a result;
- release in every case, so that whoever waits for the same call is never left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from nbflow._core.policy import pauses_throttle, retry_after
from nbflow.errors import RunCancelledError, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Generator

    from nbflow._core.policy import Policy


class State(StrEnum):
    """States of calls and records; the last five of them are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    CACHED = "CACHED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: a value, or the error that ended it."""

    state: State
    value: Any = None
    error: BaseException | None = None
    attempts: int = 0
    stored: bool = True


class Command:
    """Something that a driver does for a plan."""

    __slots__ = ()


class Lookup(Command):
    """Is there a checkpoint? Reply: the `Outcome` or ``None``."""

    __slots__ = ()


class Claim(Command):
    """Become the only one who works on this key. Reply: ``None`` (ours), or the `Outcome` of whoever it was."""

    __slots__ = ()


class Release(Command):
    """The key is free again; who waits for it is told the outcome (``None``: taken over by one of them)."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Attempt(Command):
    """Try once, within the step's limits. Reply: `Tried`."""

    number: int


@dataclass(frozen=True, slots=True)
class Tried:
    """What one attempt gave, and how long it took in seconds."""

    value: Any
    error: BaseException | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait(Command):
    """Attempt ``number``, which took ``spent`` seconds, failed: wait ``seconds`` before the next one.

    ``pause``: so long must every call of the throttle wait.
    """

    number: int
    spent: float
    seconds: float
    error: BaseException
    pause: float | None = None


@dataclass(frozen=True, slots=True)
class Save(Command):
    """Keep the value. Reply: whether it could be kept."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Note(Command):
    """Tell the ledger."""

    outcome: Outcome
    seconds: float


LOOKUP, CLAIM = Lookup(), Claim()


def plan(
    policy: Policy, jitter: Any, *, force: bool = False
) -> Generator[Command, Any, Outcome]:
    """The life of one call. ``jitter()`` gives numbers in [0, 1); ``force`` runs it although it is saved."""
    theirs: Outcome | None = yield CLAIM
    if theirs is not None:
        yield Note(theirs, 0.0)
        return theirs
    outcome: Outcome | None = None
    spent = 0.0
    try:
        if not force:
            outcome = yield LOOKUP
        if outcome is None:
            outcome, spent = yield from _attempts(policy, jitter)
    finally:
        yield Release(outcome)
    yield Note(outcome, spent)
    return outcome


def _attempts(
    policy: Policy, jitter: Any
) -> Generator[Command, Any, tuple[Outcome, float]]:
    number = 0
    while True:
        number += 1
        tried: Tried = yield Attempt(number)
        error = tried.error
        if error is None:
            stored: bool = yield Save(tried.value, tried.seconds)
            return Outcome(
                State.COMPLETED, tried.value, None, number, stored
            ), tried.seconds
        if isinstance(error, RunCancelledError):
            return Outcome(State.CANCELLED, None, error, number), tried.seconds
        if number > policy.retries or not policy.retries_on(error):
            state = (
                State.TIMED_OUT if isinstance(error, StepTimeoutError) else State.FAILED
            )
            return Outcome(state, None, error, number), tried.seconds
        asked = retry_after(error)
        delay = policy.delay(number, jitter())
        yield Wait(
            number,
            tried.seconds,
            max(delay, asked) if asked is not None else delay,
            error,
            pauses_throttle(error),
        )
