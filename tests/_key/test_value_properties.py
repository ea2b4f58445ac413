"""What holds for any frame, array or container.

Copies made in any way are one value, the smallest change is another.
"""

import copy
import datetime as dt
import decimal
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_value import VALUES, canon

from nbflow._key.reader import digest

ROWS = 6
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
#: What a column is made of: items (None is missing) and the dtypes that hold them.
PANDAS_COLUMNS = [
    (
        st.integers(-5, 5),
        (
            "int64",
            "int8",
            "float32",
            "Int64",
            "Float64",
            "object",
            "category",
            "int64[pyarrow]",
        ),
    ),
    (
        st.none() | st.integers(-5, 5),
        ("float64", "Int8", "Float32", "object", "category", "Sparse[float64]"),
    ),
    (st.floats(width=32), ("float64", "float32", "object")),
    (st.booleans(), ("bool", "object", "boolean")),
    (st.none() | TEXT, ("object", "string[python]", "string[pyarrow]", "category")),
    (
        st.none() | st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)),
        ("datetime64[ns]", "datetime64[us]", "object"),
    ),
    (
        st.none() | st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)),
        ("datetime64[us, UTC]", "datetime64[ns, Asia/Tokyo]"),
    ),
    (
        st.none() | st.timedeltas(dt.timedelta(0), dt.timedelta(9)),
        ("timedelta64[ns]", "object"),
    ),
    (st.dates(dt.date(1990, 1, 1), dt.date(2040, 1, 1)), ("object", "period[D]")),
    (
        st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=2),
        ("object",),
    ),
    (
        st.lists(st.integers(0, 3), max_size=2)
        | st.dictionaries(TEXT, TEXT, max_size=1),
        ("object",),
    ),
]
POLARS_COLUMNS = [
    (st.integers(-5, 5), (pl.Int64, pl.Int8, pl.Float32, pl.Decimal(10, 2))),
    (st.floats(width=32), (pl.Float64, pl.Float32)),
    (st.booleans(), (pl.Boolean,)),
    (
        st.sampled_from(["a", "bb", ""]),
        (pl.String, pl.Categorical, pl.Enum(["", "a", "bb"])),
    ),
    (st.binary(max_size=3), (pl.Binary,)),
    (
        st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2040, 1, 1)),
        (pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("us", "UTC")),
    ),
    (st.dates(), (pl.Date,)),
    (st.times(), (pl.Time,)),
    (
        st.timedeltas(dt.timedelta(0), dt.timedelta(9)),
        (pl.Duration("us"), pl.Duration("ms")),
    ),
    (
        st.lists(st.none() | st.sampled_from(["a", "b"]), max_size=3),
        (pl.List(pl.String), pl.List(pl.Categorical)),
    ),
    (
        st.lists(st.integers(0, 9), min_size=2, max_size=2),
        (pl.Array(pl.Int16, 2), pl.List(pl.Int16)),
    ),
    (
        st.fixed_dictionaries({"x": st.none() | st.integers(0, 9), "y": TEXT}),
        (pl.Struct({"x": pl.Int64, "y": pl.String}),),
    ),
]

CATEGORIES = pl.List(
    pl.Categorical
)  # old polars neither pickles nor exports them if all are missing


@st.composite
def pandas_columns(draw):
    items, dtypes = draw(st.sampled_from(PANDAS_COLUMNS))
    values = draw(st.lists(items, min_size=ROWS, max_size=ROWS))
    if (dtype := draw(st.sampled_from(dtypes))) == "category":
        return pd.Series(pd.Categorical(values))
    return pd.Series(values, dtype=object).astype(dtype)


@st.composite
def pandas_frames(draw):
    frame = pd.DataFrame(
        {
            f"c{place}": draw(pandas_columns())
            for place in range(draw(st.integers(1, 4)))
        }
    )
    frame.index = draw(
        st.sampled_from(
            [
                frame.index,
                pd.Index(list("abcdef")),
                pd.date_range("2026", periods=ROWS, tz="UTC"),
            ]
        )
    )
    return frame


