"""LeftBehind: saved outputs that stay when the run that made them is deleted, and whose they are.

They stay because a run under way may look them up, or because the user kept them. The
next prune takes those of the first kind that nobody needs any more; an erasure finds a
person's in both. Of the keys of records only digests are kept.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from blake3 import blake3

from nbflow._core.entry import KEY_BYTES, Called, Item, Listed
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbflow._store.ledger import Ledger

__all__ = ["UNKNOWN", "Deleted", "LeftBehind", "digest_of"]

#: Stands for the record where nobody knows which one it was: its process was killed.
UNKNOWN = b""


def digest_of(key: str) -> bytes:
    """What stands for the key of a record."""
    return blake3(f"nbflow record {key}".encode()).digest(KEY_BYTES)


class Deleted(NamedTuple):
    """What one deleted run left.

    Attributes:
        run: its id.
        event: what was sent.
        is_wanted: the user kept it on purpose.
        outputs: keys of outputs by the digest of the record's key.
    """

    run: str
    event: str
    is_wanted: bool
    outputs: dict[bytes, set[bytes]]

    @property
    def all(self) -> set[bytes]:
        """The keys of all its outputs."""
        return set().union(*self.outputs.values())


def whose_are(ledger: Ledger, run: str, outputs: set[bytes]) -> dict[bytes, set[bytes]]:
    """Some outputs of a run by the digests of the keys of the records that name them.

    Raises:
        StoreError: the ledger of the run cannot be read.
    """
    keys: dict[int, bytes] = {}
    named: defaultdict[int, set[bytes]] = defaultdict(set)
    for entries, _ in ledger.blocks(run):
        for entry in entries:
            if isinstance(entry, Listed):
                keys[entry.record] = digest_of(entry.key)
            elif isinstance(entry, Item | Called) and entry.checkpoint is not None:
                named[entry.record].add(bytes.fromhex(entry.checkpoint))
    found: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for record, made in named.items():
        found[keys.get(record, UNKNOWN)] |= made & outputs
    found[UNKNOWN] |= outputs.difference(*found.values())
    return {record: made for record, made in found.items() if made}


_Noted = tuple[str, bool, list[tuple[bytes, bytes]]]
_DECODER: msgspec.msgpack.Decoder[_Noted] = msgspec.msgpack.Decoder(_Noted)


class LeftBehind:
    """What the deleted runs of a store left."""

    def __init__(self, ledger: Ledger) -> None:
        self._journal = ledger.beside("left")

    def note(self, deleted: Deleted) -> None:
        """Note what a run leaves, before it is deleted; nothing if it leaves nothing.

        Raises:
            StoreError: it cannot be written.
        """
        if deleted.all:
            self._journal.add_records(deleted.run, _block(deleted))

    def runs(self) -> Iterator[Deleted]:
        """Each deleted run that left something.

        Raises:
            StoreError: it cannot be read.
        """
        for run in self._journal.runs():
            yield from (_read(run, block) for block in self._journal.records(run))

    def keep(self, stays: Callable[[Deleted, bytes, bytes], bool]) -> None:
        """Drop what does not stay; what nothing is left of goes from the disk.

        Args:
            stays: is asked for each output of each record.
        """
        for run in self._journal.runs():
            self._keep(run, stays)

    def _keep(self, run: str, stays: Callable[[Deleted, bytes, bytes], bool]) -> None:
        before = [_read(run, block) for block in self._journal.records(run)]
        after = [_kept(deleted, stays) for deleted in before]
        if not any(deleted.all for deleted in after):
            self._journal.remove(run)
        elif after != before:
            blocks = {
                _block(one): _block(two) for one, two in zip(before, after, strict=True)
            }
            self._journal.rewrite(run, "records", blocks.get)


def _kept(deleted: Deleted, stays: Callable[[Deleted, bytes, bytes], bool]) -> Deleted:
    outputs = {
        record: {key for key in keys if stays(deleted, record, key)}
        for record, keys in deleted.outputs.items()
    }
    return deleted._replace(
        outputs={one: keys for one, keys in outputs.items() if keys}
    )


def _block(deleted: Deleted) -> bytes:
    outputs = _joined(deleted.outputs)
    return msgspec.msgpack.encode((deleted.event, deleted.is_wanted, outputs))


def _joined(outputs: Mapping[bytes, set[bytes]]) -> list[tuple[bytes, bytes]]:
    """Keys end to end, in one order, so that equal ones have equal bytes."""
    return sorted((record, b"".join(sorted(keys))) for record, keys in outputs.items())


def _read(run: str, block: bytes) -> Deleted:
    try:
        event, is_wanted, joined = _DECODER.decode(block)
    except msgspec.MsgspecError as error:
        raise StoreError(
            "Another version of nbflow noted what deleted runs left in this store;"
            " update this one."
        ) from error
    outputs = {
        record: {
            keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)
        }
        for record, keys in joined
    }
    return Deleted(run, event, is_wanted, outputs)
