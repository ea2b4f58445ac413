"""Texts: a list of many short texts that takes their bytes, and eight for each.

A million keys of records as Python objects take 66 MB; here they take 17.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import overload

#: Stands before and behind each text; no byte of UTF-8 is like it.
_BETWEEN = b"\xff"
#: Names of files that are no UTF-8 are texts too.
_UTF8 = "utf-8", "surrogatepass"
#: Texts that become objects at once.
_PAGE = 1024


class Texts(Sequence[str]):
    """Texts in the order in which they were appended."""

    __slots__ = ("_bytes", "_ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray(_BETWEEN)
        #: Where the text after each one begins.
        self._ends = array("Q")
        for text in texts:
            self.append(text)

    @classmethod
    def joined(cls, raw: bytearray, lengths: array[int]) -> Texts:
        """The texts of which these are `raw`, which it takes over, and `lengths`."""
        texts = cls()
        texts._bytes = raw
        texts._ends = array("Q", accumulate(lengths, initial=1))
        del texts._ends[0]
        return texts

    @property
    def raw(self) -> bytearray:
        """All of them, with a byte before, between and behind them."""
        return self._bytes

    @property
    def lengths(self) -> array[int]:
        """The bytes of each, with the one behind it."""
        found, before = array("I"), 1
        for end in self._ends:
            found.append(end - before)
            before = end
        return found

    def append(self, text: str) -> None:
        """Add one."""
        self._bytes += text.encode(*_UTF8) + _BETWEEN
        self._ends.append(len(self._bytes))

    def extend(self, texts: Sequence[str]) -> None:
        """Add several."""
        for text in texts:
            self.append(text)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        end = self._ends[place]
        place %= len(self._ends)
        start = self._ends[place - 1] if place else 1
        return self._bytes[start : end - 1].decode(*_UTF8)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _PAGE):
            start = self._ends[first - 1] if first else 1
            end = self._ends[min(first + _PAGE, len(self)) - 1]
            for text in self._bytes[start : end - 1].split(_BETWEEN):
                yield text.decode(*_UTF8)

    def index(self, text: object, start: int = 0, stop: int | None = None) -> int:
        """The place of the first text that equals this one.

        Raises:
            ValueError: there is none.
        """
        at = self._find(text, start)
        if at >= 0:
            place = bisect_right(self._ends, at + 1)
            if stop is None or place < stop:
                return place
        raise ValueError(f"{text!r} is not among {len(self):,} texts")

    def __contains__(self, text: object) -> bool:
        return self._find(text) >= 0

    def _find(self, text: object, start: int = 0) -> int:
        if not isinstance(text, str):
            return -1
        wanted = _BETWEEN + text.encode(*_UTF8) + _BETWEEN
        return self._bytes.find(wanted, self._ends[start - 1] - 1 if start else 0)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self._bytes == other._bytes
        return list(self) == other

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return repr(list(self))
