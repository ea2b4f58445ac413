"""What every codec keeps: the door's promises, whatever the type of the value."""

from __future__ import annotations

import base64
import datetime as dt
import io
import math
import pathlib
import pickle
import struct
import subprocess
import sys
import threading
import types
import uuid
import zlib
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from nbflow._core.usage import Usage
from nbflow._store import checkpoint
from nbflow._store.codec import decode, encode
from nbflow.errors import CodecError, StoreError


def assert_same(a: object, b: object) -> None:
    """Equal in type and content, all the way down: 1 is not True, -0.0 is not 0.0, nan is nan."""
    assert type(a) is type(b)
    if isinstance(a, float):
        assert struct.pack("<d", a) == struct.pack("<d", b)
    elif isinstance(a, complex):
        assert_same((a.real, a.imag), (b.real, b.imag))
    elif isinstance(a, dict):
        assert_same(list(a), list(b))
        assert_same(list(a.values()), list(b.values()))
    elif isinstance(a, (list, tuple, deque)):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, (set, frozenset)):
        assert_same(
            sorted(a, key=encode), sorted(b, key=encode)
        )  # by bytes: two kinds of nan have one repr
    elif isinstance(a, (dt.datetime, dt.time, Decimal)):
        assert (repr(a), getattr(a, "fold", 0)) == (repr(b), getattr(b, "fold", 0))
    else:
        assert a is b or a == b or (a != a and b != b and repr(a) == repr(b))


def round_trip(value: object, codec: str) -> object:
    """The value after its way through ``codec``, which must be the one that is chosen."""
    name, payload = encode(value)
    assert (name, type(payload)) == (codec, bytes)
    return decode(name, memoryview(payload))


class Category(pydantic.BaseModel):
    """A model that was saved by the first release."""

    label: str
    score: float = 0.5


# Bytes of the first release, compressed. They decode for ever: without them every
# checkpoint is lost.
GOLDEN = [
    (
        "msgpack",
        "eNprWpqTmJSaszwpMycnMy99UWbKZEYmZgBxUwi4",
        {"label": "billing", "id": [1, 2, 3]},
    ),
    (
        "msgpack",
        (
            "eNo7XsY2Z2HJcS7myYxXWSYyXWWdyHyck5EBChyOMzO9XdCwMOUap6GeocGixJLjovwzz7K/YmRiZmFlO84uOPGawGSgQsaFBceF"
            "eSatDSgtSg3IL86sCEgsyVicqJ+0sPS4CPekIwIMqID9AAAt8SOt"
        ),
        {
            "t": (1, {2}, frozenset({3})),
            2**70: "\ud800",
            "d": Decimal("1.10"),
            "at": dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC, fold=1),
            "p": pathlib.PurePosixPath("a/b"),
            "u": uuid.UUID(int=7),
        },
    ),
    (
        "msgpack",
        "eNo7bqs8fVVJanFJfHJ+SmryCufEktT0/KLKCU1LcxKTUnOWJ2Xm5GTmpS8tTs4vSj1t/4ABDCZCZA8cAACGoBsM",
        Category(label="billing"),
    ),
    (
        "npy",
        (
            "eNqb7BfqGxDJyFDGUK2eklqcXKRupaBuk2mkrqOgnpZfVFKUmBefX5SSChIPKSpNBQoXZyQWpAK5GkY6CkaaOgq1CuQDLkYGZgYm"
            "BhYGACYsG0s="
        ),
        np.array([[1, 2], [3, 4]], dtype="<i2", order="F"),
    ),
    (
        "arrow",
        (
            "eNpzYGEAA3EmBoZJGwoS81ISi/VcEksS3YoSc1OnTllWlphTmlo8eWleaW5BJcNim0yLRZkpBxoOH3fQdoBoZVAH4klroHo981JS"
            "K2DaJi3LT8pKTS6ZvDBvYfHC5AMHGJDBZKipjCBTp64OLinKzEt3KaksSD2wvKAysagov/zwpAMHpmxwTixJTc8vykxOzAFLM51g"
            "zNDOYISYooLTdmRHo1kNBP+BoAJIC4B5XAw8DGwMrAwcQBYQMLIA+QxAHgeQZIGSQGEgFgHrEQGKsTGwg1UJQM1gZALRMlC1DFD1"
            "BmBzeICYHWwOSNgBan8H1DwQ4GEQg7qAB2wqAzMLgwTcfRA3SgBlWKButIHKMSH5iYkBNxBAYjNiUcuIZgbIfSD6MAM+AFJ1g8RQ"
            "ZAbiEiA2gfJXgG2ChJ4IWugZAfEMiEsYQfqv4FFrCMRHoGodqBhLL4iIJQ0csVSDJZbYiIglAQLiCmjyClhSADOWWCbEZ4bSLDhS"
            "BSNa6gAAObSHcA=="
        ),
        pd.DataFrame(
            {
                "n": [1, 2],
                "s": pd.Series(["a", None], dtype=pd.StringDtype("pyarrow")),
                "c": pd.Categorical([2, 1], ordered=True),
            },
            index=pd.Index([3, 4], name="id"),
        ).set_axis(pd.Index(["n", "s", "c"], dtype=object), axis=1),
    ),
    (
        "arrow",
        (
            "eNq7wMgABsJAPGlDQX5OYlGxnktiSaJbUWJu6gEGQuA/EFQAaRYg/gRki4DZIEO5GLgZOIAkC8MPoDgPUIQDCGGyIPVvgOIWQFoB"
            "iCWAmJGJgUGAQQgoJ8AgCFbLA7bjC1CdA0gebAYnUJ4DzM6D2t+AZF4D1F0QdzADTRAGm8kD5L0CyjNB5W0YQHYxgN0pApTjAfKY"
            "kPwFDRYGBygtgCbHhKbuLwNlgJFC/aBwANEA16wyXg=="
        ),
        pl.DataFrame({"n": [1, None]}),
    ),
    (
        "arrow",
        (
            "eNpLYGQAAwEgnrS2oDKxqCi/XC8kMSkn9QADEeA/EFRA9TMwcDHwMLAxsDJwAFlAwMgC5DMAeRxAkgVKAoWBWASsRwQoxsbADlYl"
            "ADWDkQlEy0DVMkDVJ4LN4QFidrA5IGEHqP0dUPNAgIdBDOoCHrCpDMwsDBJgvTDABeTzgF0DcqMN1O2MSH5iwuNfDiQ2I5o+BiQ+"
            "yF0gGgDlFRek"
        ),
        pa.table({"a": [1]}),
    ),
]


