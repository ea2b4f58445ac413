"""What a very long run costs: its records, its memory, and opening it in another process.

``python -m benchmarks --only million --size 1000000`` asks it of a million records, which takes some minutes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import work
from benchmarks.contest import (
    Question,
    Row,
    bytes_each,
    megabytes,
    microseconds,
    rate,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.work import Record

EVENT = "support/thread.created"
#: Parts of the run whose cost is compared: the first and the last.
_PARTS = 10


def sent(folder: Path, size: int) -> dict[str, float]:
    """Every record of an iterator through a flow of one step, from opening the store to closing it."""
    import nbflow as nf
    from nbflow._session import SESSION

    answer = nf.step(work.answer)

    @nf.flow(on=EVENT)
    def triage(thread: Record) -> str:
        return answer(thread["body"])["label"]

    nf.use(folder / "before")
    nf.send(EVENT, [work.record(size)], key="id")  # loads what is only loaded once
    SESSION.engine.close()
    before, marks = _anonymous(), [0.0]
    begun = time.perf_counter()
    marks[0] = time.process_time()
    nf.use(folder / "store")
    run = nf.send(EVENT, _threads(size, marks), key="id")
    SESSION.engine.close()
    took = time.perf_counter() - begun
    files = (folder / "store" / "runs" / run.id).iterdir()
    ledger = sum(file.stat().st_size for file in files if file.name != "records")
    part = max(1, size // _PARTS)
    return {
        "record": took / size,
        "first": (marks[1] - marks[0]) / part,
        "last": (marks[-1] - marks[-2]) / part,
        "grown": _peak.most - before,
        "ledger": ledger / size,
    }


class _Peak:
    """The most memory that was seen, in MB."""

    most = 0.0


_peak = _Peak()


def _threads(size: int, marks: list[float]) -> Iterator[Record]:
    """The records, noting what the processor did up to each part, and the memory."""
    part = max(1, size // _PARTS)
    for number in range(size):
        if number % part == 0 and number:
            marks.append(time.process_time())
            _peak.most = max(_peak.most, _anonymous())
        yield work.record(number)
    marks.append(time.process_time())
    _peak.most = max(_peak.most, _anonymous())


def _anonymous() -> float:
    """The memory of this process in MB, without what it maps of files."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    lines = status.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1000


def opened(folder: Path, size: int) -> dict[str, float]:
    """The run in another process: opened, shown, one record of it, all its results."""
    import nbflow as nf

    nf.use(folder / "store")
    taken = {}

    def take(name: str, asked: Callable[[], object]) -> None:
        begun = time.perf_counter()
        asked()
        taken[name] = time.perf_counter() - begun

    run = nf.open_run()
    take("open", lambda: (run.state, run.counts, run.table()))
    take("inspect", lambda: repr(run.inspect(f"t-{size // 2}")))
    take("results", lambda: run.results("triage"))
    return taken


def diskcache_writes(folder: Path, size: int) -> dict[str, float]:
    """The loop by hand, with one result a record."""
    begun = time.perf_counter()
    with work.tuned(folder) as cache:
        for number in range(size):
            thread = work.record(number)
            cache.set(f"answer {thread['id']}", work.answer(thread["body"]))
    return {"record": (time.perf_counter() - begun) / size}


def asked(_folder: Path, _size: int) -> dict[str, float]:
    """What nbflow wants to keep to, for a million records."""
    return {
        "record": 1e-4,
        "grown": 150.0,
        "open": 2.0,
        "inspect": 0.2,
        "results": 18.0,
        "ledger": 100.0,
    }


COLD, AGAIN, ASKED = ("nbflow", 0, "record"), ("nbflow", 1, "open"), "asked"
FIRST, LAST = ("nbflow", 0, "first"), ("nbflow", 0, "last")
_BY_HAND = ("diskcache", 0, "record")

QUESTION = Question(
    "million",
    "{size} records of an iterator through a flow of one step",
    (100_000, 300),
    {
        "nbflow": (sent, opened),
        "diskcache": (diskcache_writes,),
        ASKED: (asked,),
    },
    (
        Row("cold, to the end", COLD, "asked", (ASKED, 0, "record"), rate, 1),
        Row("cold, to the end", COLD, "diskcache set, tuned", _BY_HAND, rate),
        Row("the last tenth, of the processor", LAST, "the first tenth", FIRST, microseconds, 0.8),
        Row("memory above import", ("nbflow", 0, "grown"), "asked", (ASKED, 0, "grown"), megabytes, 1),
        Row("ledger, bytes a record", ("nbflow", 0, "ledger"), "asked", (ASKED, 0, "ledger"), bytes_each, 1),
        Row("open_run, its counts and its table", AGAIN, "asked of a million", (ASKED, 0, "open"), seconds, 1),
        Row("inspect one record", ("nbflow", 1, "inspect"), "asked of a million", (ASKED, 0, "inspect"), seconds, 1),
        Row("results of all", ("nbflow", 1, "results"), "asked of a million", (ASKED, 0, "results"), seconds, 1),
    ),
    repetitions=1,
)  # fmt: skip
