"""Lifecycle: the life of one call, as a generator of commands.

It decides and does nothing: it yields commands, is sent their replies, and
returns the call's `Outcome`. A driver performs the commands, inline for sync callers or
awaiting for async ones (`nbflow._call.runner`). The order guarantees:

- look up after the claim and before anything runs, so that finished work is not
  repeated (to look up before the claim as well would save a hit one lock and cost every
  new call one search of the store);
- save before anybody sees the value, note afterwards, so that a crash may lose a note
  but never a result;
- release in every case, so that nobody waits for the same call for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.policy import pauses_throttle, retry_after
from nbflow._core.waiting import Suspended
from nbflow.errors import RunCancelledError, StepTimeoutError, failed_call

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from nbflow._core.policy import Policy


class State(StrEnum):
    """States of calls and records; the last six of them are final."""

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


class Reuse(StrEnum):
    """How a value that was `State.CACHED` is shown if the same run made it, for another record or flow."""

    SAME = "SAME"


#: A state as it is shown.
Shown = State | Reuse
#: The list of all of them gives each a code, its place.
SHOWN: tuple[Shown, ...] = (*State, Reuse.SAME)
CODES: dict[Shown, int] = {shown: code for code, shown in enumerate(SHOWN)}
BY_NAME: dict[str, Shown] = {shown.value: shown for shown in SHOWN}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call came out: a value, or the error that ended it."""

    state: State
    value: object = None
    error: BaseException | None = None
    attempts: int = 0
    stored: bool = True


class Command:
    """Something that a driver does for the call."""

    __slots__ = ()


class Lookup(Command):
    """Look for a checkpoint. Reply: the `Outcome`, or ``None``."""

    __slots__ = ()


class Claim(Command):
    """Become the only one who works on this key.

    Reply: ``None`` if it is ours, or the `Outcome` of the call that worked on it.
    """

    __slots__ = ()


class Release(Command):
    """Free the key again, and give the outcome to those who wait for it.

    With ``None`` one of them takes the call over.
    """

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Attempt(Command):
    """Try once, within the step's limits. Reply: `Tried`."""

    number: int


@dataclass(frozen=True, slots=True)
class Tried:
    """What one attempt returned or raised, and how long it took in seconds.

    ``is_turned_away``: the service let others through meanwhile, so it is no attempt.
    ``waited``: the seconds that it spent in line, which are not among them: for a
    place, a throttle, a budget, or the limits of a provider. ``is_mistake``: the error
    cannot pass, as whoever knows the call can tell.
    """

    value: object
    error: BaseException | None
    seconds: float
    is_turned_away: bool = False
    waited: float = 0
    is_mistake: bool = False


@dataclass(frozen=True, slots=True)
class Wait(Command):
    """Wait ``seconds`` before the next attempt: number ``number`` failed.

    ``spent``: the seconds that the attempt took; ``pause``: the seconds that every
    call of the throttle must wait; ``is_attempt``: whether the attempt counts;
    ``waited``: what the attempt spent in line.
    """

    number: int
    spent: float
    seconds: float
    error: BaseException
    pause: float | None = None
    is_attempt: bool = True
    waited: float = 0


@dataclass(frozen=True, slots=True)
class Save(Command):
    """Save the value. Reply: `Saved`."""

    value: object
    seconds: float


class Saved(NamedTuple):
    """What became of a value that was to be saved.

    Attributes:
        value: to hand on: another object if a saved one differs from the one at hand.
        stored: whether it could be saved.
    """

    value: object
    stored: bool


@dataclass(frozen=True, slots=True)
class Note(Command):
    """Write the outcome to the ledger."""

    outcome: Outcome
    seconds: float
    waited: float = 0


LOOKUP, CLAIM = Lookup(), Claim()


def life_of_call(
    policy: Policy, jitter: Callable[[], float], *, force: bool = False
) -> Generator[Command, Any, Outcome]:
    """The life of one call.

    Args:
        policy: how the step is retried.
        jitter: returns numbers in [0, 1).
        force: run the call even if its value is saved.
    """
    theirs: Outcome | None = yield CLAIM
    if theirs is not None:
        yield Note(theirs, 0.0)
        return theirs
    outcome: Outcome | None = None
    spent, waited = 0.0, 0.0
    try:
        if not force:
            outcome = yield LOOKUP
        if outcome is None:
            outcome, last = yield from _attempts(policy, jitter)
            spent, waited = last.seconds, last.waited
    finally:
        yield Release(outcome)
    yield Note(outcome, spent, waited)
    return outcome


def _attempts(
    policy: Policy, jitter: Callable[[], float]
) -> Generator[Command, Any, tuple[Outcome, Tried]]:
    number = 0
    while True:
        number += 1
        tried: Tried = yield Attempt(number)
        error = tried.error
        if error is None:
            saved: Saved = yield Save(tried.value, tried.seconds)
            done = Outcome(State.COMPLETED, saved.value, None, number, saved.stored)
            return done, tried
        if isinstance(error, RunCancelledError):
            return Outcome(State.CANCELLED, None, error, number), tried
        if isinstance(error, Suspended):
            return Outcome(State.WAITING, None, error, number), tried
        is_free = tried.is_turned_away and policy.retries > 0
        is_last = number > policy.retries and not is_free
        if is_last or not policy.retries_on(error, is_mistake=tried.is_mistake):
            state = State.FAILED
            if isinstance(error, StepTimeoutError) and failed_call(error) is None:
                state = State.TIMED_OUT  # itself, not a step that it called
            return Outcome(state, None, error, number), tried
        pause = pauses_throttle(error)
        if is_free:
            # Its next turn comes after the pause, in line with everybody else's.
            yield Wait(
                number,
                tried.seconds,
                0.0,
                error,
                pause,
                is_attempt=False,
                waited=tried.waited,
            )
            number -= 1
            continue
        delay = policy.delay(number, jitter())
        asked = retry_after(error)
        if asked is not None:
            delay = max(delay, asked)
        yield Wait(number, tried.seconds, delay, error, pause, waited=tried.waited)
