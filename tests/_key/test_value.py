"""Two values have one digest exactly when a careful user would call them the same."""

import array
import collections
import copy
import ctypes
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import logging
import operator
import pathlib
import re
import socket
import sqlite3
import struct
import sys
import threading
import types
import unittest.mock
import uuid
import weakref
import zoneinfo

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._key import value as value_module
from nbflow._key.reader import digest
from nbflow._key.value import key_by
from nbflow.errors import UnkeyableError, UsageError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Word(str, enum.Enum):  # noqa: UP042  # the older spelling is common in users' code
    RED = "red"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024


@dataclasses.dataclass
class Row:
    a: int
    b: object = None


@dataclasses.dataclass(slots=True, frozen=True)
class SlottedRow:
    a: int
    b: object = None


@attrs.define
class AttrsRow:
    a: int
    b: object = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int
    b: object = None


class Thing:
    def __init__(self, **state):
        self.__dict__.update(state)


class Names(list):
    pass


class ManyPaths(type(pathlib.Path())):
    pass


class Hours(dt.tzinfo):
    def __init__(self, hours=0):
        self.hours = hours

    def __repr__(self):
        return "Hours"


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOON = dt.datetime(2026, 11, 23, 12)
DISTINCT = [
    *(
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        [1],
        (1,),
        {1},
        frozenset({1}),
        bytearray(b"1"),
        memoryview(b"1"),
        [],
        (),
        {},
        set(),
    ),
    *(
        {"a": 1},
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        {1: 1},
        {True: 1},
        {"1": 1},
        {(1,): 1},
        {None: 1},
    ),
    *(
        [[1], 2],
        [[1, 2]],
        [1, [2]],
        ["ab", "c"],
        ["a", "bc"],
        ("ab", "c"),
        ("a", "bc"),
        [None],
        [[]],
        [()],
    ),
    *(
        0.0,
        -0.0,
        float("nan"),
        float("inf"),
        -float("inf"),
        2**63,
        2**64,
        2**70,
        -(2**70),
        [2**70],
        1e300,
        1j,
        complex(0, -0.0),
    ),
    *("\ud800", ["\ud800"], {"\ud800": 1}, "", b"", "\0", "é", "e\u0301"),
    *(
        decimal.Decimal(1),
        decimal.Decimal("1.0"),
        decimal.Decimal("nan"),
        decimal.Decimal("inf"),
        fractions.Fraction(1),
    ),
    *(
        uuid.UUID(int=1),
        range(3),
        range(0, 3, 2),
        slice(1),
        slice(1, None),
        ...,
        NotImplemented,
    ),
    *(
        NOON,
        NOON.date(),
        NOON.time(),
        NOON.replace(tzinfo=dt.UTC),
        NOON.replace(tzinfo=BERLIN),
        NOON.replace(fold=1),
    ),
    *(
        NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")),
        NOON.replace(tzinfo=dt.timezone(dt.timedelta(0), "Z")),
        dt.timedelta(1),
    ),
    *(
        BERLIN,
        dt.UTC,
        pathlib.Path("a"),
        pathlib.PurePosixPath("a"),
        pathlib.PureWindowsPath("a"),
        pathlib.Path("a/b"),
    ),
    *(
        ManyPaths("a"),
        Hours(1),
        Hours(2),
        decimal.Context(prec=3),
        decimal.Context(prec=4),
        collections.ChainMap({"a": 1}),
    ),
    *(
        collections.UserDict(a=1),
        collections.UserDict(a=2),
        collections.UserList([1]),
        collections.UserString("1"),
    ),
    *(
        ctypes.c_int(1),
        ctypes.c_int(2),
        ctypes.c_double(1),
        (ctypes.c_int * 2)(1, 2),
        (ctypes.c_int * 2)(1, 3),
    ),
    *(
        Thing(**{"\ud800": 1}),
        Thing(**{"\ud801": 1}),
        ["\ud801"],
        [2**70 + 1],
        {"a": 2**70},
        (2**70, "\ud800"),
    ),
    *(
        Thing(x=1).__eq__,
        Thing(x=2).__eq__,
        Thing.__init__,
        NOON.time().replace(fold=1),
        NOON.time().replace(tzinfo=dt.UTC),
    ),
    *(
        Colour.RED,
        Colour.BLUE,
        Word.RED,
        Right.READ,
        Right.READ | Right.WRITE,
        Pair(1, 2),
        Pair(2, 1),
        Names([1]),
    ),
    *(
        Row(1),
        Row(2),
        Row(1, Row(1)),
        SlottedRow(1),
        SlottedRow(2),
        AttrsRow(1),
        AttrsRow(2),
        Model(a=1),
        Model(a=2),
        Model(a=1, c=2),
    ),
    *(
        Thing(),
        Thing(x=1),
        Thing(y=1),
        Thing(x=Thing()),
        types.SimpleNamespace(x=1),
        types.MappingProxyType({"x": 1}),
    ),
    *(
        re.compile("a"),
        re.compile(b"a"),
        re.compile("a", re.IGNORECASE),
        array.array("i", [1]),
        array.array("d", [1]),
    ),
    *(
        collections.OrderedDict(a=1),
        collections.Counter("a"),
        collections.defaultdict(list, a=1),
        collections.defaultdict(int, a=1),
    ),
    *(
        collections.deque([1]),
        collections.deque([1], 3),
        ValueError("a"),
        ValueError("b"),
        KeyError("a"),
    ),
    *(
        functools.partial(max, 1),
        functools.partial(max, 2),
        functools.partial(min, 1),
        operator.itemgetter(1),
        operator.attrgetter("a"),
    ),
    *(
        len,
        max,
        str,
        int,
        Row,
        Model,
        Colour,
        "a".upper,
        "b".upper,
        list[int],
        int | None,
        sys,
        types,
        lambda: 1,
        lambda: 2,
    ),
    *(threading.Lock(), threading.Event(), logging.getLogger("a")),
]


