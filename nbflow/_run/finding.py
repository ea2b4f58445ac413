"""Finding: where in a store a person's records, or a text, are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._core.entry import Awaits, Called, Item, Listed, Opened
from nbflow._key.value import SHORT
from nbflow._run import kept_batch
from nbflow._run.journals import beside_runs
from nbflow._run.left_behind import UNKNOWN, LeftBehind, digest_of
from nbflow._run.needs import Needs, catalogue, use_of
from nbflow._store import key_file
from nbflow._store.store import MemoryStore
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbflow._run.batch import Row
    from nbflow._run.left_behind import Deleted
    from nbflow._run.needs import Saved
    from nbflow._run.runs import Runs
    from nbflow._run.wanted import Wanted
    from nbflow._store.checkpoint import Checkpoint

__all__ = ["RunPart", "Search"]


@dataclass(slots=True)
class RunPart:
    """What one run has of it."""

    run: str
    records: set[int] = field(default_factory=set)
    #: Where they stand in the kept batch.
    rows: set[int] = field(default_factory=set)
    #: Whether the kept batch can stay, without these rows.
    keeps_batch: bool = True
    #: Whether its notes hold it besides.
    is_noted: bool = False
    #: The rows themselves, and all that stay.
    erased: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)
    #: Keys of outputs that only these records name.
    outputs: set[bytes] = field(default_factory=set)
    #: Keys of what these records asked.
    asked: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.records or self.rows or self.is_noted or not self.keeps_batch)


class Search:
    """Where it is.

    Attributes:
        runs: the ids of all runs.
        parts: what runs have of it.
        deleted: deleted runs that left outputs of it.
        outputs: keys of the saved outputs that go.
        unclaimed: the number of outputs that came from no run that is known.
        unread: what does not verify, and so was not looked into.
        other_keys: folders with what was saved with another key.
    """

    def __init__(self, runs: Runs, wanted: Wanted) -> None:
        self._engine = runs.engine
        self._wanted = wanted
        #: Outputs that runs name, and those that other records name.
        self._named: set[bytes] = set()
        self._shared: set[bytes] = set()
        self.runs = self._engine.ledger.runs()
        self.unread: list[str] = []
        self.parts = [part for run in self.runs if (part := self._of_run(run))]
        self._digest = digest_of(wanted.key)
        self._left = list(LeftBehind(self._engine.ledger).runs())
        self.deleted = {one.run for one in self._left if self._outputs_of_deleted(one)}
        self._saved = self._look_at_outputs()
        self._add_unnoted(runs)
        _add_what_only_they_use(self._gone, self._saved, self._shared)
        self.outputs = _with_all_built_on(self._gone, self._saved)
        self.unclaimed = self._count_unclaimed()
        self._look_for_unread(runs)

    # In runs.

    def _of_run(self, run: str) -> RunPart:
        part, ledger = RunPart(run), self._engine.ledger
        named: dict[int, set[bytes]] = {}
        keys: dict[int, str] = {}
        asked: list[tuple[int, str]] = []
        event = ""
        for entries, _ in ledger.blocks(run):
            for entry in entries:
                if isinstance(entry, Opened):
                    event = entry.event
                elif isinstance(entry, Listed):
                    keys[entry.record] = entry.key
                elif isinstance(entry, Awaits):
                    asked.append((entry.record, entry.key))
                elif isinstance(entry, Item | Called) and entry.checkpoint:
                    key = bytes.fromhex(entry.checkpoint)
                    named.setdefault(entry.record, set()).add(key)
                part.is_noted |= self._wanted.is_said(entry)
        if self._wanted.event in (None, event):
            meant = self._wanted.is_key
            part.records = {number for number, key in keys.items() if meant(key)}
            part.asked = {key for record, key in asked if record in part.records}
            self._look_into_batch(part)
        for record, outputs in named.items():
            self._named |= outputs
            if record in part.records:
                part.outputs |= outputs
            else:
                self._shared |= outputs
        return part

    def _look_into_batch(self, part: RunPart) -> None:
        """Find the rows; where the batch cannot be taken apart, it goes as a whole."""
        ledger, wanted = self._engine.ledger, self._wanted
        blocks = list(kept_batch.blocks_of(ledger, part.run))
        if not blocks:
            return
        is_text_there = any(map(wanted.is_in, blocks))
        may_be_there = wanted.text is None or wanted.is_number or is_text_there
        if not may_be_there and not part.records:
            return
        try:
            batch = kept_batch.kept_batch(ledger, part.run, 0)
            numbered = list(batch.numbered())
        except (StoreError, UsageError):
            part.keeps_batch = not (part.records or is_text_there)
            return
        for place, (number, _, row) in enumerate(numbered):
            is_meant = wanted.is_key(row.key) or wanted.is_within(row.record)
            if number in part.records or is_meant:
                part.records.add(number)
                part.rows.add(place)
                part.erased.append(row)
            else:
                part.others.append(row)
        is_list = batch.library == "records" and not batch.values
        is_plain = is_list and len(part.rows) == len(part.records)
        if (part.rows or is_text_there) and not is_plain:
            part.keeps_batch = False

    # In what deleted runs left.

    def _outputs_of_deleted(self, deleted: Deleted) -> set[bytes]:
        """What a deleted run left of the record, and what may be of it for all that is known.

        What holds a text is found by what it holds.
        """
        if self._wanted.event not in (None, deleted.event):
            return set()
        mine = [self._digest] + [UNKNOWN] * (self._wanted.record is not None)
        return set().union(*(deleted.outputs.get(one, ()) for one in mine))

    def _note_left(self) -> set[bytes]:
        """Note whose the outputs are that deleted runs left; returns those of it."""
        found: set[bytes] = set()
        for deleted in self._left:
            mine = self._outputs_of_deleted(deleted)
            found |= mine
            self._named |= deleted.all
            for record, outputs in deleted.outputs.items():
                if record != UNKNOWN and not (mine and record == self._digest):
                    self._shared |= outputs
        return found

    # In saved outputs.

    def _look_at_outputs(self) -> dict[bytes, Saved]:
        """Find the outputs that came from it; returns all that are saved."""
        digests = {row.digest[:SHORT] for part in self.parts for row in part.erased}
        named = self._note_left().union(*(part.outputs for part in self.parts))
        named -= self._shared
        self._gone: set[bytes] = set()

        def visit(key: bytes, data: bytes, head: Checkpoint) -> None:
            is_record = key not in self._shared and any(
                one.name == "record" and one.digest in digests for one in head.inputs
            )
            if key in named or is_record or self._wanted.is_in(data):
                self._gone.add(key)

        return catalogue(self._engine.store, visit)

    def _add_unnoted(self, runs: Runs) -> None:
        """Add what a killed process saved of its last records, and did not come to note."""
        needs = Needs(self._saved)
        for part in self.parts:
            if part.records:
                self._gone |= needs.unnoted(use_of(runs, part.run), self._named)

    def _count_unclaimed(self) -> int:
        of_runs = Needs(self._saved).reached(self._named & self._saved.keys())
        of_runs = _with_all_built_on(of_runs & self._saved.keys(), self._saved)
        return sum(
            not one.explains and key not in of_runs and key not in self.outputs
            for key, one in self._saved.items()
        )

    # What cannot be looked into.

    def _look_for_unread(self, runs: Runs) -> None:
        ledger, url = self._engine.ledger, self._engine.store.url
        for run in self.runs:
            # Of a run under way the last block may be half written.
            if ledger.torn(run) and not runs.is_worked_on(run):
                self.unread.append(f"run {run}")
        for what, journal in beside_runs(ledger):
            if any(map(journal.torn, journal.runs())):
                self.unread.append(what)
        self.other_keys: list[Path] = []
        if url != MemoryStore.url:
            mine = key_file.in_use().fingerprint
            self.other_keys = [
                Path(url) / one for one in key_file.others(Path(url), mine)
            ]


def _add_what_only_they_use(
    gone: set[bytes], saved: Mapping[bytes, Saved], shared: set[bytes]
) -> None:
    """Add what those that go were built on, at any distance, and nobody else was."""
    found = True
    while found:
        inner = set(_inner(gone, saved)) - gone - shared
        others = set(_inner(saved.keys() - gone, saved))
        more = (inner - others) & saved.keys()
        gone |= more
        found = bool(more)


def _inner(keys: Iterable[bytes], saved: Mapping[bytes, Saved]) -> Iterator[bytes]:
    """What these were built on."""
    for key in keys:
        yield from saved[key].built_on


def _with_all_built_on(gone: set[bytes], saved: Mapping[bytes, Saved]) -> set[bytes]:
    users: dict[bytes, list[bytes]] = {}
    for key, one in saved.items():
        for inner in one.built_on:
            users.setdefault(inner, []).append(key)
    left = list(gone)
    while left:
        for key in users.get(left.pop(), ()):
            if key not in gone:
                gone.add(key)
                left.append(key)
    return gone
