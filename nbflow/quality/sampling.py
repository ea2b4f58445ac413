"""Sampling: drawing records of a run at random within strata, and finding them again.

A unit is a text with all its copies, a stratum a given label in a third of its
confidences. Within a stratum the next unit is that of a record drawn at random: one with
ten copies is ten times as likely to come next as one without (order sampling with
exponential times; Rosen 1997, *On sampling with probability proportional to size*, Journal
of Statistical Planning and Inference 62). The strata are dealt so that at any time as many
units of each have come as are expected by then (stratified sampling with proportional
allocation; Cochran, *Sampling Techniques*, 3rd edition, 1977, chapter 5). So one may stop
anywhere and go on later: every beginning of the order is such a sample.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.decision import SAMPLE, standing
from nbflow._core.sample import Sample
from nbflow._key.reader import digest
from nbflow._run import decisions
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow._call.engine import Engine
    from nbflow._core.decision import Decision
    from nbflow.quality.answers import Answers
    from nbflow.quality.intervals import Floats, Interval

#: Decisions on a sample that an estimate needs, and those on a label for its precision
#: and recall.
LEAST = 10
#: Bands of confidence within a label.
_BANDS = 3
#: Units that are drawn at most; nobody looks at more.
_MOST = 20_000


class Unit(NamedTuple):
    """What one decision is about: records that look the same.

    Attributes:
        content: digest of what they show.
        numbers: of the records.
    """

    content: bytes
    numbers: list[int]


def units_of(answers: Answers, on: Sequence[str]) -> dict[bytes, Unit]:
    """The units of a run, in the order of their first records, without what was erased."""
    found: dict[bytes, Unit] = {}
    for number, row in enumerate(answers.rows or []):
        if row.record is None and row.error is not None:
            continue
        content = decisions.content(row, on)
        found.setdefault(content, Unit(content, [])).numbers.append(number)
    return found


def strata_of(
    answers: Answers, units: Iterable[Unit], sure: Sequence[float] | None
) -> dict[bytes, tuple[str | None, int]]:
    """The stratum of each unit: the label that was given, and the band of confidence."""
    return strata_by(units, answers.labels, sure)


def strata_by(
    units: Iterable[Unit],
    labels: Sequence[str | None],
    sure: Sequence[float] | None,
) -> dict[bytes, tuple[str | None, int]]:
    """The same by the labels, and the confidences, of the records."""
    by_label: defaultdict[str | None, list[Unit]] = defaultdict(list)
    for unit in units:
        by_label[labels[unit.numbers[0]]].append(unit)
    found = {}
    for label, alike in by_label.items():
        numbers = [0.0 if sure is None else sure[unit.numbers[0]] for unit in alike]
        for unit, band in zip(alike, _bands(numbers), strict=True):
            found[unit.content] = (label, band)
    return found


def _bands(numbers: Sequence[float]) -> list[int]:
    """Which third of the numbers each is in; equal ones are in one."""
    ranked = sorted(numbers)
    thirds = [ranked[len(ranked) * third // _BANDS] for third in range(1, _BANDS)]
    return [sum(number >= third for third in set(thirds)) for number in numbers]


def draw(
    answers: Answers,
    on: tuple[str, ...],
    sure: Sequence[float] | None,
    *,
    seed: int,
    by: str,
    at: float,
) -> Sample:
    """A sample of the records that nobody has decided."""
    units = units_of(answers, on)
    known = [one.content for one in units.values() if one.numbers[0] in answers.decided]
    open_units = [unit for content, unit in units.items() if content not in set(known)]
    strata = strata_of(answers, open_units, sure)
    population = decisions.population_of(units)
    # Another batch has luck of its own.
    luck = int.from_bytes(population[:4])
    records = {unit.content: len(unit.numbers) for unit in open_units}
    order = shuffled(strata, records, [seed, luck])[:_MOST]
    sizes: defaultdict[tuple[str | None, int], int] = defaultdict(int)
    for stratum in strata.values():
        sizes[stratum] += 1
    return Sample(
        id=digest([population, order, known], "sample").hex()[:12],
        flow=answers.flow,
        field=answers.field,
        on=on,
        run="" if answers.run is None else answers.run.id,
        population=population,
        order=b"".join(order),
        known=b"".join(known),
        strata=tuple((label, band, size) for (label, band), size in sizes.items()),
        seed=seed,
        by=by,
        at=at,
        is_by_size=True,
    )


def shuffled(
    strata: Mapping[bytes, tuple[str | None, int]],
    sizes: Mapping[bytes, int],
    seed: int | Sequence[int],
) -> list[bytes]:
    """The units in order of drawing.

    Args:
        strata: of each unit.
        sizes: the records of each unit.
        seed: of the draw.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    members: defaultdict[tuple[str | None, int], list[bytes]] = defaultdict(list)
    for content, stratum in strata.items():
        members[stratum].append(content)
    places: list[tuple[float, bytes]] = []
    for alike in members.values():
        counts = np.array([sizes[content] for content in alike], dtype=float)
        drawn = np.argsort(chance.exponential(size=len(alike)) / counts)
        times = _times(counts, np.arange(len(alike)) + chance.random(len(alike)))
        order = [alike[place] for place in drawn]
        places += zip(times.tolist(), order, strict=True)
    return [content for _, content in sorted(places)]


