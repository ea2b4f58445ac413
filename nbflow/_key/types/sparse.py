"""Digests of scipy's sparse matrices: format, dtype, shape and entries; in which order those are kept does not count."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from nbflow._key.types.arrays import array
from nbflow._key.value import Walk, handles, member, seal


@handles(
    *(
        getattr(sparse, name)
        for name in ("spmatrix", "sparray")
        if hasattr(sparse, name)
    ),
    subclasses=True,
)
def _matrix(walk: Walk, value: Any) -> bytes:
    entries = value.tocoo(copy=True)
    entries.has_canonical_format = False  # a dictionary of keys claims it falsely
    entries.sum_duplicates()  # and sorts them
    places = (
        entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)
    )
    parts = [entries.data, *(place.astype("i8") for place in map(np.asarray, places))]
    return seal(
        "sparse",
        type(value).__qualname__,
        list(value.shape),
        [member(array(walk, part)) for part in parts],
    )
