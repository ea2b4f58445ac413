"""Codec: the one door for bytes. ``encode`` a value, and ``decode`` gives it back.

Typed codecs come first, because reading them runs no code that the bytes choose:

- ``msgpack``: plain data, and instances of the user's classes by field, with arrays and
  frames inside.
- ``npy``: numpy arrays.
- ``arrow``: frames, series and indexes of pandas and polars, tables and arrays of
  pyarrow.
- ``pickle``: everything else that pickle can save, including shared references and
  cycles.

pandas, polars, pyarrow, numpy and pydantic are never imported to find out what a value
is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

from nbflow._key.secret import KNOWN
from nbflow._store.codecs import arrays, arrow, frames, pickled, plain, records, tags
from nbflow._store.codecs.plain import Reader, Writer, is_native
from nbflow._store.pieces import joined, parts_of
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from nbflow._store.codecs.plain import Read, ReadExtension
    from nbflow._store.pieces import Bytes

    Decoders: TypeAlias = Mapping[str, Callable[[bytes | memoryview], object]]

__all__ = [
    "decode",
    "decode_among",
    "decode_owned",
    "encode",
    "encode_among",
    "encode_parts",
    "view",
]


def encode(value: object) -> tuple[str, bytes]:
    """The name of a codec, and the bytes that it makes of ``value``.

    Raises:
        CodecError: no codec can save it, or it holds the value of a secret; the message
            names the place inside the value and the way out.
    """
    written_as, payload = encode_parts(value)
    return written_as, bytes(payload)


def encode_parts(value: object) -> tuple[str, Bytes]:
    """The same without a copy of what is large in ``value``: the bytes show what it holds when they are read.

    Raises:
        CodecError: as `encode` does.
    """
    written_as, payload = _encode(value)
    if KNOWN and (name := _holder(payload)) is not None:
        raise CodecError(_held(value, name))
    return written_as, payload


def _holder(payload: Bytes) -> str | None:
    """The name of a secret whose value is in these bytes, if there is one."""
    # Copies, one at a time: nothing looks for bytes in a memoryview.
    found = (KNOWN.holder(bytes(part)) for part in parts_of(payload))
    return next((name for name in found if name is not None), None)


def encode_among(value: object, objects: Sequence[object]) -> bytes:
    """Bytes for a value that shares ``objects`` with others.

    Only the positions of these objects are written.

    Raises:
        CodecError: as `encode` does.
    """
    payload = pickled.dump(value, pickled.SharedObjects(objects))
    if KNOWN and (name := KNOWN.holder(payload)) is not None:
        raise CodecError(_held(value, name))
    return payload


def decode_among(payload: bytes | memoryview, objects: Sequence[object]) -> Any:
    """The value that `encode_among` was given, with ``objects`` in their places.

    Raises:
        CodecError: as `decode` does.
    """
    return pickled.load(payload, objects)


def _held(value: object, name: str) -> str:
    def holds(part: object) -> bool:
        return _holder(_encode(part)[1]) is not None

    path, _ = pickled.innermost(value, holds)
    return (
        f"{KNOWN.mask(path)} cannot be saved: it contains the value of "
        f"nf.secret({name!r}), which nbflow never writes; leave it out, or keep the "
        "secret itself, which is saved by name"
    )


def _encode(value: object) -> tuple[str, Bytes]:
    try:
        if is_native(value):
            return "msgpack", plain.encode(value)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        # Lone surrogates and integers beyond 64 bits have extensions; what is too deep,
        # pickle refuses.
        pass
    try:
        return _encode_typed(value)
    except RecursionError:
        pickled.refuse_depth(value)
        return "pickle", pickled.dump(value)
    except Exception:
        # Mostly UnfitError. What another library refuses, pickle may still save.
        return "pickle", pickled.dump(value)


def view(codec: str, payload: bytes | memoryview) -> object:
    """The value as far as it can be shown where its classes are not defined, or have changed.

    `nbflow._core.fields.Fields` stand in the place of such instances.

    Raises:
        CodecError: as `decode` does, but for the classes of records.
    """
    return _decode(_VIEWERS, codec, payload)


def decode(codec: str, payload: bytes | memoryview) -> object:
    """The value that ``encode`` was given, as a fresh object.

    Args:
        codec: the name that ``encode`` returned.
        payload: the bytes that it returned. Verify their MAC first: ``pickle`` runs
            what they say.

    Raises:
        CodecError: the bytes are damaged, or need a class that is not defined or has
            changed.
    """
    return _decode(_DECODERS, codec, payload)


def decode_owned(codec: str, payload: bytes | memoryview) -> object:
    """The same in the memory of ``payload`` where that can be written to.

    Args:
        codec: as for `decode`.
        payload: as for `decode`. Nobody else may read it, nor decode it again: it
            changes with the value.

    Raises:
        CodecError: as `decode` does.
    """
    return _decode(_OWNERS, codec, payload)


def _decode(decoders: Decoders, codec: str, payload: bytes | memoryview) -> object:
    try:
        return decoders[codec](payload)
    except CodecError:
        raise
    except Exception as error:
        if codec not in decoders:
            msg = f"unknown codec {codec!r}: saved by a newer nbflow"
        else:
            msg = (
                f"these bytes are no {codec} payload of this nbflow "
                f"({type(error).__name__}: {error})"
            )
        raise CodecError(msg) from error


def _encode_typed(value: Any) -> tuple[str, Bytes]:
    library = _library(value)
    if library == "numpy" and arrays.is_array(value):
        return "npy", joined(arrays.npy_parts(value))
    writer = Writer(_write_other)
    if library in _TABLE_LIBRARIES and arrow.is_table(value):
        return "arrow", joined(arrow.table_parts(value, writer))
    return "msgpack", writer.pack(value)


def _write_other(value: object, writer: Writer) -> Ext:
    """What plain data may hold that is not plain itself."""
    library = _library(value)
    if library in _TABLE_LIBRARIES and arrow.is_table(value):
        return Ext(tags.TABLE, arrow.write_table(value, writer))
    write = _OTHERS.get(library, records.write_record)
    return write(value, writer)


def _library(value: object) -> str:
    return type(value).__module__.partition(".")[0]


def _read_table_inside(data: memoryview, read: Read) -> object:
    # A copy: inside other data a table starts anywhere, and Arrow wants its buffers
    # aligned.
    return arrow.read_table(bytes(data), read)


_TABLE_LIBRARIES = frozenset(("pandas", "polars", "pyarrow"))
_OTHERS: dict[str, Callable[[object, Writer], Ext]] = {
    "numpy": arrays.write_numpy,
    "pandas": frames.write_scalar,
    "pytz": plain.write_pytz,
    "zoneinfo": plain.write_zoneinfo,
}


def _reader(records_by_tag: Mapping[int, ReadExtension]) -> Reader:
    return Reader(
        {
            **records_by_tag,
            **arrays.READERS,
            **frames.READERS,
            tags.TABLE: _read_table_inside,
        },
    )


def _decoders(
    reader: Reader, unpickle: Callable[[bytes | memoryview], object]
) -> Decoders:
    return {
        "msgpack": reader.read,
        "npy": arrays.read_npy,
        "arrow": lambda payload: arrow.read_table(payload, reader.read),
        "pickle": unpickle,
    }


_READER = _reader(records.READERS)
_DECODERS = _decoders(_READER, pickled.load)
_OWNERS: Decoders = {
    **_DECODERS,
    "npy": partial(arrays.read_npy, owned=True),
    "arrow": partial(arrow.read_table, read=_READER.read, owned=True),
}
_VIEWERS = _decoders(_reader(records.VIEWERS), pickled.view)
