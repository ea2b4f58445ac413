"""Widget: the live table in a notebook: one anywidget a table, and the one thread that speaks for all of them."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, cast

import anywidget
import traitlets

from nbflow._call import failure
from nbflow.notebook.history_table import HistoryTable
from nbflow.notebook.live_table import BEAT
from nbflow.notebook.page_files import PAGE, script, style
from nbflow.notebook.page_looks import PAGE_LOOKS, colours
from nbflow.notebook.run_table import RunTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._run.chronicle import Chronicle
    from nbflow._run.run import Run
    from nbflow.notebook.live_table import Message, Send

#: Seconds between two rounds while a run is under way.
_ROUND = 0.05


class Table(Protocol):
    """The kernel's side of a live table, as the publisher needs it."""

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to come, and every view knows."""

    def take(self, message: Message) -> None:
        """Take in what a page said."""

    def tick(self, now: float) -> None:
        """Tell the views what is new."""

    def say(self, text: str) -> None:
        """Tell every view what went wrong."""

    def look_soon(self) -> None:
        """Look at what is shown without waiting: something began."""


class _RepliesFromSubshells(Protocol):
    """A comm of a kernel that has subshells."""

    _reply_subshell_for: Callable[[object, object], object]


class Publisher:
    """The one thread that speaks for the tables of a process.

    It answers the pages in turn, and tells them what has changed. It is one
    thread, because messages of several threads overtake each other, and not the one
    that a cell runs on, which is busy.
    """

    def __init__(self) -> None:
        self._tables: dict[Table, None] = {}
        self._asked: SimpleQueue[tuple[Table, Message] | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._alive = False

    def add(self, table: Table) -> None:
        """Speak for ``table`` from now on."""
        with self._mutex:
            self._tables[table] = None
            if not self._alive:
                self._alive = True
                threading.Thread(
                    target=self._speak, name="nbflow-tables", daemon=True
                ).start()
        self.wake()

    def drop(self, table: Table) -> None:
        """Speak for it no longer."""
        with self._mutex:
            self._tables.pop(table, None)
        self.wake()

    def ask(self, table: Table, message: Message) -> None:
        """Pass on what a page said to ``table``."""
        self._asked.put((table, message))

    def wake(self) -> None:
        """Have a look: something began."""
        self._asked.put(None)

    def _speak(self) -> None:
        while True:
            with self._mutex:
                tables = list(self._tables)
                if not tables:
                    self._alive = False
                    return
            is_quiet = all(table.is_quiet for table in tables)
            for table, message in self._questions(BEAT if is_quiet else _ROUND):
                self._take(table, message)
            for table in tables:
                self._tick(table)

    def _questions(self, patience: float) -> list[tuple[Table, Message]]:
        found = []
        with suppress(Empty):
            found.append(self._asked.get(timeout=patience))
            while True:
                found.append(self._asked.get_nowait())
        return [question for question in found if question is not None]

    @staticmethod
    def _take(table: Table, message: Message) -> None:
        try:
            table.take(message)
        except Exception as error:
            why = failure.describe(error)
            table.say(f"The page asked for something impossible: {why}")

    def _tick(self, table: Table) -> None:
        """Let a table tell what is new. It shows what goes wrong, and the others continue."""
        try:
            table.tick(time.monotonic())
        except Exception as error:
            with suppress(Exception):  # the widget may be what is broken
                table.say(f"This table has stopped: {failure.describe(error)}")
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
    _css = colours() + style(PAGE / "table.css")
    #: What the static picture beside it is known by.
    name = traitlets.Unicode().tag(sync=True)
    #: What it shows: ``run`` or ``history``.
    kind = traitlets.Unicode("run").tag(sync=True)
    #: The states that there are, and how they are shown.
    looks = traitlets.Dict(PAGE_LOOKS).tag(sync=True)

    def __init__(
        self,
        name: str,
        table: Callable[[Send, Callable[[], None]], Table],
        kind: str = "run",
    ) -> None:
        super().__init__(name=f"{name}-{secrets.token_hex(3)}", kind=kind)
        self.table = table(self.send, PUBLISHER.wake)
        self.on_msg(self._heard)
        let_clicks_through(self.comm)
        PUBLISHER.add(self.table)

    def _heard(self, _widget: object, message: object, _buffers: object) -> None:
        # On whatever thread the kernel chooses, perhaps in the middle of a cell.
        if isinstance(message, dict):
            PUBLISHER.ask(self.table, message)

    def wake(self) -> None:
        """Do not wait for the next round: the run has news."""
        self.table.look_soon()

    def close(self) -> None:
        """Take it from every page; the static picture comes back."""
        PUBLISHER.drop(self.table)
        super().close()


def of_run(run: Run) -> TableWidget:
    """The live table of one run."""
    return TableWidget(run.id, lambda send, wake: RunTable(run, send, wake))


def of_history(chronicle: Chronicle) -> TableWidget:
    """The live table of all runs."""
    return TableWidget(
        "runs", lambda send, wake: HistoryTable(chronicle, send, wake), "history"
    )


def let_clicks_through(comm: object) -> None:
    """Let messages of a page reach the kernel while a cell runs, if the kernel has subshells.

    In ipykernel 7.1 to 7.3 they do. Version 7.4.0 hands them to the shell that spoke
    last, which is the one that the cell holds up: there the reply has to go to the
    subshell that the page asked for. For other kernels nothing can be done.
    """
    if hasattr(comm, "_reply_subshell_for"):
        replies = cast("_RepliesFromSubshells", comm)
        replies._reply_subshell_for = _as_asked  # noqa: SLF001  # there is no public way, see above


def _as_asked(_data: object, default: object) -> object:
    return default
