"""Contents: what the records of a run say and what came of them, read while the table is drawn.

A value may be large and lies in the store, so no table waits for one. A row shows what is
known of it; what is not is read on a thread of the table's own, and the table is drawn
again. Sorting, searching and counting need every row: the first that asks for them has
the same thread read all, block by block, and what was read counts from then on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from nbflow._call import lookup
from nbflow._core.entry import DONE, DONE_CODES
from nbflow._core.headline import Answer, answer_of, words_of
from nbflow._store import checkpoint
from nbflow.errors import NbflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from nbflow._core.entry import RunState
    from nbflow._run.run_reader import RunReader

#: Rows of pages that are remembered.
_MOST = 20_000
#: Rows that are read before the table is drawn again.
_BLOCK = 1024
#: A value of more bytes is not read for a line of the table.
_LARGE = 1_000_000
_LOST = Answer("(not in the store any more)")
_UNREADABLE = Answer("(cannot be shown)")


class Contents:
    """What the rows of a run's table hold.

    Args:
        reader: the run.
        changed: called when more is known.
    """

    def __init__(self, reader: RunReader, changed: Callable[[], None]) -> None:
        #: A number that grows whenever more is known.
        self.version = 0
        self.index: Index | None = None
        self._reader = reader
        self._changed = changed
        self._columns = reader.columns
        self._answers: dict[str, Answer] = {}
        self._words: dict[int, str] = {}
        self._asked_answers: dict[str, None] = {}
        self._asked_words: dict[int, None] = {}
        self._mutex = threading.Lock()
        self._is_reading = False

    def answer(self, state: RunState, record: int, flow: int) -> Answer:
        """What a flow returned for a record, if it is known by now."""
        if state.item(record, flow) not in DONE:
            return Answer()
        execution, key = self._reader.execution, state.checkpoint(record, flow)
        if execution is not None and (record, flow) in execution.unsaved:
            return answer_of(execution.unsaved[record, flow])
        found = self._answers.get(key or "")
        if found is None and key is not None:
            self._asked_answers[key] = None
        return found or Answer()

    def words(self, record: int) -> str | None:
        """What a record says; ``None`` as long as that is not known."""
        if self._columns != self._reader.columns:
            self._columns, self.index = self._reader.columns, None
            self._words.clear()
        found = self._words.get(record)
        if found is None:
            self._asked_words[record] = None
        return found

    def read_soon(self, state: RunState) -> None:
        """Read what was asked for, on another thread."""
        if self.index is not None:
            self.index.look_at(state)
        with self._mutex:
            if self._is_reading or not self._has_more:
                return
            self._is_reading = True
        threading.Thread(target=self._read, name="nbflow-contents", daemon=True).start()

    def read_all(self) -> Index:
        """Read every row from now on; returns what is known by now."""
        if self.index is None:
            self.index = Index(self._reader)
        return self.index

    @property
    def _has_more(self) -> bool:
        is_behind = self.index is not None and self.index.is_behind
        return bool(self._asked_answers or self._asked_words or is_behind)

    def _read(self) -> None:
        """Read until nothing is asked for."""
        while True:
            with self._mutex:
                if not self._has_more:
                    self._is_reading = False
                    return
            try:
                self._read_pages()
                if self.index is not None:
                    self.index.read_more()
            except BaseException:
                self._is_reading = False
                raise
            self.version += 1
            self._changed()

    def _read_pages(self) -> None:
        keys, records = list(self._asked_answers), list(self._asked_words)
        for known in (self._answers, self._words):
            if len(known) > _MOST:
                known.clear()
        if keys:
            self._answers.update(_answers(self._reader, keys))
        if records:
            self._words.update(_said(self._reader, records))
        for key in keys:
            self._asked_answers.pop(key, None)
        for record in records:
            self._asked_words.pop(record, None)


def _answers(reader: RunReader, keys: list[str]) -> dict[str, Answer]:
    """The headlines of saved values."""
    found = dict.fromkeys(keys, _LOST)
    for block in lookup.blocks(reader.engine.store, keys):
        found.update({key: _answer(data) for key, data in block.items()})
    return found


def _answer(data: bytes) -> Answer:
    if len(data) > _LARGE:
        return Answer(f"({len(data) / 1e6:,.1f} MB)")
    try:
        return answer_of(checkpoint.load(data).shown)
    except Exception:  # a repr of the user's, or a class that has nothing to show
        return _UNREADABLE


def _said(reader: RunReader, records: list[int]) -> dict[int, str]:
    """What records say, by number; nothing where they were not kept."""
    state = reader.state()
    try:
        found = reader.raw_records(state, records)
    except NbflowError:
        return dict.fromkeys(records, "")
    columns = reader.columns or state.columns
    said = dict.fromkeys(records, "")
    for number, record in found.items():
        said[number] = _words(record, columns, state.keys[number])
    return said


def _words(record: object, columns: tuple[str, ...], key: str) -> str:
    try:
        return words_of(record, columns, key)
    except Exception:  # a repr of the user's
        return ""


class Index:
    """The label of every answer and the words of every record, as far as they were read.

    Args:
        reader: the run.
        labels_only: leave the words alone.
    """

    def __init__(self, reader: RunReader, *, labels_only: bool = False) -> None:
        #: Whether there is more to read now.
        self.is_behind = True
        #: Whether everything was read of a run that has ended.
        self.is_complete = False
        #: The labels, each with the number by which `labels` names it.
        self.numbers: dict[str, int] = {}
        #: What each record says; shorter than the run as long as it is being read.
        self.words: list[str] = []
        self._reader = reader
        self._labels_only = labels_only
        self._labels: list[NDArray[np.int32]] = []
        self._rounds = 0
        #: What is left of the batch, and whether it ended before the run's records did.
        self._rows: Iterator[tuple[int, Any]] | None = None
        self._has_caught_up = False

    def look_at(self, state: RunState) -> None:
        """Note whether there may be more to read."""
        if state.state == "RUNNING" or len(state.rounds) != self._rounds:
            self.is_complete = False
        self.is_behind = not self.is_complete

    def labels(self, flow: int, length: int) -> NDArray[np.int32]:
        """The number of each record's label in ``flow``, ``length`` of them; -1 where there is none, or none yet."""
        labels = np.full(length, -1, np.int32)
        if flow < len(self._labels):
            known = self._labels[flow][:length]
            labels[: len(known)] = known
        return labels

    def counts(self, flow: int) -> list[tuple[str, int]]:
        """How many records have each label in ``flow``, the most frequent first."""
        if flow >= len(self._labels) or not self.numbers:
            return []
        labels = self._labels[flow]
        counts = np.bincount(labels[labels >= 0], minlength=len(self.numbers)).tolist()
        named = [
            (name, counts[number])
            for name, number in list(self.numbers.items())[: len(counts)]
        ]
        return sorted(
            ((name, count) for name, count in named if count), key=lambda one: -one[1]
        )

    def read_more(self) -> None:
        """Read the next block of what has not been read."""
        with self._reader.look() as (state, _):
            self._fit(state)
            wanted = self._unread(state)
            length = len(state.keys)
        for flow, records, keys in wanted:
            found = _answers(self._reader, keys)
            for record, key in zip(records, keys, strict=True):
                label = found[key].label
                number = self.numbers.setdefault(label, len(self.numbers))
                self._labels[flow][record] = number
        has_ended = state.state != "RUNNING"
        are_new = self._read_words(state, length, has_ended=has_ended)
        self.is_behind = bool(wanted) or are_new
        self.is_complete = has_ended and not self.is_behind

    def _fit(self, state: RunState) -> None:
        """Make room for new records; forget what may have come out otherwise."""
        if len(state.rounds) != self._rounds:
            self._rounds, self._labels = len(state.rounds), []
        length = len(state.keys)
        while len(self._labels) < len(state.flows):
            self._labels.append(np.full(length, -1, np.int32))
        for flow, labels in enumerate(self._labels):
            if len(labels) < length:
                grown = np.full(max(length, 2 * len(labels)), -1, np.int32)
                grown[: len(labels)] = labels
                self._labels[flow] = grown

    def _unread(self, state: RunState) -> list[tuple[int, list[int], list[str]]]:
        """Records that are done and whose answers were not read, a block for each flow."""
        wanted = []
        for flow, labels in enumerate(self._labels):
            codes = np.frombuffer(state.codes(flow), np.uint8)
            fresh = np.isin(codes, DONE_CODES) & (labels[: len(codes)] < 0)
            records = np.flatnonzero(fresh)[:_BLOCK].tolist()
            keyed = [(record, state.checkpoint(record, flow)) for record in records]
            saved = [(record, key) for record, key in keyed if key is not None]
            if saved:
                wanted.append(
                    (flow, [one[0] for one in saved], [one[1] for one in saved])
                )
        return wanted

    def _read_words(self, state: RunState, length: int, *, has_ended: bool) -> bool:
        """Read what the next records say; answers whether there were any."""
        columns = self._reader.columns or state.columns
        missing = length - len(self.words)
        if self._labels_only or missing <= 0 or (self._has_caught_up and not has_ended):
            return False
        try:
            if self._rows is None:
                self._rows = self._reader.raw_rows(state)
            for _ in range(min(missing, _BLOCK)):
                number, record = next(self._rows)
                self.words += [""] * (number + 1 - len(self.words))
                self.words[number] = _words(record, columns, state.keys[number])
        except (StopIteration, NbflowError):
            # An iterator that is still being read, from its beginning once it ended; or
            # not kept.
            self._rows, self._has_caught_up = None, not has_ended
            self.words += [""] * (missing if has_ended else 0)
        return True
