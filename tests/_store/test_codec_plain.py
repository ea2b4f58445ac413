"""Plain data comes back in type and content, all the way down."""

from __future__ import annotations

import datetime as dt
import math
import pathlib
import struct
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codec import assert_same, round_trip

from nbflow._store.codec import decode, encode

ANY_TEXT = st.text(
    st.characters(codec=None, exclude_categories=())
)  # lone surrogates as well
ZONES = st.sampled_from(
    [
        None,
        dt.UTC,
        dt.timezone(dt.timedelta(hours=5.5)),
        zoneinfo.ZoneInfo("Europe/Berlin"),
    ]
)
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    ANY_TEXT,
    st.binary(),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES),
    st.timedeltas(),
    st.sampled_from(
        [
            pathlib.PurePosixPath("a/b"),
            pathlib.PureWindowsPath("c:/x"),
            pathlib.Path("x"),
        ]
    ),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
)
VALUES = st.recursive(
    KEYS | st.decimals(allow_nan=True) | st.builds(bytearray, st.binary()),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS | st.tuples(KEYS, KEYS), inner),
        st.dictionaries(ANY_TEXT, inner).map(OrderedDict),
        st.dictionaries(KEYS, inner).map(lambda items: defaultdict(list, items)),
        st.lists(inner).map(lambda items: deque(items, 5)),
        st.sets(KEYS),
        st.frozensets(KEYS),
    ),
)


@settings(deadline=None)  # the first example imports much
@given(VALUES)
def test_plain_data_round_trips(value):
    """Whatever is built of plain types, by msgpack alone."""
    assert_same(round_trip(value, "msgpack"), value)


@settings(deadline=None)  # the first example imports much
@given(
    st.floats(width=64)
    | st.integers(0, 2**64 - 1).map(
        lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
    )
)
def test_floats_keep_their_bits(value):
    """Signs of zero and payloads of nan too."""
    back = round_trip([value], "msgpack")[0]
    assert struct.pack("<d", back) == struct.pack("<d", value)


@pytest.mark.parametrize(
    "value",
    [
        *(2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400, -(10**400), 255, -256),
        *(True, 1, 1.0, "1", b"1", None, "", b"", math.nan, -0.0, math.inf, "\ud800", "é\udfff"),
        {1: "a", "1": "b", b"1": "c", None: "d", 1.5: "e", (1, 2): "f", math.inf: "g"},
        {2**70: 1, "\ud800": 2},
        {(1, (2, "x")): [1], frozenset({1}): {}},
        ([], (), set(), frozenset(), {}, bytearray()),
        {"b": 1, "a": 2},
        complex("nan+infj"),
        complex(-0.0, -0.0),
        *(Decimal("1.10"), Decimal("-0"), Decimal("sNaN12"), Decimal("-Infinity"), Decimal("1E+999")),
        Fraction(-1, 3),
        uuid.UUID(int=5, is_safe=uuid.SafeUUID.unsafe),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "named")),
        dt.datetime.max,
        dt.date.min,
        dt.time(1, 2, 3, 4, fold=1),
        dt.timedelta.max,
        *(range(0), range(10, 0, -3), slice(None), slice(1, "x", 2.5)),
        pathlib.Path("a\udcff/b"),
        OrderedDict([("b", 1), ("a", 2)]),
        Counter({"a": -1, "b": 0}),
        defaultdict(None, a=1),
        defaultdict(dict, a={}),
        deque([1, 2], maxlen=2),
        deque([1]),
    ],
    ids=repr,
)  # fmt: skip
def test_each_type_comes_back_exactly(value):
    """Corner by corner, at the top and inside."""
    assert_same(round_trip(value, "msgpack"), value)
    assert_same(round_trip([(value,)], "msgpack"), [(value,)])


def test_a_deque_and_a_uuid_keep_what_equality_does_not_see():
    """maxlen and is_safe are not compared by ==."""
    assert round_trip(deque([1], 3), "msgpack").maxlen == 3
    assert round_trip(deque([1]), "msgpack").maxlen is None
    assert (
        round_trip(uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe), "msgpack").is_safe
        is uuid.SafeUUID.safe
    )
    assert round_trip(defaultdict(list), "msgpack").default_factory is list


def test_equal_sets_have_equal_bytes():
    """The order of a set, which changes from process to process, does not reach the bytes."""
    one, other = set([0, 8]), set([8, 0])  # noqa: C405 - insertion order matters, the two collide
    assert list(one) != list(other)
    assert encode(one) == encode(other)


class Text(str):  # noqa: SLOT000
    """A subclass that msgpack would take for str."""


class Rows(list):
    """A subclass that msgpack would take for list."""


class Table(dict):
    """A subclass that msgpack would take for dict."""


class Number(int):
    """A subclass that msgpack would take for int."""


class Day(dt.date):
    """A subclass that msgpack would take for a date."""


@pytest.mark.parametrize(
    "value",
    [
        Text("a"),
        Rows([1]),
        Table(a=1),
        Number(3),
        Day(2026, 1, 1),
        {Text("k"): 1},
        [Rows()],
        (Table(),),
    ],
)
def test_a_subclass_is_never_turned_into_its_base(value):
    """Its class comes back, by pickle."""
    back = round_trip(value, "pickle")
    assert type(back) is type(value)
    assert_same(
        list(back) if isinstance(back, Rows) else back,
        list(value) if isinstance(value, Rows) else value,
    )


def test_attributes_of_an_ordered_dict_are_not_lost():
    """Rare, but they are there: pickle keeps them."""
    value = OrderedDict(a=1)
    value.note = "x"
    assert round_trip(value, "pickle").note == "x"


def test_zones_of_pytz_come_back_by_name():
    """pandas 2 makes them; one period of a zone is no zone by name and is left to pickle."""
    pytz = pytest.importorskip("pytz")
    zone = pytz.timezone("Europe/Berlin")
    assert round_trip(zone, "msgpack") is zone
    assert encode(zone.localize(dt.datetime(2026, 1, 1)).tzinfo)[0] == "pickle"


def test_decoding_takes_a_memoryview():
    """Payloads that stand inside larger bytes need no copy."""
    codec, payload = encode({"a": (1, 2)})
    assert decode(codec, memoryview(b"head" + payload)[4:]) == {"a": (1, 2)}
