"""Execute: the cells of a notebook from top to bottom in a kernel of this very Python, which never outlives them.

Not nbclient's own loop: it saves nothing after an error, takes SIGTERM for a dead
kernel and leaves a cell that timed out running. Here one cell at a time is begun,
watched and marked, whatever ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbflow._core.table import duration
from nbflow.errors import UsageError
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Seconds for a cell that was interrupted to end by itself, which is when its runs
#: account for their records.
GRACE = 5.0
#: Seconds between two looks at a cell that goes on.
_TICK = 0.25
_DIED = "The kernel died"
_PARENT_DIED = 1  # PR_SET_PDEATHSIG


class Ending(NamedTuple):
    """How a notebook came out.

    Attributes:
        how: ``ok``, ``failed``, ``interrupted`` or ``dead`` (the kernel).
        cell: the number of the code cell at which it ended, from 1; ``None`` if it came
            to its end.
        why: one line; empty if it came to its end.
    """

    how: str
    cell: int | None = None
    why: str = ""


class Watcher(Protocol):
    """Is told what happens; all methods are called from the thread that executes."""

    def begun(self, number: int, cell: Any) -> None:
        """A cell begins; its mark says ``interrupted`` until it has ended, so that a saved file never lies."""

    def ended(self, number: int, cell: Any) -> None:
        """A cell ended and is marked."""

    def goes_on(self) -> None:
        """A quarter of a second has passed."""

    def is_settled(self) -> bool:
        """Has everything ended that cells left running in the background?"""


class Stop:
    """A request to end, by a signal; asked twice, it does not wait for the cell any more."""

    def __init__(self) -> None:
        self.asked = 0
        self.by = ""
        self.wake: Callable[[], object] | None = None

    def ask(self, by: str) -> None:
        """End now; once is a request, twice a command."""
        self.asked += 1
        self.by = by
        if self.wake is not None:
            self.wake()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within, Ctrl-C, SIGTERM and SIGHUP are requests."""
        names = (
            [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
            if threading.current_thread() is threading.main_thread()
            else []
        )
        before = {
            name: signal.signal(
                name, lambda number, _: self.ask(signal.Signals(number).name)
            )
            for name in names
        }
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def execute(
    document: Any,
    *,
    folder: Path,
    environment: dict[str, str],
    watcher: Watcher,
    stop: Stop,
    timeout: float | None = None,
) -> Ending:
    """Run the cells of ``document``, which takes their outputs and marks.

    Args:
        document: the notebook, as `document.read` gives it.
        folder: the kernel's working directory.
        environment: variables that the kernel gets besides this process's own.
        watcher: is told what happens.
        stop: where a request to end arrives.
        timeout: seconds that one cell may take.

    Raises:
        UsageError: Jupyter is not installed, or no kernel starts.
    """
    try:
        import nbclient  # noqa: F401 - to say so before anything begins
    except ImportError as error:
        raise UsageError(
            f"Running a notebook needs {error.name}; install it with: pip install 'nbflow[lab]'"
        ) from None
    # Sockets of this user's alone instead of TCP ports; in a folder whose name is short
    # enough for them.
    with tempfile.TemporaryDirectory(prefix="nbflow-") as sockets:
        return asyncio.run(
            _Execution(document, folder, environment, watcher, stop, timeout).run(
                f"{sockets}/k"
            )
        )


class _Execution:
    """One kernel, from its start to its end."""

    def __init__(
        self,
        document: Any,
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
        self.is_lost = False

    async def run(self, socket: str) -> Ending:
        from jupyter_client.kernelspec import NoSuchKernel
        from nbclient import NotebookClient

        self.woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.stop.wake = lambda: loop.call_soon_threadsafe(self.woken.set)
        self.client = NotebookClient(
            self.document, timeout=None, kernel_name="python3", store_widget_state=False
        )
        manager: Any = self.client.create_kernel_manager()
        self.manager = manager
        # Whatever kernels the machine has: the one that runs is this Python, with this
        # nbflow.
        try:
            manager.kernel_spec.argv[0] = sys.executable
        except NoSuchKernel:
            raise UsageError(
                "Running a notebook needs ipykernel; install it with: pip install 'nbflow[lab]'"
            ) from None
        manager.transport, manager.ip = "ipc", socket
        try:
            starting = asyncio.ensure_future(self._start())
            if await self._watch(starting, None) is not None:
                starting.cancel()
                self.is_lost = True
                return Ending(
                    "interrupted", None, f"{self.stop.by} before the first cell"
                )
            starting.result()
            return await self._cells()
        finally:
            self.stop.wake = None
            await self._end()

    async def _start(self) -> None:
        environment = {
            **os.environ,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the kernel's debugger warns about frozen modules of Python 3.11
            **self.environment,
        }
        try:
            # What programs print past the kernel is in the cell's output, masked; once
            # more, in this command's, it would not be.
            streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            await self.client.async_start_new_kernel(
                cwd=str(self.folder),
                env=environment,
                preexec_fn=_dies_with_parent(),
                **streams,
            )
            await self.client.async_start_new_kernel_client()
        except RuntimeError as error:
            raise UsageError(
                f"The kernel did not start: {error}. Try `{sys.executable} -m ipykernel_launcher --version`."
            ) from None

    async def _end(self) -> None:
        manager, client = self.manager, self.client.kc
        try:
            if manager.has_kernel:
                # In an interpreter that shuts down, what goes on in the background
                # would fail instead of being cut off.
                await manager.shutdown_kernel(
                    now=self.is_lost or not self.watcher.is_settled()
                )
        finally:
            await manager.cleanup_resources()
            if client is not None:
                client.stop_channels()

    async def _cells(self) -> Ending:
        cells = documents.code_cells(self.document)
        for number, (place, cell) in enumerate(cells, 1):
            if self.stop.asked:
                return Ending(
                    "interrupted", number, f"{self.stop.by} before cell {number}"
                )
            if "skip-execution" in documents.tags(cell):
                continue
            ending = await self._cell(number, place, cell)
            if ending is not None:
                return ending
        return await self._settle()

    async def _cell(self, number: int, place: int, cell: Any) -> Ending | None:
        """Run one cell and mark it; answers the end of the notebook if that is it."""
        started, begun = (
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            time.perf_counter(),
        )
        documents.mark(cell, "interrupted", started=started)
        self.watcher.begun(number, cell)
        running = asyncio.ensure_future(self.client.async_execute_cell(cell, place))
        cut = await self._watch(running, self.timeout)
        if cut is not None:
            await self._interrupt(running)
        ending = await self._outcome(number, cell, running, cut)
        if ending is not None and ending.how == "dead":
            self.is_lost = True
        state = ending.how.replace("dead", "failed") if ending is not None else "ok"
        error = {"error": ending.why} if ending is not None and state != "ok" else {}
        documents.mark(
            cell,
            state,
            started=started,
            seconds=round(time.perf_counter() - begun, 3),
            **error,
        )
        if ending is not None and (ending.how == "dead" or cut == "timeout"):
            _say(cell, ending.why)
        self.watcher.ended(number, cell)
        return ending

    async def _watch(
        self, task: asyncio.Future[Any], timeout: float | None
    ) -> str | None:
        """Wait for a task; answers ``"timeout"`` or ``"stop"`` if that came first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not task.done():
            left = (
                _TICK
                if deadline is None
                else min(_TICK, max(0.0, deadline - time.monotonic()))
            )
            waker = asyncio.ensure_future(self.woken.wait())
            await asyncio.wait(
                {task, waker}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            waker.cancel()
            if task.done():
                break
            if self.stop.asked:
                return "stop"
            if deadline is not None and time.monotonic() >= deadline:
                return "timeout"
            self.watcher.goes_on()
        return None

    async def _interrupt(self, running: asyncio.Future[Any]) -> None:
        """Have the cell raise KeyboardInterrupt, so that its runs account for their records; not for ever."""
        asked, deadline = self.stop.asked, time.monotonic() + GRACE
        await self.manager.interrupt_kernel()
        while (
            not running.done()
            and time.monotonic() < deadline
            and self.stop.asked <= max(asked, 1)
        ):
            await asyncio.wait({running}, timeout=_TICK / 5)
        if not running.done():
            self.is_lost = True
            running.cancel()
            await asyncio.wait({running})

    async def _outcome(
        self, number: int, cell: Any, running: asyncio.Future[Any], cut: str | None
    ) -> Ending | None:
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        late = (
            Ending(
                "failed",
                number,
                f"cell {number} took longer than --timeout {duration(self.timeout or 0)}",
            )
            if cut == "timeout"
            else None
        )
        try:
            running.result()
        except CellExecutionError as error:
            return late or self._raised(number, error.ename, error.evalue)
        except DeadKernelError:
            if not self.is_lost:
                return Ending(
                    "dead", number, f"{_DIED} in cell {number}{await self._death()}"
                )
            ending = late or self._raised(number, "KeyboardInterrupt", "")
            return ending._replace(
                why=f"{ending.why}, and it did not stop when asked: the kernel was killed"
            )
        # A cell that may raise is no failure of nbclient's; interrupted it is all the
        # same.
        was_cut = cut == "stop" and any(
            output.get("ename") == "KeyboardInterrupt" for output in cell.outputs
        )
        return self._raised(number, "KeyboardInterrupt", "") if was_cut else late

    def _raised(self, number: int, name: str, message: str) -> Ending:
        if name == "SystemExit" and message in ("", "0", "None"):
            return Ending(
                "ok", number, f"cell {number} ended the notebook with sys.exit()"
            )
        if name == "KeyboardInterrupt":
            return Ending(
                "interrupted", number, f"{self.stop.by or name} in cell {number}"
            )
        return Ending("failed", number, f"{name}: {message}")

    async def _death(self) -> str:
        """What killed the kernel, as far as its exit status tells."""
        process = getattr(self.manager.provisioner, "process", None)
        code = process.poll() if process is not None else None
        if code is None:
            return ""
        if code >= 0:
            return f": it ended with exit code {code}"
        name = signal.Signals(-code).name
        return f": {name}" + (
            ", which is also what the system sends when memory runs out"
            if name == "SIGKILL"
            else ""
        )

    async def _settle(self) -> Ending:
        """Wait for what cells left running in the background; ends with the kernel, or when asked to."""
        while not self.watcher.is_settled():
            if self.stop.asked:
                return Ending(
                    "interrupted",
                    None,
                    f"{self.stop.by} while runs went on in the background",
                )
            if not await self.manager.is_alive():
                self.is_lost = True
                return Ending(
                    "dead",
                    None,
                    f"{_DIED} while runs went on in the background{await self._death()}",
                )
            self.watcher.goes_on()
            await asyncio.sleep(_TICK)
        return Ending("ok")


def _say(cell: Any, why: str) -> None:
    """Let the cell show what no kernel was left to say."""
    from nbformat.v4 import new_output

    cell.outputs.append(
        new_output("error", ename="nbflow", evalue=why, traceback=[why])
    )


def _dies_with_parent() -> Callable[[], None] | None:
    """What a child runs before it becomes the kernel: on Linux the system kills it when this process dies, however.

    The kernel looks for its parent, too, but only once a second, and not while a cell
    holds the interpreter.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def prepare() -> None:
        prctl(_PARENT_DIED, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
