"""plain: the standard library's data as msgpack.

A type that msgpack would turn into another one is written as an extension. Types are
exact: a subclass is never written as its base. The writer hands what it does not know
to ``others``, so that this file stays free of third parties and of user classes.
"""

from __future__ import annotations

import datetime as dt
import pathlib
import struct
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Raw
from msgspec.msgpack import Decoder, Encoder, Ext

from nbflow._core.quote import Quote
from nbflow._key.file import File
from nbflow._key.secret import Secret, secret
from nbflow._store.codecs import tags
from nbflow.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from zoneinfo import ZoneInfo

#: Reads msgpack, extensions included.
Read: TypeAlias = "Callable[[bytes | memoryview], Any]"
ReadExtension: TypeAlias = "Callable[[memoryview, Read], object]"

_NATIVE = frozenset((type(None), bool, int, float, str, bytes))
#: What a defaultdict may call, by name.
_FACTORIES: dict[str, type] = {
    kind.__name__: kind
    for kind in (list, dict, set, tuple, int, float, bool, str, bytes)
}
_PATHS: dict[str, type[pathlib.PurePath]] = {
    kind.__name__: kind
    for kind in (
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
        File,
    )
}

encode = Encoder().encode


class UnfitError(Exception):
    """No typed codec carries this value exactly."""


def is_native(value: Any, seen: set[int] | None = None) -> bool:
    """Return whether msgpack alone gives back exactly this value.

    This guards the hot path, hence plain loops: for records they beat ``all()`` and
    passes in C. A container met twice is not native: msgpack would give back two.
    """
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) not in _NATIVE:
                return False
        items: Iterable[Any] = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _NATIVE
    for item in items:
        if type(item) not in _NATIVE:
            if seen is None:
                seen = {id(value)}
            if id(item) in seen:
                return False
            seen.add(id(item))
            if not is_native(item, seen):
                return False
    return True


class Writer:
    """Turns one value into what msgpack writes. Use each writer once.

    Args:
        others: writes the types that are not the standard library's plain ones, or
            raises ``UnfitError``.
    """

    def __init__(self, others: Callable[[Any, Writer], Ext]) -> None:
        self._others = others
        self._seen: set[int] = set()
        self._held: list[object] = []

    def pack(self, value: object) -> bytes:
        """The msgpack of ``value``."""
        return encode(self.wire(value))

    def wire(self, value: Any) -> object:
        """``value`` in terms of msgpack: native types and extensions."""
        kind = type(value)
        if kind is str:
            if _is_utf8(value):
                return value
            return Ext(tags.SURROGATES, value.encode("utf-8", "surrogatepass"))
        if kind is int:
            if -(2**63) <= value < 2**64:
                return value
            return Ext(tags.BIG_INT, _int_bytes(value))
        if kind in _NATIVE:
            return value
        write: Callable[..., object] = _WRITERS.get(kind, self._others)
        return write(value, self)

    def ext(self, code: int, items: Iterable[object]) -> Ext:
        """An extension that holds ``items``."""
        return Ext(code, encode([self.wire(item) for item in items]))

    def once(self, value: object) -> None:
        """Refuse a mutable value that was met before.

        Only pickle keeps shared references; this also ends cycles.
        """
        if id(value) in self._seen:
            raise UnfitError
        self._seen.add(id(value))
        # The id of a temporary is reused as soon as it is gone.
        self._held.append(value)

    def native(self, items: list[object]) -> bool:
        """Whether ``items``, whose holder lives on, are native and hold nothing mutable that was met before."""
        seen = self._seen.copy()
        found = is_native(items, seen)
        if found:
            self._seen = seen
        return found


class Reader:
    """Reads what a ``Writer`` wrote.

    Args:
        extensions: how to read the extensions that ``others`` wrote, by code.
    """

    def __init__(self, extensions: Mapping[int, ReadExtension]) -> None:
        self._extensions = {**_READERS, **extensions}
        self.read: Read = Decoder(ext_hook=self._extension).decode

    def _extension(self, code: int, data: memoryview) -> object:
        return self._extensions[code](data, self.read)


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _write_list(value: list[object], writer: Writer) -> list[object]:
    writer.once(value)
    return [writer.wire(item) for item in value]


def _write_dict(value: dict[object, object], writer: Writer) -> object:
    writer.once(value)
    pairs = [(writer.wire(key), writer.wire(item)) for key, item in value.items()]
    if any(type(key) is Ext for key, _ in pairs):
        # An extension cannot be a key of a msgpack map.
        return Ext(tags.PAIRS, encode(list(chain.from_iterable(pairs))))
    return dict(pairs)


