"""Evidence: the answers of a run that people judged, and of which others they speak.

Decisions on a designed sample speak of the whole run: each stands for the records that
nobody saw as well. Others speak of what was looked at, and no surer than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.plural import several
from nbflow.errors import UsageError
from nbflow.quality import notes
from nbflow.quality.advice import review_call
from nbflow.quality.alike import alike
from nbflow.quality.calibration import Judged
from nbflow.quality.estimation import Frame, Part
from nbflow.quality.looked_at import LookedAt, looked_at
from nbflow.quality.looking import looked
from nbflow.quality.truth import truths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.quality.answers import Answers
    from nbflow.quality.looking import Looked

#: Decisions that are needed to speak of anything.
LEAST = 50
#: How many times fewer texts of like weight are said.
_FEWER = 1.5


class Evidence(NamedTuple):
    """Answers that were judged.

    Attributes:
        judged: these answers.
        about: which they are, in words, if they are not those of the whole run.
        low: the least confidence of which they say something.
        high: the highest one.
        remarks: what one has to know about them, in sentences.
    """

    judged: Judged
    about: str
    low: float
    high: float
    remarks: tuple[str, ...]


def evidence(
    answers: Answers, said: Sequence[float], sure: dict[int, float], truth: object
) -> Evidence:
    """What is known of the answers of a run.

    Args:
        answers: of the run.
        said: the confidence of each record, for strata.
        sure: that of each answer that has one, by the number of its record.
        truth: true labels; ``None`` for what people decided.

    Raises:
        UsageError: nothing is known of an answer that has a confidence.
    """
    what = _looked(answers, said) if truth is None else None
    remarks: tuple[str, ...] = ()
    if what is not None:
        if what.looked_at >= LEAST:
            return _of_whole(answers, what, sure)
        sampled = several(what.looked_at, "decision")
        remarks = (f"{sampled} on a sample: with {LEAST}, it speaks of the whole run.",)
    return _of_known(answers, sure, truth, remarks)


def _looked(answers: Answers, said: Sequence[float]) -> Looked | None:
    """What people have looked at of a sample of these records, if one was drawn."""
    if answers.run is None or answers.rows is None:
        return None
    try:
        what = looked(answers.run.engine, answers, said)
    except UsageError:
        return None
    return None if what.sample is None else what


def _of_whole(answers: Answers, what: Looked, sure: dict[int, float]) -> Evidence:
    """Decisions on a sample, with those made before it was drawn."""
    weights = _weights(what)
    rows: list[tuple[float, bool, float, int]] = []
    for text, unit in enumerate(what.units):
        if unit.label is None:
            continue
        each = weights[text] / unit.records
        rows += [
            (sure[number], answers.labels[number] == unit.label, each, text)
            for number in what.numbers[text]
            if number in sure
        ]
    remarks = []
    if what.before:
        known = several(what.before, "decision")
        remarks.append(f"{known} made before the sample was drawn: added as they are.")
    if what.settled:
        settled = several(what.settled, "decision")
        remarks.append(
            f"{settled} made for another reason since, with which nothing is left of "
            "their label and confidence: added as they are."
        )
    if what.beside:
        beside = several(what.beside, "decision")
        remarks.append(f"{beside} made for another reason since: not in the figures.")
    return _evidence(rows, "", sure.values(), remarks)


def _weights(what: Looked) -> dict[int, float]:
    """The records that each text with a decision stands for, by its place.

    The estimate of a total is a sum over the texts; this is the factor of each.
    """
    import numpy as np

    frame = Frame(what.units, anytime=False)
    places = {id(unit): place for place, unit in enumerate(what.units)}
    known, alone = np.zeros(len(frame.known)), np.zeros(len(frame.sampled))
    found = {places[id(unit)]: float(unit.records) for unit in frame.known}
    for place, unit in enumerate(frame.sampled):
        alone[place] = 1.0
        found[places[id(unit)]] = frame.total(Part(alone, known))
        alone[place] = 0.0
    return found


def _of_known(
    answers: Answers, sure: dict[int, float], truth: object, remarks: Sequence[str]
) -> Evidence:
    """Answers whose true label is known, whoever chose them."""
    true = truths_of(answers, truth)
    scored = [
        number
        for number, label in enumerate(true.labels)
        if label is not None and number in sure
    ]
    texts = _texts(answers, truth)
    rows = [
        (
            sure[number],
            answers.labels[number] == true.labels[number],
            1.0,
            texts[number],
        )
        for number in scored
    ]
    chosen = looked_at(answers, true.looked_at, scored)
    if chosen is None and truth is None and len(scored) < len(sure):
        # A sample of other records is none of these.
        chosen = LookedAt(len(scored), len(sure) - len(scored), "")
    known = [row[0] for row in rows]
    said = [*remarks, *_beyond(known, sure.values())]
    if chosen is None:
        return _evidence(rows, "", known, said)
    why = _why(chosen, review_call(answers))
    return _evidence(rows, chosen.words, known, [*said, why])


def _why(chosen: LookedAt, call: str) -> str:
    """What does not follow from records that people chose, and how to get what does."""
    how = f"{call} has a sample, which speaks of all."
    if chosen.is_by_confidence:
        return f"These are no sample, and speak of answers of their confidence alone. {how}"
    return (
        "These are no sample: others of the same confidence may be right more often, or "
        f"less. {how}"
    )


def _beyond(known: Sequence[float], all_of_them: Iterable[float]) -> list[str]:
    """How many answers are surer, or less sure, than any that was judged."""
    if not known:
        return []
    low, high = min(known), max(known)
    said = list(all_of_them)
    surer, less = sum(one > high for one in said), sum(one < low for one in said)
    found = []
    if surer:
        found.append(
            f"{notes.answers(surer)} surer than {high:.2f}, of which none was judged"
        )
    if less:
        found.append(
            f"{notes.answers(less)} less sure than {low:.2f}, of which none was judged"
        )
    return [f"Nothing is known of {' and '.join(found)}."] if found else []


def _texts(answers: Answers, truth: object) -> list[int]:
    """The number of the text of each record: what one decision is about."""
    found = alike(answers)
    if truth is not None:
        return found
    first: dict[object, int] = {}
    for number, decision in answers.decided.items():
        found[number] = first.setdefault(decision.subject, number)
    return found


def _evidence(
    rows: Sequence[tuple[float, bool, float, int]],
    about: str,
    known: Iterable[float],
    remarks: Sequence[str],
) -> Evidence:
    import numpy as np

    sure, right, weight, text = (
        (list(part) for part in zip(*rows, strict=True)) if rows else ([],) * 4
    )
    judged = Judged(
        np.array(sure, dtype=float),
        np.array(right, dtype=bool),
        np.array(weight, dtype=float),
        np.array(text, dtype=np.int64),
    )
    limits = sorted(known) or [0.0]
    return Evidence(judged, about, limits[0], limits[-1], (*_worth(judged), *remarks))


def _worth(judged: Judged) -> list[str]:
    """That copies are one, and that some count for many, where it matters."""
    said = []
    if judged.texts < len(judged.sure):
        said.append(
            f"{notes.records(len(judged.sure))} judged are {several(judged.texts, 'text')}: "
            "what was decided of copies counts once."
        )
    if judged.texts and judged.size * _FEWER < judged.texts:
        said.append(
            f"{several(judged.texts, 'text')} were judged, and some stand for far more "
            "records than others: intervals are as wide as from "
            f"{several(max(1, round(judged.size)), 'text')} of equal weight."
        )
    return said
