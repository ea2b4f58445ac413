"""Choice: what a decision model is asked about each text, and what its answer means.

It does not write: it reads a text and one question with the labels as its options, and
answers with a probability for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.llm.category import Category, probabilities_of
from nbflow.llm.model import AnswerError, RefusedError, Request
from nbflow.llm.prompt import encodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.llm.examples import Example
    from nbflow.llm.model import Reply
    from nbflow.llm.taxonomy import Taxonomy

#: Increase it when the wording changes, as that of prompts.
WORDING = 1

_QUESTION = "Which label fits the text best?"
#: The options of one question, as the protocols of decision models have it.
_MOST = 255


class Choice:
    """Labels, instructions and examples as one question.

    Args:
        taxonomy: the labels.
        instructions: the user's own.
        examples: texts whose label is known.
    """

    def __init__(
        self, taxonomy: Taxonomy, instructions: str, examples: Sequence[Example]
    ) -> None:
        self._taxonomy = taxonomy
        parts = [_QUESTION, taxonomy.about, instructions.strip()]
        self._question = encodable("\n\n".join(part for part in parts if part))
        shown: dict[str, list[str]] = {label: [] for label in taxonomy.labels}
        for text, label in examples:
            shown[label].append(text)
        self._options = {
            label: encodable(_described(said, shown[label]))
            for label, said in taxonomy.labels.items()
        }

    def request(
        self, texts: Sequence[str], complaints: Sequence[str], timeout: float
    ) -> Request:
        """One request for one text.

        It does not say what was wrong with the last answer: the model would judge that
        as well.
        """
        del complaints
        (text,) = map(encodable, texts)
        return Request(self._question, text, {}, timeout, self._options)

    def read(self, reply: Reply, texts: Sequence[str]) -> list[Category | AnswerError]:
        """The answer for the text of the request."""
        del texts
        return [self._category(reply)]

    def _category(self, reply: Reply) -> Category | AnswerError:
        if reply.ended:
            return RefusedError(reply.ended)
        label = self._taxonomy.find(reply.text)
        if label is None:
            return AnswerError(
                f"the model chose {reply.text!r}, which is not one of the labels"
            )
        found = probabilities_of(reply.probabilities, self._taxonomy.labels)
        if found is None:
            return AnswerError(
                "the model's answer has no probabilities of all labels that add up to 1"
            )
        likeliest = max(found, key=found.__getitem__)
        if found[label] < found[likeliest]:
            return AnswerError(
                f"the model chose {label!r} ({found[label]:.2f}), although it takes "
                f"{likeliest!r} ({found[likeliest]:.2f}) to be likelier"
            )
        return Category(label, found[label], None, found)


def check(model: str, taxonomy: Taxonomy, batch: int) -> None:
    """Refuse what cannot be one question about one text.

    Raises:
        UsageError: what, and what to do.
    """
    labels = len(taxonomy.labels)
    if labels > _MOST:
        raise UsageError(
            f"model={model!r} is a decision model, which chooses from at most {_MOST} "
            f"labels, and there are {labels}. Choose a group of labels first and then "
            "a label of it, or take a model that writes."
        )
    if batch != 1:
        raise UsageError(
            f"batch={batch} is for models that write: a decision model such as {model!r} "
            "judges one text a request, and its answer costs nothing."
        )


def _described(said: str, examples: Sequence[str]) -> str:
    """What a label means, with texts that have it."""
    if not examples:
        return said
    shown = "\n".join(f"- {text}" for text in examples)
    return f"{said}\nExamples:\n{shown}".strip()
