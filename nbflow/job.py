"""Job: a notebook run headless. Parameters go in; an output notebook, a report and an honest exit code come out.

Whatever ends the command, what it has written is true. Everything that can be wrong is
found before anything runs. The output notebook is written before the first cell, with
every cell ``not run``. A cell that begins is marked ``interrupted`` until it has ended.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbflow._call import job_link
from nbflow._core.lifecycle import State
from nbflow._core.policy import seconds
from nbflow._core.usage import dollars, money
from nbflow._key.secret import Known
from nbflow._key.secret_patterns import is_secret
from nbflow._run import render
from nbflow._session import SESSION
from nbflow._store import location
from nbflow._store.store import MemoryStore
from nbflow.errors import NbflowError, UsageError
from nbflow.notebook import document as documents
from nbflow.notebook import report
from nbflow.notebook.execute import Ending, Stop, execute
from nbflow.notebook.job_lock import job_lock
from nbflow.notebook.parameters import as_json
from nbflow.notebook.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode
    from rich.console import Console

    from nbflow._call.job_link import Told
    from nbflow._core.entry import RunState
    from nbflow._core.usage import Usage
    from nbflow._run.run import Run

    #: What a report says, as JSON.
    Facts: TypeAlias = dict[str, Any]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_RECORDS = 3
EXIT_BUDGET = 4
EXIT_INTERRUPTED = 130
EXIT_DEAD = 138
#: The exit code for each `Ending.how`.
_EXIT = {
    "refused": EXIT_USAGE,
    "ok": EXIT_OK,
    "failed": EXIT_FAILED,
    "interrupted": EXIT_INTERRUPTED,
    "dead": EXIT_DEAD,
}
#: What a cell raises because of a budget, as `Ending.why` begins.
_STOPPED = ("BudgetError", "RunFailedError", "RunCancelledError")
_COLOURS = {
    EXIT_OK: "green",
    EXIT_INTERRUPTED: "yellow",
    EXIT_RECORDS: "yellow",
    EXIT_BUDGET: "yellow",
}
#: The number of runs whose tables are shown at the end.
_TABLES = 5
_MASK = "***"
_CONTINUES = "What is done is saved; the same command continues from there."


#: From which level on the log is shown, by how often ``-v`` is there.
_LEVELS = (None, "INFO", "DEBUG")


@dataclass(frozen=True, slots=True)
class Options:
    """How a notebook is run.

    Attributes:
        parameters: ``name=value`` texts.
        output: where the output notebook goes; ``<name>.out.ipynb`` beside the notebook
            by default.
        store: the store's folder; found upward from the notebook by default.
        timeout: seconds that one cell may take.
        max_failed: the number of records that may be left undone, ``"5"``, or a share
            of them, ``"5%"``.
        force: names of steps that run although their outputs are saved.
        budget: what all calls together may cost, such as ``"$5"``.
        only_failed: continue the runs of the output notebook that is there instead of
            sending again.
        wait: wait for another copy of this job, or refuse.
        verbose: how much of the log is shown: 0 none, 1 from INFO on, 2 all of it.
    """

    parameters: Sequence[str] = ()
    output: Path | None = None
    store: Path | None = None
    timeout: float | None = None
    max_failed: str = "0"
    force: Sequence[str] = ()
    budget: str | None = None
    only_failed: bool = False
    wait: bool = True
    verbose: int = 0


@dataclass(frozen=True, slots=True)
class _Task:
    """A headless run that was checked and may begin.

    Attributes:
        notebook: the path of the notebook.
        document: the notebook, which takes outputs and marks.
        options: how it is run.
        values: of the parameters that were given.
        shown: the same as a person may see them: JSON, secrets masked.
        allowance: the number of records that may be left undone.
        budget: US dollars that all calls together may cost.
        output: where the output notebook goes.
        store: the folder of the store.
    """

    notebook: Path
    document: NotebookNode
    options: Options
    values: dict[str, object]
    shown: dict[str, object]
    allowance: Allowance
    budget: float | None
    output: Path
    store: Path

    @property
    def names(self) -> list[str]:
        """What no two jobs may be at: the same notebook and parameters, or the same file."""
        parameters = sorted(self.shown.items(), key=str)
        return [
            f"output {self.output.resolve()}",
            f"job {self.notebook.resolve()} {parameters!r}",
        ]

    @property
    def secrets(self) -> Known:
        """Parameters that nothing written or printed may hold.

        What `nf.secret` reads never leaves the kernel.
        """
        known = Known()
        for name, value in self.values.items():
            if is_secret(name, value):
                known.add(name, str(value))
        return known


def run(notebook: Path, options: Options, console: Console) -> int:
    """Run a notebook, report to ``console`` and return the exit code.

    Raises:
        UsageError: something is wrong with the notebook, its parameters or an option;
            nothing has run.
        BusyError: another copy is at work, and ``wait`` is off.
        StoreError: the store cannot be used.
    """
    task = _task(notebook, options)

    def say_waiting(who: str) -> None:
        console.print(f"{who[0].upper()}{who[1:]}; waiting for it.")

    waits = say_waiting if options.wait else None
    stop = Stop()
    stop.wake = _give_up  # there is nothing yet that it could tell to end
    with stop.on_signals(), job_lock(task.store, task.names, waits=waits):
        stop.wake = None
        again = _again(task.output, task.shown) if options.only_failed else ()
        with tempfile.TemporaryDirectory(prefix="nbflow-job-") as scratch:
            runs = _Runs(Path(scratch) / "told")
            environment = _environment(task, runs.told, again)
            return _run(task, runs, environment, stop, console)


def _task(notebook: Path, options: Options) -> _Task:
    """Check everything that can be wrong."""
    document = documents.read(notebook)
    values = documents.given(document, list(options.parameters))
    allowance = allowed(options.max_failed)
    budget = None if options.budget is None else dollars(options.budget, "--budget")
    shown = {
        name: _MASK if is_secret(name, value) else as_json(value)
        for name, value in values.items()
    }
    return _Task(
        notebook=notebook,
        document=document,
        options=options,
        values=values,
        shown=shown,
        allowance=allowance,
        budget=budget,
        output=options.output or notebook.with_name(f"{notebook.stem}.out.ipynb"),
        store=store_of(notebook, options.store),
    )


def _give_up() -> None:
    raise KeyboardInterrupt


def _environment(task: _Task, told: Path, again: tuple[str, ...]) -> dict[str, str]:
    """The variables that the kernel gets."""
    asked = job_link.environment(
        told,
        force=tuple(task.options.force),
        again=again,
        budget=task.budget,
        log=_LEVELS[min(task.options.verbose, len(_LEVELS) - 1)],
    )
    # Nobody watches: pictures, which any viewer shows, and no live table.
    return {"NBFLOW_STORE": str(task.store), "NBFLOW_TABLE": "static", **asked}


def _run(
    task: _Task,
    runs: _Runs,
    environment: dict[str, str],
    stop: Stop,
    console: Console,
) -> int:
    """Write the files, execute the cells and say what they came to."""
    facts = _facts(task)  # before parameters change the code
    documents.inject(task.document, task.values)
    documents.begin(task.document)
    cells = len(documents.code_cells(task.document))
    progress = Progress(console, cells)
    job = _Job(task, runs, facts, progress)
    try:
        job.save()
    except OSError as error:
        raise UsageError(
            f"The output notebook cannot be written to {task.output}: "
            f"{error.strerror or error}. Name another place with -o."
        ) from None
    head = [str(task.notebook), "1 cell" if cells == 1 else f"{cells} cells"]
    if task.shown:
        head.append(_spelled(task.shown))
    progress.head(*head, f"store {task.store}")
    ending = Ending("failed", None, "the command itself failed")
    try:
        ending = execute(
            task.document,
            folder=task.notebook.resolve().parent,
            environment=environment,
            watcher=job,
            stop=stop,
            timeout=task.options.timeout,
        )
    except UsageError as error:
        ending = Ending("refused", None, str(error))
    finally:
        progress.close()
        outcome = job.finish(ending)
    _say(job, outcome)
    return outcome.code


def _facts(task: _Task) -> Facts:
    """What a report says before anything has run."""
    return {
        "format": report.FORMAT,
        "nbflow": metadata.version("nbflow"),
        "python": sys.version.partition(" ")[0],
        "started": _now(),
        "ended": None,
        "exit_code": None,
        "outcome": "running",
        **report.facts_of_notebook(task.notebook, task.document),
        "output": str(task.output),
        "parameters": task.shown,
        "store": str(task.store),
        "max_failed": task.options.max_failed,
    }


def describe(notebook: Path, console: Console) -> None:
    """Print the parameters that a notebook takes.

    Raises:
        UsageError: it is not a notebook.
    """
    from rich.text import Text

    document = documents.read(notebook)
    found = documents.declared(document)
    title = "  " + (documents.title(document) or "")
    console.print(
        Text.assemble((str(notebook), "bold"), (title, "bright_black")), soft_wrap=True
    )
    if not found:
        console.print("It takes no parameters: no cell is tagged `parameters`.")
        return
    console.print()
    rows = [
        (
            f"-p {one.name}=",
            one.type,
            "required" if one.default is None else f"default {one.default}",
        )
        for one in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    styles = ("bold", "cyan", "bright_black")
    for one, row in zip(found, rows, strict=True):
        text = Text("  ")
        for cell, width, style in zip(row, widths, styles, strict=True):
            text.append(f"{cell:<{width}}  ", style)
        text.append(one.help)
        text.rstrip()
        console.print(text, soft_wrap=True)


# Options.


def store_of(notebook: Path, named: Path | None) -> Path:
    """The store of a job: the one that is named, else the one found upward from its notebook.

    Raises:
        UsageError: it would be in memory.
    """
    store = named.expanduser() if named else location.find(notebook.resolve().parent)
    if str(store) == MemoryStore.url:
        raise UsageError(
            "A job needs a store on disk, or nothing is left of it: name a folder with "
            "--store (NBFLOW_STORE is memory:)."
        )
    return store.absolute()


class Allowance(NamedTuple):
    """How many records may be left undone: a number of them, or a percentage."""

    number: float
    is_share: bool

    def is_exceeded(self, left: int, records: int) -> bool:
        """Whether more records are left undone than is allowed."""
        most = self.number * records / 100 if self.is_share else self.number
        return left > most


def allowed(text: str) -> Allowance:
    """How many records may be left undone.

    Raises:
        UsageError: the text is neither a number nor a percentage.
    """
    is_share = text.endswith("%")
    try:
        number = float(text.removesuffix("%")) if is_share else int(text)
    except ValueError:
        number = -1
    # NaN fails both comparisons; later on, it would allow everything.
    if not 0 <= number < math.inf:
        raise UsageError(
            f"--max-failed {text}: write a number of records (5) or a share of them "
            "(5%)."
        )
    return Allowance(number, is_share)


def limit(text: str) -> float:
    """Seconds that one cell may take.

    Raises:
        UsageError: the text is not a duration.
    """
    is_number = text.replace(".", "", 1).isdigit()
    found = seconds(float(text) if is_number else text, "--timeout")
    if not found:
        raise UsageError(
            f"--timeout {text} must be greater than 0; omit it for no limit."
        )
    return found


def _again(output: Path, shown: dict[str, object]) -> tuple[str, ...]:
    """The runs to continue: those of the last time, if it was the same job."""
    if not output.exists():
        raise UsageError(
            f"--only-failed continues the runs of {output}, which is not there: run "
            "without it first, or name the output with -o."
        )
    then = report.parameters_of(report.beside(output))
    if then is not None and then != shown:
        raise UsageError(
            f"--only-failed: the runs of {output} were made with other parameters "
            f"({_spelled(then)}); give the same."
        )
    return tuple(told.run for told in report.runs_of(output))


def _spelled(values: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "none"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# The run under way.


class _Runs:
    """The runs of a notebook: its kernel names them, and their ledgers hold them."""

    def __init__(self, told: Path) -> None:
        self.told = told
        self._heard = 0
        #: Those that each cell named, by the cell's number.
        self.of_cell: dict[int, list[Told]] = {}
        self.handles: dict[Told, Run] = {}
        #: Why some cannot be read.
        self.lost: dict[Told, str] = {}

    def listen(self, number: int) -> list[Told]:
        """Attribute newly reported runs to this cell, and return its runs."""
        lines = job_link.read(self.told)
        mine = self.of_cell.setdefault(number, [])
        mine += [told for told in lines[self._heard :] if told not in mine]
        self._heard = len(lines)
        return mine

    def all(self) -> list[Told]:
        """Every run, once."""
        found = [told for runs in self.of_cell.values() for told in runs]
        return list(dict.fromkeys(found))

    def states(self, runs: Sequence[Told]) -> list[RunState]:
        """The states of runs; those that cannot be read are noted as lost."""
        found = []
        for told in runs:
            try:
                if told not in self.handles:
                    self.handles[told] = SESSION.run_at(told)
                found.append(self.handles[told].reader.state())
            except NbflowError as error:
                self.handles.pop(told, None)
                self.lost[told] = str(error)
        return found

    def show(self, number: int, cell: NotebookNode) -> None:
        """Show in a cell the tables that its kernel could not.

        It was killed, or the run ended after the cell.
        """
        for told in self.of_cell.get(number, ()):
            if told in self.handles:
                self._show(told, cell)

    def _show(self, told: Told, cell: NotebookNode) -> None:
        from nbformat.v4 import new_output

        pictures = [
            output.data
            for output in cell.outputs
            if told.run in output.get("data", {}).get("text/plain", "")
        ]
        if not pictures:
            output = new_output("display_data")  # type: ignore[no-untyped-call]  # untyped there
            cell.outputs.append(output)
            pictures = [output.data]
        table = self.handles[told].table()
        for data in pictures:
            if "RUNNING" in data.get("text/plain", "RUNNING"):
                data["text/plain"] = render.to_text(table)
                data["text/html"] = render.to_html(table)

    def used(self, since: float) -> Usage:
        """What all calls used since then, in runs and outside."""
        known = [run.reader.state().used_since(since) for run in self.handles.values()]
        return sum(known, job_link.used(self.told))

    def facts(self) -> list[Facts]:
        """For the report."""
        known = [
            report.facts_of_run(told, run.reader.state())
            for told, run in self.handles.items()
        ]
        lost = [
            {"run": told.run, "store": told.store, "unreadable": why}
            for told, why in self.lost.items()
        ]
        return [*known, *lost]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a run came to.

    Attributes:
        ending: how its cells ended.
        code: the exit code.
        refusal: why a budget let no further call start; empty if none did.
        left: the number of records that are not done.
        records: the number of all records.
        is_cut_short: an iterator was not read to its end.
    """

    ending: Ending
    code: int
    refusal: str
    left: int
    records: int
    is_cut_short: bool

    @property
    def words(self) -> str:
        """What the report calls it."""
        if self.code == EXIT_BUDGET:
            return self.refusal
        return self.ending.why or self.ending.how


