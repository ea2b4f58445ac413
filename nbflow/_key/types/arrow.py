"""Digests of Arrow data: type, length, nulls and values; chunks, offsets and what lies under a null do not count.

Every column becomes a few streams (which places are null, how long each item is, the
values), and each stream is hashed chunk by chunk: no chunk is copied to join it with
others.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nbflow._key.jobs import Job, side_by_side
from nbflow._key.types.arrays import contents
from nbflow._key.value import Walk, handles, member, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Chunks: TypeAlias = Sequence[pa.Array]
    #: The bytes of one chunk, piece by piece.
    Stream: TypeAlias = Callable[[pa.Array], Iterator[memoryview]]

_PIECE = 1 << 16  # rows


@handles(pa.Table, pa.RecordBatch)
def _table(walk: Walk, value: pa.Table | pa.RecordBatch) -> bytes:
    found = side_by_side(walk, [_job(item) for item in value.columns])
    columns = [*map(member, found)]
    return seal(type(value).__name__, value.num_rows, *_spell(value.schema), columns)


def _job(value: pa.Array | pa.ChunkedArray) -> Job:
    def digest(walk: Walk) -> bytes:
        return column(walk, _chunks(value))

    return Job(digest, is_flat=True, size=value.nbytes)


@handles(pa.Array, pa.ChunkedArray, subclasses=True)
def _array(walk: Walk, value: pa.Array | pa.ChunkedArray) -> bytes:
    tag = "ChunkedArray" if isinstance(value, pa.ChunkedArray) else "Array"
    return seal(tag, member(column(walk, _chunks(value))))


@handles(pa.Scalar, subclasses=True)
def _scalar(walk: Walk, value: pa.Scalar) -> bytes:
    return seal("Scalar", member(column(walk, [pa.array([value], type=value.type)])))


@handles(pa.DataType, subclasses=True)
def _type(_: Walk, value: pa.DataType) -> bytes:
    return seal("DataType", str(value))


@handles(pa.Schema, pa.Field)
def _schema(_: Walk, value: pa.Schema | pa.Field) -> bytes:
    fields = [value] if isinstance(value, pa.Field) else value
    return seal(type(value).__name__, *_spell(fields))


def _spell(fields: pa.Schema | list[pa.Field]) -> list[object]:
    spelled = []
    for field in fields:
        notes = _metadata(field.metadata)
        spelled.append([field.name, str(field.type), field.nullable, notes])
    return [spelled, _metadata(getattr(fields, "metadata", None))]


def _chunks(value: pa.Array | pa.ChunkedArray) -> Chunks:
    if not isinstance(value, pa.ChunkedArray):
        return [value]
    return value.chunks or [pa.array([], type=value.type)]


def _metadata(metadata: dict[bytes, bytes] | None) -> list[tuple[bytes, bytes]]:
    found = dict(metadata or {})
    if b"pandas" in found:
        # How to make a pandas frame of it. Who wrote that does not count.
        notes = json.loads(found[b"pandas"])
        notes.pop("creator", None)
        notes.pop("pandas_version", None)
        found[b"pandas"] = json.dumps(notes, sort_keys=True).encode()
    return sorted(found.items())


def column(walk: Walk, chunks: Chunks) -> bytes:
    """Return the digest of a column in chunks of one type."""
    pieces = list(chain.from_iterable(map(_pieces, chunks)))
    return _column(walk, pieces, chunks[0].type)


def _pieces(chunk: pa.Array) -> Iterator[pa.Array]:
    """Cut a chunk, so that what has to be computed or copied of it stays small and in the processor's cache."""
    for start in range(0, max(len(chunk), 1), _PIECE):
        yield chunk.slice(start, _PIECE)


def _column(walk: Walk, chunks: Chunks, kind: pa.DataType) -> bytes:
    """Return the digest of a column; an empty chunk of a list may not know its type."""
    for test, convert in _CONVERT:
        if test(kind):
            converted = [convert(chunk) for chunk in chunks]
            inner = _column(walk, converted, converted[0].type)
            return seal("column as", str(kind), member(inner))
    length = sum(map(len, chunks))
    parts = map(member, _values(walk, kind, chunks))
    return seal("column", str(kind), length, _nulls(chunks), *parts)


def _nulls(chunks: Chunks) -> object:
    """Return a digest of which places are null, ``None`` if none is; whether there is a bitmap does not count."""
    if not any(chunk.null_count for chunk in chunks):
        return None
    return member(_sealed("nulls", _null_bits, chunks))


def _sealed(tag: str, stream: Stream, chunks: Chunks) -> bytes:
    return seal(tag, buffers=chain.from_iterable(map(stream, chunks)))


def _null_bits(chunk: pa.Array) -> Iterator[memoryview]:
    return _fixed(chunk.is_null().cast(pa.uint8()))


