"""Summary: a snapshot of a run as blocks, a file beside the run's entries.

The first block says how long the facts and each column are; they follow end to end, cut
into pieces, so that neither who writes nor who reads holds them twice. A piece is
compressed where that pays.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from nbflow._core.snapshot import Snapshot
from nbflow._store.ledger_lines import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["decode", "encode"]

_PIECE = 1 << 20
#: Of a piece: as it is, or compressed; and the share that compressing has to save.
_PLAIN, _DEFLATED, _PAYS = b"\0", b"\1", 0.9
#: Bytes of a piece that are compressed to see whether it pays.
_SAMPLE = 4096


def encode(snapshot: Snapshot) -> Iterator[bytes]:
    """The blocks of a snapshot."""
    facts = packed(snapshot.facts)
    views = [memoryview(column).cast("B") for column in (facts, *snapshot.columns)]
    yield packed([len(view) for view in views])
    for view in views:
        for start in range(0, len(view), _PIECE):
            yield _squeezed(view[start : start + _PIECE])


def _squeezed(piece: memoryview) -> bytes:
    sample = piece[:_SAMPLE]
    if len(zlib.compress(sample, 1)) < _PAYS * len(sample):
        return _DEFLATED + zlib.compress(piece, 1)
    return _PLAIN + piece


def decode(blocks: Iterable[bytes | memoryview]) -> Snapshot | None:
    """The snapshot of these blocks; ``None`` if some are missing, or it has another form."""
    read = iter(blocks)
    head = next(read, None)
    if head is None:
        return None
    columns: list[bytearray] = []
    for length in msgspec.msgpack.decode(head):
        column = bytearray()
        while len(column) < length:
            piece = next(read, None)
            if piece is None:
                return None
            is_plain = piece[:1] == _PLAIN
            column += piece[1:] if is_plain else zlib.decompress(piece[1:])
        columns.append(column)
    facts: dict[str, Any] = msgspec.msgpack.decode(columns.pop(0))
    found = Snapshot(facts, list(columns))
    return found if found.is_of_this_form else None
