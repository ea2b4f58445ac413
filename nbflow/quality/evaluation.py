"""Evaluation: how good the labels of a run are, against those that are known to be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow._core.table import duration
from nbflow.errors import UsageError
from nbflow.quality import picture
from nbflow.quality.answers import answers_of, truths_of
from nbflow.quality.labels import labels_of
from nbflow.quality.metrics import percent, scores, sklearn_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._run.batch import Key
    from nbflow.quality.answers import Answers, Spent
    from nbflow.quality.metrics import Interval, Scores


#: Records from which on a bootstrap interval holds the truth about as often as it says.
_FEW = 30


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often which label was given for which: a row for each true label, a column for each that was given.

    Attributes:
        rows: labels down the side.
        columns: labels along the top: those of the rows, then what is outside of them.
        counts: records, row by row.
        axes: what the rows and the columns are.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    axes: tuple[str, str]

    def to_frame(self) -> Any:
        """The counts as a pandas frame, labels as index and columns."""
        import pandas as pd

        return pd.DataFrame(
            self.counts,
            index=pd.Index(self.rows, name=self.axes[0]),
            columns=pd.Index(self.columns, name=self.axes[1]),
        )

    def mixed_up(self) -> list[tuple[str, str, int]]:
        """What is taken for what, and how often: (row, column, records), the most frequent first."""
        pairs = [
            (row, column, number)
            for row, counts in zip(self.rows, self.counts, strict=True)
            for column, number in zip(self.columns, counts, strict=True)
            if row != column and number
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def __repr__(self) -> str:
        return str(self.to_frame().to_string())

    def _repr_html_(self) -> str:
        return picture.framed(picture.confusion(self))


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
    """

    name: str
    truth: str
    labels: tuple[str, ...]
    support: tuple[int, ...]
    scores: Scores
    confusion: Confusion
    disagreements: Any
    missing: Counter[str]
    unknown: int
    outside: Counter[str]
    majority: tuple[str, float]
    spent: Spent | None

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
    def accuracy_of_all(self) -> float:
        """Accuracy if a record without an answer counts as wrong."""
        return (
            self.accuracy.value
            * self.records
            / (self.records + sum(self.missing.values()))
        )

    def to_frame(self) -> Any:
        """Precision, recall and F1 of each label with their intervals, a pandas frame with a row a label."""
        import pandas as pd

        data: dict[str, Any] = {"records": self.support}
        for name in ("precision", "recall", "f1"):
            found = getattr(self.scores, name)
            data |= {
                name: [one.value for one in found],
                f"{name}.low": [one.low for one in found],
                f"{name}.high": [one.high for one in found],
            }
        return pd.DataFrame(data, index=pd.Index(self.labels, name="label"))

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        label, share = self.majority
        said = [
            *few_words(self.records),
            f"Always saying {label!r} would be right on {percent(share)}.",
        ]
        if self.missing:
            said.append(
                f"{counted(self.missing)} without an answer: not in the figures; counted as wrong, accuracy is {percent(self.accuracy_of_all)}."
            )
        if self.unknown:
            said.append(
                f"{records(self.unknown)} without a true label: not in the figures."
            )
        if self.outside:
            said.append(outside_words(self))
        if mixed := self.confusion.mixed_up()[:2]:
            said.append(
                "Most often mixed up: "
                + ", ".join(
                    f"{row} taken for {column} ({number:,})"
                    for row, column, number in mixed
                )
                + "."
            )
        return said + spent_words(self.spent)

    def __repr__(self) -> str:
        figures = [
            f"accuracy  {self.accuracy}",
            f"macro F1  {self.macro_f1}",
            f"kappa     {picture.kappa(self.kappa)}",
        ]
        return "\n".join(
            [
                f"{self.name} against {self.truth}: {records(self.records)}",
                *figures,
                *self.notes(),
                "",
                self.to_frame()[["records", "precision", "recall", "f1"]]
                .round(3)
                .to_string(),
            ]
        )

    def _repr_html_(self) -> str:
        return picture.evaluation(self)


