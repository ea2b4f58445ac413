"""KeyLocks: which process works on which key.

The kernel releases a lock when its process dies, however it dies.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from nbflow._key import fork
from nbflow._store.folder import file_id, open_private, private_folder, refusal
from nbflow._store.locking import LOCKS

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow._store.locking import Locks

__all__ = ["KeyLocks"]

#: Files among which keys are distributed.
_FILES = 32


class KeyLocks:
    """A byte of a file per key, locked with POSIX byte-range locks.

    Not flock: that takes a file per key and about ten times as long, and leaves files
    behind. Not one file for all keys: its locks are a list that the kernel walks. The
    price is a rule of POSIX: when a process closes any descriptor of a file, it loses
    all its locks on it. So each file is opened once in a process and never closed;
    ``KeyLocks.of`` makes sure of that.

    There is no lease and no clock, hence nothing to wait out after ``kill -9``. A
    forked child owns none of its parent's locks.
    """

    #: Once per process.
    _by_path: ClassVar[dict[Path, KeyLocks]] = {}
    #: Of folders that were removed; to close them would drop locks that are still held.
    _retired: ClassVar[list[KeyLocks]] = []

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.with_name("locks.d")
        self._common = open_private(path, os.O_RDWR | os.O_CREAT)
        status = os.fstat(self._common)
        self.id = status.st_dev, status.st_ino
        #: By the last two digits of keys, and by number.
        self._file_of: dict[str, int] = {}
        self._files: dict[int, int] = {}
        self._opening = fork.free_lock()

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
            return _locks().take_byte(self._file(key), _place(key))
        except OSError as error:
            raise refusal(error, "lock a step", self._path) from error

    def unlock(self, key: str) -> None:
        """Give it back."""
        _locks().give_byte(self._file(key), _place(key))

    def holder(self, key: str) -> int | None:
        """The process that has the byte of ``key``; ``None`` if the system does not say."""
        return _locks().holder(self._file(key), _place(key))

    def _file(self, key: str) -> int:
        file = self._file_of.get(key[-2:])
        return self._open(key[-2:]) if file is None else file

    def _open(self, digits: str) -> int:
        """Open a file, of two threads by one.

        The common file stands in for one that cannot be made: the disk is full, or
        somebody removed the folder.
        """
        number = int(digits, 16) % _FILES
        with self._opening:
            if number not in self._files:
                try:
                    private_folder(self._folder)
                    path = self._folder / f"{number:02}"
                    file = open_private(path, os.O_RDWR | os.O_CREAT)
                except OSError:
                    file = self._common
                self._files[number] = file
            self._file_of[digits] = file = self._files[number]
            return file


def _locks() -> Locks:
    assert LOCKS is not None, "a store on disk is not opened without"
    return LOCKS


def _place(key: str) -> int:
    # 62 bits of the key: an offset must not be negative.
    return int(key[:16], 16) >> 2
