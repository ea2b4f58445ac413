"""Prompt: what a model that writes is asked, and what its answer means."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Generic

from nbflow.llm.form import V
from nbflow.llm.model import AnswerError, FieldsError, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow.llm.form import Form, Json
    from nbflow.llm.model import Reply

#: What the ids of texts are made of: letters that do not form words.
_LETTERS = "bcdfghjkmnpqrstvwxz"
#: What plain text is called where it is one answer of several.
_TEXT = "answer"


class Prompt(Generic[V]):
    """A form as requests for one text or several.

    Args:
        form: what an answer is.
        settings: of the model, passed on.
    """

    def __init__(self, form: Form[V], settings: Mapping[str, object]) -> None:
        self._form = form
        self._settings = settings
        self._instructions = form.brief()
        self.size = form.size

    def request(
        self,
        texts: Sequence[str],
        failed: Sequence[AnswerError | None],
        timeout: float,
    ) -> Request:
        """One request for several texts.

        Args:
            texts: what leaves the process.
            failed: for each text what was wrong with the last answer, or nothing.
            timeout: of the request, in seconds.
        """
        records: list[Json] = []
        for name, text, error in zip(_ids(texts), texts, failed, strict=True):
            record: Json = {"id": name, "text": text}
            if error is not None:
                record["your last answer"] = str(error)
            if only := self._form.only(error):
                record["answer only"] = list(only)
            records.append(record)
        many = len(records) > 1
        if not many:
            del records[0]["id"]
        return Request(
            self._instructions,
            to_json(records if many else records[0]),
            self._several() if many else self._one(failed[0]),
            timeout,
            settings=self._settings,
        )

    def _one(self, failed: AnswerError | None) -> Json:
        properties = self._form.properties(failed)
        return schema_of(properties) if properties else {}

    def _several(self) -> Json:
        whose = {
            "type": "string",
            "description": "the id of the text, letter by letter",
        }
        properties = self._form.properties(None) or {_TEXT: {"type": "string"}}
        named = schema_of({"id": whose} | properties)
        return schema_of({"answers": {"type": "array", "items": named}})

    def read(
        self,
        reply: Reply,
        texts: Sequence[str],
        failed: Sequence[AnswerError | None],
    ) -> list[V | AnswerError]:
        """The answer for each text of the request, in its order.

        An answer belongs to a text by its id, never by its position.
        """
        names = _ids(texts)
        try:
            found = self._answers(reply, names)
        except AnswerError as error:
            return [_again(error, before) for before in failed]
        return [
            self._read(found.get(name, ()), text, before)
            for name, text, before in zip(names, texts, failed, strict=True)
        ]

    def _answers(self, reply: Reply, names: Sequence[str]) -> dict[str, list[Json]]:
        """The answers by the id of their text.

        A text may have several, and an id may belong to no text.
        """
        if reply.ended:
            raise AnswerError(reply.ended)
        if len(names) == 1 and not self._form.properties(None):
            return {names[0]: [{_TEXT: reply.text}]}
        said = _parsed(reply.text)
        return {names[0]: [said]} if len(names) == 1 else _by_id(said, names)

    def _read(
        self, said: Sequence[Json], text: str, failed: AnswerError | None
    ) -> V | AnswerError:
        try:
            return self._form.read(said, text, failed)
        except AnswerError as error:
            return error


def _again(error: AnswerError, before: AnswerError | None) -> AnswerError:
    """The error of one text, which keeps what was right of the answer before."""
    if not isinstance(before, FieldsError) or not before.kept:
        return AnswerError(*error.args)
    fields = {name: f"{name}: {error}" for name in before.fields}
    return FieldsError(fields, before.kept)


def _ids(texts: Sequence[str]) -> list[str]:
    """An id for each text of a request, the same for the same texts.

    Ids that can be counted are counted: a model that leaves a text out and numbers on
    gives each that follows the label of its neighbour.
    """
    length = 3
    while len(_LETTERS) ** length < len(texts):
        length += 1
    drawn = random.Random(to_json(texts))  # noqa: S311  # nothing secret, only no order
    numbers = drawn.sample(range(len(_LETTERS) ** length), len(texts))
    return [_in_letters(number, length) for number in numbers]


def _in_letters(number: int, length: int) -> str:
    base = len(_LETTERS)
    return "".join(_LETTERS[number // base**place % base] for place in range(length))


def _by_id(said: Json, names: Sequence[str]) -> dict[str, list[Json]]:
    """The list of answers by their ids."""
    answers = said.get("answers")
    if not isinstance(answers, list):
        raise AnswerError("the model's answer has no list of answers")
    found: dict[str, list[Json]] = {}
    for answer in answers:
        if isinstance(answer, dict):
            found.setdefault(str(answer.get("id")).strip().lower(), []).append(answer)
    if found and found.keys().isdisjoint(names):
        given = next(iter(found))
        raise AnswerError(
            f"the ids in the model's answer, such as {given!r}, are not those of the texts"
        )
    return found


def _parsed(text: str) -> Json:
    """The object in a model's answer: some put it between words, or backticks."""
    if not text.strip():
        raise AnswerError("the model's answer is empty")
    start, end = text.find("{"), text.rfind("}")
    try:
        said: Json = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        raise AnswerError(f"the model's answer is not JSON: {text[:60]!r}") from None
    return said


def schema_of(properties: Json) -> Json:
    """The schema of an object that has all of these parts and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def to_json(value: object) -> str:
    """JSON that can be sent."""
    return encodable(json.dumps(value, ensure_ascii=False))


def encodable(text: str) -> str:
    """A text that can be sent.

    Half of a surrogate pair, which no encoding knows, becomes a question mark.
    """
    return text.encode("utf-8", "replace").decode()
