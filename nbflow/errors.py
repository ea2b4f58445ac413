"""What can go wrong, as one tree.

::

    NbflowError
    ├── UsageError                an invalid call or option (also a ValueError)
    │   ├── UnknownEventError     an event without a flow
    │   ├── UnknownRunError       a run id that is not in the ledger
    │   └── DuplicateKeyError     one key, different records
    ├── StepError                 a step failed (also what its code raised); __cause__ is that
    ├── StepTimeoutError          an attempt exceeded timeout= (also a TimeoutError)
    ├── NonRetriableError         raised by users: a retry cannot help
    ├── RetryAfterError           raised by users: retry, but not before then
    ├── RunCancelledError         the run was cancelled while this call was under way
    │   └── BudgetError           the call was not started: it could exceed the budget
    ├── RunFailedError            raise_for_failures() found failures
    ├── UnkeyableError            a value without a key, a missing file (also a TypeError)
    └── StoreError                the disk refused: full, read-only, locked, foreign
        └── CodecError            a value that cannot be saved, or bytes unreadable here

    NbflowWarning                 every warning of nbflow (a UserWarning)
    └── StoreWarning              damage that was survived, a value that was not saved
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

__all__ = [
    "BudgetError",
    "CodecError",
    "DuplicateKeyError",
    "NbflowError",
    "NbflowWarning",
    "NonRetriableError",
    "RetryAfterError",
    "RunCancelledError",
    "RunFailedError",
    "StepError",
    "StepTimeoutError",
    "StoreError",
    "StoreWarning",
    "UnkeyableError",
    "UnknownEventError",
    "UnknownRunError",
    "UsageError",
]


class NbflowError(Exception):
    """The root of the tree."""


class UsageError(NbflowError, ValueError):
    """An invalid call or option; raised at the user's line, before anything runs."""


class UnknownEventError(UsageError):
    """An event that no flow listens to; the message names the closest one."""


class UnknownRunError(UsageError):
    """A run id that is not in the ledger; the message names the latest ones."""


class DuplicateKeyError(UsageError):
    """Two records with one key and different content; the message names key and rows."""


class FailedCall(NamedTuple):
    """A call of a step that failed permanently: what a `StepError` says of it."""

    step: str
    flow: str | None = None
    record_key: str | None = None
    attempts: int = 1

    def __str__(self) -> str:
        flow = f" of flow {self.flow!r}" if self.flow is not None else ""
        record = (
            f" for record {self.record_key!r}" if self.record_key is not None else ""
        )
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        return f"step {self.step!r}{flow} failed{record}, tried {times}"


def failed_call(error: BaseException) -> FailedCall | None:
    """Return the call that ``error`` came out of, ``None`` if of no step."""
    return vars(error).get("_failed_call")


class _Detail(Generic[T]):
    """A field of the call that failed; an attribute of the user's with the same name comes first."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: StepError, owner: type | None = None) -> T:
        detail: T = getattr(failed_call(error), self._name)
        return detail


class StepError(NbflowError):
    """A step failed permanently, for what its code raised.

    Such an error is both: a ``KeyError`` that a step's code raises reaches the caller as
    an error that ``except KeyError`` catches as well as ``except nf.StepError``, with
    the arguments, attributes and message of the user's. The exception of the user's code
    itself is its ``__cause__``. A note (PEP 678), which tracebacks show, says which step
    failed.

    Attributes:
        step: name of the step.
        flow: name of the flow that called it, ``None`` for a direct call.
        record_key: key of the record under way, ``None`` outside a run.
        attempts: the number of attempts, including the first.
    """

    step = _Detail[str]()
    flow = _Detail["str | None"]()
    record_key = _Detail["str | None"]()
    attempts = _Detail[int]()

    def __init__(
        self,
        message: str,
        *,
        step: str,
        flow: str | None = None,
        record_key: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self._failed_call = FailedCall(step, flow, record_key, attempts)

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self), step=self._failed_call.step)
        return make, self.args, vars(self)


class StepTimeoutError(NbflowError, TimeoutError):
    """One attempt of a step took longer than its ``timeout=`` (seconds)."""


class NonRetriableError(NbflowError):
    """Raise it in a step when a retry cannot help: the step fails at once."""


class RetryAfterError(NbflowError):
    """Raise it in a step to be retried, but not before the given time.

    Every call that shares the step's throttle waits as well.

    Args:
        message: what happened.
        retry_after: seconds, a ``timedelta``, or the time (an aware ``datetime``) to
            wait for.
    """

    def __init__(
        self,
        message: str = "asked to try again later",
        *,
        retry_after: float | timedelta | datetime,
    ) -> None:
        super().__init__(message)
        if isinstance(retry_after, datetime):
            retry_after = retry_after - datetime.now(UTC)
        if isinstance(retry_after, timedelta):
            retry_after = retry_after.total_seconds()
        self.retry_after = max(0.0, float(retry_after))

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(type(self), retry_after=self.retry_after)
        return make, self.args, vars(self)


class RunCancelledError(NbflowError):
    """The run was cancelled while this call was under way."""


class BudgetError(RunCancelledError):
    """A call that was not started.

    It could have exceeded the budget, or its price is unknown.
    """


class RunFailedError(NbflowError):
    """Records of a run failed; the message names the causes.

    Raised by ``Run.raise_for_failures()``.
    """


class UnkeyableError(NbflowError, TypeError):
    """A value that no key can be made of, or a file that cannot be read.

    The message names its place, its type and the ways out.
    """


class StoreError(NbflowError):
    """The store refused.

    The disk is full, the folder read-only or of another user, or the database locked.
    """


class CodecError(StoreError):
    """A value that cannot be turned into bytes, or bytes that give no value here."""


class NbflowWarning(UserWarning):
    """The root of nbflow's warnings."""


class StoreWarning(NbflowWarning):
    """Damage that nbflow found and survived, or a value that could not be saved."""
