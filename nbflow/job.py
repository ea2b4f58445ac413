"""Job: a notebook run headless. Parameters go in; an output notebook, a report and an honest exit code come out.

The order of things, so that whatever ends the command, what it has written is true:
everything that can be wrong is found before anything runs; the output notebook is
written before the first cell, with every cell ``not run``; a cell that begins is marked
``interrupted`` until it has ended.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._call import job_link
from nbflow._core.lifecycle import State
from nbflow._core.policy import seconds
from nbflow._core.usage import Usage, dollars
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

    from nbflow._core.entry import RunState
    from nbflow._core.usage import Usage
    from nbflow._run.run import Run

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_RECORDS = 0, 1, 2, 3
EXIT_BUDGET, EXIT_INTERRUPTED, EXIT_DEAD = 4, 130, 138
_EXIT = {
    "refused": EXIT_USAGE,
    "ok": EXIT_OK,
    "failed": EXIT_FAILED,
    "interrupted": EXIT_INTERRUPTED,
    "dead": EXIT_DEAD,
}
_TABLES = 5
_MASK = "***"
#: What a cell raises because of a budget, as `Ending.why` begins.
_STOPPED = ("BudgetError", "RunFailedError", "RunCancelledError")


@dataclass(frozen=True, slots=True)
class Options:
    """How a notebook is run.

    Attributes:
        parameters: ``name=value`` texts.
        output: where the output notebook goes; ``<name>.out.ipynb`` beside the notebook
            by default.
        store: the store's folder; found upward from the notebook by default.
        timeout: seconds that one cell may take.
        max_failed: so many records may be left undone, ``"5"``, or a share of them,
            ``"5%"``.
        force: names of steps that run although their outputs are saved.
        budget: what all calls together may cost, such as ``"$5"``.
        only_failed: go on with the runs of the output notebook that is there instead of
            sending anew.
        wait: wait for another copy of this job, or refuse.
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


def run(notebook: Path, options: Options, console: Any) -> int:
    """Run a notebook, report to ``console``; answers the exit code.

    Raises:
        UsageError: something is wrong with the notebook, its parameters or an option;
            nothing has run.
        BusyError: another copy is at work, and ``wait`` is off.
        StoreError: the store cannot be used.
    """
    document = documents.read(notebook)
    values = documents.given(document, list(options.parameters))
    most = allowed(options.max_failed)
    budget = None if options.budget is None else dollars(options.budget, "--budget")
    output = options.output or notebook.with_name(f"{notebook.stem}.out.ipynb")
    store = store_of(notebook, options.store)
    shown = {
        name: _MASK if is_secret(name, value) else as_json(value)
        for name, value in values.items()
    }
    # The same notebook with the same parameters is the same job; so is whatever writes
    # the same file.
    names = [
        f"output {output.resolve()}",
        f"job {notebook.resolve()} {sorted(shown.items(), key=str)!r}",
    ]
    stop = Stop()
    stop.wake = _give_up  # there is nothing yet that it could tell to end
    with (
        stop.on_signals(),
        job_lock(
            store,
            names,
            waits=(
                lambda who: console.print(f"{who[0].upper()}{who[1:]}; waiting for it.")
            )
            if options.wait
            else None,
        ),
    ):
        stop.wake = None
        again = _again(output, shown) if options.only_failed else ()
        with tempfile.TemporaryDirectory(prefix="nbflow-job-") as scratch:
            runs = _Runs(Path(scratch) / "told")
            # Nobody watches: pictures, which any viewer shows, and no live table.
            environment = {
                "NBFLOW_STORE": str(store),
                "NBFLOW_TABLE": "static",
                **job_link.environment(
                    runs.told, force=tuple(options.force), again=again, budget=budget
                ),
            }
            facts = _facts(notebook, document) | {
                "output": str(output),
                "parameters": shown,
                "store": str(store),
                "max_failed": options.max_failed,
            }
            documents.inject(document, values)
            documents.begin(document)
            cells = len(documents.code_cells(document))
            progress = Progress(console, cells)
            secrets = Known()
            for name in shown:
                if is_secret(name, values[name]):
                    secrets.add(name, str(values[name]))
            job = _Job(document, output, runs, facts, secrets, progress)
            try:
                job.save()
            except OSError as error:
                raise UsageError(
                    f"The output notebook cannot be written to {output}: {error.strerror or error}. Name another place with -o."
                ) from None
            progress.head(
                str(notebook),
                f"{cells} cell{'s' * (cells != 1)}",
                *([_spelled(shown)] if shown else []),
                f"store {store}",
            )
            ending = Ending("failed", None, "the command itself failed")
            try:
                ending = execute(
                    document,
                    folder=notebook.resolve().parent,
                    environment=environment,
                    watcher=job,
                    stop=stop,
                    timeout=options.timeout,
                )
            except UsageError as error:
                ending = Ending("refused", None, str(error))
            finally:
                progress.close()
                code = job.finish(ending, most)
            _say(job, ending, code, options.force)
            return code