def test_what_differs_in_content_or_type_differs_in_digest():
    seen = {}
    for value in DISTINCT:
        assert seen.setdefault(digest(value), value) is value


def can_be_copied(value):
    try:
        copy.deepcopy(value)
    except TypeError:
        return False
    return not isinstance(value, memoryview)


@pytest.mark.parametrize(
    "value", [value for value in DISTINCT if can_be_copied(value)], ids=repr
)
def test_a_copy_has_the_digest_of_its_original(value):
    copied = copy.deepcopy(value)
    assert digest(copied) == digest(value)
    assert digest([value, copied]) == digest([value, value])
    assert digest({"a": (copied,)}) == digest({"a": (value,)})


def other_nan():
    return struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\xff")[0]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: (x,),
        lambda x: {"a": [x]},
        lambda x: Row(x),
    ],
)
def test_all_nans_are_one_value(wrap):
    assert digest(wrap(other_nan())) == digest(wrap(float("nan")))
    assert (
        digest(wrap(-float("nan")))
        == digest(wrap(float("inf") * 0))
        == digest(wrap(float("nan")))
    )


def test_bytes_that_look_like_nan_are_plain_all_the_same():
    assert digest(["\xcb\x7f", b"\xcb\x7f\xf8", 1.7e308]) == digest(
        ["\xcb\x7f", b"\xcb\x7f\xf8", 1.7e308]
    )
    assert digest(b"\xcb\x7f") != digest(b"\xcb\x7e")


@pytest.mark.parametrize("kind", [set, frozenset])
def test_the_order_of_a_set_does_not_count(kind):
    words = [(f"word {n}",) for n in range(50)]
    backwards = words[::-1]
    assert digest(kind(words)) == digest(kind(backwards))


def test_the_order_in_which_attributes_were_set_does_not_count():
    assert digest(Thing(a=1, b=2)) == digest(Thing(b=2, a=1))


def cycle():
    parent, child = Thing(name="parent"), Thing(name="child")
    parent.children, child.parent = [child, child], parent
    return parent


def test_cycles_are_keyed_by_their_shape():
    one, other = cycle(), cycle()
    assert digest(one) == digest(other)
    assert digest(one) != digest(one.children[0])
    other.children[0].name = "another"
    assert digest(one) != digest(other)


def test_objects_that_all_know_each_other_are_keyed_in_reasonable_time():
    things = [Thing(number=number) for number in range(40)]
    for thing in things:
        thing.all = things
    layered = Thing()
    for _ in range(60):
        layered = Thing(left=layered, right=layered)
    assert digest(things[0]) != digest(things[1])
    assert digest(layered) != digest(layered.left)


def test_members_of_a_set_that_know_each_other_have_no_order():
    def team(order):
        members = [Thing(name=name) for name in "abcdef"]
        for place in order:
            members[place].mates = [members[place - 1], members[place - 2]]
        return {members[place] for place in order}

    assert digest(team(range(6))) == digest(team(range(5, -1, -1)))


