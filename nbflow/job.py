"""Job: a notebook run headless. Parameters go in; an output notebook, a report and an honest exit code come out.

Whatever ends the command, what it has written is true. It checks everything before
anything runs. The output notebook is written before the first cell, with
every cell ``not run``. A cell that begins is ``interrupted`` until it has ended.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._call import job_link
from nbflow._core.lifecycle import State
from nbflow._core.notice import Finished, NoticeCause
from nbflow._core.table import brief_of, short
from nbflow._core.usage import money
from nbflow._session import SESSION
from nbflow._tell.teller import send_pending
from nbflow._tell.telling import telling
from nbflow.errors import NbflowError, StoreError, UsageError
from nbflow.notebook import document as documents
from nbflow.notebook import job_notice, report
from nbflow.notebook.execute import Ending, Stop, execute
from nbflow.notebook.job_lock import job_lock
from nbflow.notebook.job_runs import JobRuns
from nbflow.notebook.job_task import check
from nbflow.notebook.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode
    from rich.console import Console

    from nbflow._core.entry import RunState
    from nbflow._core.usage import Usage
    from nbflow._tell.teller import Teller
    from nbflow.notebook.job_task import Options, Task
    from nbflow.quality.gates import Verdict

    #: What a report says, as JSON.
    Facts: TypeAlias = dict[str, Any]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_RECORDS = 3
EXIT_BUDGET = 4
EXIT_WAITING = 5
EXIT_GATE = 6
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
    EXIT_WAITING: "yellow",
    EXIT_GATE: "yellow",
}
#: The number of runs whose tables are shown at the end.
_TABLES = 5
_CONTINUES = "What is done is saved; the same command continues from there."


#: The lowest level of the log that is shown, by the number of ``-v``.
_LEVELS = (None, "INFO", "DEBUG")


def run(notebook: Path, options: Options, console: Console) -> int:
    """Run a notebook, report to ``console`` and return the exit code.

    Raises:
        UsageError: something is wrong with the notebook, its parameters or an option;
            nothing has run.
        BusyError: another copy is at work, and ``queue`` is off.
        StoreError: the store cannot be used.
    """
    asked = telling(notebook.resolve().parent, options.wishes)
    who = job_notice.teller(asked, notebook, options.store)
    try:
        return _checked(check(notebook, options, asked), who, console)
    except NbflowError as error:
        for warning in job_notice.tell_refusal(who, notebook, error):
            console.print(f"! {warning}", style="yellow", soft_wrap=True)
        raise


def _checked(task: Task, who: Teller, console: Console) -> int:
    """Run what was checked, when no other copy is at work."""
    options = task.options

    def say_waiting(who: str) -> None:
        console.print(f"{who[0].upper()}{who[1:]}; waiting for it.")

    waits = say_waiting if options.queue else None
    stop = Stop()
    stop.wake = _give_up  # there is no kernel yet to stop
    with stop.on_signals(), job_lock(task.store, task.names, waits=waits):
        stop.wake = None
        again = _again(task.output, task.shown) if options.only_failed else ()
        with tempfile.TemporaryDirectory(prefix="nbflow-job-") as scratch:
            runs = JobRuns(Path(scratch) / "told", SESSION.run_at)
            environment = _environment(task, runs.told, again)
            return _run(task, runs, who, environment, stop, console)


def _give_up() -> None:
    raise KeyboardInterrupt


def _environment(task: Task, told: Path, again: tuple[str, ...]) -> dict[str, str]:
    """The variables that the kernel gets."""
    asked = job_link.environment(
        told,
        force=tuple(task.options.force),
        again=again,
        budget=task.budget,
        patience=task.options.patience,
        log=_LEVELS[min(task.options.verbose, len(_LEVELS) - 1)],
    )
    # Nobody watches: pictures, which any viewer shows, and no live table.
    places = {"NBFLOW_STORE": str(task.store), "NBFLOW_TABLE": "static"}
    return {**places, **task.telling.environment, **asked}


def _run(
    task: Task,
    runs: JobRuns,
    who: Teller,
    environment: dict[str, str],
    stop: Stop,
    console: Console,
) -> int:
    """Write the files, execute the cells and say how they came out."""
    facts = _facts(task)  # before parameters change the code
    documents.inject(task.document, task.values)
    documents.begin(task.document)
    cells = len(documents.code_cells(task.document))
    progress = Progress(console, cells)
    job = _Job(task, runs, who, facts, progress)
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
    for warning in send_pending(task.telling, task.store):
        progress.warn(warning)
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
    stop.wake = _give_up
    try:
        job.tell()
    except KeyboardInterrupt:
        progress.warn("Stopped telling people; the next command on this store does it.")
    stop.wake = None
    return outcome.code


def _facts(task: Task) -> Facts:
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


def _again(output: Path, shown: dict[str, object]) -> tuple[str, ...]:
    """The runs to continue: those of the last time, if it was the same job."""
    if not output.exists():
        raise UsageError(
            f"--only-failed continues the runs of {output}, which does not exist: run "
            "without it first, or name the output with -o."
        )
    then = report.parameters_of(report.beside(output))
    if then is not None and then != shown:
        raise UsageError(
            f"--only-failed: the runs of {output} were made with other parameters "
            f"({_spelled(then)}); give the same ones."
        )
    return tuple(told.run for told in report.runs_of(output))


def _spelled(values: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "none"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# The run under way.


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run came out.

    Attributes:
        ending: how its cells ended.
        code: the exit code.
        refusal: why a budget let no further call start; empty if none did.
        left: the number of records that are not done.
        records: the number of all records.
        brief: how many are done, and what became of the others.
        is_cut_short: an iterator was not read to its end.
        waiting: the number of records that wait in a flow.
        gates: what became of each gate; none if the notebook did not come to its end.
    """

    ending: Ending
    code: int
    refusal: str
    left: int
    records: int
    brief: str
    is_cut_short: bool
    waiting: int
    gates: Sequence[Verdict] = ()

    @property
    def missed(self) -> str:
        """Which gates are not met, in sentences: one goes on the line, several have their own."""
        missed = [gate.said for gate in self.gates if not gate.met]
        return f" {missed[0]}" if len(missed) == 1 else "\n- ".join(["", *missed])

    @property
    def without_content(self) -> _Outcome:
        """The same with gates by their rules: what they found may name labels of the records."""
        gates = [gate._replace(said=f"{gate.gate}.") for gate in self.gates]
        return replace(self, gates=gates)

    @property
    def words(self) -> str:
        """What the report calls it."""
        if self.code == EXIT_BUDGET:
            return self.refusal
        if self.code == EXIT_GATE:
            return self.missed.strip()
        return self.ending.why or self.ending.how


