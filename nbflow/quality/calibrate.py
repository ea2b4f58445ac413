"""Calibrate: what a confidence is worth on one's own records, from people's decisions."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from nbflow._core.html import h
from nbflow._core.plural import several
from nbflow._run.html_parts import framed
from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality import calibration_picture, picture
from nbflow.quality.advice import review_call
from nbflow.quality.answers import answers_of
from nbflow.quality.calibration import bars, cross_fitted, fitted
from nbflow.quality.confidence import confidences
from nbflow.quality.evidence import LEAST, evidence
from nbflow.quality.intervals import percent
from nbflow.quality.probability import checked, probability
from nbflow.quality.truth import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow.quality.answers import Answers
    from nbflow.quality.calibration import Curve, Fit, Judged, ReliabilityBar
    from nbflow.quality.intervals import Interval

#: Decisions from which on a calibration has steps.
STEPS_FROM = 300
_METHODS = ("platt", "isotonic")
#: The share of the records from which on one text moves a whole curve.
_HEAVY = 0.1
#: What rounding makes of a confidence.
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a confidence is worth. Shown in a notebook it is a picture.

    Call it with a confidence, a list or Series of them, a frame of results or a run: it
    gives how often answers of that confidence are right, in the same form (of a frame a
    Series, of a run a pandas Series by key, as ``confidence=`` of `review` and
    `estimate` takes it). It is ``nan`` where nothing is known: for an answer without a
    confidence, and for one that is surer, or less sure, than any that was judged.

    Attributes:
        name: what the labels are called.
        run: the id of the run.
        about: which answers it is about, in words, if these are not all of the run.
        decided: decisions on answers with a confidence; of copies it is one.
        right: share of the answers it is about that the model had right.
        method: ``"platt"`` or ``"isotonic"``.
        bars: what the picture shows: mean confidence, share right with its interval, and
            number of decisions, by confidence.
        fit: how well it says what it did not see; ``None`` if not calibrated.
        curve: how often answers are right by confidence; ``None`` if there are too few
            decisions.
        confidences: of all records of the run, by key.
        known: the least and the highest confidence of which it says something.
        is_given: whether the confidences were given, and are not what the run says.
        remarks: what one has to know about what it comes from, in sentences.
        more: the call that shows people more records.
    """

    name: str
    run: str
    about: str
    decided: int
    right: float
    method: str
    bars: tuple[ReliabilityBar, ...]
    fit: Fit | None
    curve: Curve | None
    confidences: dict[str, float]
    known: tuple[float, float]
    is_given: bool
    remarks: tuple[str, ...] = ()
    more: str = "nf.review(run, sample=200)"

    @property
    def is_calibrated(self) -> bool:
        """Whether there are enough decisions."""
        return self.curve is not None

    def at(self, confidence: float) -> Interval:
        """How often answers of this confidence are right, with a 95 % interval.

        Raises:
            UsageError: it is no probability, it is not calibrated, or nothing is known
                of answers of this confidence.
        """
        number = checked(confidence, "a confidence")
        curve = self._calibrated()
        if self._is_known(number):
            return curve.at(number)
        low, high = self.known
        raise UsageError(
            f"Nothing is known of answers with a confidence of {number:.2f}: those that "
            f"were judged have {low:.2f} to {high:.2f}. {self.more} draws "
            "some of all, as far as the run has them."
        )

    def threshold(self, right: float) -> float:
        """The least confidence of the run at which answers are right that often.

        It goes by the middle of the interval of `at`, not by the figure before it: three
        decisions that all happen to be right do not make an answer certain.

        Args:
            right: a share, such as 0.95.

        Raises:
            UsageError: it is no share, no answer is sure enough, or it is not
                calibrated.
        """
        wanted = checked(right, "how often answers are to be right")
        curve = self._calibrated()
        known = sorted(filter(self._is_known, set(self.confidences.values())))
        for confidence in known:
            _, low, high = curve.at(confidence)
            if (low + high) / 2 >= wanted:
                return confidence
        best = curve.at(known[-1])
        middle = percent((best.low + best.high) / 2)
        surest = "at the highest confidence"
        if known[-1] < max(self.confidences.values()):
            surest = "at the highest confidence of which anything is known"
        raise UsageError(
            f"No answer of {self.name} is sure enough to be right in {percent(wanted)} of "
            f"cases: {surest}, {known[-1]:.2f}, the interval is {percent(best.low)} to "
            f"{percent(best.high)}, and its middle, {middle}, counts (the figure itself "
            f"is {percent(best.value)}). More decisions narrow it: nf.review(run, sample=...)."
        )

    def __call__(self, of: object) -> Any:
        """How often answers are right: of a confidence, several, results, or a run."""
        import pandas as pd

        if isinstance(of, Run):
            said = self.confidences if of.id == self.run else self._other(of)
            return pd.Series(self._each(said.values()), said, dtype=float)
        values = _column(of, f"{self.name.removesuffix('.label')}.confidence")
        if isinstance(values, Mapping):
            return dict(zip(values, self._each(values.values()), strict=True))
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            return self.at(cast("float", values)).value
        return _like(values, self._each(values))

    def _other(self, run: Run) -> dict[str, float]:
        """What another run says."""
        if self.is_given:
            raise UsageError(
                f"{self.name} is calibrated on confidences that were given: give those of "
                f"run {run.id} as well, sure(nf.agreement([run, other_run, ...]))."
            )
        answers = answers_of(run, self.name)
        sure = _sure(answers, confidences(answers))
        return {answers.keys[number]: one for number, one in sure.items()}

    def _each(self, of: Iterable[object]) -> list[float]:
        curve = self._calibrated()
        numbers = [probability(one, "a confidence") for one in of]
        return [
            curve.at(one).value if one is not None and self._is_known(one) else math.nan
            for one in numbers
        ]

    def _is_known(self, confidence: float) -> bool:
        low, high = self.known
        return low - _CLOSE <= confidence <= high + _CLOSE

    def _calibrated(self) -> Curve:
        if self.curve is None:
            raise UsageError(f"{self._sentence()} {self.more} gets more.")
        return self.curve

    def _sentence(self) -> str:
        decided = several(self.decided, "decision")
        about = f", {self.about}" if self.about else ""
        if self.curve is None:
            return (
                f"{self.name} is not calibrated on your data: {decided} on answers with a "
                f"confidence, and {LEAST} are needed."
            )
        # Nobody knows what nine tenths are worth where none was said.
        said = min(max(0.9, self.bars[0].sure), self.bars[-1].sure)
        return (
            f"{self.name}{about}: where it says {said:.0%}, it is right in "
            f"{self.at(said)} of cases, by {decided}."
        )

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        if self.fit is None:
            said = "What it says itself is no share of right answers yet."
            return [said, *self.remarks]
        fit = self.fit
        off = f"Off by {percent(fit.off)} as it says itself, by "
        off += f"{percent(fit.off_calibrated)} calibrated"
        scores = f"Brier score {fit.said:.3f} and {fit.calibrated:.3f}"
        judged = f"{off}, on decisions that the calibration did not see ({scores})."
        return [*self.remarks, judged]

    def to_frame(self) -> pd.DataFrame:
        """The bars: confidence, right, low, high, decided."""
        import pandas as pd

        return pd.DataFrame(
            [(bar.sure, *bar.right, bar.number) for bar in self.bars],
            columns=["confidence", "right", "low", "high", "decided"],
        )

    def __repr__(self) -> str:
        frame = self.to_frame().round(3).to_string(index=False)
        return "\n".join([self._sentence(), *self.notes(), "", frame])

    def _repr_html_(self) -> str:
        shown = framed(
            picture.title(h("b", self._sentence())),
            picture.notes(self.notes()),
            calibration_picture.reliability(self.bars, self.curve, self.known),
        )
        return str(shown)


