"""Large values are written from their own memory, and read in the memory of their bytes."""

import contextlib
import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codec_arrow import COLUMNS as POLARS
from test_codec_frames import COLUMNS, assert_same_frame, with_attrs

from nbflow._key.secret import KNOWN
from nbflow._store import checkpoint
from nbflow._store.codec import decode, decode_owned, encode, encode_parts
from nbflow._store.codecs import columns, polars_frames
from nbflow._store.codecs.arrow import _with_head
from nbflow._store.codecs.plain import encode as msgpack
from nbflow._store.pieces import Pieces, joined
from nbflow.errors import CodecError

MANY = 20_000


def owned(value):
    """What is loaded of a mapping, and its memory."""
    codec, payload = encode(value)
    memory = bytearray(payload)
    return decode_owned(codec, memoryview(memory)), memory


def lies_in(array, memory):
    return np.shares_memory(array, np.frombuffer(memory, np.uint8))


def is_large(value):
    _, payload = encode_parts(value)
    return isinstance(payload, Pieces)


@pytest.mark.parametrize("repeated", [1, 400])
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_every_column_of_pandas_is_read_in_place(column, repeated):
    """As it is from bytes, in a frame and as an index; few rows and many."""
    frame = pd.DataFrame({"x": column, "n": np.arange(len(column))})
    frame = pd.concat([frame] * repeated, ignore_index=True)
    found, _ = owned(frame)
    assert_same_frame(found, frame)
    assert_same_frame(decode(*encode(frame)), frame)


@pytest.mark.parametrize("column", POLARS.values(), ids=POLARS)
@pytest.mark.parametrize("sliced", [False, True])
def test_every_column_of_polars_is_read_in_place(monkeypatch, column, sliced):
    """Also one that is cut out of another, and one of several chunks."""
    monkeypatch.setattr(polars_frames, "_STREAM_LIMIT", 0)
    frame = pl.DataFrame({"x": column, "n": range(len(column))})
    frame = pl.concat([frame] * 9, rechunk=False)
    if sliced:
        frame = frame.slice(4, 11)
    for found in (owned(frame)[0], decode(*encode(frame))):
        assert found.schema == frame.schema
        pl.testing.assert_frame_equal(found, frame, check_exact=True)
    series = frame["x"]
    pl.testing.assert_series_equal(owned(series)[0], series, check_exact=True)


def test_nothing_of_what_a_frame_of_polars_was_cut_from_is_written(monkeypatch):
    """Its texts are views into those of the whole."""
    monkeypatch.setattr(polars_frames, "_STREAM_LIMIT", 0)
    whole = pl.DataFrame({"t": [f"a text of customer {n} in full" for n in range(999)]})
    for part in (
        whole.slice(3, 5),
        whole.filter(pl.col("t").str.contains("customer 7 ")),
    ):
        _, payload = encode(part)
        assert b"customer 900" not in payload
        assert b"customer 7 " in payload


def test_polars_data_of_earlier_versions_is_read():
    """A stream or a file of polars' own, behind a description without a form."""
    frame = pl.DataFrame({"a": [1, None, 3], "t": ["x", "é", None]})
    for write in (frame.write_ipc, frame.write_ipc_stream):
        written = write(None).getvalue()
        payload = b"".join(_with_head(msgpack(["polars.DataFrame", None]), [written]))
        assert decode("arrow", payload).equals(frame)
        assert decode_owned("arrow", bytearray(payload)).equals(frame)


def test_polars_data_of_later_versions_is_refused():
    """It is not taken for something else."""
    payload = b"".join(_with_head(msgpack(["polars.DataFrame", "new"]), [b""]))
    with pytest.raises(CodecError):
        decode("arrow", payload)


def test_integers_of_128_bits_are_left_to_polars():
    """Arrow has no name for them."""
    frame = pl.DataFrame({"a": pl.Series([2**100, None] * MANY, dtype=pl.Int128)})
    assert frame.estimated_size() > polars_frames._STREAM_LIMIT / 2
    assert owned(pl.concat([frame] * 4))[0].equals(pl.concat([frame] * 4))


