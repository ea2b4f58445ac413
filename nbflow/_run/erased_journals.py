"""ErasedJournals: what people decided and drew of a person's records, and what gates say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nbflow._core.decision import Decision
from nbflow._core.sample import Sample
from nbflow._run.decisions import content, population_of
from nbflow._store.ledger_lines import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Sequence

    from nbflow._run.finding import RunPart
    from nbflow._run.runs import Runs
    from nbflow._run.wanted import Wanted
    from nbflow._store.ledger import Ledger

__all__ = ["Reviewed", "erase_gates"]

_DECISIONS = msgspec.msgpack.Decoder(Decision)
_SAMPLES = msgspec.msgpack.Decoder(Sample)


class Reviewed:
    """What people decided on it, and drew of it.

    Attributes:
        decisions: the number of decisions on it.
    """

    def __init__(self, runs: Runs, wanted: Wanted, parts: Sequence[RunPart]) -> None:
        ledger = runs.engine.ledger
        self._reviews: Ledger = ledger.beside("reviews")
        self._samples: Ledger = ledger.beside("samples")
        self._wanted = wanted
        self._parts = parts
        # Of what event a run was that is no more nobody knows: what was decided on it
        # goes.
        self._others = set(ledger.runs()) - {part.run for part in parts}
        self.decisions = sum(
            self._is_about(block)
            for writer in self._reviews.runs()
            for block in self._reviews.records(writer)
        )

    def erase(self) -> None:
        """Erase the decisions, and what samples say of it."""

        def without(block: bytes) -> bytes | None:
            return None if self._is_about(block) else block

        _change_all(self._reviews, without)
        _change_all(self._samples, self._drawn_without)

    def _is_about(self, block: bytes) -> bool:
        if self._wanted.text is not None:
            return self._wanted.is_in(block)
        decision = _DECISIONS.decode(block)
        is_of_event = self._wanted.event is None or decision.run not in self._others
        return decision.key == self._wanted.record and is_of_event

    def _drawn_without(self, block: bytes) -> bytes:
        """A sample without what it says of the records, still one of all the others."""
        sample = _SAMPLES.decode(block)
        for part in self._parts:
            if part.erased:
                sample = _without_units(sample, part)
        if self._wanted.is_in(block):
            told = msgspec.msgpack.decode(msgspec.msgpack.encode(sample))
            return msgspec.msgpack.encode(_hidden(told, self._wanted.hide))
        return msgspec.msgpack.encode(sample)


def _without_units(sample: Sample, part: RunPart) -> Sample:
    """A sample without the units that only erased rows of a run look like."""
    others = {content(row, sample.on) for row in part.others}
    gone = {content(row, sample.on) for row in part.erased} - others
    if population_of(others | gone) == sample.population:
        sample = sample._replace(population=population_of(others))
    return sample._replace(
        order=_left_of(sample.units, gone), known=_left_of(sample.known_units, gone)
    )


def _left_of(units: Iterable[bytes], gone: Container[bytes]) -> bytes:
    return b"".join(unit for unit in units if unit not in gone)


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(part, hide) for part in value]
    return value


def _change_all(journal: Ledger, change: Callable[[bytes], bytes | None]) -> None:
    """Change the blocks of a journal that have to; the others are not touched."""
    for writer in journal.runs():
        if any(change(block) != block for block in journal.records(writer)):
            journal.rewrite(writer, "records", change)


def erase_gates(ledger: Ledger, wanted: Wanted, runs: Collection[str]) -> None:
    """Hide it in what is noted of gates, and of runs that people accepted; of a record in these runs."""
    everywhere = wanted.text is not None
    for journal in (ledger.beside("gates"), ledger.beside("accepted")):
        for run in journal.runs():
            entries, _ = journal.read(run)
            is_there = wanted.is_said(entries)
            if is_there if everywhere else run in runs:
                journal.rewrite(
                    run,
                    "entries",
                    lambda block: masked(block, (), wanted.hide, everywhere=everywhere),
                )
