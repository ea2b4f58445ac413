"""Results as CSV: every row of a run with what came of it, as a stream that fits any run.

For people with a spreadsheet: no cell can become a formula, secrets are hidden, and a
value that has parts stands there as JSON. Programs take `Run.results`.
"""

from __future__ import annotations

import csv
import datetime as dt
import enum
import io
import itertools
import json
import math
import numbers
from typing import TYPE_CHECKING, Any, TypeVar

from nbflow._call import lookup
from nbflow._core.entry import DONE
from nbflow._core.fields import fields_of
from nbflow._core.spreadsheet import harmless
from nbflow._key.redaction import masker, redacted
from nbflow._key.secret_patterns import is_named
from nbflow._run import decisions, results
from nbflow._store import checkpoint
from nbflow.errors import NbflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._core.entry import RunState
    from nbflow._run.decisions import Decided
    from nbflow._run.run_reader import RunReader

    #: The numbers of records, each with the record if it was kept.
    Rows = list[tuple[int, Any]]

T = TypeVar("T")

#: Rows that are read at once; the first of them say which columns there are.
BLOCK = 500
#: What pandas calls missing values.
_MISSING = ("NaTType", "NAType")
#: What stands in a cell whose value cannot be had.
GONE, UNREADABLE = "(not in the store any more)", "(cannot be shown)"


def chunks_of(reader: RunReader) -> Iterator[str]:
    """Yield the rows of a run as CSV: those of the batch, in its order, with what each flow made of them."""
    sheet = _Columns(reader)
    yield from sheet.chunks()


class _Columns:
    """The columns of one run: the record's key and fields, then those of each flow.

    The first rows say which fields there are. What a later row has beside them comes to
    stand in one column, by its name: a stream has sent its header by then.
    """

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._state = reader.state()
        self._mask = masker()
        self._decided = _decided(reader, self._state)
        #: Of the records, and then of each flow.
        self._fields: list[list[str]] = []
        self._is_long = self._state.rows > BLOCK

    def chunks(self) -> Iterator[str]:
        rows = _rows(self._reader, self._state)
        while block := list(itertools.islice(rows, BLOCK)):
            parts = self._parts(block)
            if not self._fields:
                self._fields = [_names(column) for column in zip(*parts, strict=True)]
                yield self._lines([self._header()])
            numbered = zip(block, parts, strict=True)
            yield self._lines(
                [self._cells(number, part) for (number, _), part in numbered]
            )

    def _parts(self, block: Rows) -> list[list[dict[str, object]]]:
        """Return the fields of records and of what each flow made of them."""
        records = [_record(one) for _, one in block]
        numbers = [number for number, _ in block]
        made = [
            [
                _made(self._state.flows[flow], value)
                for value in self._values(flow, numbers)
            ]
            for flow in range(len(self._state.flows))
        ]
        return [list(parts) for parts in zip(records, *made, strict=True)]

    def _values(self, flow: int, numbers: list[int]) -> list[object]:
        values = values_of(self._reader, self._state, flow, numbers)
        return [
            results.corrected(value, self._decided.get((number, flow), ()))
            for number, value in zip(numbers, values, strict=True)
        ]

    def _header(self) -> list[object]:
        record, *flows = self._fields
        names = [results.free("key", record), *record, *self._more("further fields")]
        for flow, fields in enumerate(flows):
            name = self._state.flows[flow]
            names += [f"{name}.status", *fields, *self._more(f"{name}: further fields")]
            if self._decided:
                names.append(f"{name}.by")
            if self._state.has_used(flow):
                names += [f"{name}.cost (US dollars)", f"{name}.tokens"]
        header: list[object] = []
        for name in names:  # a field may be called "status", too
            header.append(results.free(name, header))
        return header

    def _cells(self, number: int, parts: list[dict[str, object]]) -> list[object]:
        record, *made = parts
        cells: list[object] = [self._state.keys[number], *self._of(0, record)]
        for flow, part in enumerate(made):
            cells += [str(self._state.item(number, flow)), *self._of(flow + 1, part)]
            if self._decided:
                cells.append(self._by(number, flow, part))
            if self._state.has_used(flow):
                cost = self._state.cost(number, flow)
                cells.append("unknown" if math.isnan(cost) else cost)
                cells.append(self._state.tokens(number, flow))
        return cells

    def _of(self, place: int, part: dict[str, object]) -> list[object]:
        """Return the cells of one record, or of what one flow made of it."""
        known = self._fields[place]
        cells = [_unless_secret(name, part.get(name)) for name in known]
        further = {name: value for name, value in part.items() if name not in known}
        return [*cells, *self._more(further or None)]

    def _more(self, cell: T) -> list[T]:
        """Return the cell of what the first rows did not have, where there are others."""
        return [cell] if self._is_long else []

    def _by(self, number: int, flow: int, part: dict[str, object]) -> str:
        """Return whose label it is."""
        if (number, flow) in self._decided:
            return "human"
        return "model" if part else ""

    def _lines(self, rows: list[list[object]]) -> str:
        """Return rows as they are written; secrets are looked for once in all of them."""
        texts = [[_text(cell) for cell in row] for row in rows]
        whole = "\n".join(map("\n".join, texts))
        if self._mask(whole) != whole:
            texts = [[self._mask(text) for text in row] for row in texts]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [
                text if isinstance(cell, numbers.Number) else harmless(text)
                for text, cell in zip(*both, strict=True)
            ]
            for both in zip(texts, rows, strict=True)
        )
        return out.getvalue()


