"""Table: the diskcache folder that rows and value files are kept in, and what its rows stand for.

This is the only import of diskcache. It gives the schema, the settings and the naming
of value files; reading and writing in bulk are statements of our own on its table,
because one ``Cache.set`` costs 40-60 us, ten times an entry's share of a bulk
statement, and one ``Cache.get`` 11.

Reading never goes through ``Cache`` at all: its constructor writes, which a read-only
store refuses, and its stock ``Disk`` unpickles what it reads (CVE-2025-69872). Whatever
a row says, what is returned has proved itself by its MAC.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import threading
from typing import TYPE_CHECKING, Any

import diskcache

from nbflow._store.disk.salvage import DATABASE, VALUE_FILE, Row
from nbflow._store.folder import file_id, open_private
from nbflow._store.seal import HEAD, OVERHEAD, SMALL, Seal, stamp_of
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["ONE", "Bytes", "DamageError", "Parts", "Table", "is_damage", "open_row"]

_SETTINGS = {
    # The defaults evict silently at 1 GiB and count every look-up.
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_mmap_size": 0,  # a truncated file that is mapped kills the process (SIGBUS)
    "disk_min_file_size": SMALL,
}
_BINARY = 2  # diskcache's mode for bytes in a file; 1 is bytes in the row

ONE = "SELECT rowid, filename, value FROM Cache WHERE key = ? AND raw = 1"
_INSERT = (
    "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, filename, value)"
    " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT(key, raw) DO NOTHING"
)
_UPDATE = "UPDATE Cache SET store_time = ?, access_time = ?, size = ?, mode = ?, filename = ?, value = ? WHERE rowid = ?"

Parts = tuple[bytes, bytes, bytes]  # head, data, MAC


class Bytes(diskcache.Disk):  # type: ignore[misc]  # it has no types
    """Text keys and bytes, nothing else in either direction: whoever opens the folder with it runs no pickle."""

    def put(self, key: Any) -> tuple[Any, bool]:
        if type(key) is not str:
            raise TypeError("keys are text")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if type(key) is not str or not raw:
            raise StoreError(
                "A key in the store is not text: it was not written by nbflow."
            )
        return key

    def store(self, value: Any, read: bool, key: Any = diskcache.core.UNKNOWN) -> Any:  # noqa: FBT001 - diskcache's
        if type(value) is not bytes or read:
            raise TypeError("values are bytes")
        return super().store(value, read, key=key)

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> Any:  # noqa: FBT001 - diskcache's
        if mode == 1 and type(value) is bytes:
            return value
        if mode == _BINARY and type(filename) is str and VALUE_FILE.fullmatch(filename):
            return super().fetch(mode, filename, None, read)
        raise StoreError(
            "A value in the store is not plain bytes: it was not written by nbflow, and is not read."
        )


class Table(diskcache.Cache):  # type: ignore[misc]  # it has no types
    """The writing side: diskcache's table over one connection, which threads take in turn.

    diskcache opens a connection per thread, of which nobody closes those of finished
    threads; a batch has hundreds.
    """

    def __init__(
        self, folder: Path, seal: Seal, *, power: bool, timeout: float
    ) -> None:
        self.file = folder / DATABASE
        self.folder = folder
        self._seal = seal
        self._synchronous = (
            2 if power else 1
        )  # FULL: fsync per commit; NORMAL: only against kill -9
        self._only: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        # 0600; the log beside it follows. Never opened if it is there: POSIX drops the
        # locks a process has on a file when it closes any descriptor of it, and SQLite,
        # which relies on them, would lose transactions.
        with contextlib.suppress(FileExistsError):
            os.close(open_private(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        self._patience = timeout  # diskcache's own is none while it opens, and a database may just be recovering
        self._probe()
        super().__init__(
            str(folder),
            timeout=timeout,
            disk=Bytes,
            sqlite_synchronous=self._synchronous,
            **_SETTINGS,
        )
        self.id = file_id(self.file)

    def _probe(self) -> None:
        """Wait for the database here: diskcache's constructor spins for a minute and does not say why."""
        self._con.execute("BEGIN IMMEDIATE")
        self._con.execute("ROLLBACK")

    @property
    def _con(self) -> sqlite3.Connection:
        if self._only is None:
            self._only = con = sqlite3.connect(
                self.file,
                timeout=self._patience,
                isolation_level=None,
                check_same_thread=False,
            )
            con.execute(f"PRAGMA synchronous = {self._synchronous}")
            con.execute("PRAGMA cache_size = -32000")  # KiB: keys come in random order
            con.execute(
                "PRAGMA wal_autocheckpoint = 4000"
            )  # pages: the index's are written again and again
            con.execute("PRAGMA mmap_size = 0")
        return self._only

    def close(self) -> None:
        """Close the connection; the last of all processes empties the write-ahead log."""
        with self._turn:
            self._drop()

    def _drop(self) -> None:
        con, self._only = self._only, None
        if con is not None:
            con.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Not ``Cache.transact``: with ``retry`` it spins for ever on a full disk, without it hides the reason."""
        with self._turn:
            con = self._con
            try:
                con.execute("BEGIN IMMEDIATE")
                yield con
                con.execute("COMMIT")
            except BaseException:
                try:
                    con.rollback()
                except sqlite3.Error:
                    self._drop()  # or every later transaction would begin inside this one
                raise

    def place(self, rows: Sequence[Row]) -> list[str]:
        """Write rows; where a key is there already, the newer entry stays. The files that are not needed any more."""
        if not rows:
            return []
        with self._transaction() as con:
            new = con.executemany(
                _INSERT, [(row.key, *_columns(row)) for row in rows]
            ).rowcount
            return (
                []
                if new == len(rows)
                else [name for row in rows if (name := self._settle(con, row))]
            )

    def _settle(self, con: sqlite3.Connection, row: Row) -> str | None:
        """Decide between ``row`` and what its key has; the name of the file that is not needed any more."""
        found = con.execute(ONE, (row.key,)).fetchone()
        if found is None:
            raise DamageError("its index does not belong to its rows")
        rowid, filename, value = found
        if (filename, value) == (row.filename, row.value):
            return None
        if (
            _verified_stamp(self._seal, self.folder, row.key, filename, value)
            > row.stamp
        ):
            return row.filename
        con.execute(_UPDATE, (*_columns(row), rowid))
        return str(filename) if filename is not None else None

    def forget(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Delete rows; says which keys there were, with their files."""
        gone: dict[str, str | None] = {}
        with self._transaction() as con:
            for key in keys:
                found = con.execute(ONE, (key,)).fetchone()
                if found is not None:
                    con.execute("DELETE FROM Cache WHERE rowid = ?", (found[0],))
                    gone[key] = found[1]
        return gone

    def files(self) -> set[str]:
        """The names of all value files that rows speak of."""
        with self._turn:
            rows = self._con.execute(
                "SELECT filename FROM Cache WHERE filename IS NOT NULL"
            )
            return {name for (name,) in rows}