class _Job:
    """One headless run under way: watches the cells and writes the files."""

    def __init__(
        self, task: _Task, runs: _Runs, facts: Facts, progress: Progress
    ) -> None:
        self.task = task
        self.document = task.document
        self.runs = runs
        self.facts = facts
        self.secrets = task.secrets
        self.progress = progress
        self._log = job_link.LogReader(runs.told)
        self._cell: tuple[int, NotebookNode] | None = None
        self._begun = self._saved = time.monotonic()
        self._started = time.time()
        #: Seconds that the last `save` took.
        self._cost = 0.0
        #: The number of step cells that came from checkpoints so far.
        self._replayed = 0

    # What happens (`nbflow.notebook.execute.Watcher`).

    def begun(self, number: int, cell: NotebookNode) -> None:
        """A cell begins."""
        self._cell = number, cell
        self._begun = time.monotonic()
        # Unless the last time took so long that cells would wait for it.
        if self._begun - self._saved > 10 * self._cost:
            try:
                self.save()
            except OSError as error:
                self.progress.warn(
                    "The output notebook cannot be written at the moment: "
                    f"{error.strerror or error}."
                )
        self.goes_on()

    def ended(self, number: int, cell: NotebookNode) -> None:
        """A cell ended."""
        self._show_log()
        states = self.runs.states(self.runs.listen(number))
        replayed = job_link.replayed(self.runs.told)
        came = replayed > self._replayed
        self._replayed = replayed
        if states and all(_is_cached(state, cell) for state in states):
            came = True
        if came and documents.state_of(cell) == "ok":
            cell.metadata["nbflow"]["state"] = "cached"
        self.progress.ended(number, self.secrets.masked(cell), states)

    def goes_on(self) -> None:
        """A cell is still running."""
        self._show_log()
        if self._cell is not None:
            number, cell = self._cell
            latest = self.runs.states(self.runs.listen(number)[-1:])
            taken = time.monotonic() - self._begun
            self.progress.running(number, self.secrets.masked(cell), taken, latest)

    def _show_log(self) -> None:
        for line in self._log.lines():
            self.progress.log(self.secrets.mask(line))

    def is_settled(self) -> bool:
        """Whether no run is under way any more."""
        states = self.runs.states(self.runs.all())
        return all(state.state != "RUNNING" for state in states)

    # What is written.

    def save(self) -> None:
        """Write the output notebook and the report."""
        import nbformat

        begun = time.monotonic()
        used = self.used
        cells = [
            report.facts_of_cell(number, cell, self._runs_of(number))
            for number, (_, cell) in enumerate(documents.code_cells(self.document), 1)
        ]
        facts: Facts = self.secrets.masked(
            {
                **self.facts,
                "cells": cells,
                "runs": self.runs.facts(),
                "cost": used.cost,
                "usage": used._asdict(),
            }
        )
        # The notebook's cells have their own marks.
        about = {name: value for name, value in facts.items() if name != "cells"}
        self.document.metadata["nbflow"] = about
        text = nbformat.writes(self.secrets.masked(self.document))  # type: ignore[no-untyped-call]  # untyped there
        report.write(self.task.output, text + "\n")
        report.write(report.beside(self.task.output), report.as_text(facts))
        self._saved = time.monotonic()
        self._cost = self._saved - begun

    def _runs_of(self, number: int) -> list[str]:
        return [told.run for told in self.runs.of_cell.get(number, ())]

    @property
    def used(self) -> Usage:
        """What the calls of this job used so far."""
        return self.runs.used(self._started)

    def finish(self, ending: Ending) -> _Outcome:
        """Write the files for the last time, and return what the run came to."""
        self._show_log()
        if self._cell is not None:
            self.runs.listen(self._cell[0])
        # Read from the beginning, whatever was seen in between.
        self.runs.handles.clear()
        outcome = self._outcome(ending)
        for number, (_, cell) in enumerate(documents.code_cells(self.document), 1):
            self.runs.show(number, cell)
        if outcome.code == EXIT_BUDGET:
            self.facts["stopped"] = outcome.refusal
        spent, budget = self.used.cost or 0.0, self.task.budget
        if budget is not None and spent > budget:
            self.progress.warn(
                f"The budget of {money(budget)} was passed: {money(spent)} are spent."
            )
        self.facts |= {
            "ended": _now(),
            "exit_code": outcome.code,
            "outcome": outcome.words,
            "records": outcome.records,
            "not_done": outcome.left,
        }
        try:
            self.save()
        except OSError as error:
            self.progress.warn(
                f"The output notebook could not be written to {self.task.output}: "
                f"{error.strerror or error}."
            )
            return replace(outcome, code=outcome.code or EXIT_FAILED)
        return outcome

    def _outcome(self, ending: Ending) -> _Outcome:
        states = self.runs.states(self.runs.all())
        left = sum(map(report.undone, states))
        records = sum(len(state.keys) + state.unread for state in states)
        refusal = job_link.refusal(self.runs.told)
        code = _EXIT[ending.how]
        is_left = self.task.allowance.is_exceeded(left, records)
        is_cut_short = any(map(report.is_cut_short, states))
        if code == EXIT_OK and (is_left or is_cut_short):
            code = EXIT_RECORDS
        if refusal and _may_be_budget(code, ending):
            code = EXIT_BUDGET
        return _Outcome(ending, code, refusal, left, records, is_cut_short)


