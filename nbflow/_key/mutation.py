"""Mutation: what the code of a step changes itself, such as a counter, a log or a cache that it fills.

The content of a list that a step reads is part of its key. If the step's own code
changes that list in place, each call would get another key and nothing would ever be
found again. So a change that the code makes while it runs does not count, and one that
anybody else makes does: between two runs of the code the content is held against what
the last one left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nbflow._key import fork
from nbflow._key.kinds import Around
from nbflow._key.value import Refusal, identify

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbflow._key.value import Content

#: Where a value is: the id of a namespace, class or cell, and a name in it.
Slot: TypeAlias = tuple[int, str]


@dataclass(slots=True)
class _State:
    """A value that code changes.

    Attributes:
        value: as it is.
        counted: the content that stands for it in keys.
        last: its digest when it was last looked at.
        busy: the number of runs of the code under way.
        turns: goes up with each beginning and end: who looked at the value in between
            did not see it as it was at one moment.
    """

    value: object
    counted: Content
    last: bytes
    busy: int = 0
    turns: int = 0


_STATES: dict[Slot, _State] = {}
_MUTEX = fork.free_lock()


def counted(slot: Slot, value: object) -> Content:
    """Return the content that stands for the value in a slot.

    That is the present one, or the one before the code's own changes.
    """
    while True:
        with _MUTEX:
            state = _STATES.get(slot)
            turns = state.turns if state is not None else 0
            if state is not None and _is(state.value, value) and state.busy:
                return state.counted
        found = identify(value)
        with _MUTEX:
            state = _STATES.get(slot)
            if state is None or not _is(state.value, value):
                _STATES[slot] = _State(value, found, found.digest)
                return found
            if state.turns == turns:
                if found.digest != state.last or found.code != state.counted.code:
                    state.counted, state.last = found, found.digest
                return state.counted


def _is(one: object, other: object) -> bool:
    """Return whether two values are one object, or two views of what is around one."""
    if isinstance(one, Around) and isinstance(other, Around):
        return one.thing is other.thing
    return one is other


def begin(slots: Collection[Slot]) -> None:
    """Note that code which changes what is in these slots begins to run."""
    if not slots:  # as nearly always: no thread is to wait for another
        return
    with _MUTEX:
        for slot in slots:
            if slot in _STATES:
                _STATES[slot].busy += 1
                _STATES[slot].turns += 1


def end(slots: Collection[Slot]) -> None:
    """Note that it has ended: what the last run leaves behind is what the next look is held against."""
    for slot in slots:
        while (state := _STATES.get(slot)) is not None:
            with _MUTEX:
                turns = state.turns
                if state.busy > 1:
                    state.busy -= 1
                    state.turns += 1
                    break
            try:
                left = identify(state.value).digest
            except Refusal:
                left = state.last
            with _MUTEX:
                if state.turns == turns:
                    state.busy, state.last = 0, left
                    state.turns += 1
                    break
