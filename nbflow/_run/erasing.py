"""Erasing: one person's records, or a text, leave every file of the store.

What was saved of them goes, with all that was built on it; in what has to stay, so that
the other records keep their places, stars of the same length stand for it. The ledger's
own notes are changed last: by them whoever was interrupted finds again what to erase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbflow._call import lookup
from nbflow._core.decision import Decision
from nbflow._core.entry import Called, Item, Listed, Opened
from nbflow._core.plural import several
from nbflow._key.value import SHORT
from nbflow._run import kept_batch
from nbflow._store import checkpoint
from nbflow._store.folder import files_in
from nbflow._store.ledger_lines import masked
from nbflow._store.store import MemoryStore
from nbflow._tell.outbox import Outbox
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nbflow._run.runs import Runs
    from nbflow._store.ledger import Ledger

__all__ = ["Erased", "Wanted", "erase"]

#: How text may stand in the bytes of a value: as Python, Arrow and msgpack write it, and
#: as arrays of numpy do.
_ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le", "utf-16-be", "utf-32-be")
#: Files beside the store that may name a run, and the largest that is looked into.
_SUFFIXES, _LARGEST = (
    frozenset({".ipynb", ".json", ".html", ".csv", ".py"}),
    100_000_000,
)

_DECISIONS = msgspec.msgpack.Decoder(Decision)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased.

    Attributes:
        record: the key of records.
        event: only those of this event.
        text: what no file is to contain.
    """

    record: str | None = None
    event: str | None = None
    text: str | None = None

    def check(self) -> None:
        """Refuse what names nobody.

        Raises:
            UsageError: nothing, or both, or no text.
        """
        if (self.record is None) == (self.text is None) or "" in (
            self.record,
            self.text,
        ):
            raise UsageError(
                "Name the key of a record (--record KEY), or a text (--text TEXT)."
            )
        if self.event is not None and self.record is None:
            raise UsageError("event= (--event) goes with record= (--record).")

    @property
    def needles(self) -> list[bytes]:
        """The text as it may stand in files."""
        if self.text is None:
            return []
        return list(dict.fromkeys(map(self.text.encode, _ENCODINGS)))

    def is_told(self, notice: str) -> bool:
        """Whether a notice to people says it."""
        said = f"record {self.record}" if self.text is None else self.text
        return said in notice

    def is_in(self, blob: bytes) -> bool:
        """Whether the text stands in these bytes."""
        return any(needle in blob for needle in self.needles)


@dataclass(frozen=True, slots=True, repr=False)
class Erased:
    """What was erased, or would be.

    Attributes:
        runs: ids of the runs that had something of it.
        records: the number of records in them.
        outputs: saved outputs that went.
        decisions: decisions of people that went.
        batches: ids of runs whose kept batch went as a whole: it was a frame, or the
            items of a map. To run one again, send its batch again.
        elsewhere: files beside the store that name such a run, or hold the text. They
            are yours: look into them.
        left: files of the store that still hold the text.
        dry_run: whether nothing was changed.
    """

    runs: tuple[str, ...]
    records: int
    outputs: int
    decisions: int
    batches: tuple[str, ...]
    elsewhere: tuple[str, ...]
    left: tuple[str, ...]
    dry_run: bool = False

    def __repr__(self) -> str:
        did = "Would erase" if self.dry_run else "Erased"
        what = (
            f"{several(self.records, 'record')} of {several(len(self.runs), 'run')},"
            f" {several(self.outputs, 'saved output')},"
            f" {several(self.decisions, 'decision')}"
        )
        lines = [f"{did} {what}."]
        if self.batches:
            lines.append(
                f"The kept batch of {', '.join(self.batches)} went as a whole: send it"
                " again, without the record, to run it again."
            )
        if self.elsewhere:
            lines.append("These files name the runs or hold the text; they are yours:")
            lines += [f"  {path}" for path in self.elsewhere]
        lines += [f"STILL THERE: {path}" for path in self.left]
        return "\n".join(lines)


@dataclass(slots=True)
class _RunPart:
    """What one run has of it."""

    run: str
    records: set[int] = field(default_factory=set)
    #: Where they stand in the kept batch.
    rows: set[int] = field(default_factory=set)
    #: Whether the kept batch can stay, without these rows.
    keeps_batch: bool = True
    #: Whether its notes hold it besides.
    is_noted: bool = False
    #: Digests of the records.
    digests: set[bytes] = field(default_factory=set)
    #: Keys of outputs that only these records name.
    outputs: set[bytes] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.records or self.rows or self.is_noted or not self.keeps_batch)


