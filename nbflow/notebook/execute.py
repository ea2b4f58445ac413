"""Execute: a notebook run from top to bottom in a real kernel, its outputs saved in every case."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CellFailedError(UsageError):
    """A cell raised, or the kernel died; the message says which cell and why. The output notebook is saved."""


def execute(path: Path, *, timeout: float | None = None, on_cell: Callable[[int, int], None] | None = None) -> None:
    """Run the notebook at ``path`` with this very Python, in its own folder, and save it with its outputs.

    Args:
        path: the notebook; replaced atomically by its executed self, also when a cell fails.
        timeout: seconds that one cell may take.
        on_cell: told the number of each code cell that begins (from 1) and how many there are.

    Raises:
        CellFailedError: a cell raised, or the kernel died.
        UsageError: Jupyter is not installed.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise UsageError(f"Running a notebook needs {error.name}; install it with: pip install 'nbflow[lab]'") from None

    document = nbformat.read(path, as_version=4)
    code = [cell.id for cell in document.cells if cell.cell_type == "code"]
    def begun(cell: Any, **_: Any) -> None:
        if on_cell is not None and cell.id in code:
            on_cell(code.index(cell.id) + 1, len(code))

    client = NotebookClient(
        document,
        timeout=timeout,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=begun,
    )
    client.create_kernel_manager()
    # Whatever kernels the machine has: the one that runs is this Python, with this nbflow.
    manager: Any = client.km
    manager.kernel_spec.argv[0] = sys.executable
    try:
        with _quiet_debugger(), tempfile.TemporaryDirectory(prefix="nbflow-") as sockets:
            # Sockets of this user's alone instead of TCP ports; in a folder whose name is short enough for them.
            manager.transport, manager.ip = "ipc", f"{sockets}/k"
            client.execute()
    except CellExecutionError as error:
        raise CellFailedError(f"A cell of {path} failed with {error.ename}: {error.evalue}\nThe notebook is saved with the traceback in it.") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise CellFailedError(f"{path} was not run to its end: {error}") from None
    finally:
        _save(path, nbformat.writes(document))


@contextmanager
def _quiet_debugger() -> Iterator[None]:
    """Keep the kernel's debugger from warning about frozen modules of Python 3.11 and newer."""
    before = os.environ.get("PYDEVD_DISABLE_FILE_VALIDATION")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYDEVD_DISABLE_FILE_VALIDATION"]


def _save(path: Path, text: str) -> None:
    """Replace a file whole: who reads it sees the old or the new one."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    Path(file.name).chmod(path.stat().st_mode & 0o777)
    Path(file.name).replace(path)
