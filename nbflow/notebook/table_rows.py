"""Page: which rows of a run's table a view shows, and what stands in them.

A row is one record in one flow and is known by its number: ``record * flows + flow``.
Choosing and ordering rows costs time that grows with the run, so a `Selection` is kept
until it is old enough to be worth another; reading the rows of one page costs the page.
"""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbflow._core.entry import BROKEN, DONE, FINAL
from nbflow._core.lifecycle import State
from nbflow._core.sheet import CODES, STATES, UNCALLED, WHOLE
from nbflow._core.table import short
from nbflow._core.usage import money

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from nbflow._core.entry import RunState
    from nbflow._core.sheet import FlowColumns, Sheet

    Rows = NDArray[np.int64]

#: The order in which rows want to be seen: what is under way, what needs a person, the
#: rest.
ATTENTION = (
    State.RETRYING,
    State.RUNNING,
    State.WAITING,
    State.FAILED,
    State.TIMED_OUT,
    State.INTERRUPTED,
    State.CANCELLED,
    State.QUEUED,
    State.COMPLETED,
    State.CACHED,
)
_RANKS = np.zeros(len(STATES), np.uint8)
_RANKS[[CODES[state] for state in ATTENTION]] = range(len(ATTENTION))
#: Where a row stopped, if its call of a step ended like this or is to be tried again.
_STOPPED = np.isin(range(256), [CODES[state] for state in STATES if state not in DONE])
SORTS = ("state", "key", "flow", "attempts", "seconds", "cost")
_MESSAGE, _KEY, _DIGITS = 240, 120, 20


class Query(NamedTuple):
    """What a view asks for; an empty part asks for nothing."""

    text: str = ""
    flow: int | None = None
    states: tuple[State, ...] = ()
    step: str = ""
    cause: int | None = None
    sort: str = ""
    descending: bool = False


def rows_of(state: RunState, sheet: Sheet, query: Query, now: float) -> Rows:
    """The numbers of the rows that fit ``query``, in its order."""
    flows = [flow for flow in range(len(state.flows)) if query.flow in (None, flow)]
    if not state.keys or not flows:
        return np.zeros(0, np.int64)
    codes = _codes(state, sheet, flows)
    fits = np.ones(codes.shape, bool)
    if query.states:
        fits &= np.isin(codes, [CODES[state] for state in query.states])
    if query.step:
        for column, flow in enumerate(flows):
            fits[:, column] &= _STOPPED[
                _track(sheet.columns[flow], query.step, len(state.keys))
            ]
    if query.cause is not None:
        fits &= _marked(
            (place for place, cause in sheet.cause_of.items() if cause == query.cause),
            codes.shape,
            flows,
        )
    if query.text:
        fits &= _found(state, query.text.casefold(), codes.shape, flows)
    chosen = np.flatnonzero(fits)
    if query.sort:
        chosen = chosen[_order(state, sheet, query, chosen, codes, flows, now)]
    if query.flow is not None:
        return chosen * len(state.flows) + query.flow
    return chosen  # all flows stand side by side: the place is the number


def _codes(state: RunState, sheet: Sheet, flows: list[int]) -> NDArray[np.uint8]:
    """The states as the table shows them: a line a record, a column a flow."""
    codes = np.stack(
        [
            _padded(np.frombuffer(state.codes(flow), np.uint8), len(state.keys), 0)
            for flow in flows
        ],
        axis=1,
    )
    columns = {flow: column for column, flow in enumerate(flows)}
    for record, flow in sheet.retrying:
        if flow in columns:
            codes[record, columns[flow]] = CODES[State.RETRYING]
    return codes


def _padded(values: NDArray[Any], length: int, fill: int) -> NDArray[Any]:
    whole = np.full(length, fill, values.dtype)
    whole[: len(values)] = values[:length]
    return whole


def _track(lane: FlowColumns, step: str, length: int) -> NDArray[np.uint8]:
    track = lane.tracks.get(step)
    return _padded(
        np.frombuffer(bytes(track.codes) if track is not None else b"", np.uint8),
        length,
        UNCALLED,
    )


def _marked(
    places: Iterable[tuple[int, int]], shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.bool_]:
    marked = np.zeros(shape, bool)
    columns = {flow: column for column, flow in enumerate(flows)}
    for record, flow in places:
        if flow in columns:
            marked[record, columns[flow]] = True
    return marked


def _found(
    state: RunState, text: str, shape: tuple[int, ...], flows: list[int]
) -> NDArray[np.bool_]:
    """Rows whose key, error or message has ``text`` in it."""
    failed = (
        place
        for place, (failure, _) in state.failures.items()
        if text in f"{failure.error}: {failure.message}".casefold()
    )
    found = _marked(failed, shape, flows)
    found[
        [number for number, key in enumerate(state.keys) if text in key.casefold()]
    ] = True
    return found