class _Search:
    """Where it is."""

    def __init__(self, runs: Runs, wanted: Wanted) -> None:
        self._runs = runs
        self._wanted = wanted
        #: Outputs that other records name.
        self._shared: set[bytes] = set()
        found = [self._of_run(run) for run in runs.engine.ledger.runs()]
        self.parts = [part for part in found if part]
        self.outputs = self._outputs()

    def _of_run(self, run: str) -> _RunPart:
        part, ledger = _RunPart(run), self._runs.engine.ledger
        named: dict[int, set[bytes]] = {}
        keys: dict[int, str] = {}
        event = ""
        for entries, _ in ledger.blocks(run):
            for entry in entries:
                if isinstance(entry, Opened):
                    event = entry.event
                elif isinstance(entry, Listed):
                    keys[entry.record] = entry.key
                elif isinstance(entry, Item | Called) and entry.checkpoint:
                    key = bytes.fromhex(entry.checkpoint)
                    named.setdefault(entry.record, set()).add(key)
                part.is_noted |= self._is_said(entry)
        if self._wanted.event in (None, event):
            part.records = {n for n, key in keys.items() if self._is_key(key)}
            self._look_into_batch(part)
        for record, outputs in named.items():
            if record in part.records:
                part.outputs |= outputs
            else:
                self._shared |= outputs
        return part

    def _is_key(self, key: str) -> bool:
        if self._wanted.text is not None:
            return self._wanted.text in key
        return key == self._wanted.record

    def _is_said(self, entry: object) -> bool:
        text = self._wanted.text
        return text is not None and _holds(entry, text)

    def _look_into_batch(self, part: _RunPart) -> None:
        """Find the rows; where the batch cannot be taken apart, it goes as a whole."""
        ledger, wanted = self._runs.engine.ledger, self._wanted
        blocks = list(kept_batch.blocks_of(ledger, part.run))
        if not blocks:
            return
        is_text_there = any(map(wanted.is_in, blocks))
        if wanted.text is not None and not is_text_there and not part.records:
            return
        try:
            batch = kept_batch.kept_batch(ledger, part.run, 0)
            numbered = list(batch.numbered())
        except (StoreError, UsageError):
            part.keeps_batch = not (part.records or is_text_there)
            return
        for place, (number, _, row) in enumerate(numbered):
            if number in part.records or self._is_row(row.key, row.record):
                part.records.add(number)
                part.rows.add(place)
                part.digests.add(row.digest)
        is_list = batch.library == "records" and not batch.values
        is_plain = is_list and len(part.rows) == len(part.records)
        if (part.rows or is_text_there) and not is_plain:
            part.keeps_batch = False

    def _is_row(self, key: str, record: object) -> bool:
        if self._is_key(key):
            return True
        return self._wanted.text is not None and _holds(record, self._wanted.text)

    def _outputs(self) -> set[bytes]:
        """Outputs that came from it, what only they were built on, and what was built on them."""
        digests = {digest for part in self.parts for digest in part.digests}
        short = {digest[:SHORT] for digest in digests}
        named = set().union(*(part.outputs for part in self.parts)) - self._shared
        built_on: dict[bytes, list[bytes]] = {}
        gone: set[bytes] = set()
        for key, data, head in _every(self._runs):
            built_on[key] = [bytes.fromhex(inner) for _, inner in head.built_on]
            is_record = any(
                one.name == "record" and one.digest in short for one in head.inputs
            )
            if key in named or is_record or self._wanted.is_in(data):
                gone.add(key)
        _add_what_only_they_use(gone, built_on, self._shared)
        return _with_all_built_on(gone, built_on)


def _add_what_only_they_use(
    gone: set[bytes], built_on: dict[bytes, list[bytes]], shared: set[bytes]
) -> None:
    """Add what those that go were built on, at any distance, and nobody else was."""
    found = True
    while found:
        inner = {one for key in gone for one in built_on[key]} - gone - shared
        others = {one for key in built_on.keys() - gone for one in built_on[key]}
        more = (inner - others) & built_on.keys()
        gone |= more
        found = bool(more)


def _with_all_built_on(
    gone: set[bytes], built_on: dict[bytes, list[bytes]]
) -> set[bytes]:
    users: dict[bytes, list[bytes]] = {}
    for key, inner in built_on.items():
        for one in inner:
            users.setdefault(one, []).append(key)
    left = list(gone)
    while left:
        for key in users.get(left.pop(), ()):
            if key not in gone:
                gone.add(key)
                left.append(key)
    return gone


def _every(runs: Runs) -> Iterator[tuple[bytes, bytes, checkpoint.Checkpoint]]:
    store = runs.engine.store
    for block in lookup.blocks(store, list(store.keys())):
        for key, data in block.items():
            try:
                head = checkpoint.load(data)
            except StoreError:
                continue
            yield bytes.fromhex(key), data, head._replace(payload=b"")


def _holds(value: object, text: str) -> bool:
    """Whether the text stands in a value of a record, at any depth."""
    if isinstance(value, str):
        return text in value
    if isinstance(value, bytes):
        return text.encode() in value
    if isinstance(value, dict):
        return any(_holds(part, text) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds(part, text) for part in value)
    return not isinstance(value, int | float | None) and text in repr(value)


