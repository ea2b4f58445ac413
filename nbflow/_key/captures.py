"""Captures: the values that functions and classes of a notebook reach by a name."""

from __future__ import annotations

import enum
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key import query_texts
from nbflow._key.annotations import EVALUATORS
from nbflow._key.bytecode import scan
from nbflow._key.kinds import (
    BUNDLES,
    contents,
    is_constant,
    is_data,
    loaded,
    unwrapped,
    wraps,
)
from nbflow._key.origin import carried, is_users

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._key.guards import Space

_CODE = (FunctionType, type, *BUNDLES)
_PLAIN = frozenset((int, float, str, bool, list, dict, set, tuple, type(None)))


class Held(NamedTuple):
    """Names whose values functions and classes reach; ``A.n`` is an attribute of the class ``A``.

    Attributes:
        values: those that can change in place, and those that are bound again.
        rebound: names that functions bind again, with ``global`` or as an attribute of a
            class.
    """

    values: dict[str, object]
    rebound: set[str]


def held(space: Space, things: Iterable[object]) -> Held:
    """Return what functions, classes and objects reach in a notebook, and what that reaches in turn.

    Args:
        space: the names of the notebook.
        things: the functions, classes and objects.
    """
    found, seen, waiting = Held({}, set()), set[int](), [*things]
    while waiting:
        thing = waiting.pop()
        if wraps(thing) and hasattr(thing, "policy"):
            continue  # a step: what it changes does not count
        thing = unwrapped(thing)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, FunctionType):
            inside = carried(thing)
            waiting += [part for part in inside if isinstance(part, _CODE)]
            if thing.__globals__ is space:
                waiting += _of_function(space, thing, found)
        elif isinstance(thing, type):
            if is_users(thing) and thing.__module__ == space.get("__name__"):
                waiting += [*thing.__bases__, *_of_class(space, thing, found)]
        elif isinstance(thing, BUNDLES):
            waiting += contents(thing).values()
        else:
            waiting.append(type(thing))
    return found


def _of_function(space: Space, function: FunctionType, found: Held) -> list[object]:
    """Note what a function reads and rebinds, and return what is to be looked at next."""
    reads = scan(function.__code__)
    found.rebound.update(reads.rebound_names)
    for owner, name in reads.rebound_attributes:
        kind = space.get(owner)
        if isinstance(kind, type):
            found.rebound.add(f"{owner}.{name}")
            found.values[f"{owner}.{name}"] = vars(kind).get(name)
    inside = []
    chains = set(reads.names)
    for asks in reads.asks:
        names = query_texts.names_for(asks, reads.texts)
        chains |= query_texts.read_in(space, asks, names)
    for name in {chain[0] for chain in chains} | reads.rebound_names:
        if name not in space:
            continue
        value = loaded(space[name])
        inside.append(value)
        can_change = name in reads.rebound_names or not is_constant(value)
        if can_change and is_data(value):
            found.values[name] = value
    return inside


def _of_class(space: Space, kind: type, found: Held) -> list[object]:
    """Note the plain values in a class, and return its methods."""
    name = kind.__name__
    if space.get(name) is kind and not issubclass(kind, enum.Enum):
        for key, value in vars(kind).items():
            if key[:1] != "_" and type(value) in _PLAIN:
                found.values[f"{name}.{key}"] = value
    return [
        part
        for key, part in vars(kind).items()
        if isinstance(part, (FunctionType, *BUNDLES)) and key not in EVALUATORS
    ]
