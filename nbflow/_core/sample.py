"""Sample: which records of a run were drawn for a person to look at, and how."""

from __future__ import annotations

from typing import NamedTuple

#: Bytes of a digest of what a record shows.
DIGEST_BYTES = 20


class Sample(NamedTuple):
    """Records in the order in which they were drawn.

    However early one stops, what was looked at is a random sample within each stratum,
    and of all strata about the same share. A unit is what a decision is about: records
    that look the same are one.

    Attributes:
        id: of the sample.
        flow: the flow whose labels a person looks at.
        field: the field of the flow's value; empty where the value itself is the label.
        on: the columns that are shown; empty for the whole record.
        run: the run that it was drawn from.
        population: digest of all units of that run: it is a sample of every run of these.
        order: digests of the units, in order of drawing.
        known: digests of those that were decided before, which were not drawn.
        strata: (given label, band of confidence, units) of each stratum.
        seed: of the draw.
        by: who drew it.
        at: when, in seconds since the epoch.
        is_by_size: whether a unit of ten records was ten times as likely to come next as
            one of one; else all were alike.
    """

    id: str
    flow: str
    field: str
    on: tuple[str, ...]
    run: str
    population: bytes
    order: bytes
    known: bytes
    strata: tuple[tuple[str | None, int, int], ...]
    seed: int
    by: str
    at: float
    is_by_size: bool = False

    @property
    def units(self) -> list[bytes]:
        """The digests of the units, in order of drawing."""
        return digests(self.order)

    @property
    def known_units(self) -> list[bytes]:
        """The digests of the units that were decided before it was drawn."""
        return digests(self.known)


def digests(joined: bytes) -> list[bytes]:
    """The digests that were joined."""
    places = range(0, len(joined), DIGEST_BYTES)
    return [joined[place : place + DIGEST_BYTES] for place in places]
