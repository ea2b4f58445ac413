"""Alarm: continues the waiting runs of this process, while the kernel is there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key.warning import warn
from nbflow._run.waiting import ready
from nbflow.errors import NbflowError, NbflowWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._call.engine import Engine
    from nbflow._core.entry import RunState

#: Seconds between two looks.
_PERIOD = 0.5


class Sleeper(NamedTuple):
    """A run whose records wait.

    Attributes:
        run: its id.
        engine: on the store that it is in.
        look: gives its state.
        go_on: continues it for the records that are ready, behind the cells.
    """

    run: str
    engine: Engine
    look: Callable[[], RunState]
    go_on: Callable[[], object]


class Alarm:
    """Continues the waiting runs of this process, each record once its wait is over.

    One thread for all of them, which looks at the clock and the inbox.
    """

    def __init__(self) -> None:
        self._sleepers: dict[str, Sleeper] = {}
        #: By run: the inbox as it was at the last look, and when the next time is up.
        self._seen: dict[str, tuple[int, float]] = {}
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, sleeper: Sleeper) -> None:
        """Continue a run that waits now, once its waits are over."""
        with self._mutex:
            self._sleepers[sleeper.run] = sleeper
            self._seen.pop(sleeper.run, None)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._look_again, name="nbflow-alarm", daemon=True
                )
                self._thread.start()

    def _look_again(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(_PERIOD)
            with self._mutex:
                sleepers = list(self._sleepers.values())
                if not sleepers:
                    self._thread = None
                    return
            for sleeper in sleepers:
                try:
                    self._look(sleeper)
                except NbflowError as error:
                    self._leave(sleeper)
                    warn(
                        f"Run {sleeper.run} waits, and this kernel cannot continue it:"
                        f" {error} run.resume() tries again.",
                        NbflowWarning,
                    )

    def _look(self, sleeper: Sleeper) -> None:
        run, engine, look, go_on = sleeper
        state = look()
        if state.state == "RUNNING":
            return
        if not state.awaited:
            self._leave(sleeper)
            return
        end, now = engine.inbox.end(), engine.clock.time()
        before, due = self._seen.get(run, (-1, 0.0))
        if end == before and now < due:
            return
        if ready(engine, state):
            go_on()
            return
        times = [one.until for one in state.awaited.values() if one.until is not None]
        self._seen[run] = end, min(times, default=float("inf"))

    def _leave(self, sleeper: Sleeper) -> None:
        with self._mutex:
            self._sleepers.pop(sleeper.run, None)
            self._seen.pop(sleeper.run, None)
