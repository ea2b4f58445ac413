"""Session: the one place where store, ledger, engine and display are put together."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbflow._call import job_link
from nbflow._call.prices import Prices
from nbflow._call.scope import paid_here
from nbflow._core.entry import Opened, Resumed, RunState
from nbflow._core.flow import Listeners
from nbflow._core.usage import dollars
from nbflow._key import fork
from nbflow.errors import UnknownRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from nbflow._call.budget import Budget
    from nbflow._call.engine import Engine, Machinery
    from nbflow._core.flow import AnyFlow
    from nbflow._core.step import AnyStep
    from nbflow._run.batch import Batch, Columns
    from nbflow._run.chronicle import Chronicle
    from nbflow._run.history import History
    from nbflow._run.lane import Lane
    from nbflow._run.options import RunOptions
    from nbflow._run.run import Run
    from nbflow._run.runs import Runs
    from nbflow._run.watch import Watcher
    from nbflow._step import Step


class Session:
    """This process's engine, its flows, and how runs are shown. Performs steps on whatever store is in use."""

    def __init__(self) -> None:
        self.prices = Prices()
        self.listeners = Listeners()
        self.steps: dict[str, Step[..., Any]] = {}
        self.shows = True
        self._runs: Runs | None = None
        self._chronicle: Chronicle | None = None
        #: Other stores, whose runs were opened from a file.
        self._elsewhere: dict[str, Runs] = {}
        job_link.begin_log()
        #: What all calls of a headless job may cost together.
        job = job_link.budget()
        self._budgets = () if job is None else (_limit(job),)
        self._machinery: Machinery | None = None
        self._mutex = fork.freed(threading.RLock())

    @property
    def machinery(self) -> Machinery:
        """Threads, event loop and gates; made, and the engine imported, for the first step."""
        if self._machinery is None:
            with self._mutex:
                if self._machinery is None:
                    from nbflow._call.engine import Machinery

                    self._machinery = Machinery()
        return self._machinery

    @property
    def engine(self) -> Engine:
        """The engine on the store in use; opened at first need."""
        return self.runs.engine

    @property
    def runs(self) -> Runs:
        """The runs of the store in use; opened at first need."""
        if self._runs is None:
            with self._mutex:
                if self._runs is None:
                    self._runs = self.open(None, "process")
        return self._runs

    def replace(self, runs: Runs | None) -> Runs | None:
        """Use another store; returns the one before, which runs under way keep using."""
        with self._mutex:
            before, self._runs = self._runs, runs
        return before

    def open(
        self,
        place: str | Path | None,
        durability: Literal["process", "power"],
        *,
        max_size: float | str | None = None,
        keep: float | str | timedelta | None = None,
    ) -> Runs:
        """The store at ``place``; the one found upward from the working directory if ``None``."""
        if durability not in ("process", "power"):
            raise UsageError(
                f'durability={durability!r}: write "process" (outlives kill -9) or "power" (outlives a power cut).'
            )
        from nbflow._call.clock import Clock
        from nbflow._call.engine import Engine
        from nbflow._run.keeper import Keeper
        from nbflow._run.runs import Runs
        from nbflow._store import location, seal
        from nbflow._store.ledger import FileLedger
        from nbflow._store.memory_ledger import MemoryLedger
        from nbflow._store.store import MemoryStore

        path = location.find() if place is None else location.folder_at(place)
        if str(path) == MemoryStore.url:
            engine = Engine(MemoryStore(), MemoryLedger(), Clock(), self.machinery)
        else:
            store = location.open_store(path, durability=durability)
            engine = Engine(
                store,
                FileLedger(path / "runs", seal.Seal(seal.load_secret())),
                Clock(),
                self.machinery,
                _crash_point(),
            )
        engine.runner.forced = job_link.forced()
        engine.runner.budgets = self._budgets
        runs = Runs(engine)
        runs.at_end = Keeper(runs, max_size, keep).run_ended
        return runs

    def run_at(self, told: job_link.Told) -> Run:
        """A run in the store that a job reported, whichever is in use.

        Raises:
            UnknownRunError: it is not there.
        """
        from nbflow._store import location

        # The store in use is not opened for this: a job may begin in a folder that has
        # none and could not have one.
        in_use = (
            Path(self.engine.store.url) if self._runs is not None else location.find()
        )
        if not Path(told.store).is_dir():
            raise UnknownRunError(
                f"Run {told.run} was made in the store {told.store}, which no longer exists."
            )
        if in_use.expanduser().resolve() == Path(told.store).resolve():
            runs = self.runs
        else:
            runs = self._elsewhere[told.store] = self._elsewhere.get(
                told.store
            ) or self.open(told.store, "process")
        if told.run not in runs.engine.ledger.runs():
            raise UnknownRunError(
                f"Run {told.run} is no longer in the store {told.store}."
            )
        return self.handle(runs, told.run)

    def handle(self, runs: Runs, run: str, batch: Batch | None = None) -> Run:
        """The handle of a run; who only calls steps does not wait for its import."""
        from nbflow._run.run import Run

        return Run(runs, run, self, batch)

    # What a step needs (`nbflow._step.Host`), with `engine` and `start`.

    def prepare(self, step: AnyStep) -> object:
        """A step's binder and gate."""
        return self.machinery.prepare(step)

    def call(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Call a step as it was written."""
        __tracebackhide__ = True
        return self.engine.call(step, args, kwargs)

    # Runs.

    def start(
        self,
        event: str,
        lanes: Sequence[Lane],
        batch: Batch,
        *,
        wait: bool = True,
        max_in_flight: int | None = None,
        keep_records: bool = True,
        budget: float | str | None = None,
        columns: Columns = (),
    ) -> Run:
        """Begin a run and, with ``wait``, see it through."""
        from nbflow._run.options import RunOptions

        limit = None if budget is None else dollars(budget)
        options = RunOptions(max_in_flight=max_in_flight)
        batch.check()
        shown = batch.shown(columns)
        runs, money = self.runs, self._budget(lanes, limit)
        continued = self._continue(runs, event, lanes, options, wait=wait, budget=limit)
        if continued is not None:
            return continued
        run = self.handle(runs, runs.new_id(), batch)
        view = self._view(run)  # before the run's time begins: it may load widgets
        opened = Opened(
            run.id,
            event,
            tuple(lane.name for lane in lanes),
            runs.engine.clock.time(),
            batch.library,
            keep_records,
            batch.total,
            max_in_flight,
            shown,
            limit,
        )
        options = replace(options, budget=money)
        self._execute(run, RunState(), opened, lanes, batch, options, view, wait=wait)
        if wait and job_link.stays_until():
            run.wait_out(job_link.stays_until())
        return run

    def _budget(self, lanes: Sequence[Lane], limit: float | None) -> Budget | None:
        """The budget of a run; refused where a step says that it calls a model of unknown price."""
        if limit is None and not self._budgets:
            return None
        unknown = sorted(
            model
            for model in set().union(*(lane.models for lane in lanes))
            if not self.prices.knows(model)
        )
        if unknown:
            raise UsageError(
                f"A budget cannot be kept: the price of {', '.join(unknown)} is not"
                f' known. Say nf.set_price("{unknown[0]}", input=..., output=...), in'
                " US dollars per million tokens: 0 for a model of your own, or for one"
                " whose step reports cost= itself, which counts. Or leave the budget"
                " out."
            )
        return None if limit is None else _limit(limit)

    def _continue(
        self,
        runs: Runs,
        event: str,
        lanes: Sequence[Lane],
        options: RunOptions,
        *,
        wait: bool,
        budget: float | None,
    ) -> Run | None:
        """Continue an earlier run of ``event`` instead, if `nbflow run --only-failed` asks for it."""
        with self._mutex:
            earlier = job_link.take_up(runs.engine.ledger, event)
        if earlier is None:
            return None
        run = self.handle(runs, earlier)
        run.mapped = lanes
        state = run.reader.state()
        if state.total is None or not state.keeps_records:
            # An iterator that was not read to its end, or a batch that nobody has.
            return None
        job_link.tell(run.id, runs.engine.store.url)
        most = options.max_in_flight
        return run.rerun_failed(wait=wait, max_in_flight=most, budget=budget)

    def restart(
        self,
        run: Run,
        state: RunState,
        batch: Batch,
        options: RunOptions,
        *,
        wait: bool,
        shown: bool,
        budget: float | str | None,
    ) -> None:
        """Continue a run, for some (record, flow) pairs, with the flows as they are defined now."""
        lanes = self.lanes(run, state)
        # A service that is in trouble is not asked more at once than the sender meant.
        limit = state.budget if budget is None else dollars(budget)
        options = replace(
            options,
            budget=self._budget(lanes, limit),
            max_in_flight=options.max_in_flight or state.max_in_flight,
        )
        view = self._view(run)
        resumed = Resumed(run.engine.clock.time())
        self._execute(
            run, state, resumed, lanes, batch, options, view, wait=wait, shown=shown
        )

    def lanes(self, run: Run, state: RunState) -> list[Lane]:
        """The flows of a run, as they are defined now."""
        before = self._before(run)
        return [self._lane(state, name, before.get(name)) for name in state.flows]

    def defined(self, run: Run, name: str) -> list[AnyFlow | AnyStep]:
        """A flow or mapped step of a run, and the steps that it reaches, as they are defined here."""
        state = run.reader.state()
        try:
            return self._lane(state, name, self._before(run).get(name)).functions
        except UsageError:
            # A map knows its arguments only where it was made, and its step by name.
            step = self.steps.get(name) if name == state.event else None
            return [] if step is None else [step]

    def _before(self, run: Run) -> dict[str, Lane]:
        """The lanes that a run had here, by name."""
        held = run.reader.held
        known = held.lanes if held is not None else run.mapped
        return {lane.name: lane for lane in known}

    def _lane(self, state: RunState, name: str, before: Lane | None) -> Lane:
        from nbflow._run.lane import FlowLane, StepLane

        if isinstance(before, StepLane):
            return before.again(self.steps.get(name))
        flow = next(
            (
                flow
                for flow in self.listeners
                if flow.name == name and state.event in flow.events
            ),
            None,
        )
        if flow is not None:
            return FlowLane(flow)
        if state.event == name:
            raise UsageError(
                f"Run {state.run} is a map of step {name!r} made in another kernel:"
                f" run the cell with {name}.map(...) again; what is done does not run"
                " twice."
            )
        raise UsageError(
            f"Flow {name!r} of run {state.run} is not defined in this kernel: run the cell that defines it, then rerun."
        )

    def _execute(
        self,
        run: Run,
        state: RunState,
        first: Opened | Resumed,
        lanes: Sequence[Lane],
        batch: Batch,
        options: RunOptions,
        view: Watcher | None,
        *,
        wait: bool,
        shown: bool = True,
    ) -> None:
        """Work on a run, here or with ``wait=False`` on a thread of its own."""
        if wait and self.machinery.loop.is_current():
            raise UsageError(
                "An async flow cannot wait for a run: it would hold up the event loop"
                " that the run needs. Use wait=False, or"
                " await asyncio.to_thread(nf.send, ...)."
            )
        from nbflow._call.budget import resting
        from nbflow._core.sheet import Sheet
        from nbflow._run.alarm import Sleeper
        from nbflow._run.execution import Execution
        from nbflow._run.models import model_change

        reader, engine = run.reader, run.engine
        if view is not None and view.has_rows and isinstance(first, Opened):
            reader.sheet = Sheet()
        execution = Execution(
            engine.runner,
            engine.ledger,
            state,
            lanes,
            batch,
            options,
            run=run.id,
            loop=self.machinery.loop,
            watcher=view,
            is_shown=not shown,
            last_word=partial(model_change, reader.runs),
        )
        execution.notes.sheet, before = reader.sheet, reader.held
        reader.runs.claim(run.id, execution)
        try:
            execution.begin(
                first,
                reader.runs.codes_before(state, first),
                keep=isinstance(first, Opened) and first.keeps_records,
                gate=reader.runs.gate,
                earlier=reader.runs.earlier(first),
            )
            reader.held = execution
            if view is not None and shown and not wait:
                # Here, in the cell that asks; not on the thread that the run has.
                execution.show()
            with resting(paid_here()):
                at_rest = partial(
                    reader.runs.watch,
                    Sleeper(run.id, engine, reader.state, run.resume_aside),
                )
                reader.runs.work_on(execution, at_rest, background=not wait)
        except BaseException:
            if not execution.has_ended:
                execution.give_up()
                reader.held = before
                reader.runs.let_go(run.id)
            raise

    def _view(self, run: Run) -> Watcher | None:
        if not self.shows:
            return None
        from nbflow.notebook import display

        return display.view(run)

    def display(self, run: Run) -> bool:
        """Show the run's live table under the cell; answers whether there is one where this code runs."""
        from nbflow.notebook import display

        if not display.in_kernel():
            return False
        with run.reader.look() as (state, _):
            display.view(run).begin(state)
        return True

    def widget(self, run: Run) -> Any:
        """The run's live table as a widget."""
        return _widgets().of_run(run)

    # The history of runs.

    def page(self, run: Run, path: Path | None, title: str) -> str:
        """The page of a run for people who run no code, written to ``path`` if there is one."""
        from nbflow._run.chronicle import Chronicle
        from nbflow.notebook import page_of_run, report

        page = page_of_run.page_of(run, Chronicle(run.reader.runs, self), title)
        if path is not None:
            try:
                report.write(path, page)
            except OSError as error:
                why = error.strerror or error
                raise UsageError(
                    f"The page cannot be written to {path}: {why}."
                ) from None
        return page

    @property
    def chronicle(self) -> Chronicle:
        """The runs of the store in use."""
        from nbflow._run.chronicle import Chronicle

        runs = self.runs
        if self._chronicle is None or self._chronicle.runs is not runs:
            self._chronicle = Chronicle(runs, self)
        return self._chronicle

    def display_history(self, history: History, chronicle: Chronicle) -> bool:
        """Show the history live under the cell; answers whether that can be done where this code runs."""
        from nbflow.notebook import display

        if not self.shows or not display.in_kernel():
            return False
        display.show_history(history, chronicle)
        return True

    def history_widget(self, chronicle: Chronicle) -> Any:
        """The live history as a widget."""
        return _widgets().of_history(chronicle)


def _limit(usd: float) -> Budget:
    from nbflow._call.budget import Budget

    return Budget(usd, job_link.tell_refusal)


def _widgets() -> Any:
    try:
        from nbflow.notebook import table_widget
    except ImportError as error:
        raise UsageError(
            f"The live table needs {error.name}; install it with: pip install 'nbflow[lab]'"
        ) from None
    return table_widget


def _crash_point() -> Callable[[str], None] | None:
    """Where NBFLOW_CRASH_AT says (``commit:3``: the third time), the process kills itself: for crash tests."""
    asked = os.environ.get("NBFLOW_CRASH_AT")
    if not asked:
        return None
    import signal

    point, _, times = asked.partition(":")
    left = [int(times or 1)]

    def reached(here: str) -> None:
        if here == point:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


SESSION = Session()
