"""arrays: numpy.

Arrays are written as npy without pickle, object arrays by element, scalars by dtype and
bytes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.msgpack import Ext

from nbflow._store.codecs import tags
from nbflow._store.codecs.plain import UnfitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nbflow._store.codecs.plain import Read, ReadExtension, Writer

#: An array of numpy, of any shape and dtype.
Array: TypeAlias = "NDArray[Any]"
Dtype: TypeAlias = "np.dtype[Any]"

_KINDS = frozenset("biufcmMSUV")
_HEADER_LIMIT = 10_000  # what numpy agrees to parse


def is_array(value: object) -> bool:
    """Whether ``value``, of a class of numpy, is a plain array of fixed-size elements."""
    import numpy as np

    return type(value) is np.ndarray and not value.dtype.hasobject


def write_npy(array: Array) -> bytes:
    """The npy file of ``array``, in one piece; see `npy_parts`."""
    return b"".join(npy_parts(array))


def npy_parts(array: Array) -> list[bytes | memoryview]:
    """The npy file of ``array``, in its own order, C or Fortran: a head, and the array's own memory.

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
    if not flat.nbytes:
        return [file.getvalue()]
    return [file.getvalue(), flat.view(np.uint8).data]


def read_npy(data: bytes | memoryview, *, owned: bool = False) -> Array:
    """The array in an npy file, writable.

    A copy, unless ``data`` is ``owned`` and can be written to.
    """
    import numpy as np

    file = io.BytesIO(memoryview(data)[: 2 * _HEADER_LIMIT])
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not an npy file of ours")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(
        file, max_header_size=_HEADER_LIMIT
    )
    if dtype.hasobject:
        raise ValueError("an npy file with objects")
    start = file.tell()
    array: Array = np.ndarray(
        shape,
        dtype,
        buffer=data,
        offset=start,
        order="F" if fortran else "C",
    )
    if array.nbytes != len(data) - start:
        raise ValueError("an npy file of another length")
    return array if owned and array.flags.writeable else array.copy(order="K")


def write_numpy(value: object, writer: Writer) -> Ext:
    """An extension for an array or a scalar of numpy."""
    import numpy as np

    if type(value) is np.ndarray:
        writer.once(value)
        if value.dtype.kind == "O":
            return _write_objects(value, writer)
        return Ext(tags.ARRAY, write_npy(value))
    if isinstance(value, np.generic):
        # Not a class of the user's that extends one of numpy's.
        kind = np.dtype(value.dtype.str).type
        if type(value) is kind:
            return _write_scalar(value, writer)
    raise UnfitError


def _check_dtype(dtype: Dtype) -> None:
    from numpy.lib import format as npy

    if dtype.kind not in _KINDS or dtype.hasobject or dtype.metadata:
        raise UnfitError
    if dtype.kind != "V":
        return
    if dtype.isalignedstruct:
        raise UnfitError
    if npy.descr_to_dtype(npy.dtype_to_descr(dtype)) != dtype:
        raise UnfitError


def _write_objects(array: Array, writer: Writer) -> Ext:
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    items = array.ravel(order="F" if fortran else "C").tolist()
    return writer.ext(tags.OBJECT_ARRAY, (list(array.shape), fortran, items))


def _write_scalar(value: Any, writer: Writer) -> Ext:
    kind = value.dtype.kind
    if kind == "V":
        raise UnfitError
    # Text and bytes by their Python side: it keeps trailing NULs, which numpy drops.
    if kind == "U":
        return writer.ext(tags.NUMPY_SCALAR, (kind, str.__str__(value)))
    if kind == "S":
        return writer.ext(tags.NUMPY_SCALAR, (kind, bytes(value)))
    return writer.ext(tags.NUMPY_SCALAR, (value.dtype.str, value.tobytes()))


def object_array(items: list[object]) -> Array:
    """A flat object array of ``items``, none of which numpy unpacks."""
    import numpy as np

    return np.fromiter(items, dtype=object, count=len(items))


def _read_array(data: memoryview, _: Read) -> Array:
    return read_npy(data)


def _read_objects(data: memoryview, read: Read) -> Array:
    shape, fortran, items = read(data)
    return object_array(items).reshape(shape, order="F" if fortran else "C")


def _read_scalar(data: memoryview, read: Read) -> object:
    import numpy as np

    dtype, content = read(data)
    if dtype == "U":
        return np.str_(content)
    if dtype == "S":
        return np.bytes_(content)
    return np.frombuffer(content, np.dtype(dtype), count=1)[0]


READERS: dict[int, ReadExtension] = {
    tags.ARRAY: _read_array,
    tags.OBJECT_ARRAY: _read_objects,
    tags.NUMPY_SCALAR: _read_scalar,
}
