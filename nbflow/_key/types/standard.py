"""Digests of Python's own types: numbers, text, containers, times, paths, enums."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import math
import operator
import pathlib
import re
import sys
import types
import typing
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

from nbflow._core.quote import Quote
from nbflow._key import stdlib
from nbflow._key.origin import is_users
from nbflow._key.secret import Secret
from nbflow._key.value import (
    ATTRIBUTE,
    INDEX,
    ITEM,
    Walk,
    handler,
    handles,
    member,
    refuse,
    seal,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


# Numbers and text. Most never come here: plain data is encoded in one go.


@handles(int)
def _int(_: Walk, value: int) -> bytes:
    return seal("int", hex(value))


@handles(float)
def _float(_: Walk, value: float) -> bytes:
    return seal("nan") if math.isnan(value) else seal("float", float.hex(value))


@handles(complex)
def _complex(walk: Walk, value: complex) -> bytes:
    return _parts(walk, "complex", value.real, value.imag)


@handles(str)
def _str(_: Walk, value: str) -> bytes:
    return seal("str", str.encode(value, "utf-8", "surrogatepass"))


@handles(Quote)
def _quote(_: Walk, value: Quote) -> bytes:
    return seal("quote", str(value), value.start)


@handles(Secret)
def _secret(_: Walk, value: Secret) -> bytes:
    return seal("secret", value.name)


@handles(bytes, bytearray)
def _bytes(_: Walk, value: bytes | bytearray) -> bytes:
    tag = "bytes" if isinstance(value, bytes) else "bytearray"
    return seal(tag, len(value), buffers=(memoryview(value),))


@handles(memoryview)
def _memoryview(_: Walk, value: memoryview) -> bytes:
    is_flat = value.c_contiguous and value.nbytes
    content = value.cast("B") if is_flat else value.tobytes()
    return seal("memoryview", value.format, list(value.shape or ()), buffers=(content,))


@handles(array.array)
def _array(walk: Walk, value: array.array[Any]) -> bytes:
    return _parts(walk, "array", value.typecode, *value)


@handles(decimal.Decimal)
def _decimal(_: Walk, value: decimal.Decimal) -> bytes:
    if value.is_nan():
        return seal("decimal nan", value.is_snan())
    return seal("decimal", decimal.Decimal.__str__(value))


@handles(decimal.Context)
def _context(walk: Walk, value: decimal.Context) -> bytes:
    """Digest how a context computes; its flags say what it has met so far."""
    _, arguments = value.__reduce__()
    *how, _flags, traps = arguments
    parts = [(INDEX, place, part) for place, part in enumerate((*how, [], traps))]
    return walk.members("object", "Context", len(parts), 0, [], items=parts)


@handles(fractions.Fraction)
def _fraction(walk: Walk, value: fractions.Fraction) -> bytes:
    return _parts(walk, "fraction", value.numerator, value.denominator)


@handles(uuid.UUID)
def _uuid(_: Walk, value: uuid.UUID) -> bytes:
    return seal("uuid", value.bytes)


@handles(type(None), bool, type(...), type(NotImplemented))
def _singleton(_: Walk, value: object) -> bytes:
    return seal("singleton", repr(value))


# Containers.


@handles(list, tuple)
def _sequence(walk: Walk, value: Any) -> bytes:
    kind: Any = list if isinstance(value, list) else tuple
    items = [(INDEX, place, item) for place, item in enumerate(kind.__iter__(value))]
    return walk.members(kind.__name__, list(getattr(value, "_fields", ())), items=items)


@handles(dict)
def _dict(walk: Walk, value: dict[object, object]) -> bytes:
    return walk.members("dict", items=_pairs(dict.items(value)))


@handles(collections.OrderedDict)
def _ordered(walk: Walk, value: collections.OrderedDict[object, object]) -> bytes:
    pairs = _pairs(collections.OrderedDict.items(value))
    return walk.members("ordered dict", items=pairs)


@handles(collections.defaultdict)
def _defaultdict(walk: Walk, value: collections.defaultdict[object, object]) -> bytes:
    default = member(walk.at(".{}", "default_factory", value.default_factory))
    return walk.members("default dict", default, items=_pairs(dict.items(value)))


@handles(types.MappingProxyType)
def _proxy(walk: Walk, value: types.MappingProxyType[object, object]) -> bytes:
    return walk.members("mapping proxy", items=_pairs(value.items()))


@handles(collections.deque)
def _deque(walk: Walk, value: collections.deque[object]) -> bytes:
    iterator = collections.deque.__iter__(value)
    items = [(INDEX, place, item) for place, item in enumerate(iterator)]
    return walk.members("deque", value.maxlen, items=items)


@handles(set, frozenset)
def _set(walk: Walk, value: Any) -> bytes:
    kind: Any = set if isinstance(value, set) else frozenset
    return seal(kind.__name__, walk.unordered(kind.__iter__(value)))


def _pairs(
    items: Iterable[tuple[object, object]],
) -> Iterable[tuple[str, object, object]]:
    for key, item in items:
        yield ITEM, key, key
        yield ITEM, key, item


@handles(range)
def _range(walk: Walk, value: range) -> bytes:
    return _parts(walk, "range", value.start, value.stop, value.step)


@handles(slice)
def _slice(walk: Walk, value: slice) -> bytes:
    return _parts(walk, "slice", value.start, value.stop, value.step)


# Times. Equal instants in two time zones are two values: their days and hours differ.


@handles(dt.datetime)
def _datetime(walk: Walk, value: dt.datetime) -> bytes:
    text = dt.datetime.isoformat(value.replace(tzinfo=None))
    return seal("datetime", [text, value.fold, _zone_of(walk, value)])


def _zone_of(walk: Walk, value: dt.datetime | dt.time) -> object:
    if value.tzinfo is None:
        return None
    return member(walk.at(ATTRIBUTE, "tzinfo", value.tzinfo))


@handles(dt.date)
def _date(_: Walk, value: dt.date) -> bytes:
    return seal("date", dt.date.isoformat(value))


@handles(dt.time)
def _time(walk: Walk, value: dt.time) -> bytes:
    text = dt.time.isoformat(value.replace(tzinfo=None))
    return seal("time", [text, value.fold, _zone_of(walk, value)])


@handles(dt.timedelta)
def _timedelta(_: Walk, value: dt.timedelta) -> bytes:
    return seal("timedelta", value.days, value.seconds, value.microseconds)


@handles(dt.timezone, subclasses=True)
def _timezone(_: Walk, value: dt.timezone) -> bytes:
    offset = value.utcoffset(None)
    return seal(
        "timezone", offset.days, offset.seconds, offset.microseconds, value.tzname(None)
    )


@handles(zoneinfo.ZoneInfo, subclasses=True)
def _zone(_: Walk, value: zoneinfo.ZoneInfo) -> bytes:
    if not value.key:
        refuse(value, "it is a time zone without a name")
    return seal("zone", value.key)


@handles(dt.tzinfo, subclasses=True)
def _tzinfo(walk: Walk, value: dt.tzinfo) -> bytes:
    if type(value).__module__.partition(".")[0] in ("pytz", "dateutil"):
        # They say all there is to them there; their attributes are caches.
        return seal("tzinfo", repr(value))
    return handler(object)(walk, value)


# Names of things.


@handles(
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)
def _path(walk: Walk, value: pathlib.PurePath) -> bytes:
    if isinstance(value, pathlib.Path):
        return _parts(walk, "path", str(value))
    is_windows = isinstance(value, pathlib.PureWindowsPath)
    return _parts(walk, "windows path" if is_windows else "pure path", str(value))


@handles(enum.Enum, subclasses=True)
def _enum(walk: Walk, value: enum.Enum) -> bytes:
    name = None if isinstance(value, enum.Flag) else value.name
    return _parts(walk, "enum", type(value).__qualname__, name, value._value_)


@handles(re.Pattern)
def _pattern(walk: Walk, value: re.Pattern[Any]) -> bytes:
    return _parts(walk, "pattern", value.pattern, value.flags)


@handles(re.Match)
def _match(walk: Walk, value: re.Match[Any]) -> bytes:
    where = (value.pos, value.endpos, value.regs, value.lastindex)
    return _parts(walk, "match", value.re, value.string, *where)


@handles(types.ModuleType, subclasses=True)
def _module(walk: Walk, value: types.ModuleType) -> bytes:
    if is_users(value):
        return seal("code", walk.reach(value))
    return seal("module", value.__name__)


@handles(types.SimpleNamespace)
def _namespace(walk: Walk, value: types.SimpleNamespace) -> bytes:
    state = dict(sorted(vars(value).items()))
    return walk.members("namespace", list(state), items=steps(state))


@handles(functools.partial)
def _partial(walk: Walk, value: functools.partial[object]) -> bytes:
    keywords = dict(sorted(value.keywords.items()))
    return _parts(walk, "partial", value.func, value.args, keywords)


@handles(operator.attrgetter, operator.itemgetter, operator.methodcaller)
def _getter(walk: Walk, value: Any) -> bytes:
    return _parts(walk, type(value).__name__, *value.__reduce__()[1:])


@handles(type(typing.Annotated[int, ""]))
def _annotated(walk: Walk, value: Any) -> bytes:
    # Pickle writes it in another way since Python 3.13.
    return _parts(walk, "annotated", value.__origin__, value.__metadata__)


@handles(types.UnionType, type(typing.Union[int, str]))  # noqa: UP007  # two classes up to Python 3.13, one since
def _union(walk: Walk, value: Any) -> bytes:
    args = value.__args__
    parts: tuple[object, ...] = (functools.reduce, operator.or_, args)
    items = [(INDEX, place, part) for place, part in enumerate(parts)]
    return walk.members("object", "UnionType", len(parts), 0, [], items=items)


@handles(typing.ForwardRef)
def _forward_reference(_: Walk, value: typing.ForwardRef) -> bytes:
    return seal("forward reference", value.__forward_arg__)


for _kind in {type(dataclasses.MISSING), type(dataclasses.KW_ONLY)}:

    @handles(_kind)  # classes of their own up to Python 3.14, `sentinel` since
    def _mark(walk: Walk, value: object) -> bytes:
        if (name := stdlib.mark(value)) is None:
            return handler(object)(walk, value)
        return walk.members("object", name, 0, 0, [], items=[])


if sys.version_info >= (3, 12):

    @handles(typing.TypeAliasType)
    def _alias(walk: Walk, value: typing.TypeAliasType) -> bytes:
        try:
            meant = value.__value__
        except Exception as error:  # it is evaluated here, and may be any expression
            reason = f"what the type stands for cannot be evaluated ({error})"
            return refuse(value, reason)
        return _parts(walk, "type alias", value.__name__, meant)


def _parts(walk: Walk, tag: str, *parts: object) -> bytes:
    members = [(INDEX, place, part) for place, part in enumerate(parts)]
    return walk.members(tag, items=members)
