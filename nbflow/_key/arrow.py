"""Digests of Arrow data: type, length, nulls and values; chunks, offsets and what lies under a null do not count.

Every column becomes a few streams (which places are null, how long each item is, the values), and each
stream is hashed chunk by chunk: no chunk is copied to join it with others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nbflow._key.arrays import contents
from nbflow._key.value import Walk, handles, member, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Chunks = Sequence[Any]


@handles(pa.Table, pa.RecordBatch)
def _table(walk: Walk, value: Any) -> bytes:
    columns = [member(column(walk, _chunks(item))) for item in value.columns]
    return seal(type(value).__name__, value.num_rows, *_spell(value.schema), columns)


@handles(pa.Array, pa.ChunkedArray, subclasses=True)
def _array(walk: Walk, value: Any) -> bytes:
    tag = "ChunkedArray" if isinstance(value, pa.ChunkedArray) else "Array"
    return seal(tag, member(column(walk, _chunks(value))))


@handles(pa.Scalar, subclasses=True)
def _scalar(walk: Walk, value: Any) -> bytes:
    return seal("Scalar", member(column(walk, [pa.array([value], type=value.type)])))


@handles(pa.DataType, subclasses=True)
def _type(_: Walk, value: Any) -> bytes:
    return seal("DataType", str(value))


@handles(pa.Schema, pa.Field)
def _schema(_: Walk, value: Any) -> bytes:
    return seal(type(value).__name__, *_spell([value] if isinstance(value, pa.Field) else value))


def _spell(fields: Any) -> list[object]:
    spelled = [[field.name, str(field.type), field.nullable, _metadata(field.metadata)] for field in fields]
    return [spelled, _metadata(getattr(fields, "metadata", None))]


def _chunks(value: Any) -> Chunks:
    if not isinstance(value, pa.ChunkedArray):
        return [value]
    return value.chunks or [pa.array([], type=value.type)]


def _metadata(metadata: dict[bytes, bytes] | None) -> list[tuple[bytes, bytes]]:
    found = dict(metadata or {})
    if b"pandas" in found:  # how to make a pandas frame of it; who wrote that does not count
        notes = json.loads(found[b"pandas"])
        kept = {name: note for name, note in notes.items() if name not in ("creator", "pandas_version")}
        found[b"pandas"] = json.dumps(kept, sort_keys=True).encode()
    return sorted(found.items())


def column(walk: Walk, chunks: Chunks, kind: Any = None) -> bytes:
    """Return the digest of a column in chunks of one type; an empty chunk of a list may not know it."""
    kind = kind or chunks[0].type
    for test, convert in _CONVERT:
        if test(kind):
            inner = column(walk, [convert(chunk) for chunk in chunks])
            return seal("column as", str(kind), member(inner))
    parts = _values(walk, kind, chunks)
    return seal("column", str(kind), sum(map(len, chunks)), _nulls(chunks), *map(member, parts))


def _nulls(chunks: Chunks) -> object:
    """Return a digest of which places are null, ``None`` if none is; whether there is a bitmap does not count."""
    if not any(chunk.null_count for chunk in chunks):
        return None
    return member(seal("nulls", buffers=(_booleans(chunk.is_null()) for chunk in chunks)))


def _booleans(chunk: Any) -> Any:
    return _fixed(chunk.cast(pa.uint8()))


def _values(walk: Walk, kind: Any, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_struct(kind):
        fields = [chunk.flatten() for chunk in chunks]
        return [column(walk, [parts[place] for parts in fields], kind.field(place).type) for place in range(kind.num_fields)]
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = column(walk, [chunk.flatten() for chunk in chunks], kind.value_type)
        return [_lengths(chunks, pc.list_value_length), inner]
    if types.is_union(kind):
        return [walk.digest([item for chunk in chunks for item in chunk.to_pylist()])]
    return _leaves(kind, chunks)


def _leaves(kind: Any, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_null(kind):
        return []
    if types.is_large_string(kind) or types.is_large_binary(kind):
        filled = [_filled(chunk, "" if types.is_large_string(kind) else b"") for chunk in chunks]
        return [_lengths(filled, pc.binary_length), seal("text", buffers=map(_text, filled))]
    if types.is_boolean(kind):
        return [seal("booleans", buffers=(_booleans(_filled(chunk, False)) for chunk in chunks))]
    return [seal("values", buffers=(_fixed(chunk) for chunk in chunks))]


def _lengths(chunks: Chunks, length: Callable[[Any], Any]) -> bytes:
    return seal("lengths", buffers=(_fixed(_filled(length(chunk).cast(pa.int64()), 0)) for chunk in chunks))


def _filled(chunk: Any, value: object) -> Any:
    return chunk.fill_null(value) if chunk.null_count else chunk


def _fixed(chunk: Any) -> Any:
    """Return the bytes of an array of fixed width, zeros for nulls; without a copy if there are none."""
    width, data = chunk.type.bit_width // 8, chunk.buffers()[1]
    if not len(chunk) or data is None:
        return b""
    found = np.frombuffer(data, np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
    if chunk.null_count:
        found = found.reshape(-1, width).copy()
        found[chunk.is_null().to_numpy(zero_copy_only=False)] = 0
    return contents(found.view(f"f{width}"))[0] if pa.types.is_floating(chunk.type) else found.data.cast("B")


def _text(chunk: Any) -> memoryview | bytes:
    if not len(chunk) or chunk.buffers()[2] is None:
        return b""
    offsets = memoryview(chunk.buffers()[1]).cast("q")
    return memoryview(chunk.buffers()[2])[offsets[chunk.offset] : offsets[chunk.offset + len(chunk)]]


def _is(*names: str) -> Callable[[Any], bool]:
    tests = [getattr(pa.types, f"is_{name}") for name in names if hasattr(pa.types, f"is_{name}")]
    return lambda kind: any(test(kind) for test in tests)


def _cast(kind: Any) -> Callable[[Any], Any]:
    def cast(chunk: Any) -> Any:
        try:
            return chunk.cast(kind)
        except pa.ArrowNotImplementedError:  # of a view, in older versions
            return pa.array(chunk.to_pylist(), kind)

    return cast


def _map_as_list(chunk: Any) -> Any:
    return chunk.cast(pa.list_(pa.struct([("key", chunk.type.key_type), ("value", chunk.type.item_type)])))


# Types that have the values of another type, and how to get there.
_CONVERT: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), lambda chunk: chunk.storage),
    (pa.types.is_dictionary, lambda chunk: _cast(chunk.type.value_type)(chunk.dictionary_decode())),
    (_is("run_end_encoded"), pc.run_end_decode),
    (_is("string", "string_view"), _cast(pa.large_string())),
    (_is("binary", "binary_view", "fixed_size_binary"), _cast(pa.large_binary())),
    (_is("list_view", "large_list_view"), lambda chunk: _cast(pa.large_list(chunk.type.value_type))(chunk)),
    (_is("map"), _map_as_list),
)
