"""Examples: texts whose label is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.label import plain
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.llm.taxonomy import Taxonomy


class Example(NamedTuple):
    """A text and its label."""

    text: str
    label: str


def read(
    examples: Any, taxonomy: Taxonomy, redact: Callable[[str], str]
) -> tuple[Example, ...]:
    """Examples in any form: a dict of label -> texts or text -> label, (text, label) pairs, a frame with these columns.

    Args:
        examples: in any of the forms, or ``None``.
        taxonomy: the labels that they may have.
        redact: applied to each text: examples leave the process, too.

    Raises:
        UsageError: what is wrong with them; a label outside the taxonomy is named.
    """
    if examples is None:
        return ()
    found = []
    for place, (text, label) in enumerate(_pairs(examples, taxonomy)):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(
                f"Example {place} is {text!r}: it has to be a text that is not empty."
            )
        label = plain(label)  # noqa: PLW2901
        if label not in taxonomy.labels:
            raise UsageError(
                f"Example {place} has the label {label!r}, which is none of the labels: {', '.join(taxonomy.labels)}."
            )
        found.append(Example(redact(text), label))
    return tuple(found)


def _pairs(examples: Any, taxonomy: Taxonomy) -> Iterator[tuple[Any, Any]]:
    if hasattr(examples, "columns"):
        yield from _of_frame(examples)
    elif isinstance(examples, Mapping):
        yield from _of_mapping(examples, taxonomy)
    elif isinstance(examples, str) or not isinstance(examples, Iterable):
        raise UsageError(
            f"examples={examples!r} has to be a dict of label -> texts, a list of (text, label) pairs or a frame with the columns text and label."
        )
    else:
        for place, pair in enumerate(examples):
            given = (
                (pair.get("text"), pair.get("label"))
                if isinstance(pair, Mapping)
                else pair
            )
            if (
                isinstance(given, str)
                or not isinstance(given, tuple | list)
                or len(given) != 2  # noqa: PLR2004
            ):
                raise UsageError(
                    f"examples[{place}] is {pair!r}: it has to be a pair (text, label)."
                )
            yield tuple(given)


def _of_mapping(
    examples: Mapping[Any, Any], taxonomy: Taxonomy
) -> Iterator[tuple[Any, Any]]:
    """Label -> texts if the values are lists or no value is a label, else text -> label."""
    for key, value in examples.items():
        if not isinstance(value, str) and isinstance(value, Iterable):
            yield from ((text, key) for text in value)
        elif plain(key) in taxonomy.labels and plain(value) not in taxonomy.labels:
            yield value, key
        else:
            yield key, value


def _of_frame(frame: Any) -> Iterator[tuple[Any, Any]]:
    names = [str(name) for name in getattr(frame, "column_names", frame.columns)]
    if {"text", "label"} <= {*names}:
        names = ["text", "label"]
    if len(names) != 2:  # noqa: PLR2004
        raise UsageError(
            f"A frame of examples has to have the columns text and label; it has {', '.join(names) or 'none'}."
        )
    columns = [frame[name] for name in names]
    yield from zip(
        *[
            column.to_pylist() if hasattr(column, "to_pylist") else column
            for column in columns
        ],
        strict=True,
    )
