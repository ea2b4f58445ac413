"""Field comparison: one field of two runs of the same records, where it is no single label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.quality import notes
from nbflow.quality.disagreements import frame_of
from nbflow.quality.field import known
from nbflow.quality.field_match import match
from nbflow.quality.intervals import Interval, difference, mcnemar, proportion
from nbflow.quality.matching import matched

if TYPE_CHECKING:
    import pandas as pd

    from nbflow._run.results import Columns
    from nbflow.quality.field import Field
    from nbflow.quality.matching import Matching


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


def compare_fields(
    one: Field,
    two: Field,
    truth: object,
    tolerance: float | None,
    empty: str,
    names: tuple[str, str],
) -> FieldComparison:
    """Compare one field of two runs.

    Raises:
        UsageError: there is no record for which both have an answer.
    """
    off = tolerance or 0.0
    matching = with_empty(matched(one.answers, two.answers, truth), empty)
    scored = [
        (record, record.true)
        for record in matching.records
        if record.label is not None
        and record.other is not None
        and (record.true is not None or not matching.truth)
    ]
    if not scored:
        raise UsageError(
            f"There is no record for which {names[0]} and {names[1]} both have an answer."
        )
    rights = [
        tuple(match(said or "", label or "", one.kind, off).is_right for said in pair)
        for record, label in scored
        for pair in [(record.label, record.other)]
    ]
    same = [
        match(record.label or "", record.other or "", one.kind, off).is_right
        for record, _ in scored
    ]
    first, second = rights.count((True, False)), rights.count((False, True))
    is_known = bool(matching.truth)
    total = len(scored)
    differing = [
        (record, label)
        for (record, label), equal in zip(scored, same, strict=True)
        if not equal
    ]
    said: Columns = {}
    if is_known:
        said["truth"] = [label for _, label in differing]
    said[names[0]] = [record.label for record, _ in differing]
    said[names[1]] = [record.other for record, _ in differing]
    return FieldComparison(
        names=names,
        kind=one.kind,
        truth=matching.truth,
        records=total,
        agreement=proportion(sum(same), total),
        accuracy=tuple(
            proportion(sum(right[side] for right in rights), total)
            for side in ((0, 1) if is_known else ())
        ),
        only_first=first if is_known else 0,
        only_second=second if is_known else 0,
        p=mcnemar(first, second) if is_known else 1.0,
        difference=difference(first, second, total) if is_known else None,
        disagreements=frame_of(
            one.answers, [record.first for record, _ in differing], said
        ),
    )