def _write_set(value: set[object] | frozenset[object], writer: Writer) -> Ext:
    code = tags.FROZENSET
    if type(value) is set:
        writer.once(value)
        code = tags.SET
    # Sorted by their bytes: the order of a set changes from process to process, and
    # equal values are to have equal bytes.
    members = sorted(encode(writer.wire(item)) for item in value)
    return Ext(code, encode([Raw(member) for member in members]))


def _write_pairs(value: dict[object, object], writer: Writer) -> Ext:
    writer.once(value)
    if vars(value):
        raise UnfitError
    code = tags.ORDERED_DICT if type(value) is OrderedDict else tags.COUNTER
    return writer.ext(code, chain.from_iterable(value.items()))


def _write_defaultdict(value: defaultdict[object, object], writer: Writer) -> Ext:
    writer.once(value)
    factory = value.default_factory
    name = getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(str(name)) is not factory:
        raise UnfitError
    pairs = chain.from_iterable(value.items())
    return writer.ext(tags.DEFAULTDICT, chain((name,), pairs))


def _write_deque(value: deque[object], writer: Writer) -> Ext:
    writer.once(value)
    return writer.ext(tags.DEQUE, (value.maxlen, *value))


def _write_bytearray(value: bytearray, writer: Writer) -> Ext:
    writer.once(value)
    return Ext(tags.BYTEARRAY, bytes(value))


def _write_uuid(value: uuid.UUID, writer: Writer) -> Ext:
    return writer.ext(tags.UUID, (value.bytes, value.is_safe.value))


def _write_datetime(value: dt.datetime, writer: Writer) -> Ext:
    day = (value.year, value.month, value.day)
    return writer.ext(tags.DATETIME, (*day, *_clock(value)))


def _clock(value: dt.datetime | dt.time) -> tuple[object, ...]:
    return (
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.tzinfo,
        value.fold,
    )


def _write_timezone(value: dt.timezone, writer: Writer) -> Ext:
    arguments = value.__getinitargs__()  # type: ignore[attr-defined]  # typeshed omits it
    return writer.ext(tags.TIMEZONE, arguments)


def _write_time(value: dt.time, writer: Writer) -> Ext:
    return writer.ext(tags.TIME, _clock(value))


def _write_timedelta(value: dt.timedelta, writer: Writer) -> Ext:
    parts = (value.days, value.seconds, value.microseconds)
    return writer.ext(tags.TIMEDELTA, parts)


def _write_date(value: dt.date, writer: Writer) -> Ext:
    return writer.ext(tags.DATE, (value.year, value.month, value.day))


def _write_complex(value: complex, _: Writer) -> Ext:
    return Ext(tags.COMPLEX, struct.pack("<dd", value.real, value.imag))


def _write_decimal(value: Decimal, _: Writer) -> Ext:
    return Ext(tags.DECIMAL, str(value).encode())


def _write_fraction(value: Fraction, writer: Writer) -> Ext:
    return writer.ext(tags.FRACTION, (value.numerator, value.denominator))


def _write_range(value: range | slice, writer: Writer) -> Ext:
    code = tags.RANGE if type(value) is range else tags.SLICE
    return writer.ext(code, (value.start, value.stop, value.step))


def _write_path(value: pathlib.PurePath, writer: Writer) -> Ext:
    return writer.ext(tags.PATH, (type(value).__name__, str(value)))


def _write_quote(value: Quote, writer: Writer) -> Ext:
    return writer.ext(tags.QUOTE, (str(value), value.start))


def _write_secret(value: Secret, writer: Writer) -> Ext:
    return writer.ext(tags.SECRET, (value.name, value.service))


def _write_tuple(value: tuple[object, ...], writer: Writer) -> Ext:
    return writer.ext(tags.TUPLE, value)


_WRITERS: dict[type, Callable[..., object]] = {
    Quote: _write_quote,
    list: _write_list,
    dict: _write_dict,
    tuple: _write_tuple,
    set: _write_set,
    frozenset: _write_set,
    OrderedDict: _write_pairs,
    Counter: _write_pairs,
    defaultdict: _write_defaultdict,
    deque: _write_deque,
    bytearray: _write_bytearray,
    Secret: _write_secret,
    complex: _write_complex,
    Decimal: _write_decimal,
    Fraction: _write_fraction,
    uuid.UUID: _write_uuid,
    dt.date: _write_date,
    dt.time: _write_time,
    dt.datetime: _write_datetime,
    dt.timedelta: _write_timedelta,
    dt.timezone: _write_timezone,
    range: _write_range,
    slice: _write_range,
    **dict.fromkeys(_PATHS.values(), _write_path),
}


