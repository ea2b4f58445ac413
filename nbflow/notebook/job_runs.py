"""Runs of a job: its kernel reports them, their ledgers hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow._call import job_link
from nbflow._core.looks import RUN_LOOKS
from nbflow._run import render
from nbflow.errors import NbflowError
from nbflow.notebook import report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nbformat import NotebookNode

    from nbflow._call.job_link import Told
    from nbflow._core.entry import RunState
    from nbflow._core.usage import Usage
    from nbflow._run.run import Run


class JobRuns:
    """The runs of a job.

    Args:
        told: the file to which the kernel reports them.
        opened: opens one.
    """

    def __init__(self, told: Path, opened: Callable[[Told], Run]) -> None:
        self.told = told
        self._opened = opened
        self._heard = 0
        #: The runs that each cell reported, by the cell's number.
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
                    self.handles[told] = self._opened(told)
                found.append(self.handles[told].reader.state())
            except NbflowError as error:
                self.handles.pop(told, None)
                self.lost[told] = str(error)
        return found

    def show(self, number: int, cell: NotebookNode) -> None:
        """Show in a cell the tables that its kernel could not show.

        The kernel was killed, or the run ended after the cell.
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
            output = new_output("display_data")
            cell.outputs.append(output)
            pictures = [output.data]
        table = self.handles[told].table()
        running = RUN_LOOKS["RUNNING"].sign
        for data in pictures:
            if running in data.get("text/plain", running):
                data["text/plain"] = render.to_text(table)
                data["text/html"] = render.to_html(table)

    def used(self, since: float) -> Usage:
        """What all calls used since then, in runs and outside."""
        known = [run.reader.state().used_since(since) for run in self.handles.values()]
        return sum(known, job_link.used(self.told))

    def facts(self) -> list[dict[str, Any]]:
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