def _order(
    state: RunState,
    sheet: Sheet,
    query: Query,
    chosen: Rows,
    codes: NDArray[np.uint8],
    flows: list[int],
    now: float,
) -> Rows:
    records, columns = chosen // len(flows), chosen % len(flows)
    values: NDArray[Any]
    if query.sort == "key":
        keys = np.array(
            _sortable([state.keys[record] for record in records.tolist()]), dtype=object
        )
        values = np.unique(keys, return_inverse=True)[1] if len(keys) else records
    elif query.sort == "flow":
        values = columns
    elif query.sort == "state":
        values = _RANKS[codes.ravel()[chosen]]
    elif query.sort == "attempts":
        values = (
            np.stack(
                [
                    _padded(
                        np.frombuffer(bytes(sheet.columns[flow].attempts), np.uint8),
                        len(state.keys),
                        0,
                    )
                    for flow in flows
                ],
                axis=1,
            )
            .ravel()[chosen]
            .astype(np.int16)
        )
    elif query.sort == "cost":
        values = np.stack(
            [
                _padded(np.frombuffer(state.costs(flow)), len(state.keys), 0)
                for flow in flows
            ],
            axis=1,
        ).ravel()[chosen]
        values[np.isnan(values)] = np.inf  # what nobody knows the price of is dear
    else:
        values = np.stack(
            [
                _padded(
                    np.frombuffer(sheet.columns[flow].seconds.tobytes(), np.float32),
                    len(state.keys),
                    0,
                )
                for flow in flows
            ],
            axis=1,
        ).ravel()[chosen]
        under_way = np.isin(
            codes.ravel()[chosen],
            [
                CODES[state]
                for state in STATES
                if state not in FINAL and state is not State.QUEUED
            ],
        )
        values = np.where(under_way, np.float32(now - sheet.started) - values, values)
    # What is equal stays in the order of the batch, whichever way it is sorted.
    order: Rows = np.argsort(
        -values.astype(np.float64) if query.descending else values, kind="stable"
    )
    return order


def _sortable(keys: list[str]) -> list[str]:
    """Keys as they sort: numbers, as an index is made of, by their size and not by their first digit."""
    if all(key.isdecimal() and len(key) < _DIGITS for key in keys):
        return [key.zfill(_DIGITS) for key in keys]
    return keys


def row_of(state: RunState, sheet: Sheet, number: int) -> list[Any]:
    """One row as it travels: number, key, flow, state, track, attempts, seconds or begin, cost, message.

    The track has one letter for each step of the flow: the code of how its call ended,
    ``-`` where it was not called.
    """
    record, flow = divmod(number, len(state.flows))
    lane, code = sheet.columns[flow], CODES[state.item(record, flow)]
    retried = sheet.retrying.get((record, flow))
    failed = state.failures.get((record, flow))
    failure = (
        failed[0] if failed is not None else retried[1] if retried is not None else None
    )
    track = "".join(
        _letter(found.code(record))
        for name, found in lane.tracks.items()
        if name != WHOLE
    )
    reached = record < len(lane.attempts)
    return [
        number,
        short(state.keys[record], _KEY),
        flow,
        CODES[State.RETRYING] if retried is not None else code,
        track,
        lane.attempts[record] if reached else 0,
        round(lane.seconds[record], 4) if reached else 0,
        _cost(state, record, flow),
        short(
            f"{failure.error}: {failure.message}" if failure.message else failure.error,
            _MESSAGE,
        )
        if failure is not None
        else "",
    ]


def _cost(state: RunState, record: int, flow: int) -> str:
    if not state.has_used(flow) or not state.tokens(record, flow):
        return ""
    cost = state.cost(record, flow)
    return "unknown" if math.isnan(cost) else money(cost)


def _letter(code: int) -> str:
    return "-" if code == UNCALLED else str(code)


def split(
    state: RunState, rows: Iterable[int]
) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Rows as (record, flow): those that came to no good end, and those that are done."""
    flows = len(state.flows)
    places = {divmod(number, flows) for number in rows}
    done = frozenset(place for place in places if state.item(*place) in DONE)
    return frozenset(places - done), done


def failures_csv(state: RunState, rows: Iterable[int]) -> str:
    """The failures among ``rows`` as CSV that no spreadsheet takes for formulas."""
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
                str(state.item(record, flow)),
                failure.error,
                failure.message,
            )
            writer.writerow((*map(harmless, texts), attempts))
    return out.getvalue()


#: What begins a formula, also in the wide letters of East Asia; and what begins a cell
#: within a text to a spreadsheet whose separator is not the comma: there the quotes
#: around the text do not hold either.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
_INNER = re.compile(rf"(?<=.)([;\t\r\n]\s*)(?=[{re.escape(_FORMULA)}])", re.DOTALL)


def harmless(text: str) -> str:
    """A cell that a spreadsheet shows and does not calculate: what could begin a formula gets an apostrophe before it."""
    text = _INNER.sub(r"\1'", text)
    return (
        f"'{text}"
        if text.lstrip().startswith(tuple(_FORMULA))
        or text.startswith(("\t", "\r", "\n"))
        else text
    )
