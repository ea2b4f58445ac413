"""Execution: a batch through every flow that listens, each record in each flow apart from all others.

The thread that sends reads the batch (`Intake`); what is to run goes to its lane:
threads for sync flows, tasks on the engine's loop for async ones (`Records`). The number
of records under way is bounded, and the reading waits.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from nbflow._call import job_link
from nbflow._call.loop_watch import LoopWatch
from nbflow._call.screen import SCREEN
from nbflow._call.workers import Crew
from nbflow._core.entry import Closed, Item, Remark, Resumed
from nbflow._core.lifecycle import State
from nbflow._run.codes import Codes
from nbflow._run.context import RunContext
from nbflow._run.intake import Intake
from nbflow._run.ledger_writer import LedgerWriter
from nbflow._run.pace import TASKS, THREADS
from nbflow._run.records import Records
from nbflow._run.watch import Watch

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow._call.runner import Runner
    from nbflow._call.workers import Loop
    from nbflow._core.entry import Opened, RunState
    from nbflow._run.batch import Batch, Row
    from nbflow._run.begin_gate import BeginGate
    from nbflow._run.kept_inputs import Inputs
    from nbflow._run.lane import Lane
    from nbflow._run.options import RunOptions
    from nbflow._run.watch import Watcher
    from nbflow._store.ledger import Ledger

#: After an interrupt, seconds for the calls under way to end before they are left
#: behind.
GRACE = 1.0
#: Seconds between two looks at the crews, between two pictures, and between two looks
#: whether to stop.
_TICK, _PICTURE, _ASKED = 0.005, 0.25, 0.5


class Execution:
    """One run while this process works on it."""

    def __init__(
        self,
        runner: Runner,
        ledger: Ledger,
        state: RunState,
        lanes: Sequence[Lane],
        batch: Batch,
        options: RunOptions,
        *,
        run: str,
        loop: Loop,
        watcher: Watcher | None = None,
        is_shown: bool = False,
        last_word: Callable[[RunState], str] = lambda _: "",
    ) -> None:
        self.state = state
        self.lanes = lanes
        self.notes = LedgerWriter(ledger, run, state)
        self._ledger = ledger
        self._loop = loop
        self._context = RunContext(
            run,
            runner,
            lanes,
            self.notes,
            options,
            is_one_by_one=options.is_one_by_one or batch.total == 1,
        )
        if options.cancels:
            self._context.cancelled.set()
        self._codes = Codes(runner, self.notes)
        self._intake = Intake(self._context, batch, self._start)
        self._records = Records(self._context, self._codes, loop, self._leave)
        self._watch = Watch(watcher, self._context.say, is_begun=is_shown)
        is_async = any(lane.is_async for lane in lanes)
        self._loop_watch = LoopWatch() if is_async else None
        #: What else is to say of the run at its end.
        self._last_word = last_word
        #: The process ends: the run is to end as by Ctrl-C.
        self._exits = False

        most = options.max_in_flight
        self._most = most or TASKS
        # The reader is woken when some places are free, not at each: waking a thread
        # costs more than a short call.
        self._refill = self._most - max(1, self._most // 32)
        self._room = threading.Event()
        self._mutex = threading.Lock()
        #: For each record under way, in how many flows it is.
        self._pending: dict[int, int] = {}
        threads = min(most or THREADS, 4 * TASKS)
        self._crews = {
            flow: Crew(f"nbflow-{lane.name}", threads, self._records.work)
            for flow, lane in enumerate(lanes)
            if not lane.is_async
        }
        self._ticked = self._asked = time.perf_counter()
        self._computed = time.process_time()
        self._shown = 0.0
        self._pictured = threading.Event()

    # What the holder of the run reads.

    @property
    def rows(self) -> array[int]:
        """The number of the record that stands in each row, as far as rows were read."""
        return self._intake.rows

    @property
    def unsaved(self) -> Mapping[tuple[int, int], object]:
        """Values that no bytes could be made of, by (record, flow): they live as long as this kernel."""
        return self._records.unsaved

    @property
    def inputs(self) -> Mapping[tuple[int, int], Inputs]:
        """What steps were called with, by (record, flow): of the first failures and of the latest records."""
        return self._records.inputs

    @property
    def has_ended(self) -> bool:
        """Returns whether nobody is at work any more."""
        return self._context.ended.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Returns whether the run was told to stop."""
        return self._context.cancelled.is_set()

    # What the holder of the run does.

    def begin(
        self,
        first: Opened | Resumed,
        before: Mapping[str, bytes],
        *,
        keep: bool,
        gate: BeginGate,
        earlier: Iterable[str] = (),
    ) -> None:
        """Note that the run begins, or continues, and what its code is, and pass the gate.

        Args:
            first: the entry that says so.
            before: the codes of flows and steps when they last ran, by subject.
            keep: keep the batch, for reruns from elsewhere.
            gate: of those who delete.
            earlier: runs that may have kept the same batch.
        """
        if isinstance(first, Resumed) and self.state.total is None:
            self._intake.is_partial = True
        self.notes.add(first)
        # In one block with the first entry, where the next run of the event finds it.
        self._codes.read(self.lanes, before)
        self.notes.flush()
        if not self.state.keeps_records:
            self._context.room.close()
        self._ledger.ask_to_stop(self.state.run, False)
        if keep:
            self._intake.keep(self._ledger, earlier)
        gate.wait()
        if keep:
            self._intake.make_sure(self._ledger)

    def give_up(self) -> None:
        """Nobody will work on the run: write what was noted so far."""
        if not self.has_ended:
            self.notes.close()

    def cancel(self) -> None:
        """Start nothing more; what waits or is async ends now, a sync call under way ends its step first."""
        self._context.cancelled.set()
        if any(lane.is_async for lane in self.lanes):
            self._loop.get().call_soon_threadsafe(self._records.cancel_tasks)

    def interrupt(self) -> None:
        """End as by Ctrl-C, asked from another thread; returns when everything is accounted for."""
        self._exits = True
        self._context.ended.wait(2 * GRACE)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended; returns whether it has."""
        return self._context.ended.wait(timeout)

    def wait_for_picture(self) -> None:
        """Wait for the last picture of a run that has ended: the kernel may be shut down next."""
        self._pictured.wait(GRACE)

    def run(self) -> None:
        """Read the batch and see every record through, in this thread.

        An interrupt ends the run and is raised again.
        """
        SCREEN.enter()
        try:
            self._codes.begin()
            # Not before the run is locked: the command looks at it at once, and would
            # find nobody at work.
            job_link.tell(self.state.run, self._context.runner.store.url)
            self.show()
            self._intake.read()
            while self._pending:
                self._tick()
            self._heed()  # what the last records raised
            self._intake.raise_error()
        except BaseException:
            self._interrupt()
            raise
        finally:
            SCREEN.leave()
            self._close()

    def show(self) -> None:
        """Give the watcher a picture."""
        self._watch.show(self.state)

    def show_end(self) -> None:
        """Give the watcher the last picture."""
        try:
            self._watch.end(self.state)
        finally:
            self._pictured.set()

    # A record starts, and leaves when it ended in each of its flows.

    def _start(self, number: int, row: Row, lanes: list[tuple[int, str]]) -> None:
        """Hand a record to its lanes, each with the key of its outcome; wait for a place first."""
        while len(self._pending) >= self._most:
            self._room.clear()
            if len(self._pending) > self._refill:
                self._room.wait(_TICK)
            self._tick(wait=False)
        if self.is_cancelled:
            self._intake.drop(number, [flow for flow, _ in lanes])
            return
        with self._mutex:
            self._pending[number] = len(lanes)
        for flow, key in lanes:
            if flow in self._crews:
                self._crews[flow].put((flow, number, row, key))
            else:
                self._loop.get().call_soon_threadsafe(
                    self._records.begin, flow, number, row, key
                )
        self._tick(wait=False)

    def _leave(self, number: int) -> None:
        with self._mutex:
            left = self._pending[number] - 1
            if left:
                self._pending[number] = left
                return
            del self._pending[number]
            if len(self._pending) == self._refill:
                self._room.set()

    # While the run is under way.

    def _tick(self, *, wait: bool = True) -> None:
        """Between two looks at the records: let crews grow, heed a stop, show the table."""
        if wait:
            time.sleep(_TICK if len(self._pending) > THREADS else _TICK / 5)
        self._heed()
        now, then = time.perf_counter(), self._ticked
        if now - then < _TICK:
            return
        computed = time.process_time()
        load = (computed - self._computed) / (now - then)
        self._ticked, self._computed = now, computed
        for crew in self._crews.values():
            crew.adjust(load)
        SCREEN.hold()
        if now - self._asked > _ASKED and not self.is_cancelled:
            self._asked = now
            if self._ledger.is_asked_to_stop(self.state.run):
                self.cancel()
        held_up = self._loop_watch and self._loop_watch.look(self._loop.thread)
        if held_up:
            self._context.say(held_up)
        if self._watch.is_on and now - self._shown > _PICTURE:
            self._shown = now
            self.notes.flush()
            self.show()

    def _heed(self) -> None:
        """Raise what ends the whole run."""
        if self._context.fatal is not None:
            raise self._context.fatal
        if self._exits:
            raise KeyboardInterrupt

    # The run comes to its end.

    def _interrupt(self) -> None:
        """Stop, and give the calls under way a moment; account for the rows that were not read."""
        self._context.is_interrupted = True
        self.cancel()
        until = time.monotonic() + GRACE
        while self._pending and time.monotonic() < until:
            time.sleep(_TICK)
        self._context.is_closed = bool(self._pending)
        self.notes.flush()
        self._intake.list_rest(len(self.state.keys))

    def _close(self) -> None:
        try:
            for crew in self._crews.values():
                crew.dismiss()
            self.notes.flush()
            for entry in self._left():
                self.notes.add(entry)
            self.notes.flush()
            for budget in self._context.budgets:
                passed = budget.told_passed()
                if passed:
                    self.notes.add(Remark(self._context.now(), f"Note: {passed}."))
            said = self._last_word(self.state)
            if said and said not in self.state.remarks:
                self.notes.add(Remark(self._context.now(), said))
            self.notes.add(self._closed())
            self.notes.close()
        finally:
            self._codes.end()
            self._context.ended.set()

    def _left(self) -> list[Item]:
        """What becomes of the records that nobody works on any more: a run that is cancelled does not wait either."""
        now, left = self._context.now(), []
        if self.is_cancelled and not self._context.is_interrupted:
            waiting = list(self.state.awaited)
            left = [Item(*place, State.CANCELLED, now) for place in waiting]
        return left + self.state.interrupt(now)

    def _closed(self) -> Closed:
        state, verdict = self.state, self.state.verdict
        if (
            state.is_cut_short
            and self.is_cancelled
            and not self._context.is_interrupted
        ):
            verdict = "CANCELLED"
        return Closed(
            verdict,
            self._context.now(),
            len(state.keys),
            dict(state.tally()),
            state.usage,
            state.saved,
            self._stopped(),
            state.idle,
            dict(state.standing()),
        )

    def _stopped(self) -> str:
        """Where a budget kept records from being done: why, and how many are left."""
        refusals = (budget.refusal for budget in self._context.budgets)
        refusal = next(filter(None, refusals), "")
        if not refusal:
            return ""
        left: set[Any] = set()
        for flow in range(len(self.lanes)):
            left.update(self.state.records(flow, [State.CANCELLED]))
        if not left:
            return ""
        are = "records are" if len(left) > 1 else "record is"
        return (
            f"{refusal}. {len(left):,} {are} left; what is done is saved:"
            " send again with a larger budget"
        )