def read_file(folder: Path, filename: str) -> Parts | None:
    """A large entry, in three pieces; ``None`` if there is nothing of the kind under that name."""
    if type(filename) is not str or not VALUE_FILE.fullmatch(filename):
        return None
    try:
        with os.fdopen(_open_value(folder / filename), "rb") as file:
            length = os.fstat(file.fileno()).st_size - OVERHEAD
            return (
                (file.read(HEAD.size), file.read(length), file.read())
                if length >= 0
                else None
            )
    except OSError as error:
        if error.errno in _DAMAGED:
            return None
        raise  # too many open files, no right to read: that is no damage


def _open_value(path: Path) -> int:
    fd = open_private(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EISDIR, "not a file", str(path))


_DAMAGED = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENXIO,
    errno.EIO,
)


def open_row(
    seal: Seal, folder: Path, key: str, filename: str | None, value: bytes | None
) -> bytes | None:
    """The data a row stands for, if it verifies."""
    if filename is None:
        return seal.unseal(key, value) if type(value) is bytes else None
    parts = read_file(folder, filename)
    return None if parts is None else seal.unseal_parts(key, parts)


def _verified_stamp(
    seal: Seal, folder: Path, key: str, filename: str | None, value: bytes | None
) -> int:
    """The stamp of what a row stands for; -1 if that is damaged, so that it does not keep out a good entry."""
    if filename is None:
        return (
            stamp_of(value)
            if type(value) is bytes and seal.unseal(key, value) is not None
            else -1
        )
    parts = read_file(folder, filename)
    return (
        stamp_of(parts[0])
        if parts and seal.unseal_parts(key, parts) is not None
        else -1
    )


def _columns(row: Row) -> tuple[float, float, int, int, str | None, bytes | None]:
    seconds = row.stamp / 1e9
    return (
        seconds,
        seconds,
        row.size,
        1 if row.filename is None else _BINARY,
        row.filename,
        row.value,
    )


class DamageError(sqlite3.DatabaseError):
    """Damage that SQLite has no error for."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database itself is broken; a lock, a full disk or a missing right is not that."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    broken = code & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_MISMATCH,
    )
    # A table cut to nothing is a valid, empty database; text that is none comes without
    # a code.
    return (
        broken
        or isinstance(error, DamageError)
        or code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR_SHORT_READ)
    )