@st.composite
def polars_series(draw):
    items, dtypes = draw(st.sampled_from(POLARS_COLUMNS))
    return pl.Series(
        "c",
        draw(st.lists(st.none() | items, min_size=ROWS, max_size=ROWS)),
        dtype=draw(st.sampled_from(dtypes)),
    )


@given(pandas_frames(), st.integers(0, ROWS))
def test_a_pandas_frame_is_the_same_however_it_was_put_together(frame, cut):
    if isinstance(frame.index, pd.DatetimeIndex):  # which loses its freq on some ways
        frame.index = frame.index._with_freq(None)
    longer = frame.iloc[[*range(ROWS), *range(ROWS)]]
    ways = {
        "copied": frame.copy(),
        "unpickled": pickle.loads(pickle.dumps(frame)),
        "deeply copied": copy.deepcopy(frame),
        "sliced": longer.iloc[:ROWS],
        "turned twice": frame.iloc[::-1].iloc[::-1],
        "taken": frame.take(range(ROWS)),
        "column by column": pd.DataFrame(
            {name: frame[name].copy() for name in frame}, index=frame.index
        ),
        "joined": pd.concat([frame[[name]] for name in frame], axis=1),
        "concatenated": frame
        if cut in (0, ROWS)
        else pd.concat([frame.iloc[:cut], frame.iloc[cut:]]),
        "indexed again": frame.reset_index(drop=True).set_axis(frame.index),
    }
    assert {
        way for way, other in ways.items() if digest(other) != digest(frame)
    } == set()


@given(pandas_frames(), st.integers(0, ROWS - 1))
def test_the_smallest_change_of_a_pandas_frame_is_noticed(frame, row):
    dropped = frame.drop(index=frame.index[row])
    noted, named = frame.copy(), frame.rename_axis("i")
    noted.attrs["source"] = "x"
    changed = [
        frame,
        dropped,
        noted,
        named,
        frame.rename(columns={"c0": "other"}),
        frame.rename_axis("i", axis=1),
        frame.assign(c9=1),
    ]
    changed.append(
        frame.iloc[[*range(row), *range(row + 1, ROWS), row]]
        if row < ROWS - 1
        else frame.iloc[:0]
    )
    changed.append(frame.reset_index())
    assert len({digest(other) for other in changed}) == len(changed)


@given(pandas_columns(), pandas_columns(), st.integers(0, ROWS - 1))
def test_pandas_columns_are_one_exactly_if_dtype_and_items_are(one, other, row):
    mixed = (
        one.copy()
        if one.dtype != other.dtype
        else pd.concat([one[:row], other[row : row + 1], one[row + 1 :]])
    )

    def spelled(series):
        return [str(series.dtype), *(canon_cell(item) for item in series.array)]

    for left, right in ((one, other), (one, mixed)):
        if not isinstance(left.dtype, pd.CategoricalDtype) and not isinstance(
            right.dtype, pd.CategoricalDtype
        ):
            assert (digest(left) == digest(right)) == (spelled(left) == spelled(right))


def canon_cell(item):
    if isinstance(item, (list, dict)):
        return canon(item)
    missing = item is None or item is pd.NA or item is pd.NaT or item != item
    return (type(item).__name__, "missing" if missing else repr(item))


