"""Numbers: which number the record with a key has, in some 16 bytes a key.

A dict would hold every key and every number as an object: 190 bytes a record.
"""

from __future__ import annotations

from array import array

__all__ = ["Numbers"]

#: Places of the table at first, and the share of them that may be taken.
_PLACES, _FULL = 64, 0.6


class Numbers:
    """Numbers of records, by key.

    A key is known by its hash of 64 bits: of a million keys two have one by a chance of
    1 in 40 million. Who asks compares contents as well, so they would not be mistaken
    for one record but reported as two of one key.
    """

    __slots__ = ("_hashes", "_mask", "_room", "_table")

    def __init__(self) -> None:
        #: By number. Those of records that are in no place stand for nothing.
        self._hashes = array("q")
        #: An open hash table: one more than the number in each place that is taken.
        self._table = array("I", bytes(4 * _PLACES))
        self._mask = _PLACES - 1
        self._room = int(_FULL * _PLACES)

    def setdefault(self, key: str, number: int) -> int:
        """The number of ``key``; this one if it has none, which must be larger than all before."""
        table, hashes, mask, wanted = self._table, self._hashes, self._mask, hash(key)
        place = wanted & mask
        while taken := table[place]:
            if hashes[taken - 1] == wanted:
                return taken - 1
            place = (place + 1) & mask
        missing = number - len(hashes)
        if missing:
            hashes.frombytes(bytes(8 * missing))
        hashes.append(wanted)
        table[place] = number + 1
        self._room -= 1
        if not self._room:
            self._grow()
        return number

    def _grow(self) -> None:
        before, hashes = self._table, self._hashes
        size = 2 * len(before)
        table, mask = array("I", bytes(4 * size)), size - 1
        for taken in before:
            if taken:
                place = hashes[taken - 1] & mask
                while table[place]:
                    place = (place + 1) & mask
                table[place] = taken
        self._table, self._mask = table, mask
        self._room = int(_FULL * size) - int(_FULL * len(before))
