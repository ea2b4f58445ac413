"""rows: columns that lie in one array of two dimensions, as those of a frame that was made of one do."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._store.codecs.arrays import Array

__all__ = ["as_one"]


def as_one(columns: Sequence[Any]) -> Array | None:
    """The array of two dimensions whose columns these are, without a copy; ``None`` if there is none.

    Either each column, or each row, lies in one piece.
    """
    import numpy as np

    if len(columns) <= 1 or not all(type(each) is np.ndarray for each in columns):
        return None
    first = columns[0]
    if first.base is None or first.dtype.kind not in "iuf" or not first.size:
        return None
    kinds = {(id(each.base), each.dtype, each.shape, each.strides) for each in columns}
    if len(kinds) > 1:
        return None
    places = [each.ctypes.data for each in columns]
    step = places[1] - places[0]
    if any(then - now != step for now, then in itertools.pairwise(places)):
        return None
    strides = (*first.strides, step)
    size, count, width = len(first), len(columns), first.itemsize
    if strides not in ((width, size * width), (count * width, width)):
        return None
    return np.lib.stride_tricks.as_strided(first, (size, count), strides)
