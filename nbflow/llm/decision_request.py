"""Decision request: what a decision model is asked about each text, and what its answer means.

It does not write: it reads a text and questions with their options, and answers with a
probability for each option.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from nbflow.errors import UsageError
from nbflow.llm.form import V
from nbflow.llm.model import AnswerError, Decided, Question, RefusedError, Request
from nbflow.llm.prompting import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow.llm.form import Form
    from nbflow.llm.model import Reply

#: Increase it when the wording changes, as that of prompts.
WORDING = 1

#: The options of one question, as the protocols of decision models have it.
_MOST_OPTIONS = 255
#: The questions of one request, by provider, and of those that say nothing.
_MOST_QUESTIONS = {"openai-decisions": 200, "google-decisions": 1000}
_MANY_QUESTIONS = 200


class DecisionRequest(Generic[V]):
    """The closed parts of a form as the questions of one request."""

    size = 0  # only what is read is billed

    def __init__(self, form: Form[V]) -> None:
        self._form = form
        self._questions = {
            name: _encodable(question) for name, question in form.questions().items()
        }
        self._is_one = len(self._questions) == 1

    def request(
        self,
        texts: Sequence[str],
        failed: Sequence[AnswerError | None],
        timeout: float,
    ) -> Request:
        """One request for one text.

        It does not say what was wrong with the last answer: the model would judge that
        as well.
        """
        del failed
        (text,) = map(encodable, texts)
        first = next(iter(self._questions.values()))
        return Request(
            first.words if self._is_one else "",
            text,
            {},
            timeout,
            first.options if self._is_one else {},
            self._questions,
        )

    def read(
        self,
        reply: Reply,
        texts: Sequence[str],
        failed: Sequence[AnswerError | None],
    ) -> list[V | AnswerError]:
        """The answer for the text of the request."""
        del failed
        if reply.ended:
            return [RefusedError(reply.ended)]
        answers = dict(reply.answers)
        if self._is_one and not answers:  # as a client of the user's says it
            (name,) = self._questions
            answers = {name: Decided(reply.text, reply.probabilities or {})}
        if unanswered := self._questions.keys() - answers.keys():
            left = min(unanswered)
            return [AnswerError(f"the model left {left!r} out of its answer")]
        try:
            return [self._form.decided(answers, texts[0])]
        except AnswerError as error:
            return [error]


def check(model: str, questions: Mapping[str, Question], batch: int) -> None:
    """Refuse what cannot be one request about one text.

    Raises:
        UsageError: what, and what to do.
    """
    for question in questions.values():
        if len(question.options) > _MOST_OPTIONS:
            raise UsageError(
                f"model={model!r} is a decision model, which chooses from at most "
                f"{_MOST_OPTIONS} labels, and there are {len(question.options)}. Choose a "
                "group of labels first and then a label of it, or take a model that "
                "writes."
            )
    most = _MOST_QUESTIONS.get(model.partition(":")[0], _MANY_QUESTIONS)
    if len(questions) > most:
        raise UsageError(
            f"model={model!r} is a decision model, which answers at most {most} questions "
            f"a request, and there are {len(questions)}: one for each closed field, and "
            "for each label of a field that has several. Divide the fields between two "
            "extractors, or take a model that writes."
        )
    if batch != 1:
        raise UsageError(
            f"batch={batch} is for models that write: a decision model such as {model!r} "
            "judges one text a request, and its answer costs nothing."
        )


def _encodable(question: Question) -> Question:
    options = {label: encodable(said) for label, said in question.options.items()}
    return Question(encodable(question.words), options)
