"""Review: a person accepts or corrects labels, one record at a time, and has the last word.

This is the kernel's side, without a page: which records, in which order, what stands,
and deciding. ``widget.py`` shows it. A decision is in the store before `Review.decide`
returns, and every look reads what others decided meanwhile.
"""

from __future__ import annotations

import getpass
import math
import os
import threading
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.decision import Decision, Subject, standing
from nbflow._core.label import text_of
from nbflow._run import decisions
from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality import picture
from nbflow.quality.answers import answers_of, key_text
from nbflow.quality.evaluation import records
from nbflow.quality.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._run.batch import Row
    from nbflow.quality.answers import Answers

#: Between two decisions of one thing there is at least so much time, whatever the
#: clocks say.
_TICK = 1e-6


class Case(NamedTuple):
    """One record as a person sees it.

    Attributes:
        key: of the record.
        fields: (name, text) of what is shown.
        label: what the model said; ``None`` if it gave no answer.
        confidence: how sure it says it is, if it does.
        reason: why, in its words, if it says so.
        missing: why there is no answer.
        decision: what a person said, if somebody did.
    """

    key: str
    fields: list[tuple[str, str]]
    label: str | None
    confidence: float | None
    reason: str
    missing: str
    decision: Decision | None


class Review:
    """Records of a run that a person looks at. Shown in a notebook it is a page to decide on, by keyboard.

    Elsewhere, and in a saved notebook, it is a picture of what is left.

    Attributes:
        column: whose labels they are, ``"triage.label"``.
        choices: the labels to choose from, with their descriptions.
        keys: of the records, in the order in which they are shown.
        by: who decides.
    """

    def __init__(
        self,
        run: Run,
        answers: Answers,
        numbers: list[int],
        choices: dict[str, str],
        on: tuple[str, ...],
        by: str,
    ) -> None:
        self.column = answers.name
        self.choices = choices
        self.keys = [answers.keys[number] for number in numbers]
        self.by = by
        self._run = run
        self._answers = answers
        self._rows: list[Row] = answers.rows or []
        self._numbers = numbers
        self._on = on
        self._contents = [
            decisions.content(self._rows[number], on) for number in numbers
        ]
        self._made: list[Decision] = []
        self._mutex = threading.Lock()

    @property
    def decided(self) -> dict[str, Decision]:
        """What stands, by the key of the record; also what other people decided, in other kernels."""
        found = self._standing()
        return {
            key: found[place] for place, key in enumerate(self.keys) if place in found
        }

    @property
    def left(self) -> list[str]:
        """The keys of the records that nobody has decided."""
        decided = self.decided
        return [key for key in self.keys if key not in decided]

    def decide(self, key: Any, label: Any) -> Decision:
        """Give a record its label, for good and at once.

        Args:
            key: of the record.
            label: one of the choices.

        Returns:
            The decision, which is in the store now.

        Raises:
            UsageError: the record is not in this review, or the label is no choice.
            StoreError: it could not be kept; nothing is decided then.
        """
        place, chosen = self._place(key), text_of(label)
        if chosen not in self.choices:
            raise UsageError(
                f"{label!r} is none of the choices {', '.join(map(repr, self.choices))}; to allow it, nbflow.review(..., choices=[...])."
            )
        return self._keep(place, chosen)

    def accept(self, key: Any) -> Decision:
        """Say that the model is right about a record.

        Raises:
            UsageError: the record is not in this review, or the model gave it no label.
        """
        label = self.case(self._place(key)).label
        if label is None:
            raise UsageError(
                f"Record {key!r} has no label to accept: decide(key, label)."
            )
        return self._keep(self._place(key), label)

    def undo(self, key: Any = None) -> Decision | None:
        """Take back what was decided about a record; without a key the last decision that was made here.

        Returns:
            The decision that stands no longer; ``None`` if there was none.
        """
        stands = self._standing()
        if key is not None:
            before = stands.get(self._place(key))
        else:
            with self._mutex:
                # What was taken back, or decided again by whomever, is passed over.
                before = next(
                    (one for one in reversed(self._made) if one in stands.values()),
                    None,
                )
        if before is None:
            return None
        self._keep(
            self.place_of(before) if key is None else self._place(key),
            None,
            before.subject,
        )
        return before

    def place_of(self, decision: Decision) -> int:
        """Where the record of a decision stands among the ``keys``."""
        return self.keys.index(decision.key)

    def case(self, place: int) -> Case:
        """The record in this place, as it stands."""
        number = self._numbers[place]
        answers, record = self._answers, self._rows[number].record
        parts = record if isinstance(record, Mapping) else {"value": record}
        shown = {name: parts.get(name) for name in self._on} if self._on else parts
        beside = {name: values[number] for name, values in answers.beside.items()}
        sure = _number(beside.get("confidence"))
        fields = [
            (str(name), "" if value is None else str(value))
            for name, value in shown.items()
        ]
        return Case(
            answers.keys[number],
            fields,
            answers.labels[number],
            sure if 0 <= sure <= 1 else None,
            str(beside.get("reason") or ""),
            answers.missing.get(number, ""),
            self._standing().get(place),
        )

    def to_frame(self) -> Any:
        """What stands, a pandas frame: record, flow, label, model (what it had said), by, at, run."""
        import pandas as pd

        return pd.DataFrame(
            decisions.as_rows(self.decided.values()),
            columns=["record", "flow", "label", "model", "by", "at", "run"],
        )

    def _place(self, key: Any) -> int:
        text = key_text(key)
        if text not in self.keys:
            raise UsageError(
                f"There is no record {text!r} in this review; its first keys are {', '.join(map(repr, self.keys[:3]))}."
            )
        return self.keys.index(text)

    def _standing(self) -> dict[int, Decision]:
        return self._about(standing(self._run.engine.reviews.all()))

    def _about(self, made: Iterable[Decision]) -> dict[int, Decision]:
        """The latest of ``made`` for each record, by its place."""
        mine = [
            one
            for one in made
            if one.flow == self._answers.flow and one.field == self._answers.field
        ]
        found = decisions.decided(
            mine,
            (self._answers.flow,),
            ((place, self._rows[number]) for place, number in enumerate(self._numbers)),
        )
        return {place: decision for (place, _), decision in found.items()}

    def _keep(
        self, place: int, label: str | None, subject: Subject | None = None
    ) -> Decision:
        number, engine = self._numbers[place], self._run.engine
        subject = subject or (
            self._answers.flow,
            self._answers.field,
            self._on,
            self._contents[place],
        )
        with self._mutex:
            # A decision is later than what was decided before it, also if a clock was
            # set back or another one is ahead.
            latest = max(
                (
                    one.at + _TICK
                    for one in engine.reviews.all()
                    if one.subject == subject
                ),
                default=0.0,
            )
            decision = Decision(
                *subject,
                label,
                self._answers.labels[number],
                self.by,
                max(engine.clock.time(), latest),
                self.keys[place],
                self._run.id,
            )
            engine.reviews.add(decision)
            if label is not None:
                self._made.append(decision)
        return decision

    def __repr__(self) -> str:
        left = self.left
        lines = [
            f"  {case.key}  {case.label or case.missing}"
            + (f" ({case.confidence:.0%})" if case.confidence is not None else "")
            for case in self._next(left)
        ]
        more = [f"  and {len(left) - _SHOWN:,} more"] if len(left) > _SHOWN else []
        return "\n".join([self._sentence(left), *lines, *more])

    def _repr_html_(self) -> str:
        left = self.left
        rows = [
            [
                case.key,
                "  ".join(text for _, text in case.fields),
                case.label or case.missing,
                "" if case.confidence is None else f"{case.confidence:.0%}",
                case.reason,
            ]
            for case in self._next(left)
        ]
        return picture.queue(
            self._sentence(left),
            len(self.keys) - len(left),
            len(self.keys),
            rows,
            len(left) - len(rows),
        )

    def _next(self, left: list[str]) -> list[Case]:
        return [self.case(self.keys.index(key)) for key in left[:_SHOWN]]

    def _sentence(self, left: list[str]) -> str:
        done = f"{len(self.keys) - len(left):,} of {records(len(self.keys))} decided"
        return (
            f"Review of {self.column}: {done}, {len(left):,} left."
            if left
            else f"Review of {self.column}: {done}. Nothing is left."
        )

    def _ipython_display_(self) -> None:
        from nbflow.notebook import display

        if not display.in_kernel() or os.environ.get("NBFLOW_TABLE") == "static":
            raise NotImplementedError  # what IPython takes for: look for another way to show it
        try:
            from nbflow.quality.review_widget import show
        except ImportError:
            raise NotImplementedError from None
        show(self)

    def widget(self) -> Any:
        """The page to decide on as a widget (an `anywidget.AnyWidget`), for hosts that show widgets their own way.

        Raises:
            UsageError: anywidget is not installed.
        """
        try:
            from nbflow.quality.review_widget import ReviewWidget
        except ImportError as error:
            raise UsageError(
                f"Reviewing on a page needs {error.name}; install it with: pip install 'nbflow[lab]'"
            ) from None
        return ReviewWidget(self)


