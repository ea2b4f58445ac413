"""Send: a batch through every flow that listens, each record in each flow apart from all others.

The batch is read in chunks by the thread that sends. Each chunk is looked up in bulk;
what is done is noted, the rest goes to its lane: threads for sync flows, tasks on the
engine's loop for async ones. The number of records under way is bounded, and the
reading waits.
"""

from __future__ import annotations

import itertools
import threading
import time
import warnings
from array import array
from collections import deque
from typing import TYPE_CHECKING, Any

from nbflow._call import failure, job_link, keys
from nbflow._call.scope import Item as Place
from nbflow._call.workers import Crew
from nbflow._core.entry import (
    DONE,
    Called,
    Closed,
    Coded,
    Item,
    Listed,
    Remark,
    Sent,
    Used,
)
from nbflow._core.lifecycle import Outcome, State
from nbflow._key import mutation
from nbflow._key.explain import listed
from nbflow._run.batch import CHUNK
from nbflow._run.ledger_writer import Notes
from nbflow._store import checkpoint
from nbflow.errors import NbflowWarning, RunCancelledError, StepTimeoutError, StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from nbflow._call.budget import Budget
    from nbflow._call.keys import Identity
    from nbflow._call.runner import Runner
    from nbflow._call.workers import Loop
    from nbflow._core.entry import RunState
    from nbflow._core.step import Step
    from nbflow._core.usage import Usage
    from nbflow._run.batch import Batch, Row
    from nbflow._run.lane import Lane
    from nbflow._store.ledger import Ledger

    Inputs = list[tuple[str, tuple[Any, ...], dict[str, Any]]]

#: Records under way at once, and threads of one sync flow, unless max_in_flight= says
#: otherwise.
IN_FLIGHT, THREADS = 1024, 32
_FIRST_CHUNK = 16
#: Seconds for which rows of an iterator are gathered.
_SLOW = 0.2
#: After an interrupt, seconds for the calls under way to end before they are left
#: behind.
GRACE = 1.0
#: Records of which the inputs of steps stay at hand, and as many that failed.
INPUTS = 1000
#: Seconds between two looks at the crews, between two pictures, and between two looks
#: whether to stop.
_TICK, _PICTURE, _ASKED = 0.005, 0.25, 0.5


