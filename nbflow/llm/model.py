"""Model: what a categorizer needs to get answers. Any client with `ask` will do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nbflow.errors import NonRetriableError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tokens(NamedTuple):
    """The tokens that one request used."""

    input: int = 0
    output: int = 0
    cached: int = 0


NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a model.

    Attributes:
        instructions: what to do: the system prompt, or the question of a decision model.
        text: what to do it with, as JSON: the user's message. For a decision model, the
            text that it judges.
        schema: the JSON schema that the answer has to satisfy.
        timeout: seconds after which nobody waits for the answer any more.
        options: for a decision model, the labels with their descriptions.
    """

    instructions: str
    text: str
    schema: dict[str, object]
    timeout: float
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: JSON, or what the model wrote instead. Of a decision model, the label.
        tokens: what the request used.
        ended: why the answer is incomplete, ``"it was cut off"`` or ``"the model
            refused"``; empty if it may be complete.
        probabilities: of each label, from a decision model.
        model: the model that answered, with its version as the provider reports it;
            empty if it does not say.
    """

    text: str
    tokens: Tokens = NO_TOKENS
    ended: str = ""
    probabilities: Mapping[str, float] | None = None
    model: str = ""


class Model(Protocol):
    """Something that answers requests.

    It sends each request once: only nbflow retries. Like those of HTTP clients, its
    errors have a ``status_code`` and a ``retry_after`` (or a response with headers).
    For errors that every other request of the run would meet (a wrong key, an empty
    account) it raises `StopError`.

    One with a true attribute ``decides`` is a decision model: it is asked with
    ``Request.options`` and answers with ``Reply.probabilities``.

    Attributes:
        name: ``"provider:model"``, for usage and prices.
    """

    @property
    def name(self) -> str:
        """``"provider:model"``."""

    async def ask(self, request: Request) -> Reply:
        """Answer one request; always awaited on nbflow's own event loop."""


class AnswerError(ValueError):
    """An invalid answer.

    It is empty, cut off, refused, not JSON, or a label that nobody offered. nbflow
    retries, and tells the model why.
    """


class RefusedError(AnswerError, NonRetriableError):
    """A decision model's refusal: asked the same again, it gives the same answer."""


class ModelError(Exception):
    """A request that failed.

    Attributes:
        status_code: the HTTP status, if the server answered.
        retry_after: the seconds that it asked to wait, if it did.
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


class UnreadableError(ModelError):
    """A request that was answered with what nobody understands: what it cost is unknown."""


class ProtocolError(UnreadableError):
    """A request that was answered in a form that the protocol does not have."""


class StopError(NonRetriableError):
    """An error that every request of the run would meet.

    A wrong key, an empty account, a model that does not exist. The other calls of the
    run that need the model fail with it at once, without a request of their own.
    """
