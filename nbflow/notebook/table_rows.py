"""Table rows: which rows of a run's table a view shows, and what stands in them.

A row is one record in one flow and is known by its number: ``record * flows + flow``.
Choosing and ordering rows takes time that grows with the run, so `LiveTable` uses a choice
for a while; the rows of a page are read for the page alone.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from nbflow._core.awaited import what_of
from nbflow._core.entry import BROKEN, DONE, DONE_CODES, FINAL
from nbflow._core.headline import Answer
from nbflow._core.lifecycle import CODES, SHOWN, Reuse, Shown, State
from nbflow._core.looks import LOOKS
from nbflow._core.sheet import UNCALLED, WHOLE
from nbflow._core.spreadsheet import harmless
from nbflow._core.table import middle, short
from nbflow._core.usage import money
from nbflow._core.visible import seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from nbflow._core.entry import Failure, RunState
    from nbflow._core.sheet import FlowColumns, Sheet
    from nbflow.notebook.contents import Contents, Index
    from nbflow.notebook.live_table import RowData

    Rows = NDArray[np.int64]
    Codes = NDArray[np.uint8]

Scalar = TypeVar("Scalar", bound=np.generic)

#: The order in which a person wants to see rows: what is under way, what needs attention,
#: the rest.
ATTENTION: tuple[Shown, ...] = (
    State.RETRYING,
    State.RUNNING,
    State.WAITING,
    State.FAILED,
    State.TIMED_OUT,
    State.INTERRUPTED,
    State.CANCELLED,
    State.QUEUED,
    State.COMPLETED,
    Reuse.SAME,
    State.CACHED,
)
_RANKS = np.zeros(len(SHOWN), np.uint8)
_RANKS[[CODES[state] for state in ATTENTION]] = range(len(ATTENTION))
#: Whether a row stopped at a step, by the code of its call of it.
_STOPPED = np.isin(
    range(256),
    [CODES[state] for state in State if state not in DONE],
)
_UNDER_WAY = [
    CODES[state] for state in State if state not in FINAL and state is not State.QUEUED
]
#: By what rows can be sorted.
SORTS = ("state", "key", "words", "flow", "answer", "attempts", "seconds", "cost")
#: Those that sort by what a record says and by what came of it.
_TEXTS = ("words", "answer")
#: The number of a label that no row has.
_NO_LABEL = -2
#: Characters of a message and of a key that a row shows.
_MESSAGE, _KEY = 240, 120
#: Keys of fewer digits are sorted as numbers.
_DIGITS = 20


class Query(NamedTuple):
    """What a view asks for; an empty part asks for nothing.

    Attributes:
        text: part of a key, an error, a message, a record's words or a label; of any
            case.
        flow: the number of the flow.
        states: how the records stand.
        step: the step at which rows stopped.
        cause: the number of a cause; they failed of that or of one that is like it.
        answer: the label of what the flow returned.
        sort: one of `SORTS`, or empty for the order of the batch.
        descending: sort from the largest down.
    """

    text: str = ""
    flow: int | None = None
    states: tuple[Shown, ...] = ()
    step: str = ""
    cause: int | None = None
    answer: str | None = None
    sort: str = ""
    descending: bool = False

    @property
    def needs_contents(self) -> bool:
        """Whether it can only be answered by reading every record or answer."""
        asked = self.text or self.answer is not None
        return bool(asked) or self.sort in _TEXTS


def rows_of(
    state: RunState, sheet: Sheet, query: Query, now: float, index: Index | None = None
) -> Rows:
    """Return the numbers of the rows that fit ``query``, in its order.

    What ``index`` has not read yet is taken to have no words and no label.
    """
    flows = [flow for flow in range(len(state.flows)) if query.flow in (None, flow)]
    if not state.keys or not flows:
        return np.zeros(0, np.int64)
    codes = _codes(state, sheet, flows)
    fits = _stands(state, sheet, query, codes, flows) & _says(
        state, query, index, codes.shape, flows
    )
    chosen = np.flatnonzero(fits)
    if query.sort in _TEXTS:
        chosen = chosen[_alphabetical(query, index, chosen, codes.shape, flows)]
    elif query.sort:
        chosen = chosen[_order(state, sheet, query, chosen, codes, flows, now)]
    if query.flow is not None:
        return chosen * len(state.flows) + query.flow
    # All flows stand side by side, so that the place of a row is its number.
    return chosen


def _stands(
    state: RunState, sheet: Sheet, query: Query, codes: Codes, flows: list[int]
) -> NDArray[np.bool_]:
    """Return a table that is true for rows that stand as ``query`` asks."""
    fits = np.ones(codes.shape, bool)
    if query.states:
        fits &= _stand_as(state, sheet, query.states, codes)
    if query.step:
        for column, flow in enumerate(flows):
            track = _track(sheet.columns[flow], query.step, len(state.keys))
            fits[:, column] &= _STOPPED[track]
    if query.cause is not None:
        causes, alike = sheet.cause_of.items(), set(sheet.alike(query.cause))
        failed = [place for place, cause in causes if cause in alike]
        fits &= _marked(failed, codes.shape, flows)
    return fits


def _stand_as(
    state: RunState, sheet: Sheet, states: tuple[Shown, ...], codes: Codes
) -> NDArray[np.bool_]:
    """Return a table that is true for rows of records that stand so.

    What is done of a record that is not done is left out.
    """
    standings = _padded(np.frombuffer(state.standings(), np.uint8), len(codes), 0)
    is_under_way = standings == CODES[State.RUNNING]
    for places, passes in _passing(state, sheet):
        records = np.zeros(len(codes), bool)
        records[[record for record, _ in places]] = True
        standings[records & is_under_way] = CODES[passes]
    asked = np.isin(standings, [CODES[shown] for shown in states])
    fits: NDArray[np.bool_] = asked[:, None] & (
        ~np.isin(codes, DONE_CODES) | np.isin(standings, DONE_CODES)[:, None]
    )
    return fits


def _passing(
    state: RunState, sheet: Sheet
) -> list[tuple[Iterable[tuple[int, int]], State]]:
    """Return the rows under way that are in a state of a moment; the later state counts."""
    return [(sheet.retrying, State.RETRYING), (state.waiting, State.WAITING)]


def _says(
    state: RunState,
    query: Query,
    index: Index | None,
    shape: tuple[int, ...],
    flows: list[int],
) -> NDArray[np.bool_]:
    """Return a table that is true for rows that say what ``query`` asks for."""
    fits = np.ones(shape, bool)
    if query.text:
        text = query.text.casefold()
        fits = _found(state, text, shape, flows)
        if index is not None:
            fits |= _found_inside(index, text, shape, flows)
    if query.answer is not None:
        known = index.numbers if index is not None else {}
        fits &= _labels(index, shape, flows) == known.get(query.answer, _NO_LABEL)
    return fits


def _codes(state: RunState, sheet: Sheet, flows: list[int]) -> Codes:
    """Return the states as the table shows them: a line a record, a column a flow."""
    columns_of_codes = [np.frombuffer(state.codes(flow), np.uint8) for flow in flows]
    codes = _side_by_side(columns_of_codes, len(state.keys))
    columns = {flow: column for column, flow in enumerate(flows)}
    for places, passes in _passing(state, sheet):
        for record, flow in places:
            if flow in columns:
                codes[record, columns[flow]] = CODES[passes]
    return codes


def _side_by_side(columns: list[NDArray[Scalar]], length: int) -> NDArray[Scalar]:
    """Make a table of the columns of flows, which end with the last record that has a value."""
    return np.stack([_padded(column, length, 0) for column in columns], axis=1)


def _padded(values: NDArray[Scalar], length: int, fill: int) -> NDArray[Scalar]:
    whole = np.full(length, fill, values.dtype)
    whole[: len(values)] = values[:length]
    return whole


def _track(lane: FlowColumns, step: str, length: int) -> Codes:
    """Return how the calls of a step ended, record by record."""
    track = lane.tracks.get(step)
    codes = bytes(track.codes) if track is not None else b""
    return _padded(np.frombuffer(codes, np.uint8), length, UNCALLED)


def _marked(
    places: Iterable[tuple[int, int]], shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.bool_]:
    """Return a table that is true at these places."""
    marked = np.zeros(shape, bool)
    columns = {flow: column for column, flow in enumerate(flows)}
    for record, flow in places:
        if flow in columns:
            marked[record, columns[flow]] = True
    return marked


def _found(
    state: RunState, text: str, shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.bool_]:
    """Return a table that is true for rows whose key, error or message has ``text`` in it."""
    failed = [
        place
        for place, (failure, _) in state.failures.items()
        if text in f"{failure.error}: {failure.message}".casefold()
    ]
    found = _marked(failed, shape, flows)
    named = [number for number, key in enumerate(state.keys) if text in key.casefold()]
    found[named] = True
    return found


def _found_inside(
    index: Index, text: str, shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.bool_]:
    """Return a table that is true for rows whose words or label have ``text`` in them."""
    numbers = [
        number
        for label, number in list(index.numbers.items())
        if text in label.casefold()
    ]
    found: NDArray[np.bool_] = np.isin(_labels(index, shape, flows), numbers)
    words = index.words[: shape[0]]
    found[[number for number, said in enumerate(words) if text in said.casefold()]] = (
        True
    )
    return found


def _labels(
    index: Index | None, shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.int32]:
    """Return the numbers of the labels: a line a record, a column a flow."""
    if index is None:
        return np.full(shape, -1, np.int32)
    return np.stack([index.labels(flow, shape[0]) for flow in flows], axis=1)


# The order of rows.


def _alphabetical(
    query: Query,
    index: Index | None,
    chosen: Rows,
    shape: tuple[int, ...],
    flows: list[int],
) -> Rows:
    """Return the chosen rows' order by their words or their labels; what has none comes last."""
    if query.sort == "words":
        words = index.words if index is not None else []
        texts = [
            words[at] if at < len(words) else ""
            for at in (chosen // len(flows)).tolist()
        ]
        ranks = _ranks([text.casefold() for text in texts])
        is_empty = np.array([not text for text in texts], bool)
    else:
        names = list(index.numbers) if index is not None else []
        by_number = np.append(_ranks([name.casefold() for name in names]), 0)
        numbers = _labels(index, shape, flows).ravel()[chosen]
        ranks, is_empty = by_number[numbers], numbers < 0
    ranks = -ranks if query.descending else ranks
    ranks = np.where(is_empty, np.iinfo(np.int64).max, ranks)
    order: Rows = np.argsort(ranks, kind="stable")
    return order


def _order(
    state: RunState,
    sheet: Sheet,
    query: Query,
    chosen: Rows,
    codes: Codes,
    flows: list[int],
    now: float,
) -> Rows:
    """Return in which order the chosen rows are shown."""
    records, columns = np.divmod(chosen, len(flows))
    lanes = [sheet.columns[flow] for flow in flows]
    length = len(state.keys)
    values: NDArray[np.generic]
    if query.sort == "key":
        values = _ranks([state.keys[record] for record in records.tolist()])
    elif query.sort == "flow":
        values = columns
    elif query.sort == "state":
        values = _RANKS[codes.ravel()[chosen]]
    elif query.sort == "attempts":
        attempts = [np.frombuffer(bytes(lane.attempts), np.uint8) for lane in lanes]
        values = _side_by_side(attempts, length).ravel()[chosen].astype(np.int16)
    elif query.sort == "cost":
        costs = [np.frombuffer(state.costs(flow)) for flow in flows]
        values = _side_by_side(costs, length).ravel()[chosen]
        # An unknown price may be any: it is taken for the highest.
        values[np.isnan(values)] = np.inf
    else:
        taken = [np.frombuffer(lane.seconds.tobytes(), np.float32) for lane in lanes]
        values = _side_by_side(taken, length).ravel()[chosen]
        # Of a row under way its begin is known, from the start of the run.
        is_under_way = np.isin(codes.ravel()[chosen], _UNDER_WAY)
        since = np.float32(now - sheet.started) - values
        values = np.where(is_under_way, since, values)
    if query.descending:
        values = -values.astype(np.float64)
    # Equal rows stay in the order of the batch, whichever way they are sorted.
    order: Rows = np.argsort(values, kind="stable")
    return order


def _ranks(keys: list[str]) -> Rows:
    """Return the place of each key among all of them in order."""
    if not keys:
        return np.zeros(0, np.int64)
    sortable = np.array(_sortable(keys), dtype=object)
    ranks: Rows = np.unique(sortable, return_inverse=True)[1]
    return ranks


def _sortable(keys: list[str]) -> list[str]:
    """Return keys in a form that sorts as a person expects: numbers, as of an index, by their size."""
    if all(key.isdecimal() and len(key) < _DIGITS for key in keys):
        return [key.zfill(_DIGITS) for key in keys]
    return keys


# What stands in a row.


def row_of(
    state: RunState, sheet: Sheet, number: int, contents: Contents | None = None
) -> RowData:
    """Return one row as it travels.

    Its number, key, flow, state, track, attempts, seconds (or when it began), cost and
    message, the record's words (`None` until they are read), and the answer's label and other fields. The track has
    one letter for each step of the flow: the code of how its call ended, as a hexadecimal
    digit, ``-`` if it was not called.
    """
    record, flow = place = divmod(number, len(state.flows))
    lane = sheet.columns[flow]
    code = CODES[state.shown_item(record, flow)]
    message = ""
    if place in sheet.retrying:
        code = CODES[State.RETRYING]
        message = _message(sheet.retrying[place][1])
    if place in state.waiting:
        code, message = CODES[State.WAITING], short(state.waiting[place], _MESSAGE)
    if place in state.awaited:
        waits = what_of(state.awaited[place], None, State.WAITING)
        message = short(waits, _MESSAGE)
    if place in state.failures:
        message = _message(state.failures[place][0])
    words: str | None = None
    answer = Answer()
    if contents is not None:
        words, answer = contents.words(record), contents.answer(state, record, flow)
    attempts, seconds = 0, 0.0
    if record < len(lane.attempts):
        attempts, seconds = lane.attempts[record], lane.seconds[record]
    return [
        number,
        seen(middle(state.keys[record], _KEY)),
        flow,
        code,
        _letters(lane, record),
        attempts,
        round(seconds, 4),
        _cost(state, record, flow),
        message,
        words,
        *answer,
    ]


def _message(failure: Failure | None) -> str:
    if failure is None:
        return ""
    said = f"{failure.error}: {failure.message}" if failure.message else failure.error
    return short(said, _MESSAGE)


def _cost(state: RunState, record: int, flow: int) -> str:
    if not state.has_used(flow) or not state.tokens(record, flow):
        return ""
    cost = state.cost(record, flow)
    return "unknown" if math.isnan(cost) else money(cost)


def _letters(lane: FlowColumns, record: int) -> str:
    codes = [track.code(record) for name, track in lane.tracks.items() if name != WHOLE]
    return "".join("-" if code == UNCALLED else f"{code:x}" for code in codes)


# Rows as a whole.


def split(
    state: RunState, rows: Iterable[int]
) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Return rows as (record, flow): those that are not done, and those that are."""
    flows = len(state.flows)
    places = {divmod(number, flows) for number in rows}
    done = frozenset(place for place in places if state.item(*place) in DONE)
    return frozenset(places - done), done


def failures_csv(state: RunState, rows: Iterable[int]) -> str:
    """Return the failures among ``rows`` as CSV that no spreadsheet takes for formulas."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("record", "flow", "step", "state", "error", "message", "attempts"))
    for number in rows:
        record, flow = divmod(number, len(state.flows))
        if state.item(record, flow) in BROKEN and (record, flow) in state.failures:
            failure, attempts = state.failures[record, flow]
            texts = (
                state.keys[record],
                state.flows[flow],
                failure.step or "",
                LOOKS[state.item(record, flow)].word,
                failure.error,
                failure.message,
            )
            writer.writerow((*map(harmless, texts), attempts))
    return out.getvalue()
