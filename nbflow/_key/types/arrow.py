"""Digests of Arrow data: type, length, nulls and values; chunks, offsets and what lies under a null do not count.

Every column becomes a few streams (which places are null, how long each item is, the
values), and each stream is hashed chunk by chunk: no chunk is copied to join it with
others.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nbflow._key.types.arrays import contents
from nbflow._key.value import Walk, handles, member, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Chunks = Sequence[Any]

_PIECE = 1 << 16  # rows


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
    return seal(
        type(value).__name__, *_spell([value] if isinstance(value, pa.Field) else value)
    )


def _spell(fields: Any) -> list[object]:
    spelled = [
        [field.name, str(field.type), field.nullable, _metadata(field.metadata)]
        for field in fields
    ]
    return [spelled, _metadata(getattr(fields, "metadata", None))]


def _chunks(value: Any) -> Chunks:
    if not isinstance(value, pa.ChunkedArray):
        return [value]
    return value.chunks or [pa.array([], type=value.type)]


def _metadata(metadata: dict[bytes, bytes] | None) -> list[tuple[bytes, bytes]]:
    found = dict(metadata or {})
    if (
        b"pandas" in found
    ):  # how to make a pandas frame of it; who wrote that does not count
        notes = json.loads(found[b"pandas"])
        kept = {
            name: note
            for name, note in notes.items()
            if name not in ("creator", "pandas_version")
        }
        found[b"pandas"] = json.dumps(kept, sort_keys=True).encode()
    return sorted(found.items())


def column(walk: Walk, chunks: Chunks) -> bytes:
    """Return the digest of a column in chunks of one type."""
    return _column(
        walk, [piece for chunk in chunks for piece in _pieces(chunk)], chunks[0].type
    )


def _pieces(chunk: Any) -> Iterator[Any]:
    """Cut a chunk, so that what has to be computed or copied of it stays small and in the processor's cache."""
    yield from (
        chunk.slice(start, _PIECE) for start in range(0, max(len(chunk), 1), _PIECE)
    )


def _column(walk: Walk, chunks: Chunks, kind: Any) -> bytes:
    """Return the digest of a column; an empty chunk of a list may not know its type."""
    for test, convert in _CONVERT:
        if test(kind):
            converted = [convert(chunk) for chunk in chunks]
            inner = _column(walk, converted, converted[0].type)
            return seal("column as", str(kind), member(inner))
    parts = _values(walk, kind, chunks)
    return seal(
        "column", str(kind), sum(map(len, chunks)), _nulls(chunks), *map(member, parts)
    )


def _nulls(chunks: Chunks) -> object:
    """Return a digest of which places are null, ``None`` if none is; whether there is a bitmap does not count."""
    if not any(chunk.null_count for chunk in chunks):
        return None
    return member(
        seal("nulls", buffers=_each(lambda chunk: _booleans(chunk.is_null()), chunks))
    )


def _each(streamed: Callable[[Any], Iterator[Any]], chunks: Chunks) -> Iterator[Any]:
    return chain.from_iterable(map(streamed, chunks))


def _booleans(chunk: Any) -> Iterator[Any]:
    return _fixed(chunk.cast(pa.uint8()))


