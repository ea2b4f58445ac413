"""Records: sees each record of a run through its flows, on a thread or on the event loop.

Whatever a record does, it comes to an end that the ledger knows, and nobody waits for it
any longer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nbflow._call import failure
from nbflow._call.scope import Place
from nbflow._core.entry import DONE, Item, Remark
from nbflow._core.lifecycle import Outcome, State
from nbflow._core.policy import ends_run
from nbflow._run.kept_inputs import KeptInputs
from nbflow.errors import RunCancelledError, StepTimeoutError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from nbflow._call.workers import Loop
    from nbflow._core.entry import Failure
    from nbflow._run.batch import Row
    from nbflow._run.codes import Codes
    from nbflow._run.context import RunContext
    from nbflow._run.lane import Lane


class Records:
    """The records of one run that are under way, and what is left of those that ended."""

    def __init__(
        self,
        context: RunContext,
        codes: Codes,
        loop: Loop,
        leave: Callable[[int], None],
    ) -> None:
        self._context = context
        self._codes = codes
        self._loop = loop
        #: Told the number of each record that ended in a flow.
        self._leave = leave
        #: Values that no bytes could be made of: they live as long as this kernel.
        self.unsaved: dict[tuple[int, int], object] = {}
        #: What steps were called with: of the first failures and of the latest records.
        self.inputs = KeptInputs()
        self._tasks: set[asyncio.Task[None]] = set()

    def cancel_tasks(self) -> None:
        """Cancel what runs on the event loop; called there."""
        for task in list(self._tasks):
            task.cancel()

    # A record in a sync flow is seen through on a thread, in an async one as a task.

    def work(self, work: tuple[int, int, Row, str]) -> None:
        """See one record through a sync flow, in this thread."""
        flow, number, row, key = work
        lane, place = self._context.lanes[flow], self._place(flow, number, row)
        begun = time.perf_counter()
        try:
            if self._context.cancelled.is_set():
                outcome = _cancelled()
            else:
                self._note_running(place)
                outcome = self._context.runner.perform(
                    lane.call(row, key, place), force=self._context.ignores_saved(lane)
                )
        except BaseException as error:
            outcome = self._broken(error)
        self._end(lane, place, row, key, outcome, time.perf_counter() - begun)

    def begin(self, flow: int, number: int, row: Row, key: str) -> None:
        """Start the task that sees one record through an async flow; called on the event loop."""
        import asyncio

        asyncio.get_running_loop().create_task(self._awork(flow, number, row, key))

    async def _awork(self, flow: int, number: int, row: Row, key: str) -> None:
        import asyncio

        lane, place = self._context.lanes[flow], self._place(flow, number, row)
        cancelled = self._context.cancelled
        begun = time.perf_counter()
        # Here, not where the task is made: a task that is cancelled before its first
        # line would never end its record.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if cancelled.is_set():
                outcome = _cancelled()
            else:
                self._note_running(place)
                outcome = await self._context.runner.aperform(
                    lane.call(row, key, place), force=self._context.ignores_saved(lane)
                )
        except asyncio.CancelledError as error:
            outcome = _cancelled() if cancelled.is_set() else self._broken(error)
        except BaseException as error:
            outcome = self._broken(error)
        finally:
            self._tasks.discard(task)
        self._end(lane, place, row, key, outcome, time.perf_counter() - begun)

    def _place(self, flow: int, number: int, row: Row) -> Place:
        context = self._context
        return Place(
            record=number,
            content=row.record,
            digest=row.digest,
            record_key=row.key,
            flow=flow,
            flow_name=context.lanes[flow].name,
            note=context.notes.add,
            note_all=context.notes.extend,
            room=context.room,
            is_alone=context.is_one_by_one,
            cancelled=context.cancelled,
            ended=context.ended,
            run=context.run,
            since=context.since,
            identify=self._codes.identify,
            runner=context.runner,
            forced_from=context.options.from_step,
            around=context.options.around,
            forced=context.options.force,
            budgets=context.budgets,
            resumes=context.options.resumes.get((number, flow), ""),
        )

    def _note_running(self, place: Place) -> None:
        context = self._context
        context.notes.add(Item(place.record, place.flow, State.RUNNING, context.now()))

    def _broken(self, error: BaseException) -> Outcome:
        """An interrupt ends the whole run, everything else fails the record."""
        if ends_run(error):
            self._context.fatal = error
        is_cancelled = isinstance(error, RunCancelledError)
        return Outcome(State.CANCELLED if is_cancelled else State.FAILED, None, error)

    # A record comes to its end in a flow.

    def _end(
        self,
        lane: Lane,
        place: Place,
        row: Row,
        key: str,
        outcome: Outcome,
        seconds: float,
    ) -> None:
        """Note the end, call ``on_failure``, leave. Whatever goes wrong here, the record is left."""
        context, telling = self._context, None
        try:
            # A run that was interrupted has been noted without this call; its
            # checkpoints are saved nevertheless.
            if not context.is_closed and context.fatal is None:
                failed = self._note_end(place, key, outcome, seconds)
                if failed and lane.on_failure is not None:
                    telling = self._tell(lane, row, outcome.error)
        except BaseException as error:
            context.fatal = error
        finally:
            if telling is None:
                self._leave(place.record)
            else:
                telling.add_done_callback(lambda _: self._leave(place.record))

    def _note_end(
        self, place: Place, key: str, outcome: Outcome, seconds: float
    ) -> bool:
        """Tell the ledger; returns whether the record failed."""
        if place.resumes and not place.is_back and outcome.error is None:
            self._context.notes.add(Remark(self._context.now(), _dropped(place)))
        state, attempts, failed = self._verdict(place, outcome)
        where = place.record, place.flow
        if not outcome.stored:
            self.unsaved[where] = outcome.value
        self.inputs.keep(where, place.inputs, failed=failed is not None)
        saved_under = key if state in DONE else None
        now, waited = self._context.now(), min(place.waited, seconds)
        seconds -= waited
        self._context.notes.add(
            Item(
                *where,
                state,
                now,
                seconds,
                saved_under,
                attempts,
                failed,
                waited or 0,
                state is State.CACHED and place.is_same,
            )
        )
        return failed is not None

    def _verdict(
        self, place: Place, outcome: Outcome
    ) -> tuple[State, int, Failure | None]:
        """Return how a record came out: its state, its attempts, and the failure if it failed."""
        state, attempts, failed = outcome.state, place.attempts, None
        if state is State.WAITING:
            return state, attempts, None
        if outcome.error is not None and state is not State.CANCELLED:
            cause, _, tried = failure.root(outcome.error)
            if isinstance(cause, RunCancelledError):
                state = State.CANCELLED
            else:
                timed_out = isinstance(cause, StepTimeoutError)
                state = State.TIMED_OUT if timed_out else State.FAILED
                failed = failure.of(outcome.error, None, place.content)
                attempts = tried or outcome.attempts
        elif state is State.COMPLETED and place.called and not place.attempts:
            # The flow ran through, and every step of it was remembered.
            state = State.CACHED
        if state is State.CANCELLED and self._context.is_interrupted:
            state = State.INTERRUPTED
        return state, attempts, failed

    # Telling the author of the flow.

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

    async def _told(
        self, lane: Lane, row: Row, answer: Coroutine[object, object, object]
    ) -> None:
        try:
            await answer
        except Exception as broken:
            self._not_told(lane, row, broken)

    def _not_told(self, lane: Lane, row: Row, broken: Exception) -> None:
        self._context.say(
            f"on_failure of flow {lane.name!r} raised for record {row.key!r}:"
            f" {failure.describe(broken)}"
        )


def _dropped(place: Place) -> str:
    return (
        f"A record that waited in flow {place.flow_name!r} did not come back to its wait:"
        " it is no longer in the code, and was dropped."
    )


def _cancelled() -> Outcome:
    return Outcome(State.CANCELLED, None, RunCancelledError("The run was cancelled."))
