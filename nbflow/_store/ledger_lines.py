"""LedgerLines: entries of the ledger as a block, in msgpack.

A line is a tag and the entry's fields. Where a block has several entries that differ in
little, these are columns instead (`nbflow._store.ledger_columns`): a record that ran
through three steps takes 110 bytes, 80 of them keys, and one that was cached 21.
"""

from __future__ import annotations

from itertools import repeat
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
from nbflow._store.ledger_columns import (
    LIST,
    SAME,
    column_of,
    deflated,
    inflated,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

__all__ = ["ABOUT", "decode", "encode", "entry_of", "masked", "packed"]

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
_USAGE = 5  # where `Used` has what was used
#: Entries about one record, whose first field is its number, and their tags.
ABOUT = frozenset({Listed, Item, Called, Printed, Waits, Awaits, Answered, Used})
ABOUT_TAGS = frozenset(_TAGS[kind] for kind in ABOUT)
#: Entries that may be columns, with the places of the fields that a group shares.
_SHARED: dict[type, tuple[int, ...]] = {
    Listed: (),
    Item: (1, 2),
    Called: (1, 2, 3),
    Used: (1, 2),
}
#: Of those, the places of what is about one record alone.
_PRIVATE: dict[type, frozenset[int]] = {
    Listed: frozenset({1}),
    Item: frozenset({7}),
    Called: frozenset({8}),
    Used: frozenset(),
}
#: The tag of a line that holds columns: of which group each entry is, the groups, and the
#: entries of none as lines. A group is the tag of its entries, the fields that they
#: share, and a column for each other field.
_COLUMNS = "columns"
#: An entry of no group, and the groups that a block may have; entries that are worth one.
_ALONE, _FEWEST = 255, 4
#: The tag of a line of older versions, of entries one after the other that differ in one
#: field: tag of its entries, the first one, what the others have in the place that differs.
_MANY = "many"
_VARIES: dict[type, int] = {Listed: 1, Item: 5, Called: 7, Used: 5}


def encode(entries: Sequence[Entry]) -> bytes:
    """The bytes of a block."""
    order, groups = _sorted(entries)
    if len(order) == order.count(_ALONE):
        return packed(list(map(_line, entries)))
    alone = [
        _line(entry)
        for entry, group in zip(entries, order, strict=True)
        if group == _ALONE
    ]
    grouped = [_group(members) for members in groups]
    return packed([(_COLUMNS, deflated(bytes(order)), grouped, alone)])


def _line(entry: Entry) -> Line:
    return [_TAGS[type(entry)], *entry]


def _sorted(entries: Sequence[Entry]) -> tuple[bytes, list[list[Any]]]:
    """Of which group each entry is, and the groups that are worth it."""
    order = bytearray()
    known: dict[tuple[object, ...], int] = {}
    groups: list[list[Any]] = []
    for entry in entries:
        # By the identity of a state: hashing a member of an enum is slow.
        kind: tuple[object, ...]
        if type(entry) is Called:
            kind = entry[1], entry[2], id(entry[3])
        elif type(entry) is Item:
            kind = entry[1], id(entry[2])
        elif type(entry) is Listed:
            kind = ()
        elif type(entry) is Used:
            kind = Used, entry[1], entry[2]
        else:
            order.append(_ALONE)
            continue
        group = known.setdefault(kind, len(groups))
        if group == len(groups):
            groups.append([])
        if group >= _ALONE:
            order.append(_ALONE)
            continue
        groups[group].append(entry)
        order.append(group)
    return _without_small(order, groups)


def _without_small(
    order: bytearray, groups: list[list[Any]]
) -> tuple[bytes, list[list[Any]]]:
    kept = [
        number for number, group in enumerate(groups[:_ALONE]) if len(group) >= _FEWEST
    ]
    places = bytearray([_ALONE]) * 256
    for place, number in enumerate(kept):
        places[number] = place
    return bytes(order.translate(places)), [groups[number] for number in kept]


def _group(members: list[Any]) -> Line:
    kind = type(members[0])
    shared, private = _SHARED[kind], _PRIVATE[kind]
    columns = [
        column_of(values, is_private=place in private)
        for place, values in enumerate(zip(*members, strict=True))
        if place not in shared
    ]
    return [_TAGS[kind], [members[0][place] for place in shared], columns]


def packed(value: Any) -> bytes:
    """Plain data as bytes."""
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:  # an error may quote the name of a file that is no UTF-8
        return msgspec.msgpack.encode(_encodable(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list | tuple):
        return [_encodable(part) for part in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(part) for key, part in value.items()}
    return value


def decode(block: bytes | memoryview) -> list[Entry]:
    """The entries of a block."""
    entries: list[Entry] = []
    for line in msgspec.msgpack.decode(block):
        if line[0] == _COLUMNS:
            entries += _of_columns(line)
        elif line[0] == _MANY:
            entries += map(entry_of, _apart(line))
        else:
            entries.append(entry_of(line))
    return entries


def _of_columns(line: Line) -> list[Entry]:
    _, order, groups, alone = line
    numbers = inflated(order)
    sources: list[Iterator[Any]] = [map(entry_of, alone)] * (_ALONE + 1)
    for number, group in enumerate(groups):
        sources[number] = _entries_of(group, numbers.count(number))
    return [next(sources[number]) for number in numbers]


def _entries_of(group: Line, count: int) -> Iterator[Any]:
    """The entries of a group, in order."""
    tag, shared, columns = group
    kind: Any = _TYPES[tag]
    places, names = _SHARED[kind], kind._fields
    fields: dict[int, Iterable[Any]] = {
        place: repeat(_of_head(tag, place, value), count)
        for place, value in zip(places, shared, strict=True)
    }
    others = [place for place in range(len(names)) if place not in fields]
    # Older versions noted fewer fields.
    for place, column in zip(others, columns, strict=False):
        fields[place] = _read(kind, place, values_of(column, count))
    for place in others[len(columns) :]:
        fields[place] = repeat(kind._field_defaults[names[place]], count)
    found: Iterator[Any] = map(
        kind._make, zip(*map(fields.__getitem__, range(len(names))), strict=False)
    )
    return found


def _of_head(tag: str, place: int, value: Any) -> Any:
    """A field that a group shares, as an entry has it."""
    is_state = tag in _PLACES and place == _PLACES[tag][0]
    return BY_NAME[value] if is_state else value


def _read(kind: type, place: int, values: Iterable[Any]) -> Iterable[Any]:
    """The values of a column, as an entry has them."""
    if kind is Used and place == _USAGE:
        return map(Usage.noted, values)
    if kind is not Listed and place in _PRIVATE[kind]:
        return (None if value is None else Failure(*value) for value in values)
    return values


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
        fields[6:7] = map(tuple, fields[6:7])
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
    if tag == _COLUMNS:
        return _masked_columns(line, records, hide, everywhere=everywhere)
    if tag == _MANY:
        return _masked_many(line, records, hide, everywhere=everywhere)
    if tag in ABOUT_TAGS and fields[0] in records:
        return [tag, *_of_record(tag, fields)]
    if everywhere or tag == _TAGS[Remark]:
        return [tag, *_hidden(fields, hide)]
    return line


def _masked_columns(
    line: Line, records: Container[int], hide: Callable[[str], str], *, everywhere: bool
) -> Line:
    tag, order, groups, alone = line
    numbers = inflated(order)
    hidden = [
        _masked_group(group, numbers.count(place), records, hide, everywhere=everywhere)
        for place, group in enumerate(groups)
    ]
    lines = [_masked_line(each, records, hide, everywhere=everywhere) for each in alone]
    return [tag, order, hidden, lines]


def _masked_group(
    group: Line,
    count: int,
    records: Container[int],
    hide: Callable[[str], str],
    *,
    everywhere: bool,
) -> Line:
    tag, shared, columns = group
    kind = _TYPES[tag]
    numbers = list(values_of(columns[0], count))
    others = [place for place in range(len(kind._fields)) if place not in _SHARED[kind]]  # type: ignore[attr-defined]  # a named tuple
    hidden = []
    for place, (form, *held) in zip(others, columns, strict=False):
        is_text = form in (LIST, SAME)
        if is_text and place in _PRIVATE[kind] and held[0] is not None:
            held[0] = [
                _of_one(tag, value)
                if number in records
                else _hidden(value, hide)
                if everywhere
                else value
                for number, value in zip(numbers, held[0], strict=True)
            ]
        elif is_text and everywhere:
            held[0] = _hidden(held[0], hide)
        hidden.append([form, *held])
    return [tag, _hidden(shared, hide) if everywhere else shared, hidden]


def _of_one(tag: str, value: Any) -> Any:
    """A key or a failure without what it says."""
    if value is None or tag == _TAGS[Listed]:
        return value and _stars(value)
    step, error, *said = value
    return [step, error, *map(_stars, said)]


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
    if tag in _PLACES:
        place = _PLACES[tag][1]
        fields[place] = _of_one(tag, fields[place])
    return fields


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value in _WORDS else hide(value)
    if isinstance(value, list):
        return [_hidden(part, hide) for part in value]
    return value


def _stars(text: str) -> str:
    return "*" * len(text.encode())
