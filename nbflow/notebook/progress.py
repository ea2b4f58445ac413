"""Progress: a headless run as a person follows it, one line a cell; and what it came to."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.text import Text

from nbflow._core.entry import DONE
from nbflow._core.lifecycle import State
from nbflow._core.table import duration, short
from nbflow._run.render import LOOKS, print_table
from nbflow.notebook import document as documents
from nbflow.notebook.report import undone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.entry import RunState
    from nbflow._core.table import Table

#: How a cell's state looks: as the state of a record that it is like.
_LIKE = {
    "ok": State.COMPLETED,
    "cached": State.CACHED,
    "failed": State.FAILED,
    "interrupted": State.INTERRUPTED,
    "not run": State.QUEUED,
}
#: Columns for what a cell says: at most, at least, and what else stands in a line.
_WIDEST, _NARROWEST, _REST = 58, 24, 52
#: Seconds between two lines about a cell that goes on, where lines cannot be written
#: over.
_PATIENCE = 60.0


class Progress:
    """Writes to a rich console: where somebody watches, a line that is written over stands below the others."""

    def __init__(self, console: Any, cells: int) -> None:
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
        """What is about to run."""
        self._print(
            (parts[0], "bold"), *((f"  {part}", "bright_black") for part in parts[1:])
        )

    def running(
        self, number: int, cell: Any, seconds: float, runs: Sequence[RunState]
    ) -> None:
        """A cell goes on."""
        about = [_share(state) for state in runs if state.state == "RUNNING"]
        line = " \u00b7 ".join(
            [
                f"cell {number} of {self.cells}",
                short(documents.label(cell), self._label),
                duration(seconds),
                *about,
            ]
        )
        if self._live is not None:
            self._live.update(Text(short(line, self.console.width - 3)))
        elif seconds - self._said > _PATIENCE:
            self._said = seconds
            self._print((f"    {line}", "bright_black"))

    def ended(self, number: int, cell: Any, runs: Sequence[RunState]) -> None:
        """A cell ended."""
        self._said = 0.0
        mark = cell.metadata["nbflow"]
        self._line(
            str(number),
            mark["state"],
            documents.label(cell),
            duration(mark["seconds"]),
            _counts(runs),
        )
        if "error" in mark:
            self._print(
                (
                    " " * (self._width + 6) + short(mark["error"], 200),
                    LOOKS[_LIKE[mark["state"]]][0],
                )
            )

    def skipped(self, first: int, last: int) -> None:
        """Cells that were not run."""
        self._line(
            "",
            "not run",
            f"cell {first} was not run"
            if first == last
            else f"cells {first} to {last} were not run",
            "",
            "",
        )

    def warn(self, text: str) -> None:
        """Something a person should know."""
        self._print((f"! {text}", "yellow"))

    def close(self) -> None:
        """Nothing moves any more."""
        if self._live is not None:
            self._live.stop()

    def _line(self, number: str, state: str, label: str, took: str, note: str) -> None:
        colour, _, mark = LOOKS[_LIKE[state]]
        faint = "bright_black" if state == "not run" else ""
        label = short(label, self._label)
        self._print(
            (f"  {mark} ", colour),
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

    def say(self, what: Any = "") -> None:
        """Print; when nobody listens any more (``nbflow run ... | head``), the job goes on in silence."""
        # rich has closed the output by then, and asks to exit.
        with contextlib.suppress(SystemExit):
            self.console.print(what, soft_wrap=isinstance(what, Text))


def _counts(states: Sequence[RunState]) -> str:
    """The runs of a cell in few words."""
    if not states:
        return ""
    tally = sum((state.tally() for state in states), Counter[State]())
    left = sum(undone(state) for state in states if state.state != "RUNNING")
    parts = [
        f"{tally[state]:,} {word}"
        for state, word in ((State.COMPLETED, "done"), (State.CACHED, "cached"))
        if tally[state]
    ]
    parts += (
        [f"{left:,} {'record' if left == 1 else 'records'} not done"] if left else []
    )
    parts += (
        ["goes on in the background"]
        if any(state.state == "RUNNING" for state in states)
        else []
    )
    return (f"{len(states)} runs: " if len(states) > 1 else "") + (
        ", ".join(parts) or "no records"
    )


def _share(state: RunState) -> str:
    """How far a run is."""
    tally = state.tally()
    whole = (state.total if state.total is not None else len(state.keys)) * len(
        state.flows
    )
    done = sum(number for key, number in tally.items() if key in DONE)
    failed = tally[State.FAILED] + tally[State.TIMED_OUT]
    return f"{done:,} of {whole:,} done" + (f", {failed:,} failed" if failed else "")
