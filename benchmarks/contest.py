"""Contest: how contestants are measured and compared."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    #: Does the work in an empty folder, or in the one that the act before it left;
    #: gives figures, smaller is better.
    Act = Callable[[Path, int], dict[str, float]]

#: A figure is known by contestant, number of the act, name: ("nbflow", 0, "cold").
Figure = tuple[str, int, str]
#: What each repetition gave for each figure.
Samples = dict[Figure, list[float]]

_ROOT = Path(__file__).parent.parent
_REPETITIONS = 5
_HEADER = ("", "nbflow", "against", "theirs", "times as good", "range", "aim")
#: The columns of the header that hold words; the others hold numbers.
_WORDS = (0, 2, 6)


class Row(NamedTuple):
    """One comparison.

    Attributes:
        what: is measured.
        ours: the figure of nbflow.
        against: who is compared with.
        theirs: the other figure.
        show: spells a figure with its unit.
        aim: how many times as good as ``theirs`` nbflow wants to be, at least.
    """

    what: str
    ours: Figure
    against: str
    theirs: Figure
    show: Callable[[float], str]
    aim: float | None = None


@dataclass(frozen=True)
class Question:
    """What is measured.

    Attributes:
        name: of the module that asks it.
        title: the work, with ``{size}`` for how much of it.
        size: how much of it, and in a quick run.
        contestants: the acts of each; every act runs in a process of its own.
        rows: what is compared.
        repetitions: of all acts; the figures are medians of them.
    """

    name: str
    title: str
    size: tuple[int, int]
    contestants: dict[str, tuple[Act, ...]]
    rows: tuple[Row, ...]
    repetitions: int = _REPETITIONS


def ask(question: Question, *, quick: bool, size: int | None = None) -> Iterator[str]:
    """Measure; the lines of the table."""
    whole, part = question.size
    size = size or (part if quick else whole)
    repetitions = 1 if quick else question.repetitions
    samples: Samples = defaultdict(list)
    missing: dict[str, str] = {}
    for _ in range(repetitions):
        for contestant in question.contestants:
            why = _measure(question, contestant, size, samples)
            if why is not None:
                missing[contestant] = why
    title = question.title.format(size=f"{size:,}")
    yield f"{question.name}: {title} (medians of {repetitions})"
    rows = [_compared(row, samples, missing) for row in question.rows]
    yield from _aligned([_HEADER, *rows])


def _measure(
    question: Question, contestant: str, size: int, samples: Samples
) -> str | None:
    """Add the figures of a contestant's acts, or return why there are none."""
    acts = question.contestants[contestant]
    with tempfile.TemporaryDirectory(prefix="nbflow-bench-") as folder:
        for number in range(len(acts)):
            found = _spawn(question.name, contestant, number, folder, size)
            if isinstance(found, str):
                return found
            for name, value in found.items():
                samples[contestant, number, name].append(value)
    return None


def _spawn(
    question: str, contestant: str, number: int, folder: str, size: int
) -> dict[str, float] | str:
    """The figures of one act, or why there are none."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.act",
        question,
        contestant,
        str(number),
        folder,
        str(size),
    ]
    environment = {
        **os.environ,
        "NBFLOW_STORE_KEY": "of benchmarks, which have nothing to hide",
    }
    ended = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{question}, {contestant}, act {number}:\n{ended.stderr}")
    answer: dict[str, float] | str = json.loads(ended.stdout.splitlines()[-1])
    return answer


def _compared(row: Row, samples: Samples, missing: dict[str, str]) -> Sequence[str]:
    """A row of the table."""
    ours = samples[row.ours]
    theirs = samples[row.theirs]
    aim = "" if row.aim is None else f">= {row.aim:.2f}"
    if not ours or not theirs:
        who = row.theirs[0] if row.theirs[0] in missing else row.ours[0]
        return row.what, "", row.against, missing[who], "", "", aim
    # Within a repetition the two ran next to each other: its ratio means more than that
    # of two medians.
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    if row.aim is not None:
        aim += "  met" if ratio >= row.aim else "  MISSED"
    return (
        row.what,
        row.show(statistics.median(ours)),
        row.against,
        row.show(statistics.median(theirs)),
        f"{ratio:.2f}",
        f"{min(ratios):.2f}-{max(ratios):.2f}",
        aim,
    )


def _aligned(lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines with their columns below each other: words to the left, numbers to the right."""
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if place in _WORDS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def microseconds(value: float) -> str:
    """Seconds as microseconds."""
    return f"{value * 1e6:,.1f} us"


def rate(value: float) -> str:
    """Seconds a record as records a second."""
    return f"{1 / value:,.0f}/s"


def seconds(value: float) -> str:
    """Seconds."""
    return f"{value:.3f} s"


def milliseconds(value: float) -> str:
    """Seconds as milliseconds."""
    return f"{value * 1e3:,.2f} ms"


def in_bytes(value: float) -> str:
    """Bytes."""
    return f"{value:,.0f} B"


def kilobytes(value: float) -> str:
    """Bytes as kilobytes."""
    return f"{value / 1e3:,.2f} kB"


def bytes_each(value: float) -> str:
    """Bytes."""
    return f"{value:.0f} B"


def megabytes(value: float) -> str:
    """Megabytes."""
    return f"{value:.0f} MB"
