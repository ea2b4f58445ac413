"""KeyFilter: says of most keys that a table does not have them, without asking it.

It is never wrong in saying no. Of the keys that are not there it takes one in a hundred
for one that may be, and whoever asks looks then. A Bloom filter, which keys make easy:
they are digests already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KeyFilter"]

#: Bits for each key that a layer has room for, the room of the first layer at least and
#: at most (8 MB), and how many times as much the next one has.
_EACH, _FIRST, _MOST, _TIMES = 16, 1 << 16, 1 << 22, 4
#: Digits of a key that choose its two bits, and by how much the second is shifted.
_DIGITS, _SHIFT = 15, 30


class KeyFilter:
    """Two bits for each key, chosen by its digits. For all threads, one of which adds.

    A full layer gets a larger one beside it, so nothing is ever built again.
    """

    def __init__(self, keys: Iterable[str] = (), count: int = 0) -> None:
        self._layers: tuple[tuple[bytearray, int], ...] = ()
        self._size = self._room = 0
        self._grow(min(max(_FIRST, 1 << count.bit_length()), _MOST))
        self.add(keys)

    def _grow(self, size: int) -> None:
        """Add a layer with room for so many keys, a power of two."""
        self._size = self._room = size
        bits = size * _EACH
        self._layers = (*self._layers, (bytearray(bits >> 3), bits - 1))

    def add(self, keys: Iterable[str]) -> None:
        """Take in keys; what is none, as in a damaged row, nobody asks for."""
        for key in keys:
            if not self._room:
                self._grow(_TIMES * self._size)
            try:
                number = int(key[:_DIGITS], 16)
            except (TypeError, ValueError):
                continue
            self._room -= 1
            bits, mask = self._layers[-1]
            place, other = number & mask, number >> _SHIFT & mask
            bits[place >> 3] |= 1 << (place & 7)
            bits[other >> 3] |= 1 << (other & 7)

    def may_have(self, key: str) -> bool:
        """Return whether the key may have been added."""
        number = int(key[:_DIGITS], 16)
        for bits, mask in self._layers:
            place, other = number & mask, number >> _SHIFT & mask
            if bits[place >> 3] >> (place & 7) & bits[other >> 3] >> (other & 7) & 1:
                return True
        return False