def _give_up() -> None:
    raise KeyboardInterrupt


def _facts(notebook: Path, document: Any) -> dict[str, Any]:
    about = {
        "format": report.FORMAT,
        "nbflow": metadata.version("nbflow"),
        "python": sys.version.partition(" ")[0],
    }
    return {
        **about,
        "started": _now(),
        "ended": None,
        "exit_code": None,
        "outcome": "running",
        **report.facts_of_notebook(notebook, document),
    }


def describe(notebook: Path, console: Any) -> None:
    """Print what parameters a notebook takes.

    Raises:
        UsageError: it is no notebook.
    """
    from rich.text import Text

    document = documents.read(notebook)
    found = documents.declared(document)
    console.print(
        Text.assemble(
            (str(notebook), "bold"),
            ("  " + (documents.title(document) or ""), "bright_black"),
        ),
        soft_wrap=True,
    )
    if not found:
        console.print("It takes no parameters: no cell is tagged `parameters`.")
        return
    console.print()
    columns = [
        [f"-p {one.name}=" for one in found],
        [one.type for one in found],
        [
            "required" if one.default is None else f"default {one.default}"
            for one in found
        ],
    ]
    widths = [max(map(len, column)) for column in columns]
    for one, *cells in zip(found, *columns, strict=True):
        parts = [
            (f"{cell:<{width}}  ", style)
            for cell, width, style in zip(
                cells, widths, ("bold", "cyan", "bright_black"), strict=True
            )
        ]
        text = Text.assemble("  ", *parts, one.help)
        text.rstrip()
        console.print(text, soft_wrap=True)


def store_of(notebook: Path, named: Path | None) -> Path:
    """The store of a job: the one that is named, else the one found upward from its notebook.

    Raises:
        UsageError: it would be in memory.
    """
    store = (
        named.expanduser()
        if named is not None
        else location.find(notebook.resolve().parent)
    )
    if str(store) == MemoryStore.url:
        raise UsageError(
            "A job needs a store on disk, or nothing is left of it: name a folder with --store (NBFLOW_STORE is memory:)."
        )
    return store.absolute()


def allowed(text: str) -> tuple[float, bool]:
    """How much may be left undone, and whether that is a share.

    Raises:
        UsageError: the text says neither.
    """
    try:
        number = float(text.removesuffix("%")) if text.endswith("%") else int(text)
    except ValueError:
        number = -1
    if (
        not 0 <= number < math.inf
    ):  # nan is neither more nor less: it would allow everything
        raise UsageError(
            f"--max-failed {text}: write a number of records (5) or a share of them (5%)."
        )
    return number, text.endswith("%")


def limit(text: str) -> float:
    """Seconds that one cell may take.

    Raises:
        UsageError: the text is no duration.
    """
    found = seconds(
        float(text) if text.replace(".", "", 1).isdigit() else text, "--timeout"
    )
    if not found:
        raise UsageError(
            f"--timeout {text}: no cell can end in no time; leave it away for no limit."
        )
    return found


