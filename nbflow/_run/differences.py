"""Compare: two runs of the same records, and what came out differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import DONE
from nbflow._key.reader import digest
from nbflow._run.results import fields_of
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._core.entry import RunState

    #: The values of some records in one flow: ``values(flow, records)``.
    Values = Callable[[int, list[int]], list[Any]]

COLUMNS = ("record", "flow", "field", "before", "after")


class Change(NamedTuple):
    """One place that differs; ``field`` is ``record`` for one that only one of the runs has, ``status``, or the output's."""

    record: str
    flow: str
    field: str
    before: Any
    after: Any


class Pairing(NamedTuple):
    """The records of two runs, by their keys: those of both with their numbers here and there, and those of one alone."""

    both: dict[str, tuple[int, int]]
    first: list[str]
    second: list[str]


def pairing(first: Sequence[str], second: Sequence[str]) -> Pairing:
    """Which records two runs have in common, in the order of the second."""
    one, two = _places(first), _places(second)
    both = {key: (one[key], number) for key, number in two.items() if key in one}
    return Pairing(
        both,
        [key for key in one if key not in two],
        [key for key in two if key not in one],
    )


def _places(keys: Sequence[str]) -> dict[str, int]:
    """The number of each key, where it first stands."""
    places: dict[str, int] = {}
    for number, key in enumerate(keys):
        places.setdefault(key, number)
    return places


def changes(
    before: RunState, after: RunState, values: tuple[Values, Values]
) -> Iterator[Change]:
    """What differs between two runs, flow by flow and in the order of the records."""
    pairs = pairing(before.keys, after.keys)
    for flow, name in enumerate(after.flows):
        if name not in before.flows:
            continue
        was = before.flows.index(name)
        # A value is known by the key it is saved under: equal keys are equal values,
        # and need no loading.
        open_ = {
            key: (old, new)
            for key, (old, new) in pairs.both.items()
            if before.checkpoint(old, was) != after.checkpoint(new, flow)
        }
        loaded = zip(
            values[0](was, [old for old, _ in open_.values()]),
            values[1](flow, [new for _, new in open_.values()]),
            strict=True,
        )
        found = dict(zip(open_, loaded, strict=True))
        for key, (old, new) in pairs.both.items():
            states = before.item(old, was), after.item(new, flow)
            if (states[0] in DONE) != (states[1] in DONE):
                yield Change(key, name, "status", str(states[0]), str(states[1]))
            if key in found:
                yield from _fields(key, name, *found[key])
    yield from (Change(key, "", "record", True, False) for key in pairs.first)
    yield from (Change(key, "", "record", False, True) for key in pairs.second)


def _fields(key: str, flow: str, before: Any, after: Any) -> Iterator[Change]:
    parts = fields_of(before), fields_of(after)
    if parts[0] is None or parts[1] is None:
        if not _equal(before, after):
            yield Change(key, flow, flow, before, after)
        return
    for name in dict.fromkeys((*parts[0], *parts[1])):
        if not _equal(parts[0].get(name), parts[1].get(name)):
            yield Change(key, flow, name, parts[0].get(name), parts[1].get(name))


def _equal(one: Any, other: Any) -> bool:
    """By content, as keys see it: frames and arrays have no single yes or no for ``==``."""
    try:
        return digest(one, "before") == digest(other, "after")
    except UnkeyableError:
        return False
