"""Kept: the batch of a run as the ledger keeps it, so that a run can be run again without its kernel."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from nbflow._run.batch import CHUNK, Batch
from nbflow._store import codec
from nbflow.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from nbflow._run.batch import Row
    from nbflow._store.ledger import Ledger


#: Begins the only block of a run whose batch is that of an earlier one; its id follows.
_SAME = b"="
#: The journal of batches that outlive their run, as later ones refer to them.
ASIDE = "batches"


def keep_head(
    ledger: Ledger, run: str, batch: Batch, earlier: Iterable[str] = ()
) -> None:
    """Note what kind of batch follows; all of it follows at once, except for a stream, which is not read yet.

    A batch that one of the ``earlier`` runs has kept is not kept again.
    """
    for other in earlier if not batch.is_stream else ():
        owner = owner_of(ledger, other) or other
        if _is_kept(ledger, owner, batch):
            ledger.add_records(run, _SAME + owner.encode())
            return
    for block in _blocks(batch):
        ledger.add_records(run, block)


def _blocks(batch: Batch) -> Iterator[bytes]:
    """The blocks of a batch, as far as it is there."""
    yield msgspec.msgpack.encode((batch.library, list(batch.key), batch.values))
    if batch.library != "records":
        yield _block(batch.source)
    elif not batch.is_stream:
        for start in range(0, len(batch.source), CHUNK):
            yield _block(batch.source[start : start + CHUNK])


def _is_kept(ledger: Ledger, run: str, batch: Batch) -> bool:
    """Whether a run has kept this very batch; looked at up to the first difference."""
    pairs = itertools.zip_longest(blocks_of(ledger, run), _blocks(batch))
    return all(kept == ours for kept, ours in pairs)


def make_sure(ledger: Ledger, run: str, batch: Batch) -> None:
    """Keep the batch here, if the run that has it is gone: it went while this one began."""
    owner = owner_of(ledger, run)
    if owner is not None and next(blocks_of(ledger, owner), None) is None:
        ledger.rewrite(run, "records", lambda _block: None)
        keep_head(ledger, run, batch)


def owner_of(ledger: Ledger, run: str) -> str | None:
    """The run that has the batch of ``run``; ``None`` if it is its own, or was not kept."""
    first = next(ledger.records(run), None)
    if first is None or first[:1] != _SAME:
        return None
    return first[1:].decode()


def blocks_of(ledger: Ledger, run: str) -> Iterator[bytes]:
    """The blocks of a run's batch, its head first, whichever run has them."""
    owner = owner_of(ledger, run) or run
    blocks = ledger.records(owner)
    first = next(blocks, None)
    if first is None:
        return ledger.beside(ASIDE).records(owner)
    return itertools.chain((first,), blocks)


def keep_block(ledger: Ledger, run: str, value: object) -> None:
    """Keep a frame, or a chunk of a list.

    Raises:
        CodecError: no bytes can be made of it.
    """
    ledger.add_records(run, _block(value))


def _block(value: object) -> bytes:
    written_as, payload = codec.encode(value)
    return b"".join((written_as.encode(), b"\0", payload))


def kept_batch(ledger: Ledger, run: str, rows: int) -> Batch:
    """The batch of ``run``.

    Args:
        ledger: where it was kept.
        run: the id of the run.
        rows: how many rows the run is known to have.

    Raises:
        UsageError: it was not kept, or fewer rows than the run has: a process was
            killed, or refused a write, while it kept them.
    """
    blocks, (library, key, values) = _opened(ledger, run)
    source = list(_records(blocks)) if library == "records" else _frame(run, blocks)
    if len(source) < rows:
        raise UsageError(
            f"Only {len(source):,} of the {rows:,} records of run {run} were kept: its"
            f" process was killed, or a write was refused. {_SEND_AGAIN}"
        )
    return Batch(source, key, values=values)


_SEND_AGAIN = "Send them again instead. What is done is found, not computed again."


def _frame(run: str, blocks: Iterator[bytes]) -> Any:
    block = next(blocks, None)
    if block is None:
        raise _not_kept(run)
    return _read(block)


def _not_kept(run: str) -> UsageError:
    return UsageError(
        f"The records of run {run} were not kept (keep_records=False, or they could not"
        f" be written). {_SEND_AGAIN}"
    )


def _opened(
    ledger: Ledger, run: str
) -> tuple[Iterator[bytes], tuple[str, list[str], bool]]:
    """The blocks of a batch that follow its head, and the head."""
    blocks = blocks_of(ledger, run)
    head = next(blocks, None)
    if head is None:
        raise _not_kept(run)
    return blocks, msgspec.msgpack.decode(head)


def kept_row(ledger: Ledger, run: str, place: int) -> Row | None:
    """One row of the batch of ``run``; of a long list no more is decoded than what it stands in.

    `None` where it can only be found by reading everything before it: of an iterator.

    Raises:
        UsageError: it was not kept.
    """
    blocks, (library, key, values) = _opened(ledger, run)
    first, at = next(blocks, None), place
    source = _read(first) if first is not None else ()
    if library == "records" and len(source) == CHUNK <= place:
        skipped, at = divmod(place, CHUNK)
        block = next(itertools.islice(blocks, skipped - 1, None), None)
        source = _read(block) if block is not None else ()
    if at >= len(source):
        return None
    row = Batch(source, key, values=values).row(at)
    return row if at == place or key else row._replace(key=str(place))


def first_rows(ledger: Ledger, run: str, count: int) -> list[Row]:
    """As many rows of the batch of ``run`` from its beginning, or fewer, of a list no more than a block.

    Raises:
        UsageError: it was not kept.
    """
    blocks, (_, key, values) = _opened(ledger, run)
    first = next(blocks, None)
    source = _read(first) if first is not None else ()
    batch = Batch(source, key, values=values)
    return [batch.row(place) for place in range(min(count, len(source)))]


def kept_rows(ledger: Ledger, run: str) -> Iterator[Any]:
    """The rows of the batch of ``run``, in order, as far as they were kept.

    Of a list no more is in memory than a block.

    Raises:
        UsageError: it was not kept.
    """
    blocks, (library, *_) = _opened(ledger, run)
    if library == "records":
        yield from _records(blocks)
        return
    batch = Batch(_frame(run, blocks), values=True)
    for start in range(0, batch.total or 0, CHUNK):
        yield from batch.raw(start, start + CHUNK)


def _records(blocks: Iterator[bytes]) -> Iterator[Any]:
    for block in blocks:
        yield from _read(block)


def without(block: bytes, start: int, rows: Container[int]) -> tuple[bytes, int]:
    """A block of a list with nothing in the place of some rows, and the place behind it.

    Args:
        block: as it was kept.
        start: the place of its first row.
        rows: the places of those that go.
    """
    records = list(_read(block))
    behind = start + len(records)
    if not any(place in rows for place in range(start, behind)):
        return block, behind
    left = [
        None if place in rows else record for place, record in enumerate(records, start)
    ]
    return _block(left), behind


def _read(block: bytes) -> Any:
    written_as, _, payload = block.partition(b"\0")
    try:
        return codec.decode(written_as.decode(), payload)
    except CodecError as error:
        raise UsageError(
            f"The records of this run cannot be read here: {error}"
        ) from error
