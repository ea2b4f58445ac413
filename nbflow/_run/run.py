"""Run: the handle that people hold. It reads entries and checkpoints, and starts runs again."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, overload

from nbflow._call.budget import resting
from nbflow._call.scope import paid_here
from nbflow._core import guesses
from nbflow._core.entry import (
    BROKEN,
    DONE,
    Answered,
    Awaits,
    Called,
    Item,
    Printed,
    RunState,
    Used,
)
from nbflow._core.lifecycle import State
from nbflow._core.looks import word_of
from nbflow._core.table import WORDS, causes_of, everywhere, failure_rows, short
from nbflow._core.usage import dollars
from nbflow._key.value import key_by
from nbflow._run import differences, render, results, waiting
from nbflow._run.batch import Batch, key_text, number_of
from nbflow._run.called import start_at
from nbflow._run.frame_types import Frame_co
from nbflow._run.inspection import FlowView, Inspection
from nbflow._run.models import models_by_record
from nbflow._run.options import RunOptions
from nbflow._run.reasons import Why
from nbflow._run.run_reader import RunReader
from nbflow.errors import RunFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Never, Self

    import pandas as pd
    import polars as pl
    from anywidget import AnyWidget

    from nbflow._call.engine import Engine
    from nbflow._core.flow import AnyFlow
    from nbflow._core.step import AnyStep
    from nbflow._core.table import Table
    from nbflow._core.usage import Usage
    from nbflow._run.batch import Columns
    from nbflow._run.differences import Change
    from nbflow._run.frame_types import Dicts
    from nbflow._run.lane import Lane
    from nbflow._run.runs import Runs

#: Seconds between two looks at a run that is awaited or that another process works on.
_GLANCE = 0.05
#: Causes of failures that an error names.
_CAUSES = 10


class Home(Protocol):
    """What the assembling place does for a run."""

    def lanes(self, run: Run, state: RunState) -> Sequence[Lane]:
        """The flows of a run, as they are defined now."""

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
        """Start the execution of (record, flow) pairs of an existing run."""

    def defined(self, run: Run, name: str) -> list[AnyFlow | AnyStep]:
        """A flow of the run, and the steps that it reaches, as they are defined here."""

    def display(self, run: Run) -> bool:
        """Show the run's live table under the cell; answers whether there is one where this code runs."""

    def widget(self, run: Run) -> AnyWidget:
        """The run's live table as a widget."""

    def page(self, run: Run, path: Path | None, title: str) -> str:
        """The run's page for people who run no code, written to ``path`` if there is one."""


