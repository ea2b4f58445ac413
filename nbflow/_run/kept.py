"""Kept: the batch of a run as the ledger keeps it, so that a run can be run again without its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nbflow._run.batch import CHUNK, Batch
from nbflow._state import codec
from nbflow.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._state.ledger import Ledger


def keep_head(ledger: Ledger, run: str, batch: Batch) -> None:
    """Note what kind of batch follows; all of it follows at once, except for a stream, which is not read yet."""
    ledger.add_records(run, msgspec.msgpack.encode((batch.library, list(batch.key), batch.values)))
    if batch.library != "records":
        keep_block(ledger, run, batch.source)
    elif not batch.is_stream:
        for start in range(0, len(batch.source), CHUNK):
            keep_block(ledger, run, batch.source[start : start + CHUNK])


def keep_block(ledger: Ledger, run: str, value: Any) -> None:
    """Keep a frame, or a chunk of a list.

    Raises:
        CodecError: no bytes can be made of it.
    """
    written_as, payload = codec.encode(value)
    ledger.add_records(run, b"".join((written_as.encode(), b"\0", payload)))


def kept_batch(ledger: Ledger, run: str) -> Batch:
    """The batch of ``run``.

    Raises:
        UsageError: it was not kept.
    """
    blocks = ledger.records(run)
    head = next(blocks, None)
    if head is None:
        raise UsageError(f"The records of run {run} were not kept (keep_records=False, or they could not be written); send them again instead.")
    library, key, values = msgspec.msgpack.decode(head)
    source = list(_records(blocks)) if library == "records" else _read(next(blocks))
    return Batch(source, key, values=values)


def _records(blocks: Iterator[bytes]) -> Iterator[Any]:
    for block in blocks:
        yield from _read(block)


def _read(block: bytes) -> Any:
    written_as, _, payload = block.partition(b"\0")
    try:
        return codec.decode(written_as.decode(), payload)
    except CodecError as error:
        raise UsageError(f"The records of this run cannot be read here: {error}") from error
