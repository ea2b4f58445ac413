"""Shelf: the lasting place of checkpoints.

It finds damage in its table and files, repairs it and reports it. Writers share the
store's guard. Deleting, sweeping and salvaging take it alone, so that nothing else is
under way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import quote

from nbflow._store.disk import salvage
from nbflow._store.disk.diskcache_table import (
    ONE,
    DamageError,
    DiskcacheTable,
    is_damage,
    open_row,
    stamp_at,
)
from nbflow._store.disk.guard import Guard, Patience
from nbflow._store.disk.key_filter import KeyFilter
from nbflow._store.disk.salvage import DATABASE, VALUE_FILE, ShelfRow
from nbflow._store.disk.value_file import read_value, view_value, write_value
from nbflow._store.folder import (
    file_id,
    private_folder,
    refusal,
)
from nbflow._store.seal import OVERHEAD, stamp_of
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nbflow._store.disk.journal import Mark
    from nbflow._store.disk.value_file import Parts
    from nbflow._store.pieces import Bytes
    from nbflow._store.seal import Seal

    #: How a value file is read: as bytes, or as memory of the caller's own.
    Read: TypeAlias = Callable[[int], Parts | None]

__all__ = ["Shelf"]

_MANY = "SELECT rowid, filename, value FROM Cache WHERE raw = 1 AND key IN ({})"
_PAGE = "SELECT key FROM Cache WHERE raw = 1 AND key > ? ORDER BY key LIMIT 1000"
#: Keys of one IN(...). Fewer are padded to a few lengths, so that statements are
#: compiled only once.
_BULK = 500
_LENGTHS = (8, 64, _BULK)
#: Fruitless look-ups after which the keys of all rows are learnt at the earliest, and
#: how many are learnt in the time of one; and look-ups in bulk in that time.
_FEW, _WORTH, _AT_ONCE = 32, 20, 8
#: Seconds to wait for others to be gone where that is not needed now.
_NO_HURRY = 0.5
#: How to read without shared memory, for which a read-only folder or a full disk has no
#: place: without locks, SQLite keeps its index of the write-ahead log to itself.
_ALONE, _NO_LOG = "mode=ro&vfs=unix-none", "mode=ro&immutable=1"
#: Such readers of folders that can be written. This VFS really closes its descriptor,
#: and POSIX would drop the locks that another connection of this process has by then.
_LEFT_OPEN: list[sqlite3.Connection] = []

T = TypeVar("T")
Found = tuple[int, str | None, bytes | None]  # rowid, filename, value
#: Rows of SQLite, whatever was selected.
Rows: TypeAlias = "list[Any]"


class Shelf:
    """The entries of one store; repairs and reports damage. For all threads."""

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
        self._guard = Guard(guard_path, timeout)
        self._patience = Patience(timeout)
        self._seal = seal
        self._power = power
        self._timeout = timeout
        self._writable = writable
        self._report = report
        #: Something could not be removed: sweep before the end.
        self.untidy = False
        #: Nobody has looked yet for what an earlier process may have left.
        self._inspected = False
        self._table: DiskcacheTable | None = None
        #: The keys of a table that is not there yet.
        self._none: KeyFilter | None = None
        #: As of when what is known of the keys was held against the database.
        self._mark: Mark | None = None
        #: Look-ups that found nothing, and the number of them at which to learn the keys.
        self._fruitless, self._enough = 0, _FEW
        #: Who has connections of his own, beside table and reader, holds it meanwhile.
        self._table_turn = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._reader_id: tuple[int, int] | None = None
        #: Of a reader that shares no memory with writers: what it has seen.
        self._marks_seen: list[tuple[int, int]] | None = None
        self._reading = threading.Lock()
        self._resting = contextlib.ExitStack()

    # --- reading

    def known(self, mark: Mark | None) -> KeyFilter | None:
        """The keys of all entries as of now; ``None`` if they are not known.

        Args:
            mark: what stays the same as long as no other process writes; ``None``: one may.
        """
        table = self._table
        known = self._none if table is None else table.known
        if known is None:
            is_there = table is not None or self._reader is not None
            if is_there and self._fruitless < self._enough:
                return None  # nor is it worth its while to learn them
        elif mark is not None and mark == self._mark:
            return known
        return self._verified(mark)

    def _verified(self, mark: Mark | None) -> KeyFilter | None:
        if not self._writable:
            return None
        try:
            if self._table is None and self._is_missing(mark):
                return self._none
            if self._table is None or not self._table.knows():
                self._learn()
        except (sqlite3.Error, OSError):
            return None  # whoever reads says what is wrong
        with self._table_turn:
            table = self._table
            if table is None or table.id != file_id(self._file_name):
                return None
            self._mark = mark
            return table.known

    def _is_missing(self, mark: Mark | None) -> bool:
        """Whether nobody has put anything here yet."""
        with self._table_turn:
            if self._table is not None or self._folder.exists():
                return False
            self._none, self._mark = self._none or KeyFilter(), mark
            return True

    def _learn(self) -> None:
        """Learn the keys once fruitless look-ups have taken as long as that does."""
        if self._fruitless < self._enough:
            return
        with self._guard.shared():
            table = self._opened()
        self._enough = max(_FEW, table.rows // _WORTH)
        if self._fruitless >= self._enough:
            self._fruitless = 0
            table.learn()

    def get(self, key: str) -> bytes | None:
        """The data of ``key``, or ``None``."""
        data = self._get(key, read_value)
        return None if data is None else bytes(data)  # they are bytes

    def get_buffer(self, key: str) -> bytes | memoryview | None:
        """The same; large data is the caller's to write to, without a copy if possible."""
        return self._get(key, view_value)

    def _get(self, key: str, read: Read) -> bytes | memoryview | None:
        found = self._find(key)
        if found is None:
            self._fruitless += 1
            return None
        _, filename, value = found
        data = open_row(self._seal, self._folder, key, filename, value, read)
        return self._get_again(key, found, read) if data is None else data

    def _get_again(
        self, key: str, before: Found, read: Read
    ) -> bytes | memoryview | None:
        """Look again for an entry that did not verify, and report it if that stays so.

        If it was replaced meanwhile, and its file removed, its row is another one now.
        """
        found = self._find(key)
        if found is None:
            return None
        data = None
        if found != before:
            _, filename, value = found
            data = open_row(self._seal, self._folder, key, filename, value, read)
        if data is None:
            what = "an entry does not verify, or its file is gone"
            self._report(f"{self._file}:{key}", what)
        return data

    def stamp(self, key: str) -> int:
        """The stamp of the entry of ``key``; 0 if there is none."""
        found = self._find(key)
        if found is None:
            return 0
        _, filename, value = found
        return stamp_at(self._folder, filename, value)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The data of those ``keys`` that are there, one statement for each 500."""
        self._renew()
        data: dict[str, bytes] = {}
        rest = iter(keys)
        while chunk := list(islice(rest, _BULK)):
            self._add(chunk, data)
        self._fruitless += (len(keys) - len(data)) // _AT_ONCE
        return data

    def _add(self, chunk: list[str], data: dict[str, bytes]) -> None:
        """Add to ``data`` what is there of ``chunk``."""
        length = next(size for size in _LENGTHS if size >= len(chunk))
        padding = [None] * (length - len(chunk))
        statement = _MANY.format(",".join("?" * length))
        rows = self._rows(statement, [*chunk, *padding])
        wanted = set(chunk)
        missing = set(chunk)
        for _, filename, value in rows:
            if filename is not None or type(value) is not bytes:
                continue
            # The key is in the entry itself, where the MAC covers it.
            key = value[20:40].hex()
            if key in missing and (one := self._seal.unseal(key, value)) is not None:
                data[key] = one
                missing.remove(key)
        if len(rows) + len(missing) > len(wanted):
            # Large entries, and those that need a closer look.
            for key in missing:
                found = self.get(key)
                if found is not None:
                    data[key] = found

    def verifies(self, key: str) -> bool:
        """Whether the entry of ``key`` is intact, or is gone by now."""
        for _ in range(2):  # it may be replaced while it is read
            found = self._find(key)
            if found is None:
                return True
            _, filename, value = found
            if open_row(self._seal, self._folder, key, filename, value) is not None:
                return True
        return False

    def integrity(self) -> str:
        """What SQLite says of the database; nothing if it is sound, or is not there yet."""
        if not self._folder.exists():
            return ""
        rows = self._rows("PRAGMA quick_check(5)", ())
        said = "; ".join(str(row[0]) for row in rows)
        return "" if said == "ok" else said or "it cannot be read"

    def leftovers(self) -> tuple[list[str], list[str]]:
        """Value files that no row names, and damaged databases that were kept."""
        if not self._folder.exists():
            return [], []

        def work(table: DiskcacheTable) -> list[str]:
            named = table.files()
            return [
                name for name in salvage.value_names(self._folder) if name not in named
            ]

        copies = [path.name for path in self._folder.glob(f"{DATABASE}.damaged-*")]
        if not self._writable:
            return [], copies
        return self._write(work, alone=True), sorted(copies)

    def drop_copies(self) -> None:
        """Remove the damaged databases that repairs kept."""
        for path in self._folder.glob(f"{DATABASE}.damaged-*"):
            path.unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """Every key, by pages, so that a slow reader does not hold up others."""
        self._renew()
        last = ""
        while rows := self._rows(_PAGE, (last,)):
            for (key,) in rows:
                yield key
            (last,) = rows[-1]

    def _find(self, key: str) -> Found | None:
        if self._marks_seen is not None:
            self._renew()
        rows = self._rows(ONE, (key,))
        if not rows and self._renew():
            rows = self._rows(ONE, (key,))
        return rows[0] if rows else None

    def _rows(self, statement: str, values: Sequence[str | None]) -> Rows:
        """What the statement finds; a damaged database is repaired and asked again."""
        for repaired in (False, True):
            try:
                return self._ask(statement, values)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise refusal(error, "read", self._folder) from error
                is_sound = self._writable and self._marks_seen is None
                if repaired or not is_sound:
                    what = (
                        f"the database is damaged ({error}): what it holds is not seen"
                    )
                    self._report(str(self._file), what)
                    return []
                self._repair(self._reader_id, str(error))
        return []

    def _ask(self, statement: str, values: Sequence[str | None]) -> Rows:
        # Another thread may close the connection after we opened it and before we ask:
        # then try again, as that does not mean "not there".
        while True:
            if self._reader is None:
                self._connect()
            with self._reading:
                if self._reader is not None:
                    return self._reader.execute(statement, values).fetchall()
                if not self._folder.exists():
                    return []

    def _connect(self) -> None:
        """Open a connection that never writes.

        It neither creates a database nor empties its log on closing.
        """
        if not self._folder.exists():
            return
        # Not while somebody salvages. The guard before the lock, as in _repair, or two
        # threads wait for each other.
        shared: AbstractContextManager[None] = contextlib.nullcontext()
        if self._writable:
            shared = self._guard.shared()
        with shared, self._reading:
            if self._reader is not None:
                return
            self._reader_id = file_id(self._file)
            if self._reader_id is None:
                raise DamageError("it was deleted")
            try:
                self._reader = self._connection("mode=ro")
            except sqlite3.OperationalError as error:
                if self._table is not None or not _has_no_room(error):
                    raise
                # Before it reads: what changes meanwhile is looked at again.
                self._marks_seen = self._marks()
                mode = _ALONE if self._has_log() else _NO_LOG
                self._reader = self._connection(mode, "EXCLUSIVE")

    def _has_log(self) -> bool:
        return self._wal.exists() and self._wal.stat().st_size > 0

    def _marks(self) -> list[tuple[int, int]]:
        """What changes when somebody writes: time and size of database and log."""
        files = (file for file in (self._file, self._wal) if file.exists())
        return [(s.st_mtime_ns, s.st_size) for s in (file.stat() for file in files)]

    def _connection(self, mode: str, locking: str = "NORMAL") -> sqlite3.Connection:
        uri = f"file:{quote(str(self._file.absolute()))}?{mode}"
        con = sqlite3.connect(
            uri,
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            con.text_factory = lambda text: text.decode(errors="replace")
            con.execute("PRAGMA mmap_size = 0")
            con.execute(f"PRAGMA locking_mode = {locking}")
            con.execute(ONE, ("",)).fetchall()
        except BaseException:
            con.close()
            raise
        return con

    def _renew(self) -> bool:
        """Close a database that is not the one in its place; returns whether there was one.

        A salvage has replaced it, ours or another process's, or what was read alone
        has changed.
        """
        if self._is_current():
            return False
        with self._reading:
            # Unless another thread has just opened the new one.
            if not self._is_current():
                self._close_reader()
        return True

    def _is_current(self) -> bool:
        if file_id(self._file_name) != self._reader_id:
            return False
        return self._marks_seen is None or self._marks_seen == self._marks()

    # --- writing

    def place(self, entries: Callable[[], list[tuple[str, bytes]]]) -> None:
        """Take in small sealed entries.

        ``entries`` is called when nobody can delete any of them.
        """

        def work(table: DiskcacheTable) -> None:
            # In the order of keys: neighbours in the index are written together.
            self._remove(table.place_small(sorted(entries())))

        self._write(work)

    def place_file(
        self, key: str, head: bytes, data: Bytes, mac: Callable[[], bytes]
    ) -> None:
        """Write a large entry to a file of its own, and its row; see `write_value`."""

        def work(table: DiskcacheTable) -> None:
            name = str(table.disk.filename()[0])
            path = self._folder / name
            try:
                write_value(path, head, data, mac, synced=self._power)
                size = len(data) + OVERHEAD
                row = ShelfRow(key, stamp_of(head), size, name, None)
                lost = table.place([row])
            except BaseException:
                self._remove([name])
                raise
            self._remove(lost)

        self._write(work)

    def forget(self, keys: Sequence[str], also: Callable[[], set[str]]) -> int:
        """Delete ``keys``; returns the number of those that there were.

        ``also`` is called while nobody else uses the store: it deletes keys elsewhere,
        and returns those that there were.
        """

        def work(table: DiskcacheTable) -> int:
            elsewhere = also()
            gone = table.forget(keys)
            self._remove(gone.values())
            return len(elsewhere | gone.keys())

        return self._write(work, alone=True)

    def give_back(self) -> None:
        """Give the disk back what deleted entries took, beside other writers."""
        with contextlib.suppress(StoreError):  # busy or full: another time
            self._write(lambda table: table.give_back())

    def scrub(self) -> None:
        """Leave nothing of deleted entries in any file: the database is written anew."""
        if self._folder.exists():
            self.drop_copies()
            self._write(lambda table: table.scrub())

    def sweep(self) -> bool:
        """Remove files that no row refers to; returns whether nobody else was in the way.

        A process died between file and row, or before its database was complete. That
        can wait for a moment at which nobody else is there.
        """

        def work(table: DiskcacheTable) -> None:
            self.untidy = False
            named = table.files()
            files = salvage.value_names(self._folder)
            self._remove(name for name in files if name not in named)
            for folder in self._folder.parent.glob("fresh-*"):
                shutil.rmtree(folder, ignore_errors=True)

        try:
            self._write(work, alone=True, most=_NO_HURRY)
        except TimeoutError:
            return False
        return True

    def inspect(self) -> list[ShelfRow]:
        """Finish a salvage that was interrupted, once after opening.

        Returns what may have been lost, for `recover`. Tries once to be alone: who uses
        the shelf has looked when it was opened, or whoever was alone before.
        """
        if self._inspected:
            return []
        aside = self._folder / "salvage"
        if not (aside.exists() or self._has_log()):
            self._inspected = True
            return []
        try:
            with self._guard.alone(0), self._table_turn:
                self._inspected = True
                if not self._file.exists():
                    return []  # the first read repairs it
                if aside.exists():
                    salvage.settle(self._folder)
                rows = salvage.unseen(self._file, self._seal)
                return [] if rows is None else [*rows, *self._file_rows()]
        except TimeoutError:
            return []  # later, or somebody else

    def recover(self, suspects: list[ShelfRow]) -> None:
        """Take in those of ``suspects`` that are nowhere else."""
        lost = [row for row in suspects if self._is_lost(row)]
        self._write(lambda table: self._remove(table.place(lost)))
        # A file without a row may just as well be that of a process that died before it
        # wrote the row.
        if any(row.filename is None for row in lost):
            self._report(
                str(self._file),
                f"its write-ahead log lost transactions; nbflow recovered {len(lost)} "
                "results, and computes any others again",
            )

    def _is_lost(self, row: ShelfRow) -> bool:
        # For a large entry check only the row: the file may be gigabytes.
        found = self._find(row.key) if row.filename else self.get(row.key)
        return found is None

    def rest(self, seconds: float) -> bool:
        """Before a fork: close the database and have nobody open it, until `wake`.

        SQLite copied in the midst of a transaction has locks that nobody gives back in
        the child; and a copied connection, even one that is not used, makes it believe
        that it has locks of the file that only the parent has.

        Returns whether that worked within so many seconds.
        """
        until = time.monotonic() + seconds
        with contextlib.ExitStack() as resting:
            if not self._table_turn.acquire(timeout=seconds):
                return False
            resting.callback(self._table_turn.release)
            if self._table is not None:
                if not self._table.rest(max(0.0, until - time.monotonic())):
                    return False
                resting.callback(self._table.wake)
            if not self._reading.acquire(timeout=max(0.0, until - time.monotonic())):
                return False
            resting.callback(self._reading.release)
            self._close_reader()
            self._resting = resting.pop_all()
        return True

    def wake(self) -> None:
        """After a fork, in the parent: whoever reads or writes opens it again."""
        self._resting.close()

    def close(self) -> None:
        """Release files. The reader first: the last writer to close empties the log."""
        with self._reading:
            self._close_reader()
        with self._table_turn:
            if self._table is not None:
                self._table.close()
                self._table = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            if self._writable and self._marks_seen is not None:
                _LEFT_OPEN.append(self._reader)
            else:
                self._reader.close()
        self._reader = self._reader_id = self._marks_seen = None

    def _write(
        self,
        work: Callable[[DiskcacheTable], T],
        *,
        alone: bool = False,
        most: float | None = None,
    ) -> T:
        """Run ``work`` on the table; a damaged database is repaired and used again.

        Args:
            work: what to do.
            alone: whether nobody else may use the shelf meanwhile.
            most: the longest to wait for that, in seconds.
        """
        for repaired in (False, True):
            seen = None
            try:
                with self._guard.alone(most) if alone else self._guard.shared():
                    # Nobody replaces it while we hold the guard.
                    seen = file_id(self._file)
                    return work(self._opened())
            except sqlite3.DatabaseError as error:
                if repaired or not self._can_repair(error):
                    raise refusal(error, "save results", self._folder) from error
                why = str(error)
            except FileNotFoundError:
                raise  # somebody removed the folder: the store starts over
            except OSError as error:
                if most is not None and isinstance(error, TimeoutError):
                    raise
                raise refusal(error, "save results", self._folder) from error
            self._repair(seen, why)
        raise AssertionError("unreachable")

    def _can_repair(self, error: sqlite3.Error) -> bool:
        if is_damage(error):
            return True
        # With one damaged byte in its head a database claims to be read-only.
        code = getattr(error, "sqlite_errorcode", 0)
        return bool(code == sqlite3.SQLITE_READONLY) and os.access(self._file, os.W_OK)

    def _opened(self) -> DiskcacheTable:
        with self._table_turn:
            if self._table is not None:
                if self._table.id == file_id(self._file):
                    return self._table
                self._table.close()
                self._table = None
            # In this order: the folder comes with its database, whoever makes it.
            if not self._folder.exists():
                self._create()
            elif not self._file.exists():
                raise DamageError("it was deleted")
            self._table = self._load(self._folder)
            if self._none is not None and not self._table.rows:
                self._table.learn()
            self._none = None
            return self._table

    def _create(self) -> None:
        """Create the folder with its database in one rename.

        From then on a missing database is a deleted one.
        """
        fresh = self._folder.with_name(f"fresh-{os.urandom(4).hex()}")
        with self._fresh(fresh, ()):
            try:
                fresh.rename(self._folder)
            except OSError:
                if not self._file.exists():
                    raise
                # Another process was faster: its folder is not empty, and is used.

    def _load(self, folder: Path) -> DiskcacheTable:
        try:
            return DiskcacheTable(
                folder,
                self._seal,
                power=self._power,
                patience=self._patience,
            )
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # diskcache takes its settings from the table, whatever they are.
            raise DamageError(f"its settings make no sense: {error}") from error

    @contextlib.contextmanager
    def _fresh(self, folder: Path, rows: Iterable[ShelfRow]) -> Iterator[Path]:
        """A new database with ``rows``.

        It is complete before it gets its place: nobody sees one without a schema.
        """
        shutil.rmtree(folder, ignore_errors=True)
        try:
            private_folder(folder)
            with contextlib.closing(self._load(folder)) as table:
                table.folder = self._folder  # where the value files are
                source = iter(rows)
                while chunk := list(islice(source, 4 * _BULK)):
                    self._remove(table.place(chunk))
            yield table.file
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self.untidy |= folder.exists()

    def _remove(self, names: Iterable[str | None]) -> None:
        """Remove value files, and the folders that are empty then.

        What cannot be removed now is swept later.
        """
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

    def _repair(self, seen: tuple[int, int] | None, why: str) -> None:
        """Put a fresh database in the place of the damaged one.

        If several notice the damage, one of them repairs it.
        """
        try:
            with self._guard.alone(), self._table_turn:
                self.close()
                if file_id(self._file) != seen:
                    return
                aside = salvage.set_aside(self._folder)
                with self._fresh(aside / "fresh", self._recovered(aside)) as file:
                    file.rename(self._file)
                kept = salvage.settle(self._folder)
        except (OSError, sqlite3.Error) as error:
            raise refusal(error, "repair the database", self._folder) from error
        rest = "Nothing was left of the old one"
        if kept:
            rest = f"The damaged one is kept as {kept.name}"
        self._report(
            str(self._file),
            f"the database was damaged ({why}). nbflow moved what it could read into a "
            f"new one, and computes missing results again. {rest}",
        )

    def _recovered(self, aside: Path) -> Iterator[ShelfRow]:
        for source in aside.iterdir():
            if source.is_file():
                yield from salvage.carve(source, self._seal)
        yield from self._file_rows()

    def _file_rows(self) -> list[ShelfRow]:
        return [row for _, row in salvage.value_files(self._folder) if row is not None]


def _has_no_room(error: sqlite3.OperationalError) -> bool:
    """Whether SQLite could not make its shared memory, or claims that the disk fails."""
    no_room = (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
    )
    return not is_damage(error) and error.sqlite_errorcode & 0xFF in no_room
