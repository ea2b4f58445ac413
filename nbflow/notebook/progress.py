"""Progress: what a person sees of a headless run: one line a cell, and the tables of its runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.text import Text

from nbflow._core.duration import duration
from nbflow._core.lifecycle import State
from nbflow._core.looks import LOOKS
from nbflow._core.table import brief_of, short
from nbflow._run.render import print_table
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode
    from rich.console import Console, RenderableType

    from nbflow._core.entry import RunState
    from nbflow._core.table import Table

#: The state of a record whose colour and mark a cell's state has.
_LIKE = {
    "ok": State.COMPLETED,
    "cached": State.CACHED,
    "failed": State.FAILED,
    "interrupted": State.INTERRUPTED,
    "not run": State.QUEUED,
}
#: The widest and the narrowest column for what a cell says, and the rest of a line.
_WIDEST, _NARROWEST, _REST = 58, 24, 52
#: Seconds between two lines about a running cell where a line cannot be overwritten.
_PATIENCE = 60.0


class Progress:
    """Writes to a rich console; in a terminal, the line of the running cell is overwritten.

    Args:
        console: where to.
        cells: the number of cells that will run.
    """

    def __init__(self, console: Console, cells: int) -> None:
        self.console = console
        self.cells = cells
        self._width = len(str(cells))
        self._label = max(_NARROWEST, min(_WIDEST, console.width - _REST))
        self._live = (
            console.status("Starting a kernel") if console.is_terminal else None
        )
        self._said = 0.0
        if self._live is not None:
            self._live.start()

    def head(self, *parts: str) -> None:
        """Say what is about to run."""
        title, *more = parts
        self._print((title, "bold"), *((f"  {part}", "bright_black") for part in more))

    def running(
        self, number: int, cell: NotebookNode, seconds: float, runs: Sequence[RunState]
    ) -> None:
        """Say how far a running cell is."""
        parts = [
            f"cell {number} of {self.cells}",
            short(documents.label(cell), self._label),
            duration(seconds),
        ]
        parts += [brief_of(state) for state in runs if state.state == "RUNNING"]
        line = " \u00b7 ".join(parts)
        if self._live is not None:
            self._live.update(Text(short(line, self.console.width - 3)))
        elif seconds - self._said > _PATIENCE:
            self._said = seconds
            self._print((f"    {line}", "bright_black"))

    def ended(self, number: int, cell: NotebookNode, runs: Sequence[RunState]) -> None:
        """Say how a cell ended."""
        self._said = 0.0
        mark = cell.metadata["nbflow"]
        state, took = mark["state"], duration(mark["seconds"])
        self._line(str(number), state, documents.label(cell), took, _counts(runs))
        if "error" in mark:
            indent = " " * (self._width + 6)
            colour = LOOKS[_LIKE[state]].ansi
            self._print((indent + short(mark["error"], 200), colour))

    def skipped(self, first: int, last: int) -> None:
        """Say which cells were not run."""
        said = f"cells {first} to {last} were not run"
        if first == last:
            said = f"cell {first} was not run"
        self._line("", "not run", said, "", "")

    def warn(self, text: str) -> None:
        """Say something that a person should know."""
        self._print((f"! {text}", "yellow"))

    def log(self, line: str) -> None:
        """Show a line of the log."""
        self._print((line, "bright_black"))

    def close(self) -> None:
        """Remove the line of the running cell."""
        if self._live is not None:
            self._live.stop()

    def _line(self, number: str, state: str, label: str, took: str, note: str) -> None:
        look = LOOKS[_LIKE[state]]
        faint = "bright_black" if state == "not run" else ""
        label = short(label, self._label)
        self._print(
            (f"  {look.mark} ", look.ansi),
            (number.rjust(self._width), "bright_black"),
            (f"  {label.ljust(self._label)}", faint),
            (f" {took:>12}", "bright_black"),
            (f"  {note}", ""),
        )

    def _print(self, *parts: tuple[str, str]) -> None:
        text = Text.assemble(*parts)
        text.rstrip()
        self.say(text)

    def table(self, table: Table) -> None:
        """Print the table of a run."""
        with self.console.capture() as written:
            print_table(table, self.console)
        self.say(Text.from_ansi(written.get().rstrip()))

    def say(self, what: RenderableType = "") -> None:
        """Print; once nobody reads any more (``nbflow run ... | head``), the job continues in silence."""
        # rich has closed the output by then, and wants to exit.
        with contextlib.suppress(SystemExit):
            self.console.print(what, soft_wrap=isinstance(what, Text))


def _counts(states: Sequence[RunState]) -> str:
    """Return the runs of a cell in few words."""
    if not states:
        return ""
    said = brief_of(*states)
    if any(state.state == "RUNNING" for state in states):
        said += ", continues in the background"
    return f"{len(states)} runs: {said}" if len(states) > 1 else said
