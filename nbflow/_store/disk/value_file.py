"""ValueFile: a large entry in a file of its own, two folders below the shelf."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from nbflow._key.beside import Beside
from nbflow._store.folder import (
    open_private,
    private_folder,
    sync_file,
    sync_folder,
)
from nbflow._store.pieces import parts_of
from nbflow._store.seal import HEAD, OVERHEAD, TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nbflow._store.pieces import Bytes

__all__ = ["Parts", "open_value", "read_value", "view_value", "write_value"]

#: Head, data, MAC.
Parts: TypeAlias = tuple[bytes, bytes | memoryview, bytes]

#: Times that the folder of a value file is created again before giving up.
_TRIES = 10
#: Bytes from which a second thread pays, and from which a file is mapped.
_LARGE = 1 << 20
#: Buffers that one call takes, on every system.
_AT_ONCE = 512


def write_value(
    path: Path, head: bytes, data: Bytes, mac: Callable[[], bytes], *, synced: bool
) -> None:
    """Write a new value file.

    Args:
        path: of the file.
        head: what comes first.
        data: what comes next.
        mac: computes what comes last, while large data is written.
        synced: whether it is to survive a power failure.
    """
    fd = _create_file(path)
    try:
        tag = Beside(mac).result if len(data) >= _LARGE else mac
        try:
            _write_all(fd, [head, *parts_of(data)])
        finally:
            last = tag()  # not without it: it reads what the caller may change later
        _write_all(fd, [last])
        if synced:
            sync_file(fd)
    finally:
        os.close(fd)
    if synced:
        for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
            sync_folder(folder)


def _create_file(path: Path) -> int:
    """A descriptor of a new value file, its two folders included."""
    for _ in range(_TRIES):
        private_folder(path.parent.parent)
        # Another process may remove the empty folder before our file is in it.
        with contextlib.suppress(FileNotFoundError):
            private_folder(path.parent)
            return open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    what = "its folder disappears again and again"
    raise FileNotFoundError(errno.ENOENT, what, str(path))


def _write_all(fd: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write all of them.

    One call takes at most 2 GiB, and on a full disk only what fits.
    """
    rest = deque(memoryview(part) for part in parts)
    while rest:
        written = _write_some(
            fd, [rest[place] for place in range(min(len(rest), _AT_ONCE))]
        )
        while rest and written >= len(rest[0]):
            written -= len(rest.popleft())
        if written:
            rest[0] = rest[0][written:]


def _write_some(fd: int, parts: Sequence[memoryview]) -> int:
    if hasattr(os, "writev"):
        return os.writev(fd, parts)
    return os.write(fd, parts[0])


def open_value(path: Path) -> int:
    """A descriptor of a value file, to read it.

    Raises:
        OSError: it is not there, or not a file.
    """
    fd = open_private(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EISDIR, "not a file", str(path))


def read_value(fd: int) -> Parts | None:
    """A large entry in three pieces; ``None`` for what is too short to be one."""
    with os.fdopen(fd, "rb", closefd=False) as file:
        length = os.fstat(fd).st_size - OVERHEAD
        if length < 0:
            return None
        return file.read(HEAD.size), file.read(length), file.read()


def view_value(fd: int) -> Parts | None:
    """The same; large data can be written to, and nobody else sees what is written.

    It is not copied where that can be helped.
    """
    size = os.fstat(fd).st_size
    if size < _LARGE:
        return read_value(fd)
    view = _mapped(fd) or _copied(fd, size)
    if view is None or len(view) < OVERHEAD:
        return None
    return bytes(view[: HEAD.size]), view[HEAD.size : -TAG], bytes(view[-TAG:])


def _mapped(fd: int) -> memoryview | None:
    try:
        from nbflow._store.disk.mapping import mapped
    except ImportError:  # no POSIX
        return None
    return mapped(fd)


def _copied(fd: int, size: int) -> memoryview | None:
    """The file in memory of our own; ``None`` if it becomes shorter meanwhile."""
    memory = _memory(size)
    rest = memoryview(memory)
    with os.fdopen(fd, "rb", buffering=0, closefd=False) as file:
        while rest and (taken := file.readinto(rest)):
            rest = rest[taken:]
    return None if rest else memoryview(memory)


def _memory(size: int) -> mmap.mmap:
    """Memory in large pages, where the system has them."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
