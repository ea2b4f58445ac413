"""Shelf: the checkpoints' lasting place, a diskcache folder: a SQLite table, and a file for each large entry.

This is the only import of diskcache, and this module is imported when a store is first opened. diskcache gives the
schema, the settings and the naming of value files; reading and writing in bulk are statements of our own on its
table, because one ``Cache.set`` costs 40-60 us and one ``Cache.get`` 11, ten times their share of a bulk statement.

Reading never goes through ``Cache`` at all: its constructor writes, which a read-only store refuses, and its stock
``Disk`` unpickles what it reads (CVE-2025-69872). Whatever a row says, what is returned has proved itself by its MAC.

Every writer shares the store's guard. Deleting, sweeping and salvaging take it alone, so that nothing is under way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sqlite3
import stat
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import diskcache

from nbflow._state import salvage
from nbflow._state.folder import file_id, guard, open_private, private_folder, refusal, sync_folder
from nbflow._state.salvage import DATABASE, VALUE_FILE, Row
from nbflow._state.seal import HEAD, OVERHEAD, SMALL, Seal, stamp_of
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import FileIO
    from pathlib import Path

__all__ = ["Shelf"]

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

_ONE = "SELECT rowid, filename, value FROM Cache WHERE key = ? AND raw = 1"
_MANY = "SELECT rowid, filename, value FROM Cache WHERE raw = 1 AND key IN ({})"
_INSERT = (
    "INSERT INTO Cache(key, raw, store_time, access_time, size, mode, filename, value)"
    " VALUES (?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT(key, raw) DO NOTHING"
)
_UPDATE = "UPDATE Cache SET store_time = ?, access_time = ?, size = ?, mode = ?, filename = ?, value = ? WHERE rowid = ?"
_BULK = 500  # keys of one IN(...); fewer are padded to a few lengths, so that statements are compiled once
_LENGTHS = (8, 64, _BULK)

T = TypeVar("T")
Found = tuple[int, str | None, bytes | None]  # rowid, filename, value
Parts = tuple[bytes, bytes, bytes]  # head, data, MAC


class _Bytes(diskcache.Disk):  # type: ignore[misc]  # it has no types
    """Text keys and bytes, nothing else in either direction: whoever opens the folder with it runs no pickle."""

    def put(self, key: Any) -> tuple[Any, bool]:
        if type(key) is not str:
            raise TypeError("keys are text")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if type(key) is not str or not raw:
            raise StoreError("A key in the store is not text: it was not written by nbflow.")
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
        raise StoreError("A value in the store is not plain bytes: it was not written by nbflow, and is not read.")


class _Table(diskcache.Cache):  # type: ignore[misc]  # it has no types
    """The writing side: diskcache's table over one connection, which threads take in turn.

    diskcache opens a connection per thread, of which nobody closes those of finished threads; a batch has hundreds.
    """

    def __init__(self, folder: Path, seal: Seal, *, power: bool, timeout: float) -> None:
        self.file = folder / DATABASE
        self.folder = folder
        self._seal = seal
        self._synchronous = 2 if power else 1  # FULL: fsync per commit; NORMAL: only against kill -9
        self._only: sqlite3.Connection | None = None
        self._turn = threading.Lock()
        # 0600; the log beside it follows. Never opened if it is there: POSIX drops the locks a process has on a file
        # when it closes any descriptor of it, and SQLite, which relies on them, would lose transactions.
        with contextlib.suppress(FileExistsError):
            os.close(open_private(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        self._timeout = timeout
        self._probe()
        super().__init__(str(folder), timeout=timeout, disk=_Bytes, sqlite_synchronous=self._synchronous, **_SETTINGS)
        self.id = file_id(self.file)

    def _probe(self) -> None:
        """Wait for the database here: diskcache's constructor spins for a minute and does not say why."""
        con = self._con
        con.execute("BEGIN IMMEDIATE")
        con.execute("ROLLBACK")
        self.close()

    @property
    def _con(self) -> sqlite3.Connection:
        if self._only is None:
            self._only = con = sqlite3.connect(
                self.file, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            con.execute(f"PRAGMA synchronous = {self._synchronous}")
            con.execute("PRAGMA cache_size = -32000")  # KiB: keys come in random order
            con.execute("PRAGMA mmap_size = 0")
        return self._only

    def close(self) -> None:
        """Close the connection; the last of all processes empties the write-ahead log."""
        with self._turn:
            if self._only is not None:
                self._only.close()
                self._only = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Not ``Cache.transact``: with ``retry`` it spins for ever on a full disk, without it hides the reason."""
        with self._turn:
            con = self._con
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
                con.execute("COMMIT")
            except BaseException:
                if con.in_transaction:
                    con.execute("ROLLBACK")
                raise

    def place(self, rows: Sequence[Row]) -> list[str]:
        """Write rows; where a key is there already, the newer entry stays. The files that are not needed any more."""
        if not rows:
            return []
        with self._transaction() as con:
            new = con.executemany(_INSERT, [(row.key, *_columns(row)) for row in rows]).rowcount
            return [] if new == len(rows) else [name for row in rows if (name := self._settle(con, row))]

    def _settle(self, con: sqlite3.Connection, row: Row) -> str | None:
        """Decide between ``row`` and what its key has; the name of the file that is not needed any more."""
        rowid, filename, value = con.execute(_ONE, (row.key,)).fetchone()
        if (filename, value) == (row.filename, row.value):
            return None
        if _verified_stamp(self._seal, self.folder, row.key, filename, value) > row.stamp:
            return row.filename
        con.execute(_UPDATE, (*_columns(row), rowid))
        return str(filename) if filename is not None else None

    def forget(self, keys: Iterable[str]) -> dict[str, str | None]:
        """Delete rows; says which keys there were, with their files."""
        gone: dict[str, str | None] = {}
        with self._transaction() as con:
            for key in keys:
                found = con.execute(_ONE, (key,)).fetchone()
                if found is not None:
                    con.execute("DELETE FROM Cache WHERE rowid = ?", (found[0],))
                    gone[key] = found[1]
        return gone

    def files(self) -> set[str]:
        """The names of all value files that rows speak of."""
        with self._turn:
            rows = self._con.execute("SELECT filename FROM Cache WHERE filename IS NOT NULL")
            return {name for (name,) in rows}


class Shelf:
    """What a store asks of it, with damage found, mended and reported on the way. For all threads."""

    def __init__(
        self,
        folder: Path,
        guard_path: Path,
        seal: Seal,
        *,
        power: bool,
        timeout: float,
        writable: bool,
        report: Callable[[str, str], None],
    ) -> None:
        self._folder = folder
        self._file = folder / DATABASE
        self._file_name = str(self._file)  # a stat by name is faster than by Path
        self._wal = folder / f"{DATABASE}-wal"
        self._guard = guard_path
        self._seal = seal
        self._power = power
        self._timeout = timeout
        self._writable = writable
        self._report = report
        self.untidy = False  # something could not be removed: sweep before the end
        self._table: _Table | None = None
        self._table_turn = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._reader_id: tuple[int, int] | None = None
        self._reading = threading.Lock()

    # --- reading

    def get(self, key: str) -> bytes | None:
        """The data of ``key``, or ``None``."""
        found = self._find(key)
        if found is None:
            return None
        data = _open(self._seal, self._folder, key, *found[1:])
        if data is None:
            # Replaced since, and its file removed? Then its row is another one now.
            again = self._find(key)
            data = _open(self._seal, self._folder, key, *again[1:]) if again and again != found else None
            if data is None and again:
                self._report(f"{self._file}:{key}", "an entry does not verify, or its file is gone")
        return data

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of ``keys`` that are there, one statement for each 500."""
        self._renew()
        data: dict[str, bytes] = {}
        rest = iter(keys)
        while chunk := list(islice(rest, _BULK)):
            self._add(chunk, data)
        return data

    def _add(self, chunk: list[str], data: dict[str, bytes]) -> None:
        length = next(size for size in _LENGTHS if size >= len(chunk))
        rows = self._rows(_MANY.format(",".join("?" * length)), [*chunk, *[None] * (length - len(chunk))])
        missing = set(chunk)
        for _, filename, value in rows:
            # Whose entry it is stands in the entry itself, where the MAC vouches for it.
            key = value[20:40].hex() if filename is None and type(value) is bytes else ""
            if key in missing and (one := self._seal.unseal(key, value)) is not None:
                data[key] = one
                missing.remove(key)
        if len(rows) + len(missing) > len(chunk):  # large ones, and those that need a closer look
            data.update((key, one) for key in missing if (one := self.get(key)) is not None)

    def keys(self) -> Iterator[str]:
        """Every key, by pages, so that a slow reader holds up nobody."""
        self._renew()
        last = ""
        while rows := self._rows("SELECT key FROM Cache WHERE raw = 1 AND key > ? ORDER BY key LIMIT 1000", (last,)):
            for (key,) in rows:
                yield key
            last = rows[-1][0]

    def _find(self, key: str) -> Found | None:
        rows = self._rows(_ONE, (key,))
        if not rows and self._renew():
            rows = self._rows(_ONE, (key,))
        return rows[0] if rows else None

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """What the statement finds; a damaged database is mended and asked again."""
        for mended in (False, True):
            try:
                if self._reader is None:
                    self._connect()
                with self._reading:
                    return self._reader.execute(statement, values).fetchall() if self._reader else []
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise refusal(error, "read", self._folder) from error
                if mended or not self._writable:
                    self._report(str(self._file), f"the database is damaged ({error}): what it holds is not seen")
                    return []
                self._mend(self._reader_id, str(error))
        return []

    def _connect(self) -> None:
        """Open a connection that never writes: it neither creates a database nor empties its log on closing."""
        if not self._folder.exists():
            return
        # Not while somebody salvages. The guard before the lock, as in _mend, or two threads wait for each other.
        shared = guard(self._guard, alone=False, timeout=self._timeout) if self._writable else contextlib.nullcontext()
        with shared, self._reading:
            if self._reader is not None:
                return
            self._reader_id = file_id(self._file)
            if self._reader_id is None:
                raise _DamageError("it was deleted")
            try:
                self._reader = self._try("mode=ro")
            except sqlite3.OperationalError:
                if self._writable:
                    raise
                # A folder that cannot be written has no place for SQLite's shared memory.
                self._reader = self._try("mode=ro&immutable=1")
                if self._wal.exists() and self._wal.stat().st_size:
                    self._report(str(self._file), "the folder is read-only: the results saved last may not be seen")

    def _try(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self._file.absolute()))}?{mode}"
        con = sqlite3.connect(uri, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            con.text_factory = lambda text: text.decode(errors="replace")
            con.execute("PRAGMA mmap_size = 0")
            con.execute(_ONE, ("",)).fetchall()
        except BaseException:
            con.close()
            raise
        return con

    def _renew(self) -> bool:
        """Leave a database that salvage has replaced, ours or another process's; says whether it was."""
        if file_id(self._file_name) == self._reader_id:
            return False
        with self._reading:
            self._close_reader()
        return True

    # --- writing

    def place(self, entries: Callable[[], list[tuple[str, bytes]]]) -> None:
        """Take small sealed entries in; they are asked for when nobody can delete any of them."""

        def work(table: _Table) -> None:
            # In the order of keys: neighbours in the index are written together.
            self._remove(table.place([Row(key, stamp_of(blob), 0, None, blob) for key, blob in sorted(entries())]))

        self._write(work)

    def place_file(self, key: str, parts: Parts) -> None:
        """Write a large entry to a file of its own, and its row."""

        def work(table: _Table) -> None:
            name = str(table.disk.filename()[0])
            try:
                self._write_file(self._folder / name, parts)
                lost = table.place([Row(key, stamp_of(parts[0]), sum(map(len, parts)), name, None)])
            except BaseException:
                self._remove([name])
                raise
            self._remove(lost)

        self._write(work)

    def forget(self, keys: Sequence[str], also: Callable[[], set[str]]) -> int:
        """Delete ``keys`` here and, alone with the store, wherever ``also`` does; says how many there were."""

        def work(table: _Table) -> int:
            elsewhere = also()
            gone = table.forget(keys)
            self._remove(gone.values())
            return len(elsewhere | gone.keys())

        return self._write(work, alone=True)

    def sweep(self) -> None:
        """Remove what no row speaks of: a process died between file and row, or before a database was made."""

        def work(table: _Table) -> None:
            self.untidy = False
            named = table.files()
            self._remove(name for name, _ in salvage.value_files(self._folder) if name not in named)
            for folder in self._folder.parent.glob("fresh-*"):
                shutil.rmtree(folder, ignore_errors=True)

        self._write(work, alone=True)

    def inspect(self) -> list[Row]:
        """At opening: see to it that salvage came to its end. Returns what may have been lost, for ``recover``."""
        aside = self._folder / "salvage"
        if not self._writable or not (self._wal.exists() or aside.exists()):
            return []
        try:
            with guard(self._guard, alone=True, timeout=self._timeout):
                seen = file_id(self._file)
                if seen is not None:
                    if aside.exists():
                        salvage.settle(self._folder)
                    rows = salvage.unseen(self._file, self._seal)
                    return [] if rows is None else [*rows, *self._file_rows()]
        except OSError as error:
            raise refusal(error, "open the store", self._folder) from error
        self._mend(seen, "a salvage was interrupted")
        return []

    def recover(self, suspects: list[Row]) -> None:
        """Take in those of ``suspects`` that are nowhere else."""
        # Of a large one the row is enough: its file may have gigabytes.
        lost = [row for row in suspects if (self._find if row.filename else self.get)(row.key) is None]
        self._write(lambda table: self._remove(table.place(lost)))
        # A file without a row is as likely one whose process died before it wrote the row.
        if any(row.filename is None for row in lost):
            self._report(
                str(self._file),
                f"its write-ahead log lost transactions; {len(lost)} results were found in what is left of it, "
                "and if others are missing they are computed again",
            )

    def close(self) -> None:
        """Let go of files. The reader first: the last writer to close empties the log."""
        with self._reading:
            self._close_reader()
        with self._table_turn:
            if self._table is not None:
                self._table.close()
                self._table = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = self._reader_id = None

    def _write(self, work: Callable[[_Table], T], *, alone: bool = False) -> T:
        """Run ``work`` on the table; a damaged database is mended and asked again."""
        for mended in (False, True):
            seen = None
            try:
                with guard(self._guard, alone=alone, timeout=self._timeout):
                    seen = file_id(self._file)  # nobody replaces it while we hold the guard
                    return work(self._opened(seen))
            except sqlite3.DatabaseError as error:
                if mended or not (is_damage(error) or self._claims_to_be_read_only(error)):
                    raise refusal(error, "save results", self._folder) from error
                why = str(error)
            except FileNotFoundError:
                raise  # somebody removed the folder: the store starts over
            except OSError as error:
                raise refusal(error, "save results", self._folder) from error
            self._mend(seen, why)
        raise AssertionError("unreachable")

    def _claims_to_be_read_only(self, error: sqlite3.Error) -> bool:
        """One damaged byte in its head and a database says so."""
        code = getattr(error, "sqlite_errorcode", 0)
        return bool(code == sqlite3.SQLITE_READONLY) and os.access(self._file, os.W_OK)

    def _opened(self, seen: tuple[int, int] | None) -> _Table:
        with self._table_turn:
            if self._table is not None:
                if self._table.id == seen:
                    return self._table
                self._table.close()
                self._table = None
            if seen is None:
                if self._folder.exists():
                    raise _DamageError("it was deleted")
                self._create()
            self._table = self._load(self._folder)
            return self._table

    def _create(self) -> None:
        """Make the folder with its database in one rename: from then on a missing database is a deleted one."""
        fresh = self._folder.with_name(f"fresh-{secrets.token_hex(4)}")
        with self._fresh(fresh, ()), contextlib.suppress(FileExistsError, OSError):
            # Of two processes that make one, the second finds a folder that is not empty, and uses it.
            fresh.rename(self._folder)

    def _load(self, folder: Path) -> _Table:
        try:
            return _Table(folder, self._seal, power=self._power, timeout=self._timeout)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # diskcache takes its settings from the table, whatever they are.
            raise _DamageError(f"its settings make no sense: {error}") from error

    @contextlib.contextmanager
    def _fresh(self, folder: Path, rows: Iterable[Row]) -> Iterator[Path]:
        """A new database with ``rows``, complete before it gets its place: nobody sees one without a schema."""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            private_folder(folder)
            table = self._load(folder)
            table.folder = self._folder  # where the value files are
            source = iter(rows)
            while chunk := list(islice(source, 4 * _BULK)):
                self._remove(table.place(chunk))
            table.close()
            yield table.file
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self.untidy |= folder.exists()

    def _write_file(self, path: Path, parts: Parts) -> None:
        for _ in range(10):
            private_folder(path.parent.parent)
            # Another process may remove a folder that is empty, between our making it and our file in it.
            with contextlib.suppress(FileNotFoundError):
                private_folder(path.parent)
                fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                break
        else:
            raise FileNotFoundError(errno.ENOENT, "its folder disappears again and again", str(path))
        with os.fdopen(fd, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file, part)
            if self._power:
                os.fsync(fd)
        if self._power:
            for folder in (path.parent, path.parent.parent, self._folder):
                sync_folder(folder)

    def _remove(self, names: Iterable[str | None]) -> None:
        """Remove value files, and the folders that are empty then. What cannot be removed now is swept later."""
        for name in names:
            if name and VALUE_FILE.fullmatch(name):
                path = self._folder / name
                try:
                    path.unlink(missing_ok=True)
                except OSError:
                    self.untidy |= path.is_file()
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
                    path.parent.parent.rmdir()

    def _mend(self, seen: tuple[int, int] | None, why: str) -> None:
        """Put a fresh database in the place of the damaged one. Of several who notice, one does it."""
        try:
            with guard(self._guard, alone=True, timeout=self._timeout):
                self.close()
                if file_id(self._file) != seen:
                    return
                aside = salvage.set_aside(self._folder)
                with self._fresh(aside / "fresh", self._recovered(aside)) as file:
                    file.rename(self._file)
                kept = salvage.settle(self._folder)
        except (OSError, sqlite3.Error) as error:
            raise refusal(error, "repair the database", self._folder) from error
        self._report(
            str(self._file),
            f"the database was damaged ({why}). What could be read is in a fresh one; results that are missing are "
            f"computed again. {f'The damaged one is kept as {kept.name}' if kept else 'Nothing was left of the old one'}",
        )

    def _recovered(self, aside: Path) -> Iterator[Row]:
        for source in aside.iterdir():
            if source.is_file():
                yield from salvage.carve(source, self._seal)
        yield from self._file_rows()

    def _file_rows(self) -> list[Row]:
        return [row for _, row in salvage.value_files(self._folder) if row is not None]


def read_file(folder: Path, filename: str) -> Parts | None:
    """A large entry, in three pieces; ``None`` if there is nothing of the kind under that name."""
    if type(filename) is not str or not VALUE_FILE.fullmatch(filename):
        return None
    try:
        with os.fdopen(_open_value(folder / filename), "rb") as file:
            length = os.fstat(file.fileno()).st_size - OVERHEAD
            return (file.read(HEAD.size), file.read(length), file.read()) if length >= 0 else None
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


_DAMAGED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EIO)


