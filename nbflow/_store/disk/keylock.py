"""KeyLocks: which process works on which key. The kernel gives a lock back when its process dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

from nbflow._store.folder import file_id, open_private, refusal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeyLocks"]

_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)


class KeyLocks:
    """One file, one byte of it per key, locked with POSIX byte-range locks.

    Not flock: that takes a file per key, about ten times the time, and leaves files
    behind. The price is a rule of POSIX: closing any descriptor of the file drops all
    of a process's locks on it. So the file is opened once in a process and never
    closed; ``KeyLocks.of`` sees to it.

    No lease and no clock, hence nothing to wait out after ``kill -9``. A forked child
    owns none of its parent's.
    """

    _by_path: dict[Path, KeyLocks] = {}  # noqa: RUF012 - once per process is the point
    _retired: list[KeyLocks] = []  # noqa: RUF012 - of folders removed under us; closing would drop locks still held

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
            fcntl.lockf(
                self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(key[:16], 16) >> 2
            )
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                return False
            raise refusal(error, "lock a step", self._path) from error
        return True

    def unlock(self, key: str) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, int(key[:16], 16) >> 2)
