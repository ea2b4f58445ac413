"""Digests of scipy's sparse matrices: format, dtype, shape and entries.

In which order the entries are kept does not count.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from nbflow._key.types.arrays import array
from nbflow._key.value import Walk, handles, member, seal

# In old scipy there are no sparse arrays, only matrices.
_KINDS = [getattr(sparse, name, None) for name in ("spmatrix", "sparray")]


@handles(*(kind for kind in _KINDS if kind is not None), subclasses=True)
def _matrix(walk: Walk, value: sparse.spmatrix | sparse.sparray) -> bytes:
    entries = value.tocoo(copy=True)
    entries.has_canonical_format = False  # a dictionary of keys claims it falsely
    entries.sum_duplicates()  # and sorts them
    places = (
        entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)
    )
    parts = [entries.data]
    parts += [np.asarray(place).astype("i8") for place in places]
    return seal(
        "sparse",
        type(value).__qualname__,
        list(value.shape),
        [member(array(walk, part)) for part in parts],
    )