def evaluate(
    source: Any,
    truth: Any = None,
    *,
    column: str | None = None,
    labels: Any = None,
    key: Key = None,
    seed: int = 0,
) -> Evaluation:
    """How good the labels of a run or a frame are, against true ones.

    What the model said is scored, whatever people decided afterwards. Records without
    an answer or without a true label are counted and said, and are in no figure; an
    answer outside of the labels is wrong. Needs scikit-learn.

    Args:
        source: a run, a frame with ``column=``, or a column (a Series, a list).
        truth: the true labels: the name of a column of the records, in which decisions
            that people made in a review take precedence; or labels, one a row (a pandas
            Series by its index, if that holds the keys); or ``{key: label}``. Left out:
            what people decided in a review.
        column: of a run the column of its results that holds the labels
            (``"triage.label"``), found by itself where there is one; of a frame its
            column.
        labels: the taxonomy, as list, dict, Enum or Literal; by default the labels that
            the truth has.
        key: the column or columns that identify the rows of a frame.
        seed: of the bootstrap; one seed, one result.

    Returns:
        An `Evaluation`: ``.accuracy``, ``.macro_f1``, ``.kappa`` (each a value with a
            95 % interval), ``.to_frame()`` by
        label, ``.confusion``, ``.disagreements``.

    Raises:
        UsageError: there is nothing to compare, the column is not there, or
            scikit-learn is not installed.
    """
    sklearn_metrics()
    answers = answers_of(source, column, key)
    true, where = truths_of(answers, truth)
    if not where:
        raise UsageError(
            f"There are no true labels for {answers.name}: name the column that has them, truth=..., or let a person decide some, nbflow.review(...)."
        )
    return evaluation(
        answers,
        true,
        where,
        range(len(answers.keys)),
        taxonomy(labels, true, answers.labels),
        seed=seed,
    )


def taxonomy(
    labels: Any, true: Sequence[str | None], *said: Sequence[str | None]
) -> tuple[str, ...]:
    """The labels to score over: those asked for, else those of the truth; where it is known in parts, the given ones too.

    Raises:
        UsageError: the truth has other labels than those asked for.
    """
    known = {label for label in true if label is not None}
    if labels is None:
        # Of a part of the truth nobody can say that a label which is not in it does not
        # exist.
        partly = None in true
        return tuple(
            sorted(
                known | {label for part in said for label in part if label is not None}
                if partly
                else known
            )
        )
    asked = tuple(labels_of(labels, "labels"))
    strange = sorted(known - set(asked))
    if strange:
        raise UsageError(
            f"The truth has labels that labels= lacks: {', '.join(map(repr, strange[:5]))}. Add them, or mend the truth."
        )
    return asked


def evaluation(
    answers: Answers,
    true: Sequence[str | None],
    where: str,
    among: Sequence[int],
    labels: tuple[str, ...],
    *,
    seed: int,
    name: str = "",
) -> Evaluation:
    """The evaluation of some of the records, by number."""
    scored = [
        (number, label, given)
        for number in among
        if (label := true[number]) is not None
        and (given := answers.labels[number]) is not None
    ]
    if not scored:
        raise UsageError(
            f"No record has both a true label ({where}) and an answer in {answers.name}."
        )
    truths, said = [label for _, label, _ in scored], [label for _, _, label in scored]
    support = Counter(truths)
    outside = Counter(label for label in said if label not in labels)
    most, number = support.most_common(1)[0]
    wrong = [number for number, label, given in scored if label != given]
    return Evaluation(
        name or answers.name,
        where,
        labels,
        tuple(support[label] for label in labels),
        scores(truths, said, labels, seed=seed),
        confusion(truths, said, labels, ("true", "given")),
        disagreements(
            answers,
            wrong,
            {
                "truth": [true[number] for number in wrong],
                **of_records(answers, answers.name, wrong),
            },
        ),
        Counter(
            answers.missing[number]
            for number in among
            if true[number] is not None and number in answers.missing
        ),
        sum(true[number] is None for number in among),
        outside,
        (most, number / len(scored)),
        answers.spent,
    )


