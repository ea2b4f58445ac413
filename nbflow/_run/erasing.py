"""Erasing: one person's records, or a text, leave every file of the store.

What was saved of them goes, with all that was built on it; in what has to stay, so that
the other records keep their places, stars of the same length stand for it. The ledger's
own notes are changed last: by them whoever was interrupted finds again what to erase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._core.plural import several
from nbflow._run import kept_batch, traces
from nbflow._run.erased_events import Events
from nbflow._run.erased_journals import Reviewed, erase_gates
from nbflow._run.finding import Search
from nbflow._run.left_behind import LeftBehind, digest_of
from nbflow._store.ledger_lines import masked
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from nbflow._run.finding import RunPart
    from nbflow._run.left_behind import Deleted
    from nbflow._run.runs import Runs
    from nbflow._run.wanted import Wanted

__all__ = ["Erased", "erase"]

#: Runs that a note names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased, or would be.

    Attributes:
        runs: ids of the runs that had something of it, deleted ones that left outputs
            included.
        records: the number of records in them.
        outputs: saved outputs that went.
        decisions: decisions of people that went.
        events: events, and answers of people, that went from the inbox.
        batches: ids of runs whose kept batch went as a whole: it was a frame, or the
            items of a map. To run one again, send its batch again.
        elsewhere: files beside the store that name such a run, or hold the text. They
            are yours: look into them. Where a record is erased, also those that name a
            deleted run, whose records nobody knows any more.
        left: files of the store that still hold the text, or that cannot be read.
        dry_run: whether nothing was changed.
        notes: what a person should know: what could not be looked into, and how it can.
    """

    runs: tuple[str, ...]
    records: int
    outputs: int
    decisions: int
    events: int
    batches: tuple[str, ...]
    elsewhere: tuple[str, ...]
    left: tuple[str, ...]
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        did = "Would erase" if self.dry_run else "Erased"
        yield (
            f"{did} {several(self.records, 'record')} of"
            f" {several(len(self.runs), 'run')}, {several(self.outputs, 'saved output')},"
            f" {several(self.decisions, 'decision')}, {several(self.events, 'event')}."
        )
        if self.batches:
            yield (
                f"The kept batch of {', '.join(self.batches)} went as a whole: send it"
                " again, without the record, to run it again."
            )
        if self.elsewhere:
            yield "These files name the runs or hold the text; they are yours:"
            yield from (f"  {path}" for path in self.elsewhere)
        yield from self.notes
        yield from (f"STILL THERE: {path}" for path in self.left)


def erase(runs: Runs, wanted: Wanted, *, dry_run: bool = False) -> Erased:
    """Erase it from every file of the store; run it again if it is interrupted.

    Raises:
        UsageError: it names nothing, or a run that has it is worked on.
        StoreError: the store refuses.
    """
    wanted.check()
    search = Search(runs, wanted)
    for part in search.parts:
        if runs.is_worked_on(part.run):
            raise UsageError(
                f"Run {part.run} is being worked on and has it: wait for its end, or"
                f" cancel it first (nbflow runs cancel {part.run})."
            )
    reviewed = Reviewed(runs, wanted, search.parts)
    events = Events(runs, wanted, search.parts)
    if not dry_run:
        _carry_out(runs, wanted, search, reviewed, events)
    batches = [part.run for part in search.parts if not part.keeps_batch]
    names = [*(part.run for part in search.parts), *sorted(search.deleted)]
    root, known = runs.engine.store.url, search.runs
    return Erased(
        tuple(names),
        sum(len(part.records) for part in search.parts),
        len(search.outputs),
        reviewed.decisions,
        len(events),
        tuple(batches),
        tuple(traces.elsewhere(root, wanted, names, known)),
        () if dry_run else tuple(traces.left(root, wanted)),
        dry_run,
        tuple(_notes(search, wanted, events)),
    )


def _notes(search: Search, wanted: Wanted, events: Events) -> Iterator[str]:
    """What could not be looked into."""
    if search.unread:
        named = ", ".join(search.unread[:_NAMED])
        more = len(search.unread) - _NAMED
        yield (
            f"Not looked into, as they do not verify (damaged, or made with another key):"
            f" {named}{f' and {more:,} more' if more > 0 else ''}. `nbflow store key`"
            " says which key is in use; `nbflow store check --repair` removes them."
        )
    for folder in search.other_keys:
        yield (
            f"What was saved with another key cannot be read here: {folder}. Erase where"
            " that key is in use (`nbflow store key`), or delete the folder."
        )
    if wanted.record is not None and search.unclaimed:
        yield (
            f"{several(search.unclaimed, 'saved output')} came from no run that is"
            " known: calls and cells outside runs. The key of a record does not find"
            " what they hold: `nbflow store erase --text TEXT` does."
        )
    if events.mentions:
        yield (
            f"{several(events.mentions, 'event')} in the inbox"
            f" mention{'s' if events.mentions == 1 else ''} {wanted.record!r}, and nobody"
            " knows whether as this record: `nbflow store erase --text TEXT` erases them."
        )


def _carry_out(
    runs: Runs, wanted: Wanted, search: Search, reviewed: Reviewed, events: Events
) -> None:
    engine, reached = runs.engine, runs.engine.runner.reached
    reached("remove")
    engine.store.delete(key.hex() for key in search.outputs)
    reached("remove")
    reviewed.erase()
    events.erase()
    erase_gates(engine.ledger, wanted, [part.run for part in search.parts])
    for part in search.parts:
        with runs.retiring(part.run) as is_free:
            if not is_free:
                raise UsageError(
                    f"Run {part.run} was taken up meanwhile: erase again at its end."
                )
            reached("remove")
            _rewrite_batch(runs, part)
            reached("remove")
            engine.ledger.rewrite(part.run, "entries", _starred(part, wanted))
            runs.live.pop(part.run, None)  # what is open from now on reads the ledger
    reached("remove")
    LeftBehind(engine.ledger).keep(_without_its(search.outputs, wanted))
    engine.ledger.sweep()
    # Also if nothing was found: whoever was killed may have come this far.
    engine.store.scrub()


def _without_its(
    outputs: Container[bytes], wanted: Wanted
) -> Callable[[Deleted, bytes, bytes], bool]:
    """What deleted runs left, without what was erased, and without the record itself."""
    mine = digest_of(wanted.key)

    def stays(deleted: Deleted, record: bytes, key: bytes) -> bool:
        is_mine = record == mine and wanted.event in (None, deleted.event)
        return key not in outputs and not is_mine

    return stays


def _rewrite_batch(runs: Runs, part: RunPart) -> None:
    """Take the rows out of a kept batch, whichever run has it, or had it."""
    ledger = runs.engine.ledger
    owner = kept_batch.owner_of(ledger, part.run)
    if owner is None:
        ledger.rewrite(part.run, "records", _without(part))
    elif not part.keeps_batch:
        ledger.rewrite(part.run, "records", lambda _block: None)
    aside = ledger.beside(kept_batch.ASIDE)
    aside.rewrite(owner or part.run, "records", _without(part))


def _without(part: RunPart) -> Callable[[bytes], bytes | None]:
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


def _starred(part: RunPart, wanted: Wanted) -> Callable[[bytes], bytes]:
    """Each block of entries, with stars for what it says of the records."""
    everywhere = wanted.text is not None

    def change(block: bytes) -> bytes:
        return masked(block, part.records, wanted.hide, everywhere=everywhere)

    return change
