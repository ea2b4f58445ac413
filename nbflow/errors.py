"""What can go wrong, as one tree.

::

    NbflowError
    ├── UsageError                an invalid call or option (also a ValueError)
    │   ├── UnknownEventError     an event without a flow
    │   ├── UnknownRunError       a run id that is not in the ledger
    │   └── DuplicateKeyError     one key, different records
    ├── StepError                 a step failed; __cause__ is the user's exception
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

from datetime import UTC, datetime, timedelta

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


class StepError(NbflowError):
    """A step failed permanently. Its ``__cause__`` is the exception of the user's code.

    Attributes:
        step: name of the step.
        flow: name of the flow that called it, ``None`` for a direct call.
        record_key: key of the record under way, ``None`` outside a run.
        attempts: the number of attempts, including the first.
    """

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
        self.step = step
        self.flow = flow
        self.record_key = record_key
        self.attempts = attempts


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
