"""What the key of a call costs: the digests of frames, arrays and records, all of their content."""

from __future__ import annotations

import hashlib
import pickle
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contest import Question, Row, megabytes, microseconds, milliseconds
from benchmarks.work import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_RESET = Path("/proc/self/clear_refs")


def mixed(size: int) -> Any:
    """A pandas frame of ten columns as they come from a CSV file: text, dates, categories, numbers with holes."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    numbers = rng.integers(0, 10**6, (3, size))
    return pd.DataFrame(
        {
            "id": np.arange(size),
            "customer": numbers[0],
            "stars": pd.array(numbers[1] % 5, dtype="Int64"),
            "price": np.where(numbers[2] % 10, rng.random(size), np.nan),
            "weight": rng.random(size),
            "paid": numbers[0] % 2 == 0,
            "channel": pd.Categorical.from_codes(
                numbers[1] % 3, ["mail", "chat", "phone"]
            ),
            "opened": pd.Timestamp("2026-01-01")
            + pd.to_timedelta(numbers[2], unit="s"),
            "name": [f"customer {number}" for number in numbers[0].tolist()],
            "body": [
                f"the export of invoice {number} ends with an error"
                if number % 9
                else None
                for number in numbers[1].tolist()
            ],
        }
    )


def mixed_polars(size: int) -> Any:
    """The same in polars."""
    import polars as pl

    return pl.from_pandas(mixed(size))


def mixed_objects(size: int) -> Any:
    """The same in pandas, with its texts as Python objects: what pandas 2 reads a file into."""
    return mixed(size).astype({"name": object, "body": object})


def numeric(size: int) -> Any:
    """A pandas frame of ten columns of floats."""
    import numpy as np
    import pandas as pd

    return pd.DataFrame(
        np.random.default_rng(7).random((size, 10)), columns=list("abcdefghij")
    ).copy()


def array(size: int) -> Any:
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


def bytes_of(value: Any) -> list[Any]:
    """The bytes that a pass over a value has to read, in the most compact form that it has."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, np.ndarray):
        return [value.data.cast("B")]
    table = (
        value.to_arrow() if hasattr(value, "to_arrow") else pa.Table.from_pandas(value)
    )
    return [
        buffer
        for column in table.columns
        for chunk in column.chunks
        for buffer in chunk.buffers()
        if buffer
    ]


def extra_memory(call: Callable[[], object]) -> float:
    """What a call takes at its peak beside what was there before, in MB; where nothing resets the peak, at least that."""
    before = _peak(reset=True)
    call()
    return max(_peak() - before, 1.0)


def _peak(*, reset: bool = False) -> float:
    if not _RESET.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10)
    if reset:
        _RESET.write_text("5")
    found = [
        line.split()[1]
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(found[0]) / (1 << 10)


def measured(
    make: Callable[[int], Any],
    hashed: Callable[[Any], object],
    prepare: Callable[[Any], Any] = lambda value: value,
) -> Callable[[Path, int], dict[str, float]]:
    """An act: the digest of one large value, the second time; a first pass takes what is only done once in a process."""

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
    hashed: Callable[[Any], object], prepare: Callable[[Any], Any] = lambda value: value
) -> list[Callable[[Path, int], dict[str, float]]]:
    """An act for each large value."""
    return [measured(make, hashed, prepare) for make in FRAMES.values()]


