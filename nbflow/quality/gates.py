"""Gates: whether the labels of a job's runs are as they have to be, each with a sentence.

A gate compares a figure of a run with a number, or with an earlier run of its event
(`nbflow.quality.nights`). What cannot be judged is not met, and says why.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.gate import LAST
from nbflow._core.plural import several
from nbflow._core.table import short
from nbflow._run.differences import pairing
from nbflow._run.models import listed, models_of
from nbflow.errors import NbflowError, UsageError
from nbflow.quality import drift, notes
from nbflow.quality.estimate import estimate
from nbflow.quality.evaluation import evaluate
from nbflow.quality.intervals import Interval, percent
from nbflow.quality.label_column import LABEL
from nbflow.quality.nights import Nights, note_missed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence

    from nbflow._call.job_link import Told
    from nbflow._core.gate import Gate
    from nbflow._run.run import Run
    from nbflow.quality.nights import Night

#: Records of which the truth is known, for an accuracy to say anything.
ENOUGH = 30
#: Earlier runs that it takes to know how much nights vary.
_FEW = 3
#: Labels that are named, and the length of a name.
_NAMED, _LONGEST = 10, 40
#: The label for what fits no other, if no categorizer says which it is.
_UNKNOWN = "unknown"
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_ACCEPT = (
    "If that is right, run once without --gate: later runs are compared with that one."
)


class Verdict(NamedTuple):
    """What became of one gate, for one run.

    Attributes:
        gate: as it is written.
        met: whether it holds; one that cannot be judged does not.
        judged: whether there was a figure to judge by.
        said: in a sentence; if it is not met, with what to do.
        run: which one.
        since: the earlier run that it was compared with.
        value: the figure.
        low: of its 95 % interval, if it has one.
        high: the same.
    """

    gate: str
    met: bool
    judged: bool
    said: str
    run: str = ""
    since: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None


def judge(
    gates: Sequence[Gate], runs: Sequence[Run], opened: Callable[[Told], Run]
) -> list[Verdict]:
    """Whether gates hold, one after the other, for each run that they are about.

    Args:
        gates: which ones.
        runs: those that a job made.
        opened: opens another run.
    """
    nights = Nights(runs, opened)
    return [verdict for gate in gates for verdict in _verdicts(gate, nights)]


def remember(verdicts: Sequence[Verdict], runs: Iterable[Run]) -> None:
    """Keep which runs missed a gate: no later run is compared with them.

    Raises:
        StoreError: it cannot be kept.
    """
    for run in runs:
        about = [one for one in verdicts if one.run == run.id and one.judged]
        if about:
            note_missed(run, " ".join(one.said for one in about if not one.met))


def put_off(runs: Iterable[Run]) -> None:
    """Keep that no gate was judged for these runs: no later run is compared with them.

    Else a job that fails after its runs, and is tried again, is compared with itself.

    Raises:
        StoreError: it cannot be kept.
    """
    for run in runs:
        note_missed(run, "No gate was judged: the notebook did not come to its end.")


def accuracy(run: Run, column: str, truth: str | None) -> tuple[Interval, int]:
    """How often labels are right, and from how many records that is known: the figure that a gate asks for.

    What people decided speaks for the whole run if it is a sample.

    Raises:
        UsageError: it cannot be had.
    """
    if truth is None:
        of_all = estimate(run, column=column)
        return of_all.accuracy, of_all.decided
    found = evaluate(run, truth, column=column)
    return found.accuracy, found.records


# Which runs a gate is about.


def _verdicts(gate: Gate, nights: Nights) -> list[Verdict]:
    try:
        return [_judged(gate, run, rule) for run, rule in _about(gate, nights)]
    except NbflowError as error:
        return [_unjudged(gate, "", str(error))]


def _judged(gate: Gate, run: Run, rule: Callable[[], Verdict]) -> Verdict:
    try:
        return rule()
    except NbflowError as error:
        return _unjudged(gate, run.id, str(error))
    except Exception as error:  # the job has still to write its files
        return _unjudged(gate, run.id, f"{type(error).__name__}: {error}")


def _unjudged(gate: Gate, run: str, why: str) -> Verdict:
    about = f" for run {run}" if run else ""
    said = f"{gate.text}: cannot be judged{about}, so it is not met: {why}"
    return Verdict(gate.text, met=False, judged=False, said=said, run=run)


def _about(gate: Gate, nights: Nights) -> list[tuple[Run, Callable[[], Verdict]]]:
    """The runs that a gate is about, each with what judges it.

    Raises:
        UsageError: there is none.
    """
    if gate.figure == "model":
        runs = _answered(nights.runs)
        return [(run, partial(_model, gate, run, nights)) for run in runs]
    return [
        (night.run, partial(_of_labels, gate, night, nights))
        for night in _labelled(gate, nights)
    ]


def _labelled(gate: Gate, nights: Nights) -> list[Night]:
    """The runs of the job that have the labels.

    Without a column these are the runs with a ``label``, or if there are none those
    with one column; what gave no label at all has none, such as a flow that loads.
    """
    found: list[Night] = []
    errors: list[str] = []
    for run in nights.runs:
        try:
            found.append(nights.of(run, gate.column))
        except UsageError as error:
            errors.append(str(error))
    if gate.column is None:
        found = [night for night in found if any(night.counts)] or found
        found = [night for night in found if night.answers.field == LABEL] or found
    if found:
        return found
    if not errors:
        raise UsageError("the notebook made no run.")
    raise UsageError(
        f'{errors[0]} In a gate the column comes first: "triage.label: {gate.text}".'
    )


def _answered(runs: Sequence[Run]) -> list[Run]:
    """The runs that say which model answered."""
    found = [run for run in runs if models_of(run.reader.state())]
    if found:
        return found
    raise UsageError(
        "no call said which model answered. A plain step says it with "
        "nf.usage(..., answered_by=reply.model)."
    )


# What they are judged by.


def _of_labels(gate: Gate, night: Night, nights: Nights) -> Verdict:
    if not night.total:
        raise UsageError("none of its records has an answer.")
    return _RULES[gate.figure](gate, night, nights)


def _accuracy(gate: Gate, night: Night, _nights: Nights) -> Verdict:
    review = f"nf.review({_opening(night.run)}, sample=200)"
    if not gate.of and not night.answers.decided:
        raise UsageError(
            f"nobody has decided any of its records. Let a person decide a sample, "
            f"{review}, or name the column that has the truth, accuracy(COLUMN)."
        )
    found, records = accuracy(night.run, night.answers.name, gate.of or None)
    if records < ENOUGH:
        raise UsageError(
            f"the truth is known of {notes.records(records)}, and {ENOUGH} are needed. "
            f"Let a person decide more, {review}."
        )
    source = f"against column {gate.of!r}" if gate.of else "estimated from a sample"
    verdict = _bounded(
        gate,
        night.run,
        found.value,
        f"accuracy is {found}, {source} of {notes.records(records)}",
        f"Read nf.evaluate({_opening(night.run)}).disagreements, and mend the labels' "
        "descriptions or the instructions.",
    )
    if math.isnan(found.low):
        return verdict
    return verdict._replace(low=found.low, high=found.high)


def _flips(gate: Gate, night: Night, nights: Nights) -> Verdict:
    before = nights.before(night, gate.base)
    both = _common(before, night)
    one, two = before.answers.labels, night.answers.labels
    flipped = sum(one[old] != two[new] for old, new in both)
    value = flipped / len(both)
    verdict = _bounded(
        gate,
        night.run,
        value,
        f"{flipped:,} of {notes.records(len(both))} ({percent(value)}) are labelled "
        f"otherwise than in run {before.run.id}",
        f"Read nf.compare({_opening(before.run)}, {_opening(night.run)})"
        f".disagreements. {_ACCEPT}",
    )
    return verdict._replace(since=before.run.id)


def _share(gate: Gate, night: Night, nights: Nights) -> Verdict:
    _check_label(gate.of, night, nights)
    if gate.sign == "within":
        return _within(gate, night, nights)
    return _counted(gate, night, [gate.of])


def _unknown(gate: Gate, night: Night, nights: Nights) -> Verdict:
    coded = night.run.reader.state().coded.values()
    labels = sorted({each.unknown for each in coded if each.unknown})
    if not labels:
        _check_label(_UNKNOWN, night, nights)
    return _counted(gate, night, [*(labels or [_UNKNOWN]), ""])


def _within(gate: Gate, night: Night, nights: Nights) -> Verdict:
    before = nights.before(night, gate.base)
    earlier = nights.counts_before(night, gate.base)
    found = drift.shifts(earlier, night.counts)
    shift = next((each for each in found if each.label == gate.of), None)
    if shift is None:
        raise UsageError(f"run {before.run.id} has no label {gate.of!r}.")
    is_far = not gate.holds(abs(shift.move))
    told = f"a move of {100 * gate.limit:g} points is allowed"
    if is_far and not shift.is_rare:
        told += ", and chance makes larger ones"
    verdict = _verdict(
        gate,
        night.run,
        f"{_moved(shift)} since run {before.run.id}; {drift.chance(shift.p)}; {told}",
        f"{_reading(night, _name(gate.of))}{_vary(earlier)} {_ACCEPT}",
        met=not (is_far and shift.is_rare),
    )
    return verdict._replace(since=before.run.id, value=shift.move)


def _shares(gate: Gate, night: Night, nights: Nights) -> Verdict:
    before = nights.before(night, gate.base)
    earlier = nights.counts_before(night, gate.base)
    found = drift.most_shifted(drift.shifts(earlier, night.counts))
    rare = [shift for shift in found if shift.is_rare]
    moved = ", and ".join(map(_moved, rare or found[:1]))
    of = several(len(found), "label")
    verdict = _verdict(
        gate,
        night.run,
        f"{moved} since run {before.run.id}; {drift.chance(found[0].p)} to one of {of}",
        f"{_reading(night, _name(found[0].label))}{_vary(earlier)} {_ACCEPT}",
        met=not rare,
    )
    return verdict._replace(since=before.run.id, value=found[0].p)


def _model(gate: Gate, run: Run, nights: Nights) -> Verdict:
    is_last = gate.base == LAST
    earlier = nights.earlier(run) if is_last else [nights.named(run, gate.base)]
    known = ((other, models_of(other.reader.state())) for other in earlier)
    other, before = next(((one, models) for one, models in known if models), (None, ()))
    if other is None:
        raise UsageError("no earlier run of its event says which model answered.")
    now = models_of(run.reader.state())
    verdict = _verdict(
        gate,
        run,
        f"{listed(now)} answered, {listed(before)} in run {other.id}",
        f"Read nf.compare({_opening(other)}, {_opening(run)}).disagreements. {_ACCEPT}",
        met=set(now) <= set(before),
    )
    return verdict._replace(since=other.id)


_RULES: dict[str, Callable[[Gate, Night, Nights], Verdict]] = {
    "accuracy": _accuracy,
    "flips": _flips,
    "share": _share,
    "unknown": _unknown,
    "shares": _shares,
}


def _common(before: Night, now: Night) -> list[tuple[int, int]]:
    """The records that both have a label for, by number: one key, and one content as far as that is known.

    Raises:
        UsageError: there is none, or nobody can tell.
    """
    one, two = before.answers, now.answers
    if None in (one.rows, two.rows) and not (one.named and two.named):
        raise UsageError(
            "the records were not kept and have no keys. Send them with key=."
        )
    known = pairing(one.keys, two.keys).both.values()
    if not known:
        raise UsageError(f"run {before.run.id} had none of its records.")
    found = [
        (old, new)
        for old, new in known
        if one.labels[old] is not None and two.labels[new] is not None
        if not (one.rows and two.rows) or one.rows[old].digest == two.rows[new].digest
    ]
    if not found:
        raise UsageError(
            f"of the {notes.records(len(known))} that run {before.run.id} had as well, "
            "none says the same as then and has a label in both. Leave out of the "
            "records what changes every day."
        )
    return found


def _check_label(label: str, night: Night, nights: Nights) -> None:
    """Refuse a label that was not given in many nights: it is a typo.

    Raises:
        UsageError: it was not.
    """
    if label in night.counts:
        return
    seen = set(night.counts).union(*nights.counts_before(night, LAST)) - {""}
    if label not in seen:
        named = ", ".join(_name(each) for each in sorted(seen)[:_NAMED]) or "none"
        more = f" and {len(seen) - _NAMED} more" if len(seen) > _NAMED else ""
        raise UsageError(f"no record has the label {label!r}; there are {named}{more}.")


# What is said.


def _counted(gate: Gate, night: Night, labels: Sequence[str]) -> Verdict:
    """The share of some labels, against a limit."""
    number = night.number(*labels)
    value = number / night.total
    name = " or ".join(map(_name, labels))
    return _bounded(
        gate,
        night.run,
        value,
        f"{number:,} of {notes.records(night.total)} ({percent(value)}) are {name}",
        _reading(night, name),
    )


def _bounded(gate: Gate, run: Run, value: float, said: str, todo: str) -> Verdict:
    """A figure, against a limit."""
    asked = f"{_BOUNDS[gate.sign]} {percent(gate.limit)} is asked for"
    verdict = _verdict(gate, run, f"{said}; {asked}", todo, met=gate.holds(value))
    return verdict._replace(value=value)


def _verdict(gate: Gate, run: Run, said: str, todo: str, *, met: bool) -> Verdict:
    told = f"{gate.text}: {said}."
    return Verdict(gate.text, met, True, told if met else f"{told} {todo}", run.id)


def _moved(shift: drift.Shift) -> str:
    """``billing went from 19.6% to 31.2% of 400 records``."""
    (some, total), (now, total_now) = shift.before, shift.now
    of = notes.records(total_now)
    if total != total_now:
        of = f"{total:,} and {of}"
    before, after = percent(some / total), percent(now / total_now)
    return f"{_name(shift.label)} went from {before} to {after} of {of}"


def _name(label: str) -> str:
    return short(label, _LONGEST) or "without a label"


def _vary(earlier: Sequence[Counter[str]]) -> str:
    """What chance does not cover as long as there are few nights."""
    if len(earlier) >= _FEW:
        return ""
    runs = several(len(earlier), "earlier run")
    return f" From {runs} nobody knows how much nights vary, so bursts count as shifts."


def _reading(night: Night, label: str) -> str:
    return f"Read the records that are {label} in {_opening(night.run)}.results()."


def _opening(run: Run) -> str:
    return f'nf.open_run("{run.id}")'
