"""Test flows with plain pytest: no disk, no waiting, steps stubbed by name, crashes on demand.

::

    import nbflow.testing
    from my_job import triage                         # defines steps and flows

    def test_a_failing_model_fails_its_record_only():
        with nbflow.testing.isolated() as nb:
            nb.stub("categorize", lambda text: {"label": "billing"})
            run = nb.send("support/thread.created", [{"id": 1, "body": "refund"}], key="id")
            assert run.results("triage") == [{"label": "billing"}]
            assert nb.calls == ["categorize", "save_category"]

Retry waits, throttles and pauses take no time, and nothing is printed. To be killed for
real, start a process with ``NBFLOW_CRASH_AT=commit`` in its environment: it kills
itself with SIGKILL at that point.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbflow import _api
from nbflow._call.clock import TestClock
from nbflow._call.engine import Engine
from nbflow._core.lifecycle import State
from nbflow._run.runs import Runs
from nbflow._session import SESSION
from nbflow._store.ledger import MemoryLedger
from nbflow._store.store import MemoryStore
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._run.run import Run
    from nbflow._store.ledger import Ledger
    from nbflow._store.store import Store

__all__ = ["CRASH_POINTS", "Isolated", "SimulatedCrash", "isolated"]

#: Where a crash can be asked for: a step's or flow's output is there and not saved; it
#: is saved and not noted; it is noted and the caller has not seen it.
CRASH_POINTS = ("output", "commit", "note")


class SimulatedCrash(BaseException):
    """What ``crash_at`` raises. No `Exception`: no retry, no handler and no flow gets in its way."""


class Isolated:
    """An engine for one test.

    Attributes:
        calls: names of the steps that were executed (not served from checkpoints), in
            the order of their starts.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._clock = TestClock()
        self._crash: list[Any] = ["", 0]
        self._machinery = SESSION.machinery
        self.runs = self._on(MemoryStore(), MemoryLedger())
        self.engine.runner.on_attempt = self.calls.append

    def _on(self, store: Store, ledger: Ledger) -> Runs:
        return Runs(Engine(store, ledger, self._clock, self._machinery, self._reached))

    @property
    def engine(self) -> Engine:
        """What performs its steps."""
        return self.runs.engine

    def stub(self, step: str, function: Callable[..., Any]) -> None:
        """Call ``function`` instead of the step's own, with the same arguments; for an async step it may be async.

        Retries, limits and checkpoints are those of the step. An exception to be raised
        is what a function raises.
        """
        if step not in SESSION.steps:
            raise UsageError(
                f"There is no step {step!r} to stub; there are {', '.join(sorted(SESSION.steps)) or 'none'}."
            )
        is_async = SESSION.steps[step].is_async
        self.engine.stubs[step] = (
            _awaitable(function)
            if is_async and not inspect.iscoroutinefunction(function)
            else function
        )

    def send(self, event: str, records: Any, **options: Any) -> Run:
        """``nbflow.send``, on this engine."""
        return _api.send(event, records, **options)

    def advance(self, seconds: float) -> None:
        """Let time pass, so that a ``ttl=`` runs out."""
        self._clock.wait(seconds, None)

    def crash_at(self, point: str, nth: int = 1) -> None:
        """Raise `SimulatedCrash` at the ``nth`` passing of a point of `CRASH_POINTS`, once.

        Nothing that the engine would do afterwards happens, as if the process were
        gone: send again and see.
        """
        if point not in CRASH_POINTS:
            raise UsageError(
                f"{point!r} is not a crash point; they are {', '.join(CRASH_POINTS)}."
            )
        self._crash[:] = [point, nth]

    def forget(self) -> None:
        """A new process on the same store: only what is saved is left. ``calls`` begins anew."""
        engine = self.engine
        self.runs = self._on(engine.store, engine.ledger)
        self.engine.stubs.update(engine.stubs)
        self.engine.runner.on_attempt = self.calls.append
        self.calls.clear()
        SESSION.replace(self.runs)

    def states(self, run: Run) -> dict[str, list[str]]:
        """For each flow of ``run`` the states of its records, in order: ``{"triage": ["COMPLETED", "FAILED"]}``."""
        state = run.reader.state()
        return {
            name: [
                str(State(state.item(record, flow)))
                for record in range(len(state.keys))
            ]
            for flow, name in enumerate(state.flows)
        }

    def _reached(self, point: str) -> None:
        if point == self._crash[0]:
            self._crash[1] -= 1
            if self._crash[1] == 0:
                raise SimulatedCrash(f"simulated crash at {point!r}")


def _awaitable(function: Callable[..., Any]) -> Callable[..., Any]:
    async def stub(*args: Any, **kwargs: Any) -> Any:
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
