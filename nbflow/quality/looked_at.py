"""Looked at: why people saw the records whose labels they decided, and what follows.

Records that a person saw because the model was unsure of them are no sample: a figure
on those is about them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.decision import SAMPLE
from nbflow._core.plural import several
from nbflow.quality.advice import how_to_speak_of_all
from nbflow.quality.sampling import sample_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nbflow._core.decision import Decision
    from nbflow.quality.answers import Answers

_LEAST_SURE = "least sure"
_REASONS = {
    _LEAST_SURE: "because they were least sure",
    "where": "because where= chose them",
}


class LookedAt(NamedTuple):
    """Records that people chose to look at.

    Attributes:
        number: of these records.
        others: records of which nothing is known.
        reason: why these, in words; empty if no reason is known.
        how: figures of the whole run are had, in a sentence.
    """

    number: int
    others: int
    reason: str
    how: str = ""

    @property
    def words(self) -> str:
        """``of the 101 that were looked at, because they were least sure``."""
        reason = f", {self.reason}" if self.reason else ""
        return f"of the {self.number:,} that were looked at{reason}"

    @property
    def is_by_confidence(self) -> bool:
        """Whether how sure the model is was all that they were chosen by."""
        return self.reason == _REASONS[_LEAST_SURE]

    @property
    def advice(self) -> str:
        """That no figure is about the others, and how to get one that is."""
        return (
            f"These are no sample: nothing follows for the other {several(self.others, 'record')}. "
            f"{self.how}"
        ).rstrip()


def looked_at(
    answers: Answers, only: Collection[int], scored: Collection[int]
) -> LookedAt | None:
    """Who chose the records that are scored; ``None`` if no person did.

    Args:
        answers: all labels.
        only: the numbers of the records whose true label only a review says.
        scored: the numbers of the records that figures count.
    """
    decided = [answers.decided[number] for number in scored if number in only]
    others = len(answers.keys) - len(answers.missing) - len(scored)
    if not decided or others <= 0 or is_one_sample(answers, decided):
        return None
    reasons = {_reason(decision) for decision in decided}
    reason = reasons.pop() if len(reasons) == 1 else "for several reasons"
    return LookedAt(len(scored), others, reason, how_to_speak_of_all(answers))


def is_drawn(answers: Answers, only: Collection[int], scored: Collection[int]) -> bool:
    """Whether all records that are scored were drawn as one sample of all.

    Args:
        answers: all labels.
        only: see `looked_at`.
        scored: see `looked_at`.
    """
    if not scored or not all(number in only for number in scored):
        return False
    if is_whole(answers, only, scored):
        return False
    return is_one_sample(answers, [answers.decided[number] for number in scored])


def is_whole(answers: Answers, only: Collection[int], scored: Collection[int]) -> bool:
    """Whether people decided every answer, so that nothing is drawn any more.

    Args:
        answers: all labels.
        only: see `looked_at`.
        scored: see `looked_at`.
    """
    answered = len(answers.keys) - len(answers.missing)
    return len(scored) == answered and all(number in only for number in scored)


def _reason(decision: Decision) -> str:
    """Why a record came before a person, in words."""
    if decision.why.startswith(SAMPLE):
        return "as a sample of other records"
    return _REASONS.get(decision.why, "")


def is_one_sample(answers: Answers, decided: Iterable[Decision]) -> bool:
    """Whether one sample of these very records brought all of them before a person."""
    whys = {decision.why for decision in decided}
    if len(whys) != 1 or answers.run is None:
        return False
    why = whys.pop()
    if not why.startswith(SAMPLE):
        return False
    sample = sample_of(answers.run.engine, answers)
    return sample is not None and why == f"{SAMPLE}{sample.id}"
