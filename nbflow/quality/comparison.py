"""Comparison: the labels of two runs of the same records, side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, overload

from nbflow._core.html import Html, h
from nbflow._core.plural import several
from nbflow._run.html_parts import framed
from nbflow.errors import UsageError
from nbflow.quality import notes, picture
from nbflow.quality.answers import answers_of
from nbflow.quality.confusion import Confusion, confusion, matrix
from nbflow.quality.disagreements import frame_of, said_of
from nbflow.quality.evaluation import Evaluation, check_meant, evaluation, taxonomy
from nbflow.quality.field import LABEL, field_of
from nbflow.quality.field_comparison import (
    FieldComparison,
    compare_fields,
    with_empty,
)
from nbflow.quality.intervals import (
    Interval,
    chance_of_difference,
    difference,
    mcnemar,
)
from nbflow.quality.looked_at import is_drawn
from nbflow.quality.matching import matched
from nbflow.quality.metrics import scores
from nbflow.quality.observed import observed
from nbflow.quality.truth import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from nbflow._run.batch import Key
    from nbflow._run.results import Columns
    from nbflow.quality.answers import Answers, Spent
    from nbflow.quality.copies import Copies
    from nbflow.quality.looked_at import LookedAt
    from nbflow.quality.matching import CommonRecord, Matching

#: A difference that chance makes less often than this is called one.
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Paired:
    """Which of the two is right where the other is wrong.

    Attributes:
        only_first: records that the first alone has right.
        only_second: records that the second alone has right.
        p: how likely so uneven a split is by chance: of McNemar's exact test where each
            record counts once. Where some are copies, or were drawn with unequal
            chances, of the difference, weighed like it: below 0.05 where its interval
            leaves out 0.
        difference: accuracy of the second minus that of the first, with its interval
            (records drawn in pairs).
        texts: the same as ``only_first`` and ``only_second``, in texts: records that
            tell one thing are one, and count for whoever has more of them right.
        is_exact: whether ``p`` is that of McNemar's exact test.
    """

    only_first: int
    only_second: int
    p: float
    difference: Interval
    texts: tuple[int, int]
    is_exact: bool

    @property
    def is_close(self) -> bool:
        """Whether the interval leaves out 0, and the exact test sees no difference."""
        _, low, high = self.difference
        return self.is_exact and self.p >= SIGNIFICANT and (low > 0 or high < 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of labels for the same records. Shown in a notebook it is a picture.

    Attributes:
        names: what the two are called.
        truth: in words, where the true labels come from; empty if there are none.
        first: how good the first is; ``None`` without true labels.
        second: how good the second is.
        paired: which is right where the other is wrong; ``None`` without true labels.
        agreement: share of the records to which both give one label.
        kappa: Cohen's, between the two.
        confusion: the labels of the first against those of the second.
        disagreements: a pandas frame of the records to which they give different
            labels.
        missing: a pandas frame of the records that one or both have no answer for, with
            what became of them.
        alone: records that only one of the two has: (first, second).
        records: records that the figures count: both have an answer, and with true
            labels those are known.
        unknown: records with both answers and without a true label.
        spent: what the calls of the two runs took.
        shared: records whose answer is one checkpoint in both runs.
        looked_at: who chose the records, if a person did; no figure then has an
            interval, since none is about other records.
        alike: which records tell one thing; intervals count them once.
    """

    names: tuple[str, str]
    truth: str
    first: Evaluation | None
    second: Evaluation | None
    paired: Paired | None
    agreement: Interval
    kappa: Interval
    confusion: Confusion
    disagreements: pd.DataFrame
    missing: pd.DataFrame
    alone: tuple[int, int]
    records: int
    unknown: int
    spent: tuple[Spent | None, Spent | None]
    shared: int = 0
    looked_at: LookedAt | None = None
    alike: Copies | None = None

    @property
    def verdict(self) -> str:
        """What the figures say, in a sentence."""
        if self.paired is None:
            return (
                f"They agree on {self.agreement} of {notes.records(self.records)}. "
                "Which of them is right, only true labels can tell."
            )
        split, test = self._split(self.paired)
        if self.looked_at is not None:
            # A review of what one of them is unsure of finds its errors, not the other's.
            return (
                f"{split}, {self.looked_at.words}; that makes neither the better one."
            )
        if self.paired.p >= SIGNIFICANT:
            return f"No difference is shown: {split}{test}."
        better = self.names[self.paired.difference.value > 0]
        return f"{better} is better: {split}{test}."

    def _split(self, paired: Paired) -> tuple[str, str]:
        """What each alone has right, the better one first, and the test of it."""
        sides = list(
            zip(
                self.names,
                paired.texts,
                (paired.only_first, paired.only_second),
                strict=True,
            )
        )
        if paired.difference.value > 0:
            sides.reverse()
        (better, texts, more), (worse, texts_of_worse, fewer) = sides
        if paired.is_exact:
            split = f"{better} alone is right on {notes.records(more)}, {worse} alone on {fewer:,}"
            return split, f" (McNemar's exact test, p = {paired.p:.2g})"
        split = (
            f"{better} alone is right on {several(texts, 'text')} "
            f"({notes.records(more)}), {worse} alone on {texts_of_worse:,} "
            f"({notes.records(fewer)})"
        )
        value = picture.points(paired.difference.alone())
        weighed = "a text counts for its records"
        if self.alike is not None and self.alike.is_drawn:
            weighed = "a text counts for the records that it stands for"
        return split, (
            f"; difference in accuracy {value}, in which {weighed} (p = {paired.p:.2g})"
        )

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        said = self._of_truth()
        for name, alone in zip(self.names, self.alone, strict=True):
            states = Counter(self.missing[f"{name}.status"])
            # Records for which the other one has no answer.
            del states[""]
            if states:
                said.append(
                    f"{notes.counted(states)} without an answer in {name}: "
                    "not in the figures, see .missing."
                )
            if alone:
                said.append(
                    f"{notes.records(alone)} only in {name}: not in the figures."
                )
        if self.unknown:
            unknown = notes.records(self.unknown)
            said.append(f"{unknown} without a true label: not in the figures.")
        for side in self._sides():
            outside = notes.outside(side.outside, len(side.labels))
            said += [f"{side.name}: {sentence}" for sentence in outside]
        for name, spent in zip(self.names, self.spent, strict=True):
            said += notes.spent(spent, name)
        return said

    def _of_truth(self) -> list[str]:
        """What one has to know about the records and their true labels."""
        distinct = self.records if self.alike is None else self.alike.distinct
        said = notes.few(distinct)
        if self.paired is not None and self.paired.is_close:
            said.append(
                "The interval of the difference leaves out 0 only just, and the exact "
                "test, which is stricter, shows no difference: label more to be sure."
            )
        if self.looked_at is not None:
            said = [self.looked_at.advice]
        said += notes.alike(self.alike)
        for side in self._sides():
            if side.revised is not None:
                said.append(f"{side.name}: {side.revised.sentence}")
        if self.shared:
            said.append(_of_shared(self.shared, self.records))
        return said

    def to_frame(self) -> pd.DataFrame:
        """The figures of both with their intervals.

        A pandas frame with a row for each figure, F1 by label at the end.
        """
        import pandas as pd

        # The figures of the first and of the second, by name.
        rows: dict[str, Sequence[Interval]] = {}
        sides = [side.scores for side in self._sides()]
        if sides:
            rows["accuracy"] = [side.accuracy for side in sides]
            rows["macro F1"] = [side.macro_f1 for side in sides]
            rows["kappa"] = [side.kappa for side in sides]
        rows["agreement"] = [self.agreement, self.agreement]
        rows["kappa between them"] = [self.kappa, self.kappa]
        for place, label in enumerate(self._labels()):
            rows[f"F1 {label}"] = [side.f1[place] for side in sides]
        columns: dict[str, list[float]] = {}
        for place, name in enumerate(self.names):
            figures = [row[place] for row in rows.values()]
            columns[name] = [figure.value for figure in figures]
            columns[f"{name}.low"] = [figure.low for figure in figures]
            columns[f"{name}.high"] = [figure.high for figure in figures]
        return pd.DataFrame(columns, index=pd.Index(list(rows), name="figure"))

    def _sides(self) -> list[Evaluation]:
        """The evaluations of both; none without true labels."""
        return [one for one in (self.first, self.second) if one is not None]

    def _labels(self) -> tuple[str, ...]:
        return self.first.labels if self.first is not None else ()

    def __repr__(self) -> str:
        against = f", against {self.truth}" if self.truth else ""
        records = notes.records(self.records)
        first, second = self.names
        lines = [f"{first} and {second}: {records}{against}", self.verdict]
        for side in self._sides():
            kappa = picture.kappa(side.kappa)
            lines.append(
                f"{side.name}: accuracy {side.accuracy}, "
                f"macro F1 {side.macro_f1}, kappa {kappa}"
            )
        if self.paired is not None:
            difference = picture.points(self.paired.difference)
            lines.append(f"difference in accuracy: {difference}")
        differing = notes.records(len(self.disagreements))
        lines.append(f"they differ on {differing}: .disagreements")
        return "\n".join([*lines, *self.notes()])

    def _repr_html_(self) -> str:
        differing = f"{len(self.disagreements):,} on which they differ"
        shown = framed(
            self._title(),
            h("div", self.verdict, style="margin:6px 0 2px;font-weight:600"),
            picture.bars(self._bars()),
            *self._details(),
            picture.records(differing, self.disagreements),
        )
        return str(shown)

    def _title(self) -> Html:
        first, second = self.names
        against = f" against {self.truth}" if self.truth else ""
        return picture.title(
            picture.swatch(picture.COLOURS[0]),
            h("b", first),
            " and ",
            picture.swatch(picture.COLOURS[1]),
            h("b", second),
            f"{against}, {notes.records(self.records)}",
        )

    def _bars(self) -> Iterator[picture.Bar]:
        """Each figure of the first above that of the second.

        Without true labels their agreement.
        """
        if self.first is None or self.second is None:
            yield picture.share_bar("agreement", self.agreement)
            yield picture.kappa_bar(self.kappa)
            return
        one, two = self.first.scores, self.second.scores
        name, other = self.names
        _, colour = picture.COLOURS
        yield picture.share_bar("accuracy", one.accuracy, name)
        yield picture.share_bar("", two.accuracy, other, colour)
        yield picture.share_bar("macro F1", one.macro_f1, name)
        yield picture.share_bar("", two.macro_f1, other, colour)
        yield picture.kappa_bar(one.kappa, name)
        yield picture.kappa_bar(two.kappa, other, colour)._replace(figure="")

    def _details(self) -> list[Html]:
        """The notes and the confusion matrices."""
        if self.paired is None:
            return [picture.notes(self.notes()), matrix(self.confusion)]
        first, second = self.names
        difference = (
            f"Accuracy of {second} minus {first}: "
            f"{picture.points(self.paired.difference)}. "
            f"They agree on {self.agreement}."
        )
        matrices = [matrix(side.confusion, side.name) for side in self._sides()]
        return [
            picture.notes([difference, *self.notes()]),
            picture.side_by_side(*matrices, gap="12px 36px"),
        ]