@pytest.mark.parametrize(("codec", "payload", "value"), GOLDEN)
def test_bytes_of_the_first_release_decode(codec, payload, value):
    """A literal payload gives the value it was made of."""
    back = decode(codec, zlib.decompress(base64.b64decode(payload)))
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value, check_exact=True)
    elif isinstance(value, np.ndarray):
        assert (back.dtype, back.flags.f_contiguous, back.tolist()) == (
            value.dtype,
            True,
            value.tolist(),
        )
    elif isinstance(value, (pl.DataFrame, pa.Table)):
        assert back.equals(value)
    else:
        assert_same(back, value)


def test_every_decoding_gives_a_fresh_object():
    """Whoever changes a result in place changes nobody else's."""
    for value in ({"a": [1]}, np.arange(3), pd.DataFrame({"a": [1, 2]}), {"x": {1}}):
        codec, payload = encode(value)
        first, second = decode(codec, payload), decode(codec, payload)
        assert first is not second
    first["x"].add(2)
    assert second == {"x": {1}}


def test_a_payload_that_changes_later_changes_no_result():
    """Tables are views on read-only bytes, and copies of any other."""
    for value in (
        pa.table({"a": [1, 2]}),
        pd.DataFrame({"a": pd.array([1, 2], "int64[pyarrow]")}),
        pl.DataFrame({"a": [1]}),
    ):
        codec, payload = encode(value)
        buffer = bytearray(payload)
        back = decode(codec, memoryview(buffer))
        buffer[:] = bytes(len(buffer))
        assert back.equals(value)


def test_shared_references_stay_shared():
    """Two places that hold one list hold one list after a round trip, through pickle."""
    row = [1]
    for value in (
        [row, row],
        {"a": row, "b": {"c": row}},
        (row, [row]),
        [{1}, row, row],
    ):
        assert encode(value)[0] == "pickle"
    one, other = round_trip([row, row], "pickle")
    assert one is other


