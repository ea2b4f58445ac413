"""What it costs that a cell is a step: run for the first time, and found on disk."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.contest import Question, Row, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

#: A small cell: it reads a frame and a function, and binds two names.
CELL = "total = add(frame['a'].sum(), {n})\nlabel = f'{{total}} in all'\nlabel;"
#: Seconds that a cell found on disk may take.
HIT = 0.010
#: Seconds that a cell that runs may take more than without nbflow.
MISS = 0.005


def shell(folder: Path) -> InteractiveShell:
    """An IPython with a frame and a function, and nbflow in it."""
    from IPython.core.interactiveshell import InteractiveShell

    found = InteractiveShell.instance()
    found.run_cell(
        "import nbflow as nf, pandas as pd\n"
        f"nf.use({str(folder)!r})\n"
        "frame = pd.DataFrame({'a': range(100)})\n"
        "def add(x, y):\n"
        "    return x + y"
    )
    return found


def timed(shell: InteractiveShell, cells: Iterable[str]) -> float:
    """The median of the cells, seconds."""
    taken = []
    for cell in cells:
        begun = time.perf_counter()
        result = shell.run_cell(cell)
        taken.append(time.perf_counter() - begun)
        assert result.success
    return statistics.median(taken)


def steps(folder: Path, size: int) -> dict[str, float]:
    """Each cell a step of its own: first run, then found."""
    found = shell(folder)
    found.run_cell("#| step: first\n" + CELL.format(n=-1))  # the store opens
    cells = [f"#| step: cell{n}\n{CELL.format(n=n)}" for n in range(size)]
    return {"miss": timed(found, cells), "hit": timed(found, cells)}


def plain(folder: Path, size: int) -> dict[str, float]:
    """The same cells without their first line, and what they may take with it."""
    found = shell(folder)
    return {
        "miss": timed(found, [CELL.format(n=n) for n in range(size)]) + MISS,
        "hit": HIT,
    }


QUESTION = Question(
    "cells",
    "{size} small cells, each a step, in one IPython",
    (200, 5),
    {"nbflow": (steps,), "plain": (plain,)},
    (
        Row(
            "a cell that runs",
            ("nbflow", 0, "miss"),
            "without the line, and 5 ms (limit)",
            ("plain", 0, "miss"),
            milliseconds,
            1,
        ),
        Row(
            "a cell found on disk",
            ("nbflow", 0, "hit"),
            "10 ms (limit)",
            ("plain", 0, "hit"),
            milliseconds,
            1,
        ),
    ),
)
