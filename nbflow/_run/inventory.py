"""Inventory: what the store holds, how much of the disk that takes, and what could go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._core.amount import amount
from nbflow._core.plural import several
from nbflow._run.needs import Needs, catalogue, use_of
from nbflow._store import habitat
from nbflow._store.folder import files_in
from nbflow._store.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._run.needs import RunUse, Saved
    from nbflow._run.runs import Runs

__all__ = ["StepSize", "StoreInfo", "inventory"]

#: Steps and runs that the text shows, the largest first.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class StepSize:
    """The outputs of one step, flow or cell.

    ``oldest``: when the oldest was saved, in seconds since the epoch.
    """

    name: str
    outputs: int
    bytes: int
    oldest: float


@dataclass(frozen=True, slots=True, repr=False)
class StoreInfo:
    """What a store holds.

    Attributes:
        url: where it is.
        bytes: what all of its files take; of a store in memory, about.
        outputs: the number of saved outputs.
        steps: by step, flow or cell, the most bytes first.
        runs: id and bytes in the ledger of each run, the latest first.
        under_way: ids of runs that somebody works on.
        oldest: when the oldest output was saved, in seconds since the epoch; ``None``
            without any.
        unneeded: the number of outputs that no run needs: of calls and cells outside
            runs, of earlier code, of runs that are gone.
        unneeded_bytes: what these take, about.
        notes: why it cannot live well where it is, and what to do.
    """

    url: str
    bytes: int
    outputs: int
    steps: tuple[StepSize, ...]
    runs: tuple[tuple[str, int], ...]
    under_way: tuple[str, ...]
    oldest: float | None
    unneeded: int
    unneeded_bytes: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        oldest = "" if self.oldest is None else f", the oldest of {_day(self.oldest)}"
        in_ledger = sum(size for _, size in self.runs)
        yield f"store    {self.url}"
        yield f"size     {amount(self.bytes)}"
        yield f"outputs  {self.outputs:,}{oldest}"
        for step in self.steps[:_SHOWN]:
            yield f"         {step.outputs:>9,}  {amount(step.bytes):>9}  {step.name}"
        if len(self.steps) > _SHOWN:
            yield f"         and {len(self.steps) - _SHOWN:,} steps more"
        yield f"runs     {len(self.runs):,}, {amount(in_ledger)} in the ledger"
        for run, size in sorted(self.runs, key=lambda one: -one[1])[:_SHOWN]:
            mark = "  under way" if run in self.under_way else ""
            yield f"         {amount(size):>9}  {run}{mark}"
        could = "nothing: a run needs every output"
        if self.unneeded:
            could = (
                f"{several(self.unneeded, 'output')} that no run needs, about"
                f" {amount(self.unneeded_bytes)}"
            )
        yield f"could go {could}; `nbflow store prune --dry-run` with rules says more"
        for note in self.notes:
            yield f"note     {note}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d}"  # noqa: DTZ006  # the reader's own day


def inventory(runs: Runs) -> StoreInfo:
    """What the store of these runs holds.

    Raises:
        StoreError: it cannot be read.
    """
    engine = runs.engine
    saved = catalogue(engine.store)
    needs, uses = Needs(saved), []
    for run in reversed(engine.ledger.runs()):
        use = use_of(runs, run)
        needs.keys |= needs.further(use)
        uses.append(use._replace(outputs=frozenset()))
    outputs = {key: one for key, one in saved.items() if not one.explains}
    unneeded = [one.size for key, one in outputs.items() if key not in needs.keys]
    return StoreInfo(
        engine.store.url,
        size_of(engine.store.url) or _held(saved, uses),
        len(outputs),
        tuple(_by_step(outputs)),
        tuple((use.run, use.size) for use in uses),
        tuple(use.run for use in uses if use.is_active),
        min((one.saved_at for one in outputs.values()), default=None),
        len(unneeded),
        sum(unneeded),
        _notes(engine.store.url),
    )


def _notes(url: str) -> tuple[str, ...]:
    if url == MemoryStore.url:
        return ()
    folder = Path(url).resolve()
    return tuple(filter(None, (habitat.unfit(folder), habitat.fading(folder))))


def size_of(url: str) -> int:
    """The bytes of all files of a store; 0 of one in memory."""
    if url == MemoryStore.url:
        return 0
    return sum(map(_size, files_in(Path(url))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0  # it went meanwhile


def _held(saved: dict[bytes, Saved], uses: list[RunUse]) -> int:
    return sum(one.size for one in saved.values()) + sum(use.size for use in uses)


def _by_step(outputs: dict[bytes, Saved]) -> list[StepSize]:
    by_name: defaultdict[str, list[Saved]] = defaultdict(list)
    for one in outputs.values():
        by_name[one.name].append(one)
    sizes = [
        StepSize(
            name,
            len(each),
            sum(one.size for one in each),
            min(one.saved_at for one in each),
        )
        for name, each in by_name.items()
    ]
    return sorted(sizes, key=lambda step: (-step.bytes, step.name))
