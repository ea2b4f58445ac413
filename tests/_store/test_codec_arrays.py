"""numpy arrays and scalars come back in dtype, shape, order and bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_codec import assert_same, round_trip

from nbflow._store.codec import decode, encode

DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.array_dtypes(),
)


def assert_same_array(a: np.ndarray, b: np.ndarray) -> None:
    """dtype with byte order, shape, memory order, and every byte."""
    assert (type(a), a.dtype, a.dtype.str, a.shape) == (
        type(b),
        b.dtype,
        b.dtype.str,
        b.shape,
    )
    assert (a.flags.f_contiguous, a.flags.c_contiguous) == (
        b.flags.f_contiguous,
        b.flags.c_contiguous,
    )
    assert a.tobytes() == b.tobytes()


@settings(deadline=None)  # the first example imports much
@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)))
def test_arrays_round_trip(array):
    """Any dtype without objects, any shape; writable whatever the payload is."""
    codec, payload = encode(array)
    back = decode(codec, payload)
    assert codec == "npy" or array.dtype.names  # npy takes field names in latin-1 only
    assert_same_array(back, array)
    assert back.flags.writeable


RECORDS = np.dtype([("a", "<i4"), ("b", "S3"), ("c", "<f8", (2,))])


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(5),
        np.zeros((0, 3)),
        np.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
        np.array([1, 2], dtype="m8[D]"),
        np.array([("x", 1)], dtype=[("s", "U2"), ("n", ">i8")]),
        np.zeros(3, RECORDS),
        np.array([1 + 2j], dtype="c8"),
        np.array(["é", ""]),
        np.array(["", ""], dtype="U0"),
        np.array([1.5], dtype=np.longdouble),
        np.array([1.5], dtype="f2"),
        np.zeros((), RECORDS),
        np.array([], dtype="M8[us]"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_corners_of_arrays(array):
    """At the top as an npy file, in other data as part of it."""
    assert_same_array(round_trip(array, "npy"), array)
    assert_same_array(round_trip({"x": (array,)}, "msgpack")["x"][0], array)


def test_a_strided_view_comes_back_by_value():
    """Its content, in C order."""
    view = np.arange(20)[::3]
    np.testing.assert_array_equal(round_trip(view, "npy"), view)
    np.testing.assert_array_equal(
        round_trip(np.arange(24).reshape(4, 6)[::2, 1::2].T, "npy").shape, (3, 2)
    )


def test_object_arrays_come_back_by_element():
    """Shape, order, and lists in cells that numpy would like to unpack."""
    cells = np.empty((2, 2), dtype=object, order="F")
    cells[0, 0], cells[0, 1], cells[1, 0], cells[1, 1] = (
        [1, 2],
        [3, 4],
        np.arange(3),
        None,
    )
    back = round_trip(cells, "msgpack")
    assert (back.shape, back.dtype, back.flags.f_contiguous) == ((2, 2), object, True)
    assert_same([back[0, 0], back[0, 1], back[1, 1]], [[1, 2], [3, 4], None])
    assert_same_array(back[1, 0], np.arange(3))
    scalar = np.array(None)
    scalar[()] = [1]
    assert round_trip(scalar, "msgpack")[()] == [1]


@pytest.mark.parametrize(
    "array",
    [
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.rec.array([(1, "a")]),
        np.zeros(2, np.dtype([("a", "i1"), ("b", "i8")], align=True)),
        np.zeros(2, np.dtype("i4", metadata={"unit": "m"})),
        np.array([(1, [2])], dtype=[("a", "i4"), ("b", "O")]),
        np.matrix([[1, 2]]),
    ],
    ids=lambda array: type(array).__name__,
)
def test_what_npy_loses_goes_to_pickle(array):
    """Subclasses, alignment, metadata, objects in records."""
    back = round_trip(array, "pickle")
    assert (type(back), back.dtype, back.dtype.metadata) == (
        type(array),
        array.dtype,
        array.dtype.metadata,
    )
    assert back.dtype.isalignedstruct == array.dtype.isalignedstruct
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize(
    "value",
    [
        *(np.float64(-0.0), np.float32(1.5), np.float16("nan"), np.longdouble(1) / 3, np.complex64(1 + 2j)),
        *(np.int8(-1), np.uint64(2**64 - 1), np.bool_(True), np.str_("a\0"), np.bytes_(b"a\0"), np.str_("")),
        *(
            np.datetime64("2026-01-01"),
            np.datetime64("NaT", "ns"),
            np.timedelta64(3, "h"),
            np.datetime64("NaT"),
        ),
    ],
    ids=repr,
)  # fmt: skip
def test_scalars_are_not_turned_into_python_numbers(value):
    """np.float64 is a float to msgpack; it comes back as np.float64."""
    back = round_trip([value], "msgpack")[0]
    assert (type(back), back.dtype, back.tobytes()) == (
        type(value),
        value.dtype,
        value.tobytes(),
    )
    assert str(back) == str(value)
