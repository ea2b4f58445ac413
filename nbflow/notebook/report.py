"""Report: ``run.json``, what a headless run did, for programs; and finding the runs of last night in it.

Its keys are a published format: ``format`` counts up when one of them changes its
meaning.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._call.job_link import Told
from nbflow._core.entry import DONE, FINAL
from nbflow._core.table import failure_rows
from nbflow.errors import UnknownRunError
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from nbflow._core.entry import RunState

FORMAT = 1
#: Failures of one run that are listed; its counts are complete.
MOST = 10_000
UNDONE = FINAL - DONE


def beside(output: Path) -> Path:
    """Where the report of an output notebook is: ``night.ipynb`` has ``night.run.json``."""
    return output.with_suffix(".run.json")


def runs_of(path: Path) -> list[Told]:
    """The runs that a headless run made, in order, from its report or its output notebook.

    Raises:
        UnknownRunError: there is no such file, or it is neither.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        noted = (
            content.get("metadata", {}).get("nbflow")
            if "cells" in content and "nbformat" in content
            else content
        )
        return [Told(str(run["run"]), str(run["store"])) for run in noted["runs"]]
    except FileNotFoundError:
        raise UnknownRunError(
            f"There is no file {path}: name the output notebook of nbflow run, its run.json, or the id of a run."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnknownRunError(
            f"{path} says nothing of runs: it is not an output notebook of nbflow run, nor its run.json."
        ) from None


def parameters_of(path: Path) -> Any:
    """The parameters that a headless run was given, secrets masked; `None` if the file is not a report."""
    try:
        return json.loads(path.read_text("utf-8")).get("parameters")
    except (OSError, ValueError, AttributeError):
        return None


def facts_of_notebook(path: Path, document: Any) -> dict[str, Any]:
    """What identifies the notebook that is about to run."""
    code = "\0".join(cell.source for _, cell in documents.code_cells(document))
    return {
        "notebook": str(path),
        "digests": {
            "notebook": _digest(path.read_bytes()),
            "code": _digest(code.encode("utf-8", "surrogatepass")),
        },
        "git": _git(path.resolve().parent),
    }


def facts_of_cell(number: int, cell: Any, runs: list[str]) -> dict[str, Any]:
    """One code cell: its mark, and the runs that it made or went on with."""
    return {
        "cell": number,
        "id": cell.get("id"),
        **cell.metadata.get("nbflow", {}),
        "runs": runs,
    }


def facts_of_run(told: Told, state: RunState) -> dict[str, Any]:
    """One run: records by state in each flow, and which failed."""
    rows = failure_rows(state, MOST)
    return {
        "run": told.run,
        "store": told.store,
        "event": state.event,
        "state": state.state,
        "records": len(state.keys) + state.unread,
        "flows": {
            name: {
                str(key): number for key, number in state.count(flow).items() if number
            }
            for flow, name in enumerate(state.flows)
        },
        "failed": [
            {
                "record": row.key,
                "flow": row.flow,
                "step": row.step or None,
                "error": row.error,
                "message": row.message,
                "attempts": row.attempts,
            }
            for row in rows
        ],
        "failed_not_listed": len(state.failures) - len(rows),
        "stopped": state.stopped or None,
        "usage": state.usage._asdict(),
        "saved": state.saved._asdict(),
    }


def undone(state: RunState) -> int:
    """How many records are not done in every flow of a run that has ended; unread rows of one that was killed count."""
    return (
        len(
            {
                record
                for flow in range(len(state.flows))
                for record in state.records(flow, UNDONE)
            }
        )
        + state.unread
    )


def as_text(facts: dict[str, Any]) -> str:
    """The report as it is written."""
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def write(path: Path, content: str | bytes) -> None:
    """Replace a file whole: who reads it sees the old or the new one."""
    path = path.resolve()  # of a link, the file behind it
    # What is not Unicode, such as an argument in another encoding, is written as JSON
    # escapes it.
    data = (
        content.encode("utf-8", "backslashreplace")
        if isinstance(content, str)
        else content
    )
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    with tempfile.NamedTemporaryFile(
        "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _git(folder: Path) -> dict[str, Any] | None:
    """The commit that the notebook's folder is at, and whether tracked files differ from it."""
    commit = _git_says(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {
        "commit": commit,
        "changed": bool(
            _git_says(folder, "status", "--porcelain", "--untracked-files=no")
        ),
    }


def _git_says(folder: Path, *arguments: str) -> str | None:
    # fsmonitor and hooks are programs that a foreign checkout may name.
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        *arguments,
    ]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, a fixed command
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