def _of_shared(shared: int, total: int) -> str:
    """That answers agree because they are the same answers."""
    anew = total - shared
    return (
        f"{anew:,} of {notes.answers(total)} were asked for anew: the others are the same "
        "checkpoints in both runs. What is in no key, such as `batch=`, does not count; "
        "to ask again, give one side a version=."
    )


@overload
def compare(
    first: object,
    second: object,
    *,
    truth: object = None,
    column: str | tuple[str, str] | None = None,
    names: tuple[str, str] | None = None,
    labels: object = None,
    key: Key = None,
    seed: int = 0,
) -> Comparison: ...
@overload
def compare(
    first: object,
    second: object,
    *,
    truth: object = None,
    field: str,
    tolerance: float | None = None,
    empty: str = "unknown",
    names: tuple[str, str] | None = None,
    labels: object = None,
    key: Key = None,
) -> Comparison | FieldComparison: ...
def compare(
    first: object,
    second: object,
    *,
    truth: object = None,
    column: str | tuple[str, str] | None = None,
    field: str | None = None,
    tolerance: float | None = None,
    empty: str = "unknown",
    names: tuple[str, str] | None = None,
    labels: object = None,
    key: Key = None,
    seed: int = 0,  # noqa: ARG001  # calls that were written when intervals were drawn go on
) -> Comparison | FieldComparison:
    """Is the second better than the first?

    Two prompts, two models, yesterday and today, on the same records.

    Records are matched by their keys. What the models said is compared, whatever people
    decided afterwards. Records that one of them lacks or has no answer for are counted
    and said, and are in no figure; an answer outside of the labels is wrong.
    ``run.compare(other)`` lists every field that came out differently instead, of any
    kind of flow.

    Args:
        first: a run, a frame with ``column=``, or a column (a Series, a list).
        second: the other one.
        truth: the true labels: the name of a column of the records; or labels, one for
            each row of ``first``; or ``{key: label}``. Left out: what people decided in a
            review, if anything. Where they decided on records that a column has a label
            for, see `evaluate`.
        column: which column holds the labels (``"triage.label"``), or one for each of
            the two; by default, of runs, the one that is called like the truth, else
            the only one that may hold labels.
        field: of records that were extracted, which field of both, as for `evaluate`.
        tolerance: how far a number may be off.
        empty: of ``field=``, what an empty true value means: ``"unknown"``, or that the
            text has ``"nothing"``.
        names: what to call the two; by default their columns, or A and B where those
            are the same.
        labels: the taxonomy, as list, dict, Enum or Literal; by default the labels that
            the truth has.
        key: the column or columns that identify the rows of frames.
        seed: of no effect: intervals are computed, no longer drawn.

    Returns:
        A `Comparison`: ``.verdict``, ``.first`` and ``.second`` (an `Evaluation` each),
        ``.paired``, ``.agreement``, ``.kappa``, ``.to_frame()``, ``.confusion``,
        ``.disagreements``. Of a field that holds sets, numbers or words a
        `FieldComparison`.

    Raises:
        UsageError: the two have no record in common, or a column is not there.
    """
    if field is not None:
        mine = field_of(first, field, column, key, tolerance)
        theirs = field_of(second, field, column, key, tolerance)
        one, two = mine.answers, theirs.answers
        if {mine.kind, theirs.kind} != {LABEL}:
            what = _names(one, two, names)
            return compare_fields(mine, theirs, truth, tolerance, empty, what)
        return _matched(one, two, truth, labels, names, empty)
    if column is None or isinstance(column, str):
        column_of_first = column_of_second = column
    else:
        column_of_first, column_of_second = column
    called = name_of(truth)
    one = answers_of(first, column_of_first, key, called)
    two = answers_of(second, column_of_second, key, called)
    return _matched(one, two, truth, labels, names)


