"""Examples: texts whose label is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbflow._core.label import plain
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.llm.taxonomy import Taxonomy

#: A text and its label, as they were given.
Pair: TypeAlias = tuple[object, object]
_PAIR = 2


class Example(NamedTuple):
    """A text and its label."""

    text: str
    label: str


def read(
    examples: object, taxonomy: Taxonomy, redact: Callable[[str], str]
) -> tuple[Example, ...]:
    """Examples in any form.

    Args:
        examples: a dict of label -> texts or text -> label, (text, label) pairs, a
            frame with these columns, or ``None``.
        taxonomy: the labels that they may have.
        redact: applied to each text: examples leave the process, too.

    Raises:
        UsageError: what is wrong with them; a label outside the taxonomy is named.
    """
    if examples is None:
        return ()
    found = []
    for place, (text, given) in enumerate(_pairs(examples, taxonomy)):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(
                f"Example {place} is {text!r}: it has to be a non-empty text."
            )
        label = plain(given)
        if not isinstance(label, str) or label not in taxonomy.labels:
            raise UsageError(
                f"Example {place} has the label {label!r}, which is not one of the "
                f"labels: {', '.join(taxonomy.labels)}."
            )
        found.append(Example(redact(text), label))
    return tuple(found)


def _pairs(examples: object, taxonomy: Taxonomy) -> Iterator[Pair]:
    if hasattr(examples, "columns"):
        yield from _of_frame(examples)
    elif isinstance(examples, Mapping):
        yield from _of_mapping(examples, taxonomy)
    elif isinstance(examples, str) or not isinstance(examples, Iterable):
        raise UsageError(
            f"examples={examples!r} has to be a dict of label -> texts, a list of "
            "(text, label) pairs or a frame with the columns text and label."
        )
    else:
        for place, given in enumerate(examples):
            yield _pair(given, place)


def _pair(given: object, place: int) -> Pair:
    if isinstance(given, Mapping):
        return given.get("text"), given.get("label")
    if not isinstance(given, tuple | list) or len(given) != _PAIR:
        raise UsageError(
            f"examples[{place}] is {given!r}: it has to be a pair (text, label)."
        )
    text, label = given
    return text, label


def _of_mapping(
    examples: Mapping[object, object], taxonomy: Taxonomy
) -> Iterator[Pair]:
    """Pairs from label -> texts or text -> label, whichever an item is.

    It is label -> texts if the value is a list, or if only the key is a label.
    """
    for key, value in examples.items():
        if not isinstance(value, str) and isinstance(value, Iterable):
            yield from ((text, key) for text in value)
        elif plain(key) in taxonomy.labels and plain(value) not in taxonomy.labels:
            yield value, key
        else:
            yield key, value


def _of_frame(frame: Any) -> Iterator[Pair]:
    names = [str(name) for name in getattr(frame, "column_names", frame.columns)]
    if {"text", "label"} <= {*names}:
        names = ["text", "label"]
    if len(names) != _PAIR:
        raise UsageError(
            "A frame of examples has to have the columns text and label; "
            f"it has {', '.join(names) or 'none'}."
        )
    texts, labels = (_values(frame[name]) for name in names)
    yield from zip(texts, labels, strict=True)


def _values(column: Any) -> Iterable[object]:
    """The values of a column; those of pyarrow iterate as scalars of its own."""
    values: Iterable[object] = column
    if hasattr(column, "to_pylist"):
        values = column.to_pylist()
    return values


def pairs_of(examples: object, what: str) -> list[Pair]:
    """Pairs of a text and its answer, whatever that is.

    Args:
        examples: a dict of text -> answer, pairs (text, answer), or ``None``.
        what: the answer is called.

    Raises:
        UsageError: they are none of these.
    """
    if examples is None:
        return []
    if isinstance(examples, Mapping):
        return list(examples.items())
    if isinstance(examples, str) or not isinstance(examples, Iterable):
        raise UsageError(
            f"examples={examples!r} has to be a dict of text -> {what}, or a list of "
            f"pairs (text, {what})."
        )
    return [_pair(given, place) for place, given in enumerate(examples)]


def texts_of(examples: object, redact: Callable[[str], str]) -> list[tuple[str, str]]:
    """Pairs of a text and what is written about it.

    Raises:
        UsageError: one of the two is no text.
    """
    found = []
    for place, (text, answer) in enumerate(pairs_of(examples, "text")):
        for given in (text, answer):
            if not isinstance(given, str) or not given.strip():
                raise UsageError(
                    f"Example {place} has {given!r}: both of a pair have to be texts."
                )
        found.append((redact(str(text)), str(answer)))
    return found