def test_equal_but_distinct_parts_stay_typed():
    """Only identity counts as sharing, and immutable parts may be the same object."""
    text, pair = "abc", (1, 2)
    for value in ([[], []], [text, text], [pair, pair, (), ()], {"a": [1], "b": [1]}):
        assert_same(round_trip(value, "msgpack"), value)


def test_cycles_go_to_pickle():
    """A value that holds itself is neither an endless walk nor an error."""
    cycle: list = [1]
    cycle.append(cycle)
    looped: dict = {"t": (1, [])}
    looped["t"][1].append(looped)
    back = round_trip(cycle, "pickle")
    assert back[1] is back
    assert encode(looped)[0] == "pickle"


def test_depth_beyond_the_stack_is_refused_not_a_crash():
    """Ten thousand nested lists have no codec."""
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(CodecError):
        encode(deep)


class Client:
    """Holds a lock, as clients do."""

    def __init__(self):
        self.lock = threading.Lock()


async def answer():
    """A coroutine function."""


@pytest.mark.parametrize(
    ("value", "place", "advice"),
    [
        ((n for n in "ab"), "value cannot be saved: generator", "list(...)"),
        ({"rows": [(n for n in "ab")]}, "value['rows'][0] cannot be saved: generator", "list(...)"),
        ({"model": Client()}, "value['model'].lock cannot be saved: _thread.lock", "plain data"),
        ([math], "value[0] cannot be saved: module", "what you need of it"),
        ((1, lambda: 1), "value[1] cannot be saved: function", "return its result"),
        (io.TextIOWrapper(io.BytesIO()), "value cannot be saved: _io.TextIOWrapper", "content or its path"),
        (pd.DataFrame({"a": [1, Client()]}), "value['a'][1].lock cannot be saved", "plain data"),
        ({"q": pl.DataFrame({"a": [1]}).lazy()}, "value['q'] cannot be saved: polars", "collect() it first"),
        (pl.col("a"), "value cannot be saved: polars", "collect() it first"),
        (Client().lock.acquire, "value", "plain data"),
        (memoryview(b"x"), "value cannot be saved: memoryview", "plain data"),
    ],
)  # fmt: skip
def test_a_refusal_names_place_type_and_way_out(value, place, advice):
    """CodecError is a StoreError and says where inside the value, what, and what to do."""
    with pytest.raises(CodecError) as refusal:
        encode(value)
    assert place in str(refusal.value)
    assert advice in str(refusal.value)
    assert isinstance(refusal.value, StoreError)


def test_what_is_awaited_or_iterated_says_so():
    """The commonest slips of async code have their own advice."""
    coroutine = answer()
    with pytest.raises(CodecError, match="await it first"):
        encode(coroutine)
    coroutine.close()


def test_what_pickles_but_never_unpickles_is_refused_on_saving():
    """An exception whose __init__ wants more than its args is better refused now than missed later."""
    with pytest.raises(CodecError, match="Stubborn pickles and does not unpickle"):
        encode(Stubborn(1, 2))


class Stubborn(Exception):
    """Passes a message on and wants two arguments again."""

    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


def test_pickle_carries_what_is_importable_by_name():
    """Functions by reference, objects of ordinary classes, classes themselves."""
    assert round_trip(math.sqrt, "pickle") is math.sqrt
    assert round_trip(OrderedDict, "pickle") is OrderedDict
    assert round_trip(types.SimpleNamespace(a=1), "pickle") == types.SimpleNamespace(
        a=1
    )


def test_a_missing_class_is_named_with_the_way_out(monkeypatch):
    """Pickle's own message would speak of attributes of modules."""
    codec, payload = encode(types.SimpleNamespace(a=Plainest()))
    monkeypatch.delattr(sys.modules[__name__], "Plainest")
    with pytest.raises(
        CodecError,
        match="Plainest is not defined in this kernel: run the cell that defines it",
    ):
        decode(codec, payload)


class Plainest:
    """A class of no family."""


def test_an_unknown_codec_is_said_so():
    """A store of a newer release is an error, not garbage."""
    with pytest.raises(CodecError, match="unknown codec 'zstd'"):
        decode("zstd", b"")