def test_numbers_and_times_lie_in_the_bytes():
    """Of a frame, a series, an index, an array; and can be changed."""
    day = pd.Timestamp("2026-01-01")
    frame = pd.DataFrame(
        {
            "i": np.arange(MANY),
            "f": np.arange(MANY) / 3,
            "t": day + pd.to_timedelta(np.arange(MANY), unit="s"),
            "n": pd.array(np.arange(MANY), dtype="Int64"),
            "z": (
                day.tz_localize("Europe/Berlin")
                + pd.to_timedelta(np.arange(MANY), unit="s")
            ),
            "c": pd.Categorical.from_codes(np.arange(MANY) % 2, ["a", "b"]),
        }
    )
    found, memory = owned(frame)
    for name in "if":
        assert lies_in(found[name].to_numpy(), memory)
    assert lies_in(found["t"].array.asi8, memory)
    assert lies_in(found["n"].array._data, memory)
    assert lies_in(found["c"].array.codes, memory)
    found.loc[3, ["i", "f", "n"]] = 7
    found.loc[3, "c"] = "b"
    found.loc[3, "t"] = pd.NaT
    assert found.loc[3, "i"] == 7
    assert pd.isna(found.loc[3, "t"])
    assert decode(*encode(found)).equals(found)


def test_what_is_written_lies_in_the_value():
    """No copy is made of a column, an array, a table; their pieces are their memory."""
    frame = pd.DataFrame({"i": np.arange(MANY), "f": np.arange(MANY) / 3})
    table = pa.table({"t": ["a text"] * MANY})
    for value, memory in (
        (frame, frame["f"].to_numpy()),
        (np.arange(MANY).reshape(2, -1).T, None),
        (table, np.frombuffer(table["t"].chunk(0).buffers()[2], np.uint8)),
    ):
        codec, payload = encode_parts(value)
        memory = value if memory is None else memory
        assert any(
            np.shares_memory(np.frombuffer(part, np.uint8), memory)
            for part in payload.parts
        )
        assert bytes(payload) == encode(value)[1]
        assert codec in ("arrow", "npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", "i8", "f4", "u1", "f2"])
def test_a_frame_of_one_array_stays_one(order, dtype):
    """Its rows or columns in one piece: it is neither copied nor taken apart for good."""
    table = np.asarray(
        np.arange(MANY * 6).reshape(MANY, 6) % 99, dtype=dtype, order=order
    )
    frame = pd.DataFrame(table, columns=list("abcdea"), copy=False)
    found, memory = owned(frame)
    assert_same_frame(found, frame)
    assert_same_frame(decode(*encode(frame)), frame)
    inside = found.to_numpy()
    assert lies_in(inside, memory)
    assert inside.flags.c_contiguous == (order == "C")
    found.iloc[2, 5] = 1
    assert found.iloc[2, 5] == 1
    assert found.iloc[2, 0] == frame.iloc[2, 0]


def test_columns_of_several_arrays_are_told_apart():
    """Same dtype, each with a place of its own; a column twice; every other column; rows in reverse."""
    table = np.arange(MANY * 6.0).reshape(MANY, 6)
    whole = pd.DataFrame(table)
    for frame in (
        pd.DataFrame({n: np.arange(MANY) + n for n in range(5)}),
        whole[[1, 1, 1]],
        whole[[0, 2, 4]],
        whole[[5, 4, 3]],
        whole.iloc[::-1],
        whole.iloc[3:99, 1:4],
        whole.iloc[::2],
        pd.DataFrame(np.broadcast_to(np.arange(MANY)[:, None], (MANY, 4))),
    ):
        found, _ = owned(frame)
        assert_same_frame(found, frame)


@pytest.mark.parametrize("width", [2, 100, 101, 300])
def test_frames_of_many_columns_are_joined(width):
    """pandas is slow with hundreds of columns in places of their own."""
    data = {n: np.arange(30) * (n % 2 or 1.5) for n in range(width)}
    frame = pd.DataFrame(data)
    found, _ = owned(frame)
    assert_same_frame(found, frame)


TEXTS = {
    "texts": ["a", "é", ""],
    "none": ["a", None, "b"],
    "nan": ["a", float("nan"), None],
    "half": ["a", "\ud800", None],
    "mixed": ["a", 1, b"a"],
    "lists": [["a", 1], [], {"a": [None]}],
    "big": [2**80, "a", None],
    "times": [dt.date(2026, 1, 1), None, "a"],
    "tuples": [(1, 2), "a", None],
}


