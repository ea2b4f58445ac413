"""Gates: whether the labels of a job's runs are as they have to be, each with a sentence.

A gate compares a figure of a run with a number, or with an earlier run of its event
(`nbflow.quality.nights`). What cannot be judged is not met, and says why.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.gate import ACCEPTED, LAST
from nbflow._core.plural import several
from nbflow._core.table import short
from nbflow._run.differences import pairing
from nbflow._run.models import listed, models_of
from nbflow.errors import NbflowError, UsageError
from nbflow.quality import baseline, drift, notes
from nbflow.quality.accuracy import accuracy
from nbflow.quality.intervals import percent
from nbflow.quality.label_column import LABEL
from nbflow.quality.nights import Nights
from nbflow.quality.vocabulary import declared

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence

    from nbflow._call.job_link import Told
    from nbflow._core.gate import Gate
    from nbflow._run.run import Run
    from nbflow.quality.nights import Night

#: Earlier runs that it takes to know how much nights vary.
_FEW = 3
#: Labels that are named, and the length of a name.
_NAMED, _LONGEST = 10, 40
#: The label for what fits no other, if no categorizer says which it is.
_UNKNOWN = "unknown"
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}


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


def remember(
    verdicts: Sequence[Verdict], runs: Iterable[Run], failed: str = ""
) -> None:
    """Keep which runs met their gates: later runs are compared with these alone.

    A run that missed one, or that could not be judged, is no baseline.

    Args:
        verdicts: what became of the gates.
        runs: those of the job.
        failed: why the job failed all the same, if it did.

    Raises:
        StoreError: it cannot be kept.
    """
    for run in runs:
        about = [one for one in verdicts if one.run in (run.id, "")]
        missed = [one.said for one in about if not one.met]
        if about:
            baseline.note(run, " ".join([failed, *missed]).strip())


def put_off(runs: Iterable[Run]) -> None:
    """Keep that no gate was judged for these runs: no later run is compared with them.

    Else a job that fails after its runs, and is tried again, is compared with itself.

    Raises:
        StoreError: it cannot be kept.
    """
    for run in runs:
        why = "No gate was judged: the notebook did not come to its end."
        baseline.note(run, why)


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
    rule = gate.text
    if gate.column is not None:
        rule = rule.removeprefix(gate.column).lstrip().removeprefix(":").lstrip()
    raise UsageError(
        f'{errors[0]} In a gate the column comes first: "triage.label: {rule}".'
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
    found = accuracy(night.run, night.answers, gate.of or None)
    verdict = _bounded(
        gate,
        night.run,
        found.share.value,
        f"accuracy is {found.share}, {found.source}",
        f"Read nf.evaluate({_opening(night.run)}).disagreements, and change the labels' "
        "descriptions or the instructions.",
    )
    if found.share.is_alone:
        return verdict
    return verdict._replace(low=found.share.low, high=found.share.high)


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
        f"otherwise than in {_earlier(before.run, _same(before, night))}",
        f"Read nf.compare({_opening(before.run)}, {_opening(night.run)})"
        f".disagreements. {_accept(night.run)}",
    )
    return verdict._replace(since=before.run.id)


def _share(gate: Gate, night: Night, nights: Nights) -> Verdict:
    _check_label(gate.of, night, nights, _listed(night))
    if gate.sign == "within":
        return _within(gate, night, nights)
    return _counted(gate, night, [gate.of])


def _unknown(gate: Gate, night: Night, _nights: Nights) -> Verdict:
    coded = night.run.reader.state().coded.values()
    labels = sorted({each.unknown for each in coded if each.unknown})
    return _counted(gate, night, [*(labels or [_UNKNOWN]), ""])


def _within(gate: Gate, night: Night, nights: Nights) -> Verdict:
    change = _changed(gate, night, nights)
    shift = next((each for each in change.shifts if each.label == gate.of), None)
    if shift is None:
        raise UsageError(f"run {change.before.run.id} has no label {gate.of!r}.")
    is_far = not gate.holds(abs(shift.move))
    told = f"a move of {100 * gate.limit:g} points is allowed"
    if is_far and not shift.is_rare:
        told += ", and chance makes larger ones"
    verdict = _verdict(
        gate,
        night.run,
        f"{_moved(shift)} {change.since}; {drift.chance(shift.p)}; {told}",
        change.advice(gate.of),
        met=not (is_far and shift.is_rare),
    )
    return verdict._replace(since=change.before.run.id, value=shift.move)


def _shares(gate: Gate, night: Night, nights: Nights) -> Verdict:
    change = _changed(gate, night, nights)
    found = drift.most_shifted(change.shifts)
    rare = [shift for shift in found if shift.is_rare]
    if rare:
        said = ", and ".join(map(_moved, rare))
    elif any(shift.move for shift in found):
        said = f"the least likely move: {_moved(found[0])}"
    else:
        said = f"no share of {notes.records(night.total)} has moved"
    chance = ""
    if any(shift.move for shift in found):
        of = several(len(found), "label")
        chance = f"; {drift.chance(found[0].p)} to one of {of}"
    verdict = _verdict(
        gate,
        night.run,
        f"{said} {change.since}{chance}",
        change.advice(found[0].label),
        met=not rare,
    )
    return verdict._replace(since=change.before.run.id, value=found[0].p)


class _Change(NamedTuple):
    """A night, and the earlier ones that it is compared with.

    Attributes:
        before: the last one of them.
        night: this one.
        series: the counts of the earlier ones.
        shifts: how each label moved.
    """

    before: Night
    night: Night
    series: list[list[Counter[str]]]
    shifts: list[drift.Shift]

    @property
    def since(self) -> str:
        """``since run 20261130-060002-9bb8f (250 of 400 records are the same)``."""
        return f"since {_earlier(self.before.run, _same(self.before, self.night))}"

    def advice(self, label: str) -> str:
        """What to do if the shares moved too far."""
        run = self.night.run
        name = _name(label)
        return f"{_reading(self.night, name)}{_vary(self.series)} {_accept(run)}"


def _changed(gate: Gate, night: Night, nights: Nights) -> _Change:
    before = nights.before(night, gate.base)
    series = nights.counts_before(night, gate.base)
    both = before.clusters(), night.clusters()
    return _Change(before, night, series, drift.shifts(series, night.counts, both))


def _model(gate: Gate, run: Run, nights: Nights) -> Verdict:
    known = (
        (other, models_of(other.reader.state())) for other in _base(gate, run, nights)
    )
    other, before = next(((one, models) for one, models in known if models), (None, ()))
    if other is None:
        raise UsageError(
            "no earlier run of its event that met its gates says which model answered. "
            f"{_accept(run)}"
        )
    now = models_of(run.reader.state())
    verdict = _verdict(
        gate,
        run,
        f"{listed(now)} answered, {listed(before)} in {_earlier(other)}",
        f"Read nf.compare({_opening(other)}, {_opening(run)}).disagreements. {_accept(run)}",
        met=set(now) <= set(before),
    )
    return verdict._replace(since=other.id)


def _base(gate: Gate, run: Run, nights: Nights) -> Iterable[Run]:
    """The runs that a gate compares a run with, the first one first."""
    if gate.base == LAST:
        return nights.earlier(run)
    if gate.base == ACCEPTED:
        return nights.accepted(run)
    return [nights.named(run, gate.base)]


_RULES: dict[str, Callable[[Gate, Night, Nights], Verdict]] = {
    "accuracy": _accuracy,
    "flips": _flips,
    "share": _share,
    "unknown": _unknown,
    "shares": _shares,
}


def _earlier(run: Run, *more: str) -> str:
    """``run 20261130-060002-9bb8f (accepted by ann: new product; 250 of 400 ...)``."""
    accepted = baseline.acceptance(run.engine.ledger, run.id)
    said = []
    if accepted is not None:
        why = f": {short(accepted.why, _LONGEST)}" if accepted.why else ""
        said.append(f"accepted by {short(accepted.by, _LONGEST)}{why}")
    said += filter(None, more)
    beside = f" ({'; '.join(said)})" if said else ""
    return f"run {run.id}{beside}"


def _same(before: Night, now: Night) -> str:
    """How many records are those of the other run, if not all of both are."""
    try:
        same = len(_unchanged(before, now))
    except UsageError:
        return ""
    total, others = len(now.answers.keys), len(before.answers.keys)
    if same == total == others:
        return ""
    verb = "is" if same == 1 else "are"
    return f"{same:,} of {notes.records(total)} {verb} the same"


def _common(before: Night, now: Night) -> list[tuple[int, int]]:
    """The records that both have a label for, by number: one key, and one content as far as that is known.

    Raises:
        UsageError: there is none, or nobody can tell.
    """
    one, two = before.answers.labels, now.answers.labels
    known = pairing(before.answers.keys, now.answers.keys).both
    same = _unchanged(before, now)
    if not known:
        raise UsageError(
            f"run {before.run.id} had none of its records. Send both with the same key=, "
            'or, where records are new every time, ask for "shares unchanged".'
        )
    found = [
        (old, new) for old, new in same if one[old] is not None and two[new] is not None
    ]
    if not found:
        raise UsageError(
            f"of the {notes.records(len(known))} that run {before.run.id} had as well, "
            "none says the same as then and has a label in both. Leave out of the "
            "records what changes every day."
        )
    return found


def _unchanged(before: Night, now: Night) -> list[tuple[int, int]]:
    """The records of both, by number: one key, and one content as far as that is known.

    Raises:
        UsageError: nobody can tell.
    """
    one, two = before.answers, now.answers
    if None in (one.rows, two.rows) and not (one.named and two.named):
        raise UsageError(
            "the records were not kept and have no keys. Send them with key=."
        )
    return [
        (old, new)
        for old, new in pairing(one.keys, two.keys).both.values()
        if not (one.rows and two.rows) or one.rows[old].digest == two.rows[new].digest
    ]


def _listed(night: Night) -> set[str]:
    """The labels that a categorizer of the run lists, or a step where this kernel has it."""
    coded = night.run.reader.state().coded.values()
    found = {label for each in coded for label in each.labels}
    return found.union(
        (each.unknown for each in coded if each.unknown),
        declared(night.run, night.answers),
    )


def _check_label(label: str, night: Night, nights: Nights, listed: set[str]) -> None:
    """Refuse a label that nobody lists, and that was not given in many nights: it is a typo.

    Args:
        label: which one.
        night: tonight.
        nights: with those before.
        listed: the labels that a categorizer could have given.

    Raises:
        UsageError: it was not.
    """
    if label in night.counts or label in listed:
        return
    before = nights.counts_before(night, LAST)
    seen = listed.union(night.counts, *(each for one in before for each in one)) - {""}
    if label not in seen:
        named = ", ".join(_name(each) for each in sorted(seen)[:_NAMED]) or "none"
        more = f" and {len(seen) - _NAMED} more" if len(seen) > _NAMED else ""
        raise UsageError(
            f"no record has the label {label!r}, and no categorizer lists it; there are "
            f"{named}{more}.{_meant(label, seen)}"
        )


def _meant(label: str, seen: Iterable[str]) -> str:
    """Which label may have been meant."""
    known = {each.casefold(): each for each in seen}
    close = get_close_matches(label.casefold(), known, n=1)
    return f" Did you mean {_name(known[close[0]])!r}?" if close else ""


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


def _vary(series: Sequence[Sequence[Counter[str]]]) -> str:
    """What chance does not cover as long as there are few nights."""
    if drift.freedom(series) >= _FEW - 1:
        return ""
    runs = several(sum(map(len, series)), "earlier run")
    return f" From {runs} nobody knows how much nights vary, so bursts count as shifts."


def _reading(night: Night, label: str) -> str:
    return f"Read the records that are {label} in {_opening(night.run)}.results()."


def _accept(run: Run) -> str:
    """How a shift that is right becomes what later runs are compared with."""
    return f"If that is right, nbflow runs accept {run.id} makes it normal."


def _opening(run: Run) -> str:
    return f'nf.open_run("{run.id}")'
