"""What the key of a call costs: the digests of frames, arrays and records, all of their content."""

from __future__ import annotations

import hashlib
import pickle
import re
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.contest import Question, Row, megabytes, microseconds, milliseconds
from benchmarks.work import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import pandas as pd
    import polars as pl
    from typing_extensions import Buffer

    from benchmarks.contest import Act
    from benchmarks.work import Record

#: A frame, an array or a record: what is hashed.
Value: TypeAlias = Any

_RESET = Path("/proc/self/clear_refs")


def mixed(size: int) -> pd.DataFrame:
    """A pandas frame of ten columns as they come from a CSV file.

    Text, dates, categories, numbers with holes.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    numbers = rng.integers(0, 10**6, (3, size))
    start = pd.Timestamp("2026-01-01")
    channels = ["mail", "chat", "phone"]
    return pd.DataFrame(
        {
            "id": np.arange(size),
            "customer": numbers[0],
            "stars": pd.array(numbers[1] % 5, dtype="Int64"),
            "price": np.where(numbers[2] % 10, rng.random(size), np.nan),
            "weight": rng.random(size),
            "paid": numbers[0] % 2 == 0,
            "channel": pd.Categorical.from_codes(numbers[1] % 3, channels),
            "opened": start + pd.to_timedelta(numbers[2], unit="s"),
            "name": [f"customer {number}" for number in numbers[0].tolist()],
            "body": [_body(number) for number in numbers[1].tolist()],
        }
    )


def _body(number: int) -> str | None:
    """A text, or none."""
    if number % 9 == 0:
        return None
    return f"the export of invoice {number} ends with an error"


def mixed_polars(size: int) -> pl.DataFrame:
    """The same in polars."""
    import polars as pl

    return pl.from_pandas(mixed(size))


def mixed_objects(size: int) -> pd.DataFrame:
    """The same in pandas, with its texts as Python objects: what pandas 2 reads a file into."""
    return mixed(size).astype({"name": object, "body": object})


def numeric(size: int) -> pd.DataFrame:
    """A pandas frame of ten columns of floats."""
    import numpy as np
    import pandas as pd

    numbers = np.random.default_rng(7).random((size, 10))
    return pd.DataFrame(numbers, columns=list("abcdefghij")).copy()


def array(size: int) -> np.ndarray:
    """An array of 512 bytes a row."""
    import numpy as np

    return np.random.default_rng(7).random((size, 64))


FRAMES = {
    "mixed": mixed,
    "polars": mixed_polars,
    "objects": mixed_objects,
    "numeric": numeric,
    "array": array,
}


def bytes_of(value: Value) -> list[Buffer]:
    """The bytes that a pass over a value has to read, in its most compact form."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, np.ndarray):
        return [value.data.cast("B")]
    to_arrow = getattr(value, "to_arrow", None)
    table = pa.Table.from_pandas(value) if to_arrow is None else to_arrow()
    chunks = [chunk for column in table.columns for chunk in column.chunks]
    return [buffer for chunk in chunks for buffer in chunk.buffers() if buffer]


def extra_memory(call: Callable[[], object]) -> float:
    """What a call takes at its peak beside what was there before, in MB.

    Where nothing resets the peak, at least that.
    """
    before = _peak(reset=True)
    call()
    return max(_peak() - before, 1.0)


def _peak(*, reset: bool = False) -> float:
    if not _RESET.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10)
    if reset:
        _RESET.write_text("5")
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)
    return int(kilobytes) / (1 << 10)


def same(value: Value) -> Value:
    """What is hashed as it is."""
    return value


def measured(
    make: Callable[[int], Value],
    hashed: Callable[[Value], object],
    prepare: Callable[[Value], Value] = same,
) -> Act:
    """An act: the digest of one large value, the second time.

    A first pass takes what is only done once in a process.
    """

    def act(_folder: Path, size: int) -> dict[str, float]:
        value = make(size)
        length = sum(memoryview(part).nbytes for part in bytes_of(value))
        value = prepare(value)
        hashed(prepare(make(10)))
        extra = extra_memory(lambda: hashed(value))
        begun = time.perf_counter()
        hashed(value)
        taken = time.perf_counter() - begun
        return {"wall": taken, "byte": taken / length, "extra": extra}

    return act


