"""Cell attempt: one try of a step cell, the ``with`` around its statements.

At the beginning the cell is looked up. From there it is either a `CellReplay` (found: of
the statements only imports and definitions run) or a `CellRecording` (not found: all run,
and what comes out is saved), and an attempt decides between the two: a replay that fails
is followed by an attempt that runs the cell, a failure by another attempt if the cell
asks for retries.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, cast

from nbflow._call import job_link, lookup
from nbflow._call.claim import SILENT, whose
from nbflow._core.duration import duration
from nbflow._key.log_text import log
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning, StepTimeoutError, StoreError
from nbflow.notebook import outputs
from nbflow.notebook.cell_recording import CellRecording
from nbflow.notebook.cell_replay import CellReplay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from nbflow._call.engine import Engine
    from nbflow._store.checkpoint import Checkpoint
    from nbflow.notebook.cell_recording import CellAlias, CellContent
    from nbflow.notebook.step_cell import Notebook, StepCell

_LOG = logging.getLogger("nbflow.cell")

#: Seconds between two looks whether another kernel has finished the cell.
_POLL = 0.05


class CellAttempt:
    """One try of a step cell; `nbflow.notebook.cells` says how a cell is written around it.

    Attributes:
        live: whether all statements run; on a hit only imports and definitions do.
        failed: whether another attempt follows, as this one failed.
        is_lost: whether an attempt follows that runs the cell, as what is saved of it
            cannot be used.
    """

    def __init__(self, notebook: Notebook, cell: StepCell, number: int) -> None:
        self.live = True
        self.failed = False
        self.is_lost = False
        self._notebook = notebook
        self._cell = cell
        self._number = number
        self._replay: CellReplay | None = None
        self._recording = CellRecording(notebook, cell)
        #: The key that no other kernel has while this one works on the cell.
        self._locked: str | None = None
        self._alarm: AbstractContextManager[None] | None = None
        self._deadline: asyncio.Timeout | None = None

    def show(self, value: object) -> None:
        """Show the value of an expression as IPython does; on a hit, what was shown is shown again."""
        if self.live:
            sys.displayhook(value)
            self._recording.note_value(value)

    # Around the statements.

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        with self._released():
            for pause in self._begin():
                time.sleep(pause)
        if self.live:
            self._alarm = _alarm(self._cell.spec.policy.timeout)
            self._alarm.__enter__()
        return self

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        with self._released():
            for pause in self._begin():
                await asyncio.sleep(pause)
        timeout = self._cell.spec.policy.timeout
        if self.live and timeout is not None:
            self._deadline = asyncio.timeout(timeout)
            await self._deadline.__aenter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        __tracebackhide__ = True
        if self._alarm is not None:
            self._alarm.__exit__(kind, error, trace)
        wait = self._end(error)
        if wait is None:
            return False
        time.sleep(wait)
        return True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        __tracebackhide__ = True
        if self._deadline is not None:
            try:
                await self._deadline.__aexit__(kind, error, trace)
            except TimeoutError:
                error = _timed_out(self._cell.spec.policy.timeout)
        wait = self._end(error)
        if wait is not None:
            await asyncio.sleep(wait)
            return True
        if isinstance(error, StepTimeoutError):
            raise error
        return False

    @contextmanager
    def _released(self, *, always: bool = False) -> Iterator[None]:
        """Give streams and lock back if the block fails, or in any case."""
        try:
            yield
        except BaseException:
            always = True
            raise
        finally:
            if always:
                self._recording.abandon()
                if self._replay is not None:
                    self._replay.abandon()
                if self._locked is not None:
                    self._notebook.engine().store.unlock(self._locked)
                    self._locked = None

    # Before the statements.

    def _begin(self) -> Iterator[float]:
        """Look the cell up, alone among kernels; yields pauses while another one has it.

        A generator, since sync and async cells wait in different ways.
        """
        __tracebackhide__ = True
        cell = self._cell
        why = self._notebook.read(cell)
        if cell.spec.dry:
            self.live = False
            self._forecast(why)
            return
        if why is not None:
            cell.key, cell.why = "", why
        else:
            engine = self._notebook.engine()
            yield from self._turns(engine)
            self._locked = cell.key
            found = None if self._is_forced() else _look_up(engine, cell)
            if found is not None and not self._notebook.draws_anew(
                found[1].get("drawn", {}), cell.key
            ):
                self.live = False
                self._replay = CellReplay(self._notebook.shell, cell, *found)
                self._replay.begin()
                return
            self._recording.look_at_inputs()
        cell.state = "running"
        self._recording.start()

    def _turns(self, engine: Engine) -> Iterator[float]:
        """The waits until no other kernel works on the cell; it is said who does."""
        begun, waited = engine.clock.time(), 0.0
        while not engine.store.lock(self._cell.key):
            if waited <= SILENT < waited + _POLL:
                who = whose(engine.store, self._cell.key, begun)
                outputs.say(f"{self._cell.spec.name} waits: {who}.")
            waited += _POLL
            yield _POLL

    def _forecast(self, why: str | None) -> None:
        """Say what the cell would do, for ``--dry``."""
        if why is None:
            outputs.say(str(self._notebook.explain(self._cell)))
        else:
            outputs.say(f"{self._cell.spec.name} would run: {why}.")

    def _is_forced(self) -> bool:
        """Return whether the cell has to run although it is saved."""
        cell, name = self._cell, self._cell.spec.name
        return (
            cell.is_lost
            or cell.spec.force
            or name in self._notebook.forced
            or name in job_link.forced()
        )

    # After the statements.

    def _end(self, error: BaseException | None) -> float | None:
        """Save or replay; returns seconds until the next attempt, ``None`` if there is none."""
        __tracebackhide__ = True
        with self._released(always=True):
            is_usual = error is None or isinstance(error, Exception)
            if self._replay is not None and is_usual:
                return self._replayed(self._replay, error)
            if error is not None:
                self._recording.abandon()
                return self._failed(error)
            if self.live:
                self._recording.stop()
                self._recording.save()
                log(_LOG, logging.DEBUG, "step cell %s ran", self._cell.spec.name)
            return None

    def _replayed(
        self, replay: CellReplay, error: BaseException | None
    ) -> float | None:
        """Finish a hit; if what is saved cannot be used, or a definition failed, the cell runs after all."""
        __tracebackhide__ = True
        replay.abandon()
        if error is None:
            try:
                replay.finish()
            except Exception as trouble:
                error = trouble
        if error is None:
            log(
                _LOG,
                logging.DEBUG,
                "step cell %s comes from its checkpoint",
                self._cell.spec.name,
            )
            replay.show()  # a screen that is gone says nothing of what is saved
            return None
        replay.undo()
        self.is_lost = self._cell.is_lost = True
        warn(
            f"What step cell {self._cell.spec.name!r} saved cannot be used here, so it"
            f" runs again: {type(error).__name__}: {error}",
            NbflowWarning,
        )
        return 0.0

    def _failed(self, error: BaseException) -> float | None:
        """Note a failure; returns seconds until the next attempt, if the policy allows one."""
        cell, policy = self._cell, self._cell.spec.policy
        name = type(error).__name__
        log(_LOG, logging.INFO, "step cell %s failed with %s", cell.spec.name, name)
        cell.state, cell.why = "failed", f"{name}: {error}"
        if (
            not isinstance(error, Exception)
            or self._number > policy.retries
            or not policy.retries_on(error)
        ):
            return None
        self.failed = True
        wait = policy.delay(self._number, self._notebook.engine().clock.random())
        outputs.say(f"{cell.spec.name}: {name}, next attempt in {duration(wait)}")
        return wait


def _look_up(engine: Engine, cell: StepCell) -> tuple[Checkpoint, CellContent] | None:
    """Return what is saved of a cell and still fresh; ``None`` if it has to run."""
    assert cell.identity is not None
    if cell.identity.per_run:
        return None
    try:
        head = lookup.fresh(engine.store, cell.key, cell.ttl, engine.clock.time())
        return _followed(engine, cell, head) if head is not None else None
    except StoreError as error:
        warn(
            f"What step cell {cell.spec.name!r} saved cannot be read, so it runs again:"
            f" {error}",
            NbflowWarning,
        )
        return None


def _followed(
    engine: Engine, cell: StepCell, head: Checkpoint
) -> tuple[Checkpoint, CellContent] | None:
    """Return what was found; for the alias of a cell that changed its own inputs, what it stands for.

    The key of the cell is then the one that the alias names.
    """
    found = cast("CellContent | CellAlias", head.value)
    if "same_as" not in found:
        return head, found
    cell.key = found["same_as"]
    first = lookup.saved(engine.store, cell.key)
    if first is None:
        return None
    content = cast("CellContent", first.value)
    # The inputs are as the cell left them: nothing is changed in place again, and the
    # alias has what the outputs share with them.
    content["whole"] = []
    content["together"] = found.get("together")
    content["axes"] = found.get("axes", [])
    return first, content


# Time limits.


def _timed_out(timeout: float | None) -> StepTimeoutError:
    return StepTimeoutError(f"timed out after {timeout:g} s (--timeout)")


@contextmanager
def _alarm(timeout: float | None) -> Iterator[None]:
    """Interrupt sync statements when time is up.

    Only the main thread can be interrupted, and that is where cells run.
    """
    if timeout is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _timed_out(timeout)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