def _values(walk: Walk, kind: Any, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_struct(kind):
        fields = [chunk.flatten() for chunk in chunks]
        return [
            _column(walk, [parts[place] for parts in fields], kind.field(place).type)
            for place in range(kind.num_fields)
        ]
    if (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
    ):
        inner = _column(walk, [chunk.flatten() for chunk in chunks], kind.value_type)
        return [_lengths(chunks, pc.list_value_length), inner]
    if types.is_union(kind):
        return [walk.digest([item for chunk in chunks for item in chunk.to_pylist()])]
    return _leaves(kind, chunks)


def _leaves(kind: Any, chunks: Chunks) -> list[bytes]:
    types = pa.types
    if types.is_null(kind):
        return []
    if types.is_large_string(kind) or types.is_large_binary(kind):
        return [
            _lengths(chunks, pc.binary_length),
            seal("text", buffers=_each(_text, chunks)),
        ]
    if types.is_boolean(kind):
        return [
            seal(
                "booleans",
                buffers=_each(lambda chunk: _booleans(_filled(chunk, False)), chunks),
            )
        ]
    return [seal("values", buffers=_each(_fixed, chunks))]


def _lengths(chunks: Chunks, length: Callable[[Any], Any]) -> bytes:
    return seal(
        "lengths",
        buffers=_each(lambda chunk: _fixed(length(chunk).cast(pa.int64())), chunks),
    )


def _filled(chunk: Any, value: object) -> Any:
    return chunk.fill_null(value) if chunk.null_count else chunk


def _fixed(chunk: Any) -> Iterator[Any]:
    """Yield the bytes of an array of fixed width, zeros for nulls; without a copy if there are none."""
    width, data = chunk.type.bit_width // 8, chunk.buffers()[1]
    if not len(chunk) or data is None:
        return
    found = np.frombuffer(data, np.uint8)[
        chunk.offset * width : (chunk.offset + len(chunk)) * width
    ]
    kind = (
        "f"
        if pa.types.is_floating(chunk.type)
        else "u"
        if width in (1, 2, 4, 8)
        else "V"
    )
    found = found.view(f"{kind}{width}")
    if chunk.null_count:
        found = found.copy()
        found[chunk.is_null().to_numpy(zero_copy_only=False)] = np.zeros(
            (), found.dtype
        )
    yield from contents(found)


def _text(chunk: Any) -> Iterator[Any]:
    """Yield the bytes of the text that is not under a null."""
    if not len(chunk) or chunk.buffers()[2] is None:
        return
    first, last = _ends(chunk)
    if chunk.null_count and last - first > (
        pc.sum(pc.binary_length(chunk)).as_py() or 0
    ):
        chunk = chunk.fill_null("" if pa.types.is_large_string(chunk.type) else b"")
        first, last = _ends(chunk)
    yield memoryview(chunk.buffers()[2])[first:last]


def _ends(chunk: Any) -> tuple[int, int]:
    offsets = memoryview(chunk.buffers()[1]).cast("q")
    return offsets[chunk.offset], offsets[chunk.offset + len(chunk)]


def _is(*names: str) -> Callable[[Any], bool]:
    tests = [
        getattr(pa.types, f"is_{name}")
        for name in names
        if hasattr(pa.types, f"is_{name}")
    ]
    return lambda kind: any(test(kind) for test in tests)


def _cast(kind: Any) -> Callable[[Any], Any]:
    def cast(chunk: Any) -> Any:
        try:
            return chunk.cast(kind)
        except pa.ArrowNotImplementedError:  # of a view, in older versions
            return pa.array(chunk.to_pylist(), kind)

    return cast


def _list_of_view(chunk: Any) -> Any:
    return pa.array(
        chunk.to_pylist(), pa.large_list(chunk.type.value_type)
    )  # a cast reads behind the end if there are nulls


def _map_as_list(chunk: Any) -> Any:
    return chunk.cast(
        pa.list_(
            pa.struct([("key", chunk.type.key_type), ("value", chunk.type.item_type)])
        )
    )


# Types that have the values of another type, and how to get there.
_CONVERT: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), lambda chunk: chunk.storage),
    (
        pa.types.is_dictionary,
        lambda chunk: _cast(chunk.type.value_type)(chunk.dictionary_decode()),
    ),
    (_is("run_end_encoded"), pc.run_end_decode),
    (_is("string", "string_view"), _cast(pa.large_string())),
    (_is("binary", "binary_view", "fixed_size_binary"), _cast(pa.large_binary())),
    (_is("list_view", "large_list_view"), _list_of_view),
    (_is("map"), _map_as_list),
)
