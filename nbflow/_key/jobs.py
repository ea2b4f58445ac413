"""Jobs: digests of the columns of large data, some of them on a second thread."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key.beside import shared_out
from nbflow._key.value import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Job", "side_by_side"]

#: Bytes of all columns from which a second thread pays.
_LARGE = 1 << 22
_CPUS = (
    len(os.sched_getaffinity(0))
    if hasattr(os, "sched_getaffinity")
    else os.cpu_count() or 1
)


class Job(NamedTuple):
    """What makes the digest of a column.

    Attributes:
        digest: does it, in the course of a walk.
        is_flat: whether the column holds numbers, times and text, and no Python objects, so
            that another walk finds the same.
        size: about how many bytes it has to read.
    """

    digest: Callable[[Walk], bytes]
    is_flat: bool
    size: int


def side_by_side(walk: Walk, jobs: Sequence[Job]) -> list[bytes]:
    """Return the digests, in the order of ``jobs``."""
    flat = [place for place, job in enumerate(jobs) if job.is_flat]
    large = sum(jobs[place].size for place in flat) >= _LARGE
    if not large or len(jobs) <= 1 or _CPUS <= 1:
        return [job.digest(walk) for job in jobs]
    # The longest first, or a thread is left alone with it.
    flat.sort(key=lambda place: jobs[place].size, reverse=True)
    others = [place for place, job in enumerate(jobs) if not job.is_flat]
    own = [partial(jobs[place].digest, walk) for place in others]
    free = [partial(jobs[place].digest, Walk(methods=walk.methods)) for place in flat]
    done, found = shared_out(own, free)
    digests = dict(zip(others, done, strict=True))
    digests |= zip(flat, found, strict=True)
    return [digests[place] for place in range(len(jobs))]
