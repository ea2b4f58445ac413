"""Finding: one thing that may go wrong when nobody watches."""

from __future__ import annotations

from typing import NamedTuple

#: What surely fails headless or must not be handed over; what may fail; what is good to
#: know.
LEVELS = ("error", "warning", "note")


#: Characters of the notebook's own text that a finding shows.
_SHOWN = 60


def shown(text: str) -> str:
    """Return a text of the notebook as far as a finding has room for it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}\u2026"


class Finding(NamedTuple):
    """Where, what, why it matters and what to do.

    Attributes:
        rule: a short name that stays the same: ``undefined-name``.
        level: one of `LEVELS`.
        cell: number of the code cell, from 1; ``None`` for the notebook as a whole.
        line: line in the cell, from 1.
        what: what was found.
        why: what happens because of it.
        todo: what to do about it.
    """

    rule: str
    level: str
    cell: int | None
    line: int | None
    what: str
    why: str
    todo: str