def _open(seal: Seal, folder: Path, key: str, filename: str | None, value: bytes | None) -> bytes | None:
    """The data a row stands for, if it verifies."""
    if filename is None:
        return seal.unseal(key, value) if type(value) is bytes else None
    parts = read_file(folder, filename)
    return None if parts is None else seal.unseal_parts(key, parts)


def _verified_stamp(seal: Seal, folder: Path, key: str, filename: str | None, value: bytes | None) -> int:
    """The stamp of what a row stands for; -1 if that is damaged, so that it does not keep out a good entry."""
    parts = (value, b"", b"") if filename is None else read_file(folder, filename)
    intact = _open(seal, folder, key, filename, value) is not None
    return stamp_of(parts[0]) if intact and parts and parts[0] else -1


def _columns(row: Row) -> tuple[float, float, int, int, str | None, bytes | None]:
    seconds = row.stamp / 1e9
    return seconds, seconds, row.size, 1 if row.filename is None else _BINARY, row.filename, row.value


def _write_all(file: FileIO, data: bytes) -> None:
    """A raw write takes 2 GiB at most, and on a full disk what fits."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class _DamageError(sqlite3.DatabaseError):
    """Damage that SQLite has no error for."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database itself is broken; a lock, a full disk or a missing right is not that."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    broken = code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH)
    # A table cut to nothing is a valid, empty database; text that is none comes without a code.
    return broken or isinstance(error, _DamageError) or code in (sqlite3.SQLITE_ERROR, _SHORT_READ)


_SHORT_READ = 522  # SQLITE_IOERR_SHORT_READ has a name from Python 3.11 on only in some builds
