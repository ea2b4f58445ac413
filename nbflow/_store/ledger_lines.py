"""LedgerLines: entries of the ledger as the lines of a block, in msgpack.

A line is a tag and the entry's fields. Entries of one kind about one record after the
other, as a send that finds everything saved makes them, are one line: the fields that
they share, then a list of those that differ. That is 21 bytes for each cached record
instead of 90.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from nbflow._core.entry import (
    KEY_BYTES,
    Answered,
    Awaits,
    Called,
    Closed,
    Coded,
    Entry,
    Failure,
    Item,
    Listed,
    Opened,
    Printed,
    Remark,
    Resumed,
    Sent,
    Used,
    Waits,
)
from nbflow._core.lifecycle import BY_NAME, Shown
from nbflow._core.usage import Usage
from nbflow._core.visible import encodable

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

__all__ = ["ABOUT", "ABOUT_TAGS", "decode", "encode", "entry_of", "masked"]

#: An entry as msgpack holds it: its tag, then its fields.
Line: TypeAlias = "list[Any]"

_TAGS: dict[type, str] = {
    Opened: "open",
    Resumed: "resume",
    Coded: "code",
    Listed: "record",
    Sent: "sent",
    Item: "item",
    Called: "call",
    Printed: "printed",
    Waits: "waits",
    Awaits: "awaits",
    Answered: "answered",
    Used: "used",
    Remark: "remark",
    Closed: "close",
}
_TYPES = {tag: kind for kind, tag in _TAGS.items()}
#: What entries say in words of ours, whatever is to be hidden.
_WORDS = frozenset({*BY_NAME, "PARTIAL"})
#: Of an entry with a state: the places of its state and of its failure.
_PLACES = {"item": (2, 7), "call": (3, 8)}
#: Entries about one record, whose first field is its number, and their tags.
ABOUT = frozenset({Listed, Item, Called, Printed, Waits, Awaits, Answered, Used})
ABOUT_TAGS = frozenset(_TAGS[kind] for kind in ABOUT)
#: Entries that may share a line, and the place of the field that differs.
_VARIES: dict[type, int] = {Listed: 1, Item: 5, Called: 7, Used: 5}
#: The tag of such a line: tag of its entries, the first one, what the others have in
#: the place that differs.
_MANY = "many"
#: Entries that are worth a line together.
_FEWEST = 3


def encode(entries: Sequence[Entry]) -> bytes:
    """The bytes of a block."""
    lines = list(_lines(entries))
    try:
        return msgspec.msgpack.encode(lines)
    except UnicodeEncodeError:  # an error may quote the name of a file that is no UTF-8
        return msgspec.msgpack.encode(_encodable(lines))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list | tuple):
        return [_encodable(part) for part in value]
    return value


def _lines(entries: Sequence[Entry]) -> Iterator[Any]:
    numbered = enumerate(entries)
    for shared, group in groupby(numbered, lambda pair: _shared(*pair)):
        alike = [entry for _, entry in group]
        if shared is None or len(alike) < _FEWEST:
            yield from ((_TAGS[type(entry)], *entry) for entry in alike)
        else:
            yield _together(alike)


def _shared(number: int, entry: Entry) -> object:
    """What entries have in common that share a line, the distance of record and place included."""
    place = _VARIES.get(type(entry))
    if place is None:
        return None
    fields: tuple[Any, ...] = entry
    rest = fields[1:place] + fields[place + 1 :]
    return type(entry), fields[0] - number, rest


def _together(entries: list[Entry]) -> Line:
    first: tuple[Any, ...] = entries[0]
    place = _VARIES[type(entries[0])]
    column = [entry[place] for entry in entries]
    return [_MANY, _TAGS[type(entries[0])], first, _packed(column)]


def _packed(column: list[Any]) -> bytes | list[Any]:
    """Keys of checkpoints end to end; anything else as it is."""
    try:
        raw = [bytes.fromhex(key) for key in column]
    except (TypeError, ValueError):
        return column
    is_keys = all(
        len(one) == KEY_BYTES and one.hex() == key
        for one, key in zip(raw, column, strict=True)
    )
    return b"".join(raw) if is_keys else column


def decode(block: bytes | memoryview) -> list[Line]:
    """The lines of a block, one for each entry."""
    lines: list[Line] = []
    for line in msgspec.msgpack.decode(block):
        if line[0] == _MANY:
            lines += _apart(line)
        else:
            lines.append(line)
    return lines


def _apart(line: Line) -> Iterable[Line]:
    _, tag, (first, *fields), column = line
    place = _VARIES[_TYPES[tag]]
    for number, value in enumerate(_unpacked(column), first):
        each = [tag, number, *fields]
        each[place + 1] = value
        yield each


def _unpacked(column: bytes | list[Any]) -> list[Any]:
    if not isinstance(column, bytes):
        return column
    starts = range(0, len(column), KEY_BYTES)
    return [column[start : start + KEY_BYTES].hex() for start in starts]


def entry_of(line: Line) -> Entry:
    """The entry that `encode` wrote as ``line``."""
    tag, *fields = line
    places = _PLACES.get(tag)
    if places is not None:
        state, failure = places
        fields[state] = BY_NAME[fields[state]]
        if fields[failure] is not None:
            fields[failure] = Failure(*fields[failure])
    elif tag == "open":
        fields[2] = tuple(fields[2])
        fields[8:9] = map(tuple, fields[8:9])
    elif tag == "code":
        fields[4:5] = map(tuple, fields[4:5])
    elif tag == "printed":
        fields[4] = tuple(map(tuple, fields[4]))
    elif tag == "used":
        fields[5] = Usage.noted(fields[5])
    elif tag == "close":
        fields[4:6] = map(Usage.noted, fields[4:6])
        for place in (3, 8):
            counts = fields[place : place + 1]
            fields[place : place + 1] = map(_by_state, counts)
    entry: Entry = _TYPES[tag](*fields)
    return entry


def _by_state(counts: dict[str, int]) -> dict[Shown, int]:
    return {BY_NAME[name]: number for name, number in counts.items()}


def masked(
    block: bytes,
    records: Container[int],
    hide: Callable[[str], str],
    *,
    everywhere: bool,
) -> bytes:
    """A block of the same length, with what it says of some records hidden.

    Args:
        block: as `encode` wrote it.
        records: the numbers of those records: their keys and errors go.
        hide: gives a text of the same bytes for what else is said.
        everywhere: in what is said of other records, and of the run, too.
    """
    lines = [
        _masked_line(line, records, hide, everywhere=everywhere)
        for line in msgspec.msgpack.decode(block)
    ]
    return msgspec.msgpack.encode(lines)


def _masked_line(
    line: Line, records: Container[int], hide: Callable[[str], str], *, everywhere: bool
) -> Any:
    tag, *fields = line
    if tag == _MANY:
        return _masked_many(line, records, hide, everywhere=everywhere)
    if tag in ABOUT_TAGS and fields[0] in records:
        return [tag, *_of_record(tag, fields)]
    if everywhere or tag == _TAGS[Remark]:
        return [tag, *_hidden(fields, hide)]
    return line


def _masked_many(
    line: Line, records: Container[int], hide: Callable[[str], str], *, everywhere: bool
) -> Line:
    tag, of, first, column = line
    numbers = range(first[0], first[0] + len(column))
    if any(number in records for number in numbers):
        first = _of_record(of, first)
    if everywhere:
        first = _hidden(first, hide)
    if of == _TAGS[Listed]:
        column = [
            _stars(key) if number in records else hide(key) if everywhere else key
            for number, key in zip(numbers, column, strict=True)
        ]
        first = [*first[:1], column[0], *first[2:]]
    return [tag, of, first, column]


def _of_record(tag: str, fields: Line) -> Line:
    """The fields of a record's entry, without its key, and without what an error said."""
    fields = list(fields)
    if tag == _TAGS[Listed]:
        fields[1] = _stars(fields[1])
    if tag == _TAGS[Waits]:
        fields[4] = _stars(fields[4])
    if tag == _TAGS[Awaits]:
        fields[6] = _stars(fields[6])
    if tag == _TAGS[Answered]:
        fields[4:6] = map(_stars, fields[4:6])
    if tag == _TAGS[Printed]:
        fields[4] = [[kind, _stars(text)] for kind, text in fields[4]]
    if tag in _PLACES and fields[_PLACES[tag][1]] is not None:
        step, error, *said = fields[_PLACES[tag][1]]
        fields[_PLACES[tag][1]] = [step, error, *map(_stars, said)]
    return fields


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value in _WORDS else hide(value)
    if isinstance(value, list):
        return [_hidden(part, hide) for part in value]
    return value


def _stars(text: str) -> str:
    return "*" * len(text.encode())
