"""The demo: a notebook, two hundred support threads and a stand-in for an LLM, run as a job would run them."""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("support_threads.ipynb", "threads.csv", "offline_model.py")


def write(folder: Path) -> list[str]:
    """Copy the demo's files into ``folder``; those that are there stay as they are. Answers which were copied.

    Raises:
        UsageError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [name for name in FILES if not (folder / name).exists()]
        for name in missing:
            (folder / name).write_bytes((resources.files(__name__) / name).read_bytes())
    except OSError as error:
        raise UsageError(f"The demo cannot be written to {folder}: {error.strerror or error}. Name another folder: nbflow demo FOLDER") from None
    return missing


def run(folder: Path, console: Any) -> int:
    """Write the demo, run its notebook and print the table of its run; the exit code is 0 although records fail.

    They are meant to: the table says which and why, and the next ``nbflow demo`` tries only those.
    """
    from nbflow import _wiring
    from nbflow.notebook.execute import execute

    copied = write(folder)
    notebook = folder / FILES[0]
    if copied:
        console.print(f"Wrote {', '.join(copied)} to {folder}/")
    if "NBFLOW_STORE" not in os.environ:
        # A store of the demo's own, whatever store lies further up: trying it out leaves nothing elsewhere.
        (folder / ".nbflow").mkdir(mode=0o700, exist_ok=True)
        _wiring.use(folder / ".nbflow")
    os.environ.setdefault("NBFLOW_TABLE", "static")  # nobody watches: pictures, which any viewer shows
    before = set(_wiring.SESSION.engine.ledger.runs())
    with console.status("Starting a kernel") as status:
        execute(notebook, on_cell=lambda number, total: status.update(f"Running cell {number} of {total}"))
    for name in _wiring.SESSION.engine.ledger.runs():
        if name not in before:
            console.print()
            _print(name, console)
    console.print()
    console.print(f"The notebook with its outputs: {notebook}")
    console.print(f"The database it loaded:        {folder / 'support.db'}")
    console.print("Run the same command again: only what failed is executed.")
    return 0


def _print(run: str, console: Any) -> None:
    from nbflow import _wiring
    from nbflow._run.render import print_table

    print_table(_wiring.open_run(run).table(), console)
