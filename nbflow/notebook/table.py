"""Table: what the kernel tells the live table of a run. The kernel owns the rows; a page holds those that it shows.

Messages from a page (``t`` is the kind, ``id`` the view that asks):

- ``view``: what the view shows from now on: offset, limit, query, whether its order may change, whether it is seen
- ``ack``: the tick with number ``n`` is drawn
- ``open``: tell all about row ``row``; ``act``: do something; ``csv``: the failures among the rows that fit
- ``gone``: the view is no more

and to it: ``tick`` (aggregates, and each view's rows), ``beat`` (the kernel lives), ``detail``, ``csv``, ``said`` (what
came of an act). The rows of records travel as texts that a page never takes for HTML.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._core.entry import BROKEN, DONE, FINAL
from nbflow._core.plan import State
from nbflow._core.sheet import CODES, WHOLE
from nbflow._core.table import sentence_of, why_of
from nbflow._run import failure
from nbflow._run.render import short
from nbflow.errors import NbflowError, UsageError
from nbflow.notebook import page
from nbflow.notebook.page import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._core.entry import RunState
    from nbflow._core.sheet import Lane, Sheet
    from nbflow._run.inspection import Inspection, StepView
    from nbflow._run.run import Run

    Message = dict[str, Any]
    Send = Callable[[Message], None]

#: Seconds between two ticks: at best, if the page does not answer (or cannot, while a cell runs), of a run that another
#: process works on, and if nothing happens.
PERIOD, UNANSWERED, ELSEWHERE, BEAT = 0.2, 0.4, 0.5, 2.0
#: Seconds after which a view that is silent while another speaks is taken for gone.
_SILENT = 30.0
#: Choosing rows takes at most this share of the time; a selection is good for so many times what it cost.
_SHARE = 50
#: Seconds that the rate is measured over, and before there is one.
_WINDOW, _EARLY = 10.0, 1.0
_CAUSES, _LIMIT, _TEXT = 12, 200, 20_000


@dataclass(slots=True)
class View:
    """One place where the table is shown: what it asks for, and what it got."""

    query: Query = Query(sort="state")  # noqa: RUF009 - a tuple, and so nobody's to change
    offset: int = 0
    limit: int = 20
    held: bool = False
    seen: bool = True
    asked: int = 0
    answered: int = -1
    heard: float = 0.0
    rows: Any = None
    chosen_at: float = 0.0
    cost: float = 0.0
    #: The run went on since the rows were chosen.
    stale: bool = False

    @property
    def is_due(self) -> bool:
        """Is it time for another choice? The dearer one was, the longer it is good for."""
        return self.rows is None or (not self.held and time.monotonic() - self.chosen_at >= _SHARE * self.cost)


@dataclass(slots=True)
class Pace:
    """How fast a run goes, over the last seconds."""

    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def rate(self, now: float, ended: int) -> float | None:
        """Rows ended a second; ``None`` while nothing can be said."""
        samples = self.samples
        if samples and ended < samples[-1][1]:
            samples.clear()  # a rerun: what had ended begins anew
        samples.append((now, ended))
        while now - samples[0][0] > _WINDOW:
            samples.popleft()
        span = now - samples[0][0]
        return (ended - samples[0][1]) / span if span >= _EARLY else None


class RunTable:
    """The live table of one run, however many views there are of it.

    Args:
        run: the run.
        send: gives a message to every view.
        wake: has `tick` called soon.
        read_only: refuse everything that would change the run.
    """

    def __init__(self, run: Run, send: Send, wake: Callable[[], None], *, read_only: bool = False) -> None:
        self.run = run
        self.read_only = read_only
        self.views: dict[str, View] = {}
        self._send, self._wake = send, wake
        # Shown to views that have not been heard of, such as those whose messages wait for the cell to end.
        self._first = View()
        self._pace = Pace()
        self._known: tuple[Any, ...] = ()
        self._number = self._acked = 0
        self._sent = self._looked = 0.0

    # From the page.

    def take(self, message: Message) -> None:
        """A page said something. On the publisher's thread; what may take long goes to one of its own.

        Not to the engine's workers: the calls of a run can keep all of them busy, and Stop most of all must not wait.
        """
        kind, who = message.get("t"), str(message.get("id", ""))
        if who in self.views:
            self.views[who].heard = time.monotonic()
        if kind == "view":
            self._set(who, message)
        elif kind == "ack":
            self._acked = max(self._acked, int(message["n"]))
        elif kind == "gone":
            self.views.pop(who, None)
        elif message.get("what") == "stop":
            self._answer(RunTable._act, who, message)
        elif kind in _ANSWERS:
            threading.Thread(target=self._answer, args=(_ANSWERS[kind], who, message), name="nbflow-answer", daemon=True).start()

    def _set(self, who: str, message: Message) -> None:
        now = time.monotonic()
        self.views = {name: view for name, view in self.views.items() if now - view.heard < _SILENT or name == who}
        view = self.views.setdefault(who, View(heard=now))
        if message.get("n", 0) < view.asked:
            return  # overtaken: it waited for a cell, and a later one took the way round it
        asked = message.get("query", {})
        query = Query(
            text=str(asked.get("text", ""))[:200],
            flow=asked.get("flow"),
            states=tuple(State(name) for name in asked.get("states", ())),
            step=str(asked.get("step", "")),
            cause=asked.get("cause"),
            sort=asked["sort"] if asked.get("sort") in page.SORTS else "",
            descending=bool(asked.get("descending")),
        )
        if query != view.query:
            view.query, view.rows = query, None
        view.offset, view.limit = max(0, int(message.get("offset", 0))), min(max(0, int(message.get("limit", 20))), _LIMIT)
        view.held, view.seen, view.asked = bool(message.get("held")), bool(message.get("seen", True)), int(message.get("n", 0))

    def _answer(self, answer: Callable[[RunTable, Message], Message], who: str, message: Message) -> None:
        try:
            said = answer(self, message)
        except Exception as error:
            # Nobody sees what a handler raises: the table says it, and in full what only a mistake of ours can be.
            said = {"t": "said", "wrong": True, "text": short(str(error) if isinstance(error, NbflowError) else failure.describe(error), 600)}
        self._send(said | {"id": who, "to": message.get("n")})
        self._wake()

    # To the page.

    def say(self, text: str) -> None:
        """Tell every view what went wrong."""
        self._send({"t": "said", "wrong": True, "text": short(text, 600)})

    def tick(self, now: float) -> None:
        """Tell the views what is new, if anything is and they can take it."""
        asked = any(view.asked != view.answered for view in self.views.values())
        answers = self._acked >= self._number - 1
        if not asked and now - self._looked < (UNANSWERED if not answers else PERIOD if self.run.is_here else ELSEWHERE):
            return
        if self.views and not any(view.seen for view in self.views.values()) and now - self._looked < BEAT:
            return
        self._looked = now
        with self.run.look() as (state, sheet):
            known = state.state, state.ended, len(state.keys), len(state.remarks), len(sheet.retrying), self.run.is_stopping
            if known == self._known and not asked and not any(view.seen and view.stale and view.is_due for view in self.views.values()):
                if now - self._sent >= BEAT:
                    self._tell({"t": "beat"}, now)
                return
            self._known = known
            message = {"t": "tick", **self._picture(state, sheet, now), "pages": self._pages(state, sheet)}
        self._number += 1
        self._tell(message | {"n": self._number}, now)

    @property
    def is_quiet(self) -> bool:
        """Has the run ended, and has every view been told so?"""
        return bool(self._known) and self._known[0] != "RUNNING" and not any(view.asked != view.answered or view.stale for view in self.views.values())

    def _tell(self, message: Message, now: float) -> None:
        self._sent = now
        self._send(message)

    def _picture(self, state: RunState, sheet: Sheet, now: float) -> Message:
        tally = state.tally()
        ended = sum(number for key, number in tally.items() if key in FINAL)
        flows, retrying = len(state.flows) or 1, len(sheet.retrying)
        total = max(state.total or 0, len(state.keys)) * flows
        counts = {CODES[key]: number for key, number in tally.items() if number}
        if retrying:
            counts |= {CODES[State.RETRYING]: retrying, CODES[State.RUNNING]: tally[State.RUNNING] - retrying}
        rate = self._pace.rate(now, ended) if state.state == "RUNNING" else None
        worst = sheet.worst(50)
        return {
            "now": time.time(),
            "run": state.run,
            "event": state.event,
            "state": state.state,
            "stopping": self.run.is_stopping,
            "sentence": sentence_of(state, [cause for _, cause in worst]),
            "began": state.started,
            "ended": state.ended,
            "rows": total,
            "records": len(state.keys),
            "counts": counts,
            "rate": rate / flows if rate is not None else None,
            "left": (total - ended) / rate if rate else None,
            "cost": None,  # what steps report of their cost goes here, once they do
            "tokens": None,
            "again": sum(number for key, number in tally.items() if key in FINAL and key not in DONE),
            "failed": sum(tally[key] for key in BROKEN),
            "readonly": self.read_only,
            "flows": [self._lane(name, sheet.lanes[flow], state, flow) for flow, name in enumerate(state.flows)],
            "causes": [[number, cause.step or cause.flow, cause.error, short(cause.message, 160), cause.records] for number, cause in worst[:_CAUSES]],
            "kinds": sum(1 for cause in sheet.causes if cause.records) if len(worst) > _CAUSES else len(worst),
            "remarks": [short(text, 400) for text in dict.fromkeys(state.remarks[:50])][:5],
        }

    @staticmethod
    def _lane(name: str, lane: Lane, state: RunState, flow: int) -> list[Any]:
        counts = state.counts[flow]
        whole = lane.tracks[WHOLE].counts[State.CACHED] if WHOLE in lane.tracks else 0
        steps = [
            [step, {CODES[key]: number for key, number in track.counts.items() if number}]
            for step, track in lane.tracks.items()
            if step != WHOLE
        ]
        why = why_of(state, f"flow {name}", counts) or why_of(state, name, counts)  # a map is filed under its step
        return [name, {CODES[key]: number for key, number in counts.items() if number}, whole, steps, short(why, 160)]

    def _pages(self, state: RunState, sheet: Sheet) -> Message:
        return {who: self._page(view, state, sheet) for who, view in (self.views or {"": self._first}).items() if view.seen or view.asked != view.answered}

    @staticmethod
    def _page(view: View, state: RunState, sheet: Sheet) -> Message:
        view.stale = not view.is_due
        if not view.stale:
            begun = time.monotonic()
            view.rows = page.rows_of(state, sheet, view.query, time.time())
            view.chosen_at = time.monotonic()
            view.cost = view.chosen_at - begun
        view.answered = view.asked
        count = len(view.rows)
        offset = max(0, min(view.offset, count - 1))
        numbers = view.rows[offset : offset + view.limit].tolist()
        return {"n": view.asked, "total": count, "offset": offset, "rows": [page.row_of(state, sheet, number) for number in numbers]}

    # What a page asks for.

    def _detail(self, message: Message) -> Message:
        with self.run.look() as (state, _):
            record, flow = self._place(state, message)
            key, name, failed = state.keys[record], state.flows[flow], state.failures.get((record, flow))
        found = self.run.inspect(key)
        view = found[name]
        trouble = view.failure or (failed[0] if failed is not None else None)
        return {
            "t": "detail",
            "row": int(message["row"]),
            "key": key,
            "flow": name,
            "state": CODES[view.state],
            "seconds": view.seconds,
            "why": _said_why(view),
            "trouble": {"step": trouble.step, "error": trouble.error, "message": _cut(trouble.message), "traceback": _cut(trouble.traceback)} if trouble is not None else None,
            "steps": [_step(step) for step in view.steps],
            "record": _record(found),
            "output": _text(lambda: view.output) if view.state in DONE else None,
        }

    def _act(self, message: Message) -> Message:
        what = message.get("what")
        if self.read_only:
            raise UsageError("This table is for reading only.")
        if what == "stop":
            self.run.cancel()
            return {"t": "said", "text": "Stopping: nothing more is started; calls under way end first."}
        if what == "rerun_failed":
            only = self.run.unfinished()
            self.run.rerun_places(only)
            return {"t": "said", "text": f"Running {len(only):,} again."}
        with self.run.look() as (state, sheet):
            if what == "rerun_one":
                self._place(state, message)
                rows = [int(message["row"])]
            else:
                rows = self._chosen(state, sheet, message)
            failed, done = page.split(state, rows)
        # What is done is run again only where nothing else is shown: a filter for failures never pays for the rest.
        only, force = (failed, False) if failed else (done, True)
        if force and not message.get("sure"):
            several = f"{len(only):,} records are" if len(only) > 1 else "The record is"
            return {"t": "said", "ask": f"{several} done. Run every step again, and pay for it again?", "act": message}
        self.run.rerun_places(only, force=force)
        return {"t": "said", "text": f"Running {len(only):,} again."}

    def _csv(self, message: Message) -> Message:
        with self.run.look() as (state, sheet):
            return {"t": "csv", "name": f"failures-{state.run}.csv", "text": page.failures_csv(state, self._chosen(state, sheet, message))}

    def _chosen(self, state: RunState, sheet: Sheet, message: Message) -> list[int]:
        """All rows that fit what the view shows, as it is now."""
        view = self.views.get(str(message.get("id", "")), self._first)
        chosen: list[int] = page.rows_of(state, sheet, view.query, time.time()).tolist()
        return chosen

    @staticmethod
    def _place(state: RunState, message: Message) -> tuple[int, int]:
        record, flow = divmod(int(message["row"]), len(state.flows))
        if not 0 <= record < len(state.keys):
            raise UsageError(f"Run {state.run} has no row {message['row']}.")
        return record, flow


_ANSWERS: dict[Any, Callable[[RunTable, Message], Message]] = {
    "open": RunTable._detail,  # noqa: SLF001
    "act": RunTable._act,  # noqa: SLF001
    "csv": RunTable._csv,  # noqa: SLF001
}


def _said_why(view: Any) -> str:
    """Why it ran, where the inspection knows."""
    return str(getattr(view, "why", None) or "")


def _step(step: StepView) -> Message:
    inputs = step.inputs
    return {
        "step": step.step,
        "state": CODES[step.state],
        "why": _said_why(step),
        "attempts": [
            {
                "n": attempt.attempt,
                "state": CODES[attempt.state],
                "at": attempt.at,
                "seconds": attempt.seconds,
                "wait": attempt.wait,
                "trouble": f"{attempt.failure.error}: {_cut(attempt.failure.message)}" if attempt.failure is not None else "",
            }
            for attempt in step.attempts
        ],
        "inputs": _text(lambda: _call(*inputs)) if inputs is not None else None,
        "output": _text(lambda: step.output) if step.checkpoint is not None else None,
    }


def _call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What one wants to see of the arguments of a call."""
    if len(args) == 1 and not kwargs:
        return args[0]
    return kwargs if not args else list(args) if not kwargs else [*args, kwargs]


def _record(found: Inspection) -> str | None:
    try:
        record = found.record
    except UsageError:  # the records of this run were not kept
        return None
    return _text(lambda: record)


def _text(load: Callable[[], Any]) -> str:
    """A value as a person reads it; what cannot be loaded or shown says why."""
    try:
        value = load()
        if isinstance(value, str):
            return _cut(value)
        dump = getattr(value, "model_dump", None)
        if callable(dump):
            value = dump()
        return _cut(json.dumps(value, indent=2, ensure_ascii=False, default=repr) if isinstance(value, dict | list | tuple) else repr(value))
    except Exception as error:
        return f"(cannot be shown: {failure.describe(error)})"


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}\n... and {len(text) - _TEXT:,} characters more"
