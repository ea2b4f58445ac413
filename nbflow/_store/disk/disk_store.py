"""DiskStore: checkpoints in a folder, for every process of one machine that opens it.

A small entry is one write to the journal, which takes microseconds and survives ``kill
-9``; some thousands of them move to the shelf at once, in a millisecond or two per
hundred. A large one goes to the shelf directly. A reader looks in its own segments,
then in those of others, then on the shelf; since entries reach the shelf before they
leave the journal, one that was there is found wherever it is meanwhile.

::

    .nbflow/
    ├── .gitignore           *
    └── <fingerprint>/       of the secret: who has another one neither reads nor tidies what is in here
        ├── guard            shared by writers; who deletes or salvages is alone
        ├── locks            a byte for each key being worked on
        ├── journal/*.log    what was put last, by process
        └── shelf/           cache.db, ab/cd/*.val: a diskcache folder
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nbflow._store.disk.journal import Journal
from nbflow._store.disk.keylock import KeyLocks
from nbflow._store.folder import prepare, private_folder, refusal
from nbflow._store.seal import OVERHEAD, SMALL, Seal, load_secret
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow._store.disk.salvage import Row
    from nbflow._store.disk.shelf import Shelf

__all__ = ["DiskStore", "open_disk"]

T = TypeVar("T")
Durability = Literal["process", "power"]

_ENTRIES = 8000  # in a segment, then it moves: bounds memory, and what other processes read entry by entry
_MEAN = 500  # bytes for each of them: a segment has 4 MB at most
_REPORTS = (
    50  # warnings of one store; after that the disk is broken and the point is made
)


class DiskStore:
    """A store in the folder ``path``; see ``Store`` for what every store promises. Open it with ``open_disk``.

    Args:
        path: the folder; made at first use.
        secret: 32 bytes that sign every entry; the user's own by default.
        durability: ``"process"`` survives ``kill -9``; ``"power"`` adds an fsync per
            put, and survives power loss.
        timeout: seconds to wait for another process that holds the store.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        secret: bytes | None = None,
        durability: Durability = "process",
        timeout: float = 30,
    ) -> None:
        self.url = str(path)
        self._path = Path(path).resolve()
        self._seal = Seal(load_secret() if secret is None else secret)
        self._power = durability == "power"
        self._timeout = timeout
        self._reported: set[str] = set()
        self._leaked: list[
            Any
        ] = []  # connections of a parent process, never to be closed here
        self._limit = _ENTRIES
        self._parts: tuple[Journal, Shelf, KeyLocks | None] | None = None
        self._opening = threading.RLock()
        self._moving = threading.Lock()
        self._writable = True
        _alive.add(self)

    # --- the Store protocol

    def get(self, key: str) -> bytes | None:
        """The bytes put under ``key``, or ``None``."""
        try:
            return self._get(key)
        except OSError as error:
            return self._again(error, "read results", lambda: self._get(key))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of ``keys`` that are there, in bulk."""
        try:
            return self._get_many(keys)
        except OSError as error:
            return self._again(error, "read results", lambda: self._get_many(keys))

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data``; once this returns it survives ``kill -9``."""
        try:
            self._put(key, data)
        except OSError as error:
            self._again(error, "save a result", lambda: self._put(key, data))

    def delete(self, keys: Iterable[str]) -> int:
        """Forget ``keys``, in the logs of other processes too; says how many were there."""
        wanted = list(dict.fromkeys(keys))
        journal, shelf, _ = self._opened()
        try:
            return shelf.forget(wanted, lambda: journal.delete(wanted))
        except OSError as error:
            raise refusal(error, "delete results", self._path) from error

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""
        journal, shelf, _ = self._opened()
        try:
            # The journal first: what moves to the shelf meanwhile is passed over there,
            # not missed.
            fresh = journal.keys()
        except OSError as error:
            raise refusal(error, "read results", self._path) from error
        yield from fresh
        for key in shelf.keys():  # noqa: SIM118 - a method of its own
            if key not in fresh:
                yield key

    def lock(self, key: str) -> bool:
        """Try to become the one process that works on ``key``. Granted without a lock in a read-only folder."""
        locks = (self._parts or self._opened())[2]
        return locks is None or locks.lock(key)

    def unlock(self, key: str) -> None:
        """Give ``key`` back."""
        locks = (self._parts or self._opened())[2]
        if locks is not None:
            locks.unlock(key)

    def flush(self) -> None:
        """Move what is in the journal to the shelf, what dead processes left there too."""
        parts = self._opened()
        if not self._writable:
            return
        try:
            with self._moving:
                self._tidy(*parts[:2])
        except FileNotFoundError:
            self._start_over()  # somebody removed the folder: nothing is left to move
        except OSError as error:
            raise refusal(error, "tidy up", self._path) from error

    def close(self) -> None:
        """Flush and let go of files; the next call opens them again."""
        with self._opening:
            parts = self._parts
            if parts is None:
                return
            self.flush()  # if it is refused, all stays open, to be closed another time
            # What another thread puts right now lies in a segment of nobody, and the
            # next opening finds it.
            self._parts = None
            parts[1].close()

    # --- the work

    def _get(self, key: str) -> bytes | None:
        journal, shelf, _ = self._parts or self._opened()
        data = journal.get(key)
        return shelf.get(key) if data is None else data

    def _get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        journal, shelf, _ = self._parts or self._opened()
        data = journal.get_many(keys)
        data.update(
            shelf.get_many([key for key in keys if key not in data] if data else keys)
        )
        return data

    def _put(self, key: str, data: bytes) -> None:
        journal, shelf, _ = self._parts or self._opened()
        if len(data) + OVERHEAD > SMALL:
            journal.begin()  # if we die in the middle, our segment says that there is something to sweep
            shelf.place_file(key, self._seal.parts(key, data))
            journal.bury(key)
            return
        segment = journal.append(key, self._seal.seal(key, data))
        if len(segment.index) >= self._limit or segment.end >= self._limit * _MEAN:
            self._move(journal, shelf)

    def _move(self, journal: Journal, shelf: Shelf) -> None:
        """Move inline. A refusal is no failure of the put that led here: its entry is safe in the journal."""
        if not self._moving.acquire(blocking=False):
            return
        try:
            self._tidy(journal, shelf)
            self._limit = _ENTRIES
        except FileNotFoundError:
            raise  # somebody removed the folder, the entry with it
        except (StoreError, OSError):
            self._limit = (
                len(journal) + _ENTRIES
            )  # later; flush() and close() say what is the matter
        finally:
            self._moving.release()

    def _tidy(
        self, journal: Journal, shelf: Shelf, suspects: Sequence[Row] = ()
    ) -> None:
        """The shelf first, the file last: in between an entry is in both, never in neither."""
        for segment in journal.rotate():
            shelf.place(segment.live)
            journal.retire(segment)
        dead = list(journal.orphans())
        for segment in dead:
            shelf.place(segment.live)
        if suspects:
            shelf.recover([row for row in suspects if journal.get(row.key) is None])
        if dead or shelf.untidy:
            shelf.sweep()
        for segment in dead:
            segment.path.unlink(missing_ok=True)

    # --- opening

    def _opened(self) -> tuple[Journal, Shelf, KeyLocks | None]:
        with self._opening:
            if self._parts is None:
                try:
                    self._parts = self._open()
                except OSError as error:
                    raise refusal(error, "open the store", self._path) from error
            return self._parts

    def _open(self) -> tuple[Journal, Shelf, KeyLocks | None]:
        from nbflow._store.disk.shelf import Shelf

        self._writable = prepare(self._path)
        home = self._path / self._seal.fingerprint
        if not home.exists():
            self._explain_other_secrets(home)
        locks = None
        if self._writable:
            private_folder(home)
            private_folder(home / "journal")
            locks = KeyLocks.of(home / "locks")
        journal = Journal(
            home / "journal",
            self._seal,
            sync=self._power,
            writable=self._writable,
            report=self._report,
        )
        shelf = Shelf(
            home / "shelf",
            home / "guard",
            self._seal,
            power=self._power,
            timeout=self._timeout,
            writable=self._writable,
            report=self._report,
        )
        suspects = shelf.inspect()
        if self._writable:
            with contextlib.suppress(StoreError, OSError), self._moving:
                self._tidy(
                    journal, shelf, suspects
                )  # if it cannot be done now, the logs of the dead are read
        return journal, shelf, locks

    def _explain_other_secrets(self, home: Path) -> None:
        """Say once why everything would be computed again: the secret was lost, or this is another home."""
        # Not ours: another process may make it right now.
        if any(journal.parent != home for journal in self._path.glob("*/journal")):
            self._report(
                self.url,
                "its results were sealed with another secret and are not seen here. To see them, copy "
                "~/.config/nbflow/key from where they were made, or set NBFLOW_STORE_KEY as it was there",
            )

    def _again(self, error: OSError, doing: str, work: Callable[[], T]) -> T:
        """Do ``work`` in a new folder if somebody removed ours (``rm -rf .nbflow`` starts afresh); or refuse."""
        if not isinstance(error, FileNotFoundError):
            raise refusal(error, doing, self._path) from error
        self._start_over()
        try:
            return work()
        except OSError as second:
            raise refusal(second, doing, self._path) from second

    def _start_over(self) -> None:
        with self._opening:
            if self._parts is not None:
                self._parts[1].close()
            self._parts = None

    def _after_fork(self) -> None:
        """In a forked child: everything open belongs to the parent."""
        self._opening, self._moving = threading.RLock(), threading.Lock()
        if self._parts is not None:
            self._parts[0].abandon()
            self._leaked.append(self._parts[1])
            self._parts = None

    def _report(self, where: str, what: str) -> None:
        """Warn of damage, once for each place."""
        if where in self._reported or len(self._reported) > _REPORTS:
            return
        self._reported.add(where)
        if len(self._reported) > _REPORTS:
            where, what = (
                self.url,
                "there is more damage, which is not reported one by one",
            )
        warnings.warn(f"{where}: {what}.", StoreWarning, stacklevel=3)


_alive: weakref.WeakSet[DiskStore] = weakref.WeakSet()
_by_path: dict[tuple[Path, str], DiskStore] = {}
_finding = threading.Lock()


def open_disk(path: str | Path, *, durability: Durability = "process") -> DiskStore:
    """The store in the folder ``path``: the same object for the same folder, however it is spelled."""
    key = Path(path).resolve(), durability
    with _finding:
        if key not in _by_path:
            _by_path[key] = DiskStore(key[0], durability=durability)
        return _by_path[key]


def _close_all() -> None:
    for store in list(_alive):
        try:
            store.close()
        except StoreError as error:
            # Nothing is lost: who opens the store next finds the journal.
            warnings.warn(str(error), StoreWarning, stacklevel=1)


def _forked() -> None:
    global _finding  # noqa: PLW0603 - another thread of the parent may have held it
    _finding = threading.Lock()
    for store in list(_alive):
        store._after_fork()  # noqa: SLF001 - of this module


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forked)
