"""Confidence: how sure a model is of each answer, as numbers, whoever says it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, cast

from nbflow._run.batch import key_text
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow.quality.answers import Answers

#: What a confidence of a run is called, see `Answers.beside`.
CONFIDENCE = "confidence"


def confidences(answers: Answers, given: object = None) -> list[float] | None:
    """One number for each record; ``None`` if nobody says how sure an answer is.

    Args:
        answers: whose confidence.
        given: ``{key: number}``, a Series with the keys as its index (such as
            `nbflow.agreement` gives), or numbers, one a row; left out, what the run
            itself says.

    Raises:
        UsageError: it does not say whose confidence is whose.
    """
    if given is None:
        said = answers.beside.get(CONFIDENCE)
        return None if said is None else [number_of(one) for one in said]
    if isinstance(given, str):
        there = ", ".join(map(repr, answers.columns)) or "none"
        raise UsageError(
            f"confidence={given!r} is a name, and numbers are needed: {{key: number}}, a "
            "Series by key, or one a row, such as a column of run.results(). Its columns "
            f"are {there}."
        )
    keyed = _by_key(given)
    if keyed is not None and keyed.keys() & set(answers.keys):
        return [number_of(keyed.get(key)) for key in answers.keys]
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise UsageError(
            "confidence= has to be {key: number}, a Series by key, or numbers, one a row; "
            f"it has no key of this run, such as {answers.keys[0]!r}."
        )
    numbers = list(cast("Iterable[object]", given))
    if len(numbers) != len(answers.places):
        raise UsageError(
            f"confidence= has {len(numbers):,} numbers and there are "
            f"{len(answers.places):,} rows."
        )
    # Of a record that stands in several rows the first one counts.
    first = dict(zip(reversed(answers.places), reversed(numbers), strict=True))
    return [number_of(first[number]) for number in range(len(answers.keys))]


def _by_key(given: object) -> dict[str, object] | None:
    """What is said by key, if it is."""
    if isinstance(given, Mapping):
        return {key_text(key): one for key, one in given.items()}
    if type(given).__name__ == "Series" and hasattr(given, "index"):
        pairs = zip(given.index, given, strict=True)  # type: ignore[call-overload]  # a Series of pandas
        return {key_text(key): one for key, one in pairs}
    return None


def number_of(confidence: object) -> float:
    """A confidence to sort by, on whatever scale; what is not a number comes last."""
    if not isinstance(confidence, Real) or isinstance(confidence, bool):
        return math.inf
    number = float(confidence)
    return math.inf if math.isnan(number) else number
