"""Looking: what people have looked at of a run, so that an estimate can be made of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.decision import SAMPLE
from nbflow._run import decisions
from nbflow.errors import UsageError
from nbflow.quality.advice import review_call
from nbflow.quality.estimation import Seen
from nbflow.quality.sampling import (
    decided_of,
    sample_of,
    samples_of,
    strata_of,
    units_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Mapping, Sequence

    from nbflow._call.engine import Engine
    from nbflow._core.decision import Decision, Subject
    from nbflow._core.sample import Sample
    from nbflow.quality.answers import Answers
    from nbflow.quality.estimation import Stratum


class Looked(NamedTuple):
    """The units of a run, and what became of the sample.

    Attributes:
        units: each with what is known of it, in the order of the records.
        numbers: of the records of each unit.
        said: the label that people decided, of each unit, counted or not.
        sample: how they were drawn; ``None`` if every record was decided.
        skipped: units of the sample that were passed over.
        before: units that were decided before the sample was drawn.
        settled: units that were decided for another reason since, in a stratum of which
            nothing is left.
        beside: units that were decided for another reason since, in other strata.
        lapsed: decisions about records of this run that show something else by now.
        differing: units of which people said different things.
        newer: samples that were asked for since, with the decisions of each: too few.
    """

    units: list[Seen]
    numbers: list[list[int]]
    said: list[str | None]
    sample: Sample | None
    skipped: int
    before: int
    settled: int
    beside: int
    lapsed: int
    differing: int
    newer: list[tuple[Sample, int]]

    @property
    def looked_at(self) -> int:
        """Units of the sample with a decision."""
        return sum(one.label is not None and not one.is_known for one in self.units)

    @property
    def known(self) -> int:
        """Units that are known, not estimated: see ``before`` and ``settled``."""
        return sum(one.label is not None and one.is_known for one in self.units)


def looked(
    engine: Engine,
    answers: Answers,
    sure: Sequence[float] | None,
    on: tuple[str, ...] | None = None,
) -> Looked:
    """What people have looked at.

    Args:
        engine: that keeps it.
        answers: of the run.
        sure: the confidence of each record.
        on: the columns of the sample; of the one that figures come from when left out.

    Raises:
        UsageError: nothing was decided, or what was is no sample of this run.
    """
    made = [
        one
        for one in engine.decisions.all()
        if (one.flow, one.field) == (answers.flow, answers.field)
    ]
    if _is_all_decided(answers):
        return _counted(answers, made)
    sample = sample_of(engine, answers, on)
    on = () if sample is None else sample.on
    units = units_of(answers, on)
    decided = {
        content: str(answers.decided[unit.numbers[0]].label)
        for content, unit in units.items()
        if unit.numbers[0] in answers.decided
    }
    if sample is None:
        raise UsageError(_no_sample(answers, made, len(decided)))
    before = set(sample.known_units) & decided.keys()
    reached = _reached(sample, made)
    sampled = {content for content in reached if content in decided} - before
    strata = strata_of(answers, units.values(), sure)
    beside = decided.keys() - before - sampled
    # A decision on one of several copies, by other columns, is none on the others.
    whole = {
        content
        for content, unit in units.items()
        if all(number in answers.decided for number in unit.numbers)
    }
    settled = _settled(strata, whole, beside)
    known = before | settled
    counted = sampled | known
    seen = [
        Seen(
            records=len(unit.numbers),
            stratum=strata[content],
            label=decided[content] if content in counted else None,
            given=Counter(answers.labels[number] for number in unit.numbers),
            is_known=content in known,
            chance=len(unit.numbers) if sample.is_by_size else 1,
        )
        for content, unit in units.items()
    ]
    return Looked(
        units=seen,
        numbers=[unit.numbers for unit in units.values()],
        said=[decided[one] if one in whole else None for one in units],
        sample=sample,
        skipped=sum(content not in decided for content in reached),
        before=len(before),
        settled=len(settled & beside),
        beside=len(beside - settled),
        lapsed=_lapsed(answers, made),
        differing=_differing(made, counted),
        newer=_newer(engine, answers, sample, made),
    )


def _is_all_decided(answers: Answers) -> bool:
    """Whether no record is left, however people came to decide them."""
    numbers = [n for unit in units_of(answers, ()).values() for n in unit.numbers]
    return all(number in answers.decided for number in numbers)


def _counted(answers: Answers, made: Sequence[Decision]) -> Looked:
    """A run of which every record is decided: nothing is left to estimate."""
    about: defaultdict[Subject, list[int]] = defaultdict(list)
    for unit in units_of(answers, ()).values():
        for number in unit.numbers:
            about[answers.decided[number].subject].append(number)
    numbers = list(about.values())
    labels = [str(answers.decided[mine[0]].label) for mine in numbers]
    seen = [
        Seen(
            records=len(mine),
            stratum=(label, 0),
            label=label,
            given=Counter(answers.labels[number] for number in mine),
            is_known=True,
        )
        for mine, label in zip(numbers, labels, strict=True)
    ]
    contents = {content for *_, content in about}
    return Looked(
        units=seen,
        numbers=numbers,
        said=list(labels),
        sample=None,
        skipped=0,
        before=len(seen),
        settled=0,
        beside=0,
        lapsed=0,
        differing=_differing(made, contents),
        newer=[],
    )


def _settled(
    strata: Mapping[bytes, Stratum],
    decided: Container[bytes],
    beside: Collection[bytes],
) -> set[bytes]:
    """The units of each stratum that decisions for another reason made complete.

    Nothing is left to estimate there. In other strata such decisions say nothing of the
    units that nobody saw, and to take them as known would leave the sample too many of
    their kind.
    """
    left = {stratum for content, stratum in strata.items() if content not in decided}
    full = {strata[content] for content in beside} - left
    return {content for content, stratum in strata.items() if stratum in full}


def _newer(
    engine: Engine, answers: Answers, sample: Sample, made: Sequence[Decision]
) -> list[tuple[Sample, int]]:
    """The samples that were asked for after the one that figures come from."""
    return [
        (one, decided_of(one, made))
        for one in samples_of(engine, answers)
        if one.at > sample.at
    ]


def _reached(sample: Sample, made: Sequence[Decision]) -> list[bytes]:
    """The units of the sample up to the last one that was decided as one of it.

    Those that were decided for another reason do not count as a step on the way: whether
    they were has to do with what they say.
    """
    why = f"{SAMPLE}{sample.id}"
    stepped = {one.content for one in made if one.why == why}
    order = sample.units
    last = max((at for at, one in enumerate(order) if one in stepped), default=-1)
    return order[: last + 1]


def _differing(made: Sequence[Decision], counted: set[bytes]) -> int:
    """Units about which two people said different things, and neither took it back."""
    latest: defaultdict[bytes, dict[str, str | None]] = defaultdict(dict)
    for one in sorted(made, key=lambda one: one.at):
        if one.content in counted:
            latest[one.content][one.by] = one.label
    return sum(len(set(said.values()) - {None}) > 1 for said in latest.values())


def _lapsed(answers: Answers, made: Sequence[Decision]) -> int:
    """Decisions on records of this run, by their keys, that show something else now.

    Places are no keys: the first row of another batch is another record.
    """
    if not answers.named:
        return 0
    numbers = {key: number for number, key in enumerate(answers.keys)}
    rows = answers.rows or []
    return sum(
        one.content != decisions.content(rows[numbers[one.key]], one.on)
        for one in {one.subject: one for one in made if one.label}.values()
        if one.key in numbers and numbers[one.key] not in answers.decided
    )


def _no_sample(answers: Answers, made: Sequence[Decision], decided: int) -> str:
    """Why there is nothing to estimate from."""
    run = "" if answers.run is None else answers.run.id
    how = f"{review_call(answers)} draws records to look at"
    if decided:
        return (
            f"The {decided:,} decisions on {answers.name} in run {run} are no sample: "
            f"records that were looked at for another reason say nothing of the others. "
            f"{how}; what is decided already stays, as a stratum of its own."
        )
    if made:
        return (
            f"The {len(made):,} decisions on {answers.name} are about other records than "
            f"those of run {run}; {how}."
        )
    return f"Nobody has decided anything on {answers.name} in run {run} yet: {how}."