def _matched(
    one: Answers,
    two: Answers,
    truth: object,
    labels: object,
    names: tuple[str, str] | None,
    empty: str = "unknown",
) -> Comparison:
    matching = with_empty(matched(one, two, truth), empty)
    if truth is not None:
        true = [record.true for record in matching.records]
        check_meant(one, true, labels)
        check_meant(two, true, labels)
    sides = _Sides(one, two, _names(one, two, names))
    return _compared(sides, matching, labels)


class _Sides(NamedTuple):
    """The answers of both, and what the two are called."""

    one: Answers
    two: Answers
    names: tuple[str, str]


def _names(
    one: Answers,
    two: Answers,
    asked: tuple[str, str] | None,
) -> tuple[str, str]:
    """What to call the two."""
    if asked is None and one.name == two.name:
        return "A", "B"
    if asked is None:
        return one.name, two.name
    if isinstance(asked, str) or len(set(asked)) != 2:  # noqa: PLR2004  # two things are compared
        raise UsageError(f"names={asked!r} has to be two different names.")
    return asked


def _compared(
    sides: _Sides,
    matching: Matching,
    labels: object,
) -> Comparison:
    names = sides.names
    answered = [
        record
        for record in matching.records
        if record.label is not None and record.other is not None
    ]
    scored = answered
    if matching.truth:
        scored = [record for record in answered if record.true is not None]
    if not scored:
        known = f" and {matching.truth} a true label" if matching.truth else ""
        raise UsageError(
            f"There is no record for which {names[0]} and {names[1]} both have an "
            f"answer{known}."
        )
    said = [record.label or "" for record in scored]
    other = [record.other or "" for record in scored]
    either = tuple(sorted({*said, *other}))
    alike = _alike(sides, matching, scored)
    between = scores(said, other, either, alike)
    first = second = split = chosen = None
    if matching.truth:
        true = [record.true for record in matching.records]
        known_labels = taxonomy(labels, true, said, other)
        first, second = _evaluations(sides, matching, scored, known_labels, alike)
        split = paired(scored, alike)
        chosen = first.looked_at
        if chosen is not None:
            split = replace(split, difference=split.difference.alone())
    return Comparison(
        names=names,
        truth=matching.truth,
        first=first,
        second=second,
        paired=split,
        agreement=between.accuracy,
        kappa=between.kappa,
        confusion=confusion(said, other, either, names),
        disagreements=_differing(sides, matching, answered),
        missing=_missing(sides, matching.records),
        alone=matching.alone,
        records=len(scored),
        unknown=len(answered) - len(scored),
        spent=(sides.one.spent, sides.two.spent),
        shared=_shared(sides, scored),
        looked_at=chosen,
        alike=alike,
    )