class Run(Generic[Frame_co]):
    """One send, or one map: every record through every subscribed flow.

    A run is known by its ``id`` and outlives the kernel: ``nbflow.open_run(id)`` gives
    it back anywhere. Shown in a notebook or terminal it is a table.
    """

    def __init__(
        self, runs: Runs, run: str, home: Home, batch: Batch | None = None
    ) -> None:
        self.id = run
        #: What is known of it.
        self.reader = RunReader(runs, run, batch)
        #: Lanes of a map that another kernel made, as the cell that maps now has them.
        self.mapped: Sequence[Lane] = ()
        self._home = home

    def defined(self, flow: str) -> list[AnyFlow | AnyStep]:
        """A flow or mapped step, and the steps that it reaches, as far as this kernel defines them."""
        return self._home.defined(self, flow)

    # What it says.

    @property
    def engine(self) -> Engine:
        """The engine on the store that the run is in."""
        return self.reader.engine

    @property
    def state(self) -> str:
        """How it stands.

        ``RUNNING``, ``COMPLETED``, ``PARTIAL`` (some records failed), ``FAILED`` (all
        did), ``CANCELLED`` or ``INTERRUPTED``.
        """
        return self.reader.state().state

    @property
    def event(self) -> str:
        """The event that was sent; for a map the step's name."""
        return self.reader.state().event

    @property
    def flows(self) -> tuple[str, ...]:
        """Names of the flows, in the order of the results' columns."""
        return self.reader.state().flows

    @property
    def records(self) -> int:
        """How many records it has, as far as they were read."""
        return len(self.reader.state().keys)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Records by state, for each flow, always in one order: ``{"triage": {"COMPLETED": 199, "FAILED": 1}}``."""
        state = self.reader.state()
        return {
            name: {
                str(key): counts[key]
                for key in WORDS
                if isinstance(key, State) and counts[key]
            }
            for flow, name in enumerate(state.flows)
            for counts in [state.count(flow)]
        }

    @property
    def usage(self) -> Usage:
        """What its calls of models used and cost so far, as they reported it with ``nbflow.usage``."""
        return self.reader.state().usage

    @property
    def saved(self) -> Usage:
        """What its remembered calls would have used without their checkpoints."""
        return self.reader.state().saved

    if not TYPE_CHECKING:
        # Checkers refuse what is not there by themselves, and take a map for a list.

        def __getitem__(self, key: object) -> Inspection:
            """One record, as `inspect` gives it."""
            return self.inspect(key)

        #: A run has records, but is no list: Python would ask for ``run[0]``, ``run[1]``.
        __iter__ = None

        def __getattr__(self, name: str) -> Never:
            __tracebackhide__ = True
            raise guesses.refusal("A run", name, guesses.RUN, self)

    def table(self) -> Table:
        """The run as a picture: what every display of it shows."""
        return self.reader.table(self.reader.state())

    def __repr__(self) -> str:
        return render.to_text(self.table())

    def _repr_html_(self) -> str:
        return render.to_html(self.table())

    def _ipython_display_(self) -> None:
        if not self._home.display(self):
            raise NotImplementedError  # what IPython takes for: look for another way to show it

    def show(self, columns: Columns = ()) -> None:
        """Show the run: its table under the cell, or its picture in a terminal.

        Args:
            columns: the fields of a record that stand beside its key, such as
                ``["subject", "customer"]``; without any, those that ``send`` was given.

        Raises:
            UsageError: ``columns`` is no list of names.

        Example:
            >>> run.show(columns=["subject"])  # doctest: +SKIP
        """
        self.reader.columns = Batch([]).shown(columns) or self.reader.columns
        if not self._home.display(self):
            print(self)  # noqa: T201  # what it is asked for

    def widget(self) -> AnyWidget:
        """The live table as a widget (an `anywidget.AnyWidget`), for hosts that show widgets their own way.

        In marimo: ``mo.ui.anywidget(run.widget())``. In Jupyter the run shows itself.

        Raises:
            UsageError: anywidget is not installed.
        """
        return self._home.widget(self)

    @overload
    def to_html(
        self, path: None = None, *, title: str = "", columns: Columns = ()
    ) -> str: ...
    @overload
    def to_html(
        self, path: str | Path, *, title: str = "", columns: Columns = ()
    ) -> Path: ...
    def to_html(
        self,
        path: str | Path | None = None,
        *,
        title: str = "",
        columns: Columns = (),
    ) -> str | Path:
        """A page about the run for people who run no code, in one file to mail or to keep.

        How it stands, what needs somebody and why, what came out by category, how the
        last runs of the event went, and all results as CSV where they are few enough.
        It needs no script and asks no host for anything; secrets are masked.

        Args:
            path: the file to write, such as ``"monday.html"``; one that is there is
                replaced as a whole. Without it, the page is returned.
            title: what it is called; without it, the event.
            columns: the fields of a record that name it, such as ``["subject"]``;
                without any, those that ``send`` was given, else its first text.

        Returns:
            The path of the file, or the page.

        Raises:
            UsageError: an argument is invalid, or the file cannot be written.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> run = size.map(["one", "three"])
            >>> "All 2 records are done." in run.to_html(title="Sizes")
            True
        """
        if not isinstance(path, str | PathLike | None):
            raise UsageError(f"path={path!r} has to be the name of a file.")
        if not isinstance(title, str):
            raise UsageError(f"title={title!r} has to be a text.")
        file = None if path is None else Path(path)
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            what = "is a folder" if file.is_dir() else "is in no folder that exists"
            raise UsageError(f"{file} {what}: name a file for the page.")
        self.reader.columns = Batch([]).shown(columns) or self.reader.columns
        page = self._home.page(self, file, title)
        return page if file is None else file

    # What came out.

    # `Run[Never]` matches a `Run[Any]` alone: where the library of the batch is not known,
    # as after `open_run`, a checker must not take the first overload that would fit.

    @overload
    def results(
        self, flow: None = None, *, reviewed: bool = True, models: bool = False
    ) -> Frame_co: ...
    @overload
    def results(self: Run[Never], flow: str, *, reviewed: bool = True) -> Any: ...
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
    def results(
        self, flow: str | None = None, *, reviewed: bool = True, models: bool = False
    ) -> Any:
        """The batch with what the flows made of it, or the values of one flow alone.

        Args:
            flow: a flow's (or mapped step's) name.
            reviewed: labels that people gave in a review (``nbflow.review``) stand in
                the place of the model's, in this run and every other, and a column
                ``<flow>.by`` says ``human`` or ``model``. ``False``: what the flows
                returned.
            models: a column ``<flow>.model`` says which model answered for each record,
                with its version as the provider reports it (``nbflow.usage``).

        Returns:
            Without ``flow``: the batch in its own library, index and order kept, every
            row in its place. For each flow a column ``<flow>.status`` with the record's
            state, and its values: ``<flow>.<field>`` for each field of dicts, pydantic
            models, dataclasses, attrs and named tuples, else one column ``<flow>``. A
            list or iterator of dicts gives a list of dicts.

            With ``flow``: its values, one a row: a Series of the batch's library, or a
            list.

            Where calls reported what they used (``nbflow.usage``), ``<flow>.cost`` (US
            dollars; empty where a price is not known) and ``<flow>.tokens`` of each
            record: of a remembered one, nothing.

            Where a record has no value the place is empty (``None``, ``NaN`` or null as
            the library has it), also where a value was forgotten since, which a warning
            says. A column has the type that holds all its values exactly; where no type
            does, it holds Python objects. Arrow has no such column: it gets their
            ``repr()``, with a warning.
        """
        state = self.reader.state()
        if flow is not None and flow not in state.flows:
            known = ", ".join(map(repr, state.flows))
            raise UsageError(f"Run {self.id} has no flow {flow!r}; it has {known}.")
        if flow is not None and models:
            raise UsageError(
                f"results({flow!r}, models=True): the values of one flow are one column. "
                f'Use results(models=True)["{flow}.model"].'
            )
        batch, rows = self.reader.rows(state)
        source = batch.source if batch is not None else None
        library = batch.library if batch is not None else "records"
        decided = self.reader.decided(state, batch) if reviewed else {}
        if flow is not None:
            number = state.flows.index(flow)
            made = self.reader.values(state, number, rows)
            values = [
                results.corrected(value, decided.get((row, number), ()))
                for row, value in zip(rows, made, strict=True)
            ]
            return results.as_series(library, source, flow, values)
        columns: dict[str, list[Any]] = {}
        by_model = models_by_record(self.engine.ledger, self.id) if models else {}
        for number, name in enumerate(state.flows):
            columns[f"{name}.status"] = [str(state.item(row, number)) for row in rows]
            fields = results.columns_of(name, self.reader.values(state, number, rows))
            by_row = [decided.get((row, number), ()) for row in rows]
            named = results.corrected_columns(name, fields, by_row)
            for column, cells in named.items():
                # A field may be called "status", too.
                columns[results.free(column, columns)] = cells
            columns.update(self._used(state, number, rows, taken=columns))
            if models:
                answered = [by_model.get((row, number)) for row in rows]
                columns[results.free(f"{name}.model", columns)] = answered
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

    @overload
    def failures(self: Run[Never], by: Literal["cause"] | None = None) -> Any: ...
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
        state = self.reader.state()
        if by not in (None, "cause"):
            raise UsageError(f'failures(by={by!r}): the only grouping is by="cause".')
        if by == "cause":
            names = ("flow", "step", "error", "message", "records", "example")
            return results.frame_of(state.library, names, causes_of(state))
        rows = [
            (row.key, row.flow, row.step or None, row.error, row.message, row.attempts)
            for row in failure_rows(state)
        ]
        names = ("record", "flow", "step", "error", "message", "attempts")
        return results.frame_of(state.library, names, rows)

    def compare(self, other: Run) -> pd.DataFrame:
        """What came out differently in ``other``, a run of the same records: after an edit, or a day later.

        Returns:
            A pandas frame, one row a difference: record, flow, field, before (this
            run), after (``other``). The field is one of the output's, or the flow's
            name for an output without fields; ``status`` where a record is done in one
            run only; ``record`` where only one run has it. Values that are saved under
            one key are not loaded; one that was forgotten is not compared, which a
            warning says.
        """
        frame: pd.DataFrame = results.frame_of(
            "pandas", differences.COLUMNS, self.differences(other)
        )
        return frame

    def differences(self, other: Run) -> Iterator[Change]:
        """What `compare` has in its rows, one after the other."""
        if not isinstance(other, Run):
            raise UsageError(
                f"compare() takes another run, such as nf.open_run(id), not {other!r}."
            )
        mine, theirs = self.reader.state(), other.reader.state()
        gone = differences.GONE
        values = (
            partial(self.reader.values, mine, gone=gone),
            partial(other.reader.values, theirs, gone=gone),
        )
        return differences.changes(mine, theirs, values)

    def raise_for_failures(self) -> Self:
        """The run itself if nothing failed; records may still wait.

        Raises:
            RunFailedError: records failed, or the run ended before they were done; the
                message has the causes.
        """
        state = self.reader.state()
        if state.state in ("COMPLETED", "RUNNING", "WAITING") and not state.failures:
            return self
        said = short(self.table().sentence, 500)
        text = f"Run {self.id} is {word_of(state.state)}: {said}"
        for cause, places in everywhere(causes_of(state))[:_CAUSES]:
            where = places[0] if len(places) == 1 else f"{len(places)} steps"
            text += (
                f"\n  {cause.records:,} x {cause.error} at {where},"
                f" such as {short(cause.example, 60)}: {short(cause.message)}"
            )
        raise RunFailedError(text)

    def inspect(self, key: object) -> Inspection:
        """One record: each step of it in each flow, with state, attempts, times, and what it printed.

        Its inputs and outputs are there on request.

        Args:
            key: the record's key, or for a batch without ``key=`` its index label or
                position.
        """
        state = self.reader.state()
        text = key_text(key)
        record = number_of(text, state)
        execution = self.reader.execution
        inputs = execution.inputs if execution is not None else {}
        why = Why(self.engine, state, record, self.reader.saved, self.reader.record_in)
        views = [
            FlowView(
                name,
                state.item(record, flow),
                self.reader.saved,
                state.checkpoint(record, flow),
                why,
            )
            for flow, name in enumerate(state.flows)
        ]
        for entry in self.engine.ledger.about(self.id, record):
            if isinstance(entry, Item | Called | Printed | Used | Awaits | Answered):
                views[entry.flow].take(entry)
        for flow, view in enumerate(views):
            view.finish(inputs.get((record, flow), []))
        return Inspection(
            text, state.flows, views, lambda: self.reader.record(state, record)
        )

    # What one does with it.

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the run has ended, whichever process works on it.

        Args:
            timeout: the longest to wait, in seconds; without it, as long as it takes.

        Returns:
            The run itself. If the time was up first, its ``state`` is ``RUNNING``.

        Raises:
            UnknownRunError: the run is no longer in the ledger.
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
        with resting(paid_here()):
            while self.reader.is_under_way and (
                until is None or time.monotonic() < until
            ):
                execution = self.reader.execution
                if execution is not None:
                    execution.wait(timeout)
                else:
                    time.sleep(_GLANCE)
            self._wait_for_picture()
        return self

    def wait_out(self, until: float) -> None:
        """Stay until none of its records waits, or until a time, in seconds since the epoch."""
        with resting(paid_here()):
            while self.reader.state().awaited and self.engine.clock.time() < until:
                time.sleep(_GLANCE)
        self.wait()

    def __await__(self) -> Generator[Any, None, Self]:
        """``await run``: wait for its end and leave the event loop, and with it the kernel, free meanwhile.

        Whoever cancels the waiting (the kernel's Stop does) cancels the run.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> Self:
        import asyncio

        try:
            while self.reader.is_under_way:  # noqa: ASYNC110  # it ends on a thread, or in another process
                await asyncio.sleep(_GLANCE)
            await asyncio.to_thread(self._wait_for_picture)
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self

    def _wait_for_picture(self) -> None:
        execution = self.reader.execution
        if execution is not None and execution.has_ended:
            execution.wait_for_picture()

    @property
    def is_here(self) -> bool:
        """Returns whether this process works on the run, or did so to its end."""
        return self.reader.execution is not None

    @property
    def is_stopping(self) -> bool:
        """Returns whether the run was cancelled and has not ended yet."""
        return self.reader.is_stopping

    def cancel(self) -> Self:
        """Stop the run: start nothing more, and keep what is done.

        Records that wait are ``CANCELLED`` at once. A sync call that is under way ends
        its step first; ``wait()`` waits for it. A run that another kernel or job works
        on is asked to stop through the ledger, and does so within a second. A run that
        has ended stays as it is.

        Returns:
            The run itself, at once. ``rerun_failed()`` continues it.

        Raises:
            UnknownRunError: the run is no longer in the ledger.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> run = size.map(["one", "three"], wait=False)
            >>> run.cancel().wait().rerun_failed().results("size")
            [3, 5]
        """
        execution, state = self.reader.execution, self.reader.state()
        if execution is None and state.state == "RUNNING":
            self.engine.ledger.ask_to_stop(self.id)
        elif execution is not None and not execution.has_ended:
            execution.cancel()
        elif state.awaited:
            self._again(frozenset(state.awaited), RunOptions(cancels=True), wait=True)
        return self

    # What it waits for.

    def waiting(self) -> Frame_co:
        """What its records wait for: a row for each record and flow.

        Returns:
            In the batch's own library: ``record``, ``flow``, ``wait`` (its name in the
            table), ``kind`` (``sleep``, ``event`` or ``answer``), ``what`` (the event or
            the question), ``since`` and ``until`` (UTC; missing without a limit),
            ``choices``, and ``show``, what a person is to see with the question.

        Raises:
            UnknownRunError: the run is no longer in the ledger.

        Example:
            >>> @nf.flow(on="draft/written")
            ... def approve(draft: dict[str, str]) -> str:
            ...     return nf.ask("Send this?", show=draft["text"])
            >>> run = nf.send("draft/written", [{"id": "d-1", "text": "Hi"}], key="id")
            >>> run.waiting()["what"].tolist()
            ['Send this?']
        """
        state = self.reader.state()
        frame: Frame_co = waiting.frame(self.engine, state)
        return frame

    def answer(
        self,
        record: object,
        choice: str,
        *,
        by: str | None = None,
        flow: str | None = None,
    ) -> Self:
        """Answer what a record asks; see ``nf.ask``.

        The answer is kept at once. The kernel that waits continues with it; so
        does ``resume()``.

        Args:
            record: the record's key.
            choice: one of the choices.
            by: who answers; the user of this machine by default.
            flow: the flow that asks, where several do.

        Returns:
            The run itself.

        Raises:
            UsageError: there is no such record, it asks nothing, there is no such choice,
                or it was answered before: the first answer counts.
            StoreError: the answer could not be kept.
        """
        waiting.answer(self.engine, self.reader.state(), record, choice, by, flow)
        return self

    def resume(self, *, wait: bool = True) -> Self:
        """Go on with the records whose wait is over, and with nothing else.

        Their time has come, or what they wait for is there. Where the kernel that sent
        them is still there, it does the same by itself.

        Args:
            wait: ``False`` returns at once.

        Returns:
            The run itself.

        Raises:
            UsageError: it is running, or its records were not kept.
        """
        return self._resumed(wait=wait, shown=wait)

    def resume_aside(self) -> Self:
        """`resume` behind the cells, shown where the run is shown already."""
        return self._resumed(wait=False, shown=False)

    def _resumed(self, *, wait: bool, shown: bool) -> Self:
        if self.reader.runs.is_worked_on(self.id):
            return self  # somebody is at it: another process, or the alarm of this one
        state = self.reader.state()
        waits = {place: one.key for place, one in state.awaited.items()}
        only = waiting.ready(self.engine, state) | self._edited(state)
        try:
            return self._again(only, RunOptions(resumes=waits), wait=wait, shown=shown)
        except UsageError:
            if self.reader.runs.is_worked_on(self.id):
                return self
            raise

    def _edited(self, state: RunState) -> frozenset[tuple[int, int]]:
        """The records that wait in flows whose code is another one by now."""
        if not state.awaited:
            return frozenset()
        lanes = self._home.lanes(self, state)
        coded = [state.coded.get(lane.subject) for lane in lanes]
        edited = {
            flow
            for flow, (lane, code) in enumerate(zip(lanes, coded, strict=True))
            if code is not None and lane.identity.digest != code.code
        }
        return frozenset(place for place in state.awaited if place[1] in edited)

    def rerun_failed(
        self,
        *,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
    ) -> Self:
        """Run again what failed, was cancelled or interrupted, and only that. The run keeps its id.

        Args:
            wait: ``False`` returns at once.
            max_in_flight: the number of records that are processed at once; as the
                sender set it when left out.
            budget: US dollars that it may cost from now on, such as ``"$5"``; as many
                as the sender set when left out.

        Returns:
            This run; its ``results()`` then hold old and new values together.

        Raises:
            UsageError: it is still running, an option is invalid, or a budget cannot
                be kept.
        """
        options = RunOptions(max_in_flight=max_in_flight)
        return self._again(self.unfinished(), options, wait=wait, budget=budget)

    def unfinished(self) -> frozenset[tuple[int, int]]:
        """The (record, flow) pairs, by number, that failed, were cancelled or interrupted."""
        state = self.reader.whole_state()
        again = BROKEN | {State.CANCELLED, State.INTERRUPTED}
        return frozenset(
            (record, flow)
            for flow in range(len(state.flows))
            for record in state.records(flow, again)
        )

    def rerun_places(
        self, only: frozenset[tuple[int, int]], *, force: bool = False
    ) -> Self:
        """Run (record, flow) pairs again in the background: what a table asks for.

        They are shown where the run is shown already.
        """
        return self._again(only, RunOptions(force=force), wait=False, shown=False)

    def rerun(
        self,
        where: str | int | Iterable[object] | Callable[[Any], object] | None = None,
        *,
        from_step: str | None = None,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
    ) -> Self:
        """Run records again although they are done.

        Args:
            where: which ones: a key, a list of keys, or a function that takes the
                record and says yes or no. All when left out.
            from_step: name of a step: those before it come from their checkpoints, it
                and those after it run again.
            wait: ``False`` returns at once.
            max_in_flight: the number of records that are processed at once; as the
                sender set it when left out.
            budget: US dollars that it may cost from now on, such as ``"$5"``; as many
                as the sender set when left out.

        Returns:
            This run, which goes on under its id.

        Raises:
            UsageError: it is still running, there is no such record or step, an option
                is invalid, or a budget cannot be kept.
        """
        options = RunOptions(max_in_flight=max_in_flight, force=True)
        state = self.reader.whole_state()
        chosen = self._chosen(state, where)
        flows: Iterable[int] = range(len(state.flows))
        if from_step is not None:
            lanes, store = self._home.lanes(self, state), self.engine.store
            flows, around = start_at(from_step, state, lanes, chosen, store)
            options = replace(options, force=False, from_step=from_step, around=around)
        only = frozenset((record, flow) for flow in flows for record in chosen)
        return self._again(only, options, wait=wait, budget=budget)

    def _chosen(self, state: RunState, where: Any) -> Iterable[int]:
        """Return the numbers of the records that ``where`` of `rerun` means."""
        if where is None:
            return range(len(state.keys))
        if callable(where):
            batch, rows = self.reader.rows(state)
            if batch is None:
                raise UsageError(
                    f"The records of run {self.id} were not kept, so where= can only be"
                    " a list of keys."
                )
            return {
                number
                for number, row in zip(rows, batch.rows(), strict=True)
                if row.error is None and where(row.record)
            }
        wanted = set(map(key_text, [where] if isinstance(where, str | int) else where))
        unknown = sorted(wanted.difference(state.keys))
        if unknown:
            some = ", ".join(map(repr, unknown[:5]))
            raise UsageError(f"where=: run {self.id} has no record {some}.")
        return [number for number, key in enumerate(state.keys) if key in wanted]

    def _again(
        self,
        only: frozenset[tuple[int, int]],
        options: RunOptions,
        *,
        wait: bool,
        shown: bool = True,
        budget: float | str | None = None,
    ) -> Self:
        if budget is not None:
            dollars(budget)  # refused also where nothing is left to run
        state = self.reader.state()
        if state.state == "RUNNING":
            raise UsageError(
                f"Run {self.id} is still running; wait() for it or cancel() it first."
            )
        if only:
            self._home.restart(
                self,
                state,
                self.reader.batch(),
                replace(options, only=only),
                wait=wait,
                shown=shown,
                budget=budget,
            )
        return self


def _content(run: Run) -> object:
    """What identifies a run as the input of a step or a cell: what ``results()`` and ``failures()`` say.

    Whether a value was computed or found makes no other run: tomorrow all are found.
    """
    state = run.reader.state()
    records, flows = range(len(state.keys)), range(len(state.flows))
    items = [
        [(_outcome(state.item(n, flow)), state.checkpoint(n, flow)) for n in records]
        for flow in flows
    ]
    batch, _ = run.reader.rows(state)
    failures = [tuple(row) for row in failure_rows(state)]
    decided = sorted(
        # As it was while a record could have one decision in each flow.
        (place, one.label) if len(made) == 1 else (place, one.label, one.field)
        for place, made in run.reader.decided(state, batch).items()
        for one in made
    )
    source = batch.source if batch is not None and not batch.is_stream else None
    return (
        state.event,
        state.flows,
        list(state.keys),
        items,
        failures,
        source,
        *([decided] if decided else []),
    )


def _outcome(state: State) -> str:
    return str(State.COMPLETED if state in DONE else state)


key_by(Run, _content)
