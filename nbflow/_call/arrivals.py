"""Arrivals: which event from outside is the one that a record waits for."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow._core.waiting import value_at
from nbflow._key.reader import digest
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._store.inbox import Inbox


def match_of(record: object, fields: Iterable[str]) -> str:
    """The digest of what fields of an event say; "" if it lacks one of them."""
    try:
        return digest(tuple(value_at(record, name) for name in fields)).hex()
    except (KeyError, UnkeyableError):
        return ""


@dataclass(slots=True)
class _Index:
    """The events of one name by what some fields of them say: their places and times, in order."""

    start: int
    end: int
    places: defaultdict[str, list[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )


class Arrivals:
    """Finds events by their fields. Each event is read once, however many records wait."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._indexes: dict[tuple[str, tuple[str, ...]], _Index] = {}
        self._mutex = threading.Lock()

    def first(
        self, event: str, fields: tuple[str, ...], match: str, after: int, since: float
    ) -> tuple[int, float] | None:
        """The place and the time of the first event that matches; `None` if none has come.

        Args:
            event: its name.
            fields: those that have to match.
            match: the digest of their values.
            after: the place behind which it may come.
            since: when it may have come at the earliest, in seconds since the epoch.
        """
        with self._mutex:
            index = self._indexes.get((event, fields))
            if index is None or after < index.start:
                index = self._indexes[event, fields] = _Index(after, after)
            self._read(index, event, fields)
            places = index.places.get(match, [])
            later = places[bisect_right(places, (after, float("inf"))) :]
            return next((pair for pair in later if pair[1] >= since), None)

    def _read(self, index: _Index, event: str, fields: tuple[str, ...]) -> None:
        """Take in what has come since."""
        for one in self._inbox.after(index.end, [event]):
            index.places[match_of(one.record, fields)].append((one.number, one.at))
            index.end = one.number