@given(polars_series(), st.integers(0, ROWS))
def test_a_polars_series_is_the_same_however_it_was_put_together(series, cut):
    ways = {
        "cloned": series.clone(),
        "in two chunks": pl.concat([series[:cut], series[cut:]], rechunk=False),
        "sliced": pl.concat([series[cut:], series, series], rechunk=True)[
            ROWS - cut : 2 * ROWS - cut
        ],
        "turned twice": series.reverse().reverse(),
        "gathered": series.gather(list(range(ROWS))),
        "from its items": pl.Series("c", series.to_list(), dtype=series.dtype),
    }
    if series.dtype != CATEGORIES:
        ways["unpickled"] = pickle.loads(pickle.dumps(series))
    kept = {
        way: other for way, other in ways.items() if other.dtype == series.dtype
    }  # polars forgets what lists of nothing hold
    assert {
        way for way, other in kept.items() if digest(other) != digest(series)
    } == set()
    assert digest(series.rename("d")) != digest(series)
    assert digest(series[1:]) != digest(series)


@given(polars_series(), st.integers(0, ROWS - 1))
def test_one_other_item_is_noticed_by_polars_and_arrow(series, row):
    items = series.to_list()
    assume(items[row] is not None)
    gone = pl.Series("c", [*items[:row], None, *items[row + 1 :]], dtype=series.dtype)
    assert digest(gone) != digest(series)
    if series.dtype != CATEGORIES:
        assert digest(gone.to_arrow()) != digest(series.to_arrow())
    assert digest(series.to_frame()) != digest(gone.to_frame())
    turned = series.reverse()
    assert (digest(turned) == digest(series)) == (
        canon(turned.to_list()) == canon(items)
    )


DTYPES = [
    "i8",
    "u1",
    ">i4",
    "f8",
    "f4",
    ">f8",
    "f2",
    "c16",
    "?",
    "U3",
    "S3",
    "M8[s]",
    "m8[ns]",
    "O",
    [("a", "i1"), ("b", "f8")],
]


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=3),
    st.randoms(use_true_random=False),
)
def test_an_array_is_the_same_in_any_layout(dtype, shape, random):
    array = (
        np.array([random.randrange(3) for _ in range(int(np.prod(shape)))], "i8")
        .astype(dtype)
        .reshape(shape)
    )
    if array.dtype.kind in "fc" and array.size:
        array.reshape(-1)[0] = np.nan
    wide = np.repeat(array[..., None], 2, axis=-1)
    ways = [
        array.copy(),
        array.copy(order="F"),
        wide[..., 1],
        array.T.copy().T,
        pickle.loads(pickle.dumps(array)),
    ]
    ways += [np.flip(np.flip(array).copy())] if array.ndim else []
    kept = [
        other for other in ways if other.dtype.str == array.dtype.str
    ]  # numpy unpickles a single number in native order
    assert {digest(other) for other in kept} == {digest(array)}
    assert digest(array.reshape(-1, 1)) != digest(array.reshape(1, 1, -1))


@given(VALUES)
def test_any_value_unpickled_has_the_same_digest(value):
    assert digest(pickle.loads(pickle.dumps(value))) == digest(value)


@given(VALUES, VALUES)
def test_sharing_does_not_count(one, other):
    assert digest([one, one, {"a": (other, one)}]) == digest(
        [one, copy.deepcopy(one), {"a": (copy.deepcopy(other), copy.deepcopy(one))}]
    )


IN_A_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_value, test_value_frames, test_value_properties
from nbflow._key.reader import digest
for value in test_value_properties.many():
    print(digest(value).hex())
"""


def many():
    from test_value import DISTINCT, cycle
    from test_value_frames import ARROW, POLARS, SERIES

    yield from DISTINCT
    yield from SERIES
    yield from ARROW
    yield from (
        POLARS,
        POLARS.to_arrow(),
        cycle(),
        {"abc", (1, "x"), None, frozenset("abc")},
        {frozenset("abc"): {"x", "y"}},
    )
    yield {
        pathlib.Path(name): decimal.Decimal(number) for number, name in enumerate("abc")
    }
    yield pa.table({"a": [1, None]})


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_another_process_with_another_hash_seed_has_the_same_digests(seed):
    here = pathlib.Path(__file__)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_PROCESS, str(here.parent)],
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(here.parents[2]), "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [digest(value).hex() for value in many()]
