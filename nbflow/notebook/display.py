"""Live: the table of a run while it goes on, under the cell or in the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from nbflow._core.entry import FINAL
from nbflow._core.table import duration, short, table_of
from nbflow._run import render
from nbflow._run.html_parts import static_beside
from nbflow.notebook.magics import shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._core.entry import RunState
    from nbflow._run.chronicle import Chronicle
    from nbflow._run.history import History
    from nbflow._run.run import Run

#: Seconds between two static pictures beside a live table, which only a saved notebook
#: shows.
_PICTURE = 30.0
#: Live tables of runs that have ended stay alive in so many cells; in older ones the
#: static picture is left.
_MOST = 20
#: Seconds between two lines in a log.
_LOG = 10.0


class View(Protocol):
    """Shows a run; given its state now and again, and once at the end."""

    #: Does it show rows of records, which somebody has to keep?
    has_rows: bool

    def begin(self, state: RunState) -> None:
        """The run begins, or goes on, in this cell."""

    def show(self, state: RunState) -> None:
        """The run as it stands."""

    def end(self, state: RunState) -> None:
        """The run as it came out."""


class Shown:
    """A live table under its cells, and beside it a static picture for whoever has no kernel.

    Two outputs, because a front end that knows widgets shows nothing else of an output
    that has one in it, also when the kernel is gone. The live table hides the picture
    while it is there.

    Args:
        name: what is shown: one thing is one table, in however many cells.
        make: makes the widget; `None` where there is none.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self.widget: Any = None
        self._make = make
        #: The cells that show it, each with the execution that did.
        self._cells: dict[str, int] = {}
        self._execution: tuple[str, int] | None = None

    def enter(self, text: str) -> Any:
        """Show the live table under this cell; what displays the picture beside it, unless this very execution has both already."""
        from IPython.display import DisplayHandle, display

        here = _execution()
        if here == self._execution:
            return None
        self._execution = here
        _make_room(here, self)
        if self.widget is None:
            self.widget = self._make()
        if self.widget is not None:
            shown = self.widget._repr_mimebundle_()
            data, metadata = shown if isinstance(shown, tuple) else (shown, {})
            display({**data, "text/plain": text}, metadata=metadata, raw=True)
        self._cells[here[0]] = here[1]
        return DisplayHandle()

    def bundle(self, picture: str, text: str) -> dict[str, str]:
        """The static picture, as the live table knows it by."""
        if self.widget is not None:
            picture = static_beside(self.widget.name, picture)
        return {"text/html": picture, "text/plain": text}

    def leave(self, cell: str, execution: int) -> bool:
        """``execution`` replaces what ``cell`` showed before it; answers whether this is still shown somewhere."""
        if self._cells.get(cell, execution) != execution:
            del self._cells[cell]
        return bool(self._cells)

    def close(self) -> None:
        """Leave the static pictures alone."""
        if self.widget is not None:
            self.widget.close()


class CellView(Shown):
    """A run under its cells."""

    has_rows = True

    def __init__(self, run: Run) -> None:
        super().__init__(run.id, lambda: _widget(lambda widgets: widgets.of_run(run)))
        #: The static pictures that are still drawn. One of a run that had ended when it
        #: went on in another cell is what that cell said, and stays.
        self._pictures: list[Any] = []
        self._settled = False
        self._drawn = time.monotonic()

    def begin(self, state: RunState) -> None:
        """Show the run under this cell, unless this very execution of the cell shows it already."""
        picture = self.enter(f"nbflow run {state.run}: {state.event}")
        if picture is None:
            return
        # Known before it is shown: the kernel's Stop may come in between.
        self._pictures = [picture] if self._settled else [*self._pictures, picture]
        self._settled = state.state != "RUNNING"
        picture.display(self._static(state), raw=True)
        if self.widget is not None:
            self.widget.wake()

    def show(self, state: RunState) -> None:
        """Draw the static pictures anew, if nothing else shows the run, or once in a while."""
        now = time.monotonic()
        if self.widget is None or now - self._drawn > _PICTURE:
            self._drawn = now
            self.end(state)

    def end(self, state: RunState) -> None:
        """Draw the static pictures of the run as it stands."""
        self._settled = state.state != "RUNNING"
        for picture in self._pictures:
            picture.update(self._static(state), raw=True)

    def _static(self, state: RunState) -> dict[str, str]:
        table = table_of(state)
        return self.bundle(render.to_html(table), render.to_text(table))


