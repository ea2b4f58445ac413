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
        #: What the last block ends in, which tells it from every other.
        self._tail = b""
        self._blocks = array("q")
        self._mutex = fork.free_lock()

    def note(
        self, start: int, end: int, records: Sequence[int], tail: bytes = b""
    ) -> None:
        """Note that the block from ``start`` to ``end``, in ``tail``, is about ``records``.

        Ignored unless the block follows the last one.
        """
        with self._mutex:
            if start != self.end:
                return
            self.end, self._tail = end, tail
            if records:
                self._blocks.extend((start, min(records), max(records)))

    def noted(self) -> tuple[int, bytes, bytes]:
        """Where the last block ends, in what, and all blocks, for `restore`."""
        with self._mutex:
            return self.end, self._tail, self._blocks.tobytes()

    def restore(self, end: int, tail: bytes, blocks: bytes) -> None:
        """Take in what was noted elsewhere, if that is more."""
        with self._mutex:
            if end > self.end:
                self.end, self._tail, self._blocks = end, tail, array("q")
                self._blocks.frombytes(blocks)

    def around(self, record: int) -> list[int]:
        """The starts of the blocks that may be about ``record``."""
        with self._mutex:
            blocks = self._blocks[:]
        spans = zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True)
        return [start for start, first, last in spans if first <= record <= last]
