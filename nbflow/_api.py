"""Wiring: the one place where store, ledger, engine and display are put together, and the public functions on it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from nbflow._call import job_link
from nbflow._call.budget import Budget
from nbflow._call.clock import Clock
from nbflow._call.engine import Engine, Machinery
from nbflow._call.prices import Price, Prices
from nbflow._call.scope import SCOPE
from nbflow._core.entry import Opened, Resumed, RunState
from nbflow._core.flow import Flow, Listeners, make_flow
from nbflow._core.sheet import Sheet
from nbflow._core.step import Step, check_options, make_step
from nbflow._core.usage import Usage, dollars
from nbflow._run import explanation, kept_batch
from nbflow._run.batch import Batch
from nbflow._run.chronicle import Chronicle
from nbflow._run.execution import Execution
from nbflow._run.forecast import Plan, forecast
from nbflow._run.lane import FlowLane, StepLane
from nbflow._run.run import Run
from nbflow._run.runs import Runs
from nbflow._store.ledger import FileLedger, MemoryLedger
from nbflow._store.store import MemoryStore
from nbflow.errors import StoreError, StoreWarning, UnknownRunError, UsageError
from nbflow.notebook.durable import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from datetime import timedelta

    from nbflow._core.policy import Throttle
    from nbflow._run.batch import Key
    from nbflow._run.explanation import Explanation
    from nbflow._run.history import History
    from nbflow._run.lane import Lane

P = ParamSpec("P")
R = TypeVar("R")


class Session:
    """This process's engine, its flows, and how runs are shown. Performs steps on whatever store is in use."""

    def __init__(self) -> None:
        self.machinery = Machinery()
        self.prices = Prices()
        self.listeners = Listeners()
        self.steps: dict[str, Step[..., Any]] = {}
        self.shows = True
        self._runs: Runs | None = None
        self._chronicle: Chronicle | None = None
        #: Other stores, whose runs were opened from a file.
        self._elsewhere: dict[str, Runs] = {}
        #: What all calls of a headless job may cost together.
        job = job_link.budget()
        self._budgets = () if job is None else (Budget(job, job_link.tell_refusal),)
        self._mutex = threading.Lock()

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
        self, place: str | Path | None, durability: Literal["process", "power"]
    ) -> Runs:
        """The store at ``place``; the one found upward from the working directory if ``None``."""
        if durability not in ("process", "power"):
            raise UsageError(
                f'durability={durability!r}: "process" outlives kill -9, "power" also a power cut.'
            )
        from nbflow._store import location, seal

        path = location.find() if place is None else Path(place).expanduser()
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
        return Runs(engine)

    def run_at(self, told: job_link.Told) -> Run:
        """A run in the store that it was told to be in, whichever is in use.

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
                f"Run {told.run} was made in the store {told.store}, which is not there (any more)."
            )
        if in_use.expanduser().resolve() == Path(told.store).resolve():
            runs = self.runs
        else:
            runs = self._elsewhere[told.store] = self._elsewhere.get(
                told.store
            ) or self.open(told.store, "process")
        if told.run not in runs.engine.ledger.runs():
            raise UnknownRunError(
                f"Run {told.run} is not in the store {told.store} any more."
            )
        return Run(runs, told.run, self)

    # What a step needs (`nbflow._core.step.Performer`).

    def prepare(self, step: Step[..., Any]) -> object:
        """A step's binder and gate."""
        return self.machinery.prepare(step)

    def call(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a step as it was written."""
        __tracebackhide__ = True
        return self.engine.call(step, args, kwargs)

    def aio(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Await any step."""
        return self.engine.aio(step, args, kwargs)

    def sync(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Wait for any step."""
        __tracebackhide__ = True
        return self.engine.sync(step, args, kwargs)

    def submit(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Start any step on the side."""
        return self.engine.submit(step, args, kwargs)

    def map(
        self,
        step: Step[..., Any],
        items: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> Any:
        """Every item through a step: a run of its own, or inside a flow a part of that flow's."""
        if SCOPE.get() is not None:
            return self.engine.fan_out(step, items, args, kwargs)
        return self.start(
            step.name,
            [StepLane(step, args, kwargs)],
            Batch(items, values=True),
            **options,
        )

    def explain(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Explanation:
        """Why a call would run or not."""
        return explanation.explain_call(self.engine, step, args, kwargs)

    def plan(
        self,
        step: Step[..., Any],
        items: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Plan:
        """What a map would do."""
        return forecast(
            self.engine,
            step.name,
            [StepLane(step, args, kwargs)],
            Batch(items, values=True),
        )

    def forget(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> int:
        """Delete results."""
        return explanation.forget(self.engine, step, args, kwargs)

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
    ) -> Run:
        """Begin a run and, with ``wait``, see it through."""
        if max_in_flight is not None and (
            isinstance(max_in_flight, bool)
            or not isinstance(max_in_flight, int)
            or max_in_flight < 1
        ):
            raise UsageError(
                f"max_in_flight={max_in_flight!r} has to be a whole number, 1 or more: so many records are under way at once."
            )
        batch.check()
        runs, money = self.runs, self._budget(lanes, budget)
        taken_up = self._take_up(runs, event, lanes, wait=wait, budget=budget)
        if taken_up is not None:
            return taken_up
        state, name = RunState(), runs.new_id()
        run = Run(runs, name, self, batch)
        opened = Opened(
            name,
            event,
            tuple(lane.name for lane in lanes),
            runs.engine.clock.time(),
            batch.library,
            keep_records,
            batch.total,
        )
        self._execute(
            run,
            state,
            opened,
            lanes,
            batch,
            wait=wait,
            max_in_flight=max_in_flight,
            keep_records=keep_records,
            budget=money,
        )
        return run

    def _budget(
        self, lanes: Sequence[Lane], budget: float | str | None
    ) -> Budget | None:
        """The budget of a run; refused where a step says that it calls a model of unknown price."""
        if budget is None and not self._budgets:
            return None
        limit = None if budget is None else dollars(budget)
        unknown = sorted(
            model
            for model in set().union(*(lane.models for lane in lanes))
            if not self.prices.knows(model)
        )
        if unknown:
            raise UsageError(
                f'A budget cannot be kept: the price of {", ".join(unknown)} is not known. Say nf.set_price("{unknown[0]}", input=..., output=...), in US dollars per million tokens (0 for a model of your own), or leave the budget out.'
            )
        return None if limit is None else Budget(limit, job_link.tell_refusal)

    def _take_up(
        self,
        runs: Runs,
        event: str,
        lanes: Sequence[Lane],
        *,
        wait: bool,
        budget: float | str | None,
    ) -> Run | None:
        """Go on with an earlier run of ``event`` instead, if `nbflow run --only-failed` asks for it."""
        with self._mutex:
            earlier = job_link.take_up(runs.engine.ledger, event)
        if earlier is None:
            return None
        run = Run(runs, earlier, self)
        run.mapped = lanes
        state = run._state()  # noqa: SLF001
        if state.total is None or not state.keeps_records:
            return None  # an iterator that was not read to its end, or a batch that nobody has
        job_link.tell(run.id, runs.engine.store.url)
        return run.rerun_failed(wait=wait, budget=budget)

    def restart(
        self,
        run: Run,
        state: RunState,
        batch: Batch,
        *,
        only: frozenset[tuple[int, int]],
        force: bool,
        from_step: str | None,
        wait: bool,
        shown: bool,
        budget: float | str | None,
    ) -> None:
        """Go on with a run, for some (record, flow) pairs, with the flows as they are defined now."""
        before = {
            lane.name: lane
            for lane in (run.held.lanes if run.held is not None else run.mapped)
        }
        lanes = [self._lane(state, name, before.get(name)) for name in state.flows]
        self._execute(
            run,
            state,
            Resumed(run.engine.clock.time()),
            lanes,
            batch,
            wait=wait,
            shown=shown,
            only=only,
            force=force,
            from_step=from_step,
            budget=self._budget(lanes, budget),
        )

    def _lane(self, state: RunState, name: str, before: Lane | None) -> Lane:
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
                f"Run {state.run} is a map of step {name!r} made in another kernel: run the cell with {name}.map(...) again, what is done is not run twice."
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
        *,
        wait: bool,
        keep_records: bool = False,
        shown: bool = True,
        **options: Any,
    ) -> None:
        if wait and self.machinery.loop.is_current():
            raise UsageError(
                "An async flow cannot wait for a run: it would hold up the event loop that the run needs. Use wait=False, or await asyncio.to_thread(nf.send, ...)."
            )
        engine, view = run.engine, self._view(run)
        if view is not None and view.has_rows and isinstance(first, Opened):
            run.sheet = Sheet()
        show, end = (view.show, view.end) if view is not None else (None, None)
        execution = Execution(
            engine.runner,
            engine.ledger,
            run.id,
            state,
            lanes,
            batch,
            loop=self.machinery.loop,
            watch=show,
            **options,
        )
        execution.notes.sheet, before = run.sheet, run.held
        try:
            execution.notes.add(first)
            # In one block with the first entry, where the next run of the event finds
            # it.
            execution.read_code(run.runs.codes_before(state, first))
            execution.notes.flush()
            engine.ledger.ask_to_stop(run.id, False)
            if keep_records:
                self._keep(engine, execution, batch)
            run.held = execution
            if view is not None and shown:
                execution.watch = self._first(view, execution)
                if not wait:
                    execution.show()  # here, in the cell that asks; not on the thread that the run goes on
            run.runs.work_on(execution, background=not wait, ended=end)
        except BaseException:
            if not execution.has_ended:
                execution.notes.close()
                run.held = before
            raise

    @staticmethod
    def _first(view: Any, execution: Execution) -> Callable[[RunState], None]:
        def begin(state: RunState) -> None:
            execution.watch = view.show
            view.begin(state)

        return begin

    def _view(self, run: Run) -> Any:
        if not self.shows:
            return None
        from nbflow.notebook import display

        return display.view(run)

    def display(self, run: Run) -> bool:
        """Show the run's live table under the cell; answers whether there is one where this code runs."""
        from nbflow.notebook import display

        if not display.in_kernel():
            return False
        with run.look() as (state, _):
            display.view(run).begin(state)
        return True

    def widget(self, run: Run) -> Any:
        """The run's live table as a widget."""
        return _widgets().of_run(run)

    # The history of runs.

    @property
    def chronicle(self) -> Chronicle:
        """The runs of the store in use."""
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

    @staticmethod
    def _keep(engine: Engine, execution: Execution, batch: Batch) -> None:
        """Keep the batch for reruns from elsewhere: at once, or an iterator as it is read."""
        run = execution.state.run

        def block(records: list[Any]) -> None:
            try:
                kept_batch.keep_block(engine.ledger, run, records)
            except StoreError as error:
                execution.keep = None
                execution.say(
                    f"The records of run {run} could not be kept, so it can only be rerun from this kernel. {error}"
                )

        try:
            kept_batch.keep_head(engine.ledger, run, batch)
        except StoreError as error:
            execution.say(
                f"The records of run {run} could not be kept, so it can only be rerun from this kernel. {error}"
            )
        else:
            execution.keep = block if batch.is_stream else None


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
    point, _, times = asked.partition(":")
    left = [int(times or 1)]

    def reached(here: str) -> None:
        if here == point:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


SESSION = Session()


def load_ipython_extension(ipython: Any) -> None:
    """Turn on step cells and ``%step``: for ``%load_ext nbflow``; importing nbflow in a notebook does the same."""
    from nbflow.notebook import cells, magics

    magics.register(
        ipython, lambda: SESSION.steps, cells.install(ipython, lambda: SESSION.engine)
    )


if "IPython" in sys.modules:
    from nbflow.notebook.magics import shell

    if (found := shell()) is not None:
        load_ipython_extension(found)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    retries: int = 3,
    retry_delay: float | str | timedelta = 1.0,
    backoff: float = 2.0,
    max_delay: float | str | timedelta = 60.0,
    should_retry: Callable[[BaseException], bool] | None = None,
    timeout: float | str | timedelta | None = None,
    concurrency: int | None = None,
    throttle: str | Throttle | None = None,
    ttl: float | str | timedelta | None = None,
    version: str | float | None = None,
    ignore: str | Iterable[str] = (),
    depends_on: Any = (),
    name: str | None = None,
    model: str | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Any = None, /, **options: Any) -> Any:
    """Make a function a step: its successful outputs are saved on disk and reused, keyed by its code and inputs.

    The function may be ``def`` or ``async def``, a plain function or a method, and is
    called as it was written. Durations are seconds, or text such as ``"30s"``,
    ``"5m"``, ``"1d"``, or a ``timedelta``.

    Args:
        function: the function, when used as a bare ``@nf.step``.
        **options: see below.

    Options:
        retries: attempts after the first (3).
        retry_delay: wait before the second attempt (1 s); each further wait is ``backoff`` times longer (2), up to
            ``max_delay`` (60 s), half of it random.
        should_retry: a function of the exception that says whether to try again; by default what may pass next time
            is retried (timeouts, connections, HTTP 408/409/425/429/5xx, malformed answers), and what cannot is not
            (``NameError``, ``TypeError``, HTTP 400/401/403/404/422, ``NonRetriableError``, ...).
        timeout: the longest that one attempt may take. A sync attempt then runs on a thread of its own, which is
            left behind when time is up.
        concurrency: so many calls of this step at once, in this process.
        throttle: so many starts per period, ``"300/min"``; the excess waits. A `Throttle` shared by several steps
            counts them together. A 429 or 503 with Retry-After pauses all of them.
        ttl: outputs older than this run again.
        version: takes over from the code: outputs are kept across edits until it changes.
        ignore: names of arguments that are not part of the key, such as a client.
        depends_on: what else the key covers: names of installed packages (by version), ``Path`` s (by content),
            functions (by code), values; a dict gives each of its values a name for ``explain``.
        name: what outputs are filed under; the function's name by default.
        model: the model that it calls, such as ``"openai:gpt-4o-mini"``: a budget is then refused before the run if
            its price is not known.

    Raises:
        UsageError: an option that cannot be right.
        TypeError: an option that there is not.
    """
    check_options(options, "step")

    def decorate(function: Callable[..., Any]) -> Step[..., Any]:
        made = make_step(function, SESSION, **options)
        SESSION.steps[made.name] = made
        return made

    return decorate if function is None else decorate(function)


def flow(
    on: str | Iterable[str],
    *,
    on_failure: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function a flow: every record of the event goes through it, apart from all other records and flows.

    A sync flow runs in a thread and calls its steps inline; an async one runs on an
    event loop of nbflow's own. What a flow returns is remembered by its code (steps and
    helpers included) and the record: sent again, it does not run.

    Args:
        on: the event, such as ``"support/thread.created"``, or several.
        on_failure: called with (record, error) when a record has failed for good.
        name: its name in tables and results; the function's name by default.

    Raises:
        UsageError: an option that cannot be right.
    """
    if callable(on):
        raise UsageError(
            '@nf.flow needs the event it listens to: @nf.flow(on="support/thread.created").'
        )

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        made = make_flow(function, on=on, on_failure=on_failure, name=name)
        SESSION.listeners.add(made)
        return made

    return decorate


@durable
def send(
    event: str,
    records: Any,
    *,
    key: Key = None,
    wait: bool = True,
    max_in_flight: int | None = None,
    keep_records: bool = True,
    budget: float | str | None = None,
) -> Run:
    """Send a batch of records to every flow that listens to ``event``.

    Sent again, nothing that is done is executed: only new, changed, failed and
    unfinished records are.

    Args:
        event: the event's name.
        records: a pandas or polars frame, an Arrow table, a list of dicts, or any
            iterator of dicts (which is read as the run goes on).
        key: the column or columns that identify a record. Rows with one key and equal
            content are one record; rows with one key and different content are refused.
            Without it the index or the position identifies.
        wait: ``False`` returns at once and the run goes on in the background; an
            iterator is then read by another thread.
        max_in_flight: so many records are under way at once (1,024; threads of a sync
            flow: 32).
        keep_records: ``False`` keeps the batch out of the ledger; the run can then only
            be rerun from this kernel.
        budget: US dollars that its calls may cost, such as ``"$5"``. A call that could
            pass it is not started and its record is ``CANCELLED``; what is done is
            saved. The first call of each step is made alone, to see what it costs; from
            then on each is taken to cost as much as the dearest one so far.

    Returns:
        The run: a table when shown, with ``results()``, ``failures()``,
            ``rerun_failed()`` and more.

    Raises:
        UnknownEventError: nobody listens; names the closest event.
        DuplicateKeyError: one key, different content.
        UsageError: rows that are no records.
        KeyboardInterrupt: after everything under way was accounted for; send again to
            go on.
    """
    lanes = [FlowLane(flow) for flow in SESSION.listeners.of(event)]
    return SESSION.start(
        event,
        lanes,
        Batch(records, key),
        wait=wait,
        max_in_flight=max_in_flight,
        keep_records=keep_records,
        budget=budget,
    )


def usage(
    model: str | None = None,
    *,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cached_tokens: int = 0,
    requests: int = 1,
    cost: float | None = None,
    provider: str | None = None,
) -> Usage:
    """Report what the call under way used: inside a step that talks to a model, once for each request.

    It stands in the run's table, in ``results()`` and ``run.usage``, counts towards a
    budget, and is what a remembered call saves. What a failed attempt reported counts
    as well. Outside a step it only gives the `Usage` back; so it does on a thread that
    the step started without ``contextvars.copy_context()``.

    Args:
        model: ``"openai:gpt-4o-mini"``, or the model's name with ``provider=`` or
            without.
        input_tokens: tokens sent, ``cached_tokens`` among them.
        output_tokens: tokens received.
        cached_tokens: of those sent, the ones that the provider had in its own cache.
        requests: how many requests this was.
        cost: US dollars, if you know it; by default from the list of genai-prices or
            ``nf.set_price``. A price that is not known is shown as unknown.
        provider: the provider's name.

    Raises:
        UsageError: a number that cannot be right.
    """
    counts = {
        "requests": requests,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cached_tokens": cached_tokens,
    }
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UsageError(f"{name}={number!r} has to be a whole number, 0 or more.")
    if cost is not None and (isinstance(cost, bool) or not 0 <= cost < float("inf")):
        raise UsageError(f"cost={cost!r} has to be US dollars, 0 or more.")
    used = Usage(**counts)
    if cost is None and model is not None:
        cost = SESSION.prices.cost(f"{provider}:{model}" if provider else model, used)
    used = used._replace(
        cost=None if cost is None else float(cost),
        unpriced=requests if cost is None else 0,
    )
    scope = SCOPE.get()
    if scope is not None:
        scope.used(used)
    return used


def set_price(
    model: str,
    *,
    input: float,  # noqa: A002 - what price lists call it
    output: float,
    cached: float | None = None,
) -> None:
    """Say what a model costs where the list of prices does not know it, or knows it wrong.

    Args:
        model: the name as it is used, such as ``"ollama:qwen3"``.
        input: US dollars per million tokens sent.
        output: US dollars per million tokens received.
        cached: US dollars per million tokens sent that the provider had in its own
            cache; as ``input`` by default.

    Raises:
        UsageError: a price that cannot be right.
    """
    SESSION.prices.set(model, Price(input, output, input if cached is None else cached))


@durable
def plan(event: str, records: Any, *, key: Key = None) -> Plan:
    """What ``send`` with the same arguments would do: how much is saved, what would run and why, how long it takes.

    Executes nothing and writes nothing. Calls and time are estimates, from what earlier
    runs of the event took.

    Args:
        event: the event's name.
        records: the batch; an iterator is read to its end, and a send then needs
            another one.
        key: the column or columns that identify a record.

    Returns:
        A `Plan`: ``.cached``, ``.would_run``, ``.flows`` with the reasons, ``.calls``,
            ``.seconds``, ``.to_frame()``.

    Raises:
        UnknownEventError: nobody listens; names the closest event.
        DuplicateKeyError: one key, different content.
        UsageError: rows that are no records.
    """
    lanes = [FlowLane(flow) for flow in SESSION.listeners.of(event)]
    batch = Batch(records, key)
    batch.check()
    return forecast(SESSION.engine, event, lanes, batch)


def use(
    store: str | Path, *, durability: Literal["process", "power"] = "process"
) -> None:
    """Use the store in this folder (or ``"memory:"``) from now on, instead of the one that is found.

    Args:
        store: the folder itself, such as ``"~/projects/tickets/.nbflow"``; made if it
            is not there.
        durability: ``"process"``: what was reported outlives ``kill -9``. ``"power"``:
            a power cut as well, at the price of an fsync per commit.

    Raises:
        StoreError: the folder cannot be used; the message says why.
    """
    SESSION.replace(SESSION.open(store, durability))


def flows() -> list[Flow[..., Any]]:
    """Who listens: every flow that is defined, each with its ``events``."""
    return list(SESSION.listeners)


@durable
def runs() -> Any:
    """The history: a pandas frame with one row a run, the latest first, which a notebook shows as a live table of runs.

    Columns: run, event, state, started (local time), seconds, records, failed.
    ``nbflow.open_run(id)`` opens one, ``run.compare(other)`` compares two; so does the
    live table, in which runs are sorted, filtered and found.
    """
    from nbflow._run.history import History

    chronicle = SESSION.chronicle
    history = History.of(chronicle, SESSION)
    for name in chronicle.unreadable:
        warnings.warn(
            f"The ledger of run {name} cannot be read; it is left out.",
            StoreWarning,
            stacklevel=2,
        )
    return history


@durable
def open_run(run: str | Path | None = None) -> Run:
    """A run of the ledger, in any kernel on the same store; or the last run of a headless job, in its own store.

    Args:
        run: its id or the beginning of it; or the path of an output notebook of
            ``nbflow run``, or of its ``run.json``; the latest run of the store in use
            when left out.

    Raises:
        UnknownRunError: there is none; the message names the latest ones.
    """
    if isinstance(run, Path) or (run is not None and run.endswith((".ipynb", ".json"))):
        from nbflow.notebook import report

        told = report.runs_of(Path(run).expanduser())
        if not told:
            raise UnknownRunError(f"{run} was written by a job that made no run.")
        return SESSION.run_at(told[-1])
    known = SESSION.engine.ledger.runs()
    found = (
        known[-1:] if run is None else [name for name in known if name.startswith(run)]
    )
    if len(found) != 1 and run not in found:
        latest = ", ".join(known[-3:][::-1])
        say = (
            f"{len(found)} runs begin with {run!r}: {', '.join(found[:5])}."
            if found
            else f"There is no run {run!r}."
            if run
            else "There is no run yet."
        )
        raise UnknownRunError(f"{say}" + (f" The latest: {latest}." if latest else ""))
    return Run(SESSION.runs, run if run in found else found[0], SESSION)
