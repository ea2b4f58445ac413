"""Form: what an answer to a text is, and how it is asked for.

A label (`labels`), a record of several fields (`record`) and plain text (`plain_text`)
are forms. Everything else, from requests to keys, is one mechanism for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow.llm.model import AnswerError, Decided, Question

#: JSON as it is parsed or sent.
Json: TypeAlias = dict[str, Any]
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Baseline(Protocol[V_co]):
    """Answers offline, from any thread."""

    def ask(self, text: str) -> V_co:
        """The answer for one text."""


class Form(Protocol[V]):
    """What an answer to a text is.

    Attributes:
        name: of the function that steps are made of, which keys cover.
        wording: of what nbflow says itself, which keys cover.
        size: of one answer, in tokens, roughly.
        of_nothing: the answer for a text that is empty, which nobody has to be asked
            for; ``None`` if there is none.
        without_text: what to do where an empty text has no answer.
    """

    name: str
    wording: int
    size: int
    of_nothing: V | None
    without_text: str

    def told(self) -> Json:
        """What the model is told of the form, by the names that an explanation shows."""

    def brief(self) -> str:
        """What the model is told first, and once for all texts of a request."""

    def properties(self, failed: AnswerError | None) -> Json:
        """The JSON schema of each part of an answer; none if it is plain text.

        Args:
            failed: what was wrong with the last answer.
        """

    def only(self, failed: AnswerError | None) -> Sequence[str]:
        """The parts that are asked for again, if these are not all."""

    def read(self, said: Sequence[Json], text: str, failed: AnswerError | None) -> V:
        """The answer that the model gave.

        Args:
            said: all that it said about the text: one answer, or none, or several.
            text: that it read.
            failed: what was wrong with the answer before.

        Raises:
            AnswerError: it is none.
        """

    def questions(self) -> Mapping[str, Question]:
        """What a decision model is asked about each text, by name."""

    def decided(self, answers: Mapping[str, Decided], text: str) -> V:
        """The answer of a decision model to these questions.

        Raises:
            AnswerError: it is none.
        """

    def of_function(self, answer: object, text: str) -> V:
        """What a function of the user's returned.

        Raises:
            AnswerError: it is no such answer.
        """

    def baseline(self) -> Baseline[V]:
        """What answers without a model."""

    def check_join(self, how: object) -> None:
        """Refuse a way to join the answers about the parts of a text.

        Raises:
            UsageError: the form cannot be joined so.
        """

    def joined(
        self, answers: Sequence[V], starts: Sequence[int], how: str | Callable[..., V]
    ) -> V:
        """One answer of those about the parts of a text.

        Args:
            answers: in the order of the parts.
            starts: the place of each part in the text.
            how: as `check_join` allows it.
        """
