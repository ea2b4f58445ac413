"""Calibrate: what a confidence is worth on one's own records, from people's decisions."""

from __future__ import annotations

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
from nbflow.quality.answers import answers_of
from nbflow.quality.calibration import bars, cross_fitted, fitted
from nbflow.quality.confidence import confidences, number_of
from nbflow.quality.intervals import percent
from nbflow.quality.truth import name_of, truths_of

if TYPE_CHECKING:
    import pandas as pd

    from nbflow.quality.answers import Answers
    from nbflow.quality.calibration import Curve, Fit, ReliabilityBar
    from nbflow.quality.intervals import Interval

#: Decisions that a calibration needs, and those from which on it has steps.
LEAST, STEPS_FROM = 50, 300
_METHODS = ("platt", "isotonic")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a confidence is worth. Shown in a notebook it is a picture.

    Call it with a confidence, a list or Series of them, a frame of results or a run: it
    gives how often answers of that confidence are right, in the same form (of a frame a
    Series, of a run a pandas Series by key, as ``confidence=`` of `review` and
    `estimate` takes it).

    Attributes:
        name: what the labels are called.
        decided: decisions on answers with a confidence.
        right: share of them that the model had right.
        method: ``"platt"`` or ``"isotonic"``.
        bars: what the picture shows: mean confidence, share right with its interval, and
            number of decisions, by confidence.
        fit: how well it says what it did not see; ``None`` if not calibrated.
        curve: how often answers are right by confidence; ``None`` if there are too few
            decisions.
        confidences: of all records of the run, by key.
    """

    name: str
    decided: int
    right: float
    method: str
    bars: tuple[ReliabilityBar, ...]
    fit: Fit | None
    curve: Curve | None
    confidences: dict[str, float]

    @property
    def is_calibrated(self) -> bool:
        """Whether there are enough decisions."""
        return self.curve is not None

    def at(self, confidence: float) -> Interval:
        """How often answers of this confidence are right, with a 95 % interval.

        Raises:
            UsageError: it is not calibrated.
        """
        return self._calibrated().at(float(confidence))

    def threshold(self, right: float) -> float:
        """The least confidence of the run at which answers are right that often.

        That is where the middle of the interval is: three decisions that all happen to
        be right do not make an answer certain.

        Args:
            right: a share, such as 0.95.

        Raises:
            UsageError: none is, or it is not calibrated.
        """
        curve = self._calibrated()
        known = sorted(set(self.confidences.values()))
        for confidence in known:
            _, low, high = curve.at(confidence)
            if (low + high) / 2 >= right:
                return confidence
        best = curve.at(known[-1])
        raise UsageError(
            f"No answer of {self.name} is sure enough to be right in {percent(right)} of "
            f"cases: at the highest confidence, {known[-1]:.2f}, it is {best}."
        )

    def __call__(self, of: object) -> Any:
        """How often answers are right: of a confidence, several, results, or a run."""
        import pandas as pd

        if isinstance(of, Run):
            return pd.Series(self._each(self.confidences.values()), self.confidences)
        values = self._column(of)
        if not isinstance(values, Iterable):
            return self.at(number_of(values)).value
        found = self._each(values)
        if isinstance(values, pd.Series):
            return pd.Series(found, values.index)
        kind: Any = type(values)
        return kind(found) if kind.__module__.startswith("polars") else found

    def _column(self, of: object) -> object:
        """The confidences in a frame of results, or in its records; else what is given."""
        name = f"{self.name.removesuffix('.label')}.confidence"
        if isinstance(of, list) and of and isinstance(of[0], Mapping):
            return [record.get(name) for record in of]
        columns = getattr(of, "columns", None)
        if columns is None:
            return of
        if name not in columns:
            raise UsageError(f"There is no column {name!r} in this frame.")
        return cast("Mapping[str, object]", of)[name]

    def _each(self, of: Iterable[object]) -> list[float]:
        curve, numbers = self._calibrated(), map(number_of, of)
        return [
            curve.at(one).value if math.isfinite(one) else math.nan for one in numbers
        ]

    def _calibrated(self) -> Curve:
        if self.curve is None:
            raise UsageError(
                f"{self._sentence()} nf.review(run, sample=200) gets more."
            )
        return self.curve

    def _sentence(self) -> str:
        decided = several(self.decided, "decision")
        if self.curve is None:
            return (
                f"{self.name} is not calibrated on your data: {decided} on answers with a "
                f"confidence, and {LEAST} are needed."
            )
        # Nobody knows what nine tenths are worth where none was said.
        said = min(max(0.9, self.bars[0].sure), self.bars[-1].sure)
        return (
            f"{self.name}: where it says {said:.0%}, it is right in {self.at(said)} of "
            f"cases, by {decided}."
        )

    def notes(self) -> list[str]:
        """What one has to know about the figures, in sentences."""
        if self.fit is None:
            return ["What it says itself is no share of right answers yet."]
        fit = self.fit
        off = f"Off by {percent(fit.off)} as it says itself, by "
        off += f"{percent(fit.off_calibrated)} calibrated"
        scores = f"Brier score {fit.said:.3f} and {fit.calibrated:.3f}"
        return [f"{off}, on decisions that the calibration did not see ({scores})."]

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
            calibration_picture.reliability(self.bars, self.curve),
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

    From people's decisions: how often are answers right of which it says 0.9? Decisions
    on the least sure answers serve as well as those on a sample, since it asks within
    each confidence.

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
    sure = _sure(answers, confidence)
    true = truths_of(answers, truth).labels
    judged = [
        (sure[number], label == answers.labels[number])
        for number, label in enumerate(true)
        if label is not None and number in sure
    ]
    return _calibration(answers, sure, judged, method)


def _sure(answers: Answers, confidence: object) -> dict[int, float]:
    """The confidence of each answer that has one, by the number of its record."""
    said = confidences(answers, confidence)
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


def _calibration(
    answers: Answers,
    sure: dict[int, float],
    judged: list[tuple[float, bool]],
    method: str | None,
) -> Calibration:
    import numpy as np

    if not judged:
        raise UsageError(
            f"Nobody has decided anything on an answer of {answers.name} that has a "
            "confidence: nf.review(run, sample=200) draws records to look at."
        )
    said = np.array([one for one, _ in judged])
    right = np.array([one for _, one in judged])
    is_isotonic = method == "isotonic" or (method is None and len(said) >= STEPS_FROM)
    is_enough = len(said) >= LEAST
    return Calibration(
        name=answers.name,
        decided=len(said),
        right=float(right.mean()),
        method=_METHODS[is_isotonic],
        bars=tuple(bars(said, right)),
        fit=cross_fitted(said, right, is_isotonic=is_isotonic) if is_enough else None,
        curve=fitted(said, right, is_isotonic=is_isotonic) if is_enough else None,
        confidences={answers.keys[number]: one for number, one in sure.items()},
    )
