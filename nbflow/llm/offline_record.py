"""Offline record: a baseline that fills fields by patterns and likeness of words.

It is not an LLM: a closed list is `Offline`, a number is one of the text, a date is one
that is written as ISO 8601 has it, and words are a match of the field's pattern or the
sentence that is most like what the field is called.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from nbflow.llm.examples import Example
from nbflow.llm.model import RefusedError
from nbflow.llm.offline import BASELINE, Offline, words_of
from nbflow.llm.taxonomy import Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow.llm.form import Json
    from nbflow.llm.shape import Shape

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
_WRITTEN = {
    "date": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "date-time": re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?\b"),
    "time": re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"),
    "duration": re.compile(r"\bP(?:\d+[DW]|T\d+[HMS])\w*\b"),
}


class OfflineRecord:
    """Fits itself at the first text; `ask` is safe from any thread.

    Args:
        shapes: the fields, by the names that a model sees.
        examples: texts whose record is known.
        read: checks what it found, as that of any model.
    """

    def __init__(
        self,
        shapes: dict[str, Shape],
        examples: Sequence[tuple[str, Json]],
        read: Callable[[Json, str], Any],
    ) -> None:
        self._shapes = shapes
        self._examples = examples
        self._read = read
        self._labeller = cache(self._labels_of)

    def ask(self, text: str) -> Any:
        """The record of one text.

        Raises:
            RefusedError: the text has nothing for a field that may not be null.
        """
        return self._read(self._record(self._shapes, text), text)

    def _record(self, shapes: dict[str, Shape], text: str) -> Json:
        return {name: self._value(shape, text) for name, shape in shapes.items()}

    def _value(self, shape: Shape, text: str) -> object:
        if shape.fields:
            return self._record(dict(shape.fields), text)
        if shape.item is not None:
            return self._several(shape, text)
        if shape.members:
            return shape.members[self._labeller(shape).ask(text).label]
        if shape.kind == "boolean":
            return bool(_meant(shape) & words_of(text))
        found = next(iter(_found(shape, text)), None)
        if found is None and not shape.nullable:
            raise RefusedError(
                f"{shape.path}: the {BASELINE}, found nothing in the text: let the field "
                "be None, or ask a model"
            )
        return found

    def _several(self, shape: Shape, text: str) -> list[object]:
        item = shape.item
        if item is None or item.fields:
            return []  # where one record ends, words alone do not tell
        if item.members:
            labels = self._labeller(shape).alike(text)
            return [item.members[label] for label in labels]
        return list(dict.fromkeys(_found(item, text, about=shape)))

    def _labels_of(self, shape: Shape) -> Offline:
        return Offline(Taxonomy(shape.labels), [*self._known(shape)])

    def _known(self, shape: Shape) -> Iterator[Example]:
        """The examples of a closed field, or of a list of such."""
        for text, record in self._examples:
            said = _at(record, shape.path)
            for one in said if isinstance(said, list) else [said]:
                if str(one) in shape.labels:
                    yield Example(text, str(one))


def _at(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = record.get(name) if isinstance(record, dict) else None
    return record


def _meant(shape: Shape) -> set[str]:
    """The words that say what a field is about."""
    return words_of(f"{shape.path.replace('_', ' ')} {shape.about}")


def _found(shape: Shape, text: str, about: Shape | None = None) -> list[Any]:
    """What a text has that may be the value of a field, the likeliest first."""
    if shape.kind in ("integer", "number"):
        return _numbers(shape, text)
    if shape.kind in _WRITTEN:
        return _WRITTEN[shape.kind].findall(text)
    if pattern := shape.bounds.get("pattern"):
        return [match[0] for match in re.finditer(pattern, text) if match[0]]
    meant = _meant(about or shape)
    sentences = sentences_of(text)
    shared = {one: len(meant & words_of(one)) for one in sentences}
    alike = sorted(filter(shared.get, shared), key=lambda one: -shared[one])
    return alike or ([] if shape.nullable or about else sentences[:1])


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, as full stops and lines divide it."""
    return [one.strip() for one in _SENTENCE.findall(text) if one.strip()]


def _numbers(shape: Shape, text: str) -> list[Any]:
    """The numbers of a text that keep the bounds."""
    found = [float(match[0].replace(",", "")) for match in _NUMBER.finditer(text)]
    least = shape.bounds.get("minimum", shape.bounds.get("exclusiveMinimum"))
    most = shape.bounds.get("maximum", shape.bounds.get("exclusiveMaximum"))
    kept = [
        number
        for number in found
        if (least is None or number >= least) and (most is None or number <= most)
    ]
    if shape.kind == "integer":
        return [int(number) for number in kept if number.is_integer()]
    return kept
