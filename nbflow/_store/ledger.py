"""Ledger: the journal of runs. One folder a run, append-only; any process may read while one writes.

A file is a sequence of frames, each a length and a sealed block (`nbflow._store.seal`):
what was cut short by a crash or damaged is noticed and ends the reading there, so the
ledger loses notes at worst. ``entries`` holds blocks of `nbflow._core.entry` entries,
``records`` the batch that was sent.
"""

from __future__ import annotations

import itertools
import os
import struct
import threading
import warnings
from array import array
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any, Protocol

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
)
from nbflow._core.lifecycle import State
from nbflow._core.usage import Usage
from nbflow._store.folder import prepare, private_folder, sync_folder
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nbflow._store.seal import Seal

_TAGS: dict[type[Any], str] = {
    Opened: "open",
    Resumed: "resume",
    Coded: "code",
    Listed: "record",
    Sent: "sent",
    Item: "item",
    Called: "call",
    Used: "used",
    Remark: "remark",
    Closed: "close",
}
_TYPES = {tag: kind for kind, tag in _TAGS.items()}
_STATES = {state.value: state for state in State}
_STATE_FIELD = {"item": 2, "call": 3}
_LENGTH = struct.Struct("<I")
#: Entries about one record, whose first field is its number.
_ABOUT = frozenset({Listed, Item, Called, Used})
_SPANS = 16