class _Job:
    """One headless run under way: watches the cells and writes the files."""

    def __init__(
        self,
        task: Task,
        runs: JobRuns,
        who: Teller,
        facts: Facts,
        progress: Progress,
    ) -> None:
        self.task = task
        self.document = task.document
        self.runs = runs
        self.who = who
        self.facts = facts
        self.secrets = task.secrets
        self.progress = progress
        self._log = job_link.LogReader(runs.told)
        self._cell: tuple[int, NotebookNode] | None = None
        self._begun = self._saved = time.monotonic()
        self._started = time.time()
        #: Whether the files say that the cell under way has begun.
        self._is_saved = False
        #: Seconds that the last `save` took; the first one imports what it needs, and
        #: does not count.
        self._cost = 0.0
        #: The number of step cells that came from checkpoints so far.
        self._replayed = 0

    # What happens (`nbflow.notebook.execute.Watcher`).

    def begun(self, number: int, cell: NotebookNode) -> None:
        """A cell begins."""
        self._cell = number, cell
        self._begun = time.monotonic()
        self._is_saved = False
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
        # Not if the last save took so long that cells would wait for it.
        if not self._is_saved and time.monotonic() - self._saved > 10 * self._cost:
            self._is_saved = True
            try:
                self.save()
            except OSError as error:
                self.progress.warn(
                    "The output notebook cannot be written at the moment: "
                    f"{error.strerror or error}."
                )
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
        if self._cell is not None:
            self._cost = self._saved - begun

    def _runs_of(self, number: int) -> list[str]:
        return [told.run for told in self.runs.of_cell.get(number, ())]

    @property
    def used(self) -> Usage:
        """What the calls of this job used so far."""
        return self.runs.used(self._started)

    def finish(self, ending: Ending) -> _Outcome:
        """Write the files for the last time, and return how the run came out."""
        self._show_log()
        if self._cell is not None:
            self.runs.listen(self._cell[0])
        # Read from the beginning: what was read on the way may be out of date.
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
            "waiting": outcome.waiting,
            "gates": [verdict._asdict() for verdict in outcome.gates],
        }
        self._post(outcome)  # before anything says that it has ended
        try:
            self.save()
        except OSError as error:
            self.progress.warn(
                f"The output notebook could not be written to {self.task.output}: "
                f"{error.strerror or error}."
            )
            if not outcome.code:
                outcome = replace(outcome, code=EXIT_FAILED)
                self._post(outcome)
        return outcome

    def _post(self, outcome: _Outcome) -> None:
        """Keep the notice of this end, in the place of one that was kept before."""
        self._ended = self.finished(outcome)
        self.who.post(self._ended)

    def finished(self, outcome: _Outcome) -> Finished:
        """The job as people are told of it, secrets masked; in short if there is nobody to tell."""
        if not self.task.telling.addresses:
            return Finished(self.task.notebook.name, outcome.code, "")
        states = self.runs.states(self.runs.all())
        allowed = self.task.options.max_failed
        said = _sentence(outcome.without_content, allowed)
        told, cause, why = (
            _sentence(outcome, allowed),
            _cause(outcome),
            outcome.ending.why,
        )
        if outcome.code == EXIT_FAILED and why:
            told = f"{told.removesuffix('.')}: {why}"
            # What is no exception is in nbflow's own words: the time of a cell is up.
            said = f"Failed: {why}." if cause is None else said
        ended: Finished = self.secrets.masked(
            job_notice.finished(
                self.task.notebook,
                outcome.code,
                said,
                told=told,
                brief=_titled(outcome),
                states=states,
                cell=cause,
                used=self.used,
                seconds=time.time() - self._started,
                opens=f'nf.open_run("{self.task.output.resolve()}")',
                report=str(report.beside(self.task.output.resolve())),
            )
        )
        return ended

    def tell(self) -> None:
        """Send the notice and the heartbeat; what went wrong with them is in the report."""
        facts = self.who.send(self._ended)
        for warning in self.who.warnings:
            self.progress.warn(warning)
        if not facts:
            return
        self.facts |= facts
        try:
            self.save()
        except OSError as error:
            self.progress.warn(
                "The report does not say what became of the notice: "
                f"{error.strerror or error}."
            )

    def _outcome(self, ending: Ending) -> _Outcome:
        states = self.runs.states(self.runs.all())
        left = sum(map(report.undone, states))
        records = sum(state.total_records for state in states)
        refusal = job_link.refusal(self.runs.told)
        code = _EXIT[ending.how]
        is_left = self.task.allowance.is_exceeded(left, records)
        is_cut_short = any(map(report.is_cut_short, states))
        if code == EXIT_OK and (is_left or is_cut_short):
            code = EXIT_RECORDS
        if refusal and _may_be_budget(code, ending):
            code = EXIT_BUDGET
        waiting = sum(map(report.waiting, states))
        if code == EXIT_OK and waiting:
            code = EXIT_WAITING
        gates = self._judged(code)
        if code in (EXIT_OK, EXIT_WAITING) and not all(gate.met for gate in gates):
            code = EXIT_GATE
        return _Outcome(
            ending,
            code,
            refusal,
            left,
            records,
            brief_of(*states),
            is_cut_short,
            waiting,
            gates,
        )

    def _judged(self, code: int) -> Sequence[Verdict]:
        """What becomes of the gates; nothing if the notebook did not come to its end."""
        if not self.task.gates:
            return ()
        from nbflow.quality import gates

        runs, verdicts = list(self.runs.handles.values()), []
        try:
            if code not in (EXIT_OK, EXIT_RECORDS, EXIT_WAITING):
                gates.put_off(runs)
                return ()
            verdicts = gates.judge(self.task.gates, runs, SESSION.run_at)
            gates.remember(verdicts, runs, UNDONE if code else "")
        except StoreError as error:
            self.progress.warn(f"That a gate is not met is not remembered: {error}")
        mask = self.secrets.mask
        return [verdict._replace(said=mask(verdict.said)) for verdict in verdicts]


