"""Estimate: how good the labels of a whole run are, from a sample that people looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from dataclasses import field as part
from functools import partial
from typing import TYPE_CHECKING

from nbflow._core.html import h
from nbflow._core.plural import several
from nbflow._run.html_parts import framed
from nbflow.errors import UsageError
from nbflow.quality import estimate_picture, notes, picture
from nbflow.quality.advice import review_call, text_argument
from nbflow.quality.confidence import confidences
from nbflow.quality.confusion import Confusion, matrix
from nbflow.quality.estimation import Frame
from nbflow.quality.field import answers_of_field
from nbflow.quality.groups import grouped
from nbflow.quality.intervals import UNDEFINED, Interval, percent, proportion
from nbflow.quality.looking import looked
from nbflow.quality.sampling import LEAST, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers
    from nbflow.quality.estimation import Seen
    from nbflow.quality.looking import Looked

#: Groups without an estimate that are named.
_NAMED = 5
#: Decisions from which on it is said how many are needed.
FIRST = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """Figures of a whole run. Shown in a notebook it is a picture.

    Shares are between 0 and 1, each an `Interval` (value, low, high) of 95 %.

    Attributes:
        name: what the labels are called.
        run: the id of the run.
        records: of the run.
        answered: records that have an answer.
        distinct: texts, each with all its copies: what there is to decide.
        decided: decisions that the figures are drawn from, those known before included.
        accuracy: share of the answers that are right.
        plain: accuracy of the answers that were looked at, as they are.
        shares: a pandas frame: label, ``counted`` (share of the answers), ``estimated``
            (share of the records, as people would label them), ``low``, ``high``,
            ``precision`` and ``recall`` with their limits (``nan`` where fewer than ten
            decisions tell), and ``decided`` records.
        confusion: records of the whole run by true label, estimated, and given label.
        groups: the estimate of each group of ``of=``, by its value.
        too_few: groups of fewer than ten decisions: (records, decisions) of each.
        remarks: what one has to know about the figures, in sentences.
    """

    name: str
    run: str
    records: int
    answered: int
    distinct: int
    decided: int
    accuracy: Interval
    plain: Interval
    shares: pd.DataFrame
    confusion: Confusion
    groups: dict[object, Estimate] = part(default_factory=dict)
    too_few: dict[object, tuple[int, int]] = part(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def needed(self, width: float = 0.03) -> int:
        """Decisions in all for intervals that reach ``width`` to each side.

        That of the accuracy and those of all shares: what is needed for the widest
        (Cochran, *Sampling Techniques*, 3rd edition, 1977, section 4.4).

        Args:
            width: 0.03 for plus or minus three points.

        Raises:
            UsageError: the width is no share.
        """
        check_width(width)
        limits = self.shares[["estimated", "low", "high"]].to_numpy(dtype=float)
        found = [self.accuracy, *(Interval(*one) for one in limits.tolist())]
        return max(
            needed(one, self.decided, self.distinct, width)
            for one in found
            if not one.is_undefined
        )

    @property
    def is_complete(self) -> bool:
        """Whether everything is decided: figures are counts then, and intervals points."""
        return self.decided == self.distinct

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        return list(self.remarks)

    def to_frame(self) -> pd.DataFrame:
        """`shares`, of all records and of each group.

        A pandas frame with the columns ``group`` (``None`` for all) and ``label``, then
        those of `shares`.
        """
        import pandas as pd

        parts = [one.shares.reset_index() for one in (self, *self.groups.values())]
        whole = pd.concat(parts, ignore_index=True)
        groups = zip([None, *self.groups], parts, strict=True)
        named = [group for group, part in groups for _ in range(len(part))]
        whole = whole.assign(group=pd.Series(named, dtype=object))
        return whole.set_index(["group", "label"])

    def _of(self) -> str:
        """What the figures are of, and what they come from."""
        records = several(self.records, "record")
        how = "counted" if self.is_complete else "estimated"
        return f" of {records}, {how} from {several(self.decided, 'decision')}"

    def __repr__(self) -> str:
        lines = [
            f"{self.name}{self._of()}",
            f"accuracy  {self.accuracy}; of those looked at {percent(self.plain.value)}",
            *self.remarks,
            "",
            self.shares.round(3).to_string(),
        ]
        for group, one in self.groups.items():
            lines.append(
                f"{group}: accuracy {one.accuracy}, {several(one.decided, 'decision')}"
            )
        if self.too_few:
            lines.append(_too_few(self.too_few))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        plain = picture.share_bar("of those looked at", self.plain.alone())
        accuracies = {
            group: (one.records, one.decided, str(one.accuracy), one.accuracy)
            for group, one in self.groups.items()
        }
        for group, numbers in self.too_few.items():
            accuracies[group] = (*numbers, f"too few, {LEAST} are needed", UNDEFINED)
        shown = framed(
            picture.title(h("b", self.name), self._of()),
            picture.bars([picture.share_bar("accuracy", self.accuracy), plain]),
            picture.notes(self.notes()),
            estimate_picture.labels(self.shares),
            estimate_picture.groups(accuracies),
            h("div", matrix(self.confusion), style="margin-top:10px"),
        )
        return str(shown)


def estimate(
    run: Run,
    *,
    of: str | Callable[[dict[object, object]], object] | None = None,
    column: str | None = None,
    field: str | None = None,
    confidence: object = None,
    anytime: bool = False,
) -> Estimate:
    """How good the labels of a whole run are, and how frequent each label is.

    From the decisions on a sample that ``nf.review(run, sample=200)`` drew, of this run
    or of another one of the same records. What people decided before it was drawn is
    known, and added as it is; what they decided for another reason since is, too, where
    nothing is left of its label and confidence, and else in no figure. Once no record is
    left, figures are counts, whatever brought people to decide. A decision holds for all
    records that look the same, and tells as much as one. The formulas are those of
    stratified sampling (Cochran, *Sampling Techniques*, 3rd edition, 1977, chapter 5), with
    intervals that hold the truth 95 times of 100, from 50 decisions on (``python -m benchmarks.coverage``).

    Args:
        run: whose labels; its records have to be kept.
        of: a column of the records, or a function of the record with its answer, as in
            `review`: an estimate for each of its values, where ten decisions are.
        column: the column of the results that holds the labels; by default the only one
            that may hold labels.
        field: of records that were extracted, which field, as for `review`.
        confidence: how sure the model is, for strata, in place of what it says itself:
            ``{key: number}``, a Series by key such as `agreement` gives, or one a row.
        anytime: intervals that hold however often one looks at them while deciding, and
            stops when they please; they are wider by half and more.

    Returns:
        An `Estimate`: ``.accuracy``, ``.shares``, ``.confusion``, ``.groups``,
        ``.needed(width)``.

    Raises:
        UsageError: nobody decided anything, what was decided is no sample of this run,
            or fewer than ten records of it are decided.

    Example:
        >>> @nf.step
        ... def label(text):
        ...     return "billing" if "pay" in text else "other"
        >>> run = label.map([f"I want to {'pay' if n % 4 else 'go'} {n}" for n in range(90)])
        >>> review = nf.review(run, sample=40)
        >>> for key in review.left:
        ...     _ = review.accept(key)
        >>> print(nf.estimate(run).accuracy)
        100.0% (95.0% to 100.0%)
    """
    answers = answers_of_field("estimate", run, column, field)
    what = looked(run.engine, answers, confidences(answers, confidence))
    if not _is_enough(what.units):
        raise UsageError(_too_few_decided(answers, what))
    whole = _estimated(answers, what.units, anytime=anytime)
    remarks = _remarks(answers, what, whole, anytime=anytime)
    groups: dict[object, Estimate] = {}
    too_few: dict[object, tuple[int, int]] = {}
    if of is not None:
        for group, units in grouped(answers, what, of).items():
            one = _estimated(answers, units, anytime=anytime)
            if _is_enough(units):
                groups[group] = one
            else:
                too_few[group] = (one.records, one.decided)
    return replace(whole, groups=groups, too_few=too_few, remarks=tuple(remarks))


def _is_enough(units: Sequence[Seen]) -> bool:
    """Whether decisions say something of the units that nobody saw, or none is left.

    What was decided for another reason says nothing of the others.
    """
    sampled = sum(one.label is not None and not one.is_known for one in units)
    return sampled >= LEAST or all(one.label is not None for one in units)


def _too_few_decided(answers: Answers, what: Looked) -> str:
    """That too few of the sample are decided, and how to go on with it."""
    run = "" if answers.run is None else answers.run.id
    known = ""
    if what.known:
        known = f" ({what.known:,} that were decided for another reason say nothing of the others)"
    needed = min(LEAST, len(what.units) - what.known)
    return (
        f"{several(what.looked_at, 'text')} of run {run} drawn and decided{known}, and "
        f"an estimate needs {needed}: {review_call(answers)} goes on with the sample."
    )


def check_width(width: object) -> None:
    """Refuse a width that is none.

    Raises:
        UsageError: it is no share between 0 and 1.
    """
    if (
        isinstance(width, bool)
        or not isinstance(width, int | float)
        or not 0 < width < 1
    ):
        raise UsageError(
            f"width={width!r} has to be a share, such as 0.03 for intervals of plus or "
            "minus three points."
        )


def _estimated(answers: Answers, units: Sequence[Seen], *, anytime: bool) -> Estimate:
    """The figures of these units."""
    frame = Frame(units, anytime=anytime)
    given: Counter[str] = Counter()
    for one in units:
        given.update({label: n for label, n in one.given.items() if label is not None})
    seen = [*frame.sampled, *frame.known]
    labels = sorted(given.keys() | {str(one.label) for one in seen})
    answered = frame.part(_answered)
    right = frame.part(lambda one: _share(one, one.label))
    looked_at = sum(one.records * _answered(one) for one in seen)
    hits = sum(one.records * _share(one, one.label) for one in seen)
    return Estimate(
        name=answers.name,
        run="" if answers.run is None else answers.run.id,
        records=frame.records,
        answered=given.total(),
        distinct=len(units),
        decided=len(seen),
        accuracy=frame.share(right, answered, given.total()),
        plain=proportion(round(hits), round(looked_at)),
        shares=_by_label(frame, labels, given),
        confusion=_confusion(frame, labels),
    )


def _answered(one: Seen) -> float:
    """Share of the records of a unit that have an answer."""
    return 1 - one.given[None] / one.records


def _share(one: Seen, label: str | None) -> float:
    """Share of the records of a unit that were given a label."""
    return one.given[label] / one.records


def _by_label(frame: Frame, labels: Sequence[str], given: Counter[str]) -> pd.DataFrame:
    """What is known of each label, as `Estimate.shares`."""
    import pandas as pd

    rows = [_of_label(frame, label, given) for label in labels]
    return pd.DataFrame(rows, index=pd.Index(labels, name="label"))


def _of_label(frame: Frame, label: str, given: Counter[str]) -> dict[str, float]:
    everything = frame.part(lambda _: 1.0)
    true = frame.part(lambda one: float(one.label == label))
    said = frame.part(lambda one: _share(one, label))
    both = frame.part(lambda one: _share(one, label) * (one.label == label))
    share = frame.share(true, everything, frame.records)
    precision = recall = UNDEFINED
    if said.number >= LEAST:
        precision = frame.share(both, said, given[label])
    if true.number >= LEAST:
        recall = frame.ratio(both, true)
    return {
        "counted": given[label] / (given.total() or 1),
        "estimated": share.value,
        "low": share.low,
        "high": share.high,
        "precision": precision.value,
        "precision.low": precision.low,
        "precision.high": precision.high,
        "recall": recall.value,
        "recall.low": recall.low,
        "recall.high": recall.high,
        "decided": true.number,
    }


def _confusion(frame: Frame, labels: Sequence[str]) -> Confusion:
    """Records of the whole by true and given label; those without an answer are in none."""
    met = {
        (one.label, said)
        for one in [*frame.sampled, *frame.known]
        for said in one.given
    }
    counts = [
        tuple(
            round(frame.total(frame.part(partial(_in_cell, true=true, given=given))))
            if (true, given) in met
            else 0
            for given in labels
        )
        for true in labels
    ]
    axes = ("true, estimated", "given")
    return Confusion(tuple(labels), tuple(labels), tuple(counts), axes)


def _in_cell(one: Seen, *, true: str, given: str) -> float:
    """Share of the records of a unit that are in one cell of the confusion."""
    return _share(one, given) if one.label == true else 0.0


def _remarks(
    answers: Answers, what: Looked, whole: Estimate, *, anytime: bool
) -> list[str]:
    """What one has to know about the figures, in sentences."""
    said = [*_of_sample(what, whole), *_left_out(what, whole)]
    if what.differing:
        said.append(
            f"People differ on {several(what.differing, 'record')}: what was decided last "
            "counts."
        )
    if answers.missing:
        said.append(
            f"{notes.counted(Counter(answers.missing.values()))} without an answer: in "
            "the shares, and not in the accuracy."
        )
    if len(whole.shares) == 1:
        said.append("One label is all that was given and decided.")
    if anytime:
        said.append("These intervals hold however often one looks at them.")
    return said


def _of_sample(what: Looked, whole: Estimate) -> list[str]:
    """What the figures come from."""
    said = []
    if whole.is_complete:
        said.append("Every record is decided: these are counts, and no chance is left.")
    elif what.sample is not None:
        said.append(
            f"Drawn at random within given label and confidence: {what.looked_at:,} of "
            f"{several(len(what.units) - what.known, 'text')}."
        )
    for sample, number in what.newer:
        said.append(
            f"A newer sample, {text_argument(sample.on)}, has {several(number, 'decision')}: "
            f"figures go by it from {LEAST} on."
        )
    copies = whole.records - whole.distinct
    if copies:
        said.append(
            f"{several(copies, 'record')} look like another one: a text counts with all "
            "its copies, and is one decision."
        )
    if what.before and what.sample is not None:
        said.append(
            f"{several(what.before, 'record')} decided before the sample was drawn: "
            "known, and added as they are."
        )
    if what.settled:
        said.append(
            f"{several(what.settled, 'record')} looked at for another reason since, with "
            "which nothing is left of their label and confidence: known as well."
        )
    return said


def _left_out(what: Looked, whole: Estimate) -> list[str]:
    """Decisions, and records of the sample, that are in no figure."""
    said = []
    if what.skipped:
        said.append(_if_skipped(whole, what))
    if what.beside:
        said.append(
            f"{several(what.beside, 'record')} looked at for another reason since the "
            "sample was drawn: not in the figures."
        )
    if what.lapsed:
        said.append(
            f"{several(what.lapsed, 'decision')} lapsed: the records show something else "
            "by now."
        )
    return said


def _if_skipped(whole: Estimate, what: Looked) -> str:
    """How much hangs on the records that nobody decided."""
    right = whole.accuracy.value * whole.decided
    low, high = (
        percent((right + more) / (whole.decided + what.skipped))
        for more in (0, what.skipped)
    )
    return (
        f"{several(what.skipped, 'record')} of the sample passed over: not in the "
        f"figures; with all of them wrong, accuracy is {low}, with all right {high}."
    )


def _too_few(groups: Mapping[object, tuple[int, int]]) -> str:
    """The groups without an estimate, in a sentence."""
    named = [f"{group} ({decided:,})" for group, (_, decided) in groups.items()]
    if len(named) > _NAMED:
        named[_NAMED:] = [f"and {len(named) - _NAMED:,} more"]
    return f"Fewer than {LEAST} decisions, too few for an estimate: {', '.join(named)}."