def erase(runs: Runs, wanted: Wanted, *, dry_run: bool = False) -> Erased:
    """Erase it from every file of the store; run it again if it is interrupted.

    Raises:
        UsageError: it names nothing, or a run that has it is worked on.
        StoreError: the store refuses.
    """
    wanted.check()
    search = _Search(runs, wanted)
    names = [part.run for part in search.parts]
    for run in names:
        if runs.is_worked_on(run):
            raise UsageError(
                f"Run {run} is being worked on and has it: wait for its end, or cancel"
                f" it first (nbflow runs cancel {run})."
            )
    decisions = _decisions(runs, wanted, names, dry_run=True)
    if not dry_run:
        _carry_out(runs, wanted, search)
    batches = [part.run for part in search.parts if not part.keeps_batch]
    root = runs.engine.store.url
    return Erased(
        tuple(names),
        sum(len(part.records) for part in search.parts),
        len(search.outputs),
        decisions,
        tuple(batches),
        tuple(_elsewhere(root, wanted, names)),
        () if dry_run else tuple(_left(root, wanted)),
        dry_run,
    )


def _carry_out(runs: Runs, wanted: Wanted, search: _Search) -> None:
    engine, reached = runs.engine, runs.engine.runner.reached
    if engine.store.url != MemoryStore.url:
        # Whoever asked for content in notices has it in those that wait, too.
        Outbox(Path(engine.store.url)).forget(wanted.is_told)
    reached("remove")
    engine.store.delete(key.hex() for key in search.outputs)
    reached("remove")
    _decisions(runs, wanted, [part.run for part in search.parts], dry_run=False)
    for part in search.parts:
        with runs.retiring(part.run) as is_free:
            if not is_free:
                raise UsageError(
                    f"Run {part.run} was taken up meanwhile: erase again at its end."
                )
            reached("remove")
            engine.ledger.rewrite(part.run, "records", _without(part))
            reached("remove")
            engine.ledger.rewrite(part.run, "entries", _starred(part, wanted))
            runs.live.pop(part.run, None)  # what is open from now on reads the ledger
    engine.ledger.sweep()
    # Also if nothing was found: whoever was killed may have come this far.
    engine.store.scrub()


def _without(part: _RunPart) -> Callable[[bytes], bytes | None]:
    """Each block of a kept batch, without the rows."""
    seen = [-1]  # the head comes first
    if not part.keeps_batch:
        return lambda _block: None

    def change(block: bytes) -> bytes:
        if seen[0] < 0:
            seen[0] = 0
            return block
        start = seen[0]
        changed, seen[0] = kept_batch.without(block, start, part.rows)
        return changed

    return change


def _starred(part: _RunPart, wanted: Wanted) -> Callable[[bytes], bytes]:
    """Each block of entries, with stars for what it says of the records."""
    text = wanted.text if wanted.text is not None else wanted.record or ""
    # The key of a record may be "7": in remarks only where it stands alone.
    pattern = re.escape(text)
    if wanted.text is None:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    compiled = re.compile(pattern)

    def hide(said: str) -> str:
        return compiled.sub(lambda found: _stars(found[0]), said)

    def change(block: bytes) -> bytes:
        return masked(block, part.records, hide, everywhere=wanted.text is not None)

    return change


def _stars(text: str) -> str:
    return "*" * len(text.encode())


def _decisions(
    runs: Runs, wanted: Wanted, names: Iterable[str], *, dry_run: bool
) -> int:
    """Erase the decisions that people made on it; returns how many there are."""
    reviews: Ledger = runs.engine.ledger.beside("reviews")
    known, count = set(names), 0
    # Of what event a run was that is no more nobody knows: what was decided on it goes.
    others = set(runs.engine.ledger.runs()) - known

    def is_about(block: bytes) -> bool:
        if wanted.text is not None:
            return wanted.is_in(block)
        decision = _DECISIONS.decode(block)
        is_of_event = wanted.event is None or decision.run not in others
        return decision.key == wanted.record and is_of_event

    for writer in reviews.runs():
        found = [block for block in reviews.records(writer) if is_about(block)]
        count += len(found)
        if found and not dry_run:
            reviews.rewrite(
                writer, "records", lambda block: None if is_about(block) else block
            )
    return count


def _left(root: str, wanted: Wanted) -> list[str]:
    """Files of the store that still hold the text."""
    if root == MemoryStore.url:
        return []
    return [str(path) for path in files_in(Path(root)) if wanted.is_in(_content(path))]


def _content(path: Path) -> bytes:
    """What is in a file; nothing if it went meanwhile, or is none."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def _elsewhere(root: str, wanted: Wanted, names: list[str]) -> Iterator[str]:
    """Notebooks and exports beside the store that name a run, or hold the text."""
    if root == MemoryStore.url or not names:
        return
    store = Path(root).resolve()
    needles = [*(name.encode() for name in names), *wanted.needles]
    for path in sorted(files_in(store.parent)):
        inside = path.relative_to(store.parent)
        if path.suffix not in _SUFFIXES or store in path.parents or _is_hidden(inside):
            continue
        if _is_small(path) and any(map(_content(path).__contains__, needles)):
            yield str(path)


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size < _LARGEST
    except FileNotFoundError:
        return False


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "node_modules" for part in path.parts)
