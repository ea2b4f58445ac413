"""KeptInputs: what the steps of a run were called with, as many of them as fit into memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from math import isqrt
from sys import getsizeof
from types import NoneType
from typing import TypeAlias

from nbflow._core.entry import Position

#: What the steps of a record were called with: name, arguments, keyword arguments.
Inputs: TypeAlias = list[tuple[str, tuple[object, ...], dict[str, object]]]

#: The records of which the inputs of steps stay at hand, and their bytes; as many again
#: of those that failed.
MOST, ROOM = 1000, 64 * 2**20
#: Values that are looked at to weigh one; the rest is taken to be like them.
_LOOKED_INTO, _FIELDS = 1024, 1024
#: What has no parts; the bytes of a container, and of a place in it.
_ATOMS = frozenset({str, bytes, int, float, bool, NoneType})
_LEAST, _PLACE = 56, 8
#: The bytes of a call beside its arguments.
_CALL = 250
#: Rows up to which pandas is asked to look at each value.
_DEEP = 10_000


class KeptInputs(Mapping[Position, Inputs]):
    """The inputs of the latest records, and of the first that failed, by (record, flow)."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Position, tuple[Inputs, int]] = OrderedDict()
        self._failed: dict[Position, tuple[Inputs, int]] = {}
        self._bytes = self._failed_bytes = 0
        self._mutex = threading.Lock()

    def keep(self, where: Position, inputs: Inputs, *, failed: bool) -> None:
        """Keep what a record was called with, as long as there is room."""
        try:
            size = _weight_of(inputs)
        except Exception:
            size = ROOM + 1  # an object that breaks when it is looked at is not kept
        with self._mutex:
            self._keep(where, inputs, size, failed=failed)

    def _keep(
        self, where: Position, inputs: Inputs, size: int, *, failed: bool
    ) -> None:
        _, before = self._latest.pop(where, (inputs, 0))
        self._bytes -= before
        if failed:
            if len(self._failed) < MOST and self._failed_bytes + size <= ROOM:
                self._failed[where] = inputs, size
                self._failed_bytes += size
            return
        self._latest[where] = inputs, size
        self._bytes += size
        while len(self._latest) > MOST or self._bytes > ROOM:
            _, (_, size) = self._latest.popitem(last=False)
            self._bytes -= size

    def __getitem__(self, where: Position) -> Inputs:
        kept = self._latest.get(where) or self._failed[where]
        return kept[0]

    def __iter__(self) -> Iterator[Position]:
        with self._mutex:
            return iter({**self._failed, **self._latest})

    def __len__(self) -> int:
        return len({**self._failed, **self._latest})


def _weight_of(inputs: Inputs) -> int:
    """About how many bytes these take; quickly where they are texts and numbers."""
    size = 0
    for _, args, kwargs in inputs:
        size += _CALL
        for value in (*args, *kwargs.values()) if kwargs else args:
            size += getsizeof(value) if type(value) in _ATOMS else weight(value)
    return size


def weight(value: object, room: int = _LOOKED_INTO) -> int:
    """About how many bytes a value takes: frames and arrays say it, containers are looked into."""
    kind = type(value)
    if kind in _ATOMS:
        return getsizeof(value)
    if kind is dict:
        parts: Collection[object] = value.values()  # type: ignore[attr-defined]  # a dict
    elif kind is list or kind is tuple:
        parts = value  # type: ignore[assignment]  # one of them
    else:
        told = _told(value)
        if told is not None:
            return told
        parts = _parts(value)
    size = _LEAST + _PLACE * len(parts)
    if not room or not parts:
        return size
    # Fields differ, elements are like each other.
    width = _FIELDS if kind is dict else isqrt(room) + 1
    looked = parts if len(parts) <= width else [*islice(parts, width)]
    left, held = room // (len(looked) + 1), 0
    for part in looked:
        held += weight(part, left)
    return size + held * len(parts) // len(looked)


def _told(value: object) -> int | None:
    """What an array or a frame of any library says of itself."""
    try:
        if isinstance(size := getattr(value, "nbytes", None), int):
            return size
        if hasattr(value, "estimated_size"):
            return int(value.estimated_size())
        if hasattr(value, "memory_usage"):
            return int(value.memory_usage(deep=len(value) < _DEEP).sum())  # type: ignore[arg-type]  # a pandas frame
    except Exception:
        return None  # what only looks like one
    return None


def _parts(value: object) -> Collection[object]:
    """What a container or an object of the user's holds."""
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    fields = getattr(value, "__dict__", None)
    return fields.values() if isinstance(fields, dict) else ()