def _unless_secret(name: str, value: object) -> object:
    """Return a value, hidden if it is a text whose name says that it is a secret."""
    if isinstance(value, str) and is_named(name.rpartition(".")[2]):
        return redacted(value, name)
    return value


def _decided(reader: RunReader, state: RunState) -> Decided:
    """Return what people decided; the batch is only read if they decided anything."""
    if not decisions.standing_for(reader.engine, state.flows):
        return {}
    batch, _ = reader.rows(state)
    return reader.decided(state, batch)


def _rows(reader: RunReader, state: RunState) -> Iterator[tuple[int, Any]]:
    """Yield the rows of the batch; of one that was not kept, or not to its end, the records alone."""
    count = 0
    try:
        for number, record in reader.raw_rows(state):
            if number >= len(state.keys):
                break
            count = max(count, number + 1)
            yield number, record
    except NbflowError:
        pass  # keep_records=False: the keys are what is known
    yield from ((number, None) for number in range(count, len(state.keys)))


def values_of(
    reader: RunReader, state: RunState, flow: int, records: list[int]
) -> list[object]:
    """Return what a flow made of records, by number; a text in brackets where it cannot be had."""
    execution = reader.execution
    unsaved = execution.unsaved if execution is not None else {}
    keys = {
        record: state.checkpoint(record, flow)
        for record in records
        if state.item(record, flow) in DONE and (record, flow) not in unsaved
    }
    saved: dict[str, bytes] = {}
    for block in lookup.blocks(
        reader.engine.store, list({*filter(None, keys.values())})
    ):
        saved |= block
    return [
        unsaved[record, flow]
        if (record, flow) in unsaved
        else _value(saved.get(keys[record] or ""))
        if record in keys
        else None
        for record in records
    ]


def _value(data: bytes | None) -> object:
    if data is None:
        return GONE
    try:
        return checkpoint.load(data).shown
    except NbflowError:
        return UNREADABLE


def _record(record: object) -> dict[str, object]:
    if record is None:
        return {}
    fields = fields_of(record)
    return {"record": record} if fields is None else fields


def _made(flow: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    fields = fields_of(value)
    if fields is None:
        return {flow: value}
    return {f"{flow}.{name}": part for name, part in fields.items()}


def _text(value: object) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return ""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    try:
        return _nested(value) if _has_parts(value) else str(value)
    except Exception:  # a repr of the user's, or a value that holds itself
        return UNREADABLE


def _is_missing(value: object) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ in _MISSING


def _has_parts(value: object) -> bool:
    is_list = isinstance(value, list | tuple | set | frozenset)
    return is_list or fields_of(value) is not None


def _nested(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: object) -> object:
    """Return a value as JSON can say it, as far as it is one of parts."""
    fields = fields_of(value)
    if fields is not None:
        return {name: _plain(part) for name, part in fields.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    return value


def _names(parts: Iterable[dict[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))
