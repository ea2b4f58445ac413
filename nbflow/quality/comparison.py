"""Comparison: the labels of two runs of the same records, side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow._run.differences import pairing
from nbflow.errors import UsageError
from nbflow.quality import picture
from nbflow.quality.answers import answers_of, truths_of
from nbflow.quality.evaluation import (
    confusion,
    counted,
    disagreements,
    evaluation,
    few_words,
    of_records,
    outside_words,
    records,
    spent_words,
    taxonomy,
)
from nbflow.quality.metrics import (
    Interval,
    Resampled,
    interval,
    mcnemar,
    scores,
    sklearn_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._run.batch import Key
    from nbflow.quality.answers import Answers, Spent
    from nbflow.quality.evaluation import Confusion, Evaluation

#: A difference that chance makes less often than this is called one.
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Paired:
    """Which of the two is right where the other is wrong.

    Attributes:
        only_first: records that the first alone has right.
        only_second: records that the second alone has right.
        p: of McNemar's exact test: how likely so uneven a split is by chance.
        difference: accuracy of the second minus that of the first, with its interval
            (records drawn in pairs).
    """

    only_first: int
    only_second: int
    p: float
    difference: Interval


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
    """

    names: tuple[str, str]
    truth: str
    first: Evaluation | None
    second: Evaluation | None
    paired: Paired | None
    agreement: Interval
    kappa: Interval
    confusion: Confusion
    disagreements: Any
    missing: Any
    alone: tuple[int, int]
    records: int
    unknown: int
    spent: tuple[Spent | None, Spent | None]

    @property
    def verdict(self) -> str:
        """What the figures say, in a sentence."""
        if self.paired is None:
            return f"They agree on {self.agreement} of {records(self.records)}. Which of them is right, only true labels can tell."
        one, two = self.paired.only_first, self.paired.only_second
        better, worse = (self.names, self.names[::-1])[two > one]
        split = f"{better} alone is right on {records(max(one, two))}, {worse} alone on {min(one, two):,} (McNemar's exact test, p = {self.paired.p:.2g})"
        return (
            f"{better} is better: {split}."
            if self.paired.p < SIGNIFICANT
            else f"No difference is shown: {split}."
        )

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        said = few_words(self.records)
        for place, name in enumerate(self.names):
            states = Counter(state for state in self.missing[f"{name}.status"] if state)
            if states:
                said.append(
                    f"{counted(states)} without an answer in {name}: not in the figures, see .missing."
                )
            if self.alone[place]:
                said.append(
                    f"{records(self.alone[place])} only in {name}: not in the figures."
                )
        if self.unknown:
            said.append(
                f"{records(self.unknown)} without a true label: not in the figures."
            )
        said += [
            f"{one.name}: {outside}"
            for one in (self.first, self.second)
            if one is not None and (outside := outside_words(one))
        ]
        for name, spent in zip(self.names, self.spent, strict=True):
            said += spent_words(spent, name)
        return said

    def to_frame(self) -> Any:
        """The figures of both with their intervals, a pandas frame with a row a figure, F1 by label at the end."""
        import pandas as pd

        rows: dict[str, list[Interval]] = {
            "agreement": [self.agreement, self.agreement],
            "kappa between them": [self.kappa, self.kappa],
        }
        if self.first is not None and self.second is not None:
            both = self.first.scores, self.second.scores
            rows = {
                "accuracy": [one.accuracy for one in both],
                "macro F1": [one.macro_f1 for one in both],
                "kappa": [one.kappa for one in both],
            } | rows
            rows |= {
                f"F1 {label}": [one.f1[place] for one in both]
                for place, label in enumerate(self.first.labels)
            }
        data = {
            f"{name}{end}": [getattr(row[place], part) for row in rows.values()]
            for place, name in enumerate(self.names)
            for end, part in (("", "value"), (".low", "low"), (".high", "high"))
        }
        return pd.DataFrame(data, index=pd.Index(list(rows), name="figure"))

    def __repr__(self) -> str:
        head = [
            f"{self.names[0]} and {self.names[1]}: {records(self.records)}"
            + (f", against {self.truth}" if self.truth else ""),
            self.verdict,
        ]
        lines = [
            f"{one.name}: accuracy {one.accuracy}, macro F1 {one.macro_f1}, kappa {picture.kappa(one.kappa)}"
            for one in (self.first, self.second)
            if one is not None
        ]
        if self.paired is not None:
            lines.append(
                f"difference in accuracy: {picture.points(self.paired.difference)}"
            )
        return "\n".join(
            [
                *head,
                *lines,
                f"they differ on {records(len(self.disagreements))}: .disagreements",
                *self.notes(),
            ]
        )

    def _repr_html_(self) -> str:
        return picture.comparison(self)


