"""What a list of many runs costs, in a process of its own: its start and imports included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.contest import Question, Row, seconds

if TYPE_CHECKING:
    from pathlib import Path

EVENT = "support/thread.created"
_RECORDS = 5


def made(folder: Path, size: int) -> dict[str, float]:
    """As many runs of a few records, of which all but those of the first are cached."""
    import nbflow as nf

    @nf.flow(on=EVENT)
    def triage(thread: dict[str, int]) -> int:
        return thread["id"]

    nf.use(folder)
    batch = [{"id": number} for number in range(_RECORDS)]
    begun = time.perf_counter()
    for _ in range(size):
        nf.send(EVENT, batch, key="id")
    return {"run": (time.perf_counter() - begun) / size}


def listed(folder: Path, _size: int) -> dict[str, float]:
    """``nf.runs()`` and ``nbflow runs``."""
    code = "import nbflow; print(len(nbflow.runs()))"
    return {
        "api": _took([sys.executable, "-c", code], folder),
        "command": _took([sys.executable, "-m", "nbflow.cli", "runs"], folder),
    }


def _took(command: list[str], folder: Path) -> float:
    environment = {**os.environ, "NBFLOW_STORE": str(folder)}
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def pandas(_folder: Path, _size: int) -> dict[str, float]:
    """A process that imports pandas, which the list is made of."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pandas"], check=True)
    return {"import": time.perf_counter() - begun}


def asked(_folder: Path, _size: int) -> dict[str, float]:
    """A second."""
    return {"list": 1.0}


API, COMMAND = ("nbflow", 1, "api"), ("nbflow", 1, "command")
_ASKED, _PANDAS = ("asked", 0, "list"), ("pandas", 0, "import")

QUESTION = Question(
    "runs",
    "a list of {size} runs, in a new process",
    (1000, 5),
    {"nbflow": (made, listed), "pandas": (pandas,), "asked": (asked,)},
    (
        Row("nf.runs()", API, "asked", _ASKED, seconds, 1),
        Row("nf.runs()", API, "import pandas (limit)", _PANDAS, seconds),
        Row("nbflow runs", COMMAND, "asked", _ASKED, seconds, 1),
        Row("nbflow runs", COMMAND, "import pandas (limit)", _PANDAS, seconds),
    ),
    repetitions=3,
)
