"""Journal: where small entries land first, one write(2) each.

Later the shelf takes them over in bulk. Every process appends to its own segment,
``<random>.log``, and reads those of all the others. A segment consists of sealed
entries, end to end; it only grows, is never used again once it was moved to the shelf,
and its writer holds its flock. So if the flock of a segment can be taken, its process
is dead, and a descriptor that outlives the file's name still reads the right bytes.

The files are the truth; memory only keeps where each entry is. That bounds memory, and
lets a process mark an entry in another's segment as deleted (or replaced): it writes
``DEAD`` over the magic, and the owner sees it at its next read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from nbflow._store.folder import lock_file, open_private, sync_file, sync_folder
from nbflow._store.seal import DEAD, OVERHEAD, Seal, stamp_of, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Journal", "Segment"]

#: Nanoseconds for which the time of a folder's last change cannot be trusted: file
#: systems count in ticks, so a second change within the tick of the listing leaves no
#: trace. (The racy-clean rule of git.)
_UNTRUSTED = 20_000_000

_NEW = ".new-"

#: The inode of a folder and the time of its change.
Mark: TypeAlias = "tuple[int, int]"


class Segment:
    """One log: our own, which we append to, or another process's, which we follow."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        #: Where our next entry goes; in another's log, how far its entries are known.
        self.end = 0
        #: Start and size of each key's entry.
        self.index: dict[str, tuple[int, int]] = {}
        #: The size of another's file when we last looked.
        self._size = 0

    def close(self, _close: Callable[[int], None] = os.close) -> None:
        """Close the file. Left to ``__del__``: another thread may be about to read."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            _close(fd)

    __del__ = close

    @classmethod
    def create(cls, path: Path) -> Segment:
        """A new segment of our own.

        It gets its name once it is locked, or it would look like a dead process's.
        """
        fresh = path.with_name(_NEW + path.name)
        while True:
            fd = open_private(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            segment = cls(path, fd)
            try:
                # Another process that tidies may have removed it just before we locked
                # it: then try again.
                if lock_file(segment.fd) and os.fstat(segment.fd).st_nlink:
                    fresh.rename(path)
                    return segment
            except OSError:
                # Without its lock it is litter, which the next to tidy removes.
                segment.close()
                with contextlib.suppress(OSError):
                    fresh.unlink()
                raise

    @classmethod
    def follow(cls, path: Path, *, writable: bool) -> Segment:
        """Another process's segment."""
        return cls(path, open_private(path, os.O_RDWR if writable else os.O_RDONLY))

    def append(self, key: str, sealed: bytes, *, sync: bool) -> None:
        """Add an entry; from now on it survives ``kill -9``, with ``sync`` a power failure.

        Written at a position, not at the end of the file: the next entry overwrites
        what a failed or interrupted write has left, instead of following it.
        """
        size = len(sealed)
        try:
            done = os.pwrite(self.fd, sealed, self.end)
            # A full disk takes a part first, and fails at the next byte.
            while done < size:
                done += os.pwrite(self.fd, sealed[done:], self.end + done)
            if sync:
                sync_file(self.fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self.end)
            raise
        self.index[key] = self.end, size
        self.end += size

    def read(self, key: str) -> bytes | None:
        """The sealed entry of ``key`` as it is on disk, ``None`` if it is not here."""
        place = self.index.get(key)
        if place is None:
            return None
        start, size = place
        blob = os.pread(self.fd, size, start)
        return None if blob[:4] == DEAD else blob

    def bury(self, key: str) -> bool:
        """Mark the entry of ``key`` as deleted; returns whether there was one."""
        alive = self.read(key) is not None
        if alive:
            start, _ = self.index[key]
            os.pwrite(self.fd, DEAD, start)
        return alive

    def scrub(self, seal: Seal) -> None:
        """Overwrite what deleted entries held."""
        blob = os.pread(self.fd, os.fstat(self.fd).st_size, 0)
        for entry in seal.walk(blob):
            if entry.dead:
                nothing = bytes(entry.end - entry.start - OVERHEAD)
                sealed = seal.seal(entry.key, nothing)
                os.pwrite(self.fd, DEAD + sealed[len(DEAD) :], entry.start)

    def live(self) -> list[tuple[str, bytes]]:
        """Every entry that is not deleted, as it is on disk."""
        blob = os.pread(self.fd, self.end, 0)
        places = self.index.items()
        found = [(key, blob[start : start + size]) for key, (start, size) in places]
        if DEAD in blob:
            found = [(key, sealed) for key, sealed in found if sealed[:4] != DEAD]
        return found

    def catch_up(self, seal: Seal) -> bool:
        """Learn what was appended since; returns whether any of it was damaged.

        That is, something between intact entries.
        """
        size = os.fstat(self.fd).st_size
        if size == self._size:
            return False
        self._size = size
        blob = os.pread(self.fd, size - self.end, self.end)
        damaged = False
        known = 0
        for entry in seal.walk(blob):
            damaged |= entry.start != known
            known = entry.end
            if entry.dead:
                self.index.pop(entry.key, None)
            else:
                size = entry.end - entry.start
                self.index[entry.key] = self.end + entry.start, size
        self.end += known
        return damaged

    def torn(self) -> bool:
        """Whether what follows the last intact entry is more than a last write that was cut short."""
        size = os.fstat(self.fd).st_size
        rest = os.pread(self.fd, size - self.end, self.end)
        return bool(rest) and not unfinished(rest)


