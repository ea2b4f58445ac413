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


class Row(NamedTuple):
    """One comparison. ``aim``: so many times as good as ``theirs`` is what we want to be, at least."""

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
    """

    name: str
    title: str
    size: tuple[int, int]
    contestants: dict[str, tuple[Act, ...]]
    rows: tuple[Row, ...]


def ask(question: Question, *, quick: bool) -> Iterator[str]:
    """Measure; the lines of the table."""
    size, repetitions = question.size[quick], 1 if quick else 5
    samples: Samples = defaultdict(list)
    missing: dict[str, str] = {}
    for _ in range(repetitions):
        for contestant, acts in question.contestants.items():
            with tempfile.TemporaryDirectory(prefix="nbflow-bench-") as folder:
                for number in range(len(acts)):
                    found = _spawn(question.name, contestant, number, folder, size)
                    if isinstance(found, str):
                        missing[contestant] = found
                        break
                    for name, value in found.items():
                        samples[contestant, number, name].append(value)
    yield f"{question.name}: {question.title.format(size=f'{size:,}')} (medians of {repetitions})"
    header = ("", "nbflow", "against", "theirs", "times as good", "range", "aim")
    yield from _aligned(
        [header, *(_compared(row, samples, missing) for row in question.rows)]
    )


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
    ours, theirs = samples[row.ours], samples[row.theirs]
    aim = "" if row.aim is None else f">= {row.aim:.2f}"
    if not ours or not theirs:
        return (
            row.what,
            "",
            row.against,
            next(
                missing[who] for who in (row.theirs[0], row.ours[0]) if who in missing
            ),
            "",
            "",
            aim,
        )
    # Within a repetition the two ran next to each other: its ratio means more than that
    # of two medians.
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    verdict = "" if row.aim is None else "  met" if ratio >= row.aim else "  MISSED"
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    shown = (row.show(statistics.median(figures)) for figures in (ours, theirs))
    return (
        row.what,
        next(shown),
        row.against,
        next(shown),
        f"{ratio:.2f}",
        spread,
        aim + verdict,
    )


def _aligned(lines: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield (
            "  "
            + "  ".join(
                cell.ljust(width) if place in {0, 2, 6} else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
        )


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


def kilobytes(value: float) -> str:
    """Bytes as kilobytes."""
    return f"{value / 1e3:,.2f} kB"


def megabytes(value: float) -> str:
    """Megabytes."""
    return f"{value:.0f} MB"