def show_history(history: History, chronicle: Chronicle) -> None:
    """Show all runs under this cell, live; the picture beside them is of the frame, and stays as that is."""
    name = f"runs of {chronicle.runs.engine.store.url}"
    shown = _SHOWN.get(name) or Shown(
        name, lambda: _widget(lambda widgets: widgets.of_history(chronicle))
    )
    picture = shown.enter(f"nbflow runs: {len(history):,}")
    if picture is not None:
        picture.display(
            shown.bundle(render.runs_to_html(history), render.runs_to_text(history)),
            raw=True,
        )


#: What cells of this kernel show, by its name, the latest last.
_SHOWN: OrderedDict[str, Any] = OrderedDict()


def _make_room(here: tuple[str, int], view: Shown) -> None:
    """A cell that is run again replaces what it showed, and so many tables are enough: no widget is left behind."""
    for name, other in list(_SHOWN.items()):
        if other is not view and not other.leave(*here):
            _SHOWN.pop(name).close()
    _SHOWN[view.name] = view
    _SHOWN.move_to_end(view.name)
    while len(_SHOWN) > _MOST:
        _SHOWN.popitem(last=False)[1].close()


def _execution() -> tuple[str, int]:
    """The cell that runs, by the front end's id or else by its number, and the number of its execution."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    cell = shell.kernel.get_parent("shell").get("metadata", {}).get("cellId")
    return str(cell or f"#{shell.execution_count}"), shell.execution_count


def _widget(make: Callable[[Any], Any]) -> Any:
    """The live table; ``None`` without anywidget, or where NBFLOW_TABLE=static asks for pictures alone."""
    if os.environ.get("NBFLOW_TABLE") == "static":
        return None
    try:
        from nbflow.notebook import table_widget
    except ImportError:
        return None
    return make(table_widget)


class TerminalView:
    """The run as it goes on, then its table; a line now and again where nobody watches, as in a job's log."""

    has_rows = False

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._live: Any = None
        self._logged = time.monotonic()

    def begin(self, state: RunState) -> None:
        """Nothing to see yet."""

    def show(self, state: RunState) -> None:
        """Draw anew; what is printed meanwhile stands above."""
        if self._console.is_terminal:
            if self._live is None:
                from rich.live import Live

                self._live = Live(
                    console=self._console, auto_refresh=False, transient=True
                )
                self._live.start()
            self._live.update(
                render.progress(
                    table_of(state, failures=0), *_progress(state), _seconds(state)
                ),
                refresh=True,
            )
        elif time.monotonic() - self._logged >= _LOG:
            self._logged = time.monotonic()
            sys.stderr.write(
                f"{time.strftime('%H:%M:%S')} {state.event}: {short(table_of(state, failures=0).sentence, 300)} {duration(_seconds(state))}.\n"
            )
            sys.stderr.flush()

    def end(self, state: RunState) -> None:
        """Write the table."""
        if self._live is not None:
            self._live.stop()
        render.print_table(table_of(state), self._console)


def _progress(state: RunState) -> tuple[int, int]:
    """Rows that ended, and all of them; 0 while nobody knows how many there will be."""
    ended = sum(number for key, number in state.tally().items() if key in FINAL)
    return ended, max(state.total, len(state.keys)) * len(
        state.flows
    ) if state.total is not None else 0


def _seconds(state: RunState) -> float:
    """How long a run that goes on has been worked on."""
    return time.time() - state.started - state.idle


def in_kernel() -> bool:
    """Does this process run cells of a notebook?"""
    return getattr(shell(), "kernel", None) is not None


def view(run: Run) -> View:
    """The view of ``run`` that fits where the code runs; in a kernel the one that there is already."""
    if not in_kernel():
        return TerminalView()
    return _SHOWN.get(run.id) or CellView(run)