def on_frames(
    hashed: Callable[[Value], object], prepare: Callable[[Value], Value] = same
) -> list[Act]:
    """An act for each large value."""
    return [measured(make, hashed, prepare) for make in FRAMES.values()]


def on_records(hashed: Callable[[Record], object]) -> Act:
    """An act: small dicts, one at a time."""

    def act(_folder: Path, size: int) -> dict[str, float]:
        batch = records(max(size // 10, 10))
        hashed(batch[0])
        begun = time.perf_counter()
        for record in batch:
            hashed(record)
        return {"record": (time.perf_counter() - begun) / len(batch)}

    return act


def on_batch(hashed: Callable[[Value], object]) -> Act:
    """An act: a list of small dicts as one value."""

    def act(_folder: Path, size: int) -> dict[str, float]:
        batch = records(max(size // 10, 10))
        hashed(batch[:10])
        begun = time.perf_counter()
        hashed(batch)
        return {"wall": time.perf_counter() - begun}

    return act


def nbflow_digest(value: Value) -> bytes:
    """What is claimed."""
    from nbflow._key.reader import digest

    return digest(value)


def nbflow_calls(folder: Path, size: int) -> dict[str, float]:
    """Each record as the argument of a step, its code read before."""
    from nbflow._key.call import Binder, call_key

    def step(thread: Record, model: str = "small") -> None: ...

    binder = Binder(step)
    code = bytes(20)

    def key(record: Record) -> object:
        return call_key("step", code, binder.arguments((record,), {}))

    return on_records(key)(folder, size)


def joblib_hash(value: Value) -> str | None:
    """What joblib.Memory makes of an argument: the MD5 of its pickle."""
    import joblib

    return joblib.hash(value)  # type: ignore[no-any-return]  # untyped there


def dask_tokenize(value: Value) -> str:
    """What dask calls a value: another text for another chunking, mostly of no cryptographic hash."""
    from dask.tokenize import tokenize

    return tokenize(value)  # type: ignore[no-any-return]  # untyped where it is not installed


def pandas_hash(value: pd.DataFrame) -> object:
    """A hash a row, without names and dtypes."""
    import pandas as pd

    return pd.util.hash_pandas_object(value).sum()


def one_pass(parts: Iterable[Buffer]) -> bytes:
    """BLAKE3 in one thread."""
    from blake3 import blake3

    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def fast_pass(parts: Iterable[Buffer]) -> bytes:
    """XXH3, which does not withstand somebody who wants two values to collide."""
    import xxhash

    hasher = xxhash.xxh3_128()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def pickled(value: Record) -> bytes:
    """The digest of the pickle, which changes with who shares what."""
    return hashlib.blake2b(pickle.dumps(value, 5)).digest()


def gigabytes(value: float) -> str:
    """Seconds a byte as gigabytes a second."""
    return f"{1e-9 / value:.1f} GB/s"


PLACES = {name: place for place, name in enumerate(FRAMES)}
SAID = {
    "mixed": "mixed pandas frame",
    "polars": "mixed polars frame",
    "objects": "mixed pandas, object texts",
    "numeric": "numeric pandas frame",
    "array": "numpy array",
}
#: The frames that dask is asked about, and how many times as fast nbflow wants to be.
DASK = {"numeric": 0.5, "polars": None, "array": None}
#: Seconds that a digest wants to take of a million rows, or of a hundred thousand records.
WANTED_WALLS = {"polars": 0.025, "array": 0.045}
WANTED_BATCH = 0.1
BATCH = ("nbflow", len(FRAMES) + 2, "wall")
#: Nothing but bytes to hash: BLAKE3 is the limit, and seven times joblib's MD5.
LIMITED = ("numeric", "array")
RECORDS = ("nbflow", len(FRAMES), "record")
CALLS = ("nbflow", len(FRAMES) + 1, "record")
WANTED = ("wanted", 0, "record")
JOBLIB = ("joblib", len(FRAMES), "record")


def against(
    name: str,
    against: str,
    theirs: str,
    figure: str,
    show: Callable[[float], str],
    aim: float | None = None,
) -> Row:
    """A row about one of the large values."""
    ours = ("nbflow", PLACES[name], figure)
    return Row(SAID[name], ours, against, (theirs, PLACES[name], figure), show, aim)


def to_blake3(name: str) -> Row:
    """What is left of the speed of the hash itself."""
    aim = 0.7 if name in LIMITED else None
    limit = "raw BLAKE3, one thread (limit)"
    return against(name, limit, "blake3", "byte", gigabytes, aim)


def to_xxh3(name: str) -> Row:
    """The same of a faster one."""
    return against(name, "raw XXH3 (limit)", "xxh3", "byte", gigabytes)


def to_joblib(name: str) -> Row:
    """The rival."""
    aim = None if name in LIMITED else 10
    return against(name, "joblib.hash", "joblib", "wall", milliseconds, aim)


def to_pandas(name: str, place: int) -> Row:
    """pandas, which has an act for two of the frames only."""
    row = against(name, "pandas.util.hash_pandas_object", "rows", "wall", milliseconds)
    return row._replace(theirs=("rows", place, "wall"))


def to_dask(name: str, place: int) -> Row:
    """dask, which looks at some of the frames."""
    row = against(name, "dask.tokenize", "dask", "wall", milliseconds, DASK[name])
    return row._replace(theirs=("dask", place, "wall"))


def to_wanted(name: str) -> Row:
    """A time that was wished for."""
    wall = f"{1000 * WANTED_WALLS[name]:.0f} ms (wanted)"
    row = against(name, wall, "wanted", "wall", milliseconds, 1)
    return row._replace(theirs=("wanted", 0, name))


def memory(name: str) -> Row:
    """What a digest needs beside the value."""
    row = against(name, "joblib.hash", "joblib", "extra", megabytes)
    return row._replace(what=f"peak memory, {SAID[name]}")


QUESTION = Question(
    "keys",
    "digests of frames of {size} rows and 10 columns, of an array of 512 bytes a row, "
    "of a tenth as many records",
    (1_000_000, 1_000),
    {
        "nbflow": (
            *on_frames(nbflow_digest),
            on_records(nbflow_digest),
            nbflow_calls,
            on_batch(nbflow_digest),
        ),
        "joblib": (*on_frames(joblib_hash), on_records(joblib_hash)),
        "rows": (measured(mixed, pandas_hash), measured(numeric, pandas_hash)),
        "blake3": tuple(on_frames(one_pass, bytes_of)),
        "xxh3": tuple(on_frames(fast_pass, bytes_of)),
        "pickle": (on_records(pickled),),
        "dask": tuple(measured(FRAMES[name], dask_tokenize) for name in DASK),
        "wanted": (
            lambda _folder, _size: {"record": 10e-6, "batch": WANTED_BATCH} | WANTED_WALLS,
        ),
    },
    (
        *map(to_blake3, FRAMES),
        *map(to_xxh3, FRAMES),
        *map(to_joblib, FRAMES),
        *(to_dask(name, place) for place, name in enumerate(DASK)),
        *map(to_wanted, WANTED_WALLS),
        Row("records in a list", BATCH, "100 ms (wanted)", ("wanted", 0, "batch"), milliseconds, 1),
        to_pandas("mixed", 0),
        to_pandas("numeric", 1),
        *map(memory, FRAMES),
        Row("record", RECORDS, "10 us (wanted)", WANTED, microseconds, 1),
        Row("record", RECORDS, "joblib.hash", JOBLIB, microseconds),
        Row("record", RECORDS, "pickle and BLAKE2b", ("pickle", 0, "record"), microseconds),
        Row("record, key of a call", CALLS, "10 us (wanted)", WANTED, microseconds, 1),
        Row("record, key of a call", CALLS, "joblib.hash", JOBLIB, microseconds),
    ),
)  # fmt: skip
