"""DiskStore: checkpoints in a folder, for every process of one machine that opens it.

A small entry is one write to the journal, which takes microseconds and survives ``kill
-9``; thousands of them move to the shelf at once, in a millisecond or two per hundred.
A large entry goes to the shelf directly. A reader looks in its own segments, then in
those of others, then on the shelf. Entries reach the shelf before they leave the
journal, so an entry is always found, wherever it is at that moment.

::

    .nbflow/
    ├── .gitignore           *
    └── <fingerprint>/       of the secret: with another one nobody reads or tidies this
        ├── guard            shared by writers; taken alone to delete or salvage
        ├── turnstile        held by who waits to be alone, so that writers let him
        ├── locks.d/         a byte for each key being worked on; locks: some of them,
        ├── locks            for processes of earlier versions
        ├── journal/*.log    the latest entries, by process
        └── shelf/           cache.db, ab/cd/*.val: a diskcache folder
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from nbflow._key.warning import warn
from nbflow._store import habitat, key_file
from nbflow._store.disk.audit import Audit, audit
from nbflow._store.disk.journal import Journal
from nbflow._store.disk.keylock import KeyLocks
from nbflow._store.disk.refused import Refused
from nbflow._store.folder import prepare, private_folder, refusal
from nbflow._store.seal import OVERHEAD, SMALL, Seal, load_secret
from nbflow._store.store import LostError
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow._store.disk.shelf import Shelf

__all__ = ["DiskStore", "open_disk"]

T = TypeVar("T")
Durability = Literal["process", "power"]
_Parts: TypeAlias = "tuple[Journal, Shelf, KeyLocks | None]"

#: Entries of a segment before it moves to the shelf. Bounds memory, and what other
#: processes read entry by entry.
_ENTRIES = 8000
_MEAN = 500  # bytes for each of them: a segment has at most 4 MB
#: Keys that are deleted at once, while nobody else writes: some milliseconds.
_AT_ONCE = 2000
#: Keys that look-ups did not find, as long as nobody has put them: 2 MB.
_MISSING = 20_000
#: Seconds that a fork waits for what is being read or written.
_REST = 5.0
_TORN = (
    "This process was forked while its parent waited for the store, so it cannot use "
    'it. Start it another way: multiprocessing.get_context("spawn"), or "forkserver".'
)
#: Warnings of one store. After that many the disk is plainly broken.
_REPORTS = 50


class DiskStore:
    """A store in the folder ``path``. Open it with ``open_disk``.

    See ``Store`` for what every store guarantees.

    Args:
        path: the folder, created at first use.
        secret: 32 bytes that sign every entry; the user's own by default.
        durability: ``"process"`` survives ``kill -9``; ``"power"`` adds an fsync per
            put, and survives a power failure.
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
        #: Of a parent process, possibly with connections that must not be closed here.
        self._leaked: list[Shelf] = []
        self._limit = _ENTRIES
        self._missing: set[str] = set()
        self._refused = Refused()
        self._parts: _Parts | None = None
        self._opening = threading.RLock()
        self._moving = threading.Lock()
        self._writable = True
        #: Whether the database was closed for a fork, and whether one came without that.
        self._rests = False
        self._is_torn = False
        _alive.add(self)

    # --- the Store protocol

    def get(self, key: str) -> bytes | None:
        """The bytes put under ``key``, or ``None``."""
        if self._refused and (data := self._refused.get(key)) is not None:
            return data
        try:
            return self._get(key)
        except OSError as error:
            return self._again(error, "read results", lambda: self._get(key))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those ``keys`` that are there, in bulk."""
        try:
            found = self._get_many(keys)
        except OSError as error:
            found = self._again(error, "read results", lambda: self._get_many(keys))
        if self._refused:
            refused = dict(self._refused)
            found.update((key, refused[key]) for key in keys if key in refused)
        return found

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data``; once this returns, it survives ``kill -9``."""
        try:
            self._put_somehow(key, data)
        except StoreError as error:
            if self._refused.keep(key, data):
                raise
            raise LostError(str(error)) from error
        if self._refused:
            self._refused.drop([key])
            self._refused.put_again(self._put_somehow)

    def _put_somehow(self, key: str, data: bytes) -> None:
        try:
            self._put(key, data)
        except OSError as error:
            self._again(error, "save a result", lambda: self._put(key, data))

    def delete(self, keys: Iterable[str]) -> int:
        """Forget ``keys``, also in the logs of other processes.

        Returns the number of those that were there.
        """
        wanted = list(dict.fromkeys(keys))
        self._refused.drop(wanted)
        if (parts := self._existing()) is None:
            return 0
        try:
            # Some at a time: others write in between.
            return sum(
                self._forget(parts, wanted[start : start + _AT_ONCE])
                for start in range(0, len(wanted), _AT_ONCE)
            )
        except OSError as error:
            raise refusal(error, "delete results", self._path) from error

    @staticmethod
    def _forget(parts: _Parts, keys: Sequence[str]) -> int:
        journal, shelf, _ = parts
        return shelf.forget(keys, lambda: journal.delete(keys))

    def give_back(self) -> None:
        """Give the disk back what deleted entries took, as far as nobody is in the way."""
        if (parts := self._existing()) is None or not self._writable:
            return
        journal, shelf, _ = parts
        if journal.buried > _AT_ONCE:
            with contextlib.suppress(StoreError):
                self.flush()
        shelf.give_back()

    def scrub(self) -> None:
        """Leave nothing of deleted keys in any file, those of other processes included.

        Raises:
            StoreError: it was refused; what is not scrubbed may be in a file still.
        """
        if (parts := self._existing()) is None or not self._writable:
            return
        journal, shelf, _ = parts
        self.flush()
        try:
            journal.scrub()
            shelf.sweep()
            shelf.scrub()
        except OSError as error:
            raise refusal(error, "erase results", self._path) from error

    def audit(self, *, repair: bool = False) -> Audit:
        """Read and verify everything; ``repair`` removes what cannot be read, so that it is a plain miss.

        Of a store that is not there yet nothing is damaged.
        """
        if (parts := self._existing()) is None:
            return Audit(0, [], [], [], "")
        journal, shelf, _ = parts
        try:
            found = audit(journal, shelf)
            if repair and self._writable:
                self.delete(found.damaged)
                shelf.sweep()
                shelf.drop_copies()
                self.give_back()
        except OSError as error:
            raise refusal(error, "check the store", self._path) from error
        return found

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""
        if (parts := self._existing()) is None:
            return
        journal, shelf, _ = parts
        try:
            # The journal first: what moves to the shelf meanwhile is skipped there, not
            # missed.
            fresh = journal.keys() | self._refused.keys()
            yield from fresh
            stored = shelf.keys()
            yield from (key for key in stored if key not in fresh)
        except OSError as error:
            raise refusal(error, "read results", self._path) from error

    def lock(self, key: str) -> bool:
        """Try to become the one process that works on ``key``.

        Granted without a lock in a read-only folder.
        """
        _, _, locks = self._parts or self._opened()
        return locks is None or locks.lock(key)

    def holder(self, key: str) -> int | None:
        """The process that works on ``key``."""
        _, _, locks = self._parts or self._opened()
        return locks.holder(key) if locks is not None else None

    def unlock(self, key: str) -> None:
        """Give ``key`` back."""
        _, _, locks = self._parts or self._opened()
        if locks is not None:
            locks.unlock(key)

    def flush(self) -> None:
        """Move the journal to the shelf, including what dead processes left there."""
        journal, shelf, _ = self._opened()
        if not self._writable:
            return
        self._refused.put_again(self._put_somehow, at_once=True)
        try:
            with self._moving:
                self._tidy(journal, shelf)
        except FileNotFoundError:
            self._start_over()  # somebody removed the folder: nothing is left to move
        except OSError as error:
            raise refusal(error, "tidy up", self._path) from error

    def close(self) -> None:
        """Flush and release files; the next call opens them again."""
        with self._opening:
            if self._parts is None:
                return
            _, shelf, _ = self._parts
            # If this is refused, everything stays open, to be closed another time.
            self.flush()
            # What another thread puts right now is in a segment that nobody owns, and
            # the next opening finds it.
            self._parts = None
            shelf.close()

    @property
    def unsaved(self) -> int:
        """The number of values that were refused and are in memory."""
        return len(self._refused)

    # --- the work

    def _get(self, key: str) -> bytes | None:
        if (parts := self._parts or self._existing()) is None:
            return None
        journal, shelf, _ = parts
        data = journal.get(key)
        if data is None:
            data = shelf.get(key)
        if data is None:
            self._note_missing((key,))
        return data

    def _get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        if (parts := self._parts or self._existing()) is None:
            return {}
        journal, shelf, _ = parts
        data = journal.get_many(keys)
        rest = [key for key in keys if key not in data] if data else keys
        data.update(shelf.get_many(rest))
        self._note_missing(key for key in rest if key not in data)
        return data

    def _note_missing(self, keys: Iterable[str]) -> None:
        if len(self._missing) > _MISSING:
            self._missing.clear()
        self._missing.update(keys)

    def _replaced(self, key: str, journal: Journal, shelf: Shelf) -> int:
        """The stamp of what a put of ``key`` replaces; 0 for nothing.

        Most often nothing, as a look-up has just said, and then this costs nothing.
        """
        try:
            self._missing.remove(key)
        except KeyError:
            # If the shelf refuses, the clock has to do, as between processes.
            with contextlib.suppress(StoreError):
                return max(journal.stamp(key), shelf.stamp(key))
        return 0

    def _put(self, key: str, data: bytes) -> None:
        journal, shelf, _ = self._parts or self._opened()
        over = self._replaced(key, journal, shelf)
        if len(data) + OVERHEAD > SMALL:
            # If we die midway, our segment shows that there is something to sweep.
            journal.begin()
            shelf.place_file(key, self._seal.parts(key, data, over=over))
            journal.bury(key)
            return
        segment = journal.append(key, self._seal.seal(key, data, over=over))
        if len(segment.index) >= self._limit or segment.end >= self._limit * _MEAN:
            self._move(journal, shelf)

    def _move(self, journal: Journal, shelf: Shelf) -> None:
        """Move the journal now.

        A refusal does not fail the put that led here: its entry is safe in the journal.
        """
        if not self._moving.acquire(blocking=False):
            return
        try:
            self._tidy(journal, shelf)
            self._limit = _ENTRIES
        except FileNotFoundError:
            raise  # somebody removed the folder, the entry with it
        except (StoreError, OSError):
            # Try again later; flush() and close() say what is wrong.
            self._limit = len(journal) + _ENTRIES
        finally:
            self._moving.release()

    @staticmethod
    def _tidy(journal: Journal, shelf: Shelf) -> None:
        """Move to the shelf first, and remove the file last.

        In between an entry is in both, never in neither.
        """
        suspects = shelf.inspect()
        for segment in journal.rotate():
            shelf.place(segment.live)
            journal.retire(segment)
        dead = list(journal.orphans())
        for segment in dead:
            shelf.place(segment.live)
        if suspects:
            shelf.recover([row for row in suspects if journal.get(row.key) is None])
        if (dead or shelf.untidy) and shelf.sweep():
            # Until then they show that there is something to sweep.
            for segment in dead:
                segment.path.unlink(missing_ok=True)

    # --- opening

    def _existing(self) -> _Parts | None:
        """Open the store to read, unless it is not there: reading makes no folder."""
        with contextlib.suppress(OSError):  # `_opened` says what is wrong
            if self._parts is None and not self._path.exists():
                return None
        return self._opened()

    def _opened(self) -> _Parts:
        with self._opening:
            if self._is_torn:
                raise StoreError(_TORN)
            if self._parts is None:
                try:
                    self._parts = self._open()
                except OSError as error:
                    raise refusal(error, "open the store", self._path) from error
            return self._parts

    def _open(self) -> _Parts:
        from nbflow._store.disk.shelf import Shelf

        self._writable = prepare(self._path)
        if self._writable and (why := habitat.unfit(self._path)) is not None:
            self._report(f"{self.url}{os.sep}", why)
        home = self._path / self._seal.fingerprint
        if not home.exists():
            self._explain_other_keys()
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
        if self._writable:
            # If it cannot be done now, the logs of dead processes are read where they
            # are.
            with contextlib.suppress(StoreError, OSError), self._moving:
                self._tidy(journal, shelf)
        return journal, shelf, locks

    def _explain_other_keys(self) -> None:
        """Say once why everything would be computed again.

        The secret was lost, or this is another home directory.
        """
        # Not in ours: another process may be creating it right now.
        mine = self._seal.fingerprint
        if theirs := key_file.others(self._path, mine):
            self._report(self.url, key_file.explained(mine, theirs))

    def _again(self, error: OSError, doing: str, work: Callable[[], T]) -> T:
        """Do ``work`` in a new folder if somebody removed ours, else refuse.

        ``rm -rf .nbflow`` starts afresh.
        """
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
                _, shelf, _ = self._parts
                shelf.close()
            self._parts = None

    def before_fork(self) -> None:
        """Have the database closed, and nobody about to open it."""
        self._rests = self._opening.acquire(timeout=_REST)
        if self._rests and self._parts is not None:
            _, shelf, _ = self._parts
            self._rests = shelf.rest(_REST)
            if not self._rests:
                self._opening.release()

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        if not self._rests:
            return
        if self._parts is not None:
            _, shelf, _ = self._parts
            shelf.wake()
        self._opening.release()

    def after_fork(self) -> None:
        """In a forked child: leave to the parent everything that is open."""
        self._is_torn |= not self._rests
        self._refused = Refused()  # the parent tries again
        self._opening = threading.RLock()
        self._moving = threading.Lock()
        if self._parts is not None:
            journal, shelf, _ = self._parts
            journal.abandon()
            self._leaked.append(shelf)
            self._parts = None

    def _report(self, where: str, what: str) -> None:
        """Warn of damage, once for each place."""
        if where in self._reported or len(self._reported) > _REPORTS:
            return
        self._reported.add(where)
        if len(self._reported) > _REPORTS:
            where = self.url
            what = "there is more damage, which is not reported one by one"
        warn(f"{where}: {what}.", StoreWarning)