def compare(
    first: Any,
    second: Any,
    *,
    truth: Any = None,
    column: str | tuple[str, str] | None = None,
    names: tuple[str, str] | None = None,
    labels: Any = None,
    key: Key = None,
    seed: int = 0,
) -> Comparison:
    """Is the second better than the first? Two prompts, two models, yesterday and today, on the same records.

    Records are matched by their keys. What the models said is compared, whatever people
    decided afterwards. Records that one of them lacks or has no answer for are counted
    and said, and are in no figure; an answer outside of the labels is wrong.
    ``run.compare(other)`` lists every field that came out differently instead, of any
    kind of flow. Needs scikit-learn.

    Args:
        first: a run, a frame with ``column=``, or a column (a Series, a list).
        second: the other one.
        truth: the true labels: the name of a column of the records, in which decisions
            that people made in a review take precedence; or labels, one for each row of
            ``first``; or ``{key: label}``. Left out: what people decided in a review,
            if anything.
        column: which column holds the labels (``"triage.label"``), or one for each of
            the two; of runs found by itself where there is one.
        names: what to call the two; by default their columns, or A and B where those
            are the same.
        labels: the taxonomy, as list, dict, Enum or Literal; by default the labels that
            the truth has.
        key: the column or columns that identify the rows of frames.
        seed: of the bootstrap; one seed, one result.

    Returns:
        A `Comparison`: ``.verdict``, ``.first`` and ``.second`` (an `Evaluation` each),
            ``.paired``, ``.agreement``,
        ``.kappa``, ``.to_frame()``, ``.confusion``, ``.disagreements``.

    Raises:
        UsageError: the two have no record in common, a column is not there, or
            scikit-learn is not installed.
    """
    sklearn_metrics()
    columns = (
        (column, column) if column is None or isinstance(column, str) else tuple(column)
    )
    one, two = answers_of(first, columns[0], key), answers_of(second, columns[1], key)
    pairs = pairing(one.keys, two.keys)
    same = {
        name: places
        for name, places in pairs.both.items()
        if _is_same(one, two, *places)
    }
    strangers = len(pairs.both) - len(same)
    if not same:
        said = (
            "say different things under the same keys"
            if strangers
            else "have no key in common"
        )
        raise UsageError(
            f"{one.name} and {two.name} are not labels of the same records: the two {said}. Send both with the same key=."
        )
    if names is not None and (isinstance(names, str) or len({*names}) != 2):  # noqa: PLR2004
        raise UsageError(f"names={names!r} has to be two different names.")
    names = names or ((one.name, two.name) if one.name != two.name else ("A", "B"))
    true, where = _truths(one, two, truth, same)
    answered = {
        key: places
        for key, places in same.items()
        if one.labels[places[0]] is not None and two.labels[places[1]] is not None
    }
    scored = {
        key: places
        for key, places in answered.items()
        if not where or true[places[0]] is not None
    }
    if not scored:
        raise UsageError(
            f"There is no record for which {names[0]} and {names[1]} both have an answer"
            + (f" and {where} a true label." if where else ".")
        )
    ones, twos = (
        [one.labels[place] or "" for place, _ in scored.values()],
        [two.labels[at] or "" for _, at in scored.values()],
    )
    either = tuple(sorted({*ones, *twos}))
    between = scores(ones, twos, either, seed=seed)
    mine = theirs = paired = None
    if where:
        known = taxonomy(
            labels, [true[place] for place, _ in same.values()], ones, twos
        )
        other: dict[int, str | None] = dict.fromkeys(range(len(two.keys))) | {
            at: true[place] for place, at in scored.values()
        }
        mine = evaluation(
            one,
            true,
            where,
            [place for place, _ in scored.values()],
            known,
            seed=seed,
            name=names[0],
        )
        theirs = evaluation(
            two,
            list(other.values()),
            where,
            [at for _, at in scored.values()],
            known,
            seed=seed,
            name=names[1],
        )
        paired = _paired(
            [true[place] or "" for place, _ in scored.values()], ones, twos, seed=seed
        )
    return Comparison(
        names,
        where,
        mine,
        theirs,
        paired,
        between.accuracy,
        between.kappa,
        confusion(ones, twos, either, names),
        _differing(one, two, names, true if where else None, answered),
        _missing(one, two, names, same),
        (len(pairs.first) + strangers, len(pairs.second) + strangers),
        len(scored),
        len(answered) - len(scored),
        (one.spent, two.spent),
    )


