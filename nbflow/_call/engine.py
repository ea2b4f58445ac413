"""Engine: one store, its ledger, and everything that calls and runs on them need."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from nbflow._call import keys, screen, threads
from nbflow._call.limits import Gate, Gates
from nbflow._call.runner import Call, Runner, value_of
from nbflow._call.scope import current
from nbflow._call.workers import Loop, Workers
from nbflow._key import fork
from nbflow._key.call import Binder, inputs_of
from nbflow._key.warning import warn
from nbflow._store.decisions import Decisions, Samples
from nbflow.errors import NbflowWarning, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from nbflow._call.clock import Clock
    from nbflow._call.scope import Performer
    from nbflow._core.step import AnyStep
    from nbflow._store.ledger import Ledger
    from nbflow._store.store import Store

#: A sync step that holds an event loop for longer than this, in seconds, is reported.
_HELD_UP = 0.1


class Machinery:
    """What all engines of a process share: threads, the event loop, the steps' gates."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.loop = Loop()
        self.workers = Workers("nbflow-worker", most=64)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def prepare(self, step: AnyStep) -> tuple[Binder, Gate]:
        """A step's binder and gate, made once."""
        return Binder(
            step.__wrapped__, step.keyed.ignore, step.keyed.same
        ), self.gates.gate(step.policy)

    def _forked(self) -> None:
        self.loop.forget()
        self.workers = Workers("nbflow-worker", most=64)


class Engine:
    """Performs steps on one store, whichever of the five ways they are called in."""

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
        self.decisions = Decisions(ledger.beside("reviews"))
        self.samples = Samples(ledger.beside("samples"))
        self.inbox = ledger.inbox()
        self.clock = clock
        self.machinery = machinery
        self.runner = Runner(store, self.inbox, clock, crash_point)
        #: Functions that stand for steps in tests, by the step's name.
        self.stubs: dict[str, Callable[..., Any]] = {}
        #: Steps that a warning was given of, each with the warning's kind.
        self._reported: set[tuple[str, str]] = set()
        self._mutex = fork.free_lock()
        threads.carry()
        screen.watch_log()

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()
        self.inbox.close()

    # One step, called in one of its five ways.

    def _call(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> tuple[Call, Performer, bool]:
        outer = current()
        if outer is None and threads.is_foreign():
            self._outside(step)
        place = outer.place if outer is not None else None
        binder, gate = step.prepared
        identity = keys.identify(step) if place is None else place.identify(step)
        arguments = binder.arguments(args, kwargs)
        run = place.run if place is not None else None
        key = keys.step_key(step, identity, arguments, run)
        function = step.__wrapped__
        if self.stubs:
            function = self.stubs.get(step.name, function)
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
            place=place,
            outer=outer,
        )
        if place is None:
            return call, self.runner, identity.per_run  # no run: each call is one
        place.inputs.append((step.name, args, kwargs))
        return call, place.runner, place.must_run(step.name)

    def call(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Call a step as it was written.

        Returns the value of a sync step, or of an async one that is called plainly; for
        any other async one a coroutine of it.
        """
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
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        __tracebackhide__ = True
        call, runner, force = self._call(step, args, kwargs)
        return value_of(call, await runner.aperform(call, force=force))

    def _held_up(self, step: AnyStep, seconds: float) -> None:
        if self._is_reported(step, "held up"):
            return
        text = (
            f"The sync step {step.name!r} held up the event loop of an async flow for"
            f" {seconds:.1f} s; everything else waited. Await it on a thread: `await"
            f" {step.name}.aio(...)`."
        )
        warn(text, NbflowWarning)

    def _outside(self, step: AnyStep) -> None:
        """Warn of a call on a thread of which nobody knows whether a call under way waits for it."""
        caller = self.runner.calling(step)
        if caller is None or self._is_reported(step, "outside"):
            return
        thread = threading.current_thread().name
        text = (
            f"Step {step.name!r} is called on thread {thread!r} while {caller!r}, whose"
            " code calls it, is under way. The thread was not started there, so the call"
            f" does not belong to {caller!r}: not to its table and budget, and a ttl or"
            f" forget of {step.name!r} does not reach what it returns. Make the thread or"
            f" pool inside it, use concurrent.futures.ThreadPoolExecutor, or call"
            f" {step.name}.submit(...)."
        )
        warn(text, NbflowWarning)

    def _is_reported(self, step: AnyStep, kind: str) -> bool:
        """Return whether a warning was given before; from now on it was."""
        with self._mutex:
            known = (step.name, kind) in self._reported
            self._reported.add((step.name, kind))
            return known

    async def aio(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Await any step; a sync one on a worker thread."""
        if step.is_async:
            return await self._acall(step, args, kwargs)
        import asyncio

        return await asyncio.wrap_future(
            self.machinery.workers.submit(lambda: self.call(step, args, kwargs))
        )

    def sync(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Wait for any step."""
        if not step.is_async:
            return self.call(step, args, kwargs)
        self._refuse_on_loop(step, "(...)" if step.is_plain else ".sync(...)")
        outer = current()
        place = outer.place if outer is not None else None
        cancelled = place.cancelled if place is not None else None
        return self.machinery.loop.wait(
            self._acall(step, args, kwargs),
            lambda future: self.clock.wait_for(future, cancelled),
        )

    def submit(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Future[Any]:
        """Start any step on the side."""
        if not step.is_async:
            return self.machinery.workers.submit(lambda: self.call(step, args, kwargs))
        self._refuse_on_loop(step, ".submit(...)")
        import asyncio

        return asyncio.run_coroutine_threadsafe(
            self._acall(step, args, kwargs), self.machinery.loop.get()
        )

    def _refuse_on_loop(self, step: AnyStep, how: str) -> None:
        if self.machinery.loop.is_current():
            written = f"{step.name}.aio" if step.is_plain else step.name
            raise UsageError(
                f"{step.name}{how} would wait on the event loop for the event loop;"
                f" in async code write `await {written}(...)`."
            )

    def fan_out(
        self,
        step: AnyStep,
        items: Iterable[object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
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