_SHOWN = 8


def review(
    run: Run,
    where: Any = None,
    *,
    choices: Any = None,
    column: str | None = None,
    text: str | Sequence[str] | None = None,
    by: str | None = None,
) -> Review:
    """Let a person accept or correct the labels of a run, by keyboard, the least sure ones first.

    Each decision is kept at once, with who and when. It is about what was shown: it
    holds for every record of every run in which those columns say the same, whatever
    the prompt, and stands in ``run.results()``; for ``nf.evaluate`` and ``nf.compare``
    it is the truth. Several people may review at the same time; of one record the
    latest decision stands.

    Args:
        run: whose labels.
        where: which records: a list of keys, such as
            ``compared.disagreements["record"]``, in their order; a truth value a row,
            such as ``results["triage.confidence"] < 0.5``; or a function that takes the
            record with its answer (``row["triage.confidence"]``) and says yes or no.
            All when left out.
        choices: the labels to choose from: list, dict of label -> description, Enum or
            Literal. By default those that the run gave, the most frequent first.
        column: the column of the results that holds the labels, found by itself where
            there is one.
        text: the column or columns to show; by default the whole record. Decisions are
            about what is shown here: show what decides, and leave out what changes from
            day to day.
        by: who decides; by default the user of JupyterHub or of this machine.

    Returns:
        A `Review`: shown in a notebook, a page to decide on; ``.decide(key, label)``,
            ``.accept(key)``, ``.undo()``,
        ``.left``, ``.to_frame()``.

    Raises:
        UsageError: there is no such column or record, or the records of the run were
            not kept.
    """
    if not isinstance(run, Run):
        raise UsageError(
            f"nbflow.review takes a run (of send or map), not {type(run).__name__}."
        )
    answers = answers_of(run, column)
    if answers.rows is None:
        raise UsageError(
            f"The records of run {run.id} were not kept (keep_records=False), so there is nothing to look at; send them again."
        )
    on = (text,) if isinstance(text, str) else tuple(text or ())
    known = {
        str(name)
        for row in answers.rows
        if isinstance(row.record, Mapping)
        for name in row.record
    }
    if strange := [name for name in on if name not in known]:
        raise UsageError(
            f"text={strange[0]!r} is not a column of the records; they have {', '.join(map(repr, sorted(known))) or 'none'}."
        )
    numbers = _alone(answers, on, _chosen(answers, where))
    return Review(
        run,
        answers,
        numbers,
        labels_of(choices, "choices") if choices is not None else _seen(answers),
        on,
        by or _user(),
    )


