"""Model: what a categorizer needs of whatever answers it. Implement `ask`, and any client will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from nbflow.errors import NonRetriableError


class Tokens(NamedTuple):
    """What one request came to."""

    input: int = 0
    output: int = 0
    cached: int = 0


NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a model.

    Attributes:
        instructions: what to do: the system prompt.
        text: what to do it with, JSON: the user's message.
        schema: JSON schema that the answer has to satisfy.
        timeout: seconds after which nobody waits for the answer any more.
    """

    instructions: str
    text: str
    schema: dict[str, Any]
    timeout: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: JSON, or what the model wrote instead.
        tokens: what it came to.
        ended: why it is no whole answer, ``"it was cut off"`` or ``"the model
            refused"``; empty if it may be one.
    """

    text: str
    tokens: Tokens = NO_TOKENS
    ended: str = ""


class Model(Protocol):
    """Something that answers requests.

    It sends each request once: nbflow alone retries. Errors are to say what they are as
    those of HTTP clients do, by a ``status_code`` and a ``retry_after`` (or a response
    with headers); those that no other request of the run would escape (a wrong key, an
    empty account) as `StopError`.

    Attributes:
        name: ``"provider:model"``, for usage and prices.
    """

    @property
    def name(self) -> str:
        """``"provider:model"``."""

    async def ask(self, request: Request) -> Reply:
        """Answer one request; always awaited on nbflow's own event loop."""


class AnswerError(ValueError):
    """An answer that is none: empty, cut off, refused, not JSON, or a label that nobody offered. Tried again, with the reason."""


class ModelError(Exception):
    """A request that failed.

    Attributes:
        status_code: of HTTP, if the server answered.
        retry_after: seconds that it asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        status_code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after


class StopError(NonRetriableError):
    """What every request of the run would meet: a wrong key, an empty account, a model that is not there.

    The other calls of the run that need the model fail with it at once, without a
    request of their own.
    """
