"""Needs: what runs need of what is saved. The one place that says so.

A run needs the outputs that its entries name and, at any distance, those that they were
built on; and what its code was made of, to explain it. A run that somebody works on
needs, besides, every output of the code that it uses: it may look up any of them, and
notes a moment later that it did. So does a run that was killed: the last outputs that it
saved are in no note.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call import keys, lookup
from nbflow._core.entry import Called, Closed, Coded, Item, Opened
from nbflow._core.lifecycle import State
from nbflow._store import checkpoint
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from nbflow._core.entry import Entry, Position
    from nbflow._run.runs import Runs
    from nbflow._store.checkpoint import Checkpoint
    from nbflow._store.store import Store

__all__ = ["Needs", "RunUse", "Saved", "catalogue", "use_of"]

#: Names of what explains codes (`nbflow._call.sources`), before the subject's name.
_CODES, _SOURCE = "codes of ", "source of "
_FLOW = "flow "
#: What an entry takes beside its bytes: seal, row and index.
_AROUND = 250
#: Seconds around the last note of a run within which its process saved what it did not
#: come to note: a call may take long.
_BEFORE, _AFTER = 1.0, 3600.0


class Saved(NamedTuple):
    """One saved output, without its value. Its size is what it takes on the disk, about."""

    name: str
    saved_at: float
    code: bytes
    size: int
    built_on: tuple[bytes, ...]

    @property
    def explains(self) -> bool:
        """Whether it is no output, but what a code was made of."""
        return self.name.startswith((_CODES, _SOURCE))


def catalogue(
    store: Store, visit: Callable[[bytes, bytes, Checkpoint], None] | None = None
) -> dict[bytes, Saved]:
    """Everything that is saved, by key; what cannot be read here is left out.

    Each entry is read and verified, one block at a time.

    Args:
        store: where it is.
        visit: is given each entry: its key, its bytes, what it says.
    """
    found: dict[bytes, Saved] = {}
    names: dict[object, object] = {}
    for block in lookup.blocks(store, list(store.keys())):
        for key, data in block.items():
            try:
                head = checkpoint.load(data)
            except StoreError:
                continue
            if visit is not None:
                visit(bytes.fromhex(key), data, head)
            found[bytes.fromhex(key)] = Saved(
                str(names.setdefault(head.name, head.name)),
                head.saved_at,
                head.code,
                len(data) + _AROUND,
                tuple(bytes.fromhex(inner) for _, inner in head.built_on),
            )
    return found


class RunUse(NamedTuple):
    """What one run names.

    Attributes:
        run: its id.
        event: what was sent.
        started: seconds since the epoch.
        ended: when the last thing of it was noted.
        is_active: somebody works on it.
        is_whole: all that it needs is noted.
        waits: records of it wait in their flows.
        size: its bytes in the ledger.
        outputs: keys that its entries name.
        codes: the codes that it used, each with the name of its step or flow.
        length: the ledger's measure of it when it was read.
    """

    run: str
    event: str
    started: float
    ended: float
    is_active: bool
    is_whole: bool
    waits: bool
    size: int
    outputs: frozenset[bytes]
    codes: frozenset[tuple[str, bytes]]
    length: int


def use_of(runs: Runs, run: str) -> RunUse:
    """What a run names now.

    Raises:
        StoreError: its ledger cannot be read.
    """
    ledger = runs.engine.ledger
    # Asked first: what it notes after its end is none of a run that was active.
    is_active = runs.is_worked_on(run)
    length = ledger.size(run)
    event, started, ended, state = "", 0.0, 0.0, ""
    outputs: set[bytes] = set()
    codes: set[tuple[str, bytes]] = set()
    waiting: set[Position] = set()
    for entry in _entries(runs, run):
        if isinstance(entry, Item):
            waiting.discard((entry.record, entry.flow))
            if entry.state is State.WAITING:
                waiting.add((entry.record, entry.flow))
        if isinstance(entry, Item | Called):
            if entry.checkpoint is not None:
                outputs.add(bytes.fromhex(entry.checkpoint))
        elif isinstance(entry, Coded):
            codes.add((entry.subject, entry.code))
        elif isinstance(entry, Opened):
            event, started = entry.event, entry.at
        ended = max(ended, getattr(entry, "at", 0.0))
        state = entry.state if isinstance(entry, Closed) else ""
    return RunUse(
        run,
        event,
        started,
        ended,
        is_active,
        not is_active and state not in ("", "INTERRUPTED"),
        bool(waiting),
        ledger.bytes_of(run),
        frozenset(outputs),
        frozenset(codes),
        length,
    )


def _entries(runs: Runs, run: str) -> Iterator[Entry]:
    for entries, _ in runs.engine.ledger.blocks(run):
        yield from entries


class Needs:
    """What some runs need of what is saved."""

    def __init__(self, saved: Mapping[bytes, Saved]) -> None:
        self.keys: set[bytes] = set()
        self._saved = saved
        self._by_code: dict[tuple[str, bytes], list[bytes]] = {}

    def further(self, use: RunUse) -> set[bytes]:
        """What a run needs and nobody of those before."""
        roots = set(use.outputs)
        for subject, code in use.codes:
            roots |= _explanations(subject, code)
            if not use.is_whole:
                roots.update(self._of_code(subject.removeprefix(_FLOW), code))
        return self.reached(roots)

    def further_of(self, *outputs: bytes) -> set[bytes]:
        """What outputs that stay need, themselves included, and nobody of those before."""
        roots = set(outputs)
        for key in outputs:
            name, code = self._saved[key].name, self._saved[key].code
            roots |= _explanations(name, code) | _explanations(f"{_FLOW}{name}", code)
        return self.reached(roots)

    def unnoted(self, use: RunUse, named: Container[bytes]) -> set[bytes]:
        """What a run may have saved that no run names: its process died before it noted that.

        Args:
            use: what the run names.
            named: what any run names.
        """
        if use.is_whole or use.is_active:
            return set()
        return {
            key
            for subject, code in use.codes
            for key in self._of_code(subject.removeprefix(_FLOW), code)
            if key not in named
            and -_BEFORE <= self._saved[key].saved_at - use.ended <= _AFTER
        }

    def size(self, keys: Iterable[bytes]) -> int:
        """What these take."""
        return sum(self._saved[key].size for key in keys if key in self._saved)

    def reached(self, roots: Iterable[bytes]) -> set[bytes]:
        """Those of ``roots``, and of what they were built on at any distance, that are new."""
        found: set[bytes] = set()
        left = list(roots)
        while left:
            key = left.pop()
            if key in found or key in self.keys:
                continue
            found.add(key)
            one = self._saved.get(key)
            if one is not None:
                left += one.built_on
        return found

    def _of_code(self, name: str, code: bytes) -> list[bytes]:
        if not self._by_code:
            by_code: defaultdict[tuple[str, bytes], list[bytes]] = defaultdict(list)
            for key, one in self._saved.items():
                by_code[one.name, one.code].append(key)
            self._by_code = dict(by_code)
        return self._by_code.get((name, code), [])


def _explanations(subject: str, code: bytes) -> set[bytes]:
    """The keys of what explains a code."""
    return {
        bytes.fromhex(keys.history_key(subject)),
        bytes.fromhex(keys.source_key(subject, code)),
    }
