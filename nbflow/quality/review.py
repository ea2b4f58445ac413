"""Review: a person accepts or corrects labels, one record at a time.

This is the kernel's side, without a page: which records, in which order, what stands,
and deciding. ``review_widget.py`` shows it. A decision is in the store before
`Review.decide` returns, and every look reads what others decided meanwhile.
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from nbflow._core.decision import Decision, Subject, standing
from nbflow._core.html import Html, h, joined
from nbflow._core.label import is_missing, text_of
from nbflow._run import decisions
from nbflow._run.batch import key_text
from nbflow._run.html_parts import framed
from nbflow._run.person import user
from nbflow.errors import UsageError
from nbflow.quality import picture
from nbflow.quality.confidence import CONFIDENCE, confidences, number_of
from nbflow.quality.draw import drawn_sample, shown_by_sample
from nbflow.quality.field import answers_of_field
from nbflow.quality.groups import each_row
from nbflow.quality.labels import labels_of
from nbflow.quality.notes import records
from nbflow.quality.reviewable import Case
from nbflow.quality.vocabulary import declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow._run.batch import Row
    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers
    from nbflow.quality.review_widget import ReviewWidget

#: The least time in seconds between two decisions about one thing, whatever the clocks
#: say.
_TICK = 1e-6
#: Records that a review shows without a page.
_SHOWN = 8


class Review:
    """Records of a run that a person looks at.

    Shown in a notebook it is a page to decide on, by keyboard. Elsewhere, and in a
    saved notebook, it is a picture of what is left.

    Attributes:
        column: whose labels they are, ``"triage.label"``.
        choices: the labels to choose from, with their descriptions.
        keys: of the records, in the order in which they are shown.
        by: who decides.
        about: where the records come from, in sentences; empty if they are no sample.
    """

    def __init__(
        self,
        run: Run,
        answers: Answers,
        numbers: list[int],
        choices: dict[str, str],
        on: tuple[str, ...],
        by: str,
        why: str = "",
        about: str = "",
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
        self._why = why
        self.about = about
        self._contents = [
            decisions.content(self._rows[number], on) for number in numbers
        ]
        self._made: list[Decision] = []
        self._mutex = threading.Lock()

    @property
    def decided(self) -> dict[str, Decision]:
        """What stands, by the key of the record; decisions of other people included."""
        found = self._standing()
        places = sorted(found)
        return {self.keys[place]: found[place] for place in places}

    @property
    def left(self) -> list[str]:
        """The keys of the records that are not decided."""
        decided = self.decided
        return [key for key in self.keys if key not in decided]

    def decide(self, key: object, label: object) -> Decision:
        """Give a record its label, permanently and at once.

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
            choices = ", ".join(map(repr, self.choices))
            raise UsageError(
                f"{label!r} is not one of the choices {choices}; to allow it, "
                "nbflow.review(..., choices=[...])."
            )
        return self._keep(self._subject(place), place, chosen)

    def accept(self, key: object) -> Decision:
        """Say that the model is right about a record.

        Raises:
            UsageError: the record is not in this review, or the model gave it no label.
        """
        place = self._place(key)
        label = self.case(place).label
        if label is None:
            raise UsageError(
                f"Record {key!r} has no label to accept: decide(key, label)."
            )
        return self._keep(self._subject(place), place, label)

    def undo(self, key: object = None) -> Decision | None:
        """Take back what was decided about a record.

        Args:
            key: of the record; left out, the last decision that was made here is taken
                back.

        Returns:
            The decision that stands no longer; ``None`` if there was none.
        """
        if key is None:
            before = self._last_made()
            place = self.place_of(before) if before is not None else 0
        else:
            place = self._place(key)
            before = self._standing().get(place)
        if before is not None:
            self._keep(before.subject, place, None)
        return before

    def _last_made(self) -> Decision | None:
        """The last decision made here that still stands.

        Those that were taken back, or decided again by anybody, are passed over.
        """
        stands = self._standing().values()
        with self._mutex:
            for decision in reversed(self._made):
                if decision in stands:
                    return decision
        return None

    def place_of(self, decision: Decision) -> int:
        """Where the record of a decision stands among the ``keys``."""
        return self.keys.index(decision.key)

    def case(self, place: int) -> Case:
        """The record in this place, as it stands."""
        answers = self._answers
        number = self._numbers[place]
        record = self._rows[number].record
        parts = record if isinstance(record, Mapping) else {"value": record}
        if self._on:
            parts = {name: parts.get(name) for name in self._on}
        beside = {name: values[number] for name, values in answers.beside.items()}
        sure = number_of(beside.get(CONFIDENCE))
        return Case(
            key=answers.keys[number],
            fields=[
                (str(name), "" if value is None else str(value))
                for name, value in parts.items()
            ],
            label=answers.labels[number],
            confidence=sure if 0 <= sure <= 1 else None,
            reason=str(beside.get("reason") or ""),
            missing=answers.missing.get(number, ""),
            decision=self._standing().get(place),
        )

    def to_frame(self) -> pd.DataFrame:
        """What stands, a pandas frame: record, flow, label, model, by, at, run.

        ``model`` is what the model had said.
        """
        import pandas as pd

        return pd.DataFrame(
            decisions.as_rows(self.decided.values()),
            columns=["record", "flow", "label", "model", "by", "at", "run"],
        )

    def _place(self, key: object) -> int:
        text = key_text(key)
        if text not in self.keys:
            first = ", ".join(map(repr, self.keys[:3]))
            raise UsageError(
                f"There is no record {text!r} in this review; its first keys are {first}."
            )
        return self.keys.index(text)

    def _standing(self) -> dict[int, Decision]:
        """The decision that stands for each record, by its place."""
        answers = self._answers
        mine = [
            decision
            for decision in standing(self._run.engine.decisions.all())
            if decision.flow == answers.flow and decision.field == answers.field
        ]
        rows = (
            (place, self._rows[number]) for place, number in enumerate(self._numbers)
        )
        found = decisions.decided(mine, (answers.flow,), rows)
        return {place: decision for (place, _), (decision,) in found.items()}

    def _subject(self, place: int) -> Subject:
        """What a decision about the record in this place is about."""
        answers = self._answers
        return answers.flow, answers.field, self._on, self._contents[place]

    def _keep(self, subject: Subject, place: int, label: str | None) -> Decision:
        """Save a decision; without a ``label`` it takes back the one that stands."""
        engine = self._run.engine
        kept = engine.decisions
        with self._mutex:
            # A decision is later than what was decided before it, also if a clock was
            # set back or another one is ahead.
            at = engine.clock.time()
            for earlier in kept.all():
                if earlier.subject == subject:
                    at = max(at, earlier.at + _TICK)
            decision = Decision(
                *subject,
                label=label,
                before=self._answers.labels[self._numbers[place]],
                by=self.by,
                at=at,
                key=self.keys[place],
                run=self._run.id,
                why=self._why,
            )
            kept.add(decision)
            if label is not None:
                self._made.append(decision)
        return decision

    def __repr__(self) -> str:
        left = self.left
        lines = [self._sentence(left)]
        for case in self._next(left):
            line = f"  {case.key}  {case.label or case.missing}"
            if case.confidence is not None:
                line += f" ({case.confidence:.0%})"
            lines.append(line)
        if len(left) > _SHOWN:
            lines.append(f"  and {len(left) - _SHOWN:,} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = self.left
        total = len(self.keys)
        shown = framed(
            h("div", self._sentence(left), style="font-weight:600"),
            _progress(total - len(left), total),
            _queue(self._next(left), len(left)),
        )
        return str(shown)

    def _next(self, left: list[str]) -> list[Case]:
        """The first of the records that are left."""
        return [self.case(self.keys.index(key)) for key in left[:_SHOWN]]

    def _sentence(self, left: list[str]) -> str:
        total = len(self.keys)
        done = f"{total - len(left):,} of {records(total)} decided"
        about = f" {self.about}" if self.about else ""
        if left:
            return f"Review of {self.column}: {done}, {len(left):,} left.{about}"
        return f"Review of {self.column}: {done}. Nothing is left.{about}"

    def _ipython_display_(self) -> None:
        from nbflow.notebook import display

        if not display.in_kernel() or os.environ.get("NBFLOW_TABLE") == "static":
            # IPython looks for another way to show it then.
            raise NotImplementedError
        try:
            from nbflow.quality.review_widget import show
        except ImportError:
            raise NotImplementedError from None
        show(self)

    def widget(self) -> ReviewWidget:
        """The page to decide on as a widget (an `anywidget.AnyWidget`).

        For hosts that show widgets their own way.

        Raises:
            UsageError: anywidget is not installed.
        """
        try:
            from nbflow.quality.review_widget import ReviewWidget
        except ImportError as error:
            raise UsageError(
                f"Reviewing on a page needs {error.name}; install it with: "
                "pip install 'nbflow[lab]'"
            ) from None
        return ReviewWidget(self)


def _progress(done: int, total: int) -> Html:
    """A bar: how much is decided."""
    width = 100 * done / (total or 1)
    return h(
        "div",
        h("div", style=f"height:100%;width:{width:.2f}%;background:{picture.RIGHT}"),
        role="img",
        aria_label=f"{done:,} of {total:,} decided",
        style="height:8px;border-radius:4px;overflow:hidden;"
        "background:color-mix(in srgb,currentColor 12%,transparent);margin:6px 0 10px",
    )


def _queue(cases: list[Case], left: int) -> Html:
    """The records that are next, and how to decide them; nothing if none is left."""
    if not cases:
        return joined()
    names = ("record", "what it says", "label", "sure", "reason")
    head = [picture.header(name) for name in names]
    more = left - len(cases)
    how = (
        "In Jupyter, run the cell to decide by keyboard; "
        "elsewhere review.decide(key, label)."
    )
    return joined(
        picture.table(head, map(_line, cases)),
        h(
            "div",
            f"and {more:,} more. {how}" if more else how,
            style=f"{picture.FAINT};margin-top:6px",
        ),
    )


def _line(case: Case) -> Html:
    texts = [
        case.key,
        "  ".join(text for _, text in case.fields),
        case.label or case.missing,
        "" if case.confidence is None else f"{case.confidence:.0%}",
        case.reason,
    ]
    return picture.line(*map(picture.field, texts))


def review(
    run: Run,
    where: object = None,
    *,
    sample: int | str | None = None,
    width: float | None = None,
    choices: object = None,
    column: str | None = None,
    field: str | None = None,
    text: str | Sequence[str] | None = None,
    by: str | None = None,
    confidence: object = None,
    seed: int = 0,
) -> Review:
    """Let a person accept or correct the labels of a run, by keyboard.

    The labels that the model is least sure of come first. Each decision is kept at
    once, with who and when. It is about what was shown: it holds for every record of
    every run in which those columns say the same, whatever the prompt, and stands in
    ``run.results()``; for ``nf.evaluate`` and ``nf.compare`` it is the truth. Several
    people may review at the same time; of one record the latest decision stands.

    With ``sample=`` records come that were drawn at random within the given labels and
    thirds of their confidence, in random order: what `estimate` makes of them holds for
    the whole run, wherever one stops. The same call goes on with the same sample, a
    larger number with more of it, for whoever makes it. What was decided before a
    sample is drawn is not drawn.

    Args:
        run: whose labels.
        where: which records: a list of keys, such as
            ``compared.disagreements["record"]``, in their order; a truth value a row,
            such as ``results["triage.confidence"] < 0.5``; or a function that takes the
            record with its answer (``row["triage.confidence"]``) and says yes or no.
            All when left out.
        sample: how many records to draw, or ``"auto"``: fifty first, then as many as an
            interval of ``width=`` needs.
        width: of ``sample="auto"``, how far the intervals of the accuracy and of each
            share may reach to each side, as a share: 0.03, three points, by default.
        choices: the labels to choose from: list, dict of label -> description, Enum or
            Literal. By default those that the run gave, the most frequent first, then
            the others of its categorizer, or of the Literal or Enum that its steps say
            they return.
        column: the column of the results that holds the labels; by default the only one
            that may hold labels.
        field: of records that were extracted, which field: a closed list, or several
            labels of one, which are shown together (``"late, rude"``).
        text: the column or columns to show; by default the whole record. Decisions are
            about what is shown here: show what decides, and leave out what changes from
            day to day. A sample of other columns is another one: left out, the columns of
            the sample that was drawn are shown; ``[]`` shows the whole record.
        by: who decides; by default the user of JupyterHub or of this machine.
        confidence: how sure the model is, in place of what it says itself: ``{key:
            number}``, a Series by key such as `agreement` gives, or one a row.
        seed: of the draw; one seed and one run, one sample. A sample that was drawn is
            gone on with, whatever the seed.

    Returns:
        A `Review`: shown in a notebook, a page to decide on; ``.decide(key, label)``,
        ``.accept(key)``, ``.undo()``, ``.left``, ``.to_frame()``.

    Raises:
        UsageError: there is no such column or record, the sample is larger than the run,
            or the records of the run were not kept.
    """
    answers = answers_of_field("review", run, column, field)
    rows = answers.rows or []
    on, by = _columns(rows, text), by or user()
    sure = confidences(answers, confidence)
    if sample is not None:
        if text is None:
            on = shown_by_sample(answers)
        drawn = drawn_sample(
            answers, where, on, confidence, sample, width, seed=seed, by=by
        )
        numbers, why, about = drawn
    else:
        _check_no_width(width)
        numbers = _without_repeats(rows, on, _chosen(answers, where, sure))
        why, about = _why(where, sure), ""
    if choices is not None:
        offered = labels_of(choices, "choices")
    else:
        offered = _seen(answers, declared(run, answers))
    return Review(run, answers, numbers, offered, on, by, why, about)


def _check_no_width(width: object) -> None:
    if width is not None:
        raise UsageError(
            'width= says how many records sample="auto" is to draw; give both, or none.'
        )


def _columns(rows: list[Row], text: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns to show; none for the whole record."""
    if isinstance(text, str):
        text = (text,)
    on = tuple(text or ())
    named = [row.record for row in rows if isinstance(row.record, Mapping)]
    known = {str(name) for record in named for name in record}
    for name in on:
        if name not in known:
            names = ", ".join(map(repr, sorted(known))) or "none"
            raise UsageError(
                f"text={name!r} is not a column of the records; they have {names}."
            )
    return on


def _seen(answers: Answers, known: dict[str, str]) -> dict[str, str]:
    """The labels that were given, the most frequent first, then those that are known."""
    given = Counter(label for label in answers.labels if label is not None)
    for decision in answers.decided.values():
        given[str(decision.label)] += 1
    return {label: known.get(label, "") for label, _ in given.most_common()} | known


def _why(where: object, sure: Sequence[float] | None) -> str:
    """The reason for which a record comes before a person, see `Decision.why`."""
    if where is not None:
        return "where"
    return "" if sure is None else "least sure"


def _without_repeats(
    rows: list[Row],
    on: tuple[str, ...],
    numbers: list[int],
) -> list[int]:
    """The first of the records that look the same: one decision is for all of them."""
    first: dict[bytes, int] = {}
    for number in numbers:
        first.setdefault(decisions.content(rows[number], on), number)
    return list(first.values())


def _chosen(answers: Answers, where: object, sure: Sequence[float] | None) -> list[int]:
    """The numbers of the records to show, in the order in which to show them."""
    chosen = list(range(len(answers.keys)))
    if callable(where):
        said = each_row(answers, lambda row: bool(where(row)), "where")
        chosen = [number for number in chosen if said[number]]
    elif where is not None:
        asked = list(cast("Iterable[object]", where))
        if not asked or not all(map(_is_truth_value, asked)):
            return _named(answers, asked)
        meant = _meant(answers, asked)
        chosen = [number for number in chosen if number in meant]
    if sure is None:
        return chosen

    def confidence(number: int) -> float:
        # A record without an answer is the least sure of all.
        return -math.inf if answers.labels[number] is None else sure[number]

    return sorted(chosen, key=confidence)


def _is_truth_value(value: object) -> bool:
    """Whether it is True, False or missing, in whatever library's form."""
    return type(value).__name__ in {"bool", "bool_", "NoneType", "NAType"}


def _meant(answers: Answers, asked: list[object]) -> set[int]:
    """The numbers of the records for which a row says yes."""
    if len(asked) != len(answers.places):
        raise UsageError(
            f"where= has {len(asked):,} truth values and there are "
            f"{len(answers.places):,} rows."
        )
    return {
        number
        for number, yes in zip(answers.places, asked, strict=True)
        if not is_missing(yes) and yes
    }


def _named(answers: Answers, asked: list[object]) -> list[int]:
    """The numbers of the records with these keys, in their order."""
    numbers: dict[str, int] = {}
    for number, key in enumerate(answers.keys):
        numbers.setdefault(key, number)
    names = [key_text(key) for key in asked]
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise UsageError(
            f"where=: the run has no record {', '.join(map(repr, unknown[:5]))}; "
            f"its first keys are {', '.join(map(repr, answers.keys[:3]))}."
        )
    return [numbers[name] for name in dict.fromkeys(names)]
