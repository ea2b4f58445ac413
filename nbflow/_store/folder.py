"""Folder: files that only their user can read, and what to do if the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._store.locking import LOCKS
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "file_id",
    "files_in",
    "is_ours",
    "lock_file",
    "open_private",
    "prepare",
    "private_folder",
    "refusal",
    "sync_file",
    "sync_folder",
    "unlock_file",
]


def files_in(folder: Path) -> Iterator[Path]:
    """Every file in ``folder`` and below it; a folder that goes meanwhile has none."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield Path(place, name)


def prepare(folder: Path) -> bool:
    """Create ``folder`` if it does not exist; returns whether it is writable.

    Raises:
        StoreError: it cannot be created, belongs to another user, or others can write
            in it.
    """
    made = False
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
            made = True
            folder.chmod(0o700)
        _check_owner(folder)
        writable = os.access(folder, os.W_OK | os.X_OK)
        # Not in a folder that has other uses, whose files may belong in git.
        if writable and (made or folder.name == ".nbflow"):
            _hide_from_git(folder / ".gitignore")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(
            f"No folder can be made at {folder} ({error.strerror}): name another one with"
            " nf.use(...) or NBFLOW_STORE."
        ) from error
    except OSError as error:
        raise refusal(error, "open the store", folder) from error
    return writable


def _hide_from_git(file: Path) -> None:
    try:
        fd = open_private(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with os.fdopen(fd, "w") as stream:
        stream.write("*\n")


def _check_owner(folder: Path) -> None:
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise StoreError(
            f"{folder} is a file: set NBFLOW_STORE to a folder, or rename the file."
        )
    if not is_ours(status):
        raise StoreError(
            f"{folder} belongs to another user: "
            "set NBFLOW_STORE to a folder of your own."
        )
    if status.st_mode & 0o022:
        raise StoreError(
            f"{folder} can be written by others: run `chmod go-w {folder}`."
        )


def is_ours(status: os.stat_result) -> bool:
    """Whether a file is this user's; anybody's is root's. Windows has no numbers for users."""
    user = getattr(os, "geteuid", lambda: 0)()
    return user in (0, status.st_uid)


def private_folder(folder: Path) -> None:
    """Create ``folder`` unless it exists, 0700 whatever the umask."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)


#: Bytes as they are, for this process, and not through a link; as far as a system knows.
_PLAIN = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_private(path: str | Path, flags: int) -> int:
    """A file descriptor.

    A file that is created is 0600 whatever the umask. Symbolic links are not followed.
    """
    fd = os.open(path, flags | _PLAIN, 0o600)
    if flags & os.O_CREAT and hasattr(os, "fchmod"):
        try:
            os.fchmod(fd, 0o600)
        except BaseException:
            os.close(fd)
            raise
    return fd


def file_id(path: str | Path) -> tuple[int, int] | None:
    """What tells a file from another that took its name; ``None`` if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # on the path of every miss
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def sync_file(fd: int) -> None:
    """Make what is in a file survive a power failure.

    On macOS fsync leaves it in the drive's own memory, and there is no fdatasync.
    """
    with contextlib.suppress(ImportError, OSError):  # not this system, or disk
        import fcntl

        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    getattr(os, "fdatasync", os.fsync)(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power failure."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows opens no folders
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(fd)
    finally:
        os.close(fd)


def lock_file(fd: int, *, alone: bool = True) -> bool:
    """Lock an open file without waiting; returns whether it worked."""
    if LOCKS is None:
        raise OSError(errno.ENOLCK, "this system has no locks for files")
    return LOCKS.take(fd, alone=alone)


def unlock_file(fd: int) -> None:
    """Give it back."""
    if LOCKS is not None:
        LOCKS.give(fd)


_FULL = (
    "The disk or your quota is full: free some space and run again; "
    "what was saved before is intact."
)
_NO_INODES = (
    "The disk has space, but no place for more files (`df -i {where}`): remove files "
    "that are not needed and run again; what was saved before is intact."
)
_READ_ONLY = (
    "It is not writable: change its permissions, or set NBFLOW_STORE to a folder "
    "that can."
)
_LOCKED = (
    "Another process holds it: one that is busy gives it back, so run again; one that "
    "is stopped or hangs (`fuser -v {where}/*` names them) has to go on or to end."
)
_FAILED = (
    "The disk failed or reached a limit: fix that and run again; "
    "what was saved before is intact."
)
_BUSY = "Run again; if that does not help, restart the kernel."
_NO_MEMORY = (
    "There is not enough memory for it: delete what is not needed, or run it on a "
    "machine with more."
)
_MANY_FILES = "Too many files are open: raise `ulimit -n`."

_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ETIMEDOUT: _LOCKED,
    errno.EIO: _FAILED,
    errno.EMFILE: _MANY_FILES,
    errno.ENOMEM: _NO_MEMORY,
}


def _by_sqlite(error: Exception) -> str:
    import sqlite3  # a process without any of its errors need not load it

    remedies = {
        sqlite3.SQLITE_FULL: _FULL,
        sqlite3.SQLITE_READONLY: _READ_ONLY,
        sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_IOERR: _FAILED,
    }
    # The low byte is the kind of error, the rest says more about it.
    return remedies.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _BUSY)


def _what_is_full(where: Path) -> str | None:
    """The remedy if the disk is full: SQLite says that it fails, or cannot be opened."""
    while not where.exists() and where != where.parent:
        where = where.parent
    try:
        disk = os.statvfs(where)
    except (AttributeError, OSError):
        return None
    if not disk.f_bavail:
        return _FULL
    # Some file systems have no fixed number of files, and say 0 of 0.
    return _NO_INODES if disk.f_files and not disk.f_favail else None


def refusal(error: Exception, doing: str, where: Path) -> StoreError:
    """The ``StoreError`` for what the system refused: what, where, and what to do."""
    if isinstance(error, OSError):
        remedy = _BY_ERRNO.get(error.errno or 0, _BUSY)
        said = error.strerror or str(error)
    else:
        remedy = _by_sqlite(error)
        said = str(error)
    # SQLite cannot open what it has no place for.
    is_guess = remedy is _READ_ONLY and not isinstance(error, OSError)
    if is_guess or remedy in (_FULL, _FAILED):
        remedy = _what_is_full(where) or remedy
    return StoreError(
        f"Cannot {doing} in {where}: {said}. {remedy.format(where=where)}"
    )
