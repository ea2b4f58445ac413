"""LedgerWriter: entries on their way to the ledger, off the hot path, and the state that they add up to."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING

from nbflow._key import fork
from nbflow._key.secret import KNOWN
from nbflow._run.log import log
from nbflow.errors import NbflowWarning, StoreError, StoreWarning

if TYPE_CHECKING:
    from nbflow._core.entry import Entry, RunState
    from nbflow._core.sheet import Sheet
    from nbflow._store.ledger import Ledger

#: Seconds between two writes: what a crash may cost of the notes.
_PERIOD = 0.1


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
        self._lost = False
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
            if not entries:
                return
            self._unlogged.extend(entries)
            if self._lost:
                return
            try:
                self._ledger.append(self._run, entries)
            except StoreError as error:
                # The run goes on: checkpoints are the truth, the ledger is what people
                # read.
                self._lost = True
                text = (
                    f"Run {self._run} goes on, but is no longer noted on disk. {error}"
                )
                self.state.remarks.append(text)
                warnings.warn(text, StoreWarning, stacklevel=2)

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._ended.set()
        self.flush()
        self._log()

    def _log(self) -> None:
        """Log what was noted: without the lock, as a handler may look at the run.

        Not where entries are noted: a handler may be slow, and an interrupt in it would
        cost entries.
        """
        try:
            while self._unlogged:
                log(self._run, self.state, self._unlogged.popleft())
        except Exception as error:
            self._unlogged.clear()
            warnings.warn(
                f"A handler of the log raised {type(error).__name__}: {error}",
                NbflowWarning,
                stacklevel=2,
            )
