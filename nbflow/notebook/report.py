"""Report: ``run.json``, which says what a headless run did, for programs; and the runs that one names.

Its keys are a published format: ``format`` goes up when one of them changes its meaning.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._call.job_link import Told
from nbflow._core.lifecycle import State
from nbflow._core.table import done_of, failure_rows
from nbflow.errors import UnknownRunError
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbflow._core.entry import RunState, StepCount
    from nbflow._core.table import FailureRow

    #: A part of the report.
    Facts = dict[str, object]

FORMAT = 1
#: Failures of one run that are listed; its counts are complete.
MOST = 10_000


def beside(output: Path) -> Path:
    """Return where the report of an output notebook is: ``night.ipynb`` has ``night.run.json``."""
    return output.with_suffix(".run.json")


def runs_of(path: Path) -> list[Told]:
    """Return the runs that a headless run made, in order, from its report or its output notebook.

    Raises:
        UnknownRunError: there is no such file, or it is neither.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
        if "cells" in report and "nbformat" in report:
            report = report.get("metadata", {}).get("nbflow")
        return [Told(str(run["run"]), str(run["store"])) for run in report["runs"]]
    except FileNotFoundError:
        raise UnknownRunError(
            f"There is no file {path}: name the output notebook of nbflow run, its"
            " run.json, or the id of a run."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UnknownRunError(
            f"{path} says nothing of runs: it is not an output notebook of nbflow run,"
            " nor its run.json."
        ) from None


def parameters_of(path: Path) -> Facts | None:
    """Return the parameters that a headless run was given, secrets masked; `None` if the file is not a report."""
    try:
        found: Facts | None = json.loads(path.read_text("utf-8")).get("parameters")
    except (OSError, ValueError, AttributeError):
        return None
    return found


def facts_of_notebook(path: Path, document: NotebookNode) -> Facts:
    """Return what identifies the notebook that is about to run."""
    code = "\0".join(cell.source for _, cell in documents.code_cells(document))
    return {
        "notebook": str(path),
        "digests": {
            "notebook": _digest(path.read_bytes()),
            "code": _digest(code.encode("utf-8", "surrogatepass")),
        },
        "git": _git(path.resolve().parent),
    }


def facts_of_cell(number: int, cell: NotebookNode, runs: list[str]) -> Facts:
    """Return how one code cell came out: its mark, and the runs that it made or continued."""
    return {
        "cell": number,
        "id": cell.get("id"),
        **cell.metadata.get("nbflow", {}),
        "runs": runs,
    }


def facts_of_run(told: Told, state: RunState) -> Facts:
    """Return how one run came out: records by state in each flow, and which failed."""
    rows = failure_rows(state, MOST)
    flows = {name: _counts(state, flow) for flow, name in enumerate(state.flows)}
    return {
        "run": told.run,
        "store": told.store,
        "event": state.event,
        "state": state.state,
        "records": state.total_records,
        "flows": flows,
        "steps": [
            _step(state.flows[flow], step, count)
            for flow, steps in enumerate(state.steps)
            for step, count in steps.items()
        ],
        "failed": [_failed(row) for row in rows],
        "failed_not_listed": len(state.failures) - len(rows),
        "stopped": state.stopped or None,
        "usage": state.usage._asdict(),
        "saved": state.saved._asdict(),
    }


def _counts(state: RunState, flow: int) -> dict[str, int]:
    counts = state.count(flow).items()
    return {str(key): number for key, number in counts if number}


def _step(flow: str, step: str, count: StepCount) -> Facts:
    return {
        "flow": flow,
        "step": step,
        "attempts": count.attempts,
        "seconds": round(count.seconds, 3),
        "seconds_in_line": round(count.waited, 3),
        "usage": count.usage._asdict(),
    }


def _failed(row: FailureRow) -> Facts:
    return {
        "record": row.key,
        "flow": row.flow,
        "step": row.step or None,
        "error": row.error,
        "message": row.message,
        "attempts": row.attempts,
    }


def undone(state: RunState) -> int:
    """Return the number of records that are neither done in every flow of a run that has ended, nor wait.

    Rows that a killed run had not read count.
    """
    standing = state.standing()
    return state.total_records - done_of(standing) - standing[State.WAITING]


def waiting(state: RunState) -> int:
    """Return the number of records that wait in a flow."""
    return len({record for record, _ in state.awaited})


def is_cut_short(state: RunState) -> bool:
    """Return whether a run has ended with an iterator that was not read to its end, and nobody cancelled it."""
    return state.is_cut_short and state.state == "INTERRUPTED"


def as_text(facts: Facts) -> str:
    """Return the report as it is written."""
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def write(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one."""
    path = path.resolve()  # of a link, the file behind it
    if isinstance(content, str):
        # What is not Unicode, such as an argument in another encoding, is written as
        # JSON escapes it.
        content = content.encode("utf-8", "backslashreplace")
    mode = _mode(path)
    with tempfile.NamedTemporaryFile(
        "wb", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(content)
            file.flush()
            Path(file.name).chmod(mode)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _mode(path: Path) -> int:
    """Return the permissions of a file; of a new one those that the system would give it."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        # The mask can only be read by setting it.
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _git(folder: Path) -> Facts | None:
    """Return the commit that the notebook's folder is at, and whether tracked files differ from it."""
    commit = _git_says(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    status = _git_says(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": bool(status)}


#: Of git: fsmonitor and hooks are programs, which somebody else's checkout may name.
_HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


def _git_says(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *_HARMLESS, *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # no shell, a fixed command
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
