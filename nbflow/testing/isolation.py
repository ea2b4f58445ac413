"""Isolation: an engine for one test: no disk, no waiting, steps stubbed by name, crashes on demand."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow import _api
from nbflow._call.clock import TestClock
from nbflow._call.engine import Engine
from nbflow._core import policy
from nbflow._core.lifecycle import State
from nbflow._run.runs import Runs
from nbflow._session import SESSION
from nbflow._store.memory_ledger import MemoryLedger
from nbflow._store.store import MemoryStore
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from typing import TypeAlias

    from nbflow._run.run import Run
    from nbflow._store.ledger import Ledger
    from nbflow._store.store import Store

    #: What stands in for a step: a user's own.
    Function: TypeAlias = Callable[..., Any]

#: Where a crash can be asked for: the output of a step or flow exists and is not saved;
#: it is saved and not noted; it is noted and the caller has not seen it. And before each
#: part of what `nbflow.store` removes.
CRASH_POINTS = ("output", "commit", "note", "remove")


class SimulatedCrash(BaseException):
    """What ``crash_at`` raises.

    It is not an `Exception`: no retry, no handler and no flow stops it.
    """

    ends_run = True


@dataclass(slots=True)
class _Crash:
    """A crash that was asked for: at which point, and after how many passings."""

    point: str = ""
    passings: int = 0


class Isolated:
    """An engine for one test.

    Attributes:
        calls: names of the steps that were executed (not served from checkpoints), in
            the order in which they started.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._clock = TestClock()
        self._crash = _Crash()
        self._machinery = SESSION.machinery
        self.runs = self._on(MemoryStore(), MemoryLedger())
        self.engine.runner.on_attempt = self.calls.append

    def _on(self, store: Store, ledger: Ledger) -> Runs:
        runs = Runs(Engine(store, ledger, self._clock, self._machinery, self._reached))
        runs.alarm = None  # a record that waits goes on when the test says so
        return runs

    @property
    def engine(self) -> Engine:
        """What performs its steps."""
        return self.runs.engine

    def stub(self, step: str, function: Function) -> None:
        """Call ``function`` instead of the step's own, with the same arguments.

        For an async step it may be async. Retries, limits and checkpoints are those of
        the step; an exception that the function raises counts as the step's.
        """
        known = SESSION.steps
        if step not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"There is no step {step!r} to stub; there are {names}.")
        if known[step].is_async and not inspect.iscoroutinefunction(function):
            function = _awaitable(function)
        self.engine.stubs[step] = function

    def send(self, event: str, records: Any, **options: Any) -> Run:
        """``nbflow.send``, on this engine."""
        return _api.send(event, records, **options)

    def advance(self, seconds: float | str | timedelta) -> None:
        """Let time pass, so that a ``ttl=`` runs out, or a record has waited long enough for ``run.resume()``."""
        self._clock.wait(policy.seconds(seconds, "seconds"), None)

    def crash_at(self, point: str, nth: int = 1) -> None:
        """Raise `SimulatedCrash` once, when a point is passed for the ``nth`` time.

        Nothing that the engine would do afterwards happens, as if the process were
        gone: send again and see.

        Args:
            point: one of `CRASH_POINTS`.
            nth: counts the passings from now on, from 1.
        """
        if point not in CRASH_POINTS:
            points = ", ".join(CRASH_POINTS)
            raise UsageError(f"{point!r} is not a crash point; they are {points}.")
        self._crash = _Crash(point, nth)

    def forget(self) -> None:
        """Start over as a new process on the same store: only what is saved is left.

        ``calls`` is empty again.
        """
        engine = self.engine
        self.runs = self._on(engine.store, engine.ledger)
        self.engine.stubs.update(engine.stubs)
        self.engine.runner.on_attempt = self.calls.append
        self.calls.clear()
        SESSION.replace(self.runs)

    def states(self, run: Run) -> dict[str, list[str]]:
        """The states of the records in each flow of ``run``, in order.

        For example ``{"triage": ["COMPLETED", "FAILED"]}``.
        """
        state = run.reader.state()
        records = range(len(state.keys))
        return {
            name: [str(State(state.item(record, flow))) for record in records]
            for flow, name in enumerate(state.flows)
        }

    def _reached(self, point: str) -> None:
        crash = self._crash
        if point == crash.point:
            crash.passings -= 1
            if crash.passings == 0:
                raise SimulatedCrash(f"simulated crash at {point!r}")


def _awaitable(function: Function) -> Function:
    async def stub(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return stub


@contextmanager
def isolated() -> Iterator[Isolated]:
    """An engine of its own for the block: a store in memory, a clock that does not wait, no display.

    Steps and flows stay those that are defined. As a pytest fixture::

        @pytest.fixture
        def nb():
            with nbflow.testing.isolated() as nb:
                yield nb
    """
    session = SESSION
    isolated = Isolated()
    before, shows = session.replace(isolated.runs), session.shows
    session.shows = False
    try:
        yield isolated
    finally:
        session.replace(before)
        session.shows = shows
