"""Shelf: the checkpoints' lasting place. Finds damage in its table and its files, mends it and reports it.

Every writer shares the store's guard. Deleting, sweeping and salvaging take it alone,
so that nothing is under way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from nbflow._store.disk import salvage
from nbflow._store.disk.diskcache_table import (
    ONE,
    DamageError,
    Table,
    is_damage,
    open_row,
)
from nbflow._store.disk.salvage import DATABASE, VALUE_FILE, Row
from nbflow._store.folder import (
    file_id,
    guard,
    open_private,
    private_folder,
    refusal,
    sync_folder,
)
from nbflow._store.seal import stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import FileIO
    from pathlib import Path

    from nbflow._store.disk.diskcache_table import Parts
    from nbflow._store.seal import Seal

__all__ = ["Shelf"]

_MANY = "SELECT rowid, filename, value FROM Cache WHERE raw = 1 AND key IN ({})"
_BULK = 500  # keys of one IN(...); fewer are padded to a few lengths, so that statements are compiled once
_LENGTHS = (8, 64, _BULK)


T = TypeVar("T")
Found = tuple[int, str | None, bytes | None]  # rowid, filename, value


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
        self._table: Table | None = None
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
        data = open_row(self._seal, self._folder, key, *found[1:])
        if data is None:
            # Replaced since, and its file removed? Then its row is another one now.
            again = self._find(key)
            data = (
                open_row(self._seal, self._folder, key, *again[1:])
                if again and again != found
                else None
            )
            if data is None and again:
                self._report(
                    f"{self._file}:{key}",
                    "an entry does not verify, or its file is gone",
                )
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
        rows = self._rows(
            _MANY.format(",".join("?" * length)),
            [*chunk, *[None] * (length - len(chunk))],
        )
        missing = set(chunk)
        for _, filename, value in rows:
            # Whose entry it is stands in the entry itself, where the MAC vouches for
            # it.
            key = (
                value[20:40].hex() if filename is None and type(value) is bytes else ""
            )
            if key in missing and (one := self._seal.unseal(key, value)) is not None:
                data[key] = one
                missing.remove(key)
        if len(rows) + len(missing) > len(
            set(chunk)
        ):  # large ones, and those that need a closer look
            data.update(
                (key, one) for key in missing if (one := self.get(key)) is not None
            )

    def keys(self) -> Iterator[str]:
        """Every key, by pages, so that a slow reader holds up nobody."""
        self._renew()
        last = ""
        while rows := self._rows(
            "SELECT key FROM Cache WHERE raw = 1 AND key > ? ORDER BY key LIMIT 1000",
            (last,),
        ):
            for (key,) in rows:
                yield key
            last = rows[-1][0]

    def _find(self, key: str) -> Found | None:
        rows = self._rows(ONE, (key,))
        if not rows and self._renew():
            rows = self._rows(ONE, (key,))
        return rows[0] if rows else None

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """What the statement finds; a damaged database is mended and asked again."""
        for mended in (False, True):
            try:
                return self._ask(statement, values)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise refusal(error, "read", self._folder) from error
                if mended or not self._writable:
                    self._report(
                        str(self._file),
                        f"the database is damaged ({error}): what it holds is not seen",
                    )
                    return []
                self._mend(self._reader_id, str(error))
        return []

    def _ask(self, statement: str, values: Sequence[Any]) -> list[Any]:
        # Another thread may leave the connection between our opening and our asking: no
        # answer is not "not there".
        while True:
            if self._reader is None:
                self._connect()
            with self._reading:
                if self._reader is not None:
                    return self._reader.execute(statement, values).fetchall()
                if not self._folder.exists():
                    return []

    def _connect(self) -> None:
        """Open a connection that never writes: it neither creates a database nor empties its log on closing."""
        if not self._folder.exists():
            return
        # Not while somebody salvages. The guard before the lock, as in _mend, or two
        # threads wait for each other.
        shared = (
            guard(self._guard, alone=False, timeout=self._timeout)
            if self._writable
            else contextlib.nullcontext()
        )
        with shared, self._reading:
            if self._reader is not None:
                return
            self._reader_id = file_id(self._file)
            if self._reader_id is None:
                raise DamageError("it was deleted")
            try:
                self._reader = self._try("mode=ro")
            except sqlite3.OperationalError:
                if self._writable:
                    raise
                # A folder that cannot be written has no place for SQLite's shared
                # memory.
                self._reader = self._try("mode=ro&immutable=1")
                if self._has_log():
                    self._report(
                        str(self._file),
                        "the folder is read-only: the results saved last may not be seen",
                    )

    def _has_log(self) -> bool:
        return self._wal.exists() and self._wal.stat().st_size > 0

    def _try(self, mode: str) -> sqlite3.Connection:
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
            con.execute(ONE, ("",)).fetchall()
        except BaseException:
            con.close()
            raise
        return con

    def _renew(self) -> bool:
        """Leave a database that salvage has replaced, ours or another process's; says whether it was."""
        if file_id(self._file_name) == self._reader_id:
            return False
        with self._reading:
            if (
                file_id(self._file_name) != self._reader_id
            ):  # unless another thread has just opened the new one
                self._close_reader()
        return True

    # --- writing

    def place(self, entries: Callable[[], list[tuple[str, bytes]]]) -> None:
        """Take small sealed entries in; they are asked for when nobody can delete any of them."""

        def work(table: Table) -> None:
            # In the order of keys: neighbours in the index are written together.
            self._remove(
                table.place(
                    [
                        Row(key, stamp_of(blob), 0, None, blob)
                        for key, blob in sorted(entries())
                    ]
                )
            )

        self._write(work)

    def place_file(self, key: str, parts: Parts) -> None:
        """Write a large entry to a file of its own, and its row."""

        def work(table: Table) -> None:
            name = str(table.disk.filename()[0])
            try:
                self._write_file(self._folder / name, parts)
                lost = table.place(
                    [Row(key, stamp_of(parts[0]), sum(map(len, parts)), name, None)]
                )
            except BaseException:
                self._remove([name])
                raise
            self._remove(lost)

        self._write(work)

    def forget(self, keys: Sequence[str], also: Callable[[], set[str]]) -> int:
        """Delete ``keys`` here and, alone with the store, wherever ``also`` does; says how many there were."""

        def work(table: Table) -> int:
            elsewhere = also()
            gone = table.forget(keys)
            self._remove(gone.values())
            return len(elsewhere | gone.keys())

        return self._write(work, alone=True)

    def sweep(self) -> None:
        """Remove what no row speaks of: a process died between file and row, or before a database was made."""

        def work(table: Table) -> None:
            self.untidy = False
            named = table.files()
            self._remove(
                name
                for name, _ in salvage.value_files(self._folder)
                if name not in named
            )
            for folder in self._folder.parent.glob("fresh-*"):
                shutil.rmtree(folder, ignore_errors=True)

        self._write(work, alone=True)

    def inspect(self) -> list[Row]:
        """At opening: see to it that salvage came to its end. Returns what may have been lost, for ``recover``."""
        aside = self._folder / "salvage"
        if not self._writable or not (aside.exists() or self._has_log()):
            return []
        try:
            with guard(self._guard, alone=True, timeout=self._timeout):
                if not self._file.exists():
                    return []  # the first read takes it up
                if aside.exists():
                    salvage.settle(self._folder)
                rows = salvage.unseen(self._file, self._seal)
                return [] if rows is None else [*rows, *self._file_rows()]
        except OSError as error:
            raise refusal(error, "open the store", self._folder) from error

    def recover(self, suspects: list[Row]) -> None:
        """Take in those of ``suspects`` that are nowhere else."""
        # Of a large one the row is enough: its file may have gigabytes.
        lost = [
            row
            for row in suspects
            if (self._find if row.filename else self.get)(row.key) is None
        ]
        self._write(lambda table: self._remove(table.place(lost)))
        # A file without a row is as likely one whose process died before it wrote the
        # row.
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

    def _write(self, work: Callable[[Table], T], *, alone: bool = False) -> T:
        """Run ``work`` on the table; a damaged database is mended and asked again."""
        for mended in (False, True):
            seen = None
            try:
                with guard(self._guard, alone=alone, timeout=self._timeout):
                    seen = file_id(
                        self._file
                    )  # nobody replaces it while we hold the guard
                    return work(self._opened(seen))
            except sqlite3.DatabaseError as error:
                if mended or not (
                    is_damage(error) or self._claims_to_be_read_only(error)
                ):
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

    def _opened(self, seen: tuple[int, int] | None) -> Table:
        with self._table_turn:
            if self._table is not None:
                if self._table.id == seen:
                    return self._table
                self._table.close()
                self._table = None
            if seen is None:
                if self._folder.exists():
                    raise DamageError("it was deleted")
                self._create()
            self._table = self._load(self._folder)
            return self._table

    def _create(self) -> None:
        """Make the folder with its database in one rename: from then on a missing database is a deleted one."""
        fresh = self._folder.with_name(f"fresh-{secrets.token_hex(4)}")
        with self._fresh(fresh, ()):
            try:
                fresh.rename(self._folder)
            except OSError:
                if not self._file.exists():
                    raise
                # Another process was faster: its folder is not empty, and is used.

    def _load(self, folder: Path) -> Table:
        try:
            return Table(folder, self._seal, power=self._power, timeout=self._timeout)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # diskcache takes its settings from the table, whatever they are.
            raise DamageError(f"its settings make no sense: {error}") from error

    @contextlib.contextmanager
    def _fresh(self, folder: Path, rows: Iterable[Row]) -> Iterator[Path]:
        """A new database with ``rows``, complete before it gets its place: nobody sees one without a schema."""
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

    def _write_file(self, path: Path, parts: Parts) -> None:
        for _ in range(10):
            private_folder(path.parent.parent)
            # Another process may remove a folder that is empty, between our making it
            # and our file in it.
            with contextlib.suppress(FileNotFoundError):
                private_folder(path.parent)
                fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                break
        else:
            raise FileNotFoundError(
                errno.ENOENT, "its folder disappears again and again", str(path)
            )
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


def _write_all(file: FileIO, data: bytes) -> None:
    """A raw write takes 2 GiB at most, and on a full disk what fits."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
