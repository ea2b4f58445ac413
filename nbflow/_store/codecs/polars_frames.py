"""polars_frames: frames and series of polars as Arrow tables, or as polars writes them where Arrow lacks a type.

Arrow gets copies of texts, in place of views into the texts of whatever the frame was
cut from: only what is in the frame is written.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from nbflow._store.codecs.plain import UnfitError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# Below this polars' own stream is written and read faster than a table of Arrow; above
# it a file of polars is read three times faster than a stream.
_STREAM_LIMIT = 1 << 20
_FILE_MAGIC = b"ARROW1"
#: The description of what is an Arrow table; before there was one, all was polars' own.
_TABLE = "table"
_DTYPES = frozenset(
    (
        *("Boolean", "String", "Binary", "Date", "Time", "Datetime", "Duration", "Decimal", "Null"),
        *("Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128"),
        *("Float16", "Float32", "Float64", "Categorical", "Enum", "List", "Array", "Struct"),
    ),
)  # fmt: skip


def write_frame(
    value: pl.DataFrame | pl.Series,
) -> tuple[str | None, pa.Table | bytes]:
    """A description, and a table or polars' own bytes.

    Raises:
        UnfitError: it holds what only polars in this process knows.
    """
    import polars as pl

    frame = value.to_frame() if isinstance(value, pl.Series) else value
    if not all(map(_fits, frame.dtypes)) or (frame.height and not frame.width):
        raise UnfitError
    table = _table(frame)
    return (None, _own_bytes(frame)) if table is None else (_TABLE, table)


def read_frame(
    kind: str, description: str | None, table: pa.Table | None, body: memoryview
) -> pl.DataFrame | pl.Series:
    """The twin of ``write_frame``; ``table`` where it described one."""
    import polars as pl

    frame: Any
    if description is None:
        frame = _read_own(body)
    elif description == _TABLE:
        frame = pl.from_arrow(table, rechunk=False)
    else:
        raise ValueError(f"polars data of an unknown form: {description}")
    return frame.to_series() if kind == "polars.Series" else frame  # type: ignore[no-any-return]  # as written


def _fits(dtype: pl.DataType) -> bool:
    if dtype.base_type().__name__ not in _DTYPES:
        return False
    inner = [field.dtype for field in getattr(dtype, "fields", ())]
    if hasattr(dtype, "inner"):
        inner.append(dtype.inner)
    return all(map(_fits, inner))


def _table(frame: pl.DataFrame) -> pa.Table | None:
    """The frame as Arrow has it, if that gives back a frame of the same types."""
    import polars as pl
    import pyarrow as pa

    if frame.estimated_size() <= _STREAM_LIMIT:
        return None
    try:
        empty: Any = pl.from_arrow(frame.clear().to_arrow())
        if empty.schema != frame.schema:
            return None
        return _whole(frame).to_arrow()
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None  # integers of 128 bits have no name in Arrow


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with copies of nested columns.

    Of a slice, old polars gives Arrow the offset twice, and what lies there is other rows or nothing.
    """
    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    rows = pl.int_range(frame.height, eager=True)
    return frame.with_columns(frame[name].gather(rows) for name in nested)


def _own_bytes(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    if frame.estimated_size() > _STREAM_LIMIT:
        frame.write_ipc(file)
    else:
        frame.write_ipc_stream(file)
    return file.getvalue()


def _read_own(body: memoryview) -> pl.DataFrame:
    import polars as pl

    is_file = body[: len(_FILE_MAGIC)] == _FILE_MAGIC
    read = pl.read_ipc if is_file else pl.read_ipc_stream
    try:
        return read(io.BytesIO(body))
    except pl.exceptions.PanicException as error:
        # It is a BaseException, which nobody expects of damaged data.
        raise ValueError(str(error)) from None