def _may_be_budget(code: int, ending: Ending) -> bool:
    """Whether a run ended as one ends that a budget stopped."""
    if code == EXIT_FAILED:
        return ending.why.startswith(_STOPPED)
    return code in (EXIT_OK, EXIT_RECORDS)


def _is_cached(state: RunState, cell: NotebookNode) -> bool:
    """Whether a run came from checkpoints alone, or nothing of it was left to do."""
    begun = datetime.fromisoformat(cell.metadata["nbflow"]["started"]).timestamp()
    if state.ended < begun:
        return True
    return state.state == "COMPLETED" and state.tally().keys() == {State.CACHED}


# What is said at the end.


def _say(job: _Job, outcome: _Outcome) -> None:
    """Print the cells that were not run, the tables, one sentence, and where the files are."""
    from rich.text import Text

    progress = job.progress
    _say_skipped(job, outcome.ending)
    _say_tables(job)
    for told, why in job.runs.lost.items():
        progress.warn(f"The records of run {told.run} are not counted. {why}")
    for name in _unknown_steps(job):
        progress.warn(
            f"--force {name}: no run called a step of that name, and no step cell has "
            "it."
        )
    sentence = _sentence(outcome, job.task.options.max_failed)
    colour = _COLOURS.get(outcome.code, "red")
    exit_code = (f"exit {outcome.code:<5}", "bright_black")
    progress.say(Text.assemble(exit_code, (sentence, colour)))
    used = job.used
    output = job.task.output
    lines = {
        "used": str(used) if used.requests else "",
        "notebook": str(output),
        "report": str(report.beside(output)),
        "open it": f'nf.open_run("{output}")' if outcome.left else "",
    }
    for name, text in lines.items():
        if text:
            progress.say(Text.assemble((f"{name:<9} ", "bright_black"), text))


