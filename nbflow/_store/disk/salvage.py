"""Salvage: what can still be read from a damaged database.

Small entries are searched for in the raw bytes of database and write-ahead log: each
lies in one piece on one page and is verified by its MAC, so nothing of SQLite's
structure has to be intact, and nothing damaged is parsed. Large entries are files that
carry their key; their rows are written again. What was deleted or replaced shortly
before may come back this way: of several entries of a key the newest wins, and all of
them are results that the key once had.

If a process is killed midway, another can continue, thanks to the order of the steps:
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
from nbflow._store.seal import HEAD, MAGIC, OVERHEAD, SMALL, Seal, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


__all__ = [
    "DATABASE",
    "VALUE_FILE",
    "ShelfRow",
    "carve",
    "set_aside",
    "settle",
    "unseen",
    "value_files",
    "value_names",
]

DATABASE = "cache.db"
#: The only names that rows may give to files: a forged row must not make us read or
#: remove others.
VALUE_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")

_CHUNK = 1 << 20


class ShelfRow(NamedTuple):
    """What the table keeps of an entry: its sealed bytes, or the name of their file."""

    key: str
    stamp: int
    size: int
    filename: str | None
    value: bytes | None


def set_aside(folder: Path) -> Path:
    """Move the damaged database and its write-ahead log aside; returns their folder."""
    aside = folder / "salvage"
    private_folder(aside)
    taken = len(list(aside.iterdir()))  # by an earlier salvage that was killed
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{DATABASE}{suffix}").rename(aside / f"{taken}{suffix}")
    (folder / f"{DATABASE}-shm").unlink(missing_ok=True)
    return aside


def settle(folder: Path) -> Path | None:
    """Give the sources of this salvage their lasting names, and remove older ones.

    Returns the path of the database.
    """
    aside = folder / "salvage"
    older = list(folder.glob(f"{DATABASE}.damaged-*"))
    numbers = [int(path.name.split("-")[1]) for path in older]
    number = 1 + max(numbers, default=0)
    kept = None
    for source in sorted(aside.iterdir()):
        if not source.is_file() or not source.stat().st_size:
            continue
        serial, dash, wal = source.name.partition("-")
        target = folder / f"{DATABASE}.damaged-{number + int(serial)}{dash}{wal}"
        source.rename(target)
        kept = kept or target
    if kept:
        for path in older:
            path.unlink(missing_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    return kept


def carve(path: Path, seal: Seal) -> Iterator[ShelfRow]:
    """Every intact small entry in the raw bytes of a file; some occur repeatedly."""
    with path.open("rb") as file:
        blob = b""
        while chunk := file.read(_CHUNK):
            # The end of the last chunk, too: an entry may lie across the border.
            blob = blob[-SMALL:] + chunk
            yield from _live_rows(blob, seal)


def _live_rows(blob: bytes, seal: Seal) -> Iterator[ShelfRow]:
    for entry in seal.walk(blob):
        if not entry.dead:
            sealed = blob[entry.start : entry.end]
            yield ShelfRow(entry.key, entry.stamp, 0, None, sealed)


def value_files(folder: Path) -> Iterator[tuple[str, ShelfRow | None]]:
    """Every value file under ``folder``, with the row that belongs to it.

    The row is ``None`` if the file is cut or is no entry at all. Only the head is read:
    a reader checks the MAC before it trusts the rest.
    """
    for filename in value_names(folder):
        yield filename, _file_row(folder / filename, filename)


def value_names(folder: Path) -> Iterator[str]:
    """The name of every value file under ``folder``."""
    for path in folder.glob("??/??/*.val"):
        filename = path.relative_to(folder).as_posix()
        if VALUE_FILE.fullmatch(filename):
            yield filename


def _file_row(path: Path, filename: str) -> ShelfRow | None:
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
    if magic != MAGIC or length + OVERHEAD != size:
        return None
    return ShelfRow(key.hex(), stamp_of(head), size, filename, None)


def unseen(database: Path, seal: Seal) -> list[ShelfRow] | None:
    """Entries in the part of the write-ahead log that SQLite does not see.

    ``None`` if it sees everything. Call this only while nobody writes.

    SQLite stops at the first frame whose checksum is wrong and ignores what follows, so
    that a damaged log silently loses committed transactions. A process that was killed
    while it committed also leaves such frames; their entries are in its journal as
    well. So compare before you call an entry lost.
    """
    try:
        log = database.with_name(f"{database.name}-wal").read_bytes()
    except FileNotFoundError:
        return None
    try:
        seen = _frames_seen(database)
    except sqlite3.DatabaseError:
        return None  # locked, or damaged in a way that the first read will find
    start, end = _committed(log, seen)
    rest = log[start:end]
    return list(_live_rows(rest, seal)) if rest else None


def _frames_seen(database: Path) -> int:
    """The number of frames of the write-ahead log that SQLite sees."""
    # The last connection to close would empty the log, the evidence: the one that
    # cannot write closes last.
    read_only = f"{database.absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(read_only, uri=True)) as witness,
        contextlib.closing(sqlite3.connect(database)) as con,
    ):
        witness.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        _, seen, _ = con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(seen)


def _committed(log: bytes, seen: int) -> tuple[int, int]:
    """The range of a log's frames beyond ``seen``, up to its last commit.

    Judged by the heads of the frames alone.
    """
    if len(log) <= _WAL_HEAD.size:
        return 0, 0
    magic, _, page, _, salt, first, second = _WAL_HEAD.unpack_from(log)
    is_intact = magic & ~1 == _WAL_MAGIC
    if is_intact:
        checksum = _checksum(log[:24], big=bool(magic & 1))
        is_intact = checksum == (first, second)
    if not is_intact:
        return 0, len(log)  # its head is damaged, so SQLite ignores all of it
    step = _FRAME_HEAD.size + page
    end = 0
    for start in range(_WAL_HEAD.size, len(log) - step + 1, step):
        _, pages_after_commit, frame_salt = _FRAME_HEAD.unpack_from(log, start)
        if frame_salt == salt and pages_after_commit:
            end = start + step
    return _WAL_HEAD.size + seen * step, end


_WAL_MAGIC = 0x377F0682  # its last bit says which byte order the checksums have
#: Magic, format, page size, checkpoint, salt, checksum.
_WAL_HEAD = struct.Struct(">IIII8sII")
#: Page, pages after a commit or 0, salt, checksum.
_FRAME_HEAD = struct.Struct(">II8s8x")


def _checksum(blob: bytes, *, big: bool) -> tuple[int, int]:
    """SQLite's checksum of a write-ahead log's head (sqlite.org/walformat.html)."""
    first = second = 0
    order = ">" if big else "<"
    words = struct.unpack(f"{order}{len(blob) // 4}I", blob)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
