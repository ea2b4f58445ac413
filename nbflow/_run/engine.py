"""Engine: one store, its ledger, and everything that calls and runs on them need."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, WeakValueDictionary

from nbflow._core.entry import Coded, Opened, Resumed
from nbflow._key.call import Binder, inputs_of
from nbflow._run import keys
from nbflow._run.limits import Gate, Gates
from nbflow._run.runner import Call, Runner, value_of
from nbflow._run.scope import SCOPE
from nbflow._run.workers import Loop, Workers
from nbflow._state.reviews import Reviews
from nbflow.errors import NbflowWarning, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from nbflow._core.entry import Entry, RunState
    from nbflow._core.step import Step
    from nbflow._run.clock import Clock
    from nbflow._run.send import Execution
    from nbflow._state.ledger import Ledger
    from nbflow._state.store import Store

#: Runs among which the last one of an event is looked for.
_LOOKED_AT = 50
#: A sync step that holds an event loop for longer than this, in seconds, is reported.
_HELD_UP = 0.1

#: Runs that threads of this process go on with behind the cell that began them.
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


class Machinery:
    """What all engines of a process share: threads, the event loop, the steps' gates."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.loop = Loop()
        self.workers = Workers("nbflow-worker", most=64)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def prepare(self, step: Step[..., Any]) -> tuple[Binder, Gate]:
        """A step's binder and gate, made once."""
        return Binder(step.__wrapped__, step.keyed.ignore), self.gates.gate(step.policy)

    def _forked(self) -> None:
        _BACKGROUND.clear()
        self.loop.forget()
        self.workers = Workers("nbflow-worker", most=64)