def _alike(sides: _Sides, matching: Matching, scored: list[CommonRecord]) -> Copies:
    """Which records tell one thing: those of one decision, or of one answer from both."""
    firsts = [record.first for record in scored]
    theirs = sides.two.checkpoints([record.second for record in scored])
    by_people = matching.looked_at
    is_sample = is_drawn(sides.one, by_people, firsts)
    return observed(sides.one, firsts, by_people, theirs, is_sample=is_sample)


def _evaluations(
    sides: _Sides,
    matching: Matching,
    scored: list[CommonRecord],
    labels: tuple[str, ...],
    alike: Copies,
) -> tuple[Evaluation, Evaluation]:
    """How good the first is, and how good the second, on the same records."""
    first = evaluation(
        sides.one,
        {record.first: record.true for record in scored},
        matching.truth,
        labels,
        name=sides.names[0],
        only=matching.looked_at,
        decided=matching.revised,
        alike=alike,
    )
    at = {record.first: record.second for record in scored}
    second = evaluation(
        sides.two,
        {record.second: record.true for record in scored},
        matching.truth,
        labels,
        name=sides.names[1],
        decided={at[one]: said for one, said in matching.revised.items() if one in at},
        alike=alike,
    )
    if first.looked_at is not None:
        second = replace(
            second, scores=second.scores.alone(), looked_at=first.looked_at
        )
    return first, second