def _pairs(items: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _read_counter(data: memoryview, read: Read) -> Counter[object]:
    counter: Counter[object] = Counter()
    dict.update(counter, _pairs(read(data)))  # Counter.update would add up
    return counter


def _read_defaultdict(data: memoryview, read: Read) -> defaultdict[object, object]:
    name, *items = read(data)
    return defaultdict(None if name is None else _FACTORIES[name], _pairs(items))


def _read_deque(data: memoryview, read: Read) -> deque[object]:
    maxlen, *items = read(data)
    return deque(items, maxlen)


def _read_secret(data: memoryview, read: Read) -> Secret:
    try:
        return secret(*read(data))
    except UsageError as error:
        raise CodecError(str(error)) from error


def _read_uuid(data: memoryview, read: Read) -> uuid.UUID:
    content, safe = read(data)
    return uuid.UUID(bytes=content, is_safe=uuid.SafeUUID(safe))


def _read_path(data: memoryview, read: Read) -> pathlib.PurePath:
    name, text = read(data)
    return _PATHS[name](text)


def _read_time(data: memoryview, read: Read) -> dt.time:
    *clock, fold = read(data)
    return dt.time(*clock, fold=fold)


def _read_datetime(data: memoryview, read: Read) -> dt.datetime:
    *clock, fold = read(data)
    return dt.datetime(*clock, fold=fold)  # noqa: DTZ001  # tzinfo is in ``clock``


def write_zoneinfo(value: object, _: Writer) -> Ext:
    """A zone of the standard library by its name."""
    key = getattr(value, "key", None)
    if key is None:  # made from a file
        raise UnfitError
    return Ext(tags.ZONEINFO, key.encode())


def _read_zoneinfo(data: memoryview, _: Read) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(str(data, "utf-8"))


def write_pytz(value: object, _: Writer) -> Ext:
    """A zone of pytz by its name; pandas 2 makes them."""
    import pytz  # type: ignore[import-untyped]  # it ships no types

    name = getattr(value, "zone", None)
    # Not an offset, nor one period of a zone.
    if name is None or pytz.timezone(name) is not value:
        raise UnfitError
    return Ext(tags.PYTZ, name.encode())


def _read_pytz(data: memoryview, _: Read) -> object:
    import pytz

    return pytz.timezone(str(data, "utf-8"))


_READERS: dict[int, ReadExtension] = {
    tags.BIG_INT: lambda data, _: int.from_bytes(data, "little", signed=True),
    tags.SURROGATES: lambda data, _: str(data, "utf-8", "surrogatepass"),
    tags.TUPLE: lambda data, read: tuple(read(data)),
    tags.SET: lambda data, read: set(read(data)),
    tags.FROZENSET: lambda data, read: frozenset(read(data)),
    tags.PAIRS: lambda data, read: dict(_pairs(read(data))),
    tags.ORDERED_DICT: lambda data, read: OrderedDict(_pairs(read(data))),
    tags.COUNTER: _read_counter,
    tags.DEFAULTDICT: _read_defaultdict,
    tags.DEQUE: _read_deque,
    tags.SECRET: _read_secret,
    tags.QUOTE: lambda data, read: Quote(*read(data)),
    tags.BYTEARRAY: lambda data, _: bytearray(data),
    tags.COMPLEX: lambda data, _: complex(*struct.unpack("<dd", data)),
    tags.DECIMAL: lambda data, _: Decimal(str(data, "ascii")),
    tags.FRACTION: lambda data, read: Fraction(*read(data)),
    tags.UUID: _read_uuid,
    tags.PATH: _read_path,
    tags.DATE: lambda data, read: dt.date(*read(data)),
    tags.TIME: _read_time,
    tags.DATETIME: _read_datetime,
    tags.TIMEDELTA: lambda data, read: dt.timedelta(*read(data)),
    tags.TIMEZONE: lambda data, read: dt.timezone(*read(data)),
    tags.ZONEINFO: _read_zoneinfo,
    tags.PYTZ: _read_pytz,
    tags.RANGE: lambda data, read: range(*read(data)),
    tags.SLICE: lambda data, read: slice(*read(data)),
}
