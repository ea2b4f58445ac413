"""arrow: tables as Arrow IPC, uncompressed, and a sidecar for what Arrow would lose.

A payload holds its own length (8 bytes, because a stream that lost its tail is a valid
stream with fewer rows), the length of the sidecar (4 bytes), the sidecar (msgpack: kind
and description), and, from the next multiple of 64 bytes, the IPC stream.
"""

from __future__ import annotations

import io
import struct
import sys
from typing import TYPE_CHECKING, Any

from nbflow._store.codecs import frames
from nbflow._store.codecs.columns import Columns
from nbflow._store.codecs.plain import UnfitError, encode

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from nbflow._store.codecs.plain import Read, Writer

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<QI")
_ALIGNMENT = 64
# Below this a stream is written ten times faster than a file, above it a file is read
# three times faster.
_STREAM_LIMIT = 1 << 20
_FILE_MAGIC = b"ARROW1"
_POLARS_DTYPES = frozenset(
    (
        *("Boolean", "String", "Binary", "Date", "Time", "Datetime", "Duration", "Decimal", "Null"),
        *("Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128"),
        *("Float16", "Float32", "Float64", "Categorical", "Enum", "List", "Array", "Struct"),
    ),
)  # fmt: skip


_CLASSES = {
    "polars": ("DataFrame", "Series"),
    "pyarrow": ("Table", "RecordBatch", "ChunkedArray"),
}


def is_table(value: object) -> bool:
    """Whether ``value``, of a class of pandas, polars or pyarrow, is made of columns."""
    return _kind(value) is not None


def write_table(value: Any, writer: Writer) -> bytes:
    """The payload of a frame, a column, an index or an Arrow table.

    Raises:
        UnfitError: Arrow would not give back all of it as it was.
    """
    kind = _kind(value)
    if kind is None:
        raise UnfitError
    file = io.BytesIO()
    if kind.startswith("pandas"):
        columns = Columns()
        description = frames.write_frame(kind, value, columns, writer)
        _write_head(file, encode([kind, description]))
        _write_columns(file, columns.arrays)
    else:
        _write_head(file, encode([kind, None]))
        if kind.startswith("polars"):
            _write_polars(file, value)
        else:
            _write_pyarrow(file, value)
    with file.getbuffer() as payload:
        _LENGTH.pack_into(payload, 0, len(payload))
    return file.getvalue()


def read_table(payload: bytes | memoryview, read: Read) -> object:
    """What ``write_table`` was given."""
    sidecar, body = _split(payload)
    kind, description = read(sidecar)
    if kind.startswith("pandas"):
        return frames.read_frame(kind, description, _read_columns(body))
    if kind.startswith("polars"):
        return _read_polars(kind, body)
    return _read_pyarrow(kind, body)


def _kind(value: object) -> str | None:
    """What the sidecar calls a value; ``None`` if it is not made of columns."""
    cls = type(value)
    library = cls.__module__.partition(".")[0]
    if library == "pandas":
        return frames.frame_kind(cls)
    module = sys.modules[library]
    if cls.__module__ == "pyarrow.lib" and isinstance(value, module.Array):
        return "pyarrow.Array"
    for name in _CLASSES[library]:
        if cls is getattr(module, name):
            return f"{library}.{name}"
    return None


def _write_head(file: io.BytesIO, sidecar: bytes) -> None:
    file.write(_HEAD.pack(0, len(sidecar)) + sidecar)
    file.write(bytes(-file.tell() % _ALIGNMENT))


def _split(payload: bytes | memoryview) -> tuple[memoryview, memoryview]:
    view = memoryview(payload)
    if not view.readonly:  # tables stay views on the payload
        view = memoryview(bytes(view))
    total, size = _HEAD.unpack_from(view)
    end = _HEAD.size + size
    if total != len(view) or end > total:
        raise ValueError("truncated")
    return view[_HEAD.size : end], view[end + -end % _ALIGNMENT :]


def _write_columns(file: io.BytesIO, arrays: list[pa.Array]) -> None:
    if not arrays:  # everything is in the sidecar, as labels often are
        return
    import pyarrow as pa

    names = [str(position) for position in range(len(arrays))]
    _write_pyarrow(file, pa.record_batch(arrays, names=names))


def _read_columns(body: memoryview) -> list[pa.Array]:
    return _only_batch(_read_arrow(body)).columns if body else []


def _write_pyarrow(file: io.BytesIO, value: Any) -> None:
    import pyarrow as pa

    if isinstance(value, pa.Array):
        value = pa.record_batch([value], names=[""])
    elif isinstance(value, pa.ChunkedArray):
        value = pa.table([value], names=[""])
    if any(_has_extension(field.type) for field in value.schema):
        raise UnfitError
    # As on reading: what would be refused then is left to pickle now.
    value.validate(full=True)
    with pa.ipc.new_stream(file, value.schema) as stream:
        stream.write(value)


def _has_extension(dtype: pa.DataType) -> bool:
    """Whether a type, or one inside it, is an extension type.

    Its meaning is known only to a registry of the process that writes.
    """
    import pyarrow as pa

    if isinstance(dtype, pa.BaseExtensionType):
        return True
    if isinstance(dtype, (pa.StructType, pa.UnionType)):
        fields = [dtype.field(position) for position in range(dtype.num_fields)]
        return any(_has_extension(field.type) for field in fields)
    inner = [
        getattr(dtype, name)
        for name in ("value_type", "key_type", "item_type")
        if hasattr(dtype, name)
    ]
    return any(map(_has_extension, inner))


def _read_arrow(body: memoryview) -> pa.Table:
    import pyarrow as pa

    table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    # Or offsets that point outside crash the process later. Takes 3 ms per million
    # strings.
    table.validate(full=True)
    return table


def _read_pyarrow(kind: str, body: memoryview) -> object:
    table = _read_arrow(body)
    if kind == "pyarrow.Table":
        return table
    if kind == "pyarrow.ChunkedArray":
        return table.column(0)
    batch = _only_batch(table)
    return batch if kind == "pyarrow.RecordBatch" else batch.column(0)


def _only_batch(table: pa.Table) -> pa.RecordBatch:
    import pyarrow as pa

    batches = table.to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_pylist([], schema=table.schema)


def _write_polars(file: io.BytesIO, value: pl.DataFrame | pl.Series) -> None:
    import polars as pl

    frame = value.to_frame() if isinstance(value, pl.Series) else value
    if not all(map(_fits_polars, frame.dtypes)) or (frame.height and not frame.width):
        raise UnfitError
    if frame.estimated_size() > _STREAM_LIMIT:
        frame.write_ipc(file)
    else:
        frame.write_ipc_stream(file)


def _fits_polars(dtype: pl.DataType) -> bool:
    if dtype.base_type().__name__ not in _POLARS_DTYPES:
        return False
    inner = [field.dtype for field in getattr(dtype, "fields", ())]
    if hasattr(dtype, "inner"):
        inner.append(dtype.inner)
    return all(map(_fits_polars, inner))


def _read_polars(kind: str, body: memoryview) -> pl.DataFrame | pl.Series:
    import polars as pl

    is_file = body[: len(_FILE_MAGIC)] == _FILE_MAGIC
    read = pl.read_ipc if is_file else pl.read_ipc_stream
    try:
        frame = read(io.BytesIO(body))
    except pl.exceptions.PanicException as error:
        # It is a BaseException, which nobody expects of damaged data.
        raise ValueError(str(error)) from None
    return frame.to_series() if kind == "polars.Series" else frame
