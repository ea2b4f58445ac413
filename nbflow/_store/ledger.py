"""Ledger: the journal of runs, append-only, with a folder for each run.

Any process may read while one writes. A file is a sequence of frames, each a length and
a sealed block (`nbflow._store.seal`). A block that a crash cut short, or that is
damaged, is noticed, and reading ends there: at worst the ledger loses notes.
``entries`` holds blocks of `nbflow._core.entry` entries, ``records`` the batch that was
sent.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
from array import array
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec
from blake3 import blake3

from nbflow._core.entry import (
    Called,
    Closed,
    Coded,
    Entry,
    Failure,
    Item,
    Listed,
    Opened,
    Remark,
    Resumed,
    Sent,
    Used,
    Waits,
)
from nbflow._core.lifecycle import SHOWN, Shown
from nbflow._core.usage import Usage
from nbflow._key import fork
from nbflow._key.warning import warn
from nbflow._store.folder import prepare, private_folder, sync_file, sync_folder
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nbflow._store.seal import Seal

_TAGS: dict[type, str] = {
    Opened: "open",
    Resumed: "resume",
    Coded: "code",
    Listed: "record",
    Sent: "sent",
    Item: "item",
    Called: "call",
    Waits: "waits",
    Used: "used",
    Remark: "remark",
    Closed: "close",
}
_TYPES = {tag: kind for kind, tag in _TAGS.items()}
_STATES = {state.value: state for state in SHOWN}
#: Of an entry with a state: the places of its state and of its failure.
_PLACES = {"item": (2, 7), "call": (3, 8)}
_LENGTH = struct.Struct("<I")
#: Entries about one record, whose first field is its number, and their tags.
_ABOUT = frozenset({Listed, Item, Called, Waits, Used})
_ABOUT_TAGS = frozenset(_TAGS[kind] for kind in _ABOUT)
#: Runs whose spans are remembered.
_SPANS = 16
#: An entry as msgpack holds it: its tag, then its fields.
Line: TypeAlias = "list[Any]"


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


class MemoryLedger:
    """A ledger that lives and dies with its process."""

    def __init__(self) -> None:
        self._entries: defaultdict[str, list[Entry]] = defaultdict(list)
        self._blocks: defaultdict[str, list[bytes]] = defaultdict(list)
        self._asked: set[str] = set()
        self._beside: defaultdict[str, MemoryLedger] = defaultdict(MemoryLedger)

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries``."""
        self._entries[run].extend(entries)

    def read(self, run: str, start: int = 0) -> tuple[list[Entry], int]:
        """The entries from position ``start``, and the position to continue from."""
        entries = self._entries[run][start:] if run in self._entries else []
        return entries, start + len(entries)

    def blocks(self, run: str, start: int = 0) -> Iterator[tuple[list[Entry], int]]:
        """The same, as one block."""
        found = self.read(run, start)
        return iter([found] if found[0] else [])

    def ends(self, run: str) -> list[Entry]:
        """The first entries and the last one."""
        entries = self._entries[run]
        first = itertools.takewhile(_is_first, entries)
        return [*first, *entries[-1:]]

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record."""
        entries, _ = self.read(run)
        return [
            entry for entry in entries if type(entry) in _ABOUT and entry[0] == record
        ]

    def size(self, run: str) -> int:
        """The number of entries."""
        return len(self._entries[run]) if run in self._entries else 0

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return sorted({*self._entries, *self._blocks})

    def add_records(self, run: str, block: bytes) -> None:
        """Keep a block of the batch."""
        self._blocks[run].append(block)

    def records(self, run: str) -> Iterator[bytes]:
        """The blocks of the batch, in order."""
        return iter(list(self._blocks[run]) if run in self._blocks else [])

    def ask_to_stop(
        self,
        run: str,
        asked: bool = True,  # noqa: FBT001, FBT002  # as the protocol has it
    ) -> None:
        """Record a request to cancel ``run``, or take it back."""
        if asked:
            self._asked.add(run)
        else:
            self._asked.discard(run)

    def is_asked_to_stop(self, run: str) -> bool:
        """Whether there is such a request."""
        return run in self._asked

    def beside(self, name: str) -> Ledger:
        """A journal of something else."""
        return self._beside[name]


def _is_first(entry: Entry) -> bool:
    return isinstance(entry, Opened | Coded)


class Spans:
    """Which records the blocks of a run's entries are about.

    Of each block this keeps the first and the last record. Records go through a run one
    after the other, so that few blocks are about any one of them.
    """

    def __init__(self) -> None:
        self.end = 0
        self._blocks = array("q")
        self._mutex = fork.free_lock()

    def note(self, start: int, end: int, records: Sequence[int]) -> None:
        """Note that the block from ``start`` to ``end`` is about ``records``.

        Ignored unless the block follows the last one.
        """
        with self._mutex:
            if start != self.end:
                return
            self.end = end
            if records:
                self._blocks.extend((start, min(records), max(records)))

    def around(self, record: int) -> list[int]:
        """The starts of the blocks that may be about ``record``."""
        with self._mutex:
            blocks = self._blocks[:]
        spans = zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True)
        return [start for start, first, last in spans if first <= record <= last]


class FileLedger:
    """A ledger in a folder beside the store."""

    def __init__(self, folder: Path, seal: Seal, *, sync: bool = False) -> None:
        self._folder = folder
        self._seal = seal
        self._sync = sync
        self._mutex = fork.free_lock()
        self._ends: dict[Path, int] = {}
        #: Of the runs that were read or written last.
        self._spans: OrderedDict[str, Spans] = OrderedDict()

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries`` in one block."""
        lines = [(_TAGS[type(entry)], *entry) for entry in entries]
        start, end = self._write(run, "entries", msgspec.msgpack.encode(lines))
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
            found = [_entry(line) for line in _lines(block)]
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
            lines = _lines(block)
            records = [line[1] for line in lines if line[0] in _ABOUT_TAGS]
            spans.note(start, end, records)
            start = end
        found: list[Entry] = []
        for start in spans.around(record):
            found += [
                _entry(line)
                for line in self._lines_at(run, start)
                if line[0] in _ABOUT_TAGS and line[1] == record
            ]
        return found

    def _lines_at(self, run: str, start: int) -> list[Line]:
        """The lines of the block at ``start``; none if it does not verify."""
        for block, _ in self._blocks(run, "entries", start):
            return _lines(block)
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
        if last:
            lines += self._lines_at(run, last)
        return [_entry(line) for line in lines]

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
                sealed = bytes(self._seal.seal(self._name(run, what, end), block))
                frame = _LENGTH.pack(len(sealed)) + sealed
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
        self, run: str, what: str, start: int
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
                        text = (
                            f"The ledger of run {run} is damaged at byte {start} of "
                            f"{path.name!r}; what follows it is ignored. "
                            "Checkpoints are not affected."
                        )
                        warn(text, StoreWarning)
                        return
                    start += _LENGTH.size + length
                    yield memoryview(block), start
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(path, error) from error


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
    return [entry[0] for entry in entries if type(entry) in _ABOUT]


def _lines(block: memoryview) -> list[Line]:
    lines: list[Line] = msgspec.msgpack.decode(block)
    return lines


def _by_state(counts: dict[str, int]) -> dict[Shown, int]:
    return {_STATES[name]: number for name, number in counts.items()}


def _entry(line: Line) -> Entry:
    """The entry that `FileLedger.append` wrote as ``line``."""
    tag, *fields = line
    places = _PLACES.get(tag)
    if places is not None:
        state, failure = places
        fields[state] = _STATES[fields[state]]
        if fields[failure] is not None:
            fields[failure] = Failure(*fields[failure])
    elif tag == "open":
        fields[2] = tuple(fields[2])
        fields[8:] = map(tuple, fields[8:])
    elif tag == "code":
        fields[4:5] = map(tuple, fields[4:5])
    elif tag == "used":
        fields[5] = Usage.noted(fields[5])
    elif tag == "close":
        fields[4:6] = map(Usage.noted, fields[4:6])
        for place in (3, 8):
            counts = fields[place : place + 1]
            fields[place : place + 1] = map(_by_state, counts)
    entry: Entry = _TYPES[tag](*fields)
    return entry
