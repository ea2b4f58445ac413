"""LedgerWriter: entries on their way to the ledger, off the hot path, and the state that they add up to."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from nbflow._key import fork
from nbflow._key.secret import KNOWN
from nbflow._key.warning import warn
from nbflow._run.log import log
from nbflow.errors import NbflowWarning, StoreError, StoreWarning

if TYPE_CHECKING:
    from nbflow._core.entry import Entry, RunState
    from nbflow._core.sheet import Sheet
    from nbflow._store.ledger import Ledger

#: Seconds between two writes: what a crash may cost of the notes.
_PERIOD = 0.1
#: Entries of one block, where a disk that refused left many; tries at the run's end.
_BLOCK, _TRIES = 5_000, 10


class LedgerWriter:
    """Takes entries from any thread, writes them in batches, folds them into ``state``."""

    def __init__(self, ledger: Ledger, run: str, state: RunState) -> None:
        self.state = state
        #: The rows of the run's table, if somebody looks at it; from the run's first
        #: entry on, or `None`.
        self.sheet: Sheet | None = None
        self._ledger = ledger
        self._run = run
        self._queue: deque[Entry] = deque()
        #: Entries that are noted and not logged yet.
        self._unlogged: deque[Entry] = deque()
        #: A reader of `state` holds this, so that counts and items agree.
        self.mutex = fork.free_lock()
        self._ended = threading.Event()
        #: What is noted and not written yet, in order: a disk may refuse for a moment.
        self.unwritten: list[Entry] = []
        #: What the table says while that is so.
        self._remark = ""
        #: The ledger's measure of the run when the last entry was written.
        self.end: int | None = None
        #: Add an entry; safe from any thread, costs next to nothing.
        self.add = self._queue.append
        #: Add several, all or none of them, also when an interrupt comes in between.
        self.extend = self._queue.extend
        threading.Thread(target=self._write, name="nbflow-notes", daemon=True).start()

    def _write(self) -> None:
        while not self._ended.wait(_PERIOD):
            self.flush()
            self._log()

    def flush(self) -> None:
        """Write and fold what is queued, now."""
        with self.mutex:
            entries: list[Entry] = []
            while self._queue:
                entries.append(self._queue.popleft())
            entries = KNOWN.masked(entries)
            for entry in entries:
                self.state.apply(entry)
            if self.sheet is not None:
                for entry in entries:
                    self.sheet.apply(entry)
            self._unlogged.extend(entries)
            self.unwritten += entries
            self._try_to_write()

    def _try_to_write(self) -> None:
        """Write what is noted; if that is refused, say so, and leave it to the next time.

        The run continues: checkpoints are the truth, the ledger is what people read.
        """
        try:
            while block := self.unwritten[:_BLOCK]:
                self._ledger.append(self._run, block)
                del self.unwritten[: len(block)]
        except StoreError as error:
            if not self._remark:
                self._remark = (
                    f"Run {self._run} continues, but its ledger cannot be written now; nbflow"
                    f" tries again. {error}"
                )
                self.state.remarks.append(self._remark)
                warn(self._remark, StoreWarning)
        else:
            if self._remark:
                self.state.remarks.remove(self._remark)
                self._remark = ""

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._ended.set()
        self.flush()
        for _ in range(_TRIES):
            if not self.unwritten:
                break
            time.sleep(_PERIOD)
            self.flush()
        self.end = self._ledger.size(self._run)
        if self.unwritten:
            text = (
                f"The last {len(self.unwritten):,} notes of run {self._run} could not"
                " be written; its results are saved as far as nothing else is said."
            )
            self.state.remarks.append(text)
            warn(text, StoreWarning)
        self._log()

    def _log(self) -> None:
        """Log what was noted: without the lock, as a handler may look at the run.

        Not where entries are noted: a handler may be slow, and an interrupt in it would
        cost entries.
        """
        try:
            while (entry := self._next_unlogged()) is not None:
                log(self._run, self.state, entry)
        except Exception as error:
            self._unlogged.clear()
            warn(
                f"A handler of the log raised {type(error).__name__}: {error}",
                NbflowWarning,
            )

    def _next_unlogged(self) -> Entry | None:
        """Two threads may log: the one that notes, and the one that ends the run."""
        try:
            return self._unlogged.popleft()
        except IndexError:
            return None
