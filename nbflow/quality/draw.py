"""Draw: the records of a sample that a review shows, drawn anew or gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.decision import SAMPLE
from nbflow._core.plural import several
from nbflow.errors import UsageError
from nbflow.quality.advice import review_call, text_argument
from nbflow.quality.confidence import confidences
from nbflow.quality.estimate import FIRST, check_width, estimate
from nbflow.quality.looking import looked
from nbflow.quality.sampling import (
    LEAST,
    checked_size,
    decided_of,
    draw,
    sample_of,
    samples_of,
    units_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.sample import Sample
    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers
    from nbflow.quality.sampling import Unit

#: Share of the first records that tells how many are needed; some may be passed over.
_MOST_OF = 0.9
#: The least time in seconds between two calls for samples, whatever the clocks say.
_TICK = 1e-6
#: How far intervals may reach to each side if nothing is said.
_WIDTH = 0.03


class Drawn(NamedTuple):
    """What a review of a sample shows.

    Attributes:
        numbers: of the records, in order.
        why: they come before a person, see `Decision.why`.
        about: the sample, in a sentence.
    """

    numbers: list[int]
    why: str
    about: str


def drawn_sample(
    answers: Answers,
    where: object,
    on: tuple[str, ...],
    confidence: object,
    size: int | str,
    width: float | None,
    *,
    seed: int,
    by: str,
) -> Drawn:
    """The records to show of a run's sample, which is drawn if there is none yet.

    Raises:
        UsageError: so many cannot be drawn, or something else says which to show.
    """
    run = answers.run
    assert run is not None  # review takes runs alone
    if where is not None:
        raise UsageError(
            "where= and sample= both say which records to show: a sample has to be drawn "
            "from all. Give one of them."
        )
    if size != "auto" and width is not None:
        raise UsageError(f'width= goes with sample="auto", not with sample={size!r}.')
    sure = confidences(answers, confidence)
    sample = _kept(run, answers, on, sure, seed=seed, by=by)
    units = units_of(answers, on)
    order = [one for one in sample.units if one in units]
    if not order:
        raise UsageError(
            f"Every record of run {run.id} was decided before: there is nothing to draw "
            "from. nf.estimate(run) counts them."
        )
    if size == "auto":
        number, about = _wanted(run, answers, sample, len(order), width, confidence)
    else:
        number = checked_size(size, len(order))
        about = ""
    shown = [units[one].numbers[0] for one in order[:number]]
    then = _others(run, answers, sample) or _then(about)
    said = " ".join(filter(None, (_where_from(units, order), about, then)))
    return Drawn(shown, f"{SAMPLE}{sample.id}", said)


def _where_from(units: dict[bytes, Unit], order: list[bytes]) -> str:
    """What the sample is of, and what was left out of it."""
    total = sum(len(unit.numbers) for unit in units.values())
    said = f"A sample, drawn at random from {several(total, 'record')}"
    if total > len(units):
        said += f", {len(units):,} that look different"
    known = len(units) - len(order)
    if known:
        said += f"; {known:,} were decided before"
    return f"{said}."


def _then(about: str) -> str:
    """What to do with it, unless that was said."""
    return "" if about else "nf.estimate(run) says what it means for all."


def shown_by_sample(answers: Answers) -> tuple[str, ...]:
    """The columns of the sample that was drawn; none if none was, or if it shows all."""
    assert answers.run is not None  # review takes runs alone
    sample = sample_of(answers.run.engine, answers)
    return () if sample is None else sample.on


def _others(run: Run, answers: Answers, sample: Sample) -> str:
    """That there is another sample, of other columns, and which one figures come from."""
    others = [one for one in samples_of(run.engine, answers) if one.id != sample.id]
    if not others:
        return ""
    made = run.engine.decisions.all()
    last = max(others, key=lambda one: (decided_of(one, made), one.at))
    said = (
        f"This is another sample than that of {text_argument(last.on)}, of which "
        f"{several(decided_of(last, made), 'text')} are decided: "
        f"{review_call(answers, on=last.on)} goes on with that one."
    )
    used = sample_of(run.engine, answers)
    if used is None or used.id == sample.id:
        return said
    return f"{said} nf.estimate(run) goes by that one until {LEAST} of this one are decided."


def _kept(
    run: Run,
    answers: Answers,
    on: tuple[str, ...],
    sure: Sequence[float] | None,
    *,
    seed: int,
    by: str,
) -> Sample:
    """The sample that there is, or a new one; that it was asked for now is kept."""
    drawn = samples_of(run.engine, answers)
    found = next((one for one in drawn if one.on == on), None)
    if found is not None and found is drawn[-1]:
        return found
    at = run.engine.clock.time()
    if drawn:
        at = max(at, drawn[-1].at + _TICK)
    if found is None:
        found = draw(answers, on, sure, seed=seed, by=by, at=at)
    sample = found._replace(at=at)
    run.engine.samples.add(sample)
    return sample


def _wanted(
    run: Run,
    answers: Answers,
    sample: Sample,
    drawn: int,
    width: float | None,
    confidence: object,
) -> tuple[int, str]:
    """How many records to show for intervals of this width, and why so many."""
    width = _WIDTH if width is None else width
    check_width(width)
    first = min(FIRST, drawn)
    sure = confidences(answers, confidence)
    what = looked(run.engine, answers, sure, sample.on)
    if what.looked_at < _MOST_OF * first:
        return first, f"These {first} will say how many are needed."
    found = estimate(run, column=answers.name, confidence=confidence)
    known = what.before + what.settled
    wanted = min(found.needed(width) - known + what.skipped, drawn)
    return wanted, (
        f"{wanted:,} are needed for intervals of \u00b1{100 * width:g} points, by "
        f"{found.decided:,} decisions."
    )
