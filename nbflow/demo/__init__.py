"""The demo: a notebook, two hundred support threads and a stand-in for an LLM, run as a job would run them."""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

FILES = ("support_threads.ipynb", "threads.csv", "offline_model.py")


def write(folder: Path) -> list[str]:
    """Copy the demo's files into ``folder``; existing files are kept.

    Returns:
        The names of the files that were copied.

    Raises:
        UsageError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [name for name in FILES if not (folder / name).exists()]
        for name in missing:
            (folder / name).write_bytes((resources.files(__name__) / name).read_bytes())
    except OSError as error:
        raise UsageError(
            f"The demo cannot be written to {folder}: {error.strerror or error}. Name "
            "another folder: nbflow demo FOLDER"
        ) from None
    return missing


def run(folder: Path, console: Console) -> int:
    """Write the demo and run its notebook as a job.

    The exit code is 0 although records fail. They are meant to: the table says which
    and why, and the next ``nbflow demo`` tries only those.
    """
    from nbflow import job
    from nbflow.notebook.job_task import Options

    copied = write(folder)
    notebook = folder / FILES[0]
    if copied:
        console.print(f"Wrote {', '.join(copied)} to {folder}/")
    # The demo has a store of its own, whatever store lies further up, so that trying it
    # out leaves nothing elsewhere.
    store = None if "NBFLOW_STORE" in os.environ else folder / ".nbflow"
    options = Options(output=notebook, store=store, max_failed="100%")
    code = job.run(notebook, options, console)
    if code == 0:
        console.print(f"database  {folder / 'support.db'}")
        console.print("\nRun the same command again: only what failed is executed.")
        console.print(f"Look at it: jupyter lab {folder / FILES[0]}")
    return code
