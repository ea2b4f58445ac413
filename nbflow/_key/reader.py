"""Reads functions, classes, steps and cells -> codes; values with the code in them -> digests.

A code that was read is kept with its guards. It is read again only when one of them no
longer holds.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from nbflow._key.graph import Graph
from nbflow._key.kinds import unwrapped
from nbflow._key.value import Refusal, identify, member, plain_digest, seal
from nbflow._key.writes import slots_of

if TYPE_CHECKING:
    from nbflow._key.code import Cell, Code
    from nbflow._key.guards import Guards
    from nbflow._key.mutation import Slot


def read_cell(cell: Cell) -> Code:
    """Return what a cell is, as of now; see `read`."""
    return _read(cell, set())[0]


def read(function: Any, ignore: frozenset[str] = frozenset()) -> Code:
    """Return what a function, class or step is, as of now.

    It costs a microsecond as long as everything reached is the same object as before,
    and for values that can change in place as long as it takes to look at their
    content. Whatever was redefined, patched or rebound since is read again.

    Args:
        function: the function, class or step.
        ignore: names of globals and closure cells that do not count.

    Raises:
        UnkeyableError: the code reads an iterator or an open file, which no key can be
            made of.
    """
    place = id(function), ignore
    entry = _MEMO.get(place)
    if entry is not None and entry[0]() is function and entry[1].hold(function):
        return entry[2]
    if (inner := unwrapped(function)) is not function:
        return read(inner, ignore)
    code, guards = _read(function, slots_of(function, ignore))
    _remember(function, place, guards, code)
    return code


def _read(root: Any, rebound: set[Slot]) -> tuple[Code, Guards]:
    changed: set[Slot] = set()
    while True:
        graph = Graph(rebound, changed)
        graph.walk(root)
        more_rebound, more_changed = graph.rebound, graph.changed
        if more_rebound <= rebound and more_changed <= changed:
            break
        rebound |= more_rebound
        changed |= more_changed
    for refused in graph.refused:
        raise refused
    return graph.code(), graph.guards


_MEMO: dict[tuple[int, frozenset[str]], tuple[weakref.ref[Any], Guards, Code]] = {}


def _remember(
    function: Any, place: tuple[int, frozenset[str]], guards: Guards, code: Code
) -> None:
    forget = functools.partial(
        _MEMO.pop, place
    )  # bound now: at exit the module's names are gone
    try:
        owner = weakref.ref(function, lambda _: forget(None))
    except TypeError:  # a builtin; reading it again costs little
        return
    guards.disown(function)
    _MEMO[place] = (owner, guards, code)


def digest(value: object, where: str = "value", *, methods: bool = True) -> bytes:
    """Return the 20-byte digest of the full content of a value, of the code in it, too.

    Two values have one digest exactly when a careful user would call them the same:
    types count, so do dtypes, names and the order of a dict; where a value lies in
    memory, how it is chunked and who shares it does not.

    Args:
        value: anything but iterators, open files and the like.
        where: what the value is to the caller, the start of the path in the error.
        methods: do the methods of the user's objects count?

    Raises:
        UnkeyableError: no key can be made of the value, or of something in it.
    """
    if (found := plain_digest(value)) is not None:
        return found
    try:
        content = identify(value, methods=methods)
    except Refusal as refusal:
        raise refusal.error(where) from refusal.__cause__
    if not content.code:
        return content.digest
    return seal(
        "with code",
        member(content.digest),
        [member(read(thing).digest) for thing in content.code],
    )
