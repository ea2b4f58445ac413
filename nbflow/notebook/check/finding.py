"""Finding: one thing that may go wrong when nobody watches."""

from __future__ import annotations

from typing import NamedTuple

#: What fails headless for sure or must not be handed over; what may fail; what is good
#: to know.
LEVELS = ("error", "warning", "note")


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
