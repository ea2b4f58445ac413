"""What a batch costs: every record through a flow of three steps, then sent again, then planned, in other processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks import work
from benchmarks.contest import Question, Row, in_bytes, megabytes, rate

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Record

EVENT = "support/thread.created"


def sync_flow() -> None:
    """A flow that calls its steps inline."""
    import nbflow as nf

    tidy = nf.step(work.tidy)
    answer = nf.step(work.answer)
    save = nf.step(work.save)

    @nf.flow(on=EVENT)
    def triage(thread: Record) -> str:
        label = answer(tidy(thread))["label"]
        save(thread["id"], label)
        return label


def async_flow() -> None:
    """The same, awaited."""
    import nbflow as nf

    @nf.step
    async def tidy(thread: Record) -> str:
        return work.tidy(thread)

    @nf.step
    async def answer(text: str) -> Record:
        return work.answer(text)

    @nf.step
    async def save(thread: str, label: str) -> dict[str, str]:
        return work.save(thread, label)

    @nf.flow(on=EVENT)
    async def triage(thread: Record) -> str:
        label = (await answer(await tidy(thread)))["label"]
        await save(thread["id"], label)
        return label


def sent(folder: Path, size: int) -> dict[str, float]:
    """All that a person waits for: the store opens, the batch is sent, the store closes."""
    import nbflow as nf
    from nbflow._session import SESSION

    batch = work.records(size)
    before = on_disk(folder)
    begun = time.perf_counter()
    nf.use(folder)
    nf.send(EVENT, batch, key="id")
    SESSION.engine.close()
    seconds = time.perf_counter() - begun
    return {"record": seconds / size, "disk": (on_disk(folder) - before) / size}


def on_disk(folder: Path) -> int:
    """The bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def send_sync(folder: Path, size: int) -> dict[str, float]:
    """A batch through the sync flow."""
    sync_flow()
    return sent(folder, size)


def send_async(folder: Path, size: int) -> dict[str, float]:
    """A batch through the async flow."""
    async_flow()
    return sent(folder, size)


def plan(folder: Path, size: int) -> dict[str, float]:
    """What a batch ten times as large would cost, of which a tenth is saved."""
    import nbflow as nf

    sync_flow()
    batch = work.records(10 * size)
    begun = time.perf_counter()
    nf.use(folder)
    nf.plan(EVENT, batch, key="id")
    return {"record": (time.perf_counter() - begun) / len(batch)}


def most(_folder: Path, _size: int) -> dict[str, float]:
    """The bytes that a record of three steps may take, flow and ledger included; and sent again."""
    return {"disk": 1000, "again": 100}


def bare_writes(folder: Path, size: int) -> dict[str, float]:
    """The loop by hand into a table as lean as it gets: a transaction for each result, keys and bytes are made."""
    import json
    import sqlite3

    batch = work.records(size)
    begun = time.perf_counter()
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(
        "CREATE TABLE results (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID"
    )

    def keep(key: str, value: object) -> None:
        row = key, json.dumps(value).encode()
        connection.execute("INSERT INTO results VALUES (?, ?)", row)

    for thread in batch:
        key, text = thread["id"], work.tidy(thread)
        keep(f"tidy {key}", text)
        found = work.answer(text)
        keep(f"answer {key}", found)
        keep(f"save {key}", work.save(key, found["label"]))
    connection.close()
    return {"record": (time.perf_counter() - begun) / size}


def diskcache_writes(folder: Path, size: int) -> dict[str, float]:
    """The loop by hand: each result kept under a name that its author vouches for."""
    batch = work.records(size)
    begun = time.perf_counter()
    with work.tuned(folder) as cache:
        for thread in batch:
            key, text = thread["id"], work.tidy(thread)
            cache.set(f"tidy {key}", text)
            found = work.answer(text)
            cache.set(f"answer {key}", found)
            cache.set(f"save {key}", work.save(key, found["label"]))
    seconds = time.perf_counter() - begun
    return {"record": seconds / size, "disk": on_disk(folder) / size}


def diskcache_reads(folder: Path, size: int) -> dict[str, float]:
    """The loop again: every result is there."""
    batch = work.records(size)
    begun = time.perf_counter()
    with work.tuned(folder) as cache:
        for thread in batch:
            for step in ("tidy", "answer", "save"):
                assert cache.get(f"{step} {thread['id']}") is not None
    return {"record": (time.perf_counter() - begun) / size}


def plain(_folder: Path, size: int) -> dict[str, float]:
    """The loop that forgets everything."""
    batch = work.records(size)
    begun = time.perf_counter()
    for thread in batch:
        work.save(thread["id"], work.answer(work.tidy(thread))["label"])
    return {"record": (time.perf_counter() - begun) / size}


COLD, CACHED = ("nbflow", 0, "record"), ("nbflow", 1, "record")
PLAN = ("nbflow", 2, "record")
DISK, AGAIN = ("nbflow", 0, "disk"), ("nbflow", 1, "disk")

_MEMORY = "memory"
_BY_HAND = "diskcache set, tuned, 3 a record"

QUESTION = Question(
    "batch",
    "{size} records through a flow of 3 steps, from opening the store to closing it",
    (10_000, 50),
    {
        "nbflow": (send_sync, send_sync, plan),
        "async": (send_async,),
        "diskcache": (diskcache_writes, diskcache_reads),
        "bare": (bare_writes,),
        "plain": (plain,),
        "most": (most,),
    },
    (
        Row("cold", COLD, _BY_HAND, ("diskcache", 0, "record"), rate, 1.5),
        Row("cold", COLD, "bare SQLite INSERT, 3 a record (limit)", ("bare", 0, "record"), rate),
        Row("cold", COLD, "plain loop, nothing kept (limit)", ("plain", 0, "record"), rate),
        Row("cold, async", ("async", 0, "record"), _BY_HAND, ("diskcache", 0, "record"), rate),
        Row("all cached", CACHED, "nbflow, cold", COLD, rate, 6),
        Row("all cached", CACHED, "diskcache get, 3 a record", ("diskcache", 1, "record"), rate, 2),
        Row("plan of ten times as many", PLAN, "nbflow, all cached", CACHED, rate, 1),
        Row("on disk, a record", DISK, "at most", ("most", 0, "disk"), in_bytes, 1),
        Row("on disk, a record", DISK, "diskcache", ("diskcache", 0, "disk"), in_bytes),
        Row("on disk, a record sent again", AGAIN, "at most", ("most", 0, "again"), in_bytes, 1),
        Row("peak memory, cold", ("nbflow", 0, _MEMORY), "diskcache", ("diskcache", 0, _MEMORY), megabytes),
        Row("peak memory, cold", ("nbflow", 0, _MEMORY), "plain loop", ("plain", 0, _MEMORY), megabytes),
        Row("peak memory, async", ("async", 0, _MEMORY), "diskcache", ("diskcache", 0, _MEMORY), megabytes),
        Row("peak memory, cached", ("nbflow", 1, _MEMORY), "diskcache", ("diskcache", 1, _MEMORY), megabytes),
    ),
)  # fmt: skip
