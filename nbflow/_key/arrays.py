"""Digests of numpy arrays and scalars: dtype, shape and content in row order, not layout in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from nbflow._key.value import INDEX, Walk, handles, member, seal


@handles(np.ndarray)
def array(walk: Walk, value: np.ndarray[Any, Any]) -> bytes:
    """Return the digest of an array, also for what is made of arrays."""
    value, dtype = np.asarray(value), value.dtype
    shape = list(value.shape)
    if dtype.names is not None:
        items = [(INDEX, name, np.asarray(value[name])) for name in dtype.names]
        return walk.members("array of records", shape, list(dtype.names), items=items)
    if dtype.hasobject:
        return seal("array of objects", dtype.kind, shape, member(walk.digest(value.ravel().tolist())))
    if dtype.char in "gG":
        texts = [np.format_float_scientific(part) for item in value.ravel() for part in (item.real, item.imag)]
        return seal("array of long floats", dtype.str, shape, texts)  # their bytes hold padding
    return seal("array", dtype.str, shape, buffers=contents(value))


def contents(value: np.ndarray[Any, Any]) -> tuple[memoryview, ...]:
    """Return the bytes of an array in row order, every NaN and NaT written in one way; without a copy if it can."""
    if not value.size or not value.dtype.itemsize:
        return ()
    value = np.ascontiguousarray(value)
    if value.dtype.kind == "c":
        value = value.view(value.real.dtype)
    if value.dtype.kind == "f" and np.isnan(_largest(value)):
        value = np.where(np.isnan(value), value.dtype.type("nan"), value)
    return (value.reshape(-1).view(np.uint8).data,)


def _largest(value: np.ndarray[Any, Any]) -> Any:
    with np.errstate(all="ignore"):
        return value.max()  # NaN if there is one; twice as fast as isnan().any(), and needs no memory


@handles(np.generic, subclasses=True)
def _scalar(walk: Walk, value: np.generic) -> bytes:
    return seal("numpy", member(array(walk, np.asarray(value))))


@handles(np.ma.MaskedArray)
def _masked(walk: Walk, value: np.ma.MaskedArray[Any, Any]) -> bytes:
    items = (np.ma.getmaskarray(value), value.filled(), np.asarray(value.fill_value))
    return walk.members("masked array", items=[(INDEX, place, item) for place, item in enumerate(items)])


@handles(np.memmap)
def _memmap(walk: Walk, value: np.memmap[Any, Any]) -> bytes:
    return array(walk, value)


@handles(np.dtype, subclasses=True)
def _dtype(walk: Walk, value: np.dtype[Any]) -> bytes:
    return seal("dtype", member(walk.digest(value.descr)) if value.names else value.str)
