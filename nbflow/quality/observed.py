"""Observed: which of the records that figures count tell one thing, and how they were drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.quality.confidence import confidences
from nbflow.quality.copies import Copies, copies, drawn
from nbflow.quality.estimation import Frame
from nbflow.quality.looking import looked

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from nbflow.quality.answers import Answers


def observed(
    answers: Answers,
    numbers: Sequence[int],
    by_people: Collection[int],
    others: Sequence[Hashable] = (),
    *,
    is_sample: bool,
) -> Copies:
    """The copies among some of the records.

    Records are one if one decision is about them, else if one call answered them. Of a
    drawn sample in which records look alike, each counts by how likely it was drawn.

    Args:
        answers: of the run.
        numbers: of the records that figures count.
        by_people: the numbers of those whose true label a decision says.
        others: what answered them in another run, if two are compared.
        is_sample: whether all of them were drawn as one sample of the run.
    """
    calls: list[Hashable] = [*answers.checkpoints(numbers)]
    if others:
        pairs = zip(calls, others, strict=True)
        calls = [None if None in pair else pair for pair in pairs]
    units = [
        answers.decided[number].subject if number in by_people else call or number
        for number, call in zip(numbers, calls, strict=True)
    ]
    found = copies(units)
    if not is_sample or found.is_plain:
        return found
    frame, stands = _drawn(answers)
    return drawn(found, [stands.get(number, 1.0) for number in numbers], frame.worth)


def _drawn(answers: Answers) -> tuple[Frame, dict[int, float]]:
    """For how many records each one of a drawn sample stands, itself included."""
    assert answers.run is not None  # frames have no samples
    what = looked(answers.run.engine, answers, confidences(answers))
    frame = Frame(what.units, anytime=False)
    sampled = [
        numbers
        for numbers, unit in zip(what.numbers, what.units, strict=True)
        if unit.label is not None and not unit.is_known
    ]
    weights = frame.weights.tolist()
    return frame, {
        number: weight
        for numbers, weight in zip(sampled, weights, strict=True)
        for number in numbers
    }
