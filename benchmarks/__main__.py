"""Ask every question, print what came out."""

from __future__ import annotations

import argparse
import os
import platform

from benchmarks import (
    batch,
    calls,
    cells,
    frames,
    keys,
    million,
    opening,
    runs,
    waiting,
    watching,
)
from benchmarks.contest import ask

QUESTIONS = {
    question.name: question
    for question in (
        calls.QUESTION,
        batch.QUESTION,
        opening.QUESTION,
        waiting.QUESTION,
        keys.QUESTION,
        frames.QUESTION,
        cells.QUESTION,
        watching.QUESTION,
        million.QUESTION,
        runs.QUESTION,
    )
}


def main() -> None:
    """Read the command line and measure. A missed aim is printed and no error: machines differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little work, once: does it run, not how fast",
    )
    parser.add_argument("--only", choices=QUESTIONS, help="one question")
    parser.add_argument(
        "--size", type=int, metavar="N", help="how much work, with --only"
    )
    asked = parser.parse_args()
    if asked.size is not None and asked.only is None:
        parser.error("--size needs --only: each question counts something else")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores{load}"
    )
    for name in [asked.only] if asked.only else QUESTIONS:
        print()
        for line in ask(QUESTIONS[name], quick=asked.quick, size=asked.size):
            print(line, flush=True)


if __name__ == "__main__":
    main()