def _say_skipped(job: _Job, ending: Ending) -> None:
    cells = documents.code_cells(job.document)
    if ending.cell is None or ending.cell >= len(cells):
        return
    _, last = cells[ending.cell - 1]
    first = ending.cell
    if documents.state_of(last) != "not run":
        first += 1
    job.progress.skipped(first, len(cells))


def _say_tables(job: _Job) -> None:
    """Print the tables of the runs; of many, only some that did not complete."""
    from rich.text import Text

    runs = list(job.runs.handles.values())
    shown = runs
    if len(runs) > _TABLES:
        shown = [run for run in runs if run.state != "COMPLETED"][:_TABLES]
    for run in shown:
        job.progress.say()
        job.progress.table(job.secrets.masked(run.table()))
    job.progress.say()
    others = len(runs) - len(shown)
    if others:
        text = f"The other {others} runs: nbflow runs"
        job.progress.say(Text(text, "bright_black"))


def _unknown_steps(job: _Job) -> list[str]:
    """The names given to ``--force`` that no step has."""
    called = documents.step_cells(job.document)
    for state in job.runs.states(job.runs.all()):
        called.update(*state.steps)
    return sorted(set(job.task.options.force) - called)


def _sentence(outcome: _Outcome, max_failed: str) -> str:
    ending = outcome.ending
    left = f"{outcome.left:,} of {outcome.records:,} records not done"
    if outcome.is_cut_short:
        left += ", and an iterator was not read to its end"
    done = f"Done: {ending.why}" if ending.why else "Done"
    if outcome.left:
        done += f"; {left}, which --max-failed {max_failed} allows"
    where = f" in cell {ending.cell}" if ending.cell else ""
    failed = f"Failed{where}."
    if not where and ending.how != "failed":
        failed = "Failed: the output notebook was not written."
    died = where or " while runs went on in the background"
    return {
        EXIT_OK: f"{done}.",
        EXIT_FAILED: failed,
        EXIT_USAGE: ending.why,
        EXIT_RECORDS: f"Every cell ran; {left}; --max-failed is {max_failed}.",
        EXIT_BUDGET: f"Stopped: {outcome.refusal}; {left}. {_CONTINUES}",
        EXIT_INTERRUPTED: f"Interrupted: {ending.why}. {_CONTINUES}",
        EXIT_DEAD: f"The kernel died{died}. {_CONTINUES}",
    }[outcome.code]
