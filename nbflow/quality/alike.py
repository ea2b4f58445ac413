"""Alike: records that say the same: one mail that came sixty times.

They are one text to a model and to a person, and no sixty independent ones: whatever
made sixty people send the same made it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbflow._run import decisions

if TYPE_CHECKING:
    from nbflow._core.decision import Decision
    from nbflow._core.sample import Sample
    from nbflow.quality.answers import Answers


def alike(answers: Answers) -> list[int]:
    """For each record the number of the first one that says the same.

    What they say is what people were shown last in a review of these labels, else all
    of the record: an id of its own makes it another one then, since the flow may go by
    that. Where the records were not kept, each is one of its own.
    """
    if answers.rows is None:
        return list(range(len(answers.keys)))
    on = shown(answers)
    first: dict[bytes, int] = {}
    return [
        first.setdefault(decisions.content(row, on), number)
        for number, row in enumerate(answers.rows)
    ]


def shown(answers: Answers) -> tuple[str, ...]:
    """The columns that people were shown last; none if that was all, or is not there."""
    if answers.run is None:
        return ()
    engine = answers.run.engine
    made: list[Decision | Sample] = [*engine.decisions.all(), *engine.samples.all()]
    shown = [
        (one.at, one.on)
        for one in made
        if (one.flow, one.field) == (answers.flow, answers.field)
    ]
    _, on = max(shown, default=(0.0, ()))
    return on if all(_has(row.record, on) for row in answers.rows or ()) else ()


def _has(record: object, on: tuple[str, ...]) -> bool:
    return isinstance(record, Mapping) and all(name in record for name in on)