def _user() -> str:
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "somebody"  # a container whose user has no name


def _seen(answers: Answers) -> dict[str, str]:
    """The labels that were given, the most frequent first."""
    given = [label for label in answers.labels if label is not None] + [
        str(decision.label) for decision in answers.decided.values()
    ]
    return dict.fromkeys(
        sorted(dict.fromkeys(given), key=lambda label: -given.count(label)), ""
    )


def _alone(answers: Answers, on: tuple[str, ...], numbers: list[int]) -> list[int]:
    """Without those that look the same: one decision is for all of them."""
    rows = answers.rows or []
    first = {
        decisions.content(rows[number], on): number for number in reversed(numbers)
    }
    return [
        number
        for number in numbers
        if first[decisions.content(rows[number], on)] == number
    ]


def _chosen(answers: Answers, where: Any) -> list[int]:
    everything = list(range(len(answers.keys)))
    if callable(where):
        chosen = [number for number in everything if where(_row(answers, number))]
    elif where is None:
        chosen = everything
    else:
        asked = list(where)
        if asked and all(
            type(one).__name__ in {"bool", "bool_", "NoneType", "NAType"}
            for one in asked
        ):
            if len(asked) != len(answers.places):
                raise UsageError(
                    f"where= has {len(asked):,} truth values and there are {len(answers.places):,} rows."
                )
            meant = {
                number
                for number, yes in zip(answers.places, asked, strict=True)
                if yes is not None and type(yes).__name__ != "NAType" and yes
            }
            chosen = [number for number in everything if number in meant]
        else:
            return _named(answers, asked)
    sure = answers.beside.get("confidence")
    # A record without an answer is the least sure of all.
    return (
        sorted(
            chosen,
            key=lambda number: (
                -math.inf if answers.labels[number] is None else _number(sure[number])
            ),
        )
        if sure
        else chosen
    )


def _number(confidence: Any) -> float:
    """A confidence to sort by, on whatever scale; one that is no number is behind all that are."""
    is_number = (
        isinstance(confidence, Real)
        and not isinstance(confidence, bool)
        and confidence == confidence  # noqa: PLR0124 - NaN
    )
    return float(confidence) if is_number else math.inf


def _row(answers: Answers, number: int) -> dict[str, Any]:
    record = (answers.rows or [])[number].record
    stem = (
        answers.name.removesuffix(answers.field)
        if answers.field
        else f"{answers.name}."
    )
    said = {f"{stem}{name}": values[number] for name, values in answers.beside.items()}
    return {
        **(record if isinstance(record, Mapping) else {"value": record}),
        answers.name: answers.labels[number],
        **said,
    }


def _named(answers: Answers, asked: list[Any]) -> list[int]:
    numbers = {key: number for number, key in reversed(list(enumerate(answers.keys)))}
    names = [*map(key_text, asked)]
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise UsageError(
            f"where=: the run has no record {', '.join(map(repr, unknown[:5]))}; its first keys are {', '.join(map(repr, answers.keys[:3]))}."
        )
    return [numbers[name] for name in dict.fromkeys(names)]
