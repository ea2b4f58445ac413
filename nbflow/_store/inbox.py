"""Inbox: events that came from outside, numbered in the order in which they came.

Emitting processes and those that read share it. An event is safe once `Inbox.add`
returns; the same id of one event is the same event, whoever adds it again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from blake3 import blake3

from nbflow._key import fork
from nbflow._key.value import SIZE
from nbflow._store import codec
from nbflow._store.folder import open_private, prepare, private_folder, refusal
from nbflow.errors import CodecError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from nbflow._store.seal import Seal

#: Rows that are read at once.
_PAGE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS arrivals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    id TEXT NOT NULL,
    entry BLOB NOT NULL,
    UNIQUE (event, id)
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_event ON arrivals (event, number)"
_READ = "SELECT number, event, id, entry FROM arrivals WHERE "


class Arrival(NamedTuple):
    """One event in the inbox.

    Attributes:
        number: its place in the order of arrival; 0 as long as it has none.
        event: what happened, such as ``"reply/received"``.
        id: tells it from the other events of that name.
        at: when it was emitted, in seconds since the epoch.
        source: who emitted it.
        record: what it says.
    """

    number: int
    event: str
    id: str
    at: float
    source: str
    record: object


class Inbox(Protocol):
    """Where events from outside are kept. Every method may be called from any thread."""

    def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Keep events, all or none; returns for each whether it is new.

        Raises:
            StoreError: they could not be kept.
        """

    def find(self, event: str, ids: Collection[str]) -> dict[str, Arrival]:
        """The events of one name with these ids, as far as they have arrived."""

    def after(self, number: int, events: Collection[str]) -> Iterator[Arrival]:
        """The events of these names behind a place, in the order of arrival."""

    def at(self, number: int) -> Arrival | None:
        """The event at a place."""

    def latest(self, event: str) -> Arrival | None:
        """The latest event of a name."""

    def end(self) -> int:
        """The place of the latest event, 0 without any."""

    def all(self) -> Iterator[Arrival]:
        """Every event that verifies, in the order of arrival."""

    def torn(self, *, cut: bool) -> list[str]:
        """Say which events do not verify; ``cut`` removes them."""

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget the events at these places, and leave nothing of them in any file.

        Raises:
            StoreError: they could not be removed.
        """

    def close(self) -> None:
        """Release files. The next call opens the inbox again."""


class MemoryInbox:
    """An inbox that lives and dies with its process."""

    def __init__(self) -> None:
        #: By place; an event that was removed leaves its place empty.
        self._arrivals: list[Arrival | None] = []
        self._places: dict[tuple[str, str], int] = {}
        self._mutex = threading.Lock()

    def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Keep events; returns for each whether it is new."""
        added = []
        with self._mutex:
            for one in arrivals:
                known = self._places.setdefault(
                    (one.event, one.id), len(self._arrivals)
                )
                is_new = known == len(self._arrivals)
                if is_new:
                    self._arrivals.append(one._replace(number=known + 1))
                added.append(is_new)
        return added

    def find(self, event: str, ids: Collection[str]) -> dict[str, Arrival]:
        """The events of one name with these ids."""
        places = ((each, self._places.get((event, each))) for each in ids)
        found = (self._arrivals[place] for _, place in places if place is not None)
        return {one.id: one for one in found if one is not None}

    def after(self, number: int, events: Collection[str]) -> Iterator[Arrival]:
        """The events of these names behind a place."""
        later = filter(None, self._arrivals[number:])
        return (one for one in later if one.event in events)

    def at(self, number: int) -> Arrival | None:
        """The event at a place."""
        return self._arrivals[number - 1] if number <= len(self._arrivals) else None

    def latest(self, event: str) -> Arrival | None:
        """The latest event of a name."""
        found = filter(None, reversed(self._arrivals))
        return next((one for one in found if one.event == event), None)

    def end(self) -> int:
        """The place of the latest event."""
        return len(self._arrivals)

    def all(self) -> Iterator[Arrival]:
        """Every event."""
        return filter(None, list(self._arrivals))

    def torn(self, *, cut: bool) -> list[str]:  # noqa: ARG002  # nothing tears memory
        """Nothing is damaged."""
        return []

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget the events at these places."""
        with self._mutex:
            for number in numbers:
                one, self._arrivals[number - 1] = self._arrivals[number - 1], None
                if one is not None:
                    del self._places[one.event, one.id]

    def close(self) -> None:
        """Nothing to release."""


class DiskInbox:
    """An inbox in a folder of the store: one table of SQLite, each row sealed."""

    def __init__(self, folder: Path, seal: Seal, *, power: bool = False) -> None:
        self._folder = folder
        self._seal = seal
        #: Whether an event survives a power failure, too.
        self._power = power
        self._opened: sqlite3.Connection | None = None
        self._pid = 0
        self._mutex = fork.freed(threading.RLock())

    def add(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Keep events, all or none; returns for each whether it is new.

        Raises:
            StoreError: they could not be kept.
        """
        rows = [(one.event, one.id, self._sealed(one)) for one in arrivals]
        insert = "INSERT OR IGNORE INTO arrivals (event, id, entry) VALUES (?, ?, ?)"
        with self._mutex:
            try:
                con = self._connection(make=True)
                con.execute("BEGIN IMMEDIATE")
                try:
                    added = [con.execute(insert, row).rowcount > 0 for row in rows]
                except BaseException:
                    con.execute("ROLLBACK")
                    raise
                con.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                raise self._refusal(error, "keep an event in") from error
        return added

    def find(self, event: str, ids: Collection[str]) -> dict[str, Arrival]:
        """The events of one name with these ids, as far as they have arrived."""
        wanted, found = list(ids), {}
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            marks = ", ".join("?" * len(page))
            rows = self._rows(f"event = ? AND id IN ({marks})", [event, *page])
            found.update({one.id: one for one in rows})
        return found

    def after(self, number: int, events: Collection[str]) -> Iterator[Arrival]:
        """The events of these names behind a place, in the order of arrival."""
        names = list(events)
        marks = ", ".join("?" * len(names))
        where = f"number > ? AND event IN ({marks}) ORDER BY number LIMIT {_PAGE}"
        while rows := self._select(_READ + where, [number, *names]):
            yield from filter(None, (self._arrival(*row) for row in rows))
            number = rows[-1][0]

    def at(self, number: int) -> Arrival | None:
        """The event at a place."""
        return next(iter(self._rows("number = ?", [number])), None)

    def latest(self, event: str) -> Arrival | None:
        """The latest event of a name."""
        rows = self._rows("event = ? ORDER BY number DESC LIMIT 1", [event])
        return next(iter(rows), None)

    def end(self) -> int:
        """The place of the latest event, 0 without any."""
        rows = self._select("SELECT max(number) FROM arrivals", [])
        return int(rows[0][0] or 0) if rows else 0

    def all(self) -> Iterator[Arrival]:
        """Every event that verifies, in the order of arrival."""
        number = 0
        where = f"number > ? ORDER BY number LIMIT {_PAGE}"
        while rows := self._select(_READ + where, [number]):
            yield from filter(None, (self._arrival(*row) for row in rows))
            number = rows[-1][0]

    def torn(self, *, cut: bool) -> list[str]:
        """Say which events do not verify; ``cut`` removes them."""
        rows = self._select("SELECT number, event, id, entry FROM arrivals", [])
        torn = [row[0] for row in rows if self._arrival(*row) is None]
        if torn and cut:
            self.remove(torn)
        return [f"event {number} in {self._file.name}" for number in torn]

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget the events at these places, and leave nothing of them in any file.

        Raises:
            StoreError: they could not be removed.
        """
        rows = [(number,) for number in numbers]
        with self._mutex:
            try:
                con = self._connection()
                con.execute("BEGIN IMMEDIATE")
                con.executemany("DELETE FROM arrivals WHERE number = ?", rows)
                con.execute("COMMIT")
                # The pages that are free now, and the log, still have the bytes.
                con.execute("VACUUM")
                con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except (sqlite3.Error, OSError) as error:
                raise self._refusal(error, "remove events of") from error

    def close(self) -> None:
        """Release files. The next call opens the inbox again."""
        with self._mutex:
            if self._opened is not None and self._pid == os.getpid():
                self._opened.close()
            self._opened = None

    # Rows.

    def _sealed(self, one: Arrival) -> bytes:
        written_as, payload = codec.encode(one.record)
        data = msgspec.msgpack.encode((one.at, one.source, written_as, payload))
        return self._seal.seal(_key(one.event, one.id), data)

    def _rows(self, where: str, values: Iterable[object]) -> list[Arrival]:
        rows = self._select(_READ + where, list(values))
        return [one for row in rows if (one := self._arrival(*row)) is not None]

    def _arrival(
        self, number: int, event: str, name: str, entry: bytes
    ) -> Arrival | None:
        """What a row says; none of what was not sealed here."""
        data = self._seal.unseal(_key(event, name), entry)
        if data is None:
            return None
        try:
            at, source, written_as, payload = msgspec.msgpack.decode(data)
            record = codec.decode(written_as, payload)
        except (msgspec.MsgspecError, ValueError, CodecError):
            return None
        return Arrival(number, event, name, at, source, record)

    # The database.

    def _select(self, query: str, values: list[object]) -> list[Any]:
        with self._mutex:
            try:
                if not self._file.exists():
                    return []
                return self._connection().execute(query, values).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise self._refusal(error, "read") from error

    @property
    def _file(self) -> Path:
        return self._folder / "events.db"

    def _connection(self, *, make: bool = False) -> sqlite3.Connection:
        if self._opened is None or self._pid != os.getpid():
            if make:
                prepare(self._folder.parent)
                private_folder(self._folder)
                os.close(open_private(self._file, os.O_RDWR | os.O_CREAT))
            con = sqlite3.connect(
                self._file, timeout=30, isolation_level=None, check_same_thread=False
            )
            con.execute("PRAGMA journal_mode = WAL")
            con.execute(f"PRAGMA synchronous = {'FULL' if self._power else 'NORMAL'}")
            con.execute(_SCHEMA)
            con.execute(_INDEX)
            # A forked child leaves its parent's connection alone: closing it would
            # release the locks of the parent.
            self._opened, self._pid = con, os.getpid()
        return self._opened

    def _refusal(self, error: Exception, what: str) -> StoreError:
        if isinstance(error, OSError):
            return refusal(error, f"{what} the inbox", self._file)
        return StoreError(f"Cannot {what} the inbox {self._file}: {error}.")


def _key(event: str, name: str) -> str:
    return blake3(f"nbflow event {event}\0{name}".encode()).hexdigest(length=SIZE)