def _shared(sides: _Sides, scored: list[CommonRecord]) -> int:
    """Records whose answer is one checkpoint in both runs."""
    mine = sides.one.checkpoints([record.first for record in scored])
    theirs = sides.two.checkpoints([record.second for record in scored])
    pairs = zip(mine, theirs, strict=True)
    return sum(one is not None and one == other for one, other in pairs)


def paired(scored: list[CommonRecord], alike: Copies) -> Paired:
    """Which is right where the other is wrong."""
    import numpy as np

    first = np.array([record.label == record.true for record in scored])
    second = np.array([record.other == record.true for record in scored])
    only_first, only_second = first & ~second, second & ~first
    worth = alike.worth(np.ones(len(scored)))
    each = worth * alike.weights / alike.weights.sum()
    more = np.sign(np.bincount(alike.units, only_second * 1.0 - only_first))
    texts = int((more < 0).sum()), int((more > 0).sum())
    weighed = float(each @ only_first), float(each @ only_second), worth
    is_exact = alike.is_plain
    return Paired(
        only_first=int(only_first.sum()),
        only_second=int(only_second.sum()),
        p=mcnemar(*texts) if is_exact else chance_of_difference(*weighed),
        difference=difference(*weighed),
        texts=texts,
        is_exact=is_exact,
    )


def _differing(
    sides: _Sides,
    matching: Matching,
    answered: list[CommonRecord],
) -> pd.DataFrame:
    """The records to which the two give different labels, with both labels."""
    differing = [record for record in answered if record.label != record.other]
    firsts = [record.first for record in differing]
    seconds = [record.second for record in differing]
    columns: Columns = {}
    if matching.truth:
        columns["truth"] = [record.true for record in differing]
        columns["right"] = [_right(record, *sides.names) for record in differing]
    columns |= said_of(sides.one, sides.names[0], firsts)
    columns |= said_of(sides.two, sides.names[1], seconds)
    return frame_of(sides.one, firsts, columns)


def _right(record: CommonRecord, first: str, second: str) -> str | None:
    """Which of two different labels is right; ``None`` if that is not known."""
    if record.true is None:
        return None
    if record.true == record.label:
        return first
    return second if record.true == record.other else "neither"


def _missing(sides: _Sides, records: list[CommonRecord]) -> pd.DataFrame:
    """The records that one or both have no answer for, with what became of them."""
    one, two, names = sides
    missing = [
        record
        for record in records
        if record.first in one.missing or record.second in two.missing
    ]
    firsts = [record.first for record in missing]
    seconds = [record.second for record in missing]
    columns: Columns = {
        f"{names[0]}.status": [one.missing.get(number, "") for number in firsts],
        f"{names[1]}.status": [two.missing.get(number, "") for number in seconds],
    }
    return frame_of(one, firsts, columns)