def on_records(
    hashed: Callable[[Any], object],
) -> Callable[[Path, int], dict[str, float]]:
    """An act: small dicts, one at a time."""

    def act(_folder: Path, size: int) -> dict[str, float]:
        batch = records(max(size // 10, 10))
        hashed(batch[0])
        begun = time.perf_counter()
        for record in batch:
            hashed(record)
        return {"record": (time.perf_counter() - begun) / len(batch)}

    return act


def nbflow_digest(value: Any) -> bytes:
    """What is claimed."""
    from nbflow._key.reader import digest

    return digest(value)


def nbflow_calls(folder: Path, size: int) -> dict[str, float]:
    """Each record as the argument of a step, its code read before."""
    from nbflow._key.call import Binder, call_key

    def step(thread: dict[str, Any], model: str = "small") -> None: ...

    binder, code = Binder(step), bytes(20)
    return on_records(
        lambda record: call_key("step", code, binder.arguments((record,), {}))
    )(folder, size)


def joblib_hash(value: Any) -> str | None:
    """What joblib.Memory makes of an argument: the MD5 of its pickle."""
    import joblib

    return joblib.hash(value)  # type: ignore[no-any-return]


def pandas_hash(value: Any) -> object:
    """A hash a row, without names and dtypes."""
    import pandas as pd

    return pd.util.hash_pandas_object(value).sum()


def one_pass(parts: Iterable[Any]) -> bytes:
    """BLAKE3 in one thread."""
    from blake3 import blake3

    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def fast_pass(parts: Iterable[Any]) -> bytes:
    """XXH3, which does not withstand somebody who wants two values to collide."""
    import xxhash

    hasher = xxhash.xxh3_128()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def pickled(value: Any) -> bytes:
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
LIMITED = (
    "numeric",
    "array",
)  # nothing but bytes to hash: BLAKE3 is the limit, and seven times joblib's MD5
RECORDS, CALLS = (
    ("nbflow", len(FRAMES), "record"),
    ("nbflow", len(FRAMES) + 1, "record"),
)


def against(
    what: str,
    name: str,
    against: str,
    theirs: str,
    figure: str,
    show: Callable[[float], str],
    aim: float | None = None,
) -> Row:
    """A row about one of the large values."""
    return Row(
        what,
        ("nbflow", PLACES[name], figure),
        against,
        (theirs, PLACES[name] if theirs != "rows" else name == "numeric", figure),
        show,
        aim,
    )


QUESTION = Question(
    "keys",
    "digests of frames of {size} rows and 10 columns, of an array of 512 bytes a row, of a tenth as many records",
    (1_000_000, 1_000),
    {
        "nbflow": (*on_frames(nbflow_digest), on_records(nbflow_digest), nbflow_calls),
        "joblib": (*on_frames(joblib_hash), on_records(joblib_hash)),
        "rows": (measured(mixed, pandas_hash), measured(numeric, pandas_hash)),
        "blake3": tuple(on_frames(one_pass, bytes_of)),
        "xxh3": tuple(on_frames(fast_pass, bytes_of)),
        "pickle": (on_records(pickled),),
        "wanted": (lambda _folder, _size: {"record": 10e-6},),
    },
    (
        *(
            against(
                SAID[name],
                name,
                "raw BLAKE3, one thread (limit)",
                "blake3",
                "byte",
                gigabytes,
                0.7 if name in LIMITED else None,
            )
            for name in FRAMES
        ),
        *(
            against(SAID[name], name, "raw XXH3 (limit)", "xxh3", "byte", gigabytes)
            for name in FRAMES
        ),
        *(
            against(
                SAID[name],
                name,
                "joblib.hash",
                "joblib",
                "wall",
                milliseconds,
                None if name in LIMITED else 10,
            )
            for name in FRAMES
        ),
        against(
            SAID["mixed"],
            "mixed",
            "pandas.util.hash_pandas_object",
            "rows",
            "wall",
            milliseconds,
        ),
        against(
            SAID["numeric"],
            "numeric",
            "pandas.util.hash_pandas_object",
            "rows",
            "wall",
            milliseconds,
        ),
        *(
            against(
                f"peak memory, {SAID[name]}",
                name,
                "joblib.hash",
                "joblib",
                "extra",
                megabytes,
            )
            for name in FRAMES
        ),
        Row(
            "record",
            RECORDS,
            "10 us (wanted)",
            ("wanted", 0, "record"),
            microseconds,
            1,
        ),
        Row(
            "record",
            RECORDS,
            "joblib.hash",
            ("joblib", len(FRAMES), "record"),
            microseconds,
        ),
        Row(
            "record",
            RECORDS,
            "pickle and BLAKE2b",
            ("pickle", 0, "record"),
            microseconds,
        ),
        Row(
            "record, key of a call",
            CALLS,
            "10 us (wanted)",
            ("wanted", 0, "record"),
            microseconds,
            1,
        ),
        Row(
            "record, key of a call",
            CALLS,
            "joblib.hash",
            ("joblib", len(FRAMES), "record"),
            microseconds,
        ),
    ),
)
