"""Digests of numpy arrays and scalars: dtype, shape and content in row order, not layout in memory."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from blake3 import blake3

from nbflow._key.beside import hash_threads
from nbflow._key.value import INDEX, SIZE, Walk, encode_plain, handles, member, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    Array: TypeAlias = np.ndarray[Any, Any]

_PIECE = 1 << 19  # bytes hashed at once
# Bytes from which all processors hash an array, and at once then.
_LARGE, _LARGE_PIECE = 1 << 25, 1 << 23
_ITEMS = 1 << 16  # objects in a piece with a digest of its own
_SPELLED = (dt.date, decimal.Decimal)


@handles(np.ndarray)
def array(walk: Walk, value: Array) -> bytes:
    """Return the digest of an array, also for what is made of arrays."""
    value, dtype = np.asarray(value), value.dtype
    shape = list(value.shape)
    if dtype.names is not None:
        items = [(INDEX, name, np.asarray(value[name])) for name in dtype.names]
        return walk.members("array of records", shape, list(dtype.names), items=items)
    if dtype.hasobject:
        parts = [member(part) for part in _objects(walk, value)]
        return seal("array of objects", dtype.kind, shape, parts)
    if dtype.char in "gG":  # as text: their bytes hold padding
        texts = []
        for item in value.ravel():
            texts.append(np.format_float_scientific(item.real))
            texts.append(np.format_float_scientific(item.imag))
        return seal("array of long floats", dtype.str, shape, texts)
    if value.nbytes >= _LARGE and value.flags.c_contiguous:
        pieces = contents(value, _LARGE_PIECE)
        return seal("array", dtype.str, shape, buffers=pieces, threads=hash_threads())
    return seal("array", dtype.str, shape, buffers=contents(value))


def integers(value: pd.RangeIndex) -> bytes:
    """Return the digest of an array of these integers, which are never all in memory."""

    def pieces() -> Iterator[memoryview]:
        length = _PIECE // 8
        numbers_of = range(value.start, value.stop, value.step)
        for start in range(0, len(numbers_of), length):
            some = numbers_of[start : start + length]
            numbers = np.arange(some.start, some.stop, some.step, dtype="i8")
            yield numbers.view(np.uint8).data

    return seal("array", "<i8", [len(value)], buffers=pieces())


def contents(value: Array, size: int = _PIECE) -> Iterator[memoryview]:
    """Yield the bytes of an array in row order, every NaN written in one way.

    Piece by piece: a piece is still in the processor's cache when it is hashed, and
    where one has to be copied (for its NaNs, or because it is scattered in memory), no
    more than that is.

    Args:
        value: the array.
        size: bytes of a piece.
    """
    for piece in _pieces(value, size):
        part = piece.view(piece.real.dtype) if piece.dtype.kind == "c" else piece
        if part.dtype.kind == "f":
            part = _with_usual_nans(part)
        yield part.view(np.uint8).data


def _pieces(value: Array, size: int) -> Iterator[Array]:
    """Yield an array in row order, in flat pieces; the next one may take the memory of the last."""
    if not value.size or not value.dtype.itemsize:
        return
    length = max(size // value.dtype.itemsize, 1)
    if value.flags.c_contiguous:
        flat = value.reshape(-1)
        for start in range(0, flat.size, length):
            yield flat[start : start + length]
        return
    nditer: Any = np.nditer  # its stub knows no "contig"
    parts = nditer(
        value,
        ["buffered", "external_loop"],
        [["readonly", "contig"]],
        order="C",
        buffersize=length,
    )
    yield from map(np.ascontiguousarray, parts)


def _objects(walk: Walk, value: Array) -> Iterator[bytes]:
    """Yield the digests of pieces of an array of Python objects: one item that is not plain makes one piece slow."""
    flat = value.ravel()
    for start in range(0, flat.size, _ITEMS):
        items = flat[start : start + _ITEMS].tolist()
        if (data := encode_plain(("plain", items), items)) is not None:
            yield blake3(data).digest(SIZE)
        elif (kind := _same_kind(items)) is not None:
            yield seal("spelled", kind.__name__, items)
        else:
            members = [(INDEX, place, item) for place, item in enumerate(items, start)]
            yield walk.members("objects", items=members)


def _same_kind(items: list[object]) -> type | None:
    """Return the type of all items but ``None`` if msgspec spells it, and in full."""
    kinds = set(map(type, items))
    kinds.discard(type(None))
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind if kind in _SPELLED else None


def _with_usual_nans(value: Array) -> Array:
    with np.errstate(all="ignore"):
        # NaN if there is one: twice as fast as isnan().any(), and needs no memory.
        largest = value.max()
    if np.isnan(largest):
        value = value.copy()
        value[np.isnan(value)] = np.nan
    return value


@handles(np.generic, subclasses=True)
def _scalar(walk: Walk, value: np.generic) -> bytes:
    return seal("numpy", member(array(walk, np.asarray(value))))


@handles(np.ma.MaskedArray)
def _masked(walk: Walk, value: np.ma.MaskedArray[Any, Any]) -> bytes:
    items = (np.ma.getmaskarray(value), value.filled(), np.asarray(value.fill_value))
    members = [(INDEX, place, item) for place, item in enumerate(items)]
    is_hard = ["hard"] if value.hardmask else []
    return walk.members("masked array", *is_hard, items=members)


@handles(type(np.ma.masked))
def _nothing(_: Walk, __: object) -> bytes:
    return seal("masked")


@handles(np.memmap)
def _memmap(walk: Walk, value: np.memmap[Any, Any]) -> bytes:
    return array(walk, value)


@handles(np.dtype, subclasses=True)
def _dtype(walk: Walk, value: np.dtype[Any]) -> bytes:
    content = member(walk.digest(value.descr)) if value.names else value.str
    return seal("dtype", content)