def test_caches_of_an_object_are_no_part_of_it():
    class Report:
        def __init__(self):
            self.rows = [1]

        @functools.cached_property
        def total(self):
            return sum(self.rows)

    fresh, used = Report(), Report()
    assert used.total == 1
    assert digest(fresh) == digest(used)


def test_a_class_that_says_its_state_is_believed():
    class Session:
        def __init__(self, user):
            self.user, self.opened = user, object()

        def __getstate__(self):
            return {"user": self.user}

    assert digest(Session("a")) == digest(Session("a")) != digest(Session("b"))


def test_private_slots_count():
    class Slotted:
        __slots__ = ("__hidden", "open")

        def __init__(self, hidden):
            self.__hidden = hidden

    assert digest(Slotted(1)) == digest(Slotted(1)) != digest(Slotted(2))


def test_attributes_have_no_order_and_dicts_have_one():
    """As the docs say."""
    for kind in (types.SimpleNamespace, Thing):
        assert digest(kind(a=1, b=2)) == digest(kind(b=2, a=1))
    one, other = Model(a=1, x=1, y=2), Model(a=1, y=2, x=1)  # extra fields
    assert digest(one) == digest(other)
    assert digest({"a": 1, "b": 2}) != digest({"b": 2, "a": 1})


def test_the_cause_of_an_exception_counts():
    bare, caused, other = (ValueError("x") for _ in range(3))
    caused.__cause__, other.__cause__ = KeyError("a"), KeyError("b")
    assert len({digest(error) for error in (bare, caused, other)}) == 3


def test_a_match_is_what_was_found_and_where():
    pattern, text = re.compile("(a)(b)?"), "xab"
    one = pattern.search(text)
    assert digest(one) == digest(re.search("(a)(b)?", "x" + "ab"))
    others = [pattern.search("xa"), pattern.search(text, 0, 2), re.search("(a)b", text)]
    assert len({digest(match) for match in (one, *others)}) == 4


def test_what_a_decimal_context_has_met_does_not_count():
    fresh, used = decimal.Context(), decimal.Context()
    used.divide(decimal.Decimal(1), decimal.Decimal(3))
    assert digest(fresh) == digest(used) != digest(decimal.Context(prec=5))
    assert digest(used) != digest(decimal.Context(traps=[decimal.Inexact]))


def test_extra_and_private_fields_of_a_model_count():
    class Private(pydantic.BaseModel):
        _hidden: int = pydantic.PrivateAttr(1)

    one, other = Private(), Private()
    other._hidden = 2
    assert digest(one) != digest(other)


def test_whether_a_field_of_a_model_was_set_counts():
    """`model_dump(exclude_unset=True)` tells them apart."""
    assert digest(Model(a=1)) == digest(Model(a=1)) != digest(Model(a=1, b=None))
    assert digest([Model(a=1)]) != digest([Model(a=1, b=None)])
    set_later = Model(a=1)
    set_later.b = None
    assert digest(set_later) == digest(Model(a=1, b=None))


def test_what_a_struct_holds_beside_its_fields_counts():
    class Struct(msgspec.Struct, dict=True):
        a: int = 1

    one, other = Struct(), Struct()
    other.__dict__["note"] = 2
    assert digest(one) == digest(Struct()) != digest(other)


@pytest.mark.parametrize(
    "make",
    [
        threading.Lock,
        threading.RLock,
        threading.Condition,
        lambda: sqlite3.connect(":memory:"),
        socket.socket,
        lambda: logging.getLogger("some"),
        unittest.mock.MagicMock,
    ],
)
def test_what_has_no_value_is_keyed_by_its_type(make):
    one, other = make(), make()
    assert digest(Thing(a=one)) == digest(Thing(a=other))
    for opened in (one, other):
        getattr(opened, "close", int)()


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1]),
        lambda: (i for i in [1]),
        lambda: map(str, [1]),
        lambda: io.StringIO("a"),
        lambda: io.BytesIO(b"a"),
        lambda: {}.keys(),
        lambda: weakref.ref(Thing),
        lambda: weakref.proxy(Thing),
        lambda: weakref.WeakSet([Thing]),
        lambda: ctypes.pointer(ctypes.c_int(1)),
        lambda: sys._getframe(),
    ],
)
def test_what_cannot_be_looked_at_is_refused(make):
    with pytest.raises(UnkeyableError, match="no key can be made of"):
        digest(make())


