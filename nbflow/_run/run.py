"""Run: the handle that people hold. It reads entries and checkpoints, and starts runs again."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, overload

from nbflow._core.entry import BROKEN, DONE, Called, Item, Listed, RunState, Sent, Used
from nbflow._core.lifecycle import State
from nbflow._core.sheet import Sheet
from nbflow._core.table import WORDS, causes_of, failure_rows, short, table_of
from nbflow._key.value import key_by
from nbflow._run import decisions, differences, render, results
from nbflow._run.frame_types import Frame_co
from nbflow._run.inspection import FlowView, Inspection
from nbflow._run.kept_batch import kept_batch, kept_row
from nbflow._run.reasons import Why
from nbflow._store import checkpoint
from nbflow.errors import RunFailedError, StoreError, UnknownRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Self

    import pandas as pd
    import polars as pl
    from anywidget import AnyWidget

    from nbflow._call.engine import Engine
    from nbflow._core.entry import Entry
    from nbflow._core.table import Table
    from nbflow._core.usage import Usage
    from nbflow._run.batch import Batch, Row
    from nbflow._run.decisions import Decided
    from nbflow._run.differences import Change
    from nbflow._run.execution import Execution
    from nbflow._run.frame_types import Dicts
    from nbflow._run.lane import Lane
    from nbflow._run.runs import Runs

#: Seconds between two looks at a run that is awaited or that another process works on.
_GLANCE = 0.05


class Home(Protocol):
    """What the assembling place does for a run."""

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
        """Start the execution of (record, flow) pairs of an existing run."""

    def display(self, run: Run) -> bool:
        """Show the run's live table under the cell; answers whether there is one where this code runs."""

    def widget(self, run: Run) -> AnyWidget:
        """The run's live table as a widget."""


