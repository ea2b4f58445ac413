"""Accuracy: how often the labels of a whole run are right, as a gate asks for it.

Only what says something of the whole run counts: decisions on a sample, or a column that
has the truth. What people looked at for another reason does not, and copies are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.plural import several
from nbflow._core.table import short
from nbflow.errors import UsageError
from nbflow.quality import notes
from nbflow.quality.advice import review_call
from nbflow.quality.alike import alike
from nbflow.quality.confidence import confidences
from nbflow.quality.estimate import estimate
from nbflow.quality.evaluation import evaluate
from nbflow.quality.looking import looked
from nbflow.quality.truth import truths_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers
    from nbflow.quality.intervals import Interval
    from nbflow.quality.looking import Looked

#: Records that look different of which the truth is known, for an accuracy to say
#: anything.
ENOUGH = 30
#: Characters of a label that is named.
_LONGEST = 40


class Accuracy(NamedTuple):
    """How often labels are right.

    Attributes:
        share: of the answers, with its interval.
        source: what it comes from, in words.
    """

    share: Interval
    source: str


def accuracy(run: Run, answers: Answers, truth: str | None) -> Accuracy:
    """How often the labels of a run are right.

    Args:
        run: which one.
        answers: its labels.
        truth: the column of the records that has the truth; ``None`` for what people
            decided on a sample.

    Raises:
        UsageError: nothing says it, or too little does.
    """
    if truth is not None:
        return _by_column(run, answers, truth)
    how = review_call(answers, f'nf.open_run("{run.id}")')
    if not answers.decided:
        raise UsageError(
            f"nobody has decided any of its records. Let a person decide a sample, {how}, "
            "or name the column that has the truth, accuracy(COLUMN)."
        )
    what = looked(run.engine, answers, confidences(answers))
    _check_enough(what, how)
    share = estimate(run, column=answers.name).accuracy
    if not what.looked_at:
        return Accuracy(
            share, f"by decisions on all {len(what.units):,} of its records"
        )
    source = f"estimated from {several(what.looked_at, 'decision')} on a sample"
    if what.before:
        source += f" and {what.before:,} made before it was drawn"
    if what.settled:
        source += (
            f" and {what.settled:,} that leave nothing of their label and confidence"
        )
    return Accuracy(share, source + _aside(what))


def _check_enough(what: Looked, how: str) -> None:
    """Refuse too few decisions that say something of the others.

    Raises:
        UsageError: there are too few.
    """
    needed = min(ENOUGH, len(what.units) - what.known)
    if what.looked_at >= needed:
        return
    known = ""
    if what.known:
        which = "that are known" if what.settled else "made before it was drawn"
        known = f"; {what.known:,} {which} say nothing of the others"
    raise UsageError(
        f"people made {several(what.looked_at, 'decision')} on a sample, and {needed} are "
        f"needed{known}{_aside(what)}. Let a person decide more, {how}."
    )


def _aside(what: Looked) -> str:
    """The decisions that say nothing of the others, if there are any."""
    if not what.beside:
        return ""
    return f" ({what.beside:,} made for another reason do not count)"


def _by_column(run: Run, answers: Answers, name: str) -> Accuracy:
    true = truths_of(answers, name)
    known = {
        number: label
        for number, label in enumerate(true.labels)
        if label is not None and number not in true.looked_at
    }
    first = alike(answers)
    different = len({first[number] for number in known})
    said = notes.records(len(known))
    if different < len(known):
        said += f", {different:,} of them different"
    if different < min(ENOUGH, len(set(first))):
        raise UsageError(
            f"column {name!r} has the truth of {said}, and {ENOUGH} are needed. Fill it "
            "for more."
        )
    _check_labels(answers, name, known.values())
    by_key = {answers.keys[number]: label for number, label in known.items()}
    found = evaluate(run, by_key, column=answers.name)
    if len(known) < len(answers.keys):
        said += f" of {len(answers.keys):,}"
    return Accuracy(found.accuracy, f"against column {name!r} of {said}")


def _check_labels(answers: Answers, name: str, true: Collection[str]) -> None:
    """Refuse a column that has none of the labels: it is not the truth, by the look of it.

    Raises:
        UsageError: it has none.
    """
    if set(true) & set(answers.labels):
        return
    raise UsageError(
        f"no answer in {answers.name} is one of the labels in column {name!r}, such as "
        f"{short(min(true), _LONGEST)!r}. Name the column that has the truth, "
        "accuracy(COLUMN)."
    )