def _values(walk: Walk, kind: pa.DataType, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_struct(kind):
        return _fields(walk, kind, chunks)
    is_list = types.is_list(kind) or types.is_large_list(kind)
    if is_list or types.is_fixed_size_list(kind):
        inner = [chunk.flatten() for chunk in chunks]
        lengths = _lengths(pc.list_value_length, chunks)
        return [lengths, _column(walk, inner, kind.value_type)]
    if types.is_union(kind):
        items: list[object] = []
        for chunk in chunks:
            items += chunk.to_pylist()
        return [walk.digest(items)]
    return _leaves(kind, chunks)


def _fields(walk: Walk, kind: pa.StructType, chunks: Chunks) -> list[bytes]:
    found = []
    flattened = [chunk.flatten() for chunk in chunks]
    for place in range(kind.num_fields):
        field = [parts[place] for parts in flattened]
        found.append(_column(walk, field, kind.field(place).type))
    return found


def _leaves(kind: pa.DataType, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_null(kind):
        return []
    if types.is_large_string(kind) or types.is_large_binary(kind):
        lengths = _lengths(pc.binary_length, chunks)
        return [lengths, _sealed("text", _text, chunks)]
    if types.is_boolean(kind):
        return [_sealed("booleans", _booleans, chunks)]
    return [_sealed("values", _fixed, chunks)]


def _lengths(length: Callable[[pa.Array], pa.Array], chunks: Chunks) -> bytes:
    def stream(chunk: pa.Array) -> Iterator[memoryview]:
        return _fixed(length(chunk).cast(pa.int64()))

    return _sealed("lengths", stream, chunks)


def _booleans(chunk: pa.Array) -> Iterator[memoryview]:
    if chunk.null_count:
        chunk = chunk.fill_null(False)
    return _fixed(chunk.cast(pa.uint8()))


def _fixed(chunk: pa.Array) -> Iterator[memoryview]:
    """Yield the bytes of an array of fixed width, zeros for nulls; without a copy if there are none."""
    width, data = chunk.type.bit_width // 8, chunk.buffers()[1]
    if not len(chunk) or data is None:
        return
    first, last = chunk.offset * width, (chunk.offset + len(chunk)) * width
    kind = "u" if width in (1, 2, 4, 8) else "V"
    if pa.types.is_floating(chunk.type):
        kind = "f"  # so that each NaN is written in one way
    found = np.frombuffer(data, np.uint8)[first:last].view(f"{kind}{width}")
    if chunk.null_count:
        nulls = chunk.is_null().to_numpy(zero_copy_only=False)
        found = found.copy()
        found[nulls] = np.zeros((), found.dtype)
    yield from contents(found)


def _text(chunk: pa.Array) -> Iterator[memoryview]:
    """Yield the bytes of the text that is not under a null."""
    if not len(chunk) or chunk.buffers()[2] is None:
        return
    first, last = _ends(chunk)
    if chunk.null_count:
        seen = pc.sum(pc.binary_length(chunk)).as_py() or 0
        if last - first > seen:  # there is text under nulls
            empty = "" if pa.types.is_large_string(chunk.type) else b""
            chunk = chunk.fill_null(empty)
            first, last = _ends(chunk)
    yield memoryview(chunk.buffers()[2])[first:last]


def _ends(chunk: pa.Array) -> tuple[int, int]:
    offsets = memoryview(chunk.buffers()[1]).cast("q")
    return offsets[chunk.offset], offsets[chunk.offset + len(chunk)]


def _is(*names: str) -> Callable[[pa.DataType], bool]:
    """Return a test for any of these types, as far as this version of pyarrow has them."""
    found = [getattr(pa.types, f"is_{name}", None) for name in names]
    tests = [test for test in found if test is not None]
    return lambda kind: any(test(kind) for test in tests)


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


def _storage(chunk: pa.ExtensionArray) -> pa.Array:
    return chunk.storage


def _decoded(chunk: pa.DictionaryArray) -> pa.Array:
    return _cast(chunk.type.value_type)(chunk.dictionary_decode())


def _cast(kind: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    def cast(chunk: pa.Array) -> pa.Array:
        try:
            return chunk.cast(kind)
        except pa.ArrowNotImplementedError:  # of a view, in older versions
            return pa.array(chunk.to_pylist(), kind)

    return cast


def _list_of_view(chunk: pa.Array) -> pa.Array:
    # A cast reads behind the end if there are nulls.
    return pa.array(chunk.to_pylist(), pa.large_list(chunk.type.value_type))


def _map_as_list(chunk: pa.MapArray) -> pa.Array:
    pair = [("key", chunk.type.key_type), ("value", chunk.type.item_type)]
    return chunk.cast(pa.list_(pa.struct(pair)))


if TYPE_CHECKING:
    Conversion: TypeAlias = tuple[
        Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]
    ]

# Types that have the values of another type, and how to get there.
_CONVERT: tuple[Conversion, ...] = (
    (_is_extension, _storage),
    (pa.types.is_dictionary, _decoded),
    (_is("run_end_encoded"), pc.run_end_decode),
    (_is("string", "string_view"), _cast(pa.large_string())),
    (_is("binary", "binary_view", "fixed_size_binary"), _cast(pa.large_binary())),
    (_is("list_view", "large_list_view"), _list_of_view),
    (_is("map"), _map_as_list),
)
