"""Writes: the slots that code rebinds or changes in place.

What is in such a slot depends on what ran before. It cannot count as other values do, or
a call would change its own key; see `nbflow._key.mutation`.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

from nbflow._key.kinds import cells_of
from nbflow._key.origin import content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._key.bytecode import Chain, Reads
    from nbflow._key.mutation import Slot

#: What holds values under names of its own, as a namespace does.
_Owner: TypeAlias = type | ModuleType | FunctionType
_OWNERS = (type, ModuleType, FunctionType)


def slot_of(function: FunctionType, name: str) -> Slot:
    """Return where the global or closure cell is that a function knows by a name."""
    cell = cells_of(function).get(name)
    return (id(function.__globals__), name) if cell is None else (id(cell), "")


def slots_of(function: object, names: Iterable[str]) -> set[Slot]:
    """Return where the globals and closure cells of these names are that a function reads."""
    if not isinstance(function, FunctionType):
        return set()
    return {slot_of(function, name) for name in names}


def _slot_in(owner: _Owner, name: str) -> Slot:
    """Return where an attribute is.

    The dict of a class cannot be had itself, only views of it: the class stands for it.
    """
    return id(owner) if isinstance(owner, type) else id(vars(owner)), name


def _held(function: FunctionType, name: str) -> object:
    cell = cells_of(function).get(name)
    return function.__globals__.get(name) if cell is None else content(cell)


class Writes:
    """Collects what the functions of a graph write, by their byte code and their source."""

    def __init__(self) -> None:
        self._rebinding: list[tuple[FunctionType, set[Slot]]] = []
        self._changed: set[Slot] = set()
        #: Attributes of arguments and local variables that are changed in place.
        self._changed_attributes: set[str] = set()

    def note_rebound(self, function: FunctionType, reads: Reads) -> None:
        """Note the names that a function binds again: ``global n``, ``nonlocal n``, ``State.n = 1``."""
        slots = {(id(function.__globals__), name) for name in reads.rebound_names}
        slots |= slots_of(function, reads.rebound_cells)
        for owner, name in reads.rebound_attributes:
            held = _held(function, owner)
            if isinstance(held, _OWNERS):
                slots.add(_slot_in(held, name))
        self._rebinding.append((function, slots))

    def note_changed(self, function: FunctionType, chains: Iterable[Chain]) -> None:
        """Note the dotted names whose values a function changes in place."""
        local = function.__code__.co_varnames
        for first, *rest in chains:
            if first in local:  # `self.seen` may be what a class holds
                self._changed_attributes.update(rest[:1])
                continue
            slot, held = slot_of(function, first), _held(function, first)
            for name in rest:
                if not isinstance(held, _OWNERS):
                    break
                slot, held = _slot_in(held, name), vars(held).get(name)
            self._changed.add(slot)

    def rebound(self, attributes: set[str] | None) -> set[Slot]:
        """Return the slots that are bound again.

        Args:
            attributes: that the code reads of whatever it has at hand, ``None`` for all.
        """
        found: set[Slot] = set()
        for function, slots in self._rebinding:
            if _may_be_called(function, attributes):
                found |= slots
        return found

    def changed(self, kinds: Iterable[type]) -> set[Slot]:
        """Return the slots whose values are changed in place, those in these classes included."""
        found = set(self._changed)
        for kind in kinds:
            names = self._changed_attributes & vars(kind).keys()
            found |= {(id(kind), name) for name in names}
        return found


def _may_be_called(function: FunctionType, attributes: set[str] | None) -> bool:
    """Return whether code that reads these attributes may call a function of its graph.

    A method is in the graph with its class, called or not.
    """
    outer, _, name = function.__qualname__.rpartition(".")
    is_method = outer and not outer.endswith("<locals>") and name[:2] != "__"
    return not is_method or attributes is None or name in attributes
