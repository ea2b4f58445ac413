"""What a frame costs as the result of a step: kept on disk, and loaded again, its MAC verified."""

from __future__ import annotations

import itertools
import mmap
import os
import pickle
import statistics
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.contest import Question, Row, milliseconds
from benchmarks.keys import bytes_of, mixed, mixed_objects, mixed_polars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from benchmarks.contest import Act

#: A frame, a table or an array.
Value: TypeAlias = Any
#: Of a folder and a function of a number: the same function, whose results are kept there.
Keeper: TypeAlias = "Callable[[Path, Callable[[int], Value]], Callable[[int], Value]]"


def numbers(size: int) -> pd.DataFrame:
    """A pandas frame of six columns of floats, three of integers and one of categories."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    data: dict[str, Any] = {f"f{place}": rng.random(size) for place in range(6)}
    data |= {f"i{place}": rng.integers(0, 10**6, size) for place in range(3)}
    codes = rng.integers(0, 3, size)
    data["channel"] = pd.Categorical.from_codes(codes, ["mail", "chat", "phone"])
    return pd.DataFrame(data)


def numbers_polars(size: int) -> pl.DataFrame:
    """A polars frame of nine columns of numbers and one of short texts."""
    import polars as pl

    frame = pl.from_pandas(numbers(size).drop(columns="channel"))
    texts = [f"customer {number}" for number in frame["i0"].to_list()]
    return frame.with_columns(name=pl.Series(texts))


def table(size: int) -> pa.Table:
    """An Arrow table of numbers, dates and texts."""
    import pyarrow as pa

    return pa.Table.from_pandas(mixed(size), preserve_index=False)


def array(size: int) -> np.ndarray:
    """An array of ten floats a row."""
    import numpy as np

    return np.random.default_rng(7).random((size, 10))


VALUES = {
    "pandas": numbers,
    "mixed": mixed,
    "objects": mixed_objects,
    "polars": numbers_polars,
    "mixed polars": mixed_polars,
    "arrow": table,
    "numpy": array,
}
SAID = {
    "pandas": "pandas, numbers",
    "mixed": "pandas, mixed",
    "objects": "pandas, object texts",
    "polars": "polars, numbers and a text",
    "mixed polars": "polars, mixed",
    "arrow": "Arrow table, mixed",
    "numpy": "numpy array",
}
_TIMES = 5


def measured(keep: Keeper, names: Iterable[str]) -> Act:
    """An act: for each large value, calls that compute nothing and return it, then the same again.

    The first call, with a small value, takes what is only done once in a process.
    """

    def act(folder: Path, size: int) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in names:
            make = VALUES[name]
            (folder / name).mkdir()
            values = {-1: make(10)}
            kept = keep(folder / name, lambda number, held=values: held[min(number, 0)])
            kept(-1)
            kept(-1)
            values[0] = make(size)
            figures |= {f"{name} {what}": taken for what, taken in timed(kept).items()}
        return figures

    return act


def timed(kept: Callable[[int], Value]) -> dict[str, float]:
    """The medians of what a store and a load take."""
    taken: dict[str, list[float]] = {"store": [], "load": []}
    for number in range(_TIMES):
        for times in taken.values():
            begun = time.perf_counter()
            found = kept(number)
            times.append(time.perf_counter() - begun)
            del found
    return {what: statistics.median(times) for what, times in taken.items()}


def by_nbflow(folder: Path, compute: Callable[[int], Value]) -> Callable[[int], Value]:
    """A step outside of any run; what it returns is no part of its key."""
    import nbflow as nf

    nf.use(folder)

    def give(number: int) -> Value:
        return compute(number)

    return nf.step(ignore=["compute"])(give)  # type: ignore[no-any-return]  # of any function


def by_joblib(folder: Path, compute: Callable[[int], Value]) -> Callable[[int], Value]:
    """The same function behind joblib's decorator: a pickle, no MAC."""
    import joblib

    def give(number: int) -> Value:
        return compute(number)

    return joblib.Memory(folder, verbose=0).cache(give)  # type: ignore[no-any-return]  # untyped there


