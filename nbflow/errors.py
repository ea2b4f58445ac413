"""What can go wrong, as one tree.

::

    NbflowError
    ├── UsageError                a call or an option that cannot be right (also a ValueError)
    │   ├── UnknownEventError     an event nobody listens to
    │   ├── UnknownRunError       a run id that is not in the ledger
    │   └── DuplicateKeyError     one key, different records
    ├── StepError                 a step that failed for good; the user's exception is its __cause__
    ├── StepTimeoutError          one attempt took longer than timeout= (also a TimeoutError)
    ├── NonRetriableError         raised by users: trying again cannot help
    ├── RetryAfterError           raised by users: try again, but not before then
    ├── RunCancelledError         the run was cancelled while this call was under way
    │   └── BudgetError           the call was not started, as it could pass the budget
    ├── RunFailedError            raise_for_failures() found some
    ├── UnkeyableError            a value no key can be made of, a missing file too (also a TypeError)
    └── StoreError                the disk refused: full, read-only, locked, foreign
        └── CodecError            a value no bytes can be made of, or bytes no value

    NbflowWarning                 every warning of nbflow (a UserWarning)
    └── StoreWarning              damage found and survived; a value that could not be saved
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
    """A call or an option that cannot be right; raised at the user's line, before anything runs."""


class UnknownEventError(UsageError):
    """An event nobody listens to; the message names the closest one."""


class UnknownRunError(UsageError):
    """A run id that is not in the ledger; the message names the latest ones."""


class DuplicateKeyError(UsageError):
    """Two records with one key and different content; the message names key and rows."""


class StepError(NbflowError):
    """A step that failed for good. The exception of the user's code is its ``__cause__``.

    Attributes:
        step: name of the step.
        flow: name of the flow that called it, ``None`` for a direct call.
        record_key: key of the record under way, ``None`` outside a run.
        attempts: how often the step was tried, the first try included.
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
    """Raise it in a step when trying again cannot help: the step fails at once."""


class RetryAfterError(NbflowError):
    """Raise it in a step to be tried again, but not before then.

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
        self.retry_after = max(
            0.0,
            retry_after.total_seconds()
            if isinstance(retry_after, timedelta)
            else float(retry_after),
        )


class RunCancelledError(NbflowError):
    """The run was cancelled while this call was under way."""


class BudgetError(RunCancelledError):
    """A call that was not started, because it could have passed the budget, or because its price is not known."""


class RunFailedError(NbflowError):
    """Records of a run failed; raised by ``Run.raise_for_failures()``, the causes in the message."""


class UnkeyableError(NbflowError, TypeError):
    """A value that no key can be made of, or a file that cannot be read; the message names where it is, its type and the ways out."""


class StoreError(NbflowError):
    """The store refused: disk full, folder read-only, database locked, folder of another user."""


class CodecError(StoreError):
    """A value that no bytes can be made of, or bytes that give no value here."""


class NbflowWarning(UserWarning):
    """The root of nbflow's warnings."""


class StoreWarning(NbflowWarning):
    """Damage that was found and survived, or a value that could not be saved."""
