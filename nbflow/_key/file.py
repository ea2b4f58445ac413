"""Digests of files and folders: their content, not their name; and the path that is keyed by it.

A plain path is keyed by its text: what is written to a path, or only looked up there,
should not be read first.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nbflow._key.value import Walk, handles, member, refuse, seal

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    _Path = Path
else:
    # What Path makes here: before Python 3.12 it has no subclasses but these.
    _Path = type(Path())

# Bytes: what is read is hashed while it is in the processor's cache.
_PIECE = 1 << 20


if sys.version_info < (3, 12):
    _make_path = getattr(_Path, "_from_parts")  # noqa: B009  # private before 3.12


class File(_Path):
    """A path that stands for the content of a file or folder, wherever it lies.

    It opens, reads and joins as the ``Path`` that it is; the paths derived from it are
    plain ones. As an argument of a step, or in one, it counts by the content at the
    time of the call. A folder is the names and the content of all files in it.

    Attributes:
        path: the same as a plain path, of which only the text counts.
    """

    __slots__ = ()

    @property
    def path(self) -> Path:
        """The same as a plain path."""
        return Path(self)

    if sys.version_info >= (3, 12):

        def with_segments(self, *segments: str | os.PathLike[str]) -> Path:
            """A path derived from this one: a plain one."""
            return Path(*segments)

    else:

        def __new__(cls, *segments: str | os.PathLike[str]) -> Self:
            made: Self = _make_path.__func__(cls, segments)
            return made

        # What derived paths are made with, as with_segments above. These are bound to
        # the plain class: what is called through a File makes plain paths.
        _from_parts = _make_path
        _from_parsed_parts = getattr(_Path, "_from_parsed_parts")  # noqa: B009  # private before 3.12


# Where it is found, also by the name that a checkpoint keeps.
File.__module__ = "nbflow"


def file(path: str | os.PathLike[str]) -> File:
    """Return a path that a step is keyed by for its content, where a plain path counts by its text.

    ::

        @nf.step
        def prices(table: Path) -> pd.DataFrame:
            return pd.read_csv(table)

        prices(nf.file("prices.csv"))      # runs again when the content has changed, not when the file has moved

    Nothing is read before the call, and all of it at every call.

    Args:
        path: of a file or folder, which need not be there yet.
    """
    return File(path)


def content_digest(path: str | os.PathLike[str]) -> bytes:
    """Return the 20-byte digest of the content of a file, or of all files in a folder.

    The names of the files in a folder count, too.
    Empty folders do not count, nor do times, rights and owners. Symbolic links are what
    they lead to.

    Raises:
        OSError: something there cannot be read: it is missing, forbidden, a device or a
            link to itself.
    """
    if os.path.isdir(path):  # noqa: PTH112  # may be anything that is a path
        files = sorted(_walk(os.fspath(path), b"", ()))
        names = [[name, member(_of_file(full))] for name, full in files]
        return seal("folder", names)
    return _of_file(os.fspath(path))


def _of_file(path: str) -> bytes:
    with open(_regular(path), "rb", buffering=0) as opened:  # noqa: PTH123  # may be anything that is a path
        return seal("file", buffers=_pieces(opened))


def _regular(path: str) -> str:
    # A pipe would be used up, or block forever.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # the path may be any text
        raise OSError(errno.EINVAL, "neither a file nor a folder", path)
    return path


def _pieces(opened: io.FileIO) -> Iterator[memoryview]:
    piece = memoryview(bytearray(_PIECE))
    while count := opened.readinto(piece):
        yield piece[:count]


def _walk(
    folder: str, name: bytes, above: tuple[str, ...]
) -> Iterator[tuple[bytes, str]]:
    """Yield the files in a folder: the name relative to where the walk began, and the path."""
    real = os.path.realpath(folder)
    if real in above:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            inner = name + os.fsencode(entry.name)
            if entry.is_dir():
                yield from _walk(entry.path, inner + b"/", (*above, real))
            else:
                yield inner, entry.path


@handles(File, subclasses=True)
def _file(_: Walk, value: File) -> bytes:
    try:
        return content_digest(value)
    except OSError as error:
        where = os.path.abspath(error.filename or value)  # noqa: PTH100  # links stay
        refuse(
            value,
            f"its content cannot be read ({error.strerror}: {where})",
            "Fix the path, or pass a plain Path, of which only the text counts.",
            error,
            decisive=True,
        )
