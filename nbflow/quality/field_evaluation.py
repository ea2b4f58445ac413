"""Field evaluation: how good one field is that holds a set, a number or words of the text."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._core.html import h
from nbflow._run.html_parts import framed
from nbflow.errors import UsageError
from nbflow.quality import notes, picture
from nbflow.quality.disagreements import frame_of
from nbflow.quality.field import NUMBER, SET, known
from nbflow.quality.field_match import match, members
from nbflow.quality.intervals import UNDEFINED, Interval, at_size, f1
from nbflow.quality.looked_at import is_drawn, is_whole, looked_at
from nbflow.quality.observed import observed
from nbflow.quality.truth import truths_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow._run.results import Columns
    from nbflow.quality.answers import Answers
    from nbflow.quality.copies import Copies
    from nbflow.quality.field import Field
    from nbflow.quality.field_match import Match
    from nbflow.quality.looked_at import LookedAt


@dataclass(frozen=True, slots=True)
class FieldEvaluation:
    """How good one field is. Shown in a notebook it is a picture.

    Attributes:
        name: what the field is called.
        kind: ``"set"``, ``"number"`` or ``"words"``.
        truth: in words, where the true values come from.
        records: that the figures count.
        accuracy: share of the values that are right: the same set, a number within the
            tolerance, the same words (whitespace and case do not count).
        jaccard: of sets, the mean share of what either has that both have, with an
            interval that is at least as wide as it has to be; else undefined.
        labels: of sets, a pandas frame: for each member its records, precision, recall
            and F1 with their intervals; else without rows.
        error: of numbers, the median distance where both are numbers; else ``nan``.
        tolerance: of numbers, how far one may be off.
        disagreements: a pandas frame of the records whose value is wrong.
        missing: records with a true value whose record failed, by what became of them.
        unknown: records without a true value. No figure counts them.
        looked_at: who chose the records, if a person did.
        alike: which records tell one thing, since one call answered them or one decision
            is about them. They count once in the intervals.
        is_whole: whether people decided every answer of the run.
    """

    name: str
    kind: str
    truth: str
    records: int
    accuracy: Interval
    jaccard: Interval
    labels: pd.DataFrame
    error: float
    tolerance: float
    disagreements: pd.DataFrame
    missing: Counter[str]
    unknown: int
    looked_at: LookedAt | None = None
    alike: Copies | None = None
    is_whole: bool = False

    def to_frame(self) -> pd.DataFrame:
        """Of sets, the figures of each member: `labels`."""
        return self.labels

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        distinct = self.records if self.alike is None else self.alike.distinct
        said = notes.of_records(self.looked_at, distinct)
        said += notes.whole(is_whole=self.is_whole)
        said += notes.alike(self.alike, self.looked_at)
        if self.kind == NUMBER:
            within = f"within {self.tolerance:g}" if self.tolerance else "equal"
            said.append(f"A number is right if it is {within}.")
            if not math.isnan(self.error):
                said.append(f"Half of the numbers are at most {self.error:g} off.")
        if self.missing:
            said.append(
                f"{notes.counted(self.missing)} without an answer: not in the figures."
            )
        if self.unknown:
            unknown = notes.records(self.unknown)
            said.append(f"{unknown} without a true value: not in the figures.")
        return said

    def __repr__(self) -> str:
        lines = [
            f"{self.name} against {self.truth}: {notes.records(self.records)}",
            f"right     {self.accuracy}{notes.whose(self.looked_at)}",
        ]
        if not self.jaccard.is_undefined:
            lines.append(f"Jaccard   {self.jaccard}")
        lines += self.notes()
        if len(self.labels):
            figures = self.labels[["records", "precision", "recall", "f1"]]
            lines += ["", figures.round(3).to_string()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        of = f" against {self.truth}, {notes.records(self.records)}"
        figures = [picture.share_bar("right", self.accuracy)]
        if not self.jaccard.is_undefined:
            figures.append(picture.share_bar("Jaccard", self.jaccard))
        figures += [
            picture.share_bar(f"F1 {label}", Interval(*row))
            for label, *row in self.labels[["f1", "f1.low", "f1.high"]].itertuples()
        ][: picture.LABELS]
        wrong = f"{len(self.disagreements):,} wrong"
        shown = framed(
            picture.title(h("b", self.name), of),
            picture.bars(figures),
            picture.notes(self.notes()),
            picture.records(wrong, self.disagreements),
        )
        return str(shown)


def evaluate_field(
    field: Field, truth: object, tolerance: float | None, empty: str
) -> FieldEvaluation:
    """How good a field is, against true values.

    Raises:
        UsageError: there are no true values, or no record has one and an answer.
    """
    answers, off = field.answers, tolerance or 0.0
    true, where, only, _ = truths_of(answers, truth)
    if not where:
        raise UsageError(
            f"There are no true values for {answers.name}: name the column that has "
            "them, truth=..., or let a person decide some, nbflow.review(...)."
        )
    true = known(true, empty)
    scored = [
        number
        for number, said in enumerate(answers.labels)
        if said is not None and true[number] is not None
    ]
    if not scored:
        raise UsageError(
            f"No record has both a true value ({where}) and an answer in {answers.name}."
        )
    pairs = [(answers.labels[number] or "", true[number] or "") for number in scored]
    found = [match(*pair, field.kind, off) for pair in pairs]
    chosen = looked_at(answers, only, scored)
    alike = observed(answers, scored, only, is_sample=is_drawn(answers, only, scored))
    right = _right(found, alike)
    likeness = _mean(found, alike) if field.kind == SET else UNDEFINED
    unanswered = [number for number in answers.missing if true[number] is not None]
    return FieldEvaluation(
        name=answers.name,
        kind=field.kind,
        truth=where,
        records=len(scored),
        accuracy=right.alone() if chosen else right,
        jaccard=likeness.alone() if chosen else likeness,
        labels=_by_member(pairs if field.kind == SET else [], alike),
        error=_median([one.error for one in found]),
        tolerance=off,
        disagreements=_wrong(answers, scored, found, true),
        missing=Counter(answers.missing[number] for number in unanswered),
        unknown=sum(label is None for label in true),
        looked_at=chosen,
        alike=alike,
        is_whole=is_whole(answers, only, scored),
    )


def _right(found: Sequence[Match], alike: Copies) -> Interval:
    """The share of the records whose value is right."""
    import numpy as np

    right = np.array([one.is_right for one in found], dtype=bool)
    return alike.share(right, np.ones(len(right), dtype=bool))


def _mean(found: Sequence[Match], alike: Copies) -> Interval:
    """The mean likeness.

    What lies between 0 and 1 varies at most as much as what is 0 or 1 with the same
    mean, so the interval of a share is wide enough.
    """
    import numpy as np

    likeness, all_of_them = [one.likeness for one in found], np.ones(len(found))
    mean = float(np.average(likeness, weights=alike.weights))
    return at_size(mean, alike.worth(all_of_them))


def _median(errors: Sequence[float]) -> float:
    told = sorted(error for error in errors if not math.isnan(error))
    return told[(len(told) - 1) // 2] if told else math.nan


def _by_member(pairs: Sequence[tuple[str, str]], alike: Copies) -> pd.DataFrame:
    """Precision, recall and F1 of each member of the sets."""
    import pandas as pd

    sets = [(members(given), members(true)) for given, true in pairs]
    names = sorted({name for pair in sets for one in pair for name in one})
    rows = {name: _of_member(name, sets, alike) for name in names}
    columns = ["records"]
    for figure in ("precision", "recall", "f1"):
        columns += [figure, f"{figure}.low", f"{figure}.high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(
        "label"
    )


def _of_member(
    name: str, sets: Sequence[tuple[frozenset[str], frozenset[str]]], alike: Copies
) -> list[float]:
    import numpy as np

    given = np.array([name in one for one, _ in sets], dtype=bool)
    true = np.array([name in one for _, one in sets], dtype=bool)
    figures = (
        alike.share(true, given),
        alike.share(given, true),
        f1(alike.share(given & true, given | true)),
    )
    return [int(true.sum()), *(part for figure in figures for part in figure)]


def _wrong(
    answers: Answers,
    scored: Sequence[int],
    found: Sequence[Match],
    true: Sequence[str | None],
) -> pd.DataFrame:
    """The records whose value is wrong, with both."""
    pairs = zip(scored, found, strict=True)
    wrong = [number for number, one in pairs if not one.is_right]
    said: Columns = {
        "truth": [true[number] for number in wrong],
        answers.name: [answers.labels[number] for number in wrong],
    }
    return frame_of(answers, wrong, said)