@pytest.mark.parametrize("items", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("repeated", [1, 500])
def test_objects_come_back_by_their_types(items, repeated):
    """Few or many of them: texts as a column, other plain data in one go, the rest one by one."""
    fresh = [
        item.copy() if isinstance(item, (list, dict)) else item
        for _ in range(repeated)
        for item in items
    ]
    frame = with_attrs(pd.DataFrame({"o": pd.Series(fresh, dtype=object), "n": 1}))
    assert_same_frame(owned(frame)[0], frame)


def test_many_texts_of_objects_are_a_column():
    """And not a text each."""
    array = np.array(["a", None] * columns._FEW, dtype=object)
    codec, payload = encode(pd.Series(array, dtype=object))
    assert codec == "arrow"
    assert b"texts" in payload[:300]


def test_a_list_that_two_columns_share_is_left_to_pickle():
    """Only pickle gives back one list and not two."""
    shared = [1]
    frame = pd.DataFrame({"a": [shared, [2]], "b": [[3], shared]})
    codec, payload = encode(frame)
    found = decode(codec, payload)
    assert codec == "pickle"
    assert found.loc[0, "a"] is found.loc[1, "b"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_damage_of_a_payload_crashes_who_reads_it_in_place(data):
    """Whatever is in the bytes: a value, or a CodecError."""
    frame = pd.DataFrame(
        {
            "a": np.arange(40),
            "t": ["a text"] * 40,
            "n": pd.array([1, None] * 20, dtype="Int64"),
        }
    )
    codec, payload = encode(
        data.draw(
            st.sampled_from([frame, pl.DataFrame({"t": ["x"] * 9}), np.arange(50)])
        )
    )
    damaged = bytearray(payload)
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(payload) - 1))] = data.draw(
            st.integers(0, 255)
        )
    with contextlib.suppress(CodecError):
        repr(decode_owned(codec, memoryview(damaged)))


def test_read_only_bytes_are_copied():
    """They may be read again."""
    for value in (np.arange(MANY), pd.DataFrame({"a": np.arange(MANY)})):
        codec, payload = encode(value)
        first = decode_owned(codec, payload)
        first[:] = 0
        again = decode_owned(codec, payload)
        assert (np.asarray(again).ravel() == np.arange(MANY)).all()


@pytest.mark.parametrize(
    "make",
    [
        np.array,
        lambda items: pd.DataFrame({"a": items}),
        lambda items: pl.DataFrame({"a": items}),
    ],
)
def test_a_secret_in_a_large_value_is_found(make):
    """In whichever piece it is."""
    KNOWN.add("TOKEN", "correct-horse-battery")
    try:
        value = make(
            [f"text {n:06}" for n in range(MANY)] + ["a correct-horse-battery of it"]
        )
        with pytest.raises(CodecError, match="TOKEN"):
            encode_parts(value)
        assert is_large(make([f"text {n:06}" for n in range(MANY)]))
    finally:
        KNOWN.clear()


@pytest.mark.parametrize("printed", [(), (("stdout", "a line\n" * 5),)])
@pytest.mark.parametrize("name", ["s", "a_step_with_a_long_name"])
def test_a_large_payload_begins_at_a_multiple_of_64_in_its_file(name, printed):
    """Behind the 40 bytes of a sealed entry's head, whatever stands before it."""
    value = np.arange(MANY)
    data = bytes(checkpoint.dump(name, value, saved_at=1.0, printed=printed))
    found = checkpoint.load(data)
    place = data.index(bytes(found.payload))
    assert (place + 40) % 64 == 0
    assert found.name == name
    assert found.printed == printed
    assert (found.value == value).all()


def test_pieces_are_their_bytes():
    """Empty ones and arrays of any shape included; few bytes are joined at once."""
    parts = [b"ab", np.arange(6).reshape(2, 3), np.empty((0, 3)), b"", memoryview(b"c")]
    pieces = Pieces(parts)
    whole = b"ab" + np.arange(6).tobytes() + b"c"
    assert bytes(pieces) == whole
    assert len(pieces) == len(whole)
    assert joined(parts) == whole
    assert isinstance(joined([bytes(100_000)]), Pieces)
