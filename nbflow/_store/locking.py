"""Locking: files and single bytes of files, as the system in use does it.

The one place that knows how. A lock is never waited for, and the system gives it back
when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import struct
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["LOCKS", "FcntlLocks", "Locks", "MsvcrtLocks", "system"]

#: What a system says of a lock that somebody else has.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Locks(Protocol):
    """What a store needs of a system."""

    def take(self, fd: int, *, alone: bool) -> bool:
        """Lock a whole file, alone or beside others; returns whether that worked."""

    def give(self, fd: int) -> None:
        """Give it back."""

    def take_byte(self, fd: int, place: int) -> bool:
        """Lock one byte of a file for this process; returns whether that worked."""

    def give_byte(self, fd: int, place: int) -> None:
        """Give it back."""

    def holder(self, fd: int, place: int) -> int | None:
        """The other process that has a byte, if the system says."""


class FcntlLocks:
    """Linux and macOS: ``flock`` for files, POSIX byte-range locks for bytes."""

    #: ``struct flock`` of 64-bit Linux: type, whence, start, length, process; padded.
    _FLOCK = struct.Struct("hhqqi4x")

    def __init__(self, fcntl: Any) -> None:
        self._fcntl = fcntl

    def take(self, fd: int, *, alone: bool) -> bool:
        """Take the ``flock`` of an open file."""
        kind = self._fcntl.LOCK_EX if alone else self._fcntl.LOCK_SH
        try:
            self._fcntl.flock(fd, kind | self._fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give(self, fd: int) -> None:
        """Give it back."""
        self._fcntl.flock(fd, self._fcntl.LOCK_UN)

    def take_byte(self, fd: int, place: int) -> bool:
        """Lock a byte; a second time in the process that has it works, too."""
        try:
            kind = self._fcntl.LOCK_EX | self._fcntl.LOCK_NB
            self._fcntl.lockf(fd, kind, 1, place)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def give_byte(self, fd: int, place: int) -> None:
        """Give it back."""
        try:
            self._fcntl.lockf(fd, self._fcntl.LOCK_UN, 1, place)
        except OSError:
            return  # the file is gone, and its locks with it

    def holder(self, fd: int, place: int) -> int | None:
        """The process that has a byte; ``None`` if the system does not say."""
        if not sys.platform.startswith("linux"):
            return None
        asked = self._FLOCK.pack(self._fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
        with contextlib.suppress(OSError):
            found = self._fcntl.fcntl(fd, self._fcntl.F_GETLK, asked)
            kind, *_, pid = self._FLOCK.unpack(found)
            if kind != self._fcntl.F_UNLCK and pid > 0:  # 0: outside of this container
                return int(pid)
        return None


class MsvcrtLocks:
    """Windows: ``msvcrt.locking``, which knows no shared locks.

    So each of those who share a file has one of its first bytes, and who has it alone
    has them all.
    """

    _BYTES = 64

    def __init__(self, msvcrt: Any) -> None:
        self._msvcrt = msvcrt
        #: Where the lock of a file begins, and its length, by descriptor.
        self._taken: dict[int, tuple[int, int]] = {}

    def take(self, fd: int, *, alone: bool) -> bool:
        """Lock all of the first bytes, or any one of them."""
        if fd in self._taken:
            return True
        first = 0 if alone else random.randrange(self._BYTES)  # noqa: S311  # no secret
        ranges = [(0, self._BYTES)]
        if not alone:
            ranges = [((first + n) % self._BYTES, 1) for n in range(self._BYTES)]
        for place, length in ranges:
            if self._lock(fd, place, length):
                self._taken[fd] = place, length
                return True
        return False

    def give(self, fd: int) -> None:
        """Give it back."""
        place, length = self._taken.pop(fd)
        self._unlock(fd, place, length)

    def take_byte(self, fd: int, place: int) -> bool:
        """Lock one byte."""
        return self._lock(fd, place, 1)

    def give_byte(self, fd: int, place: int) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self._unlock(fd, place, 1)

    def holder(self, fd: int, place: int) -> None:
        """Windows does not say."""

    def _lock(self, fd: int, place: int, length: int) -> bool:
        os.lseek(fd, place, os.SEEK_SET)
        try:
            self._msvcrt.locking(fd, self._msvcrt.LK_NBLCK, length)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def _unlock(self, fd: int, place: int, length: int) -> None:
        os.lseek(fd, place, os.SEEK_SET)
        self._msvcrt.locking(fd, self._msvcrt.LK_UNLCK, length)


def system() -> Locks | None:
    """The locks of this system; ``None`` where there are none, and no store on disk."""
    with contextlib.suppress(ImportError):
        import fcntl

        return FcntlLocks(fcntl)
    with contextlib.suppress(ImportError):
        import msvcrt

        module: ModuleType = msvcrt
        return MsvcrtLocks(module)
    return None


#: What the file systems of this process are locked with.
LOCKS = system()
