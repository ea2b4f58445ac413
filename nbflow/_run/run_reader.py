"""RunReader: what is known of a run, from the process that works on it or from the ledger."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbflow._call import lookup
from nbflow._call.scope import GAPS
from nbflow._core.entry import DONE, Listed, RunState, Sent
from nbflow._core.headline import words_of
from nbflow._core.plural import several
from nbflow._core.sheet import Sheet
from nbflow._core.table import table_of
from nbflow._key.secret import KNOWN
from nbflow._key.warning import warn
from nbflow._run import decisions
from nbflow._run.kept_batch import kept_batch, kept_row, kept_rows
from nbflow._store import checkpoint
from nbflow.errors import StoreWarning, UnknownRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._call.engine import Engine
    from nbflow._core.entry import Entry
    from nbflow._core.table import Table
    from nbflow._run.batch import Batch, Row
    from nbflow._run.decisions import Decided
    from nbflow._run.execution import Execution
    from nbflow._run.runs import Runs
    from nbflow._store.checkpoint import Checkpoint

#: Records whose values are gone that a remark names.
_NAMED = 5


class RunReader:
    """One run as it stands: its state, its batch, its values, and the rows of its table.

    Where this process works on the run, what is known comes from its `Execution`;
    otherwise the reader follows the ledger, and takes in what is new at each look.
    """

    def __init__(self, runs: Runs, run: str, batch: Batch | None = None) -> None:
        self.runs = runs
        self.id = run
        #: The rows of the run's table, once somebody looks at it.
        self.sheet: Sheet | None = None
        #: The fields of a record that tables show; without any, those of the run.
        self.columns: tuple[str, ...] = ()
        #: Keeps this process's work on the run alive as long as somebody holds the run.
        self.held: Execution | None = None
        self._batch = batch
        self._read = RunState()
        self._position = 0
        self._mutex = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine on the store that the run is in."""
        return self.runs.engine

    @property
    def execution(self) -> Execution | None:
        """This process's work on the run, also when it has ended."""
        execution = self.runs.live.get(self.id) or self.held
        if execution is not None and self._was_overtaken(execution):
            self.runs.live.pop(self.id, None)
            self.held = None
            return None
        return execution

    def _was_overtaken(self, execution: Execution) -> bool:
        """Returns whether another process went on with a run that waited here."""
        if not execution.has_ended or not execution.state.awaited:
            return False
        end = execution.notes.end
        return end is not None and self.engine.ledger.size(self.id) != end

    # Its state.

    def state(self) -> RunState:
        """Return what is known now.

        Raises:
            UnknownRunError: the ledger does not have the run.
        """
        execution = self.execution
        if execution is not None:
            execution.notes.flush()
            return execution.state
        with self._mutex:
            return self._follow()

    @property
    def is_under_way(self) -> bool:
        """Returns whether some process works on the run."""
        execution = self.execution
        if execution is not None:
            return not execution.has_ended
        return self.state().state == "RUNNING"

    @property
    def is_stopping(self) -> bool:
        """Returns whether the run was cancelled and has not ended yet."""
        execution = self.execution
        if execution is not None:
            return execution.is_cancelled and not execution.has_ended
        return self._read.state == "RUNNING" and self.engine.ledger.is_asked_to_stop(
            self.id
        )

    @contextmanager
    def look(self) -> Iterator[tuple[RunState, Sheet]]:
        """The run's state and the rows of its table as they stand, held still for the block."""
        execution = self.execution
        if execution is None:
            with self._mutex:
                if self.sheet is None:
                    self._read, self._position, self.sheet = RunState(), 0, Sheet()
                yield self._follow(), self.sheet
            return
        notes = execution.notes
        notes.flush()
        with notes.mutex:
            if notes.sheet is None:
                notes.sheet = self.sheet = Sheet()
                for entries, _ in self.engine.ledger.blocks(self.id):
                    for entry in entries:
                        notes.sheet.apply(entry)
                for entry in notes.unwritten:
                    notes.sheet.apply(entry)
            yield execution.state, notes.sheet

    def _follow(self) -> RunState:
        """Take in what was noted since the last look, by whichever process works on the run."""
        before = self._position
        for entries, end in self.engine.ledger.blocks(self.id, before):
            self._take(entries)
            self._position = end
        if not self._read.run:
            raise UnknownRunError(f"Run {self.id} is not in the ledger.")
        is_dead = self._read.state == "RUNNING" and not self.runs.is_worked_on(self.id)
        is_new = self._position != before
        if is_dead or (is_new and self._read.state == "INTERRUPTED"):
            # A killed process left records as they were when it died.
            self._take(self._read.interrupt(self._read.ended))
        if is_dead:
            self._read.state = "INTERRUPTED"
            self.runs.note_end(self.id, self._position, self._read.closed())
        return self._read

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._read.apply(entry)
            if self.sheet is not None:
                self.sheet.apply(entry)

    def whole_state(self) -> RunState:
        """Return the state with the records that a killed process did not come to read.

        They are interrupted like the others.
        """
        state = self.state()
        if state.state != "INTERRUPTED" or not state.unread or not state.keeps_records:
            return state
        batch = self._keep_batch(state)
        rows, listed = list(batch.numbered()), len(state.keys)
        entries: list[Entry] = [
            Listed(number, row.key, times)
            for number, times, row in rows
            if number >= listed or times > 1
        ]
        entries.append(Sent(max((number for number, _, _ in rows), default=-1) + 1))
        self.engine.ledger.append(self.id, entries)
        state = self.state()
        with self._mutex:
            self._take(state.interrupt(state.ended))
        return state

    # Its batch.

    def batch(self) -> Batch:
        """Return the batch for a rerun, from its first row on.

        Raises:
            UsageError: it was not kept, or not all of it.
        """
        if self._batch is None or self._batch.is_stream:
            return self._keep_batch(self.state())
        return self._batch

    def _keep_batch(self, state: RunState) -> Batch:
        """Read the batch from the ledger, and hold it."""
        rows = state.rows + state.unread
        self._batch = kept_batch(self.engine.ledger, self.id, rows)
        return self._batch

    def rows(self, state: RunState) -> tuple[Batch | None, list[int]]:
        """Return the batch, `None` if it was not kept, and the number of the record in each of its rows."""
        execution, batch = self.execution, self._batch
        if execution is not None and batch is not None and not batch.is_stream:
            rows = list(execution.rows)
            if len(rows) < (batch.total or 0):
                # It is still being read; what has not come in is queued.
                rows = [number for number, _, _ in batch.numbered()]
            return batch, rows
        if not state.keeps_records:
            return None, list(range(len(state.keys)))
        batch = self._keep_batch(state)
        return batch, [number for number, _, _ in batch.numbered()]

    def record(self, state: RunState, record: int) -> object:
        """Return a record, by its number, as it was sent.

        Raises:
            UsageError: the batch was not kept.
        """
        # Where no row is the copy of another, each record stands in the row of its
        # number.
        row = self._row(record) if not state.copies else None
        if row is not None and row.key == state.keys[record]:
            return row.record
        batch, rows = self.rows(state)
        if batch is None:
            raise UsageError(f"The records of run {self.id} were not kept.")
        place = rows.index(record)
        return next(row.record for at, row in enumerate(batch.rows()) if at == place)

    def raw_records(self, state: RunState, numbers: list[int]) -> dict[int, Any]:
        """Return records as they were sent, by number, those that were kept.

        Raises:
            UsageError: none were.
        """
        places = {number: number for number in numbers}
        if state.copies:
            _, rows = self.rows(state)
            first = {number: place for place, number in reversed(list(enumerate(rows)))}
            places = {number: first[number] for number in numbers}
        batch = self._batch
        if batch is None or batch.is_stream:
            if state.library == "records":
                return self._kept_records(places)
            batch = self._keep_batch(state)
        return {number: batch.raw(at, at + 1)[0] for number, at in places.items()}

    def _kept_records(self, places: dict[int, int]) -> dict[int, Any]:
        wanted = {place: number for number, place in places.items()}
        found: dict[int, Any] = {}
        for place, record in enumerate(kept_rows(self.engine.ledger, self.id)):
            if place in wanted:
                found[wanted[place]] = record
                if len(found) == len(wanted):
                    break
        return found

    def raw_rows(self, state: RunState) -> Iterator[tuple[int, Any]]:
        """Return every record with its number, as it was sent, as far as they were kept.

        Raises:
            UsageError: none were.
        """
        rows = self.rows(state)[1] if state.copies else itertools.count()
        batch = self._batch
        if batch is None or batch.is_stream:
            return zip(rows, kept_rows(self.engine.ledger, self.id), strict=False)
        return zip(rows, batch.raw_rows(), strict=False)

    def _row(self, place: int) -> Row | None:
        """Return one row of the batch, if it can be had without reading those before it."""
        batch = self._batch
        if batch is not None and not batch.is_stream:
            return batch.row(place) if place < (batch.total or 0) else None
        return kept_row(self.engine.ledger, self.id, place)

    def record_in(self, run: str, key: str, record: int) -> object:
        """Return a record as it was sent in another run, or in this one."""
        sent = self if run == self.id else RunReader(self.runs, run)
        row = sent._row(record)  # noqa: SLF001  # of this class
        if row is not None and row.key == key:
            return row.record
        return sent.record(sent.state(), record)

    def table(self, state: RunState) -> Table:
        """Return the run as a picture; once it has ended, its first failures have the record's own words.

        Not where the sender wanted no records kept: pictures are saved with a notebook.
        """
        table = table_of(state)
        if state.state == "RUNNING" or not state.keeps_records or not table.failures:
            return table
        numbers = [
            record for record, _ in sorted(state.failures)[: len(table.failures)]
        ]
        words = self._words(state, numbers)
        failures = (
            row._replace(words=words.get(number, ""))
            for number, row in zip(numbers, table.failures, strict=True)
        )
        return replace(table, failures=tuple(failures))

    def _words(self, state: RunState, numbers: list[int]) -> dict[int, str]:
        columns = self.columns or state.columns
        try:
            return {
                number: KNOWN.mask(words_of(record, columns, state.keys[number]))
                for number, record in self._few(state, numbers).items()
            }
        except Exception:  # what was kept cannot be read, or a repr of the user's
            return {}

    def _few(self, state: RunState, numbers: list[int]) -> dict[int, Any]:
        """Return a few records, without reading a batch for them that is not at hand."""
        if self._batch is not None or state.copies:
            return self.raw_records(state, numbers)
        rows = {number: self._row(number) for number in numbers}
        return {number: row.record for number, row in rows.items() if row is not None}

    # What came out.

    def values(
        self,
        state: RunState,
        flow: int,
        records: list[int],
        *,
        gone: object = None,
    ) -> list[object]:
        """Return the values of records, by number, in a flow; `None` where there is none.

        One that is not in the store any more, as it was forgotten or is damaged, is
        ``gone``, with a warning and a remark.
        """
        execution = self.execution
        unsaved = execution.unsaved if execution is not None else {}
        values: list[object] = [None] * len(records)
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            if (record, flow) in unsaved:
                values[place] = unsaved[record, flow]
            elif state.item(record, flow) in DONE:
                key = state.checkpoint(record, flow)
                if key is not None:
                    places[key].append(place)
        for block in lookup.blocks(self.engine.store, list(places)):
            for key, data in block.items():
                # A fresh object for each record.
                for place in places.pop(key):
                    values[place] = checkpoint.load(data).shown
        missed = sorted(place for those in places.values() for place in those)
        for place in missed:
            values[place] = gone
        if missed:
            GAPS.note()
            _say_gone(state, flow, [records[place] for place in missed])
        return values

    def decided(self, state: RunState, batch: Batch | None) -> Decided:
        """Return what people decided about the records, in this run and in others."""
        standing = decisions.standing_for(self.engine, state.flows)
        if not standing:
            return {}
        if batch is None:
            return decisions.decided_by_key(standing, state.flows, self.id, state.keys)
        rows = ((number, row) for number, _, row in batch.numbered())
        return decisions.decided(standing, state.flows, rows)

    def saved(self, key: str) -> Checkpoint | None:
        """Return the checkpoint under ``key``."""
        return lookup.saved(self.engine.store, key)


def _say_gone(state: RunState, flow: int, records: list[int]) -> None:
    """Say whose values are gone, in the run's table and as a warning."""
    some = ", ".join(repr(state.keys[record]) for record in records[:_NAMED])
    more = ", ..." if len(records) > _NAMED else ""
    text = (
        f"{several(len(records), 'saved value')} of flow {state.flows[flow]!r} cannot be"
        f" had from the store any more, so their places are empty: {some}{more}. Send"
        " the batch again to recompute what is missing."
    )
    if text not in state.remarks:
        state.remarks.append(text)
    warn(text, StoreWarning)
