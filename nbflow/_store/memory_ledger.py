"""MemoryLedger: a ledger that lives and dies with its process."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from nbflow._core.entry import Coded, Opened
from nbflow._store import ledger_lines
from nbflow._store.inbox import MemoryInbox
from nbflow._store.ledger_lines import ABOUT, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._core.entry import Entry


class MemoryLedger:
    """A ledger for tests, and for runs that are not worth a disk."""

    def __init__(self) -> None:
        self._entries: defaultdict[str, list[Entry]] = defaultdict(list)
        self._blocks: defaultdict[str, list[bytes]] = defaultdict(list)
        self._asked: set[str] = set()
        self._inbox = MemoryInbox()
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
        entries = self._entries.get(run, [])
        first = itertools.takewhile(_is_first, entries)
        return [*first, *entries[-1:]]

    def about(self, run: str, record: int) -> list[Entry]:
        """The entries of one record."""
        entries, _ = self.read(run)
        return [
            entry for entry in entries if type(entry) in ABOUT and entry[0] == record
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

    def remove(self, run: str) -> None:
        """Forget a run."""
        self._entries.pop(run, None)
        self._blocks.pop(run, None)

    def sweep(self) -> None:
        """Nothing is left behind."""

    def torn(self, run: str, *, cut: bool = False) -> list[str]:  # noqa: ARG002  # as the protocol has it
        """Memory is sound."""
        return []

    def rewrite(
        self, run: str, what: str, change: Callable[[bytes], bytes | None]
    ) -> None:
        """Put another block in the place of each, or none."""
        if what == "records":
            changed = [change(block) for block in self._blocks.get(run, ())]
            self._blocks[run] = [block for block in changed if block is not None]
            return
        block = change(ledger_lines.encode(self._entries[run])) or b""
        lines = ledger_lines.decode(block) if block else []
        self._entries[run] = [entry_of(line) for line in lines]

    def set_aside(self, run: str) -> None:
        """Move the batch of a run to a journal, where it outlives the run."""
        for block in self._blocks.pop(run, ()):
            self._beside["batches"].add_records(run, block)

    def bytes_of(self, run: str) -> int:
        """The bytes of its batch."""
        return sum(map(len, self._blocks.get(run, ())))

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

    def inbox(self) -> MemoryInbox:
        """The events from outside."""
        return self._inbox

    def beside(self, name: str) -> MemoryLedger:
        """A journal of something else."""
        return self._beside[name]


def _is_first(entry: Entry) -> bool:
    return isinstance(entry, Opened | Coded)
