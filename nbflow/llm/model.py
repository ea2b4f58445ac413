"""Model: what a step needs to get answers. Any client with `ask` will do."""

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


class Question(NamedTuple):
    """One question to a decision model.

    Attributes:
        words: what to decide about the text.
        options: to choose from, with what they mean; without any it is answered by yes
            or no.
    """

    words: str
    options: Mapping[str, str] = {}


class Decided(NamedTuple):
    """A decision model's answer to one question.

    Attributes:
        choice: one of the options; ``"yes"`` or ``"no"`` without any.
        probabilities: of each of them.
    """

    choice: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a model.

    Attributes:
        instructions: what to do: the system prompt, or the question of a decision model.
        text: what to do it with, as JSON: the user's message. For a decision model, the
            text that it judges.
        schema: the JSON schema that the answer has to satisfy; empty if plain text is
            asked for.
        timeout: seconds after which nobody waits for the answer any more.
        options: for a decision model, the labels with their descriptions.
        questions: for a decision model, all that is asked about the text, by name; a
            categorizer asks one, of which ``instructions`` and ``options`` are a copy.
        settings: what the user set: ``temperature``, ``effort``, ``max_tokens``, ...
    """

    instructions: str
    text: str
    schema: dict[str, object]
    timeout: float
    options: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: JSON, or what the model wrote instead. Of a decision model, the label of
            its one question.
        tokens: what the request used.
        ended: why the answer is incomplete, ``"it was cut off"`` or ``"the model
            refused"``; empty if it may be complete.
        probabilities: of each label, from a decision model.
        answers: of a decision model, to each of the questions, by name.
        model: the model that answered, with its version as the provider reports it;
            empty if it does not say.
    """

    text: str
    tokens: Tokens = NO_TOKENS
    ended: str = ""
    probabilities: Mapping[str, float] | None = None
    model: str = ""
    answers: Mapping[str, Decided] = field(default_factory=dict)


class Model(Protocol):
    """Something that answers requests.

    It sends each request once: only nbflow retries. Like those of HTTP clients, its
    errors have a ``status_code`` and a ``retry_after`` (or a response with headers).
    For errors that every other request of the run would meet (a wrong key, an empty
    account) it raises `StopError`.

    One with a true attribute ``decides`` is a decision model. A categorizer asks it
    with ``Request.options`` and wants ``Reply.probabilities``, an extractor with
    ``Request.questions`` and wants ``Reply.answers``.

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


class FieldsError(AnswerError):
    """A record of which some fields are wrong or missing.

    The next attempt asks for these alone, and says why.

    Attributes:
        fields: what is wrong, by the name of the field; under ``""`` what is wrong with
            the record as a whole.
        kept: what the model answered for the others, as JSON.
    """

    def __init__(
        self, fields: Mapping[str, str], kept: Mapping[str, object] | None = None
    ) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = dict(fields)
        self.kept = dict(kept or {})

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.fields, self.kept)


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
