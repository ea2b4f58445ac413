"""numpy: arrays as npy without pickle, object arrays by element, scalars by dtype and bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from msgspec.msgpack import Ext

from nbflow._store.codecs import tags
from nbflow._store.codecs.plain import UnfitError

if TYPE_CHECKING:
    from nbflow._store.codecs.plain import Read, ReadExtension, Writer

_KINDS = frozenset("biufcmMSUV")
_HEADER_LIMIT = 10_000  # what numpy agrees to parse


def is_array(value: object) -> bool:
    """Whether ``value``, of a class of numpy, is an array proper with a fixed element size."""
    import numpy as np

    return type(value) is np.ndarray and not value.dtype.hasobject


def write_npy(array: Any) -> bytes:
    """The npy file of ``array``, C or Fortran order kept.

    Raises:
        UnfitError, ValueError: npy would lose something of the dtype.
    """
    import numpy as np

    _check_dtype(array.dtype)
    file = io.BytesIO()
    description = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, description)
    if file.tell() > _HEADER_LIMIT:
        raise UnfitError
    flat = array.ravel(order="F" if description["fortran_order"] else "C")
    if array.dtype.itemsize:
        file.write(flat.view(np.uint8))
    return file.getvalue()


def read_npy(data: bytes | memoryview) -> Any:
    """The array in an npy file: a writable copy."""
    import numpy as np

    file = io.BytesIO(memoryview(data)[: 2 * _HEADER_LIMIT])
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not an npy file of ours")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(
        file, max_header_size=_HEADER_LIMIT
    )
    if dtype.hasobject:
        raise ValueError("an npy file with objects")
    array = np.ndarray(
        shape, dtype, buffer=data, offset=file.tell(), order="F" if fortran else "C"
    )
    if array.nbytes != len(data) - file.tell():
        raise ValueError("an npy file of another length")
    return array.copy(order="K")


def write_numpy(value: Any, writer: Writer) -> Ext:
    """An extension for an array or a scalar of numpy."""
    import numpy as np

    if type(value) is np.ndarray:
        writer.once(value)
        if value.dtype.kind == "O":
            return _write_objects(value, writer)
        return Ext(tags.ARRAY, write_npy(value))
    if isinstance(value, np.generic) and type(value) is np.dtype(value.dtype.str).type:
        return _write_scalar(value, writer)
    raise UnfitError


def _check_dtype(dtype: Any) -> None:
    from numpy.lib import format as npy

    if dtype.kind not in _KINDS or dtype.hasobject or dtype.metadata:
        raise UnfitError
    if dtype.kind == "V" and (
        dtype.isalignedstruct or npy.descr_to_dtype(npy.dtype_to_descr(dtype)) != dtype
    ):
        raise UnfitError


def _write_objects(array: Any, writer: Writer) -> Ext:
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    items = array.ravel(order="F" if fortran else "C").tolist()
    return writer.ext(tags.OBJECT_ARRAY, (list(array.shape), fortran, items))


def _write_scalar(value: Any, writer: Writer) -> Ext:
    kind = value.dtype.kind
    if kind == "V":
        raise UnfitError
    # Text and bytes by their Python side: it keeps trailing NULs, which numpy drops.
    content = (
        str.__str__(value)
        if kind == "U"
        else bytes(value)
        if kind == "S"
        else value.tobytes()
    )
    return writer.ext(
        tags.NUMPY_SCALAR, (kind if kind in "US" else value.dtype.str, content)
    )


def object_array(items: list[Any]) -> Any:
    """A flat object array of ``items``, which numpy does not get to unpack."""
    import numpy as np

    return np.fromiter(items, dtype=object, count=len(items))


def _read_objects(data: memoryview, read: Read) -> Any:
    shape, fortran, items = read(data)
    return object_array(items).reshape(shape, order="F" if fortran else "C")


def _read_scalar(data: memoryview, read: Read) -> Any:
    import numpy as np

    dtype, content = read(data)
    if dtype in ("U", "S"):
        return np.str_(content) if dtype == "U" else np.bytes_(content)
    return np.frombuffer(content, np.dtype(dtype), count=1)[0]


READERS: dict[int, ReadExtension] = {
    tags.ARRAY: lambda data, _: read_npy(data),
    tags.OBJECT_ARRAY: _read_objects,
    tags.NUMPY_SCALAR: _read_scalar,
}
