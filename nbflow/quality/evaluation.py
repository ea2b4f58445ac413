"""Evaluation: how good labels are, against those that are known to be true."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, overload

from nbflow._core.html import Html, h
from nbflow._core.table import short
from nbflow._run.html_parts import framed
from nbflow.errors import UsageError
from nbflow.quality import notes, picture
from nbflow.quality.advice import review_call
from nbflow.quality.answers import answers_of
from nbflow.quality.confusion import Confusion, confusion, matrix
from nbflow.quality.disagreements import frame_of, said_of
from nbflow.quality.field import LABEL, field_of, known
from nbflow.quality.field_evaluation import FieldEvaluation, evaluate_field
from nbflow.quality.intervals import Interval, percent
from nbflow.quality.labels import labels_of
from nbflow.quality.looked_at import is_drawn, is_whole, looked_at
from nbflow.quality.metrics import Scores, scores
from nbflow.quality.observed import observed
from nbflow.quality.revised import Revised, revised
from nbflow.quality.truth import NOTHING_REVISED, name_of, truths_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from nbflow._run.batch import Key
    from nbflow._run.results import Columns
    from nbflow.quality.answers import Answers, Spent
    from nbflow.quality.copies import Copies
    from nbflow.quality.looked_at import LookedAt


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good labels are. Shown in a notebook it is a picture.

    Attributes:
        name: what the labels are called.
        truth: in words, where the true labels come from.
        labels: the taxonomy.
        support: records of each label, as the truth has it.
        scores: accuracy, macro F1, kappa, and precision, recall and F1 by label, each
            with its interval.
        confusion: true against given labels.
        disagreements: a pandas frame of the records whose label is wrong.
        missing: records with a true label and without an answer, by what became of
            them. No figure counts them.
        unknown: records without a true label. No figure counts them.
        outside: answers outside of the taxonomy, which count as wrong.
        majority: the most frequent true label, and the accuracy of always saying it.
        spent: what the calls of the run took.
        looked_at: who chose the records, if a person did; no figure then has an
            interval, since none is about other records.
        alike: which records tell one thing, since they look the same to whoever decided
            or to the model; intervals count them once.
        revised: the accuracy with what people decided in the place of true labels that
            are known; ``None`` if they decided on none of these.
        is_whole: whether people decided every answer of the run.
    """

    name: str
    truth: str
    labels: tuple[str, ...]
    support: tuple[int, ...]
    scores: Scores
    confusion: Confusion
    disagreements: pd.DataFrame
    missing: Counter[str]
    unknown: int
    outside: Counter[str]
    majority: tuple[str, float]
    spent: Spent | None
    looked_at: LookedAt | None = None
    alike: Copies | None = None
    revised: Revised | None = None
    is_whole: bool = False

    @property
    def accuracy(self) -> Interval:
        """Share of the answers that are right, with its interval."""
        return self.scores.accuracy

    @property
    def macro_f1(self) -> Interval:
        """Mean F1 of the labels, with its interval."""
        return self.scores.macro_f1

    @property
    def kappa(self) -> Interval:
        """Cohen's kappa, with its interval."""
        return self.scores.kappa

    @property
    def records(self) -> int:
        """Records that the figures count."""
        return sum(self.support)

    @property
    def distinct(self) -> int:
        """Of these records those that differ: each tells something of its own."""
        return self.records if self.alike is None else self.alike.distinct

    @property
    def accuracy_of_all(self) -> float:
        """Accuracy if a record without an answer counts as wrong."""
        everything = self.records + self.missing.total()
        return self.accuracy.value * self.records / everything

    def to_frame(self) -> pd.DataFrame:
        """Precision, recall and F1 of each label with their intervals.

        A pandas frame with a row for each label.
        """
        import pandas as pd

        data: dict[str, Sequence[float]] = {"records": self.support}
        for name, found in (
            ("precision", self.scores.precision),
            ("recall", self.scores.recall),
            ("f1", self.scores.f1),
        ):
            data[name] = [one.value for one in found]
            data[f"{name}.low"] = [one.low for one in found]
            data[f"{name}.high"] = [one.high for one in found]
        return pd.DataFrame(data, index=pd.Index(self.labels, name="label"))

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        label, share = self.majority
        said = notes.figures_of(
            self.looked_at, self.distinct, len(self.disagreements), len(self.labels)
        )
        said += notes.whole(is_whole=self.is_whole)
        said += notes.alike(self.alike, self.looked_at)
        if self.revised is not None:
            said.append(self.revised.sentence)
        said.append(f"Always saying {label!r} would be right on {percent(share)}.")
        if self.missing:
            said.append(
                f"{notes.counted(self.missing)} without an answer: not in the figures; "
                f"counted as wrong, accuracy is {percent(self.accuracy_of_all)}."
            )
        if self.unknown:
            unknown = notes.records(self.unknown)
            said.append(f"{unknown} without a true label: not in the figures.")
        said += notes.outside(self.outside, len(self.labels))
        mixed = ", ".join(
            f"{row} taken for {column} ({number:,})"
            for row, column, number in self.confusion.mixed_up()[:2]
        )
        if mixed:
            said.append(f"Most often mixed up: {mixed}.")
        return said + notes.spent(self.spent)

    def __repr__(self) -> str:
        figures = self.to_frame()[["records", "precision", "recall", "f1"]]
        lines = [
            f"{self.name} against {self.truth}: {notes.records(self.records)}",
            f"accuracy  {self.accuracy}{notes.whose(self.looked_at)}",
            f"macro F1  {self.macro_f1}",
            f"kappa     {picture.kappa(self.kappa)}",
            *self.notes(),
            "",
            figures.round(3).to_string(),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        of = f" against {self.truth}, {notes.records(self.records)}"
        accuracy = picture.share_bar("accuracy", self.accuracy)
        if self.looked_at is not None:
            accuracy = accuracy._replace(between=self.looked_at.words)
        bars = [
            accuracy,
            picture.share_bar("macro F1", self.macro_f1),
            picture.kappa_bar(self.kappa),
        ]
        if self.revised is not None and self.revised.differing:
            second = Interval(self.revised.accuracy, math.nan, math.nan)
            bar = picture.share_bar("", second, "with decisions")
            bars.insert(1, bar._replace(between=self.revised.words))
        wrong = f"{len(self.disagreements):,} wrong"
        shown = framed(
            picture.title(h("b", self.name), of),
            picture.bars(bars),
            picture.notes(self.notes()),
            picture.side_by_side(
                matrix(self.confusion), _by_label(self), gap="8px 36px"
            ),
            picture.records(wrong, self.disagreements),
        )
        return str(shown)


def _by_label(one: Evaluation) -> Html:
    """Precision, recall and F1 of each label, the most frequent first."""
    places = sorted(range(len(one.labels)), key=lambda place: -one.support[place])
    shown = places[: picture.LABELS]
    figures = ("records", "precision", "recall", "F1", "95 %")
    head = [
        picture.header("label"),
        *(picture.header(figure, "right") for figure in figures),
    ]
    lines = [_label_line(one, place) for place in shown]
    parts = [picture.table(head, lines)]
    more = len(places) - len(shown)
    if more:
        rest = f"and {more} more: .to_frame()"
        parts.append(h("div", rest, style=picture.FAINT))
    return h("div", *parts, style="overflow-x:auto")


def _label_line(one: Evaluation, place: int) -> Html:
    f1 = one.scores.f1[place]
    between = ""
    if not f1.is_undefined:
        between = f"{percent(f1.low)} to {percent(f1.high)}"
    numbers = [
        (f"{one.support[place]:,}", ""),
        (percent(one.scores.precision[place].value), ""),
        (percent(one.scores.recall[place].value), ""),
        (percent(f1.value), ";font-weight:600"),
        (between, f";{picture.FAINT}"),
    ]
    label = short(one.labels[place], 40)
    cells = [picture.row_header(label, "text-align:left")]
    for number, more in numbers:
        style = f"{picture.CELL};text-align:right{more}"
        cells.append(h("td", number, style=style))
    return picture.line(*cells)


@overload
def evaluate(
    source: object,
    truth: object = None,
    *,
    column: str | None = None,
    labels: object = None,
    key: Key = None,
    seed: int = 0,
) -> Evaluation: ...
@overload
def evaluate(
    source: object,
    truth: object = None,
    *,
    field: str,
    tolerance: float | None = None,
    empty: str = "unknown",
    labels: object = None,
    key: Key = None,
) -> Evaluation | FieldEvaluation: ...
def evaluate(
    source: object,
    truth: object = None,
    *,
    column: str | None = None,
    field: str | None = None,
    tolerance: float | None = None,
    empty: str = "unknown",
    labels: object = None,
    key: Key = None,
    seed: int = 0,  # noqa: ARG001  # calls that were written when intervals were drawn go on
) -> Evaluation | FieldEvaluation:
    """How good the labels of a run or a frame are, against true ones.

    What the model said is scored, whatever people decided afterwards. Records without
    an answer or without a true label are counted and said, and are in no figure; an
    answer outside of the labels is wrong.

    Args:
        source: a run, a frame with ``column=``, or a column (a Series, a list).
        truth: the true labels: the name of a column of the records; or labels, one a
            row (a pandas Series by its index, if that holds the keys); or ``{key:
            label}``. Left out: what people decided in a review. Where people decided on
            records that a column has a label for, the figures are those of the column,
            and ``.revised`` has the accuracy with what they decided in its place.
        column: of a run the column of its results that holds the labels
            (``"triage.label"``); by default the one that is called like the truth,
            else the only one that may hold labels. Of a frame its column.
        field: of records that were extracted, which field. Null is an answer there,
            called ``"(nothing)"``. A field with several labels is scored as a set (by
            label and by Jaccard), numbers by ``tolerance``, quotes by their words.
        tolerance: how far a number may be off.
        empty: of ``field=``, what an empty true value means: ``"unknown"``, or that the
            text has ``"nothing"``.
        labels: the taxonomy, as list, dict, Enum or Literal; by default the labels that
            the truth has.
        key: the column or columns that identify the rows of a frame.
        seed: of no effect: intervals are computed, no longer drawn.

    Returns:
        An `Evaluation`: ``.accuracy``, ``.macro_f1``, ``.kappa`` (each a value with a
        95 % interval), ``.to_frame()`` by label, ``.confusion``, ``.disagreements``. Of
        a field that holds sets, numbers or words a `FieldEvaluation`: ``.accuracy``,
        ``.jaccard``, ``.labels``, ``.error``, ``.disagreements``.

    Raises:
        UsageError: there is nothing to compare, or the column is not there or may be
            one of several.
    """
    if field is None:
        answers = answers_of(source, column, key, name_of(truth))
    else:
        found = field_of(source, field, column, key, tolerance)
        if found.kind != LABEL:
            return evaluate_field(found, truth, tolerance, empty)
        answers = found.answers
    if not answers.keys:
        raise UsageError(
            f"{answers.name} has no records: there is nothing to evaluate."
        )
    true, where, only, decided = truths_of(answers, truth)
    if field is not None:
        true = known(true, empty)
    if not where:
        raise UsageError(
            f"There are no true labels for {answers.name}: name the column that has "
            "them, truth=..., or let a person decide some, nbflow.review(...)."
        )
    if truth is not None:
        check_meant(answers, true, labels)
    return evaluation(
        answers,
        dict(enumerate(true)),
        where,
        taxonomy(labels, true, answers.labels),
        only=only,
        decided=decided,
    )


def check_meant(answers: Answers, true: Sequence[str | None], labels: object) -> None:
    """Refuse a column that nobody named and that says nothing of what the truth says.

    Args:
        answers: what it holds.
        true: the true labels.
        labels: those that were asked for, if any were.

    Raises:
        UsageError: it is not the labels, by the look of it.
    """
    known = {label for label in true if label is not None}
    if labels is not None:
        known |= labels_of(labels, "labels").keys()
    given = {label for label in answers.labels if label is not None}
    if answers.is_named or not given or not known or given & known:
        return
    raise UsageError(
        f"No answer in {answers.name} is one of the labels of the truth, such as "
        f"{min(known)!r}. If it holds the labels all the same, say so: "
        f"column={answers.name!r}. There are {', '.join(map(repr, answers.columns))}."
    )


def taxonomy(
    labels: object,
    true: Sequence[str | None],
    *said: Sequence[str | None],
) -> tuple[str, ...]:
    """The labels to score over: those asked for, else those of the truth.

    Where the truth is known in parts only, the given labels count as well.

    Raises:
        UsageError: the truth has other labels than those asked for.
    """
    known = {label for label in true if label is not None}
    if labels is None:
        # A label that the known part of the truth lacks may be in the other part.
        if None in true:
            for part in said:
                known.update(label for label in part if label is not None)
        return tuple(sorted(known))
    asked = tuple(labels_of(labels, "labels"))
    strange = sorted(known - set(asked))
    if strange:
        named = ", ".join(map(repr, strange[:5]))
        raise UsageError(
            f"The truth has labels that labels= lacks: {named}. Add them, or fix the truth."
        )
    return asked


class _Scored(NamedTuple):
    """A record that the figures count: its number, its true label, the one given."""

    number: int
    true: str
    given: str


def evaluation(
    answers: Answers,
    true: Mapping[int, str | None],
    where: str,
    labels: tuple[str, ...],
    *,
    name: str = "",
    only: Collection[int] = (),
    decided: Mapping[int, str] = NOTHING_REVISED,
    alike: Copies | None = None,
) -> Evaluation:
    """The evaluation of some of the records.

    Args:
        answers: the labels to score.
        true: the true label of each of those records by its number, where it is known.
        where: in words, where the true labels come from.
        labels: the taxonomy.
        name: what to call the labels, if not by their column.
        only: the numbers of the records whose true label only a review says.
        decided: what people decided on records whose true label is known.
        alike: which records tell one thing, if that is known already.

    Raises:
        UsageError: no record has both labels.
    """
    scored = _scored(answers, true)
    if not scored:
        raise UsageError(
            f"No record has both a true label ({where}) and an answer in {answers.name}."
        )
    truths = [record.true for record in scored]
    said = [record.given for record in scored]
    support = Counter(truths)
    most, times = support.most_common(1)[0]
    numbers = [record.number for record in scored]
    chosen = looked_at(answers, only, numbers)
    if alike is None:
        alike = observed(
            answers, numbers, only, is_sample=is_drawn(answers, only, numbers)
        )
    figures = scores(truths, said, labels, alike)
    unanswered = answers.missing.keys() & {
        number for number, label in true.items() if label is not None
    }
    return Evaluation(
        name=name or answers.name,
        truth=where,
        labels=labels,
        support=tuple(support[label] for label in labels),
        scores=figures.alone() if chosen else figures,
        confusion=confusion(truths, said, labels, ("true", "given")),
        disagreements=_wrong(answers, scored),
        missing=Counter(answers.missing[number] for number in sorted(unanswered)),
        unknown=sum(label is None for label in true.values()),
        outside=Counter(label for label in said if label not in labels),
        majority=(most, times / len(scored)),
        spent=answers.spent,
        looked_at=chosen,
        alike=alike,
        is_whole=is_whole(answers, only, numbers),
        revised=revised(scored, decided, review_call(answers)) if decided else None,
    )


def _scored(answers: Answers, true: Mapping[int, str | None]) -> list[_Scored]:
    """The records that have a true label and an answer."""
    found = []
    for number, label in true.items():
        given = answers.labels[number]
        if label is not None and given is not None:
            found.append(_Scored(number, label, given))
    return found


def _wrong(answers: Answers, scored: list[_Scored]) -> pd.DataFrame:
    """The records whose label is wrong."""
    wrong = [record for record in scored if record.true != record.given]
    numbers = [record.number for record in wrong]
    columns: Columns = {"truth": [record.true for record in wrong]}
    columns |= said_of(answers, answers.name, numbers)
    return frame_of(answers, numbers, columns)
