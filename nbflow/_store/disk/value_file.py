"""ValueFile: a large entry in a file of its own, two folders below the shelf."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from nbflow._store.folder import (
    open_private,
    private_folder,
    sync_file,
    sync_folder,
)

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from nbflow._store.disk.diskcache_table import Parts

__all__ = ["write_value"]

#: Times that the folder of a value file is created again before giving up.
_TRIES = 10


def write_value(path: Path, parts: Parts, *, synced: bool) -> None:
    """Write a new value file; ``synced`` survives a power failure."""
    fd = _create_file(path)
    with os.fdopen(fd, "wb", buffering=0) as file:
        for part in parts:
            _write_all(file, part)
        if synced:
            sync_file(fd)
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


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all of ``data``.

    A raw write takes at most 2 GiB, and on a full disk only what fits.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
