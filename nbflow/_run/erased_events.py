"""ErasedEvents: what the inbox has of a person: events, and answers to what their records asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.waiting import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow._run.finding import RunPart
    from nbflow._run.runs import Runs
    from nbflow._run.wanted import Wanted
    from nbflow._store.inbox import Arrival, Inbox


class Events:
    """What it has.

    Attributes:
        mentions: the number of events that have the key of a record among their values, and
            stay: nobody knows whether they are about that record.
    """

    def __init__(self, runs: Runs, wanted: Wanted, parts: Sequence[RunPart]) -> None:
        self._inbox: Inbox = runs.engine.inbox
        self._wanted = wanted
        asked = {key for part in parts for key in part.asked}
        self._numbers = []
        self.mentions = 0
        for one in self._inbox.all():
            if self._is_about(one, asked):
                self._numbers.append(one.number)
            elif wanted.record is not None:
                self.mentions += wanted.record in map(str, _values(one.record))

    def __len__(self) -> int:
        return len(self._numbers)

    def _is_about(self, one: Arrival, asked: set[str]) -> bool:
        if self._wanted.text is not None:
            said = (one.event, one.id, one.record)
            return self._wanted.is_within(said)
        return one.event == ANSWERED and one.id in asked

    def erase(self) -> None:
        """Remove them. Also if there is none: whoever was killed may have left their bytes."""
        if self._numbers or self._inbox.end():
            self._inbox.remove(self._numbers)


def _values(record: object) -> Iterator[object]:
    """What an event says, at any depth."""
    if isinstance(record, dict):
        record = list(record.values())
    if isinstance(record, list | tuple):
        for part in record:
            yield from _values(part)
    else:
        yield record