def _titled(outcome: _Outcome) -> str:
    """What the subject of a notice says, where it is more than the exit code means."""
    if outcome.code == EXIT_FAILED and outcome.ending.cell:
        return f"failed in cell {outcome.ending.cell}"
    return outcome.brief if outcome.code == EXIT_RECORDS else ""


def _cause(outcome: _Outcome) -> NoticeCause | None:
    """The error that a cell failed of; of one that took too long, the sentence says it."""
    ending = outcome.ending
    name = ending.why.partition(":")[0]
    if outcome.code != EXIT_FAILED or not name.isidentifier():
        return None
    where = f"cell {ending.cell}" if ending.cell else ""
    return NoticeCause(1, name, where, short(ending.why.partition(": ")[2], 200))


#: Why a run whose job left records undone is no baseline of later gates.
UNDONE = "More records are left undone than --max-failed allows."


def _may_be_budget(code: int, ending: Ending) -> bool:
    """Whether a budget may have stopped a run that ended like this."""
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
    _say_gates(job, outcome)
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


def _say_gates(job: _Job, outcome: _Outcome) -> None:
    """Print the gates that the exit line does not have."""
    from rich.text import Text

    if job.task.gates and not outcome.gates:
        job.progress.warn("No gate was judged: the notebook did not come to its end.")
    for gate in outcome.gates:
        if gate.met or outcome.code != EXIT_GATE:
            colour = "" if gate.met else "yellow"
            job.progress.say(
                Text.assemble(("gate      ", "bright_black"), (gate.said, colour))
            )


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
    left = outcome.brief
    if outcome.is_cut_short:
        left += ", and an iterator was not read to its end"
    done = f"Done: {ending.why}" if ending.why else "Done"
    if outcome.left:
        done += f"; {left}, within the {max_failed} allowed"
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
        EXIT_WAITING: f"Every cell ran; {left}. The same command continues with those whose wait is over.",
        EXIT_GATE: f"Every cell ran; not met:{outcome.missed}",
        EXIT_INTERRUPTED: f"Interrupted: {ending.why}. {_CONTINUES}",
        EXIT_DEAD: f"The kernel died{died}. {_CONTINUES}",
    }[outcome.code]
