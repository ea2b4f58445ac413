"""Differences: two runs of the same records, and what came out differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import DONE
from nbflow._core.fields import fields_of
from nbflow._key.reader import digest
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._core.entry import RunState

    #: The values of some records in one flow: ``values(flow, records)``.
    Values = Callable[[int, list[int]], list[object]]

#: Stands for a value that is not in the store any more.
GONE = object()

COLUMNS = ("record", "flow", "field", "before", "after")


class Change(NamedTuple):
    """One place that differs.

    ``field`` is ``record`` for one that only one of the runs has, ``status``, or a
    field of the output.
    """

    record: str
    flow: str
    field: str
    before: Any
    after: Any


class Pairing(NamedTuple):
    """The records of two runs, by their keys.

    Attributes:
        both: those of both, with their numbers here and there.
        first: those of the first alone.
        second: those of the second alone.
    """

    both: dict[str, tuple[int, int]]
    first: list[str]
    second: list[str]


def pairing(first: Sequence[str], second: Sequence[str]) -> Pairing:
    """Which records two runs have in common, in the order of the second."""
    one, two = _places(first), _places(second)
    both = {key: (one[key], two[key]) for key in two if key in one}
    return Pairing(
        both=both,
        first=[key for key in one if key not in two],
        second=[key for key in two if key not in one],
    )


def _places(keys: Sequence[str]) -> dict[str, int]:
    """The number of each key, where it first stands."""
    places: dict[str, int] = {}
    for number, key in enumerate(keys):
        places.setdefault(key, number)
    return places


def changes(
    before: RunState,
    after: RunState,
    values: tuple[Values, Values],
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
        olds = values[0](was, [old for old, _ in open_.values()])
        news = values[1](flow, [new for _, new in open_.values()])
        loaded = zip(olds, news, strict=True)
        found = dict(zip(open_, loaded, strict=True))
        for key, (old, new) in pairs.both.items():
            then = before.item(old, was)
            now = after.item(new, flow)
            if (then in DONE) != (now in DONE):
                yield Change(key, name, "status", str(then), str(now))
            if not any(value is GONE for value in found.get(key, [GONE])):
                yield from _fields(key, name, *found[key])
    for key in pairs.first:
        yield Change(key, "", "record", before=True, after=False)
    for key in pairs.second:
        yield Change(key, "", "record", before=False, after=True)


def _fields(key: str, flow: str, before: object, after: object) -> Iterator[Change]:
    """The fields of one output that differ; the output itself if it has no fields."""
    then, now = fields_of(before), fields_of(after)
    if then is None or now is None:
        then, now = {flow: before}, {flow: after}
    for name in then | now:
        old, new = then.get(name), now.get(name)
        if not _equal(old, new):
            yield Change(key, flow, name, old, new)


def _equal(one: object, other: object) -> bool:
    """By content, as keys see it: ``==`` of frames and arrays is not a yes or no."""
    try:
        return digest(one, "before") == digest(other, "after")
    except UnkeyableError:
        return False
