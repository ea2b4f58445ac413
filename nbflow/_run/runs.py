"""Runs: which runs a store has, and which of them this process works on."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from nbflow._call import keys
from nbflow._core.entry import Closed, Coded, Opened, Resumed
from nbflow._key.warning import warn
from nbflow._run.alarm import Alarm
from nbflow._run.begin_gate import BeginGate
from nbflow.errors import StoreError, StoreWarning, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._core.entry import Entry, RunState
    from nbflow._core.sheet import Sheet
    from nbflow._run.alarm import Sleeper
    from nbflow._run.execution import Execution
    from nbflow._store.ledger import Ledger

#: Runs among which the last one of an event is looked for.
_LOOKED_AT = 50
#: Runs whose batch is held against that of a run that begins.
_ALIKE = 3
#: Seconds between two tries to lock a run. A process that only asks whether the run is
#: locked holds the lock for a moment.
_PAUSES = (0.001, 0.01, 0.1, 0)

#: Runs that threads of this process work on behind the cell that began them.
_BACKGROUND: WeakSet[Execution] = WeakSet()


def _interrupt_all() -> None:
    """The process ends: have runs account for their records, while code can still start threads.

    Later it cannot, and what is the interpreter's doing would be noted as failures of
    records.
    """
    for execution in list(_BACKGROUND):
        execution.interrupt()


# Before all threads are waited for, and before the pools of threads close, as what is
# registered last is called first; atexit comes after both.
importlib.import_module("concurrent.futures.thread")
threading._register_atexit(_interrupt_all)  # type: ignore[attr-defined]  # noqa: SLF001  # as concurrent.futures does
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BACKGROUND.clear)


def runs_of(
    ledger: Ledger, event: str, runs: Sequence[str]
) -> Iterator[tuple[str, list[Entry]]]:
    """Those of these runs that are of an event, the last one first, each with its first and last entries.

    One whose ledger cannot be read says nothing of the next one.
    """
    for run in reversed(runs):
        try:
            entries = ledger.ends(run)
        except StoreError as error:
            warn_unreadable(run, error)
            continue
        if entries and isinstance(entries[0], Opened) and entries[0].event == event:
            yield run, entries


def warn_unreadable(run: str, error: StoreError) -> None:
    """Say that a run is left out."""
    text = f"The ledger of run {run} cannot be read; it is left out. {error}"
    warn(text, StoreWarning)


class Runs:
    """The runs of one engine's store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        #: What this process works on, or has worked on for somebody who still holds the
        #: run.
        self.live: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        self._mutex = threading.Lock()
        #: Runs that this process removes.
        self._retiring: set[str] = set()
        #: Told of each run that ended here.
        self.at_end: Callable[[], None] | None = None
        #: At which runs that begin wait while somebody deletes results.
        self.gate = BeginGate(engine.store)
        #: Continues runs whose records wait; `None`: only who asks for it does.
        self.alarm: Alarm | None = Alarm()
        #: When the latest run was begun, in milliseconds.
        self._latest = 0

    def new_id(self) -> str:
        """An id that sorts by the time of its making (UTC, to the millisecond): ``20261123-091502-417a6f0``.

        No two of this process are of one millisecond; those of two processes differ by
        chance, of 65,536.
        """
        with self._mutex:
            now = max(int(self.engine.clock.time() * 1000), self._latest + 1)
            self._latest = now
        second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1000))
        return f"{second}-{now % 1000:03}{os.urandom(2).hex()}"

    def codes_before(
        self, state: RunState, first: Opened | Resumed
    ) -> dict[str, bytes]:
        """The codes of flows and steps when the run that begins now last ran, or else the last run of its event."""
        if isinstance(first, Resumed):
            return {subject: coded.code for subject, coded in state.coded.items()}
        latest = next(self._runs_before(first), None)
        entries = latest[1] if latest is not None else []
        return {
            entry.subject: entry.code for entry in entries if isinstance(entry, Coded)
        }

    def _runs_before(self, first: Opened) -> Iterator[tuple[str, list[Entry]]]:
        ledger = self.engine.ledger
        known = [run for run in ledger.runs()[-_LOOKED_AT:] if run != first.run]
        return runs_of(ledger, first.event, known)

    def earlier(self, first: Opened | Resumed) -> Iterator[str]:
        """The last runs of the event of a run that begins now: they may have its batch."""
        if isinstance(first, Opened):
            yield from (run for run, _ in islice(self._runs_before(first), _ALIKE))

    def models_before(self, run: str, event: str) -> tuple[str, tuple[str, ...]]:
        """The last run of an event before this one that says which models answered, and these."""
        ledger = self.engine.ledger
        known = [each for each in ledger.runs()[-_LOOKED_AT:] if each < run]
        for earlier, entries in runs_of(ledger, event, known):
            models = [
                (entry.usage + entry.saved).models
                for entry in entries
                if isinstance(entry, Closed)
            ]
            if models and models[-1]:
                return earlier, models[-1]
        return "", ()

    def is_worked_on(self, run: str) -> bool:
        """Does some process, this one included, work on ``run``?"""
        store = self.engine.store
        with self._mutex:
            execution = self.live.get(run)
            if execution is not None and not execution.has_ended:
                return True
            if run in self._retiring:
                return True
            key = keys.run_key(run)
            if store.lock(key):
                store.unlock(key)
                return False
            return True

    @contextlib.contextmanager
    def retiring(self, run: str) -> Iterator[bool]:
        """Keep everybody from taking up a run that is to go; gives whether nobody has."""
        key = keys.run_key(run)
        with self._mutex:
            execution = self.live.get(run)
            is_free = execution is None or execution.has_ended
            is_ours = is_free and self._lock(run)
            if is_ours:
                self._retiring.add(run)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._retiring.discard(run)
                self.engine.store.unlock(key)

    def note_end(self, run: str, position: int, end: Closed) -> None:
        """Note how a run came out that nobody noted: its process was killed.

        So it is worked out once, not by every process that looks at it. Nothing is
        noted if somebody works on the run, or has since ``position``, or if the store
        can only be read.
        """
        store, key = self.engine.store, keys.run_key(run)
        with self._mutex, contextlib.suppress(StoreError):
            if run in self.live or run in self._retiring or not store.lock(key):
                return
            try:
                if not self.engine.ledger.read(run, position)[0]:
                    self.engine.ledger.append(run, [end])
            finally:
                store.unlock(key)

    def keep_snapshot(
        self, run: str, position: int, state: RunState, sheet: Sheet | None
    ) -> None:
        """Keep what a run came to, unless somebody works on it, or has since ``position``."""
        from nbflow._run import snapshots  # not for a call: it loads tables

        store, ledger, key = self.engine.store, self.engine.ledger, keys.run_key(run)
        with self._mutex, contextlib.suppress(StoreError):
            if run in self.live or run in self._retiring or not store.lock(key):
                return
            try:
                if ledger.size(run) == position:
                    snapshots.keep(ledger, run, position, state, sheet)
            finally:
                store.unlock(key)

    def claim(self, run: str, execution: Execution) -> None:
        """Have the run to oneself, before anything of it is noted.

        Raises:
            UsageError: another process works on the run.
        """
        with self._mutex:
            if run in self._retiring or not self._lock(run):
                raise UsageError(
                    f"Run {run} is being worked on by another process; wait for it or cancel it there."
                )
            self.live[run] = execution

    def watch(self, sleeper: Sleeper) -> None:
        """Continue a run whose records wait, each once its wait is over."""
        if self.alarm is not None:
            self.alarm.watch(sleeper)

    def let_go(self, run: str) -> None:
        """Give up the claim on a run that nobody will work on."""
        with self._mutex:
            self.live.pop(run, None)
            self.engine.store.unlock(keys.run_key(run))

    def work_on(
        self, execution: Execution, at_rest: Callable[[], None], *, background: bool
    ) -> None:
        """See ``execution`` through, whose run is claimed, here or on a thread of its own.

        ``at_rest`` is called if some of its records wait by then.
        """
        run = execution.state.run
        if background:
            _BACKGROUND.add(execution)
            threading.Thread(
                target=self._work_aside,
                args=(execution, at_rest),
                name=f"nbflow-run-{run}",
                daemon=True,
            ).start()
        else:
            self._work(execution, at_rest)

    def _lock(self, run: str) -> bool:
        for pause in _PAUSES:
            if self.engine.store.lock(keys.run_key(run)):
                return True
            time.sleep(pause)
        return False

    def _work_aside(self, execution: Execution, at_rest: Callable[[], None]) -> None:
        # An interrupt comes at the end of the process; nobody is there to see it.
        with contextlib.suppress(KeyboardInterrupt):
            self._work(execution, at_rest)

    def _work(self, execution: Execution, at_rest: Callable[[], None]) -> None:
        try:
            execution.run()
        finally:
            self.engine.store.unlock(keys.run_key(execution.state.run))
            execution.show_end()
        if execution.state.awaited:
            at_rest()
        if self.at_end is not None:
            self.at_end()