def calibrate(
    run: Run,
    truth: object = None,
    *,
    column: str | None = None,
    confidence: object = None,
    method: str | None = None,
) -> Calibration:
    """What a model's confidence is worth on one's own records.

    From people's decisions: how often are answers right of which it says 0.9? With
    fifty on a sample, each stands for the records that nobody saw as well, and it is
    about the whole run. Others say something of what was looked at, and nothing of
    answers that are surer: it says so. What was decided of copies of a text counts once.

    Args:
        run: whose confidence.
        truth: true labels, as `evaluate` takes them; left out, what people decided.
        column: the column of the results that holds the labels; by default the only one
            that may hold labels.
        confidence: in place of what the run says itself: ``{key: number}``, a Series by
            key such as `agreement` gives, or one a row.
        method: ``"platt"``, a logistic curve (Platt 1999), or ``"isotonic"``, rising
            steps (Zadrozny and Elkan 2002); by default steps from 300 decisions on.

    Returns:
        A `Calibration`: ``sure(0.9)``, ``.at(0.9)``, ``.threshold(0.95)``,
        ``.to_frame()``. With fewer than fifty decisions it is "not calibrated on your
        data".

    Raises:
        UsageError: the run says no confidence between 0 and 1, or nothing is decided.

    Example:
        >>> @nf.step
        ... def label(text):
        ...     return {"label": "spam", "confidence": 0.6 + int(text) % 4 / 10}
        >>> run = label.map([str(n) for n in range(100)])
        >>> truth = ["spam" if n % 4 > n % 3 else "ham" for n in range(100)]
        >>> sure = nf.calibrate(run, truth)
        >>> print(f"{sure(0.6):.2f} {sure(0.9):.2f}")
        0.06 0.97
    """
    if not isinstance(run, Run):
        raise UsageError(
            f"nbflow.calibrate takes a run (of send or map), not {type(run).__name__}."
        )
    if method not in (None, *_METHODS):
        raise UsageError(f'method={method!r} has to be "platt" or "isotonic".')
    answers = answers_of(run, column, None, name_of(truth))
    said = confidences(answers, confidence)
    sure = _sure(answers, said)
    found = evidence(answers, said or (), sure, truth)
    if not found.judged.texts:
        raise UsageError(
            f"Nobody has decided anything on an answer of {answers.name} that has a "
            f"confidence: {review_call(answers)} draws records to look at."
        )
    judged = found.judged
    texts = judged.texts
    is_isotonic = method == "isotonic" or (method is None and texts >= STEPS_FROM)
    is_enough = texts >= LEAST
    shown = tuple(bars(judged))
    curve = fitted(judged, is_isotonic=is_isotonic) if is_enough else None
    return Calibration(
        name=answers.name,
        run=run.id,
        about=found.about,
        decided=texts,
        right=judged.share.value,
        method=_METHODS[is_isotonic],
        bars=shown,
        fit=cross_fitted(judged, is_isotonic=is_isotonic) if is_enough else None,
        curve=curve,
        confidences={answers.keys[number]: one for number, one in sure.items()},
        known=(found.low, found.high),
        is_given=confidence is not None,
        remarks=(*_astray(judged, shown, curve), *found.remarks),
        more=review_call(answers),
    )


