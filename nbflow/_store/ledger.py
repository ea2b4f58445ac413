"""Ledger: the journal of runs, append-only, with a folder for each run.

Any process may read while one writes. A file is a sequence of frames, each a length and
a sealed block (`nbflow._store.seal`). A block that a crash cut short, or that is
damaged, is noticed, and reading ends there: at worst the ledger loses notes.
``entries`` holds blocks of `nbflow._core.entry` entries, ``records`` the batch that was
sent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import struct
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from blake3 import blake3

from nbflow._key import fork
from nbflow._key.warning import warn
from nbflow._store import ledger_lines
from nbflow._store.folder import (
    prepare,
    private_folder,
    refusal,
    sync_file,
    sync_folder,
)
from nbflow._store.inbox import DiskInbox
from nbflow._store.ledger_lines import ABOUT, ABOUT_TAGS, entry_of
from nbflow._store.spans import Spans
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nbflow._core.entry import Entry
    from nbflow._store.inbox import Inbox
    from nbflow._store.seal import Seal

_LENGTH = struct.Struct("<I")
#: Folders of runs that are no longer listed.
_GONE = "gone-"
#: The folder of batches that outlive their run.
_ASIDE = "batches"
#: Runs whose spans are remembered.
_SPANS = 16


class Ledger(Protocol):
    """Where runs are noted. The ids of runs sort by the time at which they began."""

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries``; raises `StoreError` if they cannot be written."""

    def read(self, run: str, start: int = 0) -> tuple[list[Entry], int]:
        """The entries from position ``start``, and the position to continue from."""

    def blocks(self, run: str, start: int = 0) -> Iterator[tuple[list[Entry], int]]:
        """What `read` gives, block by block, each with the position behind it.

        A long run need not be in memory as a whole.
        """

    def ends(self, run: str) -> list[Entry]:
        """The first entries and the last ones.

        This is what a list of runs needs, whatever the run's size.
        """

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record."""

    def size(self, run: str) -> int:
        """A number that grows with each entry: while it stays, nothing is new."""

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""

    def add_records(self, run: str, block: bytes) -> None:
        """Keep a block of the batch that was sent."""

    def records(self, run: str) -> Iterator[bytes]:
        """The blocks of the batch, in order."""

    def remove(self, run: str) -> None:
        """Forget a run; raises `StoreError` if that is refused.

        Nobody may work on it.
        """

    def sweep(self) -> None:
        """Finish what somebody who removed a run was killed at."""

    def torn(self, run: str, *, cut: bool = False) -> list[str]:
        """What of a run does not verify, in words; ``cut`` removes it.

        Nobody may work on the run meanwhile.
        """

    def rewrite(
        self, run: str, what: str, change: Callable[[bytes], bytes | None]
    ) -> None:
        """Put another block in the place of each, or none; nobody may work on the run.

        Args:
            run: its id.
            what: ``"entries"``, whose blocks keep their lengths, or ``"records"``.
            change: is given each block.
        """

    def set_aside(self, run: str) -> None:
        """Move the batch of a run to the journal ``batches``, where it outlives the run."""

    def bytes_of(self, run: str) -> int:
        """What the run takes."""

    def ask_to_stop(
        self,
        run: str,
        asked: bool = True,  # noqa: FBT001, FBT002  # reads like a switch
    ) -> None:
        """Record a request to cancel ``run``, or take it back.

        The process that works on the run finds it.
        """

    def is_asked_to_stop(self, run: str) -> bool:
        """Whether there is such a request."""

    def beside(self, name: str) -> Ledger:
        """A journal of something else in the same place.

        Each of its blocks is synced to the disk.
        """

    def inbox(self) -> Inbox:
        """The events from outside, in the same place."""


class FileLedger:
    """A ledger in a folder beside the store."""

    def __init__(self, folder: Path, seal: Seal, *, sync: bool = False) -> None:
        self._folder = folder
        self._seal = seal
        self._sync = sync
        #: Of runs made with another key one is told of, or a moved store tells of all.
        self._has_told_key = False
        self._mutex = fork.free_lock()
        self._ends: dict[Path, int] = {}
        #: Of the runs that were read or written last.
        self._spans: OrderedDict[str, Spans] = OrderedDict()

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries`` in one block."""
        start, end = self._write(run, "entries", ledger_lines.encode(entries))
        self._spans_of(run).note(start, end, _records(entries))

    def read(self, run: str, start: int = 0) -> tuple[list[Entry], int]:
        """The entries from position ``start``, and the position to continue from."""
        entries: list[Entry] = []
        for block, end in self.blocks(run, start):
            entries += block
            start = end
        return entries, start

    def blocks(self, run: str, start: int = 0) -> Iterator[tuple[list[Entry], int]]:
        """The entries of each block from position ``start``, with the position behind it."""
        spans = self._spans_of(run)
        for block, end in self._blocks(run, "entries", start):
            found = [entry_of(line) for line in ledger_lines.decode(block)]
            spans.note(start, end, _records(found))
            yield found, end
            start = end

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record.

        Each block is looked through once; after that, only those are read that may be
        about the record.
        """
        spans = self._spans_of(run)
        start = spans.end
        for block, end in self._blocks(run, "entries", start):
            lines = ledger_lines.decode(block)
            records = [line[1] for line in lines if line[0] in ABOUT_TAGS]
            spans.note(start, end, records)
            start = end
        found: list[Entry] = []
        for start in spans.around(record):
            found += [
                entry_of(line)
                for line in self._lines_at(run, start)
                if line[0] in ABOUT_TAGS and line[1] == record
            ]
        return found

    def _lines_at(self, run: str, start: int) -> list[list[Any]]:
        """The lines of the block at ``start``; none if it does not verify."""
        for block, _ in self._blocks(run, "entries", start):
            return ledger_lines.decode(block)
        return []

    def _spans_of(self, run: str) -> Spans:
        with self._mutex:
            spans = self._spans.setdefault(run, Spans())
            self._spans.move_to_end(run)
            while len(self._spans) > _SPANS:
                self._spans.popitem(last=False)
        return spans

    def ends(self, run: str) -> list[Entry]:
        """The entries of the first block and of the last one.

        The blocks between them are skipped.
        """
        path = self._path(run, "entries")
        with _readable(path):
            last = _last_block(path)
        lines = self._lines_at(run, 0)
        if last and lines:
            lines += self._lines_at(run, last)
        return [entry_of(line) for line in lines]

    def size(self, run: str) -> int:
        """The size of the file."""
        path = self._path(run, "entries")
        with _readable(path):
            return self._size(path)

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        if not self._folder.is_dir():
            return []
        with _readable(self._folder):
            found = [each.name for each in os.scandir(self._folder) if each.is_dir()]
        return sorted(found)

    def add_records(self, run: str, block: bytes) -> None:
        """Keep a block of the batch."""
        self._write(run, "records", block)

    def records(self, run: str) -> Iterator[bytes]:
        """The blocks of the batch, in order."""
        for block, _ in self._blocks(run, "records", 0):
            yield bytes(block)

    def remove(self, run: str) -> None:
        """Remove the folder of a run: at once from every list of runs, then from the disk."""
        folder = self._path(run, "entries").parent
        gone = self._folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
        try:
            with contextlib.suppress(FileNotFoundError):
                folder.rename(gone)
            self.sweep()
        except OSError as error:
            raise refusal(error, f"delete run {run}", folder) from error
        with self._mutex:
            self._spans.pop(run, None)
            for path in [path for path in self._ends if path.parent == folder]:
                del self._ends[path]

    def sweep(self) -> None:
        """Remove from the disk what was removed from the lists before a process died."""
        for left in self._folder.parent.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)

    def torn(self, run: str, *, cut: bool = False) -> list[str]:
        """What does not verify from some byte on, each file in words; ``cut`` removes that."""
        found = []
        for what in ("entries", "records"):
            path, end = self._path(run, what), 0
            for _, behind in self._blocks(run, what, 0, is_quiet=True):
                end = behind
            size = self._size(path)
            if end == size:
                continue
            found.append(f"{path} from byte {end:,} of {size:,}")
            if cut:
                os.truncate(path, end)
                _discard(path)
        return found

    def rewrite(
        self, run: str, what: str, change: Callable[[bytes], bytes | None]
    ) -> None:
        """Write the file anew beside the old one, and put it in its place.

        Blocks of entries keep their lengths, so that who follows the run goes on where
        he was.
        """
        if self._path(run, what).exists():
            blocks = (bytes(block) for block, _ in self._blocks(run, what, 0))
            changed = (block for each in blocks if (block := change(each)) is not None)
            self._replace(run, what, changed)

    def set_aside(self, run: str) -> None:
        """Move the file: its blocks verify there as well."""
        path = self._path(run, "records")
        target = self._folder.with_name(_ASIDE) / run / path.name
        try:
            for folder in (target.parent.parent, target.parent):
                private_folder(folder)
            with contextlib.suppress(FileNotFoundError):
                path.replace(target)
        except OSError as error:
            raise refusal(error, f"keep the batch of run {run}", path) from error

    def _replace(self, run: str, what: str, blocks: Iterable[bytes]) -> None:
        path = self._path(run, what)
        fresh = path.with_name(f"{what}.new")
        try:
            with self._mutex:
                end = self._write_anew(run, what, fresh, blocks)
                fresh.replace(path)
                self._ends[path] = end
                self._spans.pop(run, None)
        except OSError as error:
            raise refusal(error, f"rewrite run {run}", path) from error
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _write_anew(
        self, run: str, what: str, fresh: Path, blocks: Iterable[bytes]
    ) -> int:
        """Write a file of these blocks; returns its size."""
        end = 0
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for block in blocks:
                frame = self._frame(run, what, end, block)
                _write_all(fd, frame, end)
                end += len(frame)
            sync_file(fd)
        finally:
            os.close(fd)
        return end

    def _frame(self, run: str, what: str, start: int, block: bytes) -> bytes:
        """A block as it stands at ``start``."""
        sealed = bytes(self._seal.seal(self._name(run, what, start), block))
        return _LENGTH.pack(len(sealed)) + sealed

    def bytes_of(self, run: str) -> int:
        """The size of its files."""
        folder = self._path(run, "entries").parent
        return sum(self._size(file) for file in folder.glob("*"))

    def ask_to_stop(
        self,
        run: str,
        asked: bool = True,  # noqa: FBT001, FBT002  # as the protocol has it
    ) -> None:
        """Record a request to cancel ``run``, or take it back.

        The request is an empty file, which any process finds.
        """
        path = self._path(run, "stop")
        try:
            if asked:
                _touch(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"Could not ask run {run} to stop: {path}: {error.strerror or error}."
            ) from error

    def is_asked_to_stop(self, run: str) -> bool:
        """Whether there is such a request."""
        return self._path(run, "stop").exists()

    def beside(self, name: str) -> Ledger:
        """A journal of something else in the same place.

        Each of its blocks is synced to the disk.
        """
        return FileLedger(self._folder.with_name(name), self._seal, sync=True)

    def inbox(self) -> DiskInbox:
        """The events from outside, in the same place."""
        return DiskInbox(self._folder.with_name("inbox"), self._seal)

    def _path(self, run: str, what: str) -> Path:
        if not run or not run.replace("-", "").isalnum():
            raise StoreError(f"{run!r} is not the id of a run.")
        return self._folder / run / what

    def _name(self, run: str, what: str, start: int) -> str:
        """The key of a block, which verifies only in its own place.

        Blocks cannot be swapped, nor taken from another run.
        """
        place = f"nbflow ledger {run}/{what}@{start}"
        return blake3(place.encode()).hexdigest(length=20)

    def _write(self, run: str, what: str, block: bytes) -> tuple[int, int]:
        path = self._path(run, what)
        with self._mutex:
            try:
                end = self._ends.get(path)
                if end is None or end != self._size(path):
                    # Another process has written since, or nobody has.
                    end = self._open(run, what, path)
                frame = self._frame(run, what, end, block)
                self._write_frame(path, frame, end)
            except OSError as error:
                if path not in self._ends:
                    _discard(path)
                raise StoreError(
                    f"The ledger at {path} could not be written "
                    f"({error.strerror or error}); free space or check the folder's "
                    "permissions."
                ) from error
            self._ends[path] = end + len(frame)
            return end, end + len(frame)

    def _write_frame(self, path: Path, frame: bytes, end: int) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(file, frame, end)
            if self._sync:
                sync_file(file)
        except OSError:
            # The next block must not stand behind half of this one.
            os.ftruncate(file, end)
            raise
        finally:
            os.close(file)

    def _open(self, run: str, what: str, path: Path) -> int:
        """Create the file, or cut off what a crash left; returns where to write."""
        prepare(self._folder.parent)
        for folder in (self._folder, path.parent):
            private_folder(folder)
        _touch(path)
        end = 0
        for _, behind in self._blocks(run, what, 0):
            end = behind
        os.truncate(path, end)
        if self._sync:
            sync_folder(path.parent)
            sync_folder(self._folder)
        return end

    def _blocks(
        self, run: str, what: str, start: int, *, is_quiet: bool = False
    ) -> Iterator[tuple[memoryview, int]]:
        """The blocks from ``start`` that verify, each with the position behind it."""
        path = self._path(run, what)
        try:
            with path.open("rb") as file:
                file.seek(start)
                while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                    (length,) = _LENGTH.unpack(head)
                    sealed = file.read(length)
                    if len(sealed) < length:
                        return  # still being written, or cut short by a crash
                    block = self._seal.unseal(self._name(run, what, start), sealed)
                    if block is None:
                        if not is_quiet:
                            self._say_damage(run, path, start)
                        return
                    start += _LENGTH.size + length
                    yield memoryview(block), start
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(path, error) from error

    def _say_damage(self, run: str, path: Path, start: int) -> None:
        text = (
            f"The ledger of run {run} is damaged at byte {start} of {path.name!r}; what"
            " follows it is ignored. Checkpoints are not affected."
        )
        if not start:
            if self._has_told_key:
                return
            self._has_told_key = True
            text = (
                f"The ledger of run {run} is damaged at byte 0 of {path.name!r}, or was"
                " made with another key (`nbflow store key` says more); it is ignored,"
                " and others like it."
            )
        warn(text, StoreWarning)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of what cannot be read where it is."""
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The ledger at {path} could not be read: {error.strerror or error}."
    )


def _discard(path: Path) -> None:
    """Remove a file that nothing could be written to, and its folder if that is empty.

    A run of which nothing is known would be in every list of runs.
    """
    with contextlib.suppress(OSError):
        if not path.stat().st_size:
            path.unlink()
        path.parent.rmdir()


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _write_all(file: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(file, data, place)
        data = data[written:]
        place += written


def _last_block(path: Path) -> int:
    """The position of the last block that is complete, by the lengths alone; 0 without a file."""
    if not os.path.lexists(path):
        return 0
    size = path.stat().st_size
    place = 0
    with path.open("rb") as file:
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            following = place + _LENGTH.size + length
            if following >= size:
                break
            place = following
            file.seek(place)
    return place


def _records(entries: Sequence[tuple[Any, ...]]) -> list[int]:
    """The numbers of the records that ``entries`` are about."""
    return [entry[0] for entry in entries if type(entry) in ABOUT]
