"""State: what the code of a step changes itself, such as a counter, a log or a cache that it fills.

The content of a list that a step reads is part of its key. If the step's own code changes that list in place, each
call would get another key and nothing would ever be found again. So a change that the code makes while it runs does
not count, and one that anybody else makes does: between two runs of the code the content is held against what the
last one left behind.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nbflow._key.value import Refusal, identify

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where a value is: the id of a namespace, class or cell, and a name in it.
Slot: TypeAlias = tuple[int, str]


@dataclass(slots=True)
class _State:
    """A value that code changes: the digest that stands for it in keys, and what it was when last looked at."""

    value: object
    counted: bytes
    last: bytes
    busy: int = 0


_STATES: dict[Slot, _State] = {}
_MUTEX = threading.Lock()


def counted(slot: Slot, value: object, digest: bytes) -> bytes:
    """Return the digest that stands for a value with this content: the present one, or the one before own changes."""
    with _MUTEX:
        state = _STATES.get(slot)
        if state is None or state.value is not value:
            state = _STATES[slot] = _State(value, digest, digest)
        elif digest != state.last and not state.busy:
            state.counted = state.last = digest
        return state.counted


def begin(slots: Iterable[Slot]) -> None:
    """Code that changes what is in these slots begins to run."""
    with _MUTEX:
        for slot in slots:
            if slot in _STATES:
                _STATES[slot].busy += 1


def end(slots: Iterable[Slot]) -> None:
    """It has ended: what it left behind is what the next look is held against."""
    for slot in slots:
        state = _STATES.get(slot)
        if state is None:
            continue
        try:
            left = identify(state.value).digest
        except Refusal:
            left = state.last
        with _MUTEX:
            state.busy = max(0, state.busy - 1)
            state.last = left
