"""Act: one measurement, in a process of its own.

Run ``python -m benchmarks.act QUESTION CONTESTANT ACT FOLDER SIZE``.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path


def main(question: str, contestant: str, number: str, folder: str, size: str) -> None:
    """Print the act's figures and the peak memory in MB as a line of JSON.

    If it needs a package that is not installed, print that instead.
    """
    module = importlib.import_module(f"benchmarks.{question}")
    act = module.QUESTION.contestants[contestant][int(number)]
    try:
        figures = act(Path(folder), int(size))
    except ModuleNotFoundError as error:
        print(json.dumps(f"no {error.name} here"))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    figures["memory"] = peak / unit
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
