"""Log: what a run tells the logger ``nbflow.run``, from the entries of its ledger.

INFO has the runs, how they came out, and each failure by its type, with nothing of the
records' content. DEBUG adds the keys of records and the messages of errors, which may
quote content. Secrets are masked before an entry gets here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nbflow._core.entry import (
    BROKEN,
    Called,
    Closed,
    Coded,
    Item,
    Opened,
    Remark,
    Resumed,
)
from nbflow._core.looks import word_of
from nbflow._key import log_text

if TYPE_CHECKING:
    from nbflow._core.entry import Entry, RunState

_LOG = logging.getLogger("nbflow.run")


def is_logged() -> bool:
    """Whether anybody wants to hear of runs."""
    return _LOG.isEnabledFor(logging.INFO)


def log(run: str, state: RunState, entry: Entry) -> None:
    """Log what an entry says; ``state`` has taken it in already."""
    if not is_logged():
        return
    match entry:
        case Opened():
            flows = ", ".join(entry.flows)
            _info("%s: sends %r to %s", run, entry.event, flows)
        case Resumed():
            _info("%s: continues", run)
        case Closed():
            _info("%s: %s, %s", run, entry.state, _counts(entry))
        case Item() if entry.state in BROKEN:
            _log_failure(run, state, entry)
        case _:
            _log_detail(run, state, entry)


def _info(text: str, *values: object) -> None:
    log_text.log(_LOG, logging.INFO, text, *values)


def _debug(text: str, *values: object) -> None:
    log_text.log(_LOG, logging.DEBUG, text, *values)


def _log_detail(run: str, state: RunState, entry: Entry) -> None:
    match entry:
        case Item():
            flow, key = state.flows[entry.flow], state.keys[entry.record]
            _debug("%s: record %r in flow %s: %s", run, key, flow, entry.state)
        case Called():
            key, step = state.keys[entry.record], entry.step
            _debug("%s: record %r: step %s: %s", run, key, step, entry.state)
        case Coded():
            what = entry.why or "unchanged"
            _debug("%s: code of %s: %s", run, entry.subject, what)
        case Remark():
            _debug("%s: %s", run, entry.text)


def _counts(entry: Closed) -> str:
    counts = [f"{number:,} {word_of(state)}" for state, number in entry.tally.items()]
    return ", ".join(counts) or "no records"


def _log_failure(run: str, state: RunState, entry: Item) -> None:
    flow, failure = state.flows[entry.flow], entry.failure
    if failure is None:
        _info("%s: a record failed in flow %s", run, flow)
        return
    text = "%s: a record failed in flow %s at %s: %s, attempts: %d"
    at = failure.step or flow
    _info(text, run, flow, at, failure.error, entry.attempts)
    key = state.keys[entry.record]
    _debug("%s: record %r: %s", run, key, failure.message)
