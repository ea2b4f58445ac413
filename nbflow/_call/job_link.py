"""Orders: what `nbflow run` asks of the kernel that it starts, and what the kernel answers.

Both go through the environment, as a library starts the kernel, and processes that a
cell starts inherit the environment. The answer is a file of JSON lines,
one for each run that begins or continues, written before its first record runs. So the
command knows the runs of its notebook whatever store they are in, and however the
kernel ends; two jobs on one store have two files. A line of another kind is left for
whoever knows it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.entry import Opened
from nbflow._core.usage import NOTHING, Usage
from nbflow._store.store import MemoryStore

if TYPE_CHECKING:
    from nbflow._store.ledger import Ledger

_TOLD = "NBFLOW_JOB_TOLD"
_FORCED = "NBFLOW_JOB_FORCED"
_AGAIN = "NBFLOW_JOB_AGAIN"
_BUDGET = "NBFLOW_JOB_BUDGET"
_STAYS = "NBFLOW_JOB_STAYS"
_LOG = "NBFLOW_JOB_LOG"

#: How a line of the log looks.
FORMAT = "%(asctime)s %(levelname)-5s %(name)s: %(message)s"


class Told(NamedTuple):
    """A run, and the store that it is in."""

    run: str
    store: str


# The command's side.


def environment(
    told: Path,
    *,
    force: tuple[str, ...] = (),
    again: tuple[str, ...] = (),
    budget: float | None = None,
    patience: float | None = None,
    log: str | None = None,
) -> dict[str, str]:
    """The variables that a kernel gets.

    Args:
        told: the file to which it reports its runs.
        force: names of steps that run although their outputs are saved.
        again: ids of runs to continue, each in the place of the first send or map of
            its event.
        budget: US dollars that all calls together may cost.
        patience: seconds from now for which it stays for records that wait.
        log: the level, such as ``"INFO"``, from which on it logs; see `LogReader`.
    """
    asked = {_TOLD: str(told), _FORCED: " ".join(force), _AGAIN: " ".join(again)}
    if budget is not None:
        asked[_BUDGET] = repr(budget)
    asked[_STAYS] = "" if patience is None else repr(time.time() + patience)
    # Also if nobody asks for one: a job that a cell of another job starts has its own.
    asked[_LOG] = log or ""
    return asked


def _log_file(told: Path) -> Path:
    return told.with_name(f"{told.name}.log")


class LogReader:
    """Reads the log of the kernel, line by line, while the kernel writes it."""

    def __init__(self, told: Path) -> None:
        self._path = _log_file(told)
        self._position = 0

    def lines(self) -> list[str]:
        """Return the whole lines that were written since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            whole, end, _ = file.read().rpartition(b"\n")
        self._position += len(whole) + len(end)
        return whole.decode("utf-8", "replace").splitlines()


def read(told: Path) -> list[Told]:
    """The runs as the kernel reported them, in order; a run that continued later is there again."""
    return [Told(line["run"], line["store"]) for line in _lines(told) if "run" in line]


def _lines(told: Path) -> list[dict[str, Any]]:
    if not told.exists():
        return []
    # A line is written at once; only a kernel on a full disk leaves half of one.
    return [
        json.loads(line)
        for line in told.read_text("utf-8").splitlines()
        if line.endswith("}")
    ]


def used(told: Path) -> Usage:
    """What calls outside any run used."""
    return sum(
        (Usage.noted(line["used"]) for line in _lines(told) if "used" in line), NOTHING
    )


def refusal(told: Path) -> str:
    """Why a budget let no further call start; nothing if none did."""
    return next((line["refusal"] for line in _lines(told) if "refusal" in line), "")


def replayed(told: Path) -> int:
    """How many step cells came from their checkpoints so far."""
    return told.read_text("utf-8").count('{"replayed": ') if told.exists() else 0


# The kernel's side.


def begin_log() -> None:
    """Log to where the command reads it, if it asks for a log."""
    level, told = os.environ.get(_LOG), os.environ.get(_TOLD)
    if not level or not told:
        return
    try:
        # Not to stderr: that is the output of the cell that runs.
        handler = logging.FileHandler(_log_file(Path(told)), encoding="utf-8")
    except OSError:
        return  # a process that a cell left behind: the job has ended
    handler.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger("nbflow")
    logger.addHandler(handler)
    logger.addHandler(_AsBefore())
    logger.setLevel(level)
    logger.propagate = False


class _AsBefore(logging.Handler):
    """Gives the handlers of the notebook what they would get without a log of the job."""

    def emit(self, record: logging.LogRecord) -> None:
        root = logging.getLogger()
        if record.levelno >= root.getEffectiveLevel():
            root.handle(record)


def tell(run: str, store: str) -> None:
    """Say that ``run`` begins or continues, if the command asked for it."""
    # The kernel may have gone to another folder since: where the command reads it, a
    # path has to be whole.
    _tell(
        {
            "run": run,
            "store": store if store == MemoryStore.url else str(Path(store).resolve()),
        }
    )


def tell_replayed(cell: str) -> None:
    """Say that a step cell came from its checkpoint."""
    _tell({"replayed": cell})


def tell_used(usage: Usage) -> None:
    """Say what a call outside any run used: no ledger has it."""
    _tell({"used": usage})


def tell_refusal(why: str) -> None:
    """Say that a budget lets no further call start."""
    _tell({"refusal": why})


def _tell(line: dict[str, Any]) -> None:
    told = os.environ.get(_TOLD)
    if told:
        with Path(told).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def forced() -> frozenset[str]:
    """The names of steps that are to run although their outputs are saved."""
    return frozenset(os.environ.get(_FORCED, "").split())


def stays_until() -> float:
    """Until when a job stays for records that wait, in seconds since the epoch; 0 if it does not."""
    return float(os.environ.get(_STAYS) or 0)


def budget() -> float | None:
    """US dollars that all calls of this kernel together may cost."""
    asked = os.environ.get(_BUDGET)
    return float(asked) if asked else None


def take_up(ledger: Ledger, event: str) -> str | None:
    """Return the run to continue instead of sending ``event`` again; each is given out once."""
    left = os.environ.get(_AGAIN, "").split()
    here = set(ledger.runs()) if left else set()
    for run in left:
        first = ledger.ends(run)[:1] if run in here else []
        if first and isinstance(first[0], Opened) and first[0].event == event:
            os.environ[_AGAIN] = " ".join(other for other in left if other != run)
            return run
    return None
