"""Compare: two runs of the same records, and what came out differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import DONE
from nbflow._key.value import digest
from nbflow._run.results import fields_of
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def changes(before: RunState, after: RunState, values: tuple[Values, Values]) -> Iterator[Change]:
    """What differs between two runs, flow by flow and in the order of the records."""
    old = {key: number for number, key in reversed(list(enumerate(before.keys)))}
    new = {key: number for number, key in reversed(list(enumerate(after.keys)))}
    for flow, name in enumerate(after.flows):
        if name not in before.flows:
            continue
        was = before.flows.index(name)
        both = [key for key in after.keys if key in old]
        # A value is known by the key it is saved under: equal keys are equal values, and need no loading.
        open_ = [key for key in dict.fromkeys(both) if before.checkpoint(old[key], was) != after.checkpoint(new[key], flow)]
        loaded = zip(values[0](was, [old[key] for key in open_]), values[1](flow, [new[key] for key in open_]), strict=True)
        found = dict(zip(open_, loaded, strict=True))
        for key in dict.fromkeys(both):
            states = before.item(old[key], was), after.item(new[key], flow)
            if (states[0] in DONE) != (states[1] in DONE):
                yield Change(key, name, "status", str(states[0]), str(states[1]))
            if key in found:
                yield from _fields(key, name, *found[key])
    yield from (Change(key, "", "record", True, False) for key in dict.fromkeys(before.keys) if key not in new)
    yield from (Change(key, "", "record", False, True) for key in dict.fromkeys(after.keys) if key not in old)


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