def confusion(
    rows: Sequence[str],
    columns: Sequence[str],
    labels: tuple[str, ...],
    axes: tuple[str, str],
) -> Confusion:
    """How often which label stands for which; what is outside of ``labels`` behind them."""
    outside = tuple(sorted(set(columns) - set(labels)))
    shown = (*labels, *outside)
    met = Counter(zip(rows, columns, strict=True))
    return Confusion(
        labels,
        shown,
        tuple(tuple(met[row, column] for column in shown) for row in labels),
        axes,
    )


def of_records(
    answers: Answers, name: str, numbers: Sequence[int]
) -> dict[str, list[Any]]:
    """The labels of some records, and what the model said beside them."""
    beside = {
        f"{name.removesuffix('.label')}.{field}": [values[number] for number in numbers]
        for field, values in answers.beside.items()
    }
    return {name: [answers.labels[number] for number in numbers], **beside}


def disagreements(
    answers: Answers, numbers: Sequence[int], columns: Mapping[str, list[Any]]
) -> Any:
    """A pandas frame of some records: the key, what was sent, then ``columns``."""
    import pandas as pd

    data: dict[str, list[Any]] = {
        "record": [answers.keys[number] for number in numbers]
    }
    records = (
        [answers.rows[number].record for number in numbers]
        if answers.rows is not None
        else []
    )
    names = dict.fromkeys(
        str(name)
        for record in records
        if isinstance(record, Mapping)
        for name in record
    )
    for name in names:
        if name not in columns:
            data[name] = [record.get(name) for record in records]
    if records and not names and answers.flow:
        data["value"] = records
    return pd.DataFrame(data | dict(columns))


def several(number: int, noun: str) -> str:
    """``1 record``, ``1,000 records``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def records(number: int) -> str:
    """``1,000 records``."""
    return several(number, "record")


def counted(states: Counter[str]) -> str:
    """``3 records (2 failed, 1 cancelled)``."""
    said = ", ".join(
        f"{number:,} {state.lower().replace('_', ' ')}"
        for state, number in states.most_common()
    )
    return f"{records(sum(states.values()))} ({said})"


def outside_words(one: Evaluation) -> str:
    """What was answered outside of the taxonomy; nothing if all is in it."""
    return (
        f"{several(sum(one.outside.values()), 'answer')} outside the {several(len(one.labels), 'label')}, counted as wrong: {listed(one.outside)}."
        if one.outside
        else ""
    )


def listed(labels: Counter[str], most: int = 5) -> str:
    """``auto_loan (3), student_loans (1)``."""
    said = ", ".join(
        f"{label} ({number:,})" for label, number in labels.most_common(most)
    )
    return said + (f" and {len(labels) - most} more" if len(labels) > most else "")


def few_words(number: int) -> list[str]:
    """That intervals are drawn from few records, if they are: what is not among those, no draw shows."""
    return (
        [
            f"Drawn from {records(number)}, intervals are too narrow: label more to be sure."
        ]
        if number < _FEW
        else []
    )


def spent_words(spent: Spent | None, name: str = "") -> list[str]:
    """What a run took, as a sentence, if anything is known."""
    if spent is None:
        return []
    said = [f"{duration(spent.seconds)} of calls"] if spent.seconds else []
    said += [f"{records(spent.cached)} from checkpoints"] if spent.cached else []
    took = [f"{name + ' took' if name else 'Took'} {', '.join(said)}."] if said else []
    return took + (
        [f"{name + ' cost' if name else 'Cost'} {spent.usage}."]
        if spent.usage.requests
        else []
    )