class Engine:
    """Performs steps on one store and knows the runs that this process works on."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        machinery: Machinery,
        crash_point: Callable[[str], None] | None = None,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.reviews = Reviews(ledger.beside("reviews"))
        self.clock = clock
        self.machinery = machinery
        self.runner = Runner(store, clock, crash_point)
        #: What this process works on, or has worked on for somebody who still holds the
        #: run.
        self.live: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        #: Functions that stand for steps in tests, by the step's name.
        self.stubs: dict[str, Callable[..., Any]] = {}
        self._reported: set[str] = set()
        self._mutex = threading.Lock()
        #: When the latest run was begun, in milliseconds.
        self._latest = 0

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def new_run(self) -> str:
        """An id that sorts by the time of its making (UTC, to the millisecond): ``20261123-091502-417a6f0``.

        No two of this engine are of one millisecond; those of two processes differ by
        chance, of 65,536.
        """
        with self._mutex:
            self._latest = now = max(int(self.clock.time() * 1000), self._latest + 1)
        return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now // 1000))}-{now % 1000:03}{os.urandom(2).hex()}"

    # One step, called in one of its five ways.

    def _call(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Call, Runner, bool]:
        outer = SCOPE.get()
        item = outer.item if outer is not None else None
        binder, gate = step.prepared
        identity = keys.identify(step) if item is None else item.identify(step)
        arguments = binder.arguments(args, kwargs)
        key = keys.step_key(
            step, identity, arguments, item.run if item is not None else None
        )
        function = (
            self.stubs.get(step.name, step.__wrapped__)
            if self.stubs
            else step.__wrapped__
        )
        call = Call(
            function,
            step.name,
            step.policy,
            key,
            args,
            kwargs,
            identity=identity,
            inputs=lambda: inputs_of(arguments),
            gate=gate,
            item=item,
            outer=outer,
        )
        if item is None:
            return call, self.runner, identity.per_run  # no run: each call is one
        item.inputs.append((step.name, args, kwargs))
        return call, item.runner, item.must_run(step.name)

    def call(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The value of a sync step, or of an async one that is called plainly; a coroutine of it for any other async one."""
        __tracebackhide__ = True
        if step.is_async:
            return (
                self.sync(step, args, kwargs)
                if step.is_plain
                else self._acall(step, args, kwargs)
            )
        on_loop = self.machinery.loop.is_current()
        begun = time.perf_counter() if on_loop else 0.0
        call, runner, force = self._call(step, args, kwargs)
        call.on_loop = on_loop
        outcome = runner.perform(call, force=force)
        if on_loop and time.perf_counter() - begun > _HELD_UP:
            self._held_up(step, time.perf_counter() - begun)
        return value_of(call, outcome)

    async def _acall(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        __tracebackhide__ = True
        call, runner, force = self._call(step, args, kwargs)
        return value_of(call, await runner.aperform(call, force=force))

    def _held_up(self, step: Step[..., Any], seconds: float) -> None:
        with self._mutex:
            if step.name in self._reported:
                return
            self._reported.add(step.name)
        text = f"The sync step {step.name!r} held up the event loop of an async flow for {seconds:.1f} s; everything else waited. Await it on a thread: `await {step.name}.aio(...)`."
        warnings.warn(text, NbflowWarning, stacklevel=4)

    async def aio(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Await any step; a sync one on a worker thread."""
        if step.is_async:
            return await self._acall(step, args, kwargs)
        import asyncio

        return await asyncio.wrap_future(
            self.machinery.workers.submit(lambda: self.call(step, args, kwargs))
        )

    def sync(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Wait for any step."""
        if not step.is_async:
            return self.call(step, args, kwargs)
        self._refuse_on_loop(step, "(...)" if step.is_plain else ".sync(...)")
        outer = SCOPE.get()
        cancelled = (
            outer.item.cancelled
            if outer is not None and outer.item is not None
            else None
        )
        return self.machinery.loop.wait(
            self._acall(step, args, kwargs),
            lambda future: self.clock.wait_for(future, cancelled),
        )

    def submit(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Start any step on the side."""
        if not step.is_async:
            return self.machinery.workers.submit(lambda: self.call(step, args, kwargs))
        self._refuse_on_loop(step, ".submit(...)")
        import asyncio

        return asyncio.run_coroutine_threadsafe(
            self._acall(step, args, kwargs), self.machinery.loop.get()
        )

    def _refuse_on_loop(self, step: Step[..., Any], how: str) -> None:
        if self.machinery.loop.is_current():
            written = f"{step.name}.aio" if step.is_plain else step.name
            raise UsageError(
                f"{step.name}{how} would wait on the event loop for the event loop; in async code write `await {written}(...)`."
            )

    def fan_out(
        self,
        step: Step[..., Any],
        items: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A map inside a flow: the list of values, in order; for an async step on a loop, an awaitable of it."""
        before, after = args[: len(step.bound)], args[len(step.bound) :]
        calls = [(*before, item, *after) for item in items]
        if step.is_async and self.machinery.loop.is_current():
            return self._gather(self._acall(step, call, kwargs) for call in calls)
        futures = [self.submit(step, call, kwargs) for call in calls]
        values, first = [], None
        for future in futures:
            try:
                values.append(future.result())
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        return values

    @staticmethod
    async def _gather(calls: Any) -> list[Any]:
        import asyncio

        values = await asyncio.gather(*calls, return_exceptions=True)
        for value in values:
            if isinstance(value, BaseException):
                raise value
        return values

    # Runs.

    def codes_before(
        self, state: RunState, first: Opened | Resumed
    ) -> dict[str, bytes]:
        """The codes of flows and steps when the run that begins now last ran, or else the last run of its event."""
        if isinstance(first, Resumed):
            return {subject: coded.code for subject, coded in state.coded.items()}
        known = [run for run in self.ledger.runs()[-_LOOKED_AT:] if run != first.run]
        entries: list[Entry] = next(
            (entries for _, entries in self.runs_of(first.event, known)), []
        )
        return {
            entry.subject: entry.code for entry in entries if isinstance(entry, Coded)
        }

    def runs_of(
        self, event: str, runs: Sequence[str]
    ) -> Iterator[tuple[str, list[Entry]]]:
        """Those of these runs that are of an event, the last one first, each with its first and last entries."""
        for run in reversed(runs):
            entries = self.ledger.ends(run)
            if entries and isinstance(entries[0], Opened) and entries[0].event == event:
                yield run, entries

    def is_worked_on(self, run: str) -> bool:
        """Does some process, this one included, work on ``run``?"""
        with self._mutex:
            execution = self.live.get(run)
            if execution is not None and not execution.has_ended:
                return True
            key = keys.run_key(run)
            if self.store.lock(key):
                self.store.unlock(key)
                return False
            return True

    def work_on(
        self,
        execution: Execution,
        *,
        background: bool,
        ended: Callable[[RunState], None] | None = None,
    ) -> None:
        """See ``execution`` through, here or on a thread of its own; ``ended`` is told how it came out."""
        run = execution.state.run
        with self._mutex:
            self.live[run] = execution
            for pause in (0.001, 0.01, 0.1, 0):
                if self.store.lock(keys.run_key(run)):
                    break
                # Somebody may only have looked whether it is locked, for which it is
                # locked for a moment.
                time.sleep(pause)
            else:
                del self.live[run]
                raise UsageError(
                    f"Run {run} is being worked on by another process; wait for it or cancel it there."
                )
        if background:
            _BACKGROUND.add(execution)
            threading.Thread(
                target=self._work_aside,
                args=(execution, ended),
                name=f"nbflow-run-{run}",
                daemon=True,
            ).start()
        else:
            self._work(execution, ended)

    def _work_aside(
        self, execution: Execution, ended: Callable[[RunState], None] | None
    ) -> None:
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # at the end of the process; nobody is there to see it
            self._work(execution, ended)

    def _work(
        self, execution: Execution, ended: Callable[[RunState], None] | None
    ) -> None:
        try:
            execution.run()
        finally:
            self.store.unlock(keys.run_key(execution.state.run))
            if ended is not None:
                execution.watch = ended
                execution.show()
