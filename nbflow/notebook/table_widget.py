"""Widget: the live table in a notebook: one anywidget a table, and the one thread that speaks for all of them."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbflow._call import failure
from nbflow.notebook.history_table import HistoryTable
from nbflow.notebook.live_table import BEAT
from nbflow.notebook.page_files import PAGE, script, style
from nbflow.notebook.page_looks import PAGE_LOOKS
from nbflow.notebook.run_table import RunTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._run.chronicle import Chronicle
    from nbflow._run.run import Run
    from nbflow.notebook.live_table import Message, Send, Talk

#: Seconds between two rounds while some run goes on.
_ROUND = 0.05


class Publisher:
    """One thread for the tables of a process: what pages ask is answered in turn, what changed is told.

    One, because messages of several threads overtake each other; and not the one that a
    cell runs on, which is busy.
    """

    def __init__(self) -> None:
        self._tables: dict[Talk[Any], None] = {}
        self._asked: SimpleQueue[tuple[Talk[Any], Message] | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._alive = False

    def add(self, table: Talk[Any]) -> None:
        """Speak for ``table`` from now on."""
        with self._mutex:
            self._tables[table] = None
            if not self._alive:
                self._alive = True
                threading.Thread(
                    target=self._speak, name="nbflow-tables", daemon=True
                ).start()
        self.wake()

    def drop(self, table: Talk[Any]) -> None:
        """Speak for it no longer."""
        with self._mutex:
            self._tables.pop(table, None)
        self.wake()

    def ask(self, table: Talk[Any], message: Message) -> None:
        """A page said something to ``table``."""
        self._asked.put((table, message))

    def wake(self) -> None:
        """Something began: have a look."""
        self._asked.put(None)

    def _speak(self) -> None:
        while True:
            with self._mutex:
                tables = list(self._tables)
                if not tables:
                    self._alive = False
                    return
            for table, message in self._questions(
                BEAT if all(table.is_quiet for table in tables) else _ROUND
            ):
                try:
                    table.take(message)
                except Exception as error:
                    table.say(
                        f"The page asked for what cannot be: {failure.describe(error)}"
                    )
            for table in tables:
                self._tick(table)

    def _questions(self, patience: float) -> list[tuple[Talk[Any], Message]]:
        found = []
        with suppress(Empty):
            found.append(self._asked.get(timeout=patience))
            while True:
                found.append(self._asked.get_nowait())
        return [question for question in found if question is not None]

    def _tick(self, table: Talk[Any]) -> None:
        """What goes wrong with one table is said in it, and the others go on."""
        try:
            table.tick(time.monotonic())
        except Exception as error:
            with suppress(Exception):  # the widget may be what is broken
                table.say(f"This table stands still: {failure.describe(error)}")
            with self._mutex:
                self._tables.pop(table, None)


PUBLISHER = Publisher()


class TableWidget(anywidget.AnyWidget):
    """A live table, of a run or of all of them.

    It has two names and the words for states as its own state: nothing of a record is
    saved in a notebook.

    Args:
        name: what it shows.
        table: makes the kernel's side of it, of what sends a message to the page and
            what wakes the publisher.
    """

    _esm = script(PAGE / "table.js")
    _css = style(PAGE / "table.css")
    #: What the static picture beside it is known by.
    name = traitlets.Unicode().tag(sync=True)
    #: What it shows: ``run`` or ``history``.
    kind = traitlets.Unicode("run").tag(sync=True)
    #: The states that there are, and how they are shown.
    looks = traitlets.Dict(PAGE_LOOKS).tag(sync=True)

    def __init__(
        self,
        name: str,
        table: Callable[[Send, Callable[[], None]], Talk[Any]],
        kind: str = "run",
    ) -> None:
        super().__init__(name=f"{name}-{secrets.token_hex(3)}", kind=kind)
        self.table = table(self.send, self.wake)
        self.on_msg(self._heard)
        _let_clicks_through(self.comm)
        PUBLISHER.add(self.table)

    def _heard(self, _widget: Any, message: Any, _buffers: Any) -> None:
        # On whatever thread the kernel likes, perhaps in the middle of a cell.
        if isinstance(message, dict):
            PUBLISHER.ask(self.table, message)

    def wake(self) -> None:
        """The run goes on: do not wait for the next round."""
        PUBLISHER.wake()

    def close(self) -> None:
        """Take it from every page; the static picture comes back."""
        PUBLISHER.drop(self.table)
        super().close()


def of_run(run: Run) -> TableWidget:
    """The live table of one run."""
    return TableWidget(run.id, lambda send, wake: RunTable(run, send, wake))


def of_history(
    chronicle: Chronicle, *, read_only: bool = False, opens: bool = False
) -> TableWidget:
    """The live table of all runs; with ``opens`` the latest of them is open."""
    return TableWidget(
        "runs",
        lambda send, wake: HistoryTable(
            chronicle, send, wake, read_only=read_only, opens=opens
        ),
        "history",
    )


def _let_clicks_through(comm: Any) -> None:
    """Let messages of the page reach the kernel while a cell runs, where the kernel has subshells.

    ipykernel 7.1 to 7.3 do. 7.4.0 hands them to the shell that spoke last, which is the
    one that the cell holds up: there the answer is to be the one that the page asked
    for. Elsewhere there is nothing to be done.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - no public way, see above