class Journal:
    """The segments of one store: our own, to write, and those of other processes, to read."""

    def __init__(
        self,
        folder: Path,
        seal: Seal,
        *,
        sync: bool,
        writable: bool,
        report: Callable[[str, str], None],
    ) -> None:
        self._folder = folder
        self._name = str(folder)
        self._seal = seal
        self._sync = sync
        self._writable = writable
        self._report = report
        self._writing = threading.Lock()
        self._watching = threading.Lock()
        #: What we append to; one of ``_own``.
        self._current: Segment | None = None
        #: The newest comes first.
        self._own: tuple[Segment, ...] = ()
        self._others: tuple[Segment, ...] = ()
        #: The names of every segment that we ever created.
        self._names: set[str] = set()
        #: The folder's inode and time of change when it was listed.
        self._listed: Mark | None = None
        #: The same, if ours were the only segments then; otherwise nothing. Whoever
        #: writes to the shelf has a segment: as long as the mark stays what it is,
        #: nobody else has.
        self.mark: Mark | None = None
        #: Entries that were deleted in our segments since these were new.
        self.buried = 0

    def __len__(self) -> int:
        """Entries in our segments."""
        return sum(len(segment.index) for segment in self._own)

    def abandon(self) -> None:
        """In a forked child: close the parent's segments, or their locks outlive it."""
        for segment in (*self._own, *self._others):
            segment.close()

    # --- writing

    def append(self, key: str, sealed: bytes) -> Segment:
        """Add an entry to our segment, and bury what it replaces in those of others.

        Raises:
            OSError: the disk refused; nothing was added, and the next entry may still
                succeed.
        """
        with self._writing:
            segment = self._current or self._begin()
            segment.append(key, sealed, sync=self._sync)
        if self._others:
            # If this is refused, the stamps decide when both are moved.
            with contextlib.suppress(OSError):
                self._bury(key, self._others)
        return segment

    def bury(self, key: str) -> None:
        """Mark the entries of ``key`` as replaced: the shelf has a newer one."""
        self._bury(key, (*self._own, *self._others))

    @staticmethod
    def _bury(key: str, segments: tuple[Segment, ...]) -> None:
        for segment in segments:
            if key in segment.index:
                segment.bury(key)

    def begin(self) -> None:
        """Make sure that we have a segment: if we die, it shows that something is left."""
        with self._writing:
            if self._current is None:
                self._begin()

    def _begin(self) -> Segment:
        name = f"{os.urandom(8).hex()}.log"
        self._names.add(name)
        self._current = segment = Segment.create(self._folder / name)
        self._own = (segment, *self._own)
        if self._sync:
            sync_folder(self._folder)
        return segment

    def rotate(self) -> tuple[Segment, ...]:
        """Our segments so far, which get no further entries.

        Move them to the shelf, then `retire` them.
        """
        with self._writing:
            self._current, self.buried = None, 0
            return self._own

    def retire(self, segment: Segment) -> None:
        """Remove a segment whose entries are all on the shelf."""
        segment.path.unlink(missing_ok=True)
        with self._writing:
            self._own = tuple(own for own in self._own if own is not segment)

    def announce(self) -> None:
        """Have others notice that something came to the shelf which no segment had."""
        with contextlib.suppress(OSError):  # else they compute it again
            os.utime(self._folder)

    def delete(self, keys: Iterable[str]) -> set[str]:
        """Bury ``keys`` in every segment; returns those that were there.

        Only while no segment is being moved.
        """
        with self._watching:
            self._refresh()
        segments = (*self._own, *self._others)
        found = set()
        for key in keys:
            for segment in segments:
                if segment.bury(key):
                    found.add(key)
        self.buried += len(found)
        return found

    def scrub(self) -> None:
        """Overwrite what deleted entries held, in the segments of others, too.

        Each stays an entry that verifies, of the same length, and says nothing.
        """
        with self._watching:
            self._listed = None
            self._refresh()
        for segment in (*self._own, *self._others):
            segment.scrub(self._seal)

    # --- reading

    def get(self, key: str) -> bytes | None:
        """The data of ``key`` if a segment has it; the newest if several have.

        Raises:
            FileNotFoundError: the folder was removed.
        """
        for segment in self._own:
            if key in segment.index:
                data = self._open(segment, key)
                if data is not None:
                    return data
        self._look()
        if not self._others:
            return None
        found = [blob for segment in self._others if (blob := segment.read(key))]
        found.sort(key=stamp_of, reverse=True)
        for blob in found:
            data = self._seal.unseal(key, blob)
            if data is not None:
                return data
        return None

    def stamp(self, key: str) -> int:
        """The latest stamp that segments have for ``key``; 0 if none has it."""
        self._look()
        segments = (*self._own, *self._others)
        found = (segment.read(key) for segment in segments)
        return max((stamp_of(blob) for blob in found if blob), default=0)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The data of those ``keys`` that segments have."""
        self._look()
        segments = (*self._own, *self._others)
        found: dict[str, bytes] = {}
        if not segments:
            return found
        for segment in segments:
            for key in [key for key in keys if key in segment.index]:
                if key not in found and (data := self.get(key)) is not None:
                    found[key] = data
        return found

    def keys(self) -> set[str]:
        """Every key that is in a segment and not deleted."""
        with self._watching:
            self._refresh()
        found: set[str] = set()
        for segment in (*self._own, *self._others):
            found.update(key for key in list(segment.index) if segment.read(key))
        return found

    def orphans(self) -> Iterator[Segment]:
        """The segments of dead processes, locked for us.

        Whoever gets one moves and removes it.
        """
        with self._watching:
            self._listed = None
            self._refresh()
        for segment in self._others:
            # We have its lock, but another process may have moved and removed it just
            # before.
            if lock_file(segment.fd) and os.fstat(segment.fd).st_nlink:
                with self._watching:
                    damaged = segment.catch_up(self._seal)
                if damaged or segment.torn():
                    self._report_damage(segment)
                yield segment
        for path in self._folder.glob(f"{_NEW}*"):
            with contextlib.suppress(FileNotFoundError):
                unnamed = Segment.follow(path, writable=True)
                if lock_file(unnamed.fd):
                    path.unlink()

    def _open(self, segment: Segment, key: str) -> bytes | None:
        blob = segment.read(key)
        if blob is None:
            return None
        data = self._seal.unseal(key, blob)
        if data is None:
            self._report(f"{segment.path}:{key}", "an entry does not verify")
        return data

    def _look(self) -> None:
        """Notice what others have done; most often nothing, and that takes no lock."""
        try:
            if self.mark is not None and self.mark == _mark_of(self._name):
                return
        except FileNotFoundError:
            pass  # `_refresh` knows what that means
        with self._watching:
            self._refresh()

    def _refresh(self) -> None:
        """Notice new, grown and removed segments.

        Costs a stat of the folder, and one of each segment that is open.
        """
        try:
            seen = inode, changed = _mark_of(self._name)
        except FileNotFoundError:
            if self._writable:
                raise
            return  # a read-only store, in which we have no part
        if seen != self._listed:
            self.mark = None
            if self._listed and self._listed[0] != inode:
                where = str(self._folder)
                raise FileNotFoundError(errno.ENOENT, "the folder was replaced", where)
            self._list()
            is_old = time.time_ns() - changed > _UNTRUSTED
            self._listed = seen if is_old else (inode, 0)
            self.mark = seen if is_old and not self._others else None
        for segment in self._others:
            if segment.catch_up(self._seal):
                self._report_damage(segment)

    def _list(self) -> None:
        """Follow the segments that are new in the folder, and drop those that are gone."""
        new = set()
        for name in os.listdir(self._folder):  # noqa: PTH208  # faster than a Path each
            if name.endswith(".log") and not name.startswith(_NEW):
                new.add(name)
        new -= self._names
        followed = [segment for segment in self._others if segment.path.name in new]
        new -= {segment.path.name for segment in followed}
        for name in new:
            # It may have been moved and removed since the listing.
            with contextlib.suppress(FileNotFoundError):
                path = self._folder / name
                followed.append(Segment.follow(path, writable=self._writable))
        self._others = tuple(followed)

    def _report_damage(self, segment: Segment) -> None:
        what = "part of this log is damaged and was skipped"
        self._report(str(segment.path), what)


def _mark_of(folder: str) -> Mark:
    status = os.stat(folder)  # noqa: PTH116  # on the path of every miss
    return status.st_ino, status.st_mtime_ns