def is_too_many(left: int, records: int, allowed: tuple[float, bool]) -> bool:
    """Are more records left undone than is allowed?"""
    most, is_share = allowed
    return left > (most * records / 100 if is_share else most)


def _again(output: Path, shown: dict[str, Any]) -> tuple[str, ...]:
    """The runs to go on with: those of the last time, if it was the same job."""
    if not output.exists():
        raise UsageError(
            f"--only-failed goes on with the runs of {output}, which is not there: run without it first, or name the output with -o."
        )
    then = report.parameters_of(report.beside(output))
    if then is not None and then != shown:
        raise UsageError(
            f"--only-failed: the runs of {output} were made with other parameters ({_spelled(then)}); give the same."
        )
    return tuple(told.run for told in report.runs_of(output))


def _spelled(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "none"


class _Runs:
    """The runs of a notebook: told by its kernel, read from the ledgers they are in."""

    def __init__(self, told: Path) -> None:
        self.told = told
        self._heard = 0
        #: Those that each cell told of, by the cell's number.
        self.of_cell: dict[int, list[job_link.Told]] = {}
        self.handles: dict[job_link.Told, Run] = {}
        #: Why some cannot be read.
        self.lost: dict[job_link.Told, str] = {}

    def listen(self, number: int) -> list[job_link.Told]:
        """What is told now is the doing of this cell; answers its runs."""
        lines = job_link.read(self.told)
        mine = self.of_cell.setdefault(number, [])
        mine += [told for told in lines[self._heard :] if told not in mine]
        self._heard = len(lines)
        return mine

    def all(self) -> list[job_link.Told]:
        """Every run, once."""
        return list(
            dict.fromkeys(told for runs in self.of_cell.values() for told in runs)
        )

    def states(self, runs: Sequence[job_link.Told]) -> list[RunState]:
        """How runs stand; those that cannot be read are noted as lost."""
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

    def show(self, number: int, cell: Any) -> None:
        """Show in a cell the tables that its kernel could not: it was killed, or the run ended behind the cell."""
        from nbformat.v4 import new_output

        for told in self.of_cell.get(number, ()):
            if told not in self.handles:
                continue
            pictures = [
                output.data
                for output in cell.outputs
                if told.run in output.get("data", {}).get("text/plain", "")
            ]
            if not pictures:
                cell.outputs.append(new_output("display_data"))  # type: ignore[no-untyped-call]
                pictures = [cell.outputs[-1].data]
            table = self.handles[told].table()
            for data in pictures:
                if "RUNNING" in data.get("text/plain", "RUNNING"):
                    data.update(
                        {
                            "text/plain": render.to_text(table),
                            "text/html": render.to_html(table),
                        }
                    )

    def used(self, since: float) -> Usage:
        """What all calls used since then, in runs and outside."""
        known = [run.reader.state().used_since(since) for run in self.handles.values()]
        return sum(known, job_link.used(self.told))

    def refusal(self) -> str:
        """Why a budget let no further call start; nothing if none did."""
        return job_link.refusal(self.told)

    def facts(self) -> list[dict[str, Any]]:
        """For the report."""
        known = [
            report.facts_of_run(told, run.reader.state())
            for told, run in self.handles.items()
        ]
        return known + [
            {"run": told.run, "store": told.store, "unreadable": why}
            for told, why in self.lost.items()
        ]


class _Job:
    """One headless run under way: watches the cells and writes the files."""

    def __init__(
        self,
        document: Any,
        output: Path,
        runs: _Runs,
        facts: dict[str, Any],
        secrets: Known,
        progress: Progress,
    ) -> None:
        self.document = document
        self.output = output
        self.runs = runs
        self.facts = facts
        #: Parameters that nothing that is written or printed may hold; what `nf.secret`
        #: reads never leaves the kernel.
        self.secrets = secrets
        self.progress = progress
        self._cell: tuple[int, Any] | None = None
        self._begun = self._saved = time.monotonic()
        self._started = time.time()
        self._cost = 0.0
        self._replayed = 0

    # What happens (`nbflow.notebook.execute.Watcher`).

    def begun(self, number: int, cell: Any) -> None:
        """A cell begins."""
        self._cell, self._begun = (number, cell), time.monotonic()
        # Unless the last time took so long that cells would wait for it.
        if time.monotonic() - self._saved > 10 * self._cost:
            try:
                self.save()
            except OSError as error:
                self.progress.warn(
                    f"The output notebook cannot be written at the moment: {error.strerror or error}."
                )
        self.goes_on()

    def ended(self, number: int, cell: Any) -> None:
        """A cell ended."""
        states = self.runs.states(self.runs.listen(number))
        replayed, self._replayed = self._replayed, job_link.replayed(self.runs.told)
        came = replayed < self._replayed or (
            states and all(_is_cached(state, cell) for state in states)
        )
        if documents.state_of(cell) == "ok" and came:
            cell.metadata["nbflow"]["state"] = "cached"
        self.progress.ended(number, self.secrets.masked(cell), states)

    def goes_on(self) -> None:
        """A cell goes on."""
        if self._cell is not None:
            number, cell = self._cell
            latest = self.runs.states(self.runs.listen(number)[-1:])
            self.progress.running(
                number,
                self.secrets.masked(cell),
                time.monotonic() - self._begun,
                latest,
            )

    def is_settled(self) -> bool:
        """Is no run under way any more?"""
        return all(
            state.state != "RUNNING" for state in self.runs.states(self.runs.all())
        )

    # What is written.

    def save(self) -> None:
        """Write the output notebook and the report."""
        import nbformat

        begun, used = time.monotonic(), self.used
        of_cell = self.runs.of_cell
        cells = enumerate(documents.code_cells(self.document), 1)
        told = {
            number: [run.run for run in of_cell.get(number, ())]
            for number in range(1, len(self.document.cells) + 1)
        }
        facts = self.secrets.masked(
            self.facts
            | {
                "cells": [
                    report.facts_of_cell(number, cell, told[number])
                    for number, (_, cell) in cells
                ],
                "runs": self.runs.facts(),
                "cost": used.cost,
                "usage": used._asdict(),
            }
        )
        self.document.metadata["nbflow"] = {
            name: value for name, value in facts.items() if name != "cells"
        }
        text = nbformat.writes(self.secrets.masked(self.document))  # type: ignore[no-untyped-call]  # untyped there
        report.write(self.output, text + "\n")
        report.write(report.beside(self.output), report.as_text(facts))
        self._saved = time.monotonic()
        self._cost = self._saved - begun

    @property
    def used(self) -> Usage:
        """What the calls of this job used so far."""
        return self.runs.used(self._started)

    def finish(self, ending: Ending, allowed: tuple[float, bool]) -> int:
        """Write the files for the last time; answers the exit code."""
        if self._cell is not None:
            self.runs.listen(self._cell[0])
        self.runs.handles.clear()  # read from the beginning, whatever was seen in between
        states = self.runs.states(self.runs.all())
        for number, (_, cell) in enumerate(documents.code_cells(self.document), 1):
            self.runs.show(number, cell)
        left, records = (
            sum(map(report.undone, states)),
            sum(len(state.keys) + state.unread for state in states),
        )
        code = _EXIT[ending.how]
        if code == EXIT_OK and is_too_many(left, records, allowed):
            code = EXIT_RECORDS
        refusal = self.runs.refusal()
        if refusal and (
            code in (EXIT_OK, EXIT_RECORDS)
            or (code == EXIT_FAILED and ending.why.startswith(_STOPPED))
        ):
            code = EXIT_BUDGET
            self.facts["stopped"] = refusal
        self.facts |= {
            "ended": _now(),
            "exit_code": code,
            "outcome": refusal if code == EXIT_BUDGET else ending.why or ending.how,
            "records": records,
            "not_done": left,
        }
        try:
            self.save()
        except OSError as error:
            self.progress.warn(
                f"The output notebook could not be written to {self.output}: {error.strerror or error}."
            )
            return code or EXIT_FAILED
        return code


def _is_cached(state: RunState, cell: Any) -> bool:
    """Did a run come from checkpoints alone, or was there nothing left of it to do?"""
    tally = state.tally()
    begun = datetime.fromisoformat(cell.metadata["nbflow"]["started"]).timestamp()
    return (
        state.state == "COMPLETED" and bool(tally) and (+tally).keys() <= {State.CACHED}
    ) or state.ended < begun


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _say(job: _Job, ending: Ending, code: int, force: Sequence[str]) -> None:
    """What it came to: the cells that were not run, the tables, one sentence, where the files are."""
    from rich.text import Text

    progress, cells = job.progress, documents.code_cells(job.document)
    if ending.cell is not None and ending.cell < len(cells):
        progress.skipped(
            ending.cell + (documents.state_of(cells[ending.cell - 1][1]) != "not run"),
            len(cells),
        )
    runs = list(job.runs.handles.values())
    shown = [run for run in runs if len(runs) <= _TABLES or run.state != "COMPLETED"][
        :_TABLES
    ]
    for run in shown:
        progress.say()
        progress.table(job.secrets.masked(run.table()))
    progress.say()
    if len(runs) > len(shown):
        progress.say(
            Text(
                f"The other {len(runs) - len(shown)} runs: nbflow runs", "bright_black"
            )
        )
    for told, why in job.runs.lost.items():
        progress.warn(f"The records of run {told.run} are not counted. {why}")
    called = {
        step
        for state in job.runs.states(job.runs.all())
        for steps in state.steps
        for step in steps
    }
    for name in sorted(set(force) - called - documents.step_cells(job.document)):
        progress.warn(
            f"--force {name}: no run called a step of that name, and no step cell has it."
        )
    colour = {
        EXIT_OK: "green",
        EXIT_INTERRUPTED: "yellow",
        EXIT_RECORDS: "yellow",
        EXIT_BUDGET: "yellow",
    }.get(code, "red")
    progress.say(
        Text.assemble(
            (f"exit {code:<5}", "bright_black"),
            (_sentence(job.facts, ending, code), colour),
        )
    )
    if (used := job.used).requests:
        progress.say(Text.assemble(("used      ", "bright_black"), str(used)))
    files = {"notebook": str(job.output), "report": str(report.beside(job.output))} | (
        {"open it": f'nf.open_run("{job.output}")'} if job.facts["not_done"] else {}
    )
    for name, where in files.items():
        progress.say(Text.assemble((f"{name:<9} ", "bright_black"), where))


def _sentence(facts: dict[str, Any], ending: Ending, code: int) -> str:
    left = f"{facts['not_done']:,} of {facts['records']:,} records not done"
    on = "What is done is saved; the same command goes on from there."
    where = f" in cell {ending.cell}" if ending.cell else ""
    return {
        EXIT_OK: f"Done{f': {ending.why}' if ending.why else ''}"
        + (
            f"; {left}, which --max-failed {facts['max_failed']} allows."
            if facts["not_done"]
            else "."
        ),
        EXIT_BUDGET: f"Stopped: {facts['outcome']}; {left}. {on}",
        EXIT_RECORDS: f"Every cell ran; {left}; --max-failed is {facts['max_failed']}.",
        EXIT_FAILED: f"Failed{where}."
        if where or ending.how == "failed"
        else "Failed: the output notebook was not written.",
        EXIT_USAGE: ending.why,
        EXIT_INTERRUPTED: f"Interrupted: {ending.why}. {on}",
        EXIT_DEAD: f"The kernel died{where or ' while runs went on in the background'}. {on}",
    }[code]
