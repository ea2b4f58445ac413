"""Digests of polars frames and series: names, dtypes and values; chunks do not count, categories are text."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from nbflow._key.jobs import Job, side_by_side
from nbflow._key.types.arrow import column
from nbflow._key.value import ITEM, Walk, handles, member, refuse, seal

_SLOWER = 4


@handles(pl.DataFrame, subclasses=True)
def _frame(walk: Walk, value: pl.DataFrame) -> bytes:
    found = side_by_side(walk, [_job(item) for item in value.get_columns()])
    return seal("polars.DataFrame", value.height, [*map(member, found)])


def _job(value: pl.Series) -> Job:
    def digest(walk: Walk) -> bytes:
        return _series(walk, value)

    size = value.estimated_size()
    # Text is read more slowly than numbers.
    weight = size if value.dtype.is_numeric() else _SLOWER * size
    return Job(digest, value.dtype != pl.Object, int(weight))


@handles(pl.Series, subclasses=True)
def _series(walk: Walk, value: pl.Series) -> bytes:
    return seal(
        "polars.Series", value.name, _spell(value.dtype), member(_values(walk, value))
    )


def _values(walk: Walk, value: pl.Series) -> bytes:
    if value.dtype == pl.Object:
        return walk.at(ITEM, value.name, value.to_list())
    try:
        chunks = _chunks(value)
    except (pa.ArrowInvalid, pl.exceptions.PanicException):
        # Integers of 128 bits; in old polars, lists of no categories.
        return walk.at(ITEM, value.name, value.to_list())
    return column(walk, chunks)


def _chunks(value: pl.Series) -> list[pa.Array]:
    if not value.dtype.is_nested():
        return [part.to_arrow() for part in value.get_chunks()]
    # A copy: of a slice, old polars gives Arrow the offset twice, and what lies there
    # is other rows or nothing.
    return [value.gather(pl.int_range(len(value), eager=True)).to_arrow()]


def _spell(dtype: object) -> object:
    """Spell a dtype in full: polars shortens the categories of an Enum."""
    if isinstance(dtype, pl.Enum):
        return ["Enum", *dtype.categories.to_list()]
    if isinstance(dtype, pl.Struct):
        fields = [[field.name, _spell(field.dtype)] for field in dtype.fields]
        return ["Struct", *fields]
    if isinstance(dtype, (pl.List, pl.Array)):
        shape = list(dtype.shape) if isinstance(dtype, pl.Array) else []
        return [type(dtype).__name__, shape, _spell(dtype.inner)]
    return str(dtype)


@handles(pl.DataType, subclasses=True)
def _dtype(_: Walk, value: pl.DataType) -> bytes:
    return seal("polars dtype", _spell(value))


@handles(pl.LazyFrame, subclasses=True)
def _lazy(_: Walk, value: pl.LazyFrame) -> bytes:
    return refuse(value, "it is a plan, not data; pass frame.collect()", decisive=True)


@handles(pl.Expr, subclasses=True)
def _expression(_: Walk, value: pl.Expr) -> bytes:
    try:
        # Another text in another version of polars.
        return seal("polars expression", value.meta.serialize())
    except Exception as error:
        return refuse(
            value,
            "polars cannot serialize this expression; pass the names it is built from",
            cause=error,
            decisive=True,
        )
