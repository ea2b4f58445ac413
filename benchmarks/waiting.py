"""How much of the time that calls wait for a network is left: concurrency, and what the engine adds to it."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.contest import Question, Row, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Record

EVENT = "support/thread.created"
WAIT, WIDTH = 0.05, 64


def sent(folder: Path, size: int) -> dict[str, float]:
    """A batch, from the call of send to its return. A record before it takes what is only done once in a process."""
    import nbflow as nf

    nf.use(folder)
    nf.send(EVENT, [{"id": size}], key="id")
    begun = time.perf_counter()
    nf.send(
        EVENT, [{"id": number} for number in range(size)], key="id", max_in_flight=WIDTH
    )
    return {"wall": time.perf_counter() - begun}


def send_async(folder: Path, size: int) -> dict[str, float]:
    """An async step in an async flow."""
    import nbflow as nf

    @nf.step(concurrency=WIDTH)
    async def ask(number: int) -> int:
        await asyncio.sleep(WAIT)
        return number

    @nf.flow(on=EVENT)
    async def triage(thread: Record) -> int:
        return await ask(thread["id"])

    return sent(folder, size)


def send_sync(folder: Path, size: int) -> dict[str, float]:
    """A sync step in a sync flow."""
    import nbflow as nf

    @nf.step
    def ask(number: int) -> int:
        time.sleep(WAIT)
        return number

    @nf.flow(on=EVENT)
    def triage(thread: Record) -> int:
        return ask(thread["id"])

    return sent(folder, size)


def gathered(_folder: Path, size: int) -> dict[str, float]:
    """asyncio and a semaphore, nothing kept."""

    async def ask(free: asyncio.Semaphore) -> None:
        async with free:
            await asyncio.sleep(WAIT)

    async def all_of_them() -> None:
        free = asyncio.Semaphore(WIDTH)
        await asyncio.gather(*(ask(free) for _ in range(size)))

    begun = time.perf_counter()
    asyncio.run(all_of_them())
    return {"wall": time.perf_counter() - begun}


def pooled(_folder: Path, size: int) -> dict[str, float]:
    """A thread pool, nothing kept."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(time.sleep, [WAIT] * size))
    return {"wall": time.perf_counter() - begun}


def ideal(_folder: Path, size: int) -> dict[str, float]:
    """As many waves as it takes."""
    return {"wall": math.ceil(size / WIDTH) * WAIT}


ASYNC, SYNC = ("async", 0, "wall"), ("sync", 0, "wall")

QUESTION = Question(
    "waiting",
    f"{{size}} records that wait {WAIT * 1000:.0f} ms each, {WIDTH} at once",
    (500, WIDTH),
    {
        "async": (send_async,),
        "gathered": (gathered,),
        "sync": (send_sync,),
        "pooled": (pooled,),
        "ideal": (ideal,),
    },
    (
        Row("async step", ASYNC, "ideal (limit)", ("ideal", 0, "wall"), seconds, 1 / 1.07),
        Row("async step", ASYNC, "asyncio.Semaphore, nothing kept", ("gathered", 0, "wall"), seconds),
        Row("sync step", SYNC, "ideal (limit)", ("ideal", 0, "wall"), seconds, 1 / 1.1),
        Row("sync step", SYNC, "ThreadPoolExecutor, nothing kept", ("pooled", 0, "wall"), seconds),
    ),
)  # fmt: skip
