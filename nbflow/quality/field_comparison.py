"""Field comparison: one field of two runs of the same records, where it is no single label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow.quality import notes
from nbflow.quality.disagreements import frame_of
from nbflow.quality.field import known
from nbflow.quality.field_match import match

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow._run.results import Columns
    from nbflow.quality.answers import Answers
    from nbflow.quality.intervals import Interval
    from nbflow.quality.matching import CommonRecord, Matching


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """One field of two runs, record by record.

    Attributes:
        names: what the two are called.
        kind: ``"set"``, ``"number"`` or ``"words"``.
        truth: in words, where the true values come from; empty if there are none.
        records: that the figures count.
        agreement: share of the records in which both have the same value.
        accuracy: of the first and the second, the share that is right; none without
            true values.
        only_first: records that the first alone has right.
        only_second: records that the second alone has right.
        p: of McNemar's exact test; 1 without true values.
        difference: accuracy of the second minus that of the first.
        disagreements: a pandas frame of the records in which they differ.
    """

    names: tuple[str, str]
    kind: str
    truth: str
    records: int
    agreement: Interval
    accuracy: tuple[Interval, ...]
    only_first: int
    only_second: int
    p: float
    difference: Interval | None
    disagreements: pd.DataFrame

    @property
    def verdict(self) -> str:
        """What the figures say, in a sentence."""
        if not self.accuracy:
            return (
                f"They agree on {self.agreement} of {notes.records(self.records)}. "
                "Which of them is right, only true values can tell."
            )
        first, second = self.names
        return (
            f"{first} is right on {self.accuracy[0]}, {second} on {self.accuracy[1]}: "
            f"{first} alone on {notes.records(self.only_first)}, {second} alone on "
            f"{self.only_second:,} (McNemar's exact test, p = {self.p:.2g})."
        )

    def __repr__(self) -> str:
        against = f", against {self.truth}" if self.truth else ""
        first, second = self.names
        return (
            f"{first} and {second}: {notes.records(self.records)}{against}\n"
            f"{self.verdict}\n"
            f"they differ on {notes.records(len(self.disagreements))}: .disagreements"
        )


def with_empty(matching: Matching, empty: str) -> Matching:
    """The same records, whose empty true values mean what ``empty`` says."""
    true = known([record.true for record in matching.records], empty)
    if not matching.truth:
        return matching
    records = [
        record._replace(true=label)
        for record, label in zip(matching.records, true, strict=True)
    ]
    return matching._replace(records=records)


def both_answered(matching: Matching) -> list[CommonRecord]:
    """The records that figures count: both have an answer, and the truth is known if any is."""
    return [
        record
        for record in matching.records
        if record.label is not None
        and record.other is not None
        and (record.true is not None or not matching.truth)
    ]


def judged(
    records: Sequence[CommonRecord], kind: str, tolerance: float
) -> list[CommonRecord]:
    """The same records, with whether each value is right in its place."""
    return [
        record._replace(
            label=_said(record.label, record.true, kind, tolerance),
            other=_said(record.other, record.true, kind, tolerance),
            true=_said(record.true, record.true, kind, tolerance),
        )
        for record in records
    ]


def _said(given: str | None, true: str | None, kind: str, tolerance: float) -> str:
    return str(match(given or "", true or "", kind, tolerance).is_right)


def agreeing(
    records: Sequence[CommonRecord], kind: str, tolerance: float
) -> list[bool]:
    """Whether both have the same value, record by record."""
    return [
        match(record.label or "", record.other or "", kind, tolerance).is_right
        for record in records
    ]


def differing(
    answers: Answers,
    records: Sequence[CommonRecord],
    same: Sequence[bool],
    names: tuple[str, str],
    *,
    with_truth: bool,
) -> pd.DataFrame:
    """The records in which the two differ, with both values."""
    left = [one for one, equal in zip(records, same, strict=True) if not equal]
    said: Columns = {}
    if with_truth:
        said["truth"] = [record.true for record in left]
    said[names[0]] = [record.label for record in left]
    said[names[1]] = [record.other for record in left]
    return frame_of(answers, [record.first for record in left], said)
