"""Intake: reads a batch, notes its records, and hands on those that are to run.

The batch is read in chunks by the thread that sends. Each chunk is looked up in bulk:
what is saved is noted as cached, the rest is started.
"""

from __future__ import annotations

import itertools
import time
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._call import failure, lookup
from nbflow._core.entry import Called, Item, Listed, Remark, Sent, Used
from nbflow._core.lifecycle import State
from nbflow._run import kept_batch
from nbflow._run.batch import CHUNK
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nbflow._core.usage import Usage
    from nbflow._run.batch import Batch, Row
    from nbflow._run.context import RunContext
    from nbflow._run.lane import Lane
    from nbflow._store.ledger import Ledger

    #: The number of a row's record, how often that record has been met, the row.
    Numbered = tuple[int, int, Row]
    #: Starts a record, by number and row, in flows, each with the key of its outcome.
    Start = Callable[[int, Row, list[tuple[int, str]]], None]

_FIRST_CHUNK = 16
#: Seconds for which rows of an iterator are gathered.
_SLOW = 0.2


class Saved(NamedTuple):
    """A record whose outcome is saved: what was used to make it, and whether this run did."""

    usage: Usage | None
    same: bool


class Intake:
    """The batch of one run, as it is read."""

    def __init__(self, context: RunContext, batch: Batch, start: Start) -> None:
        self.batch = batch
        #: Number of the record that stands in each row, as far as rows were read; not
        #: of an iterator, which gives no row again.
        self.rows = array("q")
        #: How many rows were read, and how many records they are.
        self._read = self._records = 0
        self._context = context
        self._start = start
        #: What the source of a stream raised.
        self.error: Exception | None = None
        #: The batch is what was kept of an iterator that was not read to its end.
        self.is_partial = False
        self._gathered: list[Numbered] = []
        #: Keeps every chunk of a stream in the ledger.
        self._keep_chunk: Callable[[list[Any]], None] | None = None

    def keep(self, ledger: Ledger, earlier: Iterable[str]) -> None:
        """Keep the batch for reruns from elsewhere: at once, or an iterator as it is read.

        ``earlier``: runs that may have kept the same.
        """
        try:
            kept_batch.keep_head(ledger, self._context.run, self.batch, earlier)
        except StoreError as error:
            self._not_kept(error)
            return
        if self.batch.is_stream:
            self._keep_chunk = lambda records: kept_batch.keep_block(
                ledger, self._context.run, records
            )

    def make_sure(self, ledger: Ledger) -> None:
        """Keep the batch, if the run that had the same has gone since."""
        try:
            kept_batch.make_sure(ledger, self._context.run, self.batch)
        except StoreError as error:
            self._not_kept(error)

    def _not_kept(self, error: StoreError) -> None:
        self._keep_chunk = None
        # An iterator does not give its records again.
        rerun = (
            "not be rerun" if self.batch.is_stream else "only be rerun from this kernel"
        )
        self._context.say(
            f"The records of run {self._context.run} could not be kept, so it can"
            f" {rerun}. {error}"
        )

    def read(self) -> None:
        """Read the batch to its end, or until the run is cancelled or the source raises."""
        rows = self.batch.numbered()
        # Small, so that the first records start at once; then larger, which is cheaper.
        size = _FIRST_CHUNK
        while chunk := self._chunk(rows, size):
            size = min(2 * size, CHUNK)
            fresh = self._list(chunk)
            if not self._context.cancelled.is_set():
                self._dispatch(fresh)
                continue
            for number, _ in fresh:
                self.drop(number)
            if self.batch.is_stream:
                self._context.say(
                    "The run was cancelled before the iterator was read to its end."
                )
                return
        if self.error is None:
            self._note_sent()
            return
        text = (
            f"The iterator raised {failure.describe(self.error)} after"
            f" {self._read:,} rows. Those run; send it again for the rest."
        )
        self._context.notes.add(Remark(self._context.now(), text))

    def raise_error(self) -> None:
        """Raise what the source raised, if it did."""
        if self.error is not None:
            raise self.error

    def _note_sent(self) -> None:
        """Note that the batch is read to its end; of an iterator only who exhausted it knows."""
        if not self.is_partial:
            self._context.notes.add(Sent(self._records))

    def _chunk(self, rows: Iterator[Numbered], size: int) -> list[Numbered]:
        """Return the next rows; none at the end, or once the source has raised.

        An iterator that takes its time, as one that asks an API for pages does, gives
        fewer at once.
        """
        if not self.batch.is_stream:
            return list(itertools.islice(rows, size))
        # Also held here: an interrupt may come before they are listed, and the iterator
        # does not give them again.
        chunk: list[Numbered] = []
        self._gathered = chunk
        if self.error is not None:
            return chunk
        begun = time.monotonic()
        try:
            for row in itertools.islice(rows, size):
                chunk.append(row)
                if time.monotonic() - begun > _SLOW:
                    break
        except Exception as error:
            self.error = error
        return chunk

    def _list(self, chunk: list[Numbered]) -> list[tuple[int, Row]]:
        """Note the records of a chunk; rows that repeat a record only count."""
        if self._keep_chunk is not None:
            try:
                self._keep_chunk([row.record for _, _, row in chunk])
            except StoreError as error:
                self._not_kept(error)
        if self._context.options.only is None:
            self._context.notes.extend(
                [Listed(number, row.key, times) for number, times, row in chunk]
            )
        self._count([number for number, _, _ in chunk])
        self._gathered = []
        return [(number, row) for number, times, row in chunk if times == 1]

    def _count(self, numbers: list[int]) -> None:
        self._read += len(numbers)
        self._records = max(self._records, max(numbers, default=-1) + 1)
        if not self.batch.is_stream:
            self.rows.extend(numbers)

    def list_rest(self, listed: int) -> None:
        """Note the records that an interrupt kept from being read; it may have come between two lines of `read`.

        Args:
            listed: the number of records that the ledger knows.
        """
        if self.batch.is_stream:
            # What the iterator gave is in the run; what it would have given, nobody
            # knows.
            if self._gathered and self._gathered[0][0] >= listed:
                self._list(self._gathered)
            return
        numbered = list(self.batch.numbered())
        self.rows, self._read = array("q"), 0
        self._count([number for number, _, _ in numbered])
        if self._context.options.only is None:
            self._context.notes.extend(
                [
                    Listed(number, row.key, times)
                    for number, times, row in numbered
                    if number >= listed or times > 1
                ]
            )
        self._note_sent()

    def _dispatch(self, fresh: list[tuple[int, Row]]) -> None:
        """Note what is done already, start the rest."""
        missing: dict[int, list[tuple[int, str]]] = {}
        rows = dict(fresh)
        for flow, lane in enumerate(self._context.lanes):
            keyed = self._keyed(flow, lane, fresh)
            done = self._saved(lane, keyed)
            self._note_cached(flow, lane, keyed, done)
            for number, key in keyed:
                if key not in done:
                    missing.setdefault(number, []).append((flow, key))
        for number in sorted(missing):
            self._start(number, rows[number], missing[number])

    def _keyed(
        self, flow: int, lane: Lane, fresh: list[tuple[int, Row]]
    ) -> list[tuple[int, str]]:
        """Return the numbers and keys of the records that are to run; those without a key fail here."""
        only, run = self._context.options.only, self._context.run
        keyed = []
        for number, row in fresh:
            if only is not None and (number, flow) not in only:
                continue
            error = row.error
            if error is None:
                try:
                    keyed.append((number, lane.key(row, run)))
                    continue
                except Exception as broken:
                    error = broken
            failed = failure.of(error)
            now = self._context.now()
            self._context.notes.add(
                Item(number, flow, State.FAILED, now, 0.0, None, 0, failed)
            )
        return keyed

    def _saved(self, lane: Lane, keyed: list[tuple[int, str]]) -> dict[str, Saved]:
        """Return the keys that are saved and fresh, with what the table shows of each."""
        context = self._context
        if context.ignores_saved(lane):
            return {}
        found = lookup.fresh_among(
            context.runner.store,
            [key for _, key in keyed],
            lane.ttl,
            context.now(),
            lambda error: context.say(str(error)),
        )
        return {
            key: Saved(checkpoint.usage, checkpoint.saved_at > context.since)
            for key, checkpoint in found
        }

    def _note_cached(
        self,
        flow: int,
        lane: Lane,
        keyed: list[tuple[int, str]],
        done: dict[str, Saved],
    ) -> None:
        found, now = [pair for pair in keyed if pair[1] in done], self._context.now()
        step = lane.name if lane.on_map else ""
        add = self._context.notes.extend
        # Those of one kind one after the other: the ledger writes them as one line.
        if lane.on_map:
            add(
                [
                    Called(
                        number,
                        flow,
                        lane.name,
                        State.CACHED,
                        now,
                        0.0,
                        0,
                        key,
                        same=done[key].same,
                    )
                    for number, key in found
                ]
            )
        add(
            [
                Used(number, flow, step, 0, now, usage, saved=True)
                for number, key in found
                if (usage := done[key].usage) is not None
            ]
        )
        add(
            [
                Item(number, flow, State.CACHED, now, 0.0, key, same=done[key].same)
                for number, key in found
            ]
        )

    def drop(self, number: int, flows: Iterable[int] | None = None) -> None:
        """Note that a record does not run, in the given flows or in all, as the run was cancelled."""
        context = self._context
        state = State.INTERRUPTED if context.is_interrupted else State.CANCELLED
        for flow in range(len(context.lanes)) if flows is None else flows:
            if context.wants(number, flow):
                context.notes.add(Item(number, flow, state, context.now()))