class Ledger(Protocol):
    """Where runs are noted. Runs are known by ids that sort by the time they began."""

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries``; raises `StoreError` if they cannot be written."""

    def read(self, run: str, start: int = 0) -> tuple[list[Entry], int]:
        """The entries from position ``start`` on, and the position to go on from."""

    def ends(self, run: str) -> list[Entry]:
        """The first entries and the last ones: what a list of runs needs, whatever the run's size."""

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record."""

    def size(self, run: str) -> int:
        """A number that grows with each entry: nothing is new while it stays."""

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""

    def add_records(self, run: str, block: bytes) -> None:
        """Keep a block of the batch that was sent."""

    def records(self, run: str) -> Iterator[bytes]:
        """The blocks of the batch, in order."""

    def ask_to_stop(self, run: str, asked: bool = True) -> None:  # noqa: FBT001, FBT002 - said like a switch
        """Leave word for whoever works on ``run`` to cancel it, or take the word back."""

    def is_asked_to_stop(self, run: str) -> bool:
        """Has somebody left that word?"""

    def beside(self, name: str) -> Ledger:
        """A journal of something else in the same place, each block of which is synced to the disk."""


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
        """The entries from position ``start`` on, and the position to go on from."""
        entries = self._entries[run][start:] if run in self._entries else []
        return entries, start + len(entries)

    def ends(self, run: str) -> list[Entry]:
        """The first entries and the last one."""
        entries = self._entries[run]
        first = itertools.takewhile(
            lambda entry: isinstance(entry, Opened | Coded), entries
        )
        return [*first, *entries[-1:]]

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record."""
        return [
            entry
            for entry in self.read(run)[0]
            if type(entry) in _ABOUT and entry[0] == record
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

    def ask_to_stop(self, run: str, asked: bool = True) -> None:  # noqa: FBT001, FBT002
        """Leave word to cancel ``run``, or take it back."""
        (self._asked.add if asked else self._asked.discard)(run)

    def is_asked_to_stop(self, run: str) -> bool:
        """Has somebody left that word?"""
        return run in self._asked

    def beside(self, name: str) -> Ledger:
        """A journal of something else."""
        return self._beside[name]


class Spans:
    """Which records the blocks of a run's entries are about: the first and the last one of each block.

    Records go through a run one after the other, so that few blocks are about any one
    of them.
    """

    def __init__(self) -> None:
        self.end = 0
        self._blocks = array("q")
        self._mutex = threading.Lock()

    def note(self, start: int, end: int, records: Sequence[Any]) -> None:
        """The block from ``start`` to ``end`` is about these; of blocks, the one that follows alone is taken in."""
        with self._mutex:
            if start != self.end:
                return
            self.end = end
            if records:
                self._blocks.extend((start, min(records), max(records)))

    def around(self, record: int) -> list[int]:
        """Where the blocks begin that may be about ``record``."""
        with self._mutex:
            starts, firsts, lasts = (
                self._blocks[::3],
                self._blocks[1::3],
                self._blocks[2::3],
            )
        return [
            start
            for start, first, last in zip(starts, firsts, lasts, strict=True)
            if first <= record <= last
        ]


class FileLedger:
    """A ledger in a folder beside the store."""

    def __init__(self, folder: Path, seal: Seal, *, sync: bool = False) -> None:
        self._folder = folder
        self._seal = seal
        self._sync = sync
        self._mutex = threading.Lock()
        self._ends: dict[Path, int] = {}
        #: Of the runs that were read or written last.
        self._spans: OrderedDict[str, Spans] = OrderedDict()

    def append(self, run: str, entries: Sequence[Entry]) -> None:
        """Note ``entries`` in one block."""
        start, end = self._write(
            run,
            "entries",
            msgspec.msgpack.encode([(_TAGS[type(entry)], *entry) for entry in entries]),
        )
        self._spans_of(run).note(
            start, end, [entry[0] for entry in entries if type(entry) in _ABOUT]
        )

    def read(self, run: str, start: int = 0) -> tuple[list[Entry], int]:
        """The entries from position ``start`` on, and the position to go on from."""
        entries: list[Entry] = []
        spans = self._spans_of(run)
        for block, end in self._blocks(run, "entries", start):
            found = [_entry(line) for line in msgspec.msgpack.decode(block)]
            spans.note(
                start, end, [entry[0] for entry in found if type(entry) in _ABOUT]
            )
            entries += found
            start = end
        return entries, start

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record. Blocks are looked through once; then those alone are read that may be about it."""
        spans = self._spans_of(run)
        start = spans.end
        for block, end in self._blocks(run, "entries", start):
            spans.note(
                start,
                end,
                [
                    line[1]
                    for line in msgspec.msgpack.decode(block)
                    if _TYPES[line[0]] in _ABOUT
                ],
            )
            start = end
        found: list[Entry] = []
        for start in spans.around(record):
            block, _ = next(self._blocks(run, "entries", start))
            found += (
                _entry(line)
                for line in msgspec.msgpack.decode(block)
                if _TYPES[line[0]] in _ABOUT and line[1] == record
            )
        return found

    def _spans_of(self, run: str) -> Spans:
        with self._mutex:
            spans = self._spans.setdefault(run, Spans())
            self._spans.move_to_end(run)
            while len(self._spans) > _SPANS:
                self._spans.popitem(last=False)
        return spans

    def ends(self, run: str) -> list[Entry]:
        """The entries of the first block and of the last one; those between are only stepped over."""
        path = self._path(run, "entries")
        if not path.exists():
            return []
        size, starts, place = path.stat().st_size, [0], 0
        with path.open("rb") as file:
            while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
                following = place + _LENGTH.size + _LENGTH.unpack(head)[0]
                if following >= size:
                    break
                place = following
                file.seek(place)
        if place:
            starts.append(place)
        found: list[Entry] = []
        for start in starts:
            for block, _ in self._blocks(run, "entries", start):
                found.extend(_entry(line) for line in msgspec.msgpack.decode(block))
                break
        return found

    def size(self, run: str) -> int:
        """The size of the file."""
        try:
            return self._path(run, "entries").stat().st_size
        except FileNotFoundError:
            return 0

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return (
            sorted(entry.name for entry in os.scandir(self._folder) if entry.is_dir())
            if self._folder.is_dir()
            else []
        )

    def add_records(self, run: str, block: bytes) -> None:
        """Keep a block of the batch."""
        self._write(run, "records", block)

    def records(self, run: str) -> Iterator[bytes]:
        """The blocks of the batch, in order."""
        for block, _ in self._blocks(run, "records", 0):
            yield bytes(block)

    def ask_to_stop(self, run: str, asked: bool = True) -> None:  # noqa: FBT001, FBT002
        """Leave word to cancel ``run``, or take it back: an empty file, which any process finds."""
        path = self._path(run, "stop")
        try:
            if asked:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"Run {run} could not be asked to stop: {path}: {error.strerror or error}."
            ) from error

    def is_asked_to_stop(self, run: str) -> bool:
        """Has somebody left that word?"""
        return self._path(run, "stop").exists()

    def beside(self, name: str) -> Ledger:
        """A journal of something else in the same place, each block of which is synced to the disk."""
        return FileLedger(self._folder.with_name(name), self._seal, sync=True)

    def _path(self, run: str, what: str) -> Path:
        if not run or not run.replace("-", "").isalnum():
            raise StoreError(f"{run!r} is not the id of a run.")
        return self._folder / run / what

    def _name(self, run: str, what: str, start: int) -> str:
        # A block verifies in its own place only: blocks cannot be swapped, nor taken
        # from another run.
        return blake3(f"nbflow ledger {run}/{what}@{start}".encode()).hexdigest(
            length=20
        )

    def _write(self, run: str, what: str, block: bytes) -> tuple[int, int]:
        path = self._path(run, what)
        with self._mutex:
            try:
                end = self._ends.get(path)
                if end is None:
                    end = self._open(run, what, path)
                sealed = bytes(self._seal.seal(self._name(run, what, end), block))
                frame = _LENGTH.pack(len(sealed)) + sealed
                file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    _write_all(file, frame, end)
                    if self._sync:
                        os.fsync(file)
                except OSError:
                    os.ftruncate(
                        file, end
                    )  # the next block must not stand behind half of this one
                    raise
                finally:
                    os.close(file)
            except OSError as error:
                raise StoreError(
                    f"The ledger at {path} could not be written ({error.strerror or error}); free space or check the folder's rights."
                ) from error
            self._ends[path] = end + len(frame)
            return end, end + len(frame)

    def _open(self, run: str, what: str, path: Path) -> int:
        """Make the file, or cut off what a crash left half written; answers where to write."""
        prepare(self._folder.parent)
        for folder in (self._folder, path.parent):
            private_folder(folder)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        end = 0
        for _, end in self._blocks(run, what, 0):  # noqa: B007 - only the last end counts
            pass
        os.truncate(path, end)
        if self._sync:
            sync_folder(path.parent)
            sync_folder(self._folder)
        return end

    def _blocks(
        self, run: str, what: str, start: int
    ) -> Iterator[tuple[memoryview, int]]:
        """The blocks that verify, each with the position behind it."""
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
                        text = f"The ledger of run {run} is damaged at byte {start} of {path.name!r}; what comes behind it is left out. The checkpoints are not concerned."
                        warnings.warn(text, StoreWarning, stacklevel=3)
                        return
                    start += _LENGTH.size + length
                    yield memoryview(block), start
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"The ledger at {path} could not be read: {error.strerror or error}."
            ) from error


def _write_all(file: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(file, data, place)
        data, place = data[written:], place + written


def _entry(line: list[Any]) -> Entry:
    tag, *fields = line
    state = _STATE_FIELD.get(tag)
    if state is not None:
        fields[state] = _STATES[fields[state]]
        place = 7 if tag == "item" else 8
        if fields[place] is not None:
            fields[place] = Failure(*fields[place])
    elif tag == "open":
        fields[2] = tuple(fields[2])
    elif tag == "used":
        fields[5] = Usage(*fields[5])
    elif tag == "close":
        fields[4:6] = (Usage(*usage) for usage in fields[4:6])
        fields[3] = {_STATES[name]: number for name, number in fields[3].items()}
    entry: Entry = _TYPES[tag](*fields)
    return entry
