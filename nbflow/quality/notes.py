"""Notes: what one has to know about figures, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.duration import duration
from nbflow._core.looks import word_of
from nbflow._core.plural import several

if TYPE_CHECKING:
    from collections import Counter

    from nbflow.quality.answers import Spent

#: Records from which on a bootstrap interval holds the truth about as often as it says.
_FEW = 30
#: Labels outside of the taxonomy that are named.
_NAMED = 5


def records(number: int) -> str:
    """``1,000 records``."""
    return several(number, "record")


def counted(states: Counter[str]) -> str:
    """``3 records (2 failed, 1 cancelled)``."""
    said = ", ".join(
        f"{number:,} {word_of(state)}" for state, number in states.most_common()
    )
    return f"{records(states.total())} ({said})"


def few(number: int) -> list[str]:
    """That intervals are drawn from few records, if they are.

    What is not among those, no draw shows.
    """
    if number >= _FEW:
        return []
    return [
        f"Drawn from {records(number)}, intervals are too narrow: label more to be sure."
    ]


def outside(answers: Counter[str], labels: int) -> list[str]:
    """The answers outside of the taxonomy, if there are any.

    Args:
        answers: those answers, and how often each was given.
        labels: the number of labels in the taxonomy.
    """
    if not answers:
        return []
    named = ", ".join(
        f"{label} ({number:,})" for label, number in answers.most_common(_NAMED)
    )
    if len(answers) > _NAMED:
        named += f" and {len(answers) - _NAMED} more"
    many = several(answers.total(), "answer")
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
