"""Standing: how a record stands in a run: as the flow of it that matters most.

A record is done once it is done in every flow; it needs somebody as soon as one of them
failed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nbflow._core.lifecycle import SHOWN, Reuse, Shown, State

if TYPE_CHECKING:
    from collections.abc import Sequence

#: States of a record in a flow, from the one that matters least.
_ORDER: tuple[Shown, ...] = (
    State.CACHED,
    Reuse.SAME,
    State.COMPLETED,
    State.CANCELLED,
    State.INTERRUPTED,
    State.QUEUED,
    State.RETRYING,
    State.WAITING,
    State.RUNNING,
    State.TIMED_OUT,
    State.FAILED,
)
#: The place of a state in that order, by its code.
_RANKS = bytes(map(_ORDER.index, SHOWN))
#: The code of a state, by its place in that order; `bytes.translate` takes 256.
_CODES = bytes(map(SHOWN.index, _ORDER)).ljust(256)
_QUEUED = _ORDER.index(State.QUEUED)


class Standings:
    """The number of records by how they stand, of a run with several flows.

    Costs a byte a record.
    """

    __slots__ = ("_tally", "ranks")

    def __init__(self, ranks: bytearray | None = None) -> None:
        #: How each record stands, by the place in that order.
        self.ranks = bytearray() if ranks is None else ranks
        self._tally = [self.ranks.count(rank) for rank in range(len(_ORDER))]

    @property
    def counts(self) -> Counter[Shown]:
        """The number of records by state."""
        numbers = zip(_ORDER, self._tally, strict=True)
        return Counter({state: number for state, number in numbers if number})

    def of(self, record: int) -> Shown:
        """How one record stands."""
        return _ORDER[self.ranks[record]]

    @property
    def codes(self) -> bytes:
        """How each record stands: a code each."""
        return bytes(self.ranks).translate(_CODES)

    def add(self) -> None:
        """Take in one more record, which is queued."""
        self.ranks.append(_QUEUED)
        self._tally[_QUEUED] += 1

    def move(
        self, record: int, before: int, after: int, flows: Sequence[bytearray]
    ) -> None:
        """Take in that a record left one state in one flow and reached another.

        Args:
            record: its number.
            before: the code of the state.
            after: likewise.
            flows: the codes of all records in each flow, up to the last one that is not
                queued; this move is among them.
        """
        ranks = self.ranks
        while record >= len(ranks):
            self.add()  # where only the entries of some records are read
        held, rank = ranks[record], _RANKS[after]
        if rank == held:
            return
        if rank < held:
            if _RANKS[before] != held:
                return
            for states in flows:
                other = _RANKS[states[record]] if record < len(states) else _QUEUED
                if other == held:
                    return
                if other > rank:  # noqa: PLR1730  # faster than max()
                    rank = other
        ranks[record] = rank
        self._tally[held] -= 1
        self._tally[rank] += 1
