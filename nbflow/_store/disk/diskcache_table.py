"""DiskcacheTable: the diskcache folder that holds rows and value files.

This is the only import of diskcache. It gives the schema, the settings and the names of
value files; reading and writing in bulk are our own statements on its table, because
one ``Cache.set`` takes 40-60 us, ten times an entry's share of a bulk statement, and
one ``Cache.get`` 11.

Reading never goes through ``Cache``: its constructor writes, which a read-only store
refuses, and its stock ``Disk`` unpickles what it reads (CVE-2025-69872). Whatever a row
says, its data is returned only if its MAC verifies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import diskcache

from nbflow._store.disk.key_filter import KeyFilter
from nbflow._store.disk.salvage import DATABASE, VALUE_FILE, ShelfRow
from nbflow._store.disk.value_file import open_value, read_value
from nbflow._store.folder import file_id, open_private
from nbflow._store.seal import HEAD, SMALL, Seal, stamp_of
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nbflow._store.disk.guard import Patience
    from nbflow._store.disk.value_file import Parts

__all__ = [
    "ONE",
    "BytesDisk",
    "DamageError",
    "DiskcacheTable",
    "is_damage",
    "open_row",
    "stamp_at",
]

_SETTINGS = {
    # The defaults evict silently at 1 GiB and count every look-up.
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_mmap_size": 0,  # a truncated file that is mapped kills the process (SIGBUS)
    "sqlite_auto_vacuum": 2,  # incremental: the default, in each commit, delays writers
    "disk_min_file_size": SMALL,
}
#: diskcache's modes for bytes in the row and for bytes in a file.
_RAW, _BINARY = 1, 2

ONE = "SELECT rowid, filename, value FROM Cache WHERE key = ? AND raw = 1"
_INSERT = (
    "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, filename, value)"
    " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT(key, raw) DO NOTHING"
)
#: The same for a small entry, as `_columns` has it.
_INSERT_SMALL = (
    "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, value)"
    " VALUES (?, 1, 0, 0, 0, 1, ?) ON CONFLICT(key, raw) DO NOTHING"
)
_UPDATE = (
    "UPDATE Cache SET store_time = ?, access_time = ?, size = ?, mode = ?,"
    " filename = ?, value = ? WHERE rowid = ?"
)

#: An index of diskcache's, which has no rows here: nothing expires.
_NO_EXPIRY = (
    "CREATE INDEX Cache_expire_time ON Cache(expire_time) WHERE expire_time IS NOT NULL"
)
_KEYS = "SELECT key FROM Cache WHERE raw = 1"
_COUNT = "SELECT value FROM Settings WHERE key = 'count'"

_EACH_COMMIT = 2
#: Pages that are given back in one transaction: a few milliseconds.
_STEP = 1_000
#: The share of a database without incremental vacuum that has to be empty before it is
#: written anew.
_LOOSE = 4
#: How often, and after how many seconds, the write-ahead log is tried to be emptied.
_TRIES, _PAUSE = 50, 0.1


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # it has no types
    """Text keys and bytes, and nothing else in either direction.

    Whoever opens the folder with it runs no pickle.
    """

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError("keys are text")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if type(key) is not str or not raw:
            raise StoreError("A key in the store is not text: nbflow did not write it.")
        return key

    def store(
        self,
        value: object,
        read: bool,  # noqa: FBT001  # diskcache's signature
        key: object = diskcache.core.UNKNOWN,
    ) -> object:
        if type(value) is not bytes or read:
            raise TypeError("values are bytes")
        return super().store(value, read, key=key)

    def fetch(
        self,
        mode: object,
        filename: object,
        value: object,
        read: bool,  # noqa: FBT001  # diskcache's signature
    ) -> object:
        if mode == _RAW and type(value) is bytes:
            return value
        if mode == _BINARY and type(filename) is str and VALUE_FILE.fullmatch(filename):
            return super().fetch(mode, filename, None, read)
        raise StoreError(
            "A value in the store is not plain bytes: nbflow did not write it, "
            "and does not read it."
        )


class DiskcacheTable(diskcache.Cache):  # type: ignore[misc]  # it has no types
    """The writing side: diskcache's table over one connection, which threads share.

    diskcache opens a connection per thread, and nobody closes those of finished
    threads; a batch has hundreds.
    """

    def __init__(
        self, folder: Path, seal: Seal, *, power: bool, patience: Patience
    ) -> None:
        self.file = folder / DATABASE
        self.folder = folder
        self._seal = seal
        # FULL syncs each commit; NORMAL only protects against kill -9.
        self._synchronous = _EACH_COMMIT if power else 1
        self._only: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        #: The keys of all rows, and the state of the database as of which they are
        #: that; as long as the connection lives, which tells whether others write.
        self.known: KeyFilter | None = None
        self._version = 0
        # 0600; the log beside it follows. Never opened if it exists: POSIX drops the
        # locks that a process has on a file when it closes any descriptor of it, and
        # SQLite, which relies on them, would lose transactions.
        with contextlib.suppress(FileExistsError):
            os.close(open_private(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        self._patience = patience
        if self._is_complete():
            self._disk = BytesDisk(str(folder), min_file_size=SMALL)
        else:
            # diskcache does not wait at all while it opens, and spins for a minute.
            # The mode of vacuum is chosen with the first page, and never again.
            self._con.execute("PRAGMA auto_vacuum = 2")
            self._begin(self._con)
            self._con.execute("ROLLBACK")
            super().__init__(
                str(folder),
                timeout=patience.seconds,
                disk=BytesDisk,
                sqlite_synchronous=self._synchronous,
                **_SETTINGS,
            )
            self._con.execute("DROP INDEX IF EXISTS Cache_expire_time")
            self._con.execute(_NO_EXPIRY)
        self.id = file_id(self.file)

    def _is_complete(self) -> bool:
        """Whether nothing is left to do for diskcache's constructor.

        It writes forty settings, each in a transaction of its own: among busy writers
        that is forty waits.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            found = dict(self._con.execute("SELECT key, value FROM Settings"))
            return found.keys() >= diskcache.core.DEFAULT_SETTINGS.keys() and all(
                found.get(name) == value for name, value in _SETTINGS.items()
            )
        return False

    def _begin(self, con: sqlite3.Connection) -> None:
        con.execute(f"PRAGMA busy_timeout = {int(1000 * self._patience.seconds)}")
        try:
            con.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            self._patience.learn(granted=not is_busy)
            raise
        self._patience.learn(granted=True)

    @property
    def _con(self) -> sqlite3.Connection:
        if self._only is None:
            self._only = con = sqlite3.connect(
                self.file,
                timeout=self._patience.seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            con.execute(f"PRAGMA synchronous = {self._synchronous}")
            # As `folder.sync_file` does on macOS; elsewhere it says nothing.
            con.execute(f"PRAGMA fullfsync = {self._synchronous == _EACH_COMMIT:d}")
            # In KiB: keys come in random order.
            con.execute("PRAGMA cache_size = -32000")
            # In pages: those of the index are written again and again.
            con.execute("PRAGMA wal_autocheckpoint = 4000")
            con.execute("PRAGMA mmap_size = 0")
        return self._only

    def rest(self, seconds: float) -> bool:
        """Close the connection and have nobody open it again, until `wake`; whether it worked."""
        if not self._turn.acquire(timeout=seconds):
            return False
        self._drop()
        return True

    def wake(self) -> None:
        """The next one to write opens a connection again."""
        self._turn.release()

    def close(self) -> None:
        """Close the connection; the last of all processes empties the write-ahead log."""
        with self._turn:
            self._drop()

    def _drop(self) -> None:
        con, self._only, self.known = self._only, None, None
        if con is not None:
            con.close()

    # --- the keys of all rows, known in memory

    def learn(self) -> None:
        """Read the keys of all rows, unless another process writes meanwhile."""
        with self._turn:
            con = self._con
            self._version = _pragma(con, "data_version")
            keys = (key for (key,) in con.execute(_KEYS))
            known = KeyFilter(keys, self._count(con))
            if self._version == _pragma(con, "data_version"):
                self.known = known

    def knows(self) -> bool:
        """Whether `known` still has the keys of all rows: only we have written since."""
        if self.known is None:  # before waiting for who writes
            return False
        with self._turn:
            # Not if it was closed meanwhile: to ask would open it again.
            if self.known is None:
                return False
            if self._version != _pragma(self._con, "data_version"):
                self.known = None
            return self.known is not None

    @property
    def rows(self) -> int:
        """The number of rows, as diskcache's triggers count them."""
        with self._turn:
            return self._count(self._con)

    @staticmethod
    def _count(con: sqlite3.Connection) -> int:
        found = con.execute(_COUNT).fetchall()
        return next((count for (count,) in found if type(count) is int), 0)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that begins at once and fails with SQLite's reason.

        ``Cache.transact`` spins forever on a full disk with ``retry``, and hides the
        reason without it.
        """
        with self._turn:
            con = self._con
            try:
                self._begin(con)
                yield con
                con.execute("COMMIT")
            except BaseException:
                try:
                    con.rollback()
                except sqlite3.Error:
                    self._drop()  # or every later transaction begins inside this one
                raise

    def place(self, rows: Sequence[ShelfRow]) -> list[str]:
        """Write rows; if a key has one already, the newer entry stays.

        Returns the value files that are no longer needed.
        """
        values = [(row.key, *_columns(row)) for row in rows]
        return self._place(_INSERT, values, lambda: rows)

    def place_small(self, entries: Sequence[tuple[str, bytes]]) -> list[str]:
        """The same for sealed entries that each fit into a row, in bulk."""
        return self._place(
            _INSERT_SMALL,
            entries,
            lambda: [
                ShelfRow(key, stamp_of(blob), 0, None, blob) for key, blob in entries
            ],
        )

    def _place(
        self,
        insert: str,
        values: Sequence[tuple[Any, ...]],
        rows: Callable[[], Sequence[ShelfRow]],
    ) -> list[str]:
        if not values:
            return []
        with self._transaction() as con:
            if self.known is not None:
                # Before anybody can miss them elsewhere.
                self.known.add([key for key, *_ in values])
            new = con.executemany(insert, values).rowcount
            if new == len(values):
                return []
            names = [self._settle(con, row) for row in rows()]
            return [name for name in names if name]

    def _settle(self, con: sqlite3.Connection, row: ShelfRow) -> str | None:
        """Decide between ``row`` and what its key has.

        Returns the value file that is no longer needed.
        """
        found = con.execute(ONE, (row.key,)).fetchone()
        if found is None:
            raise DamageError("its index does not belong to its rows")
        rowid, filename, value = found
        if filename == row.filename and value == row.value:
            return None
        stamp = _verified_stamp(self._seal, self.folder, row.key, filename, value)
        if stamp > row.stamp:
            return row.filename
        con.execute(_UPDATE, (*_columns(row), rowid))
        return str(filename) if filename is not None else None

    def forget(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Delete rows; returns the keys that there were, with their files."""
        gone: dict[str, str | None] = {}
        with self._transaction() as con:
            for key in keys:
                found = con.execute(ONE, (key,)).fetchone()
                if found is not None:
                    rowid, filename, _ = found
                    con.execute("DELETE FROM Cache WHERE rowid = ?", (rowid,))
                    gone[key] = filename
        return gone

    def give_back(self) -> None:
        """Give the pages of deleted rows back to the disk, a few at a time, beside other writers."""
        while self._give_back_some():
            pass
        with self._turn:
            # What another process still reads or writes stays; the next one tries again.
            self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _give_back_some(self) -> bool:
        """Give back some pages; returns whether there may be more."""
        with self._turn:
            con = self._con
            free = _pragma(con, "freelist_count")
            if _pragma(con, "auto_vacuum"):
                con.execute(f"PRAGMA incremental_vacuum({_STEP})").fetchall()
                return _pragma(con, "freelist_count") < free
            if _LOOSE * free > _pragma(con, "page_count"):
                self._write_anew(con)
            return False

    @staticmethod
    def _write_anew(con: sqlite3.Connection) -> None:
        """Write the database anew, in a mode in which its pages can be given back."""
        con.execute("PRAGMA auto_vacuum = 2")
        con.execute("VACUUM")

    def scrub(self) -> None:
        """Write the database anew, so that nothing of deleted rows is left in its pages."""
        with self._turn:
            self._write_anew(self._con)
            for _ in range(_TRIES):
                ((is_busy, *_),) = self._con.execute(
                    "PRAGMA wal_checkpoint(TRUNCATE)"
                ).fetchall()
                if not is_busy:
                    return
                time.sleep(_PAUSE)
        what = "another process reads the write-ahead log"
        raise TimeoutError(errno.ETIMEDOUT, what, str(self.file))

    def files(self) -> set[str]:
        """The names of all value files that rows refer to."""
        with self._turn:
            rows = self._con.execute(
                "SELECT filename FROM Cache WHERE filename IS NOT NULL"
            )
            return {name for (name,) in rows}


def _pragma(con: sqlite3.Connection, name: str) -> int:
    ((value,),) = con.execute(f"PRAGMA {name}").fetchall()
    return int(value)


def read_file(
    folder: Path, filename: str, read: Callable[[int], Parts | None] = read_value
) -> Parts | None:
    """A large entry, in three pieces; ``None`` if no such entry has that name."""
    if type(filename) is not str or not VALUE_FILE.fullmatch(filename):
        return None
    try:
        fd = open_value(folder / filename)
        try:
            return read(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _DAMAGED:
            return None
        raise  # too many open files, no right to read: that is not damage


def stamp_at(folder: Path, filename: str | None, value: bytes | None) -> int:
    """The stamp in a row's entry, whether that verifies or not; 0 if it has none.

    Only the head of a file is read: it may be gigabytes.
    """
    if filename is None:
        return stamp_of(value) if type(value) is bytes else 0
    if not VALUE_FILE.fullmatch(filename):
        return 0
    try:
        with os.fdopen(open_value(folder / filename), "rb", buffering=0) as file:
            return stamp_of(file.read(HEAD.size))
    except OSError as error:
        if error.errno in _DAMAGED:
            return 0
        raise


_DAMAGED = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENXIO,
    errno.EIO,
)


def open_row(
    seal: Seal,
    folder: Path,
    key: str,
    filename: str | None,
    value: bytes | None,
    read: Callable[[int], Parts | None] = read_value,
) -> bytes | memoryview | None:
    """The data of a row, if it verifies; a large one as ``read`` gives it."""
    if filename is None:
        return seal.unseal(key, value) if type(value) is bytes else None
    parts = read_file(folder, filename, read)
    return None if parts is None else seal.unseal_parts(key, parts)


def _verified_stamp(
    seal: Seal, folder: Path, key: str, filename: str | None, value: bytes | None
) -> int:
    """The stamp of a row's entry; -1 if it is damaged, so that it loses to any other."""
    if filename is None:
        if type(value) is bytes and seal.unseal(key, value) is not None:
            return stamp_of(value)
        return -1
    parts = read_file(folder, filename)
    if parts is None or seal.unseal_parts(key, parts) is None:
        return -1
    head, _, _ = parts
    return stamp_of(head)


def _columns(row: ShelfRow) -> tuple[int, int, int, int, str | None, bytes | None]:
    # No times, of which diskcache has no use without eviction: zeros take no bytes.
    mode = _RAW if row.filename is None else _BINARY
    return 0, 0, row.size, mode, row.filename, row.value


class DamageError(sqlite3.DatabaseError):
    """Damage that SQLite has no error for."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database itself is broken, rather than locked, full or read-only."""
    if isinstance(error, DamageError):
        return True
    # Text that is not UTF-8 comes without a code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code & 0xFF in _CORRUPT:
        return True
    # A database cut to nothing is valid and empty: its table is missing.
    return code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_IOERR_SHORT_READ}


_CORRUPT = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_MISMATCH,
    }
)
