"""Spans: which records the blocks of a run's entries are about."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from nbflow._key import fork

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spans:
    """The blocks of one run.

    Of each block this keeps the first and the last record. Records go through a run one
    after the other, so that few blocks are about any one of them.
    """

    def __init__(self) -> None:
        self.end = 0
        self._blocks = array("q")
        self._mutex = fork.free_lock()

    def note(self, start: int, end: int, records: Sequence[int]) -> None:
        """Note that the block from ``start`` to ``end`` is about ``records``.

        Ignored unless the block follows the last one.
        """
        with self._mutex:
            if start != self.end:
                return
            self.end = end
            if records:
                self._blocks.extend((start, min(records), max(records)))

    def around(self, record: int) -> list[int]:
        """The starts of the blocks that may be about ``record``."""
        with self._mutex:
            blocks = self._blocks[:]
        spans = zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True)
        return [start for start, first, last in spans if first <= record <= last]