class Silent:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("key", "shown"),
    [(10**5000, "<int>"), (Silent(), "<Silent>"), ("a" * 99, '"aaa')],
    ids=["number", "silent", "long"],
)
def test_a_refusal_survives_keys_that_cannot_be_written(key, shown):
    with pytest.raises(UnkeyableError, match=f"^rows\\[{shown}"):
        digest({key: iter([])}, "rows")


def test_what_a_path_remembers_of_itself_does_not_count():
    fresh, used = ManyPaths("a/b"), ManyPaths("a/b")
    _ = hash(used), str(used), used.parts, used.parent
    assert digest(fresh) == digest(used)


def test_a_coroutine_is_refused():
    async def fetch():
        pass

    waiting = fetch()
    with pytest.raises(UnkeyableError, match="pass its result"):
        digest(waiting)
    waiting.close()


def test_a_refusal_names_the_place_the_type_and_three_ways_out():
    with pytest.raises(UnkeyableError) as caught:
        digest([{}, {}, {}, Thing(body={"client": (1, iter([]))})], "rows")
    message = str(caught.value)
    assert message.startswith('rows[3].body["client"][1] is a list_iterator')
    assert "Pass something plain" in message
    assert 'ignore=["rows"]' in message
    assert "nf.key_by(list_iterator, " in message


def test_nesting_too_deep_for_the_stack_is_said_so():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UnkeyableError, match="nested too deeply"):
        digest(deep, "rows")


@pytest.mark.parametrize("depth", [1, 14, 15, 16, 17, 18, 40, 100])
def test_every_depth_counts(depth):
    def nested(content):
        for _ in range(depth):
            content = [content]
        return content

    assert digest(nested(1)) == digest(nested(1))
    assert len({digest(nested(1)), digest(nested(2)), digest(nested([1]))}) == 3


def test_a_user_says_what_identifies_a_value():
    class Client:
        def __init__(self, url):
            self.url, self.pool = url, iter([])

    class Special(Client):
        pass

    with pytest.raises(UnkeyableError):
        digest(Client("a"))
    key_by(Client, lambda client: client.url)
    try:
        assert digest(Client("a")) == digest(Client("a")) != digest(Client("b"))
        assert digest([Special("a")]) == digest([Special("a")])
        key_by(Client, lambda client: client)
        with pytest.raises(UnkeyableError, match="returns the value itself"):
            digest(Client("a"))
    finally:
        del value_module._USERS[Client]
        value_module._FOUND.clear()


@pytest.mark.parametrize(
    ("kind", "function"), [(dict, len), (str, len), ("Client", len), (Thing, "url")]
)
def test_a_wrong_registration_is_refused(kind, function):
    with pytest.raises(UsageError, match="key_by needs"):
        key_by(kind, function)


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False)
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Row, st.integers(), inner)
    ),
    max_leaves=20,
)


def canon(value):
    """Spell a value so that two spellings are equal exactly if the values are the same."""
    if isinstance(value, Row):
        return ("Row", canon(value.a), canon(value.b))
    if isinstance(value, dict):
        return ("dict", tuple((canon(key), canon(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, tuple(map(canon, value)))
    return (type(value).__name__, "nan" if value != value else repr(value))


@given(VALUES)
def test_any_value_and_its_copy_have_one_digest(value):
    assert digest(value) == digest(copy.deepcopy(value))


@given(VALUES, VALUES)
def test_any_two_values_have_one_digest_exactly_if_they_are_the_same(one, other):
    assert (digest(one) == digest(other)) == (canon(one) == canon(other))


@given(st.lists(VALUES, max_size=4), st.integers(0, 3), VALUES)
def test_changing_any_member_changes_the_digest(values, place, new):
    if place < len(values):
        changed = [*values[:place], new, *values[place + 1 :]]
        assert (digest(values) == digest(changed)) == (
            canon(values[place]) == canon(new)
        )


def test_an_empty_slot_is_not_asked_of_a_class_that_makes_up_attributes():
    """SQLAlchemy's names make a new function for each empty slot that is looked at, without end."""

    class Memoized:
        __slots__ = ("made", "name")

        def __init__(self, name):
            self.name = name

        def __getattr__(self, name):
            if name != "made":
                raise AttributeError(name)
            return lambda: Memoized(self.name)

    assert digest(Memoized("a")) == digest(Memoized("a"))
    assert digest(Memoized("a")) != digest(Memoized("b"))
