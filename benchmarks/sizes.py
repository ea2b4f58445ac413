"""What a store takes: after results are forgotten, of a batch that is all cached, and of a job that runs for months.

``python -m benchmarks.sizes`` prints the size of a store before and after 24,000
results are forgotten, and what a record takes that is sent again and is cached.
``python -m benchmarks.sizes --job 2000 --keep 2d`` sends a batch every simulated
quarter of an hour, prunes by the policy every hour, and prints how large the store is,
and how long a send, a prune and the list of runs take, at ten moments.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbflow as nf
from nbflow._run import keeping, pruning
from nbflow._session import SESSION

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Edits of a prompt, and the records that each sends again.
_EDITS, _RECORDS = 6, 2000
#: Seconds between two runs of a job, its records, and the runs between two prunes.
_QUARTER, _BATCH, _HOUR = 900, 20, 4
_YEAR = 366 * 86_400


def size(folder: Path) -> int:
    """The bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rows(number: int, mark: str = "") -> list[dict[str, object]]:
    """Records with some 200 bytes of text each."""
    return [{"id": n, "text": f"{mark} text {n} " * 16} for n in range(number)]


def edited(prompt: int) -> object:
    """The flow of a step whose code has another prompt."""

    @nf.step(version=str(prompt))
    def categorize(text: str) -> str:
        return f"{prompt} {text[:200]}"

    @nf.flow(on="threads")
    def triage(record: dict[str, str]) -> str:
        return categorize(record["text"])

    return categorize


def measure(folder: Path) -> Iterator[str]:
    """The sizes, a line each."""
    nf.use(folder)
    for prompt in range(_EDITS):
        categorize = edited(prompt)
        nf.send("threads", rows(_RECORDS), key="id")
    SESSION.engine.store.flush()
    before = size(folder)
    gone = categorize.forget()
    (database,) = folder.glob("*/shelf/cache.db")
    left = len(list(SESSION.engine.store.keys()))
    yield f"{gone:,} results forgotten: the store took {_mb(before)}, now {_mb(size(folder))}"
    yield f"cache.db then takes {_mb(database.stat().st_size)} for {left} entries"
    nf.send("threads", rows(_RECORDS), key="id")
    SESSION.engine.store.flush()
    ledger = folder / "runs"
    for kind, batch in (
        ("a list", rows(_RECORDS)),
        ("an iterator", iter(rows(_RECORDS))),
    ):
        before = size(ledger)
        run = nf.send("threads", batch, key="id")
        assert run.counts == {"triage": {"CACHED": _RECORDS}}
        each = (size(ledger) - before) / _RECORDS
        yield f"sent again as {kind}, all cached: {each:.1f} bytes a record"


def _mb(number: int) -> str:
    return f"{number / 1e6:.2f} MB"


def job(folder: Path, runs: int, policy: dict[str, str]) -> Iterator[str]:
    """A job that runs every quarter of an hour, a line for each tenth of its runs."""
    nf.use(folder)
    edited(0)
    rules = keeping.rules(policy.get("keep"), None, policy.get("max_size"))
    now = [time.time() - _YEAR]
    SESSION.engine.clock.time = lambda: now[0]
    sends, prunes = [], []
    yield "  runs   kept  store MB  send ms  prune ms  list ms"
    for number in range(1, runs + 1):
        now[0] += _QUARTER
        batch = rows(_BATCH, str(number))
        sends.append(_took(lambda batch=batch: nf.send("threads", batch, key="id")))
        if number % _HOUR == 0:
            prunes.append(_took(lambda: pruning.prune(SESSION.runs, rules)))
        if number % max(1, runs // 10) == 0:
            listed = _took(lambda: str(nf.runs()))
            kept = len(SESSION.engine.ledger.runs())
            taken = [statistics.median(each or [0.0]) for each in (sends, prunes)]
            sends, prunes = [], []
            yield (
                f"{number:6,} {kept:6,} {size(folder) / 1e6:9.2f} {taken[0]:8.1f}"
                f" {taken[1]:9.1f} {listed:8.1f}"
            )


def _took(work) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=int, metavar="RUNS", help="simulate a job")
    parser.add_argument("--keep", help="its policy: 2d, 30d")
    parser.add_argument("--max-size", help="its policy: 3MB")
    asked = parser.parse_args()
    SESSION.shows = False
    policy = {"keep": asked.keep, "max_size": asked.max_size}
    policy = {name: value for name, value in policy.items() if value}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        lines = job(folder, asked.job, policy) if asked.job else measure(folder)
        for line in lines:
            print(line, flush=True)
        nf.use("memory:")


if __name__ == "__main__":
    main()