def _times(counts: Floats, numbers: Floats) -> Floats:
    """When each number of the units of a stratum is expected to have come."""
    import numpy as np

    kinds, frequent = np.unique(counts, return_counts=True)
    grid = np.geomspace(1e-12, 50, 4000)
    came = -np.expm1(-np.outer(grid, kinds)) @ frequent
    times: Floats = np.interp(numbers, came, grid)
    # Behind the end of the grid in their order.
    return times + np.where(numbers > came[-1], numbers - came[-1], 0)


def samples_of(engine: Engine, answers: Answers) -> list[Sample]:
    """The samples that were drawn of these records, of this run or of one with the same.

    The one that was asked for last is the last, and ``at`` is when that was. Of several
    of the same columns it is the one that was drawn first: that is gone on with.

    Args:
        engine: that keeps them.
        answers: of the run.
    """
    drawn = [
        one
        for one in engine.samples.all()
        if (one.flow, one.field) == (answers.flow, answers.field)
    ]
    populations = {
        on: decisions.population_of(units_of(answers, on))
        for on in {one.on for one in drawn}
    }
    first: dict[tuple[str, ...], Sample] = {}
    asked: dict[str, float] = {}
    for one in sorted(drawn, key=lambda one: one.at):
        if populations[one.on] == one.population:
            first.setdefault(one.on, one)
            asked[one.id] = one.at
    found = [one._replace(at=asked[one.id]) for one in first.values()]
    return sorted(found, key=lambda one: one.at)


def sample_of(
    engine: Engine, answers: Answers, on: tuple[str, ...] | None = None
) -> Sample | None:
    """The sample of these records that figures come from, see `samples_of`.

    Of several it is the one that was asked for last, of those with enough decisions;
    else of those with any, else of all: one that was drawn and not decided says nothing.

    Args:
        engine: that keeps it.
        answers: of the run.
        on: the columns that it shows; any when left out.
    """
    drawn = samples_of(engine, answers)
    if on is not None:
        return next((one for one in drawn if one.on == on), None)
    made = engine.decisions.all() if drawn else []

    def rank(sample: Sample) -> tuple[int, float]:
        number = decided_of(sample, made)
        return (number >= LEAST) + (number > 0), sample.at

    return max(drawn, key=rank, default=None)


def decided_of(sample: Sample, made: Iterable[Decision]) -> int:
    """Units of a sample that were decided as such, and still are."""
    mine = [
        one
        for one in made
        if (one.flow, one.field, one.on) == (sample.flow, sample.field, sample.on)
    ]
    stand = {one.content for one in standing(mine)}
    why = f"{SAMPLE}{sample.id}"
    return len({one.content for one in mine if one.why == why} & stand)


def checked_size(size: object, most: int) -> int:
    """How many records were asked for.

    Raises:
        UsageError: it is no such number, or larger than the run.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(
            f'sample={size!r} has to be a number of records, or "auto" to be told how '
            "many are needed."
        )
    if size > most:
        raise UsageError(
            f"sample={size:,} is more than there is to draw from: {most:,} records that "
            "look different and were not decided before. Ask for fewer, or leave sample= "
            "out to look at all."
        )
    return size


def needed(found: Interval, decided: int, units: int, width: float) -> int:
    """Decisions for an interval that reaches ``width`` to each side, on average.

    Variances of means fall as 1/n - 1/N does.

    Args:
        found: the interval that there is.
        decided: decisions it comes from.
        units: all there is to look at.
        width: wanted, as a share.
    """
    reach = (found.high - found.low) / 2
    if reach <= width:
        return decided
    ratio = (width / reach) ** 2
    return min(units, math.ceil(1 / (ratio * (1 / decided - 1 / units) + 1 / units)))
