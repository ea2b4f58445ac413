"""Alarm: has the waiting runs of this process go on, while the kernel is there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nbflow._key.warning import warn
from nbflow._run.waiting import ready
from nbflow.errors import NbflowError, NbflowWarning

if TYPE_CHECKING:
    from nbflow._run.run import Run

#: Seconds between two looks.
_PERIOD = 0.5


class Alarm:
    """Has the waiting runs of this process go on, each record once its wait is over.

    One thread for all of them, which looks at the clock and the inbox.
    """

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        #: By run: the inbox as it was at the last look, and when the next time is up.
        self._seen: dict[str, tuple[int, float]] = {}
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, run: Run) -> None:
        """Have a run go on that waits now."""
        with self._mutex:
            self._runs[run.id] = run
            self._seen.pop(run.id, None)
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
                runs = list(self._runs.values())
                if not runs:
                    self._thread = None
                    return
            for run in runs:
                try:
                    self._look(run)
                except NbflowError as error:
                    self._leave(run)
                    warn(
                        f"Run {run.id} waits, and this kernel cannot go on with it:"
                        f" {error} run.resume() tries again.",
                        NbflowWarning,
                    )

    def _look(self, run: Run) -> None:
        state = run.reader.state()
        if state.state == "RUNNING":
            return
        if not state.awaited:
            self._leave(run)
            return
        end, now = run.engine.inbox.end(), run.engine.clock.time()
        before, due = self._seen.get(run.id, (-1, 0.0))
        if end == before and now < due:
            return
        if ready(run.engine, state):
            run.resume_aside()
            return
        times = [one.until for one in state.awaited.values() if one.until is not None]
        self._seen[run.id] = end, min(times, default=float("inf"))

    def _leave(self, run: Run) -> None:
        with self._mutex:
            self._runs.pop(run.id, None)
            self._seen.pop(run.id, None)