def by_pickle(folder: Path, compute: Callable[[int], Value]) -> Callable[[int], Value]:
    """The buffers of a pickle in a file that is mapped: the limit where pickle copies nothing."""

    def give(number: int) -> Value:
        file = folder / str(number)
        if not file.exists():
            value = compute(number)
            buffers: list[pickle.PickleBuffer] = []
            head = pickle.dumps(value, 5, buffer_callback=buffers.append)
            views = [buffer.raw() for buffer in buffers]
            with file.open("wb", buffering=0) as opened:
                for view in views:
                    opened.write(view)
            lengths = [view.nbytes for view in views]
            file.with_suffix(".head").write_bytes(pickle.dumps((head, lengths)))
            return value
        head, lengths = pickle.loads(file.with_suffix(".head").read_bytes())
        with file.open("rb") as opened:
            length = os.fstat(opened.fileno()).st_size
            mapped = memoryview(
                mmap.mmap(opened.fileno(), length, access=mmap.ACCESS_COPY)
            )
        places = [sum(lengths[:place]) for place in range(len(lengths) + 1)]
        parts = [mapped[a:b] for a, b in itertools.pairwise(places)]
        return pickle.loads(head, buffers=parts)

    return give


def by_bytes(folder: Path, compute: Callable[[int], Value]) -> Callable[[int], Value]:
    """Nothing but the bytes of the value, written, and read into fresh memory."""
    import numpy as np

    parts_of: dict[int, list[Any]] = {}

    def give(number: int) -> Value:
        file = folder / str(number)
        if file.exists():
            return np.fromfile(file, np.uint8)
        value = compute(number)
        if id(value) not in parts_of:
            whole = SimpleNamespace(to_arrow=lambda: value)
            is_table = type(value).__name__ == "Table"
            parts_of[id(value)] = bytes_of(whole if is_table else value)
        parts = parts_of[id(value)]
        with file.open("wb", buffering=0) as opened:
            for part in parts:
                opened.write(part)
        return value

    return give


KEEPERS: dict[str, Keeper] = {
    "nbflow": by_nbflow,
    "joblib": by_joblib,
    "pickle": by_pickle,
    "bytes": by_bytes,
}
AGAINST = {
    "joblib": "joblib, no MAC",
    "pickle": "pickled buffers, mapped (limit)",
    "bytes": "its bytes alone, not mapped",
}
#: How many times as good as somebody a store and a load want to be.
AIMS = {
    ("pandas", "joblib"): (1 / 1.5, 1 / 1.2),
    ("pandas", "pickle"): (None, None),
    ("mixed", "joblib"): (1 / 1.5, 1 / 1.2),
    ("objects", "joblib"): (1.0, 1.0),
    ("polars", "joblib"): (1.0, 1.0),
    ("polars", "bytes"): (None, None),
    ("mixed polars", "joblib"): (1.0, 1.0),
    ("arrow", "joblib"): (1.0, 1.0),
    ("arrow", "bytes"): (1 / 1.5, 1.0),
    ("numpy", "joblib"): (1 / 1.5, 1 / 1.2),
    ("numpy", "bytes"): (1 / 1.5, 1.0),
}


def row(value: str, what: str, theirs: str, aim: float | None) -> Row:
    """A row about a store or a load."""
    figure = f"{value} {what}"
    ours, other = ("nbflow", 0, figure), (theirs, 0, figure)
    said = f"{SAID[value]}, {what}"
    return Row(said, ours, AGAINST[theirs], other, milliseconds, aim)


def compared(name: str) -> list[str]:
    """The values that a contestant keeps."""
    ours = list(VALUES)
    return [value for value in ours if name == "nbflow" or (value, name) in AIMS]


QUESTION = Question(
    "frames",
    "results of {size} rows and 10 columns, kept and loaded again",
    (1_000_000, 1_000),
    {name: (measured(keep, compared(name)),) for name, keep in KEEPERS.items()},
    tuple(
        row(value, what, theirs, aim)
        for (value, theirs), aims in AIMS.items()
        for what, aim in zip(("store", "load"), aims, strict=True)
    ),
)