GALLERY = [
    {"label": "billing", "score": 0.5, "tags": ["a", "b"]},
    [
        1,
        (2, {3}),
        {"k": dt.datetime(2026, 1, 1)},
        OrderedDict(a=1),
        defaultdict(list, a=[1]),
        Counter("ab"),
    ],
    np.arange(24.0).reshape(2, 3, 4),
    np.array([1, "a", None], dtype=object),
    pd.DataFrame({"a": [1, 2], "s": ["x", None], "c": pd.Categorical(["u", "v"])}),
    pd.DataFrame({"s": [f"text {n}" for n in range(3000)]}),
    pl.DataFrame({"a": [1, 2], "s": ["x", None], "l": [[1], []]}),
    pl.DataFrame({"n": range(200_000)}),
    pa.table({"a": [1, 2], "s": ["x", None]}),
    {"frame": pd.DataFrame({"a": [1.5]}), "array": np.zeros(3)},
    types.SimpleNamespace(a=[1, "b"]),
]


@pytest.mark.parametrize("value", GALLERY, ids=lambda value: type(value).__name__)
def test_truncated_payloads_raise_codec_error(value):
    """Every cut, from nothing to all but the last byte, is found, except where what is cut is padding."""
    codec, payload = encode(value)
    for size in sorted(
        {
            *range(min(len(payload), 200)),
            *range(0, len(payload), max(1, len(payload) // 50)),
        }
    ):
        with pytest.raises(CodecError):
            decode(codec, payload[:size])


@pytest.mark.parametrize("value", GALLERY, ids=lambda value: type(value).__name__)
def test_damaged_payloads_give_a_value_or_codec_error(value):
    """Flipped bytes in any place never crash and never raise anything else (the MAC is what finds them all)."""
    codec, payload = encode(value)
    if codec == "pickle":
        return  # only its MAC protects a pickle
    rng = np.random.default_rng(1)
    places = [*range(min(len(payload), 300)), *rng.integers(0, len(payload), 300)]
    for place in places:
        damaged = bytearray(payload)
        damaged[place] ^= int(rng.integers(1, 256))
        try:
            decode(codec, bytes(damaged))
        except CodecError:
            continue


@pytest.mark.parametrize("codec", ["msgpack", "npy", "arrow", "pickle"])
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff",
        b"garbage" * 20,
        bytes(100),
        b"\xff" * 100,
        b"\x91" * 100_000,
        b"\xc7\x05\x63abcde",
    ],
)
def test_garbage_raises_codec_error(codec, garbage):
    """Bytes that nobody encoded are an error with the codec's name, whatever they look like."""
    if codec == "msgpack" and garbage == b"\xff":
        garbage = b"\xc1"  # 0xff is the number -1
    with pytest.raises(CodecError):
        decode(codec, garbage)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("code from data",))


@pytest.mark.parametrize("codec", ["msgpack", "npy", "arrow"])
def test_typed_codecs_never_unpickle(codec):
    """A pickle under another name, or inside an npy file, is refused without being run."""
    bare = pickle.dumps(Trap())
    file = io.BytesIO()
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    for payload in (bare, file.getvalue()):
        with pytest.raises(CodecError):
            decode(codec, payload)


LIGHT = """
import sys
from nbflow._store.codec import decode, encode
import datetime, dataclasses, decimal

@dataclasses.dataclass
class Point:
    x: int

value = {"a": [1, (2, 3)], "d": datetime.date(2026, 1, 1), "n": decimal.Decimal("1.0"), "p": Point(1)}
codec, payload = encode(value)
assert codec == "msgpack" and decode(codec, payload) == value
heavy = {"numpy", "pandas", "polars", "pyarrow", "pydantic", "attr"} & set(sys.modules)
assert not heavy, heavy
"""


def test_plain_data_loads_no_heavy_library():
    """What a value is, is found out without importing anything."""
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=60)


def test_a_checkpoint_from_before_models_were_noted_opens():
    usage = [1, 7, 5, 0, 0.5, 0, 0]
    head = msgspec.msgpack.encode(
        ("label", 1.0, 0.5, None, [], b"", [], usage, "plain")
    )
    saved = checkpoint.load(struct.pack("<I", len(head)) + head)
    assert saved.usage == Usage(1, 7, 5, 0, 0.5)
    again = checkpoint.dump("label", 1, saved_at=1.0, usage=Usage(1, models=("m-1",)))
    assert checkpoint.load(again).usage.models == ("m-1",)