_alive: weakref.WeakSet[DiskStore] = weakref.WeakSet()
_by_path: dict[tuple[Path, str], DiskStore] = {}
_finding = threading.Lock()
_forking = threading.Lock()


def open_disk(path: str | Path, *, durability: Durability = "process") -> DiskStore:
    """The store in the folder ``path``.

    The same object for the same folder, however the path is written.
    """
    folder = Path(path).resolve()
    with _finding:
        store = _by_path.get((folder, durability))
        if store is None:
            store = DiskStore(folder, durability=durability)
            _by_path[folder, durability] = store
        return store


def _close_all() -> None:
    for store in list(_alive):
        try:
            store.close()
        except StoreError as error:
            # Nothing is lost: whoever opens the store next finds the journal.
            warn(str(error), StoreWarning)
        if store.unsaved:
            text = (
                f"{store.url}: {store.unsaved:,} values could not be saved to the end."
            )
            warn(text, StoreWarning)


_resting: list[DiskStore] = []


def _before_fork() -> None:
    # Two threads do not fork at once: the interpreter lock is given up in between.
    _forking.acquire()
    _resting.extend(_alive)
    for store in _resting:
        store.before_fork()


def _after_fork_in_parent() -> None:
    for store in _resting:
        store.after_fork_in_parent()
    _resting.clear()
    _forking.release()


def _forked() -> None:
    global _finding  # noqa: PLW0603  # another thread of the parent may have held it
    _finding = threading.Lock()
    for store in list(_alive):
        store.after_fork()
    _resting.clear()
    _forking.release()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_forked,
    )
