"""Execute: runs the cells of a notebook from top to bottom, in a kernel of this very Python.

The kernel never outlives this process. The loop is not nbclient's own, which saves
nothing after an error, takes SIGTERM for a dead kernel and leaves a cell running that
timed out. Here one cell at a time is started, watched and marked, whatever ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbflow._core.duration import duration
from nbflow.errors import UsageError
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbformat import NotebookNode

    #: The start of the kernel, or the execution of a cell.
    Running = asyncio.Future[Any]

#: Seconds for a cell that was interrupted to end by itself, while its runs account for
#: their records.
GRACE = 5.0
#: Seconds between two looks at a running cell.
_TICK = 0.25
_DIED = "The kernel died"
#: PR_SET_PDEATHSIG of prctl(2): the signal for when the parent dies.
_PARENT_DIED = 1


class Ending(NamedTuple):
    """How a notebook came out.

    Attributes:
        how: ``ok``, ``failed``, ``interrupted`` or ``dead`` (the kernel).
        cell: the number of the code cell at which it ended, from 1; ``None`` if no cell
            ended it.
        why: one line; empty if all cells ran.
    """

    how: str
    cell: int | None = None
    why: str = ""


class Watcher(Protocol):
    """Follows the execution; all methods are called from the thread that executes."""

    def begun(self, number: int, cell: NotebookNode) -> None:
        """Note that a cell begins.

        Its mark says ``interrupted`` until it has ended, so that a saved file is right
        whatever happens.
        """

    def ended(self, number: int, cell: NotebookNode) -> None:
        """Note that a cell ended and is marked."""

    def goes_on(self) -> None:
        """Look around: a quarter of a second has passed."""

    def is_settled(self) -> bool:
        """Return whether everything has ended that cells left running in the background."""


class Stop:
    """A request to end, by a signal; asked twice, it no longer waits for the cell.

    Attributes:
        asked: how often it was asked.
        by: the name of the latest signal.
        wake: called when it is asked.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.by = ""
        self.wake: Callable[[], object] | None = None

    def ask(self, by: str) -> None:
        """Ask to end: once is a request, twice a command."""
        self.asked += 1
        self.by = by
        if self.wake is not None:
            self.wake()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take Ctrl-C, SIGTERM and SIGHUP for requests within the block.

        Only the main thread can do that; in another one, the block just runs.
        """

        def ask(number: int, _: object) -> None:
            self.ask(signal.Signals(number).name)

        names: list[signal.Signals] = []
        if threading.current_thread() is threading.main_thread():
            names = [signal.SIGINT, *ending_signals()]
        before = {name: signal.signal(name, ask) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def execute(
    document: NotebookNode,
    *,
    folder: Path,
    environment: dict[str, str],
    watcher: Watcher,
    stop: Stop,
    timeout: float | None = None,
) -> Ending:
    """Run the cells of ``document``, and put their outputs and marks into it.

    Args:
        document: the notebook, as `document.read` gives it.
        folder: the kernel's working directory.
        environment: variables that the kernel gets besides this process's own.
        watcher: follows what happens.
        stop: where a request to end arrives.
        timeout: seconds that one cell may take.

    Raises:
        UsageError: Jupyter is not installed, or no kernel starts.
    """
    try:
        import nbclient  # noqa: F401  # to say so before anything begins
    except ImportError as error:
        raise UsageError(
            f"Running a notebook needs {error.name}; install it with:"
            " pip install 'nbflow[lab]'"
        ) from None
    session = _KernelSession(document, folder, environment, watcher, stop, timeout)
    # Sockets that only this user can open, instead of TCP ports; their path must be
    # short.
    with tempfile.TemporaryDirectory(prefix="nbflow-") as sockets:
        return asyncio.run(session.run(f"{sockets}/k"))


class _KernelSession:
    """One kernel, from its start to its end."""

    def __init__(
        self,
        document: NotebookNode,
        folder: Path,
        environment: dict[str, str],
        watcher: Watcher,
        stop: Stop,
        timeout: float | None,
    ) -> None:
        self.document = document
        self.folder = folder
        self.environment = environment
        self.watcher = watcher
        self.stop = stop
        self.timeout = timeout
        #: Whether the kernel can no longer be asked to shut down.
        self.is_lost = False
        #: The errors in widgets that belong to an earlier cell, by id.
        self._known: set[int] = set()

    async def run(self, socket: str) -> Ending:
        """Start the kernel on a socket, run the cells, and end it."""
        from nbflow.notebook.kernel_client import KernelClient

        self.woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.stop.wake = lambda: loop.call_soon_threadsafe(self.woken.set)
        self.client = KernelClient(self.document)
        # nbclient writes there what Output widgets show, although it is to keep nothing.
        self.client.widget_state = defaultdict(dict)
        self.manager: Any = self.client.create_kernel_manager()
        self.manager.transport = "ipc"
        self.manager.ip = socket
        self._use_this_python()
        try:
            starting = asyncio.ensure_future(self._start())
            if await self._watch(starting, None) is not None:
                starting.cancel()
                self.is_lost = True
                why = f"{self.stop.by} before the first cell"
                return Ending("interrupted", None, why)
            starting.result()
            return await self._cells()
        finally:
            self.stop.wake = None
            await self._end()

    def _use_this_python(self) -> None:
        """Have this very Python run, with this nbflow, whatever kernels the machine has."""
        from jupyter_client.kernelspec import NoSuchKernel

        try:
            self.manager.kernel_spec.argv[0] = sys.executable
        except NoSuchKernel:
            raise UsageError(
                "Running a notebook needs ipykernel; install it with:"
                " pip install 'nbflow[lab]'"
            ) from None

    async def _start(self) -> None:
        # The kernel's debugger would warn about frozen modules of Python 3.11.
        quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        # What programs print past the kernel is in the cell's output, masked. In the
        # output of this command it would not be.
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            await self.client.async_start_new_kernel(
                cwd=str(self.folder),
                env={**os.environ, **quiet, **self.environment},
                preexec_fn=dies_with_parent(),
                **streams,
            )
            await self.client.async_start_new_kernel_client()
        except RuntimeError as error:
            raise UsageError(
                f"The kernel did not start: {error}. Try `{sys.executable} -m"
                " ipykernel_launcher --version`."
            ) from None

    async def _end(self) -> None:
        manager, client = self.manager, self.client.kc
        try:
            if manager.has_kernel:
                # While an interpreter shuts down, what runs in the background fails
                # in odd ways; killed, it is cut off, and continues next time.
                is_busy = self.is_lost or not self.watcher.is_settled()
                await manager.shutdown_kernel(now=is_busy)
        finally:
            await manager.cleanup_resources()
            if client is not None:
                client.stop_channels()

    async def _cells(self) -> Ending:
        cells = documents.code_cells(self.document)
        for number, (place, cell) in enumerate(cells, 1):
            if self.stop.asked:
                why = f"{self.stop.by} before cell {number}"
                return Ending("interrupted", number, why)
            if "skip-execution" in documents.tags(cell):
                continue
            ending = await self._cell(number, place, cell)
            if ending is not None:
                return ending
        return await self._settle()

    async def _cell(self, number: int, place: int, cell: NotebookNode) -> Ending | None:
        """Run one cell and mark it; returns an ending if the notebook ends with it."""
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        begun = time.perf_counter()
        documents.mark(cell, "interrupted", started=started)
        self.watcher.begun(number, cell)
        self.client.errors.clear()
        running = asyncio.ensure_future(self.client.async_execute_cell(cell, place))
        cut = await self._watch(running, self.timeout)
        if cut is not None:
            await self._interrupt(running)
        ending = await self._outcome(number, cell, running, cut)
        seconds = round(time.perf_counter() - begun, 3)
        state = "ok"
        more: dict[str, object] = {"started": started, "seconds": seconds}
        if ending is not None:
            state = "failed" if ending.how == "dead" else ending.how
            if state != "ok":
                more["error"] = ending.why
            if ending.how == "dead":
                self.is_lost = True
            if ending.how == "dead" or cut == "timeout":
                _say(cell, ending.why)
        documents.mark(cell, state, **more)
        self.watcher.ended(number, cell)
        return ending

    async def _watch(self, task: Running, timeout: float | None) -> str | None:
        """Wait for a task; returns ``"timeout"`` or ``"stop"`` if that came first."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not task.done():
            left = max(0.0, deadline - time.monotonic())
            waker = asyncio.ensure_future(self.woken.wait())
            await asyncio.wait(
                {task, waker},
                timeout=min(_TICK, left),
                return_when=asyncio.FIRST_COMPLETED,
            )
            waker.cancel()
            if task.done():
                break
            if self.stop.asked:
                return "stop"
            if time.monotonic() >= deadline:
                return "timeout"
            self.watcher.goes_on()
        return None

    async def _interrupt(self, running: Running) -> None:
        """Interrupt a cell as Ctrl-C does, and give its runs the time to account for their records.

        If that takes too long, or somebody asks again, the kernel is given up.
        """
        asked = max(self.stop.asked, 1)
        deadline = time.monotonic() + GRACE
        await self.manager.interrupt_kernel()
        while not running.done() and self.stop.asked <= asked:
            if time.monotonic() >= deadline:
                break
            await asyncio.wait({running}, timeout=_TICK / 5)
        if not running.done():
            self.is_lost = True
            running.cancel()
            await asyncio.wait({running})

    async def _outcome(
        self, number: int, cell: NotebookNode, running: Running, cut: str | None
    ) -> Ending | None:
        """Return the ending that a cell means for the notebook; ``None`` if the next one follows."""
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        late = None
        if cut == "timeout":
            limit = duration(self.timeout or 0)
            why = f"cell {number} took longer than --timeout {limit}"
            late = Ending("failed", number, why)
        try:
            running.result()
        except CellExecutionError as error:
            return late or self._raised(number, error.ename, error.evalue)
        except DeadKernelError:
            if not self.is_lost:
                why = f"{_DIED} in cell {number}{await self._death()}"
                return Ending("dead", number, why)
            ending = late or self._raised(number, "KeyboardInterrupt", "")
            why = f"{ending.why}, and it did not stop when asked: the kernel was killed"
            return ending._replace(why=why)
        return late or self._shown(number, cell, cut)

    def _shown(self, number: int, cell: NotebookNode, cut: str | None) -> Ending | None:
        """Return the ending that an error means which the kernel shows and does not report.

        That is one of `%run`, below `%%capture`, or in an Output widget, whether the
        cell clears it or not.
        """
        cell.outputs += self._errors_in_widgets()  # nobody sees the widget
        may_raise = "raises-exception" in documents.tags(cell)
        left = _errors_in(cell.outputs)
        cleared = [error for error in self.client.errors if error not in left]
        for error in [*cleared, *left]:
            is_stop = cut == "stop" and error.ename == "KeyboardInterrupt"
            if is_stop or not may_raise:
                cell.outputs += [one for one in cleared if one is error]
                return self._raised(number, error.ename, error.evalue)
        return None

    def _errors_in_widgets(self) -> list[NotebookNode]:
        """Return the errors that Output widgets show, each once."""
        widgets = self.client.comm_objects.values()
        shown = [error for widget in widgets for error in _errors_in(widget.outputs)]
        new = [error for error in shown if id(error) not in self._known]
        self._known.update(map(id, new))
        return new

    def _raised(self, number: int, name: str, message: str) -> Ending:
        """Return the ending that an exception means."""
        if name == "SystemExit" and message in ("", "0", "None"):
            why = f"cell {number} ended the notebook with sys.exit()"
            return Ending("ok", number, why)
        if name == "KeyboardInterrupt":
            why = f"{self.stop.by or name} in cell {number}"
            return Ending("interrupted", number, why)
        return Ending("failed", number, f"{name}: {message}")

    async def _death(self) -> str:
        """Return what killed the kernel, as far as its exit status says."""
        process = getattr(self.manager.provisioner, "process", None)
        code = process.poll() if process is not None else None
        if code is None:
            return ""
        if code >= 0:
            return f": it ended with exit code {code}"
        name = signal.Signals(-code).name
        if name == "SIGKILL":
            name += ", which is also what the system sends when memory runs out"
        return f": {name}"

    async def _settle(self) -> Ending:
        """Wait for what cells left running in the background, as long as the kernel lives and nobody asks to stop."""
        while not self.watcher.is_settled():
            if self.stop.asked:
                why = f"{self.stop.by} while runs went on in the background"
                return Ending("interrupted", None, why)
            if not await self.manager.is_alive():
                self.is_lost = True
                death = await self._death()
                why = f"{_DIED} while runs went on in the background{death}"
                return Ending("dead", None, why)
            self.watcher.goes_on()
            await asyncio.sleep(_TICK)
        return Ending("ok")


def _errors_in(outputs: list[NotebookNode]) -> list[NotebookNode]:
    return [output for output in outputs if output.output_type == "error"]


def _say(cell: NotebookNode, why: str) -> None:
    """Have the cell show what no kernel was left to say."""
    from nbformat.v4 import new_output

    error = new_output("error", ename="nbflow", evalue=why, traceback=[why])
    cell.outputs.append(error)


def ending_signals() -> list[signal.Signals]:
    """What asks a process to end, beside Ctrl-C; Windows has no SIGHUP."""
    found = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    return [one for one in found if one is not None]


def dies_with_parent() -> Callable[[], None] | None:
    """Return what a child process runs before its program, so that it dies with this one.

    On Linux the system kills it then. A kernel looks for its parent, too, but
    only once a second, and not while a cell holds the interpreter.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PARENT_DIED, signal.SIGKILL)
        # The parent may have died before that.
        if os.getppid() != parent:
            os._exit(1)

    return prepare
