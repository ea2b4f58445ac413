"""Salvage: what can still be read from a damaged database.

Small entries are searched for in the raw bytes of database and write-ahead log: each
lies in one piece on one page and proves itself by its MAC, so nothing of SQLite's
structure has to be intact, and nothing damaged is parsed. Large entries are files that
carry their key; their rows are written anew. What was deleted or replaced shortly
before may come back this way: of several entries of a key the newest wins, and all of
them are results that key once had.

The order of steps lets a process that is killed in the middle be followed by another:
sources move into ``salvage/``, the fresh database takes its place in one rename, and
only then the sources become ``cache.db.damaged-<n>``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import struct
from typing import TYPE_CHECKING, NamedTuple

from nbflow._store.folder import open_private, private_folder
from nbflow._store.seal import HEAD, MAGIC, OVERHEAD, SMALL, Entry, Seal, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "DATABASE",
    "VALUE_FILE",
    "Row",
    "carve",
    "set_aside",
    "settle",
    "unseen",
    "value_files",
]

DATABASE = "cache.db"
VALUE_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
"""The only names that rows may give to files: a forged row must not make us read or remove others."""

_CHUNK = 1 << 20


class Row(NamedTuple):
    """What the table keeps of an entry: the sealed bytes, or the name of the file that holds them."""

    key: str
    stamp: int
    size: int
    filename: str | None
    value: bytes | None


def set_aside(folder: Path) -> Path:
    """Move the damaged database with its write-ahead log out of the way; returns the folder they are in."""
    aside = folder / "salvage"
    private_folder(aside)
    taken = len(list(aside.iterdir()))  # of an earlier try that was killed
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{DATABASE}{suffix}").rename(aside / f"{taken}{suffix}")
    (folder / f"{DATABASE}-shm").unlink(missing_ok=True)
    return aside


def settle(folder: Path) -> Path | None:
    """Give the sources their lasting names, keep those of this salvage only; returns the database's."""
    aside = folder / "salvage"
    older = list(folder.glob(f"{DATABASE}.damaged-*"))
    number = 1 + max((int(path.name.split("-")[1]) for path in older), default=0)
    kept = None
    for source in sorted(
        path for path in aside.iterdir() if path.is_file() and path.stat().st_size
    ):
        serial, dash, wal = source.name.partition("-")
        target = folder / f"{DATABASE}.damaged-{number + int(serial)}{dash}{wal}"
        source.rename(target)
        kept = kept or target
    if kept:
        for path in older:
            path.unlink(missing_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    return kept


def carve(path: Path, seal: Seal) -> Iterator[Row]:
    """Every intact small entry in the raw bytes of a file, some of them more than once."""
    with path.open("rb") as file:
        blob = b""
        while chunk := file.read(_CHUNK):
            blob = blob[-SMALL:] + chunk
            for entry in seal.walk(blob):
                if not entry.dead:
                    yield _row(blob, entry)


def _row(blob: bytes, entry: Entry) -> Row:
    return Row(entry.key, entry.stamp, 0, None, blob[entry.start : entry.end])


def value_files(folder: Path) -> Iterator[tuple[str, Row | None]]:
    """Every value file under ``folder`` with the row it deserves: ``None`` if it is cut or no entry at all.

    Only the head is read: a reader checks the MAC before it believes the rest.
    """
    for path in folder.glob("??/??/*.val"):
        filename = path.relative_to(folder).as_posix()
        if VALUE_FILE.fullmatch(filename):
            yield filename, _file_row(path, filename)


def _file_row(path: Path, filename: str) -> Row | None:
    try:
        fd = open_private(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        size = os.fstat(fd).st_size
        head = os.read(fd, HEAD.size)
    finally:
        os.close(fd)
    if len(head) < HEAD.size:
        return None
    magic, length, _, key = HEAD.unpack(head)
    return (
        Row(key.hex(), stamp_of(head), size, filename, None)
        if (magic, length + OVERHEAD) == (MAGIC, size)
        else None
    )


def unseen(database: Path, seal: Seal) -> list[Row] | None:
    """Entries in the part of the write-ahead log that SQLite does not see; ``None`` if it sees everything.

    SQLite stops at the first frame whose checksum is wrong and takes what follows for
    leftovers: a damaged log loses committed transactions without a word. Leftovers
    there are, too, of a process that was killed while it committed; these are in its
    journal as well. So whoever asks compares before he calls it a loss. Only while
    nobody writes.
    """
    try:
        log = database.with_name(f"{database.name}-wal").read_bytes()
    except FileNotFoundError:
        return None
    try:
        # The last connection to close would empty the log, the evidence: the one that
        # cannot write closes last.
        with (
            contextlib.closing(
                sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
            ) as witness,
            contextlib.closing(sqlite3.connect(database)) as con,
        ):
            witness.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            seen = con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    except sqlite3.DatabaseError:
        return None  # locked, or damaged in a way that the first read will find
    start, end = _committed(log, seen)
    rest = log[start:end]
    return (
        [_row(rest, entry) for entry in seal.walk(rest) if not entry.dead]
        if rest
        else None
    )


def _committed(log: bytes, seen: int) -> tuple[int, int]:
    """From where to where a log has frames beyond ``seen``, up to its last commit, by their heads alone."""
    if len(log) <= _WAL_HEAD.size:
        return 0, 0
    magic, _, page, _, salt, first, second = _WAL_HEAD.unpack_from(log)
    if magic & ~1 != _WAL_MAGIC or _checksum(log[:24], big=bool(magic & 1)) != (
        first,
        second,
    ):
        return 0, len(
            log
        )  # its own head is damaged, which makes SQLite ignore all of it
    step = _FRAME_HEAD.size + page
    end = 0
    for start in range(_WAL_HEAD.size, len(log) - step + 1, step):
        _, pages_after_commit, frame_salt = _FRAME_HEAD.unpack_from(log, start)
        if frame_salt == salt and pages_after_commit:
            end = start + step
    return _WAL_HEAD.size + seen * step, end


_WAL_MAGIC = 0x377F0682
_WAL_HEAD = struct.Struct(
    ">IIII8sII"
)  # magic, format, page size, checkpoint, salt, checksum
_FRAME_HEAD = struct.Struct(">II8s8x")  # page, pages after commit or 0, salt, checksum


def _checksum(blob: bytes, *, big: bool) -> tuple[int, int]:
    """SQLite's checksum of a write-ahead log's head (sqlite.org/walformat.html)."""
    first = second = 0
    words = struct.unpack(f"{'>' if big else '<'}{len(blob) // 4}I", blob)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
