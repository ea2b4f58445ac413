"""Instances of users' classes come back by field, without __init__ and without validation."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import threading
import typing

import attrs
import pydantic
import pytest
from test_codec import assert_same, round_trip

from nbflow._store.codec import decode, encode
from nbflow._store.codecs import tags
from nbflow._store.codecs.records import _find_class
from nbflow.errors import CodecError


class Color(enum.Enum):
    RED = (1, "r")
    CRIMSON = RED


class Level(enum.IntEnum):
    LOW = 1


class Label(enum.StrEnum):
    BILLING = "billing"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    A = 1
    B = 4


class Point(typing.NamedTuple):
    x: int
    y: list


@dataclasses.dataclass
class Person:
    name: str
    tags: list
    initials: str = dataclasses.field(init=False)

    def __post_init__(self):
        self.initials = self.name[0]
        self.seen = True  # no field of its own

    @functools.cached_property
    def shout(self):
        return self.name.upper()


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    b: tuple = ()


@dataclasses.dataclass
class Partial:
    a: int
    late: str = dataclasses.field(init=False)


@dataclasses.dataclass
class Fussy:
    a: int

    def __post_init__(self):
        if self.a < 0:
            raise ValueError("negative")


@attrs.define
class Wheel:
    size: int
    spokes: list = attrs.field(factory=list)


@attrs.frozen(slots=False)
class Car:
    name: str
    _secret: int = 3


@attrs.frozen(cache_hash=True)
class Hashed:
    a: str


class Category(pydantic.BaseModel):
    label: typing.Literal["billing", "other"]
    score: float = 0.5
    _calls: int = pydantic.PrivateAttr(default=0)


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    a: int = 1


class Nested(pydantic.BaseModel):
    items: list[Category]
    by: dict[str, Color] = {}


class Root(pydantic.RootModel[list[int]]):
    pass


def person():
    value = Person("Ada", ["x"])
    value.initials = "other"
    assert value.shout == "ADA"
    return value


@pytest.mark.parametrize(
    "value",
    [
        *(
            Color.RED,
            Color.CRIMSON,
            Level.LOW,
            Label.BILLING,
            Right.READ,
            Right.READ | Right.WRITE,
            Right(0),
        ),
        *(Mode.A | Mode.B, Mode(8), Mode(0)),
        Point(1, [2]),
        person(),
        Slotted(1, (Color.RED,)),
        Wheel(3, ["a"]),
        Car("vw", 4),
        {"k": [Slotted(1), Wheel(1), Point(1, [])]},
        {Slotted(1): 1, Color.RED: 2},
    ],
    ids=repr,
)
def test_records_come_back_by_field(value):
    """Type, fields and what else is in the instance."""
    back = round_trip(value, "msgpack")
    assert_same(back, value)
    assert getattr(back, "__dict__", None) == getattr(value, "__dict__", None)


def test_enum_members_are_the_members():
    """Identity, as enums are compared."""
    assert round_trip([Color.RED], "msgpack")[0] is Color.RED


def test_no_init_and_no_post_init_runs():
    """State comes back as it was, not as it would be made now."""
    value = Fussy(1)
    value.a = -5
    assert round_trip(value, "msgpack").a == -5


def test_a_field_that_was_never_set_stays_unset():
    """Neither a default nor an error."""
    back = round_trip(Partial(1), "msgpack")
    assert back.a == 1
    assert not hasattr(back, "late")


def test_models_keep_their_exact_state():
    """Fields, which of them were set, extras and private attributes; nothing is validated again."""
    value = Category(label="billing")
    value._calls = 7
    back = round_trip(value, "msgpack")
    assert (back, back.model_fields_set, back._calls) == (value, {"label"}, 7)
    invalid = Category.model_construct(label="nonsense", score="x")
    assert round_trip(invalid, "msgpack").__dict__ == {
        "label": "nonsense",
        "score": "x",
    }
    extra = Open(a=2, b=[3])
    assert round_trip(extra, "msgpack").__pydantic_extra__ == {"b": [3]}
    assert_same(hash(round_trip(Open(), "msgpack")), hash(Open()))
    assert round_trip(Root([1, 2]), "msgpack") == Root([1, 2])
    nested = Nested(
        items=[value, Category(label="other", score=1)], by={"x": Color.RED}
    )
    back = round_trip(nested, "msgpack")
    assert back == nested
    assert back.items[1].model_fields_set == {"label", "score"}
    assert Category.model_construct(score=1.0).__dict__ == {"score": 1.0}
    assert round_trip(Category.model_construct(score=1.0), "msgpack").__dict__ == {
        "score": 1.0
    }


class Guarded:
    def __getstate__(self):
        return {"a": self.a}


@dataclasses.dataclass
class OwnSay(Guarded):
    a: int
    lock: object = None


@dataclasses.dataclass
class Failure(Exception):
    a: int


@dataclasses.dataclass
class Listing(list):
    a: int = 1


@pytest.mark.parametrize("value", [Hashed("a"), Listing(2)], ids=repr)
def test_what_fields_do_not_tell_goes_to_pickle(value):
    """Cached hashes, built-in bases."""
    assert round_trip(value, "pickle") == value


def test_a_class_with_its_own_pickling_is_asked():
    """It leaves the lock out; we would have refused it."""
    back = round_trip(OwnSay(1, threading.Lock()), "pickle")
    assert (back.a, back.__dict__) == (1, {"a": 1})


def test_dataclass_exceptions_keep_their_arguments():
    """An exception has state outside its fields."""
    back = round_trip(Failure(3), "pickle")
    assert (type(back), back.a, back.args) == (Failure, 3, (3,))


def test_shared_and_cyclic_records_go_to_pickle():
    """Identity matters for records as it does for lists."""
    one = Wheel(1)
    back = round_trip([one, one], "pickle")
    assert back[0] is back[1]
    loop = Wheel(1)
    loop.spokes.append(loop)
    assert encode(loop)[0] == "pickle"


def test_a_local_class_is_refused_with_advice():
    """It cannot be found by name."""

    @dataclasses.dataclass
    class Local:
        a: int

    with pytest.raises(CodecError, match="define its class at the top"):
        encode({"x": Local(1)})


def test_an_instance_of_a_redefined_class_is_refused_with_advice(monkeypatch):
    """The trap of a cell that was run again after the instance was made."""
    old = Wheel(1)
    monkeypatch.setattr(
        sys.modules[__name__], "Wheel", attrs.make_class("Wheel", ["size"])
    )
    with pytest.raises(CodecError, match="its class was defined again"):
        encode([old])


@pytest.mark.parametrize(
    "value",
    [Category(label="other"), Slotted(1), Color.RED, Point(1, []), Right(3), Car("x")],
)
def test_a_missing_class_says_what_to_run(value, monkeypatch):
    """In a new kernel the class is there only once its cell has run."""
    codec, payload = encode(value)
    name = type(value).__name__
    monkeypatch.delattr(sys.modules[__name__], name)
    with pytest.raises(
        CodecError,
        match=f"the class {name} is not defined in this kernel: run the cell",
    ):
        decode(codec, payload)


def test_a_missing_module_says_what_to_import(monkeypatch):
    """The module is tried by name once; then its name is in the message."""
    monkeypatch.setattr(Slotted, "__module__", "gone_module")
    monkeypatch.setitem(sys.modules, "gone_module", sys.modules[__name__])
    codec, payload = encode(Slotted(1))
    monkeypatch.delitem(sys.modules, "gone_module")
    with pytest.raises(CodecError, match="gone_module"):
        decode(codec, payload)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (Slotted(1), dataclasses.make_dataclass("Slotted", ["a"])),
        (Wheel(1), attrs.make_class("Wheel", ["size", "spokes", "more"])),
        (Category(label="other"), pydantic.create_model("Category", label=(str, ...))),
        (Point(1, []), typing.NamedTuple("Point", [("y", int), ("x", int)])),
        (Color.RED, enum.Enum("Color", ["BLUE"])),
    ],
)
def test_a_class_that_changed_is_not_filled_with_old_fields(value, other, monkeypatch):
    """Half an object is worse than none."""
    codec, payload = encode(value)
    monkeypatch.setattr(sys.modules[__name__], type(value).__name__, other)
    with pytest.raises(
        CodecError, match=r"has changed since|no longer has this member"
    ):
        decode(codec, payload)


@pytest.mark.parametrize(
    "value",
    [Category(label="other"), Slotted(1), Color.RED, Point(1, []), Right(3), Car("x")],
)
@pytest.mark.parametrize("other", [int, threading.Thread, print, "text"])
def test_only_a_class_of_the_family_is_filled(value, other, monkeypatch):
    """A name in the bytes never makes an arbitrary object."""
    codec, payload = encode(value)
    monkeypatch.setattr(sys.modules[__name__], type(value).__name__, other)
    with pytest.raises(CodecError):
        decode(codec, payload)


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        (tags.NAMEDTUPLE, "nbflow._run.sources", "Version"),
        (tags.DATACLASS, "nbflow.notebook.objects", "_View"),
    ],
)
def test_classes_of_nbflow_are_found_by_the_names_that_they_were_saved_by(
    kind, module, name
):
    """A store that an earlier version wrote says what changed, and gives step cells."""
    assert _find_class(kind, module, name).__module__.startswith("nbflow.")
