"""KeyLocks: which process works on which key.

The kernel releases a lock when its process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import sys
from typing import TYPE_CHECKING, ClassVar

from nbflow._store.folder import file_id, open_private, refusal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeyLocks"]

#: ``struct flock`` of 64-bit Linux: type, whence, start, length, process; padded.
_FLOCK = struct.Struct("hhqqi4x")
_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)


class KeyLocks:
    """One file, one byte of it per key, locked with POSIX byte-range locks.

    Not flock: that takes a file per key and about ten times as long, and leaves files
    behind. The price is a rule of POSIX: when a process closes any descriptor of the
    file, it loses all its locks on it. So the file is opened once in a process and
    never closed; ``KeyLocks.of`` makes sure of that.

    There is no lease and no clock, hence nothing to wait out after ``kill -9``. A
    forked child owns none of its parent's locks.
    """

    #: Once per process.
    _by_path: ClassVar[dict[Path, KeyLocks]] = {}
    #: Of folders that were removed; to close them would drop locks that are still held.
    _retired: ClassVar[list[KeyLocks]] = []

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = open_private(path, os.O_RDWR | os.O_CREAT)
        status = os.fstat(self._fd)
        self.id = status.st_dev, status.st_ino

    @classmethod
    def of(cls, path: Path) -> KeyLocks:
        """The locks of the file at ``path``, the same object for a whole process."""
        known = cls._by_path.get(path)
        if known is not None and known.id == file_id(path):
            return known
        if known is not None:
            cls._retired.append(known)
        cls._by_path[path] = made = cls(path)
        return made

    def lock(self, key: str) -> bool:
        """Take the byte of ``key`` if no other process has it."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                return False
            raise refusal(error, "lock a step", self._path) from error
        return True

    def unlock(self, key: str) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _place(key))

    def holder(self, key: str) -> int | None:
        """The process that has the byte of ``key``; ``None`` if the system does not say."""
        if not sys.platform.startswith("linux"):
            return None
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _place(key), 1, 0)
        with contextlib.suppress(OSError):
            kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, asked))
            if kind != fcntl.F_UNLCK and pid > 0:  # 0 in a container: somebody outside
                return int(pid)
        return None


def _place(key: str) -> int:
    """62 bits of the key: an offset must not be negative."""
    return int(key[:16], 16) >> 2
