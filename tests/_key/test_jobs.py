"""How large values are digested changes no digest: on one thread or two, whole or in pieces, one by one or in bulk."""

import os
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow._key import beside, jobs, value
from nbflow._key.reader import digest
from nbflow._key.types import arrays, arrow, frames, polars_frames
from nbflow._key.value import is_plain
from nbflow.errors import UnkeyableError

ROWS = 3_000


def helper():
    return 1


def frame(objects=()):
    start = pd.Timestamp("2026-01-01")
    data = {
        "i": np.arange(ROWS),
        "f": np.where(np.arange(ROWS) % 7, np.arange(ROWS) / 3, np.nan),
        "b": np.arange(ROWS) % 2 == 0,
        "c": pd.Categorical.from_codes(np.arange(ROWS) % 2, ["a", "b"]),
        "o": pd.Categorical.from_codes(np.arange(ROWS) % 2, [(1, 2), "b"]),
        "t": start + pd.to_timedelta(np.arange(ROWS), unit="s"),
        "z": start.tz_localize("Europe/Berlin") + pd.to_timedelta(np.arange(ROWS), unit="s"),
        "p": pd.period_range("2026", periods=ROWS, freq="D"),
        "v": pd.interval_range(0, periods=ROWS),
        "n": pd.array(np.arange(ROWS), dtype="Int64"),
        "s": [f"text {n}" for n in range(ROWS)],
        "a": pd.array(range(ROWS), dtype=pd.ArrowDtype(pa.int32())),
        "r": pd.arrays.SparseArray(np.arange(ROWS) % 5),
    }  # fmt: skip
    return pd.DataFrame(
        data
        | {
            f"x{n}": pd.Series([item] * ROWS, dtype=object)
            for n, item in enumerate(objects)
        }
    )


shared = [1, 2]
VALUES = {
    "pandas": frame,
    "objects": lambda: frame(["a text", shared, shared, (1, 2)]),
    "code": lambda: frame([helper, len, helper]),
    "index": lambda: frame().set_index("s"),
    "multi": lambda: frame(["a"]).set_index(["s", "x0"]),
    "named": lambda: frame().rename_axis([("a", helper)]),
    "days": lambda: pd.DataFrame({"a": 1.0, "b": 2}, index=pd.date_range("2026", periods=ROWS)),
    "backwards": lambda: pd.DataFrame({"a": np.arange(ROWS)}, index=pd.RangeIndex(7 * ROWS, 0, -7)),
    "polars": lambda: pl.from_pandas(frame()[["i", "f", "b", "c", "t", "z", "s"]]),
    "nested": lambda: pl.DataFrame({"l": [[n, None] for n in range(ROWS)], "s": [{"a": "x"}] * ROWS}),
    "python": lambda: pl.DataFrame({"o": pl.Series([object] * ROWS, dtype=pl.Object), "i": range(ROWS)}),
    "arrow": lambda: pa.Table.from_pandas(frame()[["i", "f", "b", "c", "t", "z", "s"]]),
}  # fmt: skip


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_two_threads_find_what_one_finds(monkeypatch, make):
    """Columns of objects stay on the first: what they share and call has an order."""
    made = make()
    monkeypatch.setattr(jobs, "_LARGE", 1)
    found = {}
    for cpus in (1, 2):
        monkeypatch.setattr(jobs, "_CPUS", cpus)
        found[cpus] = value.identify(made)
    assert found[1] == found[2]
    monkeypatch.setattr(jobs, "_CPUS", 2)
    with monkeypatch.context() as patch:

        def refuse(self):
            raise RuntimeError("can't start new thread")

        patch.setattr(beside.threading.Thread, "start", refuse)
        assert value.identify(made) == found[1]


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_two_threads_share_the_columns(monkeypatch, library):
    """Those of numbers, times and text."""
    seen = set()
    both = threading.Barrier(2, timeout=30)
    made = pd.DataFrame({"f": np.arange(ROWS) / 3, "i": np.arange(ROWS)})
    make = {
        "pandas": pd.DataFrame,
        "polars": pl.from_pandas,
        "arrow": pa.Table.from_pandas,
    }

    def meeting(*args):
        seen.add(threading.get_ident())
        both.wait()
        return real(*args)

    monkeypatch.setattr(jobs, "_LARGE", 1)
    monkeypatch.setattr(jobs, "_CPUS", 2)
    where = {
        "pandas": (frames, "_named"),
        "polars": (polars_frames, "_series"),
        "arrow": (arrow, "column"),
    }
    module, name = where[library]
    real = getattr(module, name)
    monkeypatch.setattr(module, name, meeting)
    digest(make[library](made))
    assert len(seen) == 2


