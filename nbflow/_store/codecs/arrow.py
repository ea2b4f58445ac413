"""arrow: tables as Arrow IPC, uncompressed, and a sidecar for what Arrow would lose.

A payload holds its own length (8 bytes, because a stream that lost its tail is a valid
stream with fewer rows), the length of the sidecar (4 bytes), the sidecar (msgpack: kind
and description), and, from the next multiple of 64 bytes, the IPC stream.

Nothing large is copied: what is written lies in the memory of the value, and what is
read lies in the memory of the payload.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from typing import TYPE_CHECKING, Any

from nbflow._store.codecs import frames, polars_frames
from nbflow._store.codecs.columns import Columns, SavedColumns
from nbflow._store.codecs.plain import UnfitError, encode

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Buffer

    from nbflow._store.codecs.plain import Read, Writer

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<QI")
_ALIGNMENT = 64

_CLASSES = {
    "polars": ("DataFrame", "Series"),
    "pyarrow": ("Table", "RecordBatch", "ChunkedArray"),
}


def is_table(value: object) -> bool:
    """Whether ``value``, of a class of pandas, polars or pyarrow, is made of columns."""
    return _kind(value) is not None


def write_table(value: Any, writer: Writer) -> bytes:
    """The payload of a table, in one piece; see `table_parts`."""
    return b"".join(table_parts(value, writer))


def table_parts(value: Any, writer: Writer) -> list[Buffer]:
    """The payload of a frame, a column, an index or an Arrow table.

    Raises:
        UnfitError: Arrow would not give back all of it as it was.
    """
    kind = _kind(value)
    if kind is None:
        raise UnfitError
    stream = _Stream()
    if kind.startswith("pandas"):
        columns = Columns()
        description: object = frames.write_frame(kind, value, columns, writer)
        if columns.arrays:  # or all is in the sidecar, as labels often are
            stream.write_table(_batch(columns.arrays))
    elif kind.startswith("polars"):
        description, content = polars_frames.write_frame(value)
        if isinstance(content, bytes):
            stream.write(content)
        else:
            stream.write_table(content)
    else:
        description = None
        stream.write_table(_checked(value))
    return _with_head(encode([kind, description]), stream.parts)


def read_table(
    payload: bytes | memoryview, read: Read, *, owned: bool = False
) -> object:
    """What ``write_table`` was given.

    ``owned``: nobody else reads the payload, which may be changed with what lies in it.
    """
    view = memoryview(payload)
    owned = owned and not view.readonly
    if not (owned or view.readonly):  # tables stay views on the payload
        view = memoryview(bytes(view))
    sidecar, body = _split(view)
    kind, description = read(sidecar)
    if kind.startswith("pandas"):
        columns = SavedColumns(_read_columns(body), body if owned else None)
        return frames.read_frame(kind, description, columns)
    if kind.startswith("polars"):
        table = None if description is None else _read_arrow(body)
        return polars_frames.read_frame(kind, description, table, body)
    return _read_pyarrow(kind, body)


class _Stream:
    """Takes what Arrow writes; buffers of a table stay where they are."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[Buffer] = []

    def write(self, data: Buffer) -> None:
        self.parts.append(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def write_table(self, table: pa.Table | pa.RecordBatch) -> None:
        import pyarrow as pa

        # As on reading: what would be refused then is left to pickle now.
        table.validate(full=True)
        with (
            contextlib.closing(pa.PythonFile(self, mode="w")) as file,
            pa.ipc.new_stream(file, table.schema) as stream,
        ):
            stream.write(table)

    def close(self) -> None:
        """Arrow closes what it wrote to."""


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


def _with_head(sidecar: bytes, stream: list[Buffer]) -> list[Buffer]:
    """The parts of a payload."""
    head = bytearray(_HEAD.pack(0, len(sidecar)) + sidecar)
    head += bytes(-len(head) % _ALIGNMENT)
    total = len(head) + sum(memoryview(part).nbytes for part in stream)
    _LENGTH.pack_into(head, 0, total)
    return [bytes(head), *stream]


def _split(view: memoryview) -> tuple[memoryview, memoryview]:
    total, size = _HEAD.unpack_from(view)
    end = _HEAD.size + size
    if total != len(view) or end > total:
        raise ValueError("truncated")
    return view[_HEAD.size : end], view[end + -end % _ALIGNMENT :]


def _batch(arrays: list[pa.Array]) -> pa.RecordBatch:
    import pyarrow as pa

    names = [str(position) for position in range(len(arrays))]
    return pa.record_batch(arrays, names=names)


def _read_columns(body: memoryview) -> list[pa.Array]:
    columns: list[pa.Array] = _only_batch(_read_arrow(body)).columns if body else []
    return columns


def _checked(value: Any) -> pa.Table | pa.RecordBatch:
    """Arrow data as a table without types whose meaning is known to this process alone."""
    import pyarrow as pa

    if isinstance(value, pa.Array):
        value = pa.record_batch([value], names=[""])
    elif isinstance(value, pa.ChunkedArray):
        value = pa.table([value], names=[""])
    if any(_has_extension(field.type) for field in value.schema):
        raise UnfitError
    return value


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