class Execution:
    """One run while this process works on it."""

    def __init__(
        self,
        runner: Runner,
        ledger: Ledger,
        run: str,
        state: RunState,
        lanes: Sequence[Lane],
        batch: Batch,
        *,
        loop: Loop,
        max_in_flight: int | None = None,
        only: frozenset[tuple[int, int]] | None = None,
        force: bool = False,
        from_step: str | None = None,
        budget: Budget | None = None,
        watch: Callable[[RunState], None] | None = None,
    ) -> None:
        self.name = run
        self.runner = runner
        self.lanes = lanes
        self.batch = batch
        self.notes = Notes(ledger, run, state)
        self._ledger = ledger
        self.state = state
        #: Values that no bytes could be made of: they live as long as this kernel.
        self.unsaved: dict[tuple[int, int], Any] = {}
        #: What steps were called with: of the first failures and of the latest records.
        self.inputs: dict[tuple[int, int], Inputs] = {}
        self._latest: deque[tuple[int, int]] = deque()
        #: Number of the record that stands in each row.
        self.rows = array("q")
        self.cancelled = threading.Event()
        self._interrupted = self._left = False
        #: The process ends: the run is to end as by Ctrl-C.
        self._exits = False
        self._fatal: BaseException | None = None
        self._ended = threading.Event()
        self._loop = loop
        self._only = only
        self._force = force
        self._from_step = from_step
        self._budgets = (*((budget,) if budget is not None else ()), *runner.budgets)
        #: Takes every chunk of a stream, to keep it.
        self.keep: Callable[[list[Any]], None] | None = None
        self.watch = watch
        self._identities: dict[Any, Identity] = {}
        self._before: Mapping[str, bytes] = {}
        #: Everything whose code was read; while the run goes on, what this code changes
        #: is its own doing.
        self._noted: list[Identity] = []
        self._runs = False
        self._reading = threading.RLock()
        self._most = max_in_flight or IN_FLIGHT
        # The reader is woken when some places are free, not at each: waking a thread
        # costs more than a short call.
        self._refill = self._most - max(1, self._most // 32)
        self._room = threading.Event()
        self._mutex = threading.Lock()
        self._pending: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        threads = min(max_in_flight or THREADS, 4 * IN_FLIGHT)
        self._crews = {
            flow: Crew(f"nbflow-{lane.name}", threads, self._work)
            for flow, lane in enumerate(lanes)
            if not lane.is_async
        }
        self._ticked, self._computed, self._shown = (
            time.perf_counter(),
            time.process_time(),
            0.0,
        )
        self._asked = self._ticked

    # Code is read once, at the start, so that a batch is consistent.

    def read_code(self, before: Mapping[str, bytes]) -> None:
        """Read what the flows are, and the steps that they reach; ``before``: their codes when they last ran."""
        self._before = before
        for lane in self.lanes:
            self._note_code(lane.subject, lane.identity)
            for step in lane.identity.steps:
                self.identify(step)

    def identify(self, step: Step[..., Any]) -> Identity:
        """What a step is, for all of this run."""
        found = self._identities.get(
            step.__wrapped__
        )  # without the lock: every call of every thread passes here
        return found if found is not None else self._identify(step)

    def _identify(self, step: Step[..., Any]) -> Identity:
        with self._reading:
            found = self._identities.get(step.__wrapped__)
            if found is None:
                found = self._identities[step.__wrapped__] = keys.identify(step)
                self._note_code(step.name, found)
            return found

    def _note_code(self, subject: str, identity: Identity) -> None:
        self._noted.append(identity)
        if self._runs:
            mutation.begin(identity.changes)
        sources, before = self.runner.sources, self._before.get(subject)
        changes = sources.note(subject, identity)
        if before is not None:
            changes = (
                sources.changes(subject, before, identity)
                if before != identity.digest
                else []
            )
        why = "new" if changes is None else listed(changes)
        self.notes.add(Coded(subject, identity.digest, self.runner.clock.time(), why))

    # What the holder of the run does.

    def cancel(self) -> None:
        """Start nothing more; what waits or is async ends now, a sync call under way ends its step first."""
        self.cancelled.set()
        if any(lane.is_async for lane in self.lanes):
            self._loop.get().call_soon_threadsafe(self._cancel_tasks)

    def interrupt(self) -> None:
        """End as by Ctrl-C, asked from another thread; returns when everything is accounted for."""
        self._exits = True
        self._ended.wait(2 * GRACE)

    def run(self) -> None:
        """Read the batch and see every record through, in this thread. An interrupt ends the run and goes on up."""
        try:
            with self._reading:
                self._runs = True
                for identity in self._noted:
                    mutation.begin(identity.changes)
            # Not before the run is locked: who is told looks at it, and would find
            # nobody at work.
            job_link.tell(self.state.run, self.runner.store.url)
            self.show()
            self._read()
            while self._pending:
                self._tick()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended; answers whether it has."""
        return self._ended.wait(timeout)

    @property
    def has_ended(self) -> bool:
        """Is nobody at work any more?"""
        return self._ended.is_set()

    # Reading.

    def _read(self) -> None:
        rows = self.batch.numbered()
        size = _FIRST_CHUNK  # small, so that the first records start at once; then larger, as that is cheaper
        try:
            while chunk := self._chunk(rows, size):
                size = min(2 * size, CHUNK)
                fresh = self._list(chunk)
                if self.cancelled.is_set():
                    self._drop(fresh)
                    if self.batch.is_stream:
                        self.say(
                            "The run was cancelled before the iterator was read to its end."
                        )
                        break
                else:
                    self._dispatch(fresh)
        finally:
            self.notes.add(Sent(max(self.rows, default=-1) + 1))

    def _chunk(
        self, rows: Iterator[tuple[int, int, Row]], size: int
    ) -> list[tuple[int, int, Row]]:
        """The next rows to begin with; fewer where an iterator takes its time, as one that asks an API for pages does."""
        if not self.batch.is_stream:
            return list(itertools.islice(rows, size))
        chunk, begun = [], time.monotonic()
        for row in itertools.islice(rows, size):
            chunk.append(row)
            if time.monotonic() - begun > _SLOW:
                break
        return chunk

    def _list(self, chunk: list[tuple[int, int, Row]]) -> list[tuple[int, Row]]:
        """Note the records of a chunk; rows that repeat a record only count."""
        if self.keep is not None:
            self.keep([row.record for _, _, row in chunk])
        if self._only is None:
            self.notes.extend(
                [Listed(number, row.key, times) for number, times, row in chunk]
            )
        self.rows.extend([number for number, _, _ in chunk])
        return [(number, row) for number, times, row in chunk if times == 1]

    def _dispatch(self, fresh: list[tuple[int, Row]]) -> None:
        """Note what is done already, hand the rest to the lanes."""
        missing: dict[int, list[tuple[int, str]]] = {}
        rows = dict(fresh)
        for flow, lane in enumerate(self.lanes):
            todo = [
                (number, row)
                for number, row in fresh
                if self._only is None or (number, flow) in self._only
            ]
            keyed = self._keyed(flow, lane, todo)
            done = (
                {}
                if self._runs_anyway(lane)
                else self._saved(lane, [key for _, key in keyed])
            )
            now = self.runner.clock.time()
            for number, key in keyed:
                if key not in done:
                    missing.setdefault(number, []).append((flow, key))
                    continue
                if lane.on_map:
                    self.notes.add(
                        Called(number, flow, lane.name, State.CACHED, now, 0.0, 0, key)
                    )
                if (saved := done[key]) is not None:
                    self.notes.add(
                        Used(
                            number,
                            flow,
                            lane.name if lane.on_map else "",
                            0,
                            now,
                            saved,
                            saved=True,
                        )
                    )
                self.notes.add(Item(number, flow, State.CACHED, now, 0.0, key))
        for number in sorted(missing):
            self._start(number, rows[number], missing[number])

    def _keyed(
        self, flow: int, lane: Lane, todo: list[tuple[int, Row]]
    ) -> list[tuple[int, str]]:
        keyed = []
        for number, row in todo:
            error = row.error
            if error is None:
                try:
                    keyed.append((number, lane.key(row, self.name)))
                    continue
                except Exception as broken:
                    error = broken
            now = self.runner.clock.time()
            self.notes.add(
                Item(number, flow, State.FAILED, now, 0.0, None, 0, failure.of(error))
            )
        return keyed

    def _saved(self, lane: Lane, keys: list[str]) -> dict[str, Usage | None]:
        """Those of ``keys`` whose checkpoints are there and not out of date, with what was used to make them."""
        now = self.runner.clock.time()
        done = {}
        for key, data in self.runner.store.get_many(keys).items():
            try:
                found = checkpoint.load(data)
                until = found.fresh_until(lane.ttl)
            except StoreError as error:
                self.say(str(error))
                continue
            if until is None or until > now:
                done[key] = found.usage
        return done

    def _start(self, number: int, row: Row, lanes: list[tuple[int, str]]) -> None:
        while len(self._pending) >= self._most:
            self._room.clear()
            if len(self._pending) > self._refill:
                self._room.wait(_TICK)
            self._tick(wait=False)
        if self.cancelled.is_set():
            self._drop([(number, row)], [flow for flow, _ in lanes])
            return
        with self._mutex:
            self._pending[number] = len(lanes)
        for flow, key in lanes:
            if flow in self._crews:
                self._crews[flow].put((flow, number, row, key))
            else:
                self._loop.get().call_soon_threadsafe(
                    self._begin, flow, number, row, key
                )
        self._tick(wait=False)

    def _drop(
        self, fresh: Iterable[tuple[int, Row]], flows: Iterable[int] | None = None
    ) -> None:
        now = self.runner.clock.time()
        for number, _ in fresh:
            for flow in range(len(self.lanes)) if flows is None else flows:
                if self._only is None or (number, flow) in self._only:
                    self.notes.add(
                        Item(
                            number,
                            flow,
                            State.INTERRUPTED if self._interrupted else State.CANCELLED,
                            now,
                        )
                    )

    # One record in one flow.

    def _work(self, work: tuple[int, int, Row, str]) -> None:
        """On a thread: see one record through a sync flow."""
        flow, number, row, key = work
        lane, place = self.lanes[flow], self._place(flow, number, row)
        begun = time.perf_counter()
        try:
            outcome = (
                _cancelled()
                if self.cancelled.is_set()
                else self._perform(lane, row, key, place)
            )
        except BaseException as error:
            outcome = self._broken(error)
        self._end(lane, place, row, key, outcome, time.perf_counter() - begun)

    def _perform(self, lane: Lane, row: Row, key: str, place: Place) -> Outcome:
        self.notes.add(
            Item(place.record, place.flow, State.RUNNING, self.runner.clock.time())
        )
        return self.runner.perform(
            lane.call(row, key, place), force=self._runs_anyway(lane)
        )

    def _begin(self, flow: int, number: int, row: Row, key: str) -> None:
        """On the loop: start the task for one record."""
        import asyncio

        asyncio.get_running_loop().create_task(self._awork(flow, number, row, key))

    async def _awork(self, flow: int, number: int, row: Row, key: str) -> None:
        import asyncio

        lane, place = self.lanes[flow], self._place(flow, number, row)
        begun = time.perf_counter()
        # Here, not where the task is made: a task that is cancelled before its first
        # line would never end its record.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.cancelled.is_set():
                outcome = _cancelled()
            else:
                self.notes.add(
                    Item(number, flow, State.RUNNING, self.runner.clock.time())
                )
                outcome = await self.runner.aperform(
                    lane.call(row, key, place), force=self._runs_anyway(lane)
                )
        except BaseException as error:
            outcome = (
                _cancelled()
                if self.cancelled.is_set() and isinstance(error, asyncio.CancelledError)
                else self._broken(error)
            )
        finally:
            self._tasks.discard(task)
        self._end(lane, place, row, key, outcome, time.perf_counter() - begun)

    def _place(self, flow: int, number: int, row: Row) -> Place:
        return Place(
            record=number,
            record_key=row.key,
            flow=flow,
            flow_name=self.lanes[flow].name,
            note=self.notes.add,
            cancelled=self.cancelled,
            run=self.name,
            identify=self.identify,
            runner=self.runner,
            forced_from=self._from_step,
            forced=self._force,
            budgets=self._budgets,
        )

    def _runs_anyway(self, lane: Lane) -> bool:
        forced = self.runner.forced
        return (
            self._force
            or self._from_step is not None
            or (bool(forced) and (not lane.on_map or lane.name in forced))
        )

    def _end(
        self,
        lane: Lane,
        place: Place,
        row: Row,
        key: str,
        outcome: Outcome,
        seconds: float,
    ) -> None:
        """A record came to its end in a flow. Whatever goes wrong here, nobody waits for it any longer."""
        telling = None
        try:
            # A run that was interrupted has been noted without this call; its
            # checkpoints are saved all the same.
            if not self._left and self._fatal is None:
                failed = self._note_end(place, key, outcome, seconds)
                if failed and lane.on_failure is not None:
                    telling = self._tell(lane, row, outcome.error)
        except BaseException as error:
            self._fatal = error
        finally:
            if telling is None:
                self._leave(place.record)
            else:
                telling.add_done_callback(lambda _: self._leave(place.record))

    def _note_end(
        self, place: Place, key: str, outcome: Outcome, seconds: float
    ) -> bool:
        """Tell the ledger; answers whether the record failed for good."""
        number, flow, state = place.record, place.flow, outcome.state
        failed, attempts = None, place.attempts
        if outcome.error is not None and state is not State.CANCELLED:
            cause, _, tried = failure.root(outcome.error)
            if isinstance(cause, RunCancelledError):
                state = State.CANCELLED
            else:
                state = (
                    State.TIMED_OUT
                    if isinstance(cause, StepTimeoutError)
                    else State.FAILED
                )
                failed, attempts = (
                    failure.of(outcome.error, None),
                    tried or outcome.attempts,
                )
        elif state is State.COMPLETED and place.called and not place.attempts:
            state = (
                State.CACHED
            )  # the flow ran through, and every step of it was remembered
        if state is State.CANCELLED and self._interrupted:
            state = State.INTERRUPTED
        if not outcome.stored:
            self.unsaved[number, flow] = outcome.value
        self._remember(place, failed=failed is not None)
        done = state in DONE
        self.notes.add(
            Item(
                number,
                flow,
                state,
                self.runner.clock.time(),
                seconds,
                key if done else None,
                attempts,
                failed,
            )
        )
        return failed is not None

    def _broken(self, error: BaseException) -> Outcome:
        """A SystemExit fails its record; whatever else is no `Exception` (KeyboardInterrupt) ends the whole run."""
        import asyncio

        if not isinstance(error, Exception | SystemExit | asyncio.CancelledError):
            self._fatal = error
        return Outcome(
            State.CANCELLED if isinstance(error, RunCancelledError) else State.FAILED,
            None,
            error,
        )

    def _remember(self, place: Place, *, failed: bool) -> None:
        where = place.record, place.flow
        if failed and len(self.inputs) < 2 * INPUTS:
            self.inputs[where] = place.inputs
        elif not failed:
            self.inputs[where] = place.inputs
            self._latest.append(where)
            if len(self._latest) > INPUTS:
                self.inputs.pop(self._latest.popleft(), None)

    def _tell(
        self, lane: Lane, row: Row, error: BaseException | None
    ) -> Future[None] | None:
        """Call ``on_failure``; what it raises is reported, and fails nothing else. An async one is to be waited for."""
        assert lane.on_failure is not None
        try:
            answer = lane.on_failure(row.record, error)
        except Exception as broken:
            self._not_told(lane, row, broken)
            return None
        import asyncio

        if not asyncio.iscoroutine(answer):
            return None
        return asyncio.run_coroutine_threadsafe(
            self._told(lane, row, answer), self._loop.get()
        )

    async def _told(self, lane: Lane, row: Row, answer: Any) -> None:
        try:
            await answer
        except Exception as broken:
            self._not_told(lane, row, broken)

    def _not_told(self, lane: Lane, row: Row, broken: Exception) -> None:
        self.say(
            f"on_failure of flow {lane.name!r} raised for record {row.key!r}: {failure.describe(broken)}"
        )

    def _leave(self, number: int) -> None:
        with self._mutex:
            left = self._pending[number] - 1
            if left:
                self._pending[number] = left
                return
            del self._pending[number]
            if len(self._pending) == self._refill:
                self._room.set()

    # Going on and coming to an end.

    def _tick(self, *, wait: bool = True) -> None:
        """Between two looks: let crews grow, show the table."""
        if wait:
            time.sleep(_TICK if len(self._pending) > THREADS else _TICK / 5)
        if self._fatal is not None:
            raise self._fatal
        if self._exits:
            raise KeyboardInterrupt
        now, then = time.perf_counter(), self._ticked
        if now - then < _TICK:
            return
        computed = time.process_time()
        load, self._ticked, self._computed = (
            (computed - self._computed) / (now - then),
            now,
            computed,
        )
        for crew in self._crews.values():
            crew.adjust(load)
        if now - self._asked > _ASKED and not self.cancelled.is_set():
            self._asked = now
            if self._ledger.is_asked_to_stop(self.state.run):
                self.cancel()
        if self.watch is not None and now - self._shown > _PICTURE:
            self._shown = now
            self.notes.flush()
            self.show()

    def _interrupt(self) -> None:
        """Stop, and give the calls under way a moment; account for the rows that were not read."""
        self._interrupted = True
        self.cancel()
        until = time.monotonic() + GRACE
        while self._pending and time.monotonic() < until:
            time.sleep(_TICK)
        self._left = bool(self._pending)
        if not self.batch.is_stream:
            self._list_rest()

    def _list_rest(self) -> None:
        """Note the records that the interrupt kept from being read; it may have come between two lines of the reading."""
        self.notes.flush()
        listed = len(self.state.keys)
        numbered = list(self.batch.numbered())
        self.rows = array("q", [number for number, _, _ in numbered])
        if self._only is None:
            self.notes.extend(
                [
                    Listed(number, row.key, times)
                    for number, times, row in numbered
                    if number >= listed or times > 1
                ]
            )
        self.notes.add(Sent(max(self.rows, default=-1) + 1))

    def _close(self) -> None:
        try:
            for crew in self._crews.values():
                crew.dismiss()
            self.notes.flush()
            for entry in self.state.interrupt(self.runner.clock.time()):
                self.notes.add(entry)
            self.notes.flush()
            self.notes.add(
                Closed(
                    self.state.verdict,
                    self.runner.clock.time(),
                    len(self.state.keys),
                    dict(self.state.tally()),
                    self.state.usage,
                    self.state.saved,
                    self._stopped(),
                    self.state.idle,
                )
            )
            self.notes.close()
        finally:
            for identity in self._noted:
                mutation.end(identity.changes)
            self._ended.set()

    def _stopped(self) -> str:
        """Where a budget kept records from being done: why, and how many are left."""
        refusal = next(
            (budget.refusal for budget in self._budgets if budget.refusal), ""
        )
        left = (
            len(
                {
                    record
                    for flow in range(len(self.lanes))
                    for record in self.state.records(flow, [State.CANCELLED])
                }
            )
            if refusal
            else 0
        )
        return (
            f"{refusal}. {left:,} record{'s are' if left > 1 else ' is'} left; what is done is saved: send again with a larger budget"
            if left
            else ""
        )

    def show(self) -> None:
        """Give the watcher a picture; one that raises is left out from then on."""
        if self.watch is not None:
            try:
                self.watch(self.state)
            except Exception as error:
                self.watch = None
                self.say(
                    f"The table of the run cannot be shown: {failure.describe(error)}"
                )

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    def say(self, text: str) -> None:
        """Report what is nobody's error to raise: in the table, and as a warning."""
        self.notes.add(Remark(self.runner.clock.time(), text))
        warnings.warn(text, NbflowWarning, stacklevel=2)


def _cancelled() -> Outcome:
    return Outcome(State.CANCELLED, None, RunCancelledError("The run was cancelled."))