def test_a_column_that_cannot_be_keyed_is_named(monkeypatch):
    """Whichever thread meets it."""
    monkeypatch.setattr(jobs, "_LARGE", 1)
    monkeypatch.setattr(jobs, "_CPUS", 2)
    with pytest.raises(UnkeyableError, match=r'"x1"'):
        digest(frame(["a", (n for n in ())]))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "c16", "M8[s]", "U3"])
@pytest.mark.parametrize("size", [1, 1000, 99_999])
def test_an_array_has_one_digest_however_it_is_hashed(monkeypatch, dtype, size):
    """By all processors, or by one; in pieces of any length, with NaNs of any kind."""
    array = (np.arange(size) % 999).astype("f8").astype(dtype)
    if array.dtype.kind in "fc":
        array[size // 2 :: 3] = -np.float64("nan")
    before = digest(array)
    for piece in (8, 4096, 1 << 19):
        with monkeypatch.context() as patch:
            patch.setattr(arrays, "_PIECE", piece)
            assert digest(array) == before
        monkeypatch.setattr(arrays, "_LARGE", 1)
        monkeypatch.setattr(arrays, "_LARGE_PIECE", piece)
        assert digest(array) == before


def test_a_range_of_integers_is_an_array_of_them():
    """Without being one in memory; of a million rows too."""
    index = pd.RangeIndex(5, 3_000_000, 3, name="n")
    assert digest(index) == digest(pd.Index(np.arange(5, 3_000_000, 3), name="n"))
    assert digest(pd.RangeIndex(0)) == digest(pd.Index(np.array([], dtype="i8")))


@pytest.mark.parametrize("kind", ["pandas", "numpy"])
def test_a_forked_child_digests_large_values(kind):
    """It has no threads of its parent."""
    made = np.arange(5_000_000.0)
    if kind == "pandas":
        made = pd.DataFrame({"a": made[:2_000_000], "b": made[:2_000_000]})
    before = digest(made)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, digest(made))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == before
    os.waitpid(pid, 0)


def reference(item, room=16):
    """What is plain, as a definition."""
    kind = type(item)
    if kind in (str, int, float, bool, type(None), bytes):
        return True
    if kind is dict:
        if any(type(name) is not str for name in item):
            return False
        item = list(item.values())
    elif kind is not list:
        return False
    return room > 0 and all(reference(each, room - 1) for each in item)


class Text(str):
    __slots__ = ()


ATOMS = st.sampled_from(["a", 1, 1.5, True, None, b"b"])
ODD = st.sampled_from(
    [(1,), {1}, Text("a"), {1: 2}, {Text("a"): 1}, bytearray(b"x"), np.float64(1)]
)
NESTED = st.recursive(
    st.one_of(*[ATOMS] * 30, ODD),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    ),
    max_leaves=20,
)


@given(st.lists(NESTED, max_size=9), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_what_is_plain_is_plain_in_bulk(items, times):
    """Few lists and dicts are looked at one by one, many together: with one answer."""
    for made in (items, items * times, {"a": items * times, "b": 1}):
        assert is_plain(made) == reference(made)


@pytest.mark.parametrize("depth", range(12, 20))
@pytest.mark.parametrize("count", [1, 63, 64, 5000])
def test_how_deep_plain_data_is_does_not_depend_on_how_much_it_is(depth, count):
    """It decides about the digest."""
    for leaf in (1, [], {}):
        made = leaf
        for _ in range(depth - 1):
            made = [made]
        many = [made] * count
        assert is_plain(many) == reference(many)
