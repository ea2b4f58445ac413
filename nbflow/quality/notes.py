"""Notes: what one has to know about figures, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.duration import duration
from nbflow._core.looks import word_of
from nbflow._core.plural import several

if TYPE_CHECKING:
    from collections import Counter

    from nbflow.quality.answers import Spent
    from nbflow.quality.copies import Copies
    from nbflow.quality.looked_at import LookedAt

#: Records from which on intervals of kappa and macro F1 hold the truth about as often as
#: they say.
_FEW = 30
#: Mistakes, and records a label, from which on intervals are no wider than needed.
_MISTAKES, _EACH = 10, 7
#: Labels outside of the taxonomy that are named.
_NAMED = 5


def records(number: int) -> str:
    """``1,000 records``."""
    return several(number, "record")


def answers(number: int) -> str:
    """``1,000 answers``."""
    return several(number, "answer")


def counted(states: Counter[str]) -> str:
    """``3 records (2 failed, 1 cancelled)``."""
    said = ", ".join(
        f"{number:,} {word_of(state)}" for state, number in states.most_common()
    )
    return f"{records(states.total())} ({said})"


def few(number: int) -> list[str]:
    """That figures are of few records, if they are."""
    if number >= _FEW:
        return []
    said = (
        f"Of {records(number)}, the intervals of kappa and macro F1 may be too narrow"
    )
    return [f"{said}: label more to be sure."]


def wide(number: int, mistakes: int, labels: int) -> list[str]:
    """That intervals are wider than they need to be, where simulation shows it.

    Args:
        number: of the records.
        mistakes: among them.
        labels: of the taxonomy.
    """
    if number < _FEW:
        return []
    if mistakes < _MISTAKES:
        made = several(mistakes, "mistake") if mistakes else "no mistake"
        said = (
            f"With {made}, intervals are wider than needed: they hold the truth in up"
        )
        return [f"{said} to 99 % of cases."]
    if number < _EACH * labels:
        said = f"With fewer than {_EACH} records a label, the interval of macro F1 is wider"
        return [f"{said} than needed: it holds the truth in up to 99 % of cases."]
    return []


def figures_of(
    chosen: LookedAt | None, number: int, mistakes: int, labels: int
) -> list[str]:
    """Which records figures are about, and whether these are few.

    Args:
        chosen: who chose the records, if a person did.
        number: of the records.
        mistakes: among them.
        labels: of the taxonomy.
    """
    said = of_records(chosen, number)
    return said if chosen is not None else said + wide(number, mistakes, labels)


def of_records(chosen: LookedAt | None, number: int) -> list[str]:
    """Which records figures are about, and whether these are few."""
    return few(number) if chosen is None else [chosen.advice]


def whole(*, is_whole: bool) -> list[str]:
    """Of what intervals are, if people decided every answer.

    Args:
        is_whole: whether they did.
    """
    if not is_whole:
        return []
    said = (
        "Every answer is decided: of this run, the figures are counts. Their intervals"
    )
    return [f"{said} are of a wider population, more records of the same kind."]


def alike(what: Copies | None, chosen: LookedAt | None = None) -> list[str]:
    """That records tell one thing, if some do.

    Args:
        what: which do.
        chosen: who chose the records, if a person did: no figure has an interval then.
    """
    if what is None or what.is_plain:
        return []
    said = (
        f"{records(len(what.units))} are {what.distinct:,} that differ: those that look "
        "the same, and have one decision or one answer, tell as much as one."
    )
    if chosen is None:
        said += " Intervals allow for that."
    if what.is_drawn:
        said += (
            " They were drawn as a sample: figures weigh each by how likely it was drawn, "
            "and are of the whole run; the confusion counts those that were looked at."
        )
    return [said]


def whose(chosen: LookedAt | None) -> str:
    """The records behind a figure, if a person chose them."""
    return "" if chosen is None else f" {chosen.words}"


def outside(given: Counter[str], labels: int) -> list[str]:
    """The answers outside of the taxonomy, if there are any.

    Args:
        given: those answers, and how often each was given.
        labels: the number of labels in the taxonomy.
    """
    if not given:
        return []
    named = ", ".join(
        f"{label} ({number:,})" for label, number in given.most_common(_NAMED)
    )
    if len(given) > _NAMED:
        named += f" and {len(given) - _NAMED} more"
    many = several(given.total(), "answer")
    return [
        f"{many} outside the {several(labels, 'label')}, counted as wrong: {named}."
    ]


def spent(what: Spent | None, name: str = "") -> list[str]:
    """What a run took and cost, if anything is known.

    Args:
        what: it took.
        name: what the run is called.
    """
    if what is None:
        return []
    calls = f"The calls of {name}" if name else "The calls"
    said = []
    if what.seconds:
        waited = ""
        if what.waited:
            waited = f", and were in line for {duration(what.waited)}"
        said.append(f"{calls} took {duration(what.seconds)}{waited}.")
    if what.cached:
        owner = f" of {name}" if name else ""
        said.append(f"{records(what.cached)}{owner} reused a saved answer.")
    if what.usage.requests:
        verb = "used" if what.usage.cost is None else "cost"
        said.append(f"{calls} {verb} {what.usage}.")
    return said
