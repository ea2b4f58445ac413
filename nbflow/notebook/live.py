"""Live: the table of a run while it goes on, under the cell or in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from nbflow._core.table import table_of
from nbflow._run import render
from nbflow.notebook.magics import shell

if TYPE_CHECKING:
    from nbflow._core.entry import RunState


class View(Protocol):
    """Shows a run; given its state now and again, and once at the end."""

    def show(self, state: RunState) -> None:
        """The run as it stands."""

    def end(self, state: RunState) -> None:
        """The run as it came out."""


class CellView:
    """One output under the cell, replaced as the run goes on: HTML, and text for viewers without it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, state: RunState) -> None:
        """Draw, or draw anew."""
        from IPython.display import display

        table = table_of(state)
        data = {"text/html": render.to_html(table), "text/plain": render.to_text(table)}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    end = show


class TerminalView:
    """One line that is written over while the run goes on, then the table; only the table where nobody watches."""

    def __init__(self) -> None:
        self._drawn = 0

    def show(self, state: RunState) -> None:
        """Write the line."""
        if sys.stderr.isatty():
            line = render.short(f"{state.event}: {table_of(state, failures=0).sentence}", 100)
            sys.stderr.write("\r" + line.ljust(self._drawn))
            sys.stderr.flush()
            self._drawn = len(line)

    def end(self, state: RunState) -> None:
        """Write the table."""
        from rich.console import Console

        if self._drawn:
            sys.stderr.write("\r" + " " * self._drawn + "\r")
        console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        render.print_table(table_of(state), console)


def in_kernel() -> bool:
    """Does this process run cells of a notebook?"""
    return getattr(shell(), "kernel", None) is not None


def view() -> View:
    """The view that fits where the code runs."""
    return CellView() if in_kernel() else TerminalView()