def _astray(
    judged: Judged, rows: Sequence[ReliabilityBar], curve: Curve | None
) -> list[str]:
    """That the curve does not follow the rows, where one text is the reason."""
    heaviest = judged.heaviest
    if curve is None or heaviest < _HEAVY:
        return []
    away = 0
    for row in rows:
        _, low, high = curve.at(row.sure)
        away += not low <= row.right.value <= high
    if not away:
        return []
    said = (
        f"The curve does not follow {away} of the {several(len(rows), 'row')}: one text "
        f"counts for {percent(heaviest)} of the records, and moves the curve at every "
        "confidence. Read the rows."
    )
    return [said]


def _sure(answers: Answers, said: Sequence[float] | None) -> dict[int, float]:
    """The confidence of each answer that has one, by the number of its record.

    Raises:
        UsageError: there is none, or it is no probability.
    """
    if said is None:
        raise UsageError(
            f"{answers.name} says no confidence. Return one beside the label, or give "
            "one: confidence=nf.agreement([run, other_run, ...])."
        )
    found = {
        number: one
        for number, one in enumerate(said)
        if math.isfinite(one) and answers.labels[number] is not None
    }
    outside = [one for one in found.values() if not 0 <= one <= 1]
    if outside or not found:
        example = f", such as {outside[0]:g}" if outside else ""
        raise UsageError(
            f"The confidence of {answers.name} has to be between 0 and 1{example}: "
            "divide it by its most."
        )
    return found


def _column(of: object, name: str) -> object:
    """The confidences in a frame of results, or in its records; else what is given."""
    if isinstance(of, list) and of and isinstance(of[0], Mapping):
        return [record.get(name) for record in of]
    columns = getattr(of, "column_names", getattr(of, "columns", None))
    if columns is None:
        return of
    if name not in columns:
        raise UsageError(f"There is no column {name!r} in this frame.")
    return cast("Mapping[str, object]", of)[name]


def _like(values: Iterable[object], found: list[float]) -> Any:
    """Numbers in the form in which they were asked for."""
    import pandas as pd

    if isinstance(values, pd.Series):
        return pd.Series(found, values.index, dtype=float)
    kind: Any = type(values)
    library = kind.__module__.partition(".")[0]
    if library == "polars":
        return kind(found)
    if library in ("numpy", "pyarrow"):
        return importlib.import_module(library).array(found)
    return found
