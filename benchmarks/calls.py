"""What one durable step call costs: missed, executed and committed; and answered from the store."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, TypeVar

from benchmarks.contest import Question, Row, microseconds
from benchmarks.work import answer, text_of, tuned

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")

FIRST = -1  # a call before the others: the store opens, the code is read


SELECT = "SELECT data FROM results WHERE key = ?"


def timed(call: Callable[[T], object], arguments: Iterable[T]) -> float:
    """Seconds a call."""
    arguments = list(arguments)
    begun = time.perf_counter()
    for argument in arguments:
        call(argument)
    return (time.perf_counter() - begun) / len(arguments)


def cold(
    size: int,
    call: Callable[[str], object],
    close: Callable[[], object] = lambda: None,
    again: Callable[[str], object] | None = None,
) -> dict[str, float]:
    """Calls with texts that are new, then the same again, then the close."""
    texts = [text_of(number) for number in range(size)]
    once = timed(call, [text_of(FIRST)])
    figures = {"cold": timed(call, texts), "again": timed(again or call, texts)}
    begun = time.perf_counter()
    close()
    once += time.perf_counter() - begun
    return figures | {"whole": figures["cold"] + once / size}


def warm(size: int, call: Callable[[str], object]) -> dict[str, float]:
    """The same calls in a process that has not seen them, the first one included."""
    return {"reopened": timed(call, [text_of(number) for number in range(size)])}


def step(folder: Path) -> tuple[Callable[[str], object], Callable[[], None]]:
    """A step outside of any run, and how its store is closed."""
    import nbflow as nf
    from nbflow._session import SESSION

    nf.use(folder)
    return nf.step(answer), SESSION.engine.close


def memoized(folder: Path) -> Callable[[str], object]:
    """The same function behind diskcache's decorator."""
    return tuned(folder).memoize()(answer)  # type: ignore[no-any-return]  # untyped there


def remembered(folder: Path) -> Callable[[str], object]:
    """And behind joblib's."""
    import joblib

    return joblib.Memory(folder, verbose=0).cache(answer)  # type: ignore[no-any-return]  # untyped there


def sqlite(
    folder: Path, size: int
) -> tuple[sqlite3.Connection, list[tuple[str, bytes]]]:
    """A connection, and the rows of a table as lean as it gets.

    Neither keys nor bytes have to be made.
    """
    import sqlite3

    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID"
    )
    return connection, [_row(text_of(number)) for number in range(size)]


def _row(text: str) -> tuple[str, bytes]:
    key = hashlib.sha1(text.encode()).hexdigest()
    return key, json.dumps(answer(text)).encode()


def bare_cold(folder: Path, size: int) -> dict[str, float]:
    """One transaction a row, then one query a row."""
    connection, rows = sqlite(folder, size)

    def insert(row: tuple[str, bytes]) -> object:
        return connection.execute("INSERT INTO results VALUES (?, ?)", row)

    def select(key: tuple[str]) -> object:
        return connection.execute(SELECT, key).fetchone()

    seconds = timed(insert, rows)
    again = timed(select, [(key,) for key, _ in rows])
    begun = time.perf_counter()
    connection.close()
    whole = seconds + (time.perf_counter() - begun) / size
    return {"cold": seconds, "again": again, "whole": whole}


def bare_warm(folder: Path, size: int) -> dict[str, float]:
    """One query a row."""
    connection, rows = sqlite(folder, size)

    def select(key: tuple[str]) -> object:
        return connection.execute(SELECT, key).fetchone()

    return {"reopened": timed(select, [(key,) for key, _ in rows])}


def set_cold(folder: Path, size: int) -> dict[str, float]:
    """By hand: the text is the key, and nobody looks whether it is there."""
    cache = tuned(folder)

    def store(text: str) -> object:
        return cache.set(text, answer(text))

    return cold(size, store, cache.close, cache.get)


def get_warm(folder: Path, size: int) -> dict[str, float]:
    """By hand, again."""
    return warm(size, tuned(folder).get)


COLD = ("nbflow", 0, "cold")
WHOLE = ("nbflow", 0, "whole")
AGAIN = ("nbflow", 0, "again")
REOPENED = ("nbflow", 1, "reopened")
LIMIT = "bare SQLite INSERT, WAL, NORMAL (limit)"
SELECTED = "bare SQLite SELECT (limit)"

QUESTION = Question(
    "calls",
    "{size} direct calls of a step that returns a dict of 200 bytes, no two alike",
    (2_000, 50),
    {
        "nbflow": (
            lambda folder, size: cold(size, *step(folder)),
            lambda folder, size: warm(size, step(folder)[0]),
        ),
        "bare": (bare_cold, bare_warm),
        "set": (set_cold, get_warm),
        "memoize": (
            lambda folder, size: cold(size, memoized(folder)),
            lambda folder, size: warm(size, memoized(folder)),
        ),
        "joblib": (
            lambda folder, size: cold(size, remembered(folder)),
            lambda folder, size: warm(size, remembered(folder)),
        ),
    },
    (
        Row("cold call", COLD, LIMIT, ("bare", 0, "cold"), microseconds),
        Row("cold call", COLD, "diskcache set, tuned", ("set", 0, "cold"), microseconds),
        Row("cold call", COLD, "diskcache memoize, tuned", ("memoize", 0, "cold"), microseconds, 3),
        Row("cold call", COLD, "joblib.Memory", ("joblib", 0, "cold"), microseconds, 10),
        Row("cold call, first one and close", WHOLE, LIMIT, ("bare", 0, "whole"), microseconds, 1),
        Row("cold call, first one and close", WHOLE, "diskcache set, tuned", ("set", 0, "whole"), microseconds),
        Row("cold call, first one and close", WHOLE, "diskcache memoize, tuned", ("memoize", 0, "whole"), microseconds),
        Row("warm call, same process", AGAIN, SELECTED, ("bare", 0, "again"), microseconds, 1 / 1.5),
        Row("warm call, same process", AGAIN, "diskcache get", ("set", 0, "again"), microseconds),
        Row("warm call, same process", AGAIN, "diskcache memoize", ("memoize", 0, "again"), microseconds),
        Row("warm call, same process", AGAIN, "joblib.Memory", ("joblib", 0, "again"), microseconds),
        Row("warm call, new process", REOPENED, SELECTED, ("bare", 1, "reopened"), microseconds, 1 / 2),
        Row("warm call, new process", REOPENED, "diskcache get", ("set", 1, "reopened"), microseconds),
        Row("warm call, new process", REOPENED, "diskcache memoize", ("memoize", 1, "reopened"), microseconds),
        Row("warm call, new process", REOPENED, "joblib.Memory", ("joblib", 1, "reopened"), microseconds),
    ),
)  # fmt: skip
