"""LedgerColumns: many entries of the ledger as columns, where lines would repeat themselves.

Entries that differ in numbers, keys and texts alone are a group; ``order`` says of which
group each entry is, so that they come back in their order. A column is a kind and what
it holds:

- ``SAME``: one value for all; ``LIST``: one each;
- ``INTS``: the first, and the differences from one to the next;
- ``TIMES``: the same in quarters of a microsecond, which hold what a clock says exactly;
- ``KEYS``: keys of checkpoints, end to end.

Only numbers are compressed: a text that has to go is starred in its place, and the block
keeps its length.
"""

from __future__ import annotations

import zlib
from array import array
from itertools import accumulate, repeat
from operator import sub
from typing import TYPE_CHECKING, Any

from nbflow._core.duration import PARTS
from nbflow._core.entry import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["LIST", "SAME", "column_of", "deflated", "inflated", "values_of"]

SAME, LIST, INTS, TIMES, KEYS = range(5)
_PLAIN, _DEFLATED = 0, 1
#: Bytes from which compressing is tried.
_FEWEST = 32
#: Numbers up to which sums of differences are exact.
_LARGEST = 2.0**62


def column_of(values: Sequence[Any], *, is_private: bool = False) -> list[Any]:
    """A column of a group.

    Args:
        values: of the entries, one each.
        is_private: they are of one record each, so they stand apart even where they are
            equal.
    """
    first, kinds = values[0], set(map(type, values))
    if len(kinds) > 1:
        return [LIST, values]
    if first is None or (not is_private and values.count(first) == len(values)):
        return [SAME, first]
    form = _FORMS.get(type(first)) if not is_private else None
    found = form(values) if form is not None else None
    return [LIST, values] if found is None else found


def values_of(column: Sequence[Any], count: int) -> Iterable[Any]:
    """The values of a column, one each."""
    kind, *held = column
    if kind == SAME:
        return repeat(held[0], count)
    if kind == LIST:
        values: list[Any] = held[0]
        return values
    if kind == KEYS:
        text = held[0].hex()
        width = 2 * KEY_BYTES
        return [text[place : place + width] for place in range(0, len(text), width)]
    ints = accumulate(_ints(held[1]), initial=held[0])
    return ints if kind == INTS else [number / PARTS for number in ints]


def _numbers(values: Sequence[int], form: int = INTS) -> list[Any] | None:
    """How each number differs from the one before, in as few bytes as the largest needs."""
    differences = list(map(sub, values[1:], values))
    for size in "bhiq":
        try:
            packed = array(size, differences)
        except OverflowError:
            continue
        return [form, values[0], [size, *deflated(_planes(packed))]]
    return None


def _ints(held: Sequence[Any]) -> Iterable[int]:
    size, *packed = held
    found: array[int] = array(size)
    found.frombytes(_joined(inflated(packed), found.itemsize))
    return found


def _planes(numbers: array[int]) -> bytes:
    """The first bytes of all numbers, then the second ones: those are alike, so they compress well."""
    raw, width = numbers.tobytes(), numbers.itemsize
    return raw if width == 1 else b"".join(raw[place::width] for place in range(width))


def _joined(planes: bytes, width: int) -> bytes:
    if width == 1:
        return planes
    raw, count = bytearray(len(planes)), len(planes) // width
    for place in range(width):
        raw[place::width] = planes[place * count : (place + 1) * count]
    return bytes(raw)


def deflated(data: bytes) -> list[Any]:
    """Bytes, compressed if that makes them fewer."""
    if len(data) >= _FEWEST:
        fewer = zlib.compress(data, 1)
        if len(fewer) < len(data):
            return [_DEFLATED, fewer]
    return [_PLAIN, data]


def inflated(held: Sequence[Any]) -> bytes:
    """What `deflated` was given."""
    kind, data = held
    return zlib.decompress(data) if kind == _DEFLATED else bytes(data)


def _times(values: Sequence[float]) -> list[Any] | None:
    # By a power of two, so that nothing is rounded.
    scaled = [value * PARTS for value in values]
    if not all(map(_is_exact, scaled)):
        return None  # made elsewhere
    return _numbers(list(map(int, scaled)), TIMES)


def _is_exact(number: float) -> bool:
    return number.is_integer() and abs(number) < _LARGEST


def _keys(values: Sequence[str]) -> list[Any] | None:
    text = "".join(values)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    is_whole = set(map(len, values)) == {2 * KEY_BYTES} and raw.hex() == text
    return [KEYS, raw] if is_whole else None


#: How values of a type are written.
_FORMS: dict[type, Callable[[Any], list[Any] | None]] = {
    int: _numbers,
    float: _times,
    str: _keys,
}
