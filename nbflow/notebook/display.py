"""Display: shows the table of a run while it runs, under the cell or in the terminal."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbflow._call.screen import SCREEN
from nbflow._core.duration import duration
from nbflow._core.entry import FINAL, RunState
from nbflow._core.table import short, table_of
from nbflow._run import render
from nbflow._run.html_parts import static_beside
from nbflow.notebook.magics import shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from IPython.display import DisplayHandle
    from rich.live import Live

    from nbflow._run.chronicle import Chronicle
    from nbflow._run.history import History
    from nbflow._run.run import Run
    from nbflow._run.watch import Watcher
    from nbflow.notebook.table_widget import TableWidget

#: Seconds between two static pictures beside a live table; only a saved notebook shows
#: them.
_PICTURE = 30.0
#: The number of live tables that a kernel keeps; older ones leave their static picture.
_MOST = 20
#: Seconds between two lines in a log.
_LOG = 10.0


class TableInCells:
    """A live table under its cells, and beside it a static picture for readers without a kernel.

    These are two outputs. In one, a front end that knows widgets would show the widget
    alone, even when its kernel is gone. The live table hides the picture while it is
    there.

    Args:
        name: what is shown: one thing is one table, in any number of cells.
        make: makes the widget; returns `None` where there is none.
    """

    def __init__(self, name: str, make: Callable[[], TableWidget | None]) -> None:
        self.name = name
        self.widget: TableWidget | None = None
        self._make = make
        #: The cells that show it, each with the execution that did.
        self._cells: dict[str, int] = {}
        self._execution: tuple[str, int] | None = None

    def enter(self, text: str) -> DisplayHandle | None:
        """Show the live table under this cell; returns what displays the picture beside it.

        ``None`` if this very execution of the cell shows both already.
        """
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
            display({**(data or {}), "text/plain": text}, metadata=metadata, raw=True)
        cell, execution = here
        self._cells[cell] = execution
        return DisplayHandle()

    def bundle(self, picture: str, text: str) -> dict[str, str]:
        """Return the static picture with the name by which the live table finds it."""
        if self.widget is not None:
            picture = static_beside(self.widget.name, picture)
        return {"text/html": picture, "text/plain": text}

    def leave(self, cell: str, execution: int) -> bool:
        """Note that an execution replaces what a cell showed; returns whether this is still shown anywhere."""
        if self._cells.get(cell, execution) != execution:
            del self._cells[cell]
        return bool(self._cells)

    def close(self) -> None:
        """Leave the static pictures alone."""
        if self.widget is not None:
            self.widget.close()


class CellView(TableInCells):
    """A run under its cells."""

    has_rows = True

    def __init__(self, run: Run) -> None:
        super().__init__(run.id, lambda: _widget(lambda widgets: widgets.of_run(run)))
        self._table = run.reader.table
        #: The static pictures that are still updated. If the run had ended and continues
        #: in another cell, the picture in the first one stays as that cell showed it.
        self._pictures: list[DisplayHandle] = []
        self._settled = False
        self._drawn = time.monotonic()

    def begin(self, state: RunState) -> None:
        """Show the run under this cell, unless this very execution of the cell shows it already."""
        picture = self.enter(f"nbflow run {state.run}: {state.event}")
        if picture is None:
            return
        # Before it is shown: the kernel's Stop may come in between.
        self._pictures = [picture] if self._settled else [*self._pictures, picture]
        self._settled = state.state != "RUNNING"
        picture.display(self._static(state), raw=True)
        if self.widget is not None:
            self.widget.wake()

    def show(self, state: RunState) -> None:
        """Redraw the static pictures: each time if nothing else shows the run, else now and again."""
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
        table = self._table(state)
        if state.state == "RUNNING":
            table = replace(table, sentence=_so_far(state, table.sentence))
        return self.bundle(render.to_html(table), render.to_text(table))


def _so_far(state: RunState, sentence: str) -> str:
    """What a picture says of a run under way: it may be the last one, if the tab is closed."""
    began = f"{datetime.fromtimestamp(state.started):%Y-%m-%d %H:%M}"  # noqa: DTZ006  # the reader's own clock
    later = f'nf.open_run("{state.run}") shows how it came out.'
    if FINAL.isdisjoint(+state.tally()):
        return f"Began {began}. {later}"
    return f"Began {began}. At {datetime.now():%H:%M}: {sentence} {later}"  # noqa: DTZ005  # as above


def show_history(history: History, chronicle: Chronicle) -> None:
    """Show all runs under this cell, live; the picture beside them is of the frame and does not change."""
    store = chronicle.runs.engine.store.url
    name = f"runs of {store}"
    shown = _SHOWN.get(name) or TableInCells(
        name, lambda: _widget(lambda widgets: widgets.of_history(chronicle))
    )
    picture = shown.enter(f"nbflow runs: {len(history):,}")
    if picture is not None:
        picture.display(
            shown.bundle(
                render.runs_to_html(history, store), render.runs_to_text(history, store)
            ),
            raw=True,
        )


#: The tables that cells of this kernel show, by name, the latest last.
_SHOWN: OrderedDict[str, TableInCells] = OrderedDict()


def _make_room(here: tuple[str, int], view: TableInCells) -> None:
    """Close the widgets that a cell run again replaces, and the oldest if there are too many."""
    for name, other in list(_SHOWN.items()):
        if other is not view and not other.leave(*here):
            _SHOWN.pop(name).close()
    _SHOWN[view.name] = view
    _SHOWN.move_to_end(view.name)
    while len(_SHOWN) > _MOST:
        _SHOWN.popitem(last=False)[1].close()


def _execution() -> tuple[str, int]:
    """Return the cell that runs, and the number of its execution.

    The cell is known by the front end's id; where there is none, by the execution.
    """
    from IPython import get_ipython

    shell: Any = get_ipython()
    cell = shell.kernel.get_parent("shell").get("metadata", {}).get("cellId")
    return str(cell or f"#{shell.execution_count}"), shell.execution_count


def _widget(make: Callable[[ModuleType], TableWidget]) -> TableWidget | None:
    """Make a live table of the module `table_widget`, if there is one."""
    widgets = _widgets()
    return None if widgets is None else make(widgets)


def _widgets() -> ModuleType | None:
    """Return the module `table_widget`.

    ``None`` without anywidget, or where NBFLOW_TABLE=static asks for pictures alone.
    """
    if os.environ.get("NBFLOW_TABLE") == "static":
        return None
    try:
        from nbflow.notebook import table_widget
    except ImportError:
        return None
    return table_widget


class TerminalView:
    """Shows the progress of a run, then its table; in a log, a line now and again."""

    has_rows = False

    def __init__(self, run: Run) -> None:
        from rich.console import Console

        self._table = run.reader.table
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._live: Live | None = None
        self._logged = time.monotonic()

    def begin(self, state: RunState) -> None:
        """Nothing to see yet."""

    def show(self, state: RunState) -> None:
        """Redraw; what the code prints meanwhile stands above."""
        if self._console.is_terminal:
            self._redraw(state)
        elif time.monotonic() - self._logged >= _LOG:
            self._logged = time.monotonic()
            _log(state)

    def _redraw(self, state: RunState) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
            SCREEN.look()  # it has put streams of its own in their place
        table = table_of(state, failures=0)
        shown = render.progress(table, *_progress(state), _seconds(state))
        self._live.update(shown, refresh=True)

    def end(self, state: RunState) -> None:
        """Write the table."""
        if self._live is not None:
            self._live.stop()
        render.print_table(self._table(state), self._console)


def _log(state: RunState) -> None:
    """Write one line about a run in progress."""
    sentence = short(table_of(state, failures=0).sentence, 300)
    now, taken = time.strftime("%H:%M:%S"), duration(_seconds(state))
    sys.stderr.write(f"{now} {state.event}: {sentence} {taken}.\n")
    sys.stderr.flush()


def _progress(state: RunState) -> tuple[int, int]:
    """Return the number of rows that ended, and of all rows; 0 while that is not known."""
    ended = sum(number for key, number in state.tally().items() if key in FINAL)
    if state.total is None:
        return ended, 0
    return ended, max(state.total, len(state.keys)) * len(state.flows)


def _seconds(state: RunState) -> float:
    """Return the seconds that a run in progress has been worked on."""
    return time.time() - state.started - state.idle


@functools.cache
def _load() -> None:
    """Load what draws, before a run begins: its time is not the time of imports."""
    render.to_text(table_of(RunState()))
    if in_kernel():
        _widgets()


def in_kernel() -> bool:
    """Return whether this process runs cells of a notebook."""
    return getattr(shell(), "kernel", None) is not None


def view(run: Run) -> Watcher:
    """Return the view of ``run`` that fits where the code runs; in a kernel the one that it has already."""
    _load()
    if not in_kernel():
        return TerminalView(run)
    known = _SHOWN.get(run.id)
    return known if isinstance(known, CellView) else CellView(run)