def _is_same(one: Answers, two: Answers, first: int, second: int) -> bool:
    """Is it one record? Places say so only of equal content; two columns of one frame have nothing else in common."""
    if (
        (one.named and two.named)
        or one.rows is None
        or two.rows is None
        or not (one.flow and two.flow)
    ):
        return True
    return one.rows[first].digest == two.rows[second].digest


def _truths(
    one: Answers, two: Answers, truth: Any, same: dict[str, tuple[int, int]]
) -> tuple[list[str | None], str]:
    """The true labels by the records of the first; what people decided looking at the second counts as well."""
    for place, at in same.values():
        mine, theirs = one.decided.get(place), two.decided.get(at)
        if theirs is not None and (mine is None or mine.at < theirs.at):
            one.decided[place] = theirs
    return truths_of(one, truth)


def _paired(
    true: Sequence[str], first: Sequence[str], second: Sequence[str], *, seed: int
) -> Paired:
    import numpy as np

    right = np.array(
        [
            [label == said for label, said in zip(true, part, strict=True)]
            for part in (first, second)
        ],
        dtype=int,
    )
    drawn = Resampled(right.tolist(), seed=seed).of(
        lambda kinds, draws: draws @ (kinds[:, 1] - kinds[:, 0]) / draws.sum(axis=1)
    )
    only = int((right[0] > right[1]).sum()), int((right[1] > right[0]).sum())
    return Paired(
        *only, mcnemar(*only), interval(float((right[1] - right[0]).mean()), drawn)
    )


def _differing(
    one: Answers,
    two: Answers,
    names: tuple[str, str],
    true: Sequence[str | None] | None,
    answered: dict[str, tuple[int, int]],
) -> Any:
    places = [
        (place, at)
        for place, at in answered.values()
        if one.labels[place] != two.labels[at]
    ]
    firsts, seconds = [place for place, _ in places], [at for _, at in places]
    columns: dict[str, list[Any]] = {}
    if true is not None:
        truths = [true[place] for place in firsts]
        right = [
            names[0]
            if label == one.labels[place]
            else names[1]
            if label == two.labels[at]
            else None
            if label is None
            else "neither"
            for label, (place, at) in zip(truths, places, strict=True)
        ]
        columns = {"truth": truths, "right": right}
    return disagreements(
        one,
        firsts,
        {
            **columns,
            **of_records(one, names[0], firsts),
            **of_records(two, names[1], seconds),
        },
    )


def _missing(
    one: Answers, two: Answers, names: tuple[str, str], same: dict[str, tuple[int, int]]
) -> Any:
    numbers = [
        (place, at)
        for place, at in same.values()
        if place in one.missing or at in two.missing
    ]
    columns = {
        f"{names[0]}.status": [one.missing.get(place, "") for place, _ in numbers],
        f"{names[1]}.status": [two.missing.get(at, "") for _, at in numbers],
    }
    return disagreements(one, [place for place, _ in numbers], columns)