class Run(Generic[Frame_co]):
    """One send, or one map: every record through every subscribed flow.

    A run is known by its ``id`` and outlives the kernel: ``nbflow.open_run(id)`` gives
    it back anywhere. Shown in a notebook or terminal it is a table.
    """

    def __init__(
        self, runs: Runs, run: str, home: Home, batch: Batch | None = None
    ) -> None:
        self.id = run
        self.runs = runs
        self._home = home
        self._batch = batch
        #: Lanes of a map that another kernel made, as the cell that maps now has them.
        self.mapped: Sequence[Lane] = ()
        #: The rows of its table, once somebody looks at it.
        self.sheet: Sheet | None = None
        #: Keeps this process's work on the run alive as long as somebody holds the run.
        self.held: Execution | None = None
        self._read = RunState()
        self._position = 0
        self._mutex = threading.Lock()

    # What it says.

    @property
    def engine(self) -> Engine:
        """The engine on the store that the run is in."""
        return self.runs.engine

    @property
    def _execution(self) -> Execution | None:
        return self.runs.live.get(self.id) or self.held

    def _state(self) -> RunState:
        """What is known now: from the engine if this process works on the run, else from the ledger."""
        execution = self._execution
        if execution is not None:
            execution.notes.flush()
            return execution.state
        with self._mutex:
            return self._follow()

    def _follow(self) -> RunState:
        """Take in what was noted since the last look, by whoever works on the run."""
        entries, self._position = self.engine.ledger.read(self.id, self._position)
        self._take(entries)
        if not self._read.run:
            raise UnknownRunError(f"Run {self.id} is not in the ledger.")
        if self._read.state == "RUNNING" and not self.runs.is_worked_on(self.id):
            self._take(self._read.interrupt(self._read.ended))
            self._read.state = "INTERRUPTED"
        return self._read

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._read.apply(entry)
            if self.sheet is not None:
                self.sheet.apply(entry)

    @contextmanager
    def look(self) -> Iterator[tuple[RunState, Sheet]]:
        """The run's state and the rows of its table as they stand, held still for the block."""
        execution = self._execution
        if execution is None:
            with self._mutex:
                if self.sheet is None:
                    self._read, self._position, self.sheet = RunState(), 0, Sheet()
                yield self._follow(), self.sheet
            return
        notes = execution.notes
        notes.flush()
        with notes.mutex:
            if notes.sheet is None:
                notes.sheet = self.sheet = Sheet()
                for entry in self.engine.ledger.read(self.id)[0]:
                    notes.sheet.apply(entry)
            yield execution.state, notes.sheet

    @property
    def state(self) -> str:
        """``RUNNING``, ``COMPLETED``, ``PARTIAL`` (some records failed), ``FAILED`` (all), ``CANCELLED`` or ``INTERRUPTED``."""
        return self._state().state

    @property
    def event(self) -> str:
        """The event that was sent; for a map the step's name."""
        return self._state().event

    @property
    def flows(self) -> tuple[str, ...]:
        """Names of the flows, in the order of the results' columns."""
        return self._state().flows

    @property
    def records(self) -> int:
        """How many records it has, as far as they were read."""
        return len(self._state().keys)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Records by state, for each flow, always in one order: ``{"triage": {"COMPLETED": 199, "FAILED": 1}}``."""
        state = self._state()
        return {
            name: {str(key): counts[key] for key in WORDS if counts[key]}
            for flow, name in enumerate(state.flows)
            for counts in [state.count(flow)]
        }

    @property
    def usage(self) -> Usage:
        """What its calls of models used and cost so far, as they reported it with ``nbflow.usage``."""
        return self._state().usage

    @property
    def saved(self) -> Usage:
        """What its remembered calls would have used without their checkpoints."""
        return self._state().saved

    def table(self) -> Table:
        """The run as a picture: what every display of it shows."""
        return table_of(self._state())

    def __repr__(self) -> str:
        return render.to_text(self.table())

    def _repr_html_(self) -> str:
        return render.to_html(self.table())

    def _ipython_display_(self) -> None:
        if not self._home.display(self):
            raise NotImplementedError  # what IPython takes for: look for another way to show it

    def widget(self) -> AnyWidget:
        """The live table as a widget (an `anywidget.AnyWidget`), for hosts that show widgets their own way.

        In marimo: ``mo.ui.anywidget(run.widget())``. In Jupyter the run shows itself.

        Raises:
            UsageError: anywidget is not installed.
        """
        return self._home.widget(self)

    # What came out.

    @overload
    def results(self, flow: None = None, *, reviewed: bool = True) -> Frame_co: ...
    @overload
    def results(
        self: Run[pd.DataFrame], flow: str, *, reviewed: bool = True
    ) -> pd.Series[Any]: ...
    @overload
    def results(
        self: Run[pl.DataFrame], flow: str, *, reviewed: bool = True
    ) -> pl.Series: ...
    @overload
    def results(self: Run[Dicts], flow: str, *, reviewed: bool = True) -> list[Any]: ...
    @overload
    def results(self, flow: str, *, reviewed: bool = True) -> Any: ...
    def results(self, flow: str | None = None, *, reviewed: bool = True) -> Any:
        """The batch with what the flows made of it, or the values of one flow alone.

        Args:
            flow: a flow's (or mapped step's) name.
            reviewed: labels that people gave in a review (``nbflow.review``) stand in
                the place of the model's, in this run and every other, and a column
                ``<flow>.by`` says ``human`` or ``model``. ``False``: what the flows
                returned.

        Returns:
            Without ``flow``: the batch in its own library, index and order kept, every
                row in its place. For each
            flow a column ``<flow>.status`` with the record's state, and its values:
            ``<flow>.<field>`` for each field of dicts, pydantic models, dataclasses,
            attrs and named tuples, else one column ``<flow>``. A list or iterator of
            dicts gives a list of dicts.

            With ``flow``: its values, one a row: a Series of the batch's library, or a
                list.

            Where calls reported what they used (``nbflow.usage``), ``<flow>.cost`` (US
            dollars; empty where a price is not known) and ``<flow>.tokens`` of each
            record: of a remembered one, nothing.

            Where a record has no value the place is empty (``None``, ``NaN`` or null as
            the library has it).
        """
        state = self._state()
        if flow is not None and flow not in state.flows:
            raise UsageError(
                f"Run {self.id} has no flow {flow!r}; it has {', '.join(map(repr, state.flows))}."
            )
        batch, rows = self._rows(state)
        source = batch.source if batch is not None else None
        library = batch.library if batch is not None else "records"
        decided = self._decided(state, batch) if reviewed else {}
        if flow is not None:
            number = state.flows.index(flow)
            values = [
                results.corrected(value, decided.get((row, number)))
                for row, value in zip(
                    rows, self._values(state, number, rows), strict=True
                )
            ]
            return results.as_series(library, source, flow, values)
        columns: dict[str, list[Any]] = {}
        for number, name in enumerate(state.flows):
            columns[f"{name}.status"] = [str(state.item(row, number)) for row in rows]
            made = results.columns_of(name, self._values(state, number, rows))
            columns.update(
                results.corrected_columns(
                    name, made, [decided.get((row, number)) for row in rows]
                )
            )
            columns.update(self._used(state, number, rows, taken=columns))
        if batch is None:
            source = [{"key": state.keys[row]} for row in rows]
        return results.as_frame(library, source, columns)

    @staticmethod
    def _used(
        state: RunState, flow: int, rows: list[int], taken: Iterable[str]
    ) -> dict[str, list[Any]]:
        """The columns that say what each record used, where any did."""
        if not state.has_used(flow):
            return {}
        costs = [state.cost(row, flow) for row in rows]
        found: dict[str, list[Any]] = {
            "cost": [None if math.isnan(cost) else cost for cost in costs],
            "tokens": [state.tokens(row, flow) for row in rows],
        }
        return {
            results.free(f"{state.flows[flow]}.{name}", taken): column
            for name, column in found.items()
        }

    def _rows(self, state: RunState) -> tuple[Batch | None, list[int]]:
        """The batch, and the number of the record in each of its rows."""
        execution = self._execution
        batch = self._batch
        if execution is not None and batch is not None and not batch.is_stream:
            return batch, list(execution.rows)
        if not state.keeps_records:
            return None, list(range(len(state.keys)))
        batch = self._batch = kept_batch(self.engine.ledger, self.id)
        return batch, [number for number, _, _ in batch.numbered()]

    def _decided(self, state: RunState, batch: Batch | None) -> Decided:
        """What people decided about the records, in this run and in others."""
        standing = decisions.standing_for(self.engine, state.flows)
        if not standing:
            return {}
        if batch is None:
            return decisions.decided_by_key(standing, state.flows, self.id, state.keys)
        return decisions.decided(
            standing,
            state.flows,
            ((number, row) for number, _, row in batch.numbered()),
        )

    def _values(self, state: RunState, flow: int, rows: list[int]) -> list[Any]:
        keys = {
            row: state.checkpoint(row, flow)
            for row in rows
            if state.item(row, flow) in DONE
        }
        saved = self.engine.store.get_many(
            [key for key in dict.fromkeys(keys.values()) if key]
        )
        execution = self._execution
        unsaved = execution.unsaved if execution is not None else {}
        values = []
        for row in rows:
            key = keys.get(row)
            if (row, flow) in unsaved:
                values.append(unsaved[row, flow])
            elif key is None:
                values.append(None)
            elif key not in saved:
                raise StoreError(
                    f"The saved value of record {state.keys[row]!r} in flow {state.flows[flow]!r} is not in the store any more; send the batch again, that makes it anew."
                )
            else:
                values.append(checkpoint.load(saved[key]).value)
        return values

    @overload
    def failures(
        self: Run[Dicts], by: Literal["cause"] | None = None
    ) -> pd.DataFrame: ...
    @overload
    def failures(self, by: Literal["cause"] | None = None) -> Frame_co: ...
    def failures(self, by: str | None = None) -> Any:
        """The records that failed, one row each: record, flow, step, error, message, attempts.

        Args:
            by: ``"cause"`` groups them by flow, step, error and message (numbers and
                quoted parts aside): how many records each, the most frequent first,
                with the key of one of them.

        Returns:
            A frame in the batch's library; pandas where the batch is a list or an
            iterator.
        """
        state = self._state()
        if by not in (None, "cause"):
            raise UsageError(f'failures(by={by!r}): the only grouping is by="cause".')
        if by == "cause":
            causes = causes_of(state)
            return _frame(
                state.library,
                ("flow", "step", "error", "message", "records", "example"),
                causes,
            )
        rows = [
            (row.key, row.flow, row.step or None, row.error, row.message, row.attempts)
            for row in failure_rows(state)
        ]
        return _frame(
            state.library,
            ("record", "flow", "step", "error", "message", "attempts"),
            rows,
        )

    def compare(self, other: Run) -> pd.DataFrame:
        """What came out differently in ``other``, a run of the same records: after an edit, or a day later.

        Returns:
            A pandas frame, one row a difference: record, flow, field, before (this
                run), after (``other``). The field
            is one of the output's, or the flow's name for an output without fields;
            ``status`` where a record is done in one run only; ``record`` where only one
            run has it. Values that are saved under one key are not loaded.
        """
        frame: pd.DataFrame = _frame(
            "pandas", differences.COLUMNS, self.differences(other)
        )
        return frame

    def differences(self, other: Run) -> Iterator[Change]:
        """What `compare` has in its rows, one after the other."""
        mine, theirs = self._state(), other._state()
        values = partial(self._values, mine), partial(other._values, theirs)
        return differences.changes(mine, theirs, values)

    def raise_for_failures(self) -> Self:
        """The run itself if nothing failed.

        Raises:
            RunFailedError: records failed, or the run ended before they were done; the
                message has the causes.
        """
        state = self._state()
        if state.state in ("COMPLETED", "RUNNING") and not state.failures:
            return self
        causes = "\n".join(
            f"  {cause.records:,} x {cause.error} at {cause.step or cause.flow}, such as {short(cause.example, 60)}: {short(cause.message)}"
            for cause in causes_of(state)[:10]
        )
        raise RunFailedError(
            f"Run {self.id} is {state.state}: {short(self.table().sentence, 500)}"
            + (f"\n{causes}" if causes else "")
        )

    def inspect(self, key: object) -> Inspection:
        """One record: each step of it in each flow, with state, attempts, times, and its inputs and outputs on request.

        Args:
            key: the record's key, or for a batch without ``key=`` its index label or
                position.
        """
        state = self._state()
        text = " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
        numbers = [number for number, known in enumerate(state.keys) if known == text]
        if not numbers:
            raise UsageError(
                f"Run {self.id} has no record {text!r}; its first keys are {', '.join(map(repr, state.keys[:3]))}."
            )
        record = numbers[0]
        execution = self._execution
        inputs = execution.inputs if execution is not None else {}
        why = Why(self.engine, state, record, self._load, self._content)
        views = [
            FlowView(
                name,
                state.item(record, flow),
                self._load,
                state.checkpoint(record, flow),
                why,
            )
            for flow, name in enumerate(state.flows)
        ]
        for entry in self.engine.ledger.about(self.id, record):
            if isinstance(entry, Item | Called | Used):
                views[entry.flow].take(entry)
        for flow, view in enumerate(views):
            view.finish(inputs.get((record, flow), []))
        return Inspection(text, state.flows, views, lambda: self._record(state, record))

    def _content(self, run: str, key: str, record: int) -> Any:
        """A record as it was sent in a run."""
        sent = self if run == self.id else Run(self.runs, run, self._home)
        row = sent._row(record)  # noqa: SLF001 - of this class
        return (
            row.record
            if row is not None and row.key == key
            else sent._record(sent._state(), record)  # noqa: SLF001
        )

    def _row(self, place: int) -> Row | None:
        """One row of the batch, if it can be had without reading those before it."""
        batch = self._batch
        if batch is not None and not batch.is_stream:
            return batch.row(place) if place < (batch.total or 0) else None
        return kept_row(self.engine.ledger, self.id, place)

    def _record(self, state: RunState, record: int) -> Any:
        # Where no row is the copy of another, each record stands in the row of its
        # number.
        row = self._row(record) if not state.copies else None
        if row is not None and row.key == state.keys[record]:
            return row.record
        batch, rows = self._rows(state)
        if batch is None:
            raise UsageError(f"The records of run {self.id} were not kept.")
        place = rows.index(record)
        return next(row.record for at, row in enumerate(batch.rows()) if at == place)

    def _load(self, key: str) -> checkpoint.Checkpoint | None:
        data = self.engine.store.get(key)
        return checkpoint.load(data) if data is not None else None

    # What one does with it.

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the run has ended, whichever process works on it.

        Args:
            timeout: the longest to wait, in seconds; without it, as long as it takes.

        Returns:
            The run itself. If the time was up first, its ``state`` is ``RUNNING``.

        Raises:
            UnknownRunError: the run is not in the ledger any more.
            KeyboardInterrupt: the waiting was interrupted; the run continues.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> run = size.map(["one", "three"], wait=False)
            >>> run.wait(timeout=60).state
            'COMPLETED'
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._is_going_on() and (until is None or time.monotonic() < until):
            execution = self._execution
            if execution is not None:
                execution.wait(timeout)
            else:
                time.sleep(_GLANCE)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        """``await run``: wait for its end and leave the event loop, and with it the kernel, free meanwhile.

        Whoever cancels the waiting (the kernel's Stop does) cancels the run.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> Self:
        import asyncio

        try:
            while self._is_going_on():  # noqa: ASYNC110 - it ends on a thread, or in another process
                await asyncio.sleep(_GLANCE)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self

    @property
    def is_here(self) -> bool:
        """Does this process work on it, or has it to the end?"""
        return self._execution is not None

    @property
    def is_stopping(self) -> bool:
        """Was it cancelled, and has it not ended yet?"""
        execution = self._execution
        if execution is not None:
            return execution.cancelled.is_set() and not execution.has_ended
        return self._read.state == "RUNNING" and self.engine.ledger.is_asked_to_stop(
            self.id
        )

    def _is_going_on(self) -> bool:
        execution = self._execution
        return (
            not execution.has_ended
            if execution is not None
            else self._state().state == "RUNNING"
        )

    def cancel(self) -> Self:
        """Stop the run: start nothing more, and keep what is done.

        Records that wait are ``CANCELLED`` at once. A sync call that is under way ends
        its step first; ``wait()`` waits for it. A run that another kernel or job works
        on is asked to stop through the ledger, and does so within a second. A run that
        has ended stays as it is.

        Returns:
            The run itself, at once. ``rerun_failed()`` continues it.

        Raises:
            UnknownRunError: the run is not in the ledger any more.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> run = size.map(["one", "three"], wait=False)
            >>> run.cancel().wait().rerun_failed().results("size")
            [3, 5]
        """
        execution = self._execution
        if execution is None and self.state == "RUNNING":
            self.engine.ledger.ask_to_stop(self.id)
        elif execution is not None and not execution.has_ended:
            execution.cancel()
        return self

    def rerun_failed(
        self, *, wait: bool = True, budget: float | str | None = None
    ) -> Self:
        """Run again what failed, was cancelled or interrupted, and only that. The run goes on under its id.

        Args:
            wait: ``False`` returns at once.
            budget: US dollars that it may cost from now on.

        Returns:
            This run; its ``results()`` then hold old and new values together.
        """
        return self._again(self.unfinished(), wait=wait, budget=budget)

    def unfinished(self) -> frozenset[tuple[int, int]]:
        """The (record, flow) pairs, by number, that failed, were cancelled or interrupted."""
        state = self._whole()
        again = BROKEN | {State.CANCELLED, State.INTERRUPTED}
        return frozenset(
            (record, flow)
            for flow in range(len(state.flows))
            for record in state.records(flow, again)
        )

    def rerun_places(
        self, only: frozenset[tuple[int, int]], *, force: bool = False
    ) -> Self:
        """Run (record, flow) pairs again in the background, shown where the run is shown already: what a table asks for."""
        return self._again(only, wait=False, force=force, shown=False)

    def rerun(
        self,
        where: str | int | Iterable[object] | Callable[[Any], object] | None = None,
        *,
        from_step: str | None = None,
        wait: bool = True,
        budget: float | str | None = None,
    ) -> Self:
        """Run records again although they are done.

        Args:
            where: which ones: a key, a list of keys, or a function that takes the
                record and says yes or no. All when left out.
            from_step: name of a step: those before it come from their checkpoints, it
                and those after it run again.
            wait: ``False`` returns at once.
            budget: US dollars that it may cost from now on.

        Returns:
            This run, which goes on under its id.
        """
        state = self._whole()
        chosen = self._chosen(state, where)
        known = sorted({step for steps in state.steps for step in steps})
        # A run in which everything was remembered does not know which flow calls which
        # step.
        flows = [
            flow
            for flow, steps in enumerate(state.steps)
            if from_step is None or not known or from_step in steps
        ]
        if not flows:
            raise UsageError(
                f"from_step={from_step!r}: no such step in run {self.id}; it called {', '.join(known)}."
            )
        only = frozenset((record, flow) for flow in flows for record in chosen)
        return self._again(
            only, force=from_step is None, from_step=from_step, wait=wait, budget=budget
        )

    def _whole(self) -> RunState:
        """The state, with the records that a killed process had not come to read: they are interrupted like the others."""
        state = self._state()
        if state.state != "INTERRUPTED" or not state.unread or not state.keeps_records:
            return state
        batch = self._batch = kept_batch(self.engine.ledger, self.id)
        rows, listed = list(batch.numbered()), len(state.keys)
        entries: list[Entry] = [
            Listed(number, row.key, times)
            for number, times, row in rows
            if number >= listed or times > 1
        ]
        entries.append(Sent(max((number for number, _, _ in rows), default=-1) + 1))
        self.engine.ledger.append(self.id, entries)
        state = self._state()
        with self._mutex:
            self._take(state.interrupt(state.ended))
        return state

    def _chosen(self, state: RunState, where: Any) -> Iterable[int]:
        if where is None:
            return range(len(state.keys))
        if callable(where):
            batch, rows = self._rows(state)
            if batch is None:
                raise UsageError(
                    f"The records of run {self.id} were not kept, so where= can only be a list of keys."
                )
            return {
                number
                for number, row in zip(rows, batch.rows(), strict=True)
                if row.error is None and where(row.record)
            }
        wanted = (
            {str(where)}
            if isinstance(where, str | int)
            else {
                " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
                for key in where
            }
        )
        unknown = wanted - set(state.keys)
        if unknown:
            raise UsageError(
                f"where=: run {self.id} has no record {', '.join(map(repr, sorted(unknown)[:5]))}."
            )
        return [number for number, key in enumerate(state.keys) if key in wanted]

    def _again(
        self,
        only: frozenset[tuple[int, int]],
        *,
        wait: bool,
        force: bool = False,
        from_step: str | None = None,
        shown: bool = True,
        budget: float | str | None = None,
    ) -> Self:
        state = self._state()
        if state.state == "RUNNING":
            raise UsageError(
                f"Run {self.id} is still going on; wait() for it or cancel() it first."
            )
        if only:
            if self._batch is None or self._batch.is_stream:
                self._batch = kept_batch(self.engine.ledger, self.id)
            self._home.restart(
                self,
                state,
                self._batch,
                only=only,
                force=force,
                from_step=from_step,
                wait=wait,
                shown=shown,
                budget=budget,
            )
        return self


def _content(run: Run) -> object:
    """What two runs have to have in common for a step or a cell to be given the same: what ``results()`` and ``failures()`` say."""
    state = run._state()  # noqa: SLF001 - of this module
    items = [
        [
            (str(state.item(record, flow)), state.checkpoint(record, flow))
            for record in range(len(state.keys))
        ]
        for flow in range(len(state.flows))
    ]
    batch, _ = run._rows(state)  # noqa: SLF001
    failures = [tuple(row) for row in failure_rows(state)]
    decided = sorted(
        (place, decision.label)
        for place, decision in run._decided(state, batch).items()  # noqa: SLF001
    )
    source = batch.source if batch is not None and not batch.is_stream else None
    return (
        state.event,
        state.flows,
        state.keys,
        items,
        failures,
        source,
        *([decided] if decided else []),
    )


key_by(Run, _content)


def _frame(
    library: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> Any:
    data: dict[str, list[Any]] = dict(
        zip(columns, (list(column) for column in zip(*rows, strict=True)), strict=False)
    ) or {name: [] for name in columns}
    root = library.partition(".")[0]
    if root == "polars":
        import polars as pl

        return pl.DataFrame(data)
    if root == "pyarrow":
        import pyarrow as pa

        return pa.table(data)
    import pandas as pd

    return pd.DataFrame(data)
