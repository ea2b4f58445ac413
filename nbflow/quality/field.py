"""Field: one field of records that were extracted, as labels that the other figures take."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.label import NOTHING, text_of
from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality.answers import answers_of, answers_of_run
from nbflow.quality.label_column import label_column

if TYPE_CHECKING:
    from nbflow._run.batch import Key
    from nbflow.quality.answers import Answers

#: What a field may hold: one of a list, several of it, numbers, or words of the text.
LABEL, SET, NUMBER, WORDS = "label", "set", "number", "words"
#: What an empty true value may mean.
_EMPTY = ("unknown", "nothing")


class Field(NamedTuple):
    """One field of the records of a run.

    Attributes:
        answers: its values as texts; null, where a record is complete, as `NOTHING`.
        kind: what it holds.
    """

    answers: Answers
    kind: str


def field_of(
    source: object,
    field: str,
    column: object = None,
    key: Key = None,
    tolerance: float | None = None,
) -> Field:
    """One field of a run, or one column of a frame, with null as an answer.

    Raises:
        UsageError: it is not there, or the column is named as well.
    """
    if column is not None:
        raise UsageError(f"column={column!r} and field={field!r} are one: give one.")
    answers = answers_of(source, field, key)
    labels = list(answers.labels)
    missing = dict(answers.missing)
    for number, why in answers.missing.items():
        if why == "no label":
            labels[number] = NOTHING
            del missing[number]
    kind = LABEL
    if isinstance(source, Run):
        kind = _kind(source, field, tolerance)
    elif tolerance is not None:
        kind = NUMBER
    return Field(dataclasses.replace(answers, labels=labels, missing=missing), kind)


def closed_field(function: str, run: Run, field: str, column: object) -> Answers:
    """A field that a person can choose from a list: its answers.

    Args:
        function: who asks, for the error.
        run: whose records.
        field: its name.
        column: has to be left out.

    Raises:
        UsageError: it holds numbers, or words of the text; or the records of the run
            are not there.
    """
    answers_of_run(function, run, field)
    found = field_of(run, field, column)
    if found.kind not in (LABEL, SET):
        raise UsageError(
            f"The field {field!r} holds {'numbers' if found.kind == NUMBER else 'words'}, "
            "which nobody chooses from a list: compare it with known values, "
            f"nf.evaluate(run, truth=..., field={field!r})."
        )
    return found.answers


def _kind(run: Run, field: str, tolerance: float | None) -> str:
    """What the values of a field are, by the look of them."""
    chosen = label_column(run, field, None)
    values = [one for one in chosen.columns.get(chosen.name, []) if one is not None]
    if any(isinstance(one, list | tuple | set | frozenset) for one in values):
        return SET
    if f"{chosen.name}.at" in chosen.columns:
        return WORDS
    if tolerance is not None or any(isinstance(one, float) for one in values):
        return NUMBER
    return LABEL


def known(labels: list[str | None], empty: str) -> list[str | None]:
    """True values, of which an empty one may mean that the text has nothing.

    Raises:
        UsageError: ``empty`` is neither of the two.
    """
    if empty not in _EMPTY:
        raise UsageError(
            f'empty={empty!r} has to be "unknown" (nobody knows the true value) or '
            '"nothing" (the text has none).'
        )
    if empty == "unknown":
        return labels
    return [NOTHING if text_of(label) is None else label for label in labels]
