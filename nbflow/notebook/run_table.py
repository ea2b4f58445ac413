"""Table: the live table of a run: its rows, what one opens, and what its buttons do."""

from __future__ import annotations

import json
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nbflow._call import failure
from nbflow._core.entry import BROKEN, DONE, FINAL, RunState
from nbflow._core.lifecycle import State
from nbflow._core.sheet import CODES, WHOLE, Sheet
from nbflow._core.table import remarks_of, sentence_of, short, why_of
from nbflow._core.usage import short_number
from nbflow.errors import UsageError
from nbflow.notebook import table_rows
from nbflow.notebook.live_table import BEAT, ELSEWHERE, PERIOD, Talk
from nbflow.notebook.table_rows import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbflow._core.sheet import FlowColumns
    from nbflow._run.inspection import Inspection, StepView
    from nbflow._run.run import Run
    from nbflow.notebook.live_table import Message, Send

#: Seconds that the rate is measured over; seconds at the beginning that are left out of
#: it, and that it takes to have one.
_WINDOW, _EARLY = 10.0, 1.0
_CAUSES, _TEXT = 12, 20_000


@dataclass(slots=True)
class Pace:
    """How fast a run goes, over the last seconds.

    Not over its first one: there comes at once what is remembered, and it says nothing
    of what is left.
    """

    samples: deque[tuple[float, int]] = field(default_factory=deque)
    begun: float | None = None

    def rate(self, now: float, ended: int) -> float | None:
        """Rows ended a second; ``None`` while nothing can be said."""
        samples = self.samples
        if samples and ended < samples[-1][1]:
            self.begun = None  # a rerun: what had ended begins anew
        self.begun = now if self.begun is None else self.begun
        if now - self.begun < _EARLY:
            samples.clear()
        samples.append((now, ended))
        while now - samples[0][0] > _WINDOW:
            samples.popleft()
        span = now - samples[0][0]
        return (ended - samples[0][1]) / span if span >= _EARLY else None


class RunTable(Talk[tuple[RunState, Sheet]]):
    """The live table of one run."""

    plain: ClassVar[Message] = {"sort": "state"}

    def __init__(
        self, run: Run, send: Send, wake: Callable[[], None], *, read_only: bool = False
    ) -> None:
        super().__init__(send, wake, read_only=read_only)
        self.run = run
        self._pace = Pace()

    def query(self, asked: Message) -> Query:
        """What a view asks for."""
        return Query(
            text=str(asked.get("text", ""))[:200],
            flow=asked.get("flow"),
            states=tuple(State(name) for name in asked.get("states", ())),
            step=str(asked.get("step", "")),
            cause=asked.get("cause"),
            sort=asked["sort"] if asked.get("sort") in table_rows.SORTS else "",
            descending=bool(asked.get("descending")),
        )

    @contextmanager
    def look(self) -> Iterator[tuple[RunState, Sheet]]:
        """The run's state, and its rows."""
        with self.run.look() as stand:
            yield stand

    def known(self, stand: tuple[RunState, Sheet]) -> object:
        """Whatever happens to a run moves one of these; where nothing happens, the rate and the time left move."""
        state, sheet = stand
        turn = time.monotonic() // BEAT if state.state == "RUNNING" else 0
        return (
            state.state,
            turn,
            state.ended,
            len(state.keys),
            len(state.remarks),
            len(sheet.retrying),
            state.usage.requests,
            state.saved.requests,
            self.run.is_stopping,
        )

    @property
    def pace(self) -> float:
        """A run that another process works on is read from the ledger."""
        return PERIOD if self.run.is_here else ELSEWHERE

    @property
    def is_quiet(self) -> bool:
        """Has the run ended, and has every view been told so?"""
        return super().is_quiet and self._known[0] != "RUNNING"

    def choose(self, stand: tuple[RunState, Sheet], query: Query) -> table_rows.Rows:
        """The numbers of the rows that fit."""
        return table_rows.rows_of(*stand, query, time.time())

    def row(self, stand: tuple[RunState, Sheet], chosen: Any) -> list[Any]:
        """One row."""
        return table_rows.row_of(*stand, int(chosen))

    def picture(self, stand: tuple[RunState, Sheet], now: float) -> Message:
        """The strip, the lanes and the causes."""
        state, sheet = stand
        tally = state.tally()
        ended = sum(number for key, number in tally.items() if key in FINAL)
        flows, retrying = len(state.flows) or 1, len(sheet.retrying)
        total = max(state.total or 0, len(state.keys)) * flows
        counts = {CODES[key]: number for key, number in tally.items() if number}
        if retrying:
            counts |= {
                CODES[State.RETRYING]: retrying,
                CODES[State.RUNNING]: tally[State.RUNNING] - retrying,
            }
        rate = (
            self._pace.rate(now, ended)
            if state.state == "RUNNING"
            else _mean_rate(state, tally)
        )
        worst = sheet.worst(_CAUSES)
        return {
            "run": state.run,
            "event": state.event,
            "state": state.state,
            "stopping": self.run.is_stopping,
            "sentence": sentence_of(state, sheet.kinds),
            "began": state.started,
            "ended": state.ended,
            "idle": state.idle,
            "rows": total,
            "records": len(state.keys),
            "counts": counts,
            "rate": rate / flows if rate is not None else None,
            "left": (total - ended) / rate
            if rate and state.state == "RUNNING" and state.total is not None
            else None,
            "cost": state.usage.told_cost,
            "tokens": short_number(state.usage.tokens) if state.usage.tokens else "",
            "saved": state.saved.told_cost,
            "costs": any(map(state.has_used, range(len(state.flows)))),
            "again": sum(
                number
                for key, number in tally.items()
                if key in FINAL and key not in DONE
            ),
            "failed": sum(tally[key] for key in BROKEN),
            "flows": [
                self._lane(name, sheet.columns[flow], state, flow)
                for flow, name in enumerate(state.flows)
            ],
            "causes": [
                [
                    number,
                    cause.step or cause.flow,
                    cause.error,
                    short(cause.message, 160),
                    cause.records,
                    cause.flow,
                ]
                for number, cause in worst
            ],
            "kinds": sum(1 for cause in sheet.causes if cause.records),
            "remarks": [
                short(text, 400)
                for text in dict.fromkeys([*remarks_of(state), *state.remarks[:50]])
            ][:5],
        }

    @staticmethod
    def _lane(name: str, lane: FlowColumns, state: RunState, flow: int) -> list[Any]:
        counts = state.count(flow)
        whole = (
            lane.tracks[WHOLE].counts.get(State.CACHED, 0)
            if WHOLE in lane.tracks
            else 0
        )
        steps = [
            [
                step,
                {code: number for code, number in enumerate(track.tally) if number},
                state.steps[flow][step].usage.told_cost,
            ]
            for step, track in lane.tracks.items()
            if step != WHOLE
        ]
        why = why_of(state, f"flow {name}", counts) or why_of(
            state, name, counts
        )  # a map is filed under its step
        return [
            name,
            {CODES[key]: number for key, number in counts.items() if number},
            whole,
            steps,
            short(why, 160),
        ]

    # What a page asks for.

    def _detail(self, message: Message) -> Message:
        with self.run.look() as (state, _):
            record, flow = self._place(state, message)
            key, name, failed = (
                state.keys[record],
                state.flows[flow],
                state.failures.get((record, flow)),
            )
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
            "trouble": {
                "step": trouble.step,
                "error": trouble.error,
                "message": _cut(trouble.message),
                "traceback": _cut(trouble.traceback),
            }
            if trouble is not None
            else None,
            "steps": [_step(step) for step in view.steps],
            "record": _record(found),
            "output": text_of(lambda: view.output) if view.state in DONE else None,
        }

    def _act(self, message: Message) -> Message:
        what = message.get("what")
        if self.read_only:
            raise UsageError("This table is for reading only.")
        if what == "stop":
            self.run.cancel()
            return {
                "t": "said",
                "text": "Stopping: nothing more is started; calls under way end first.",
            }
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
            failed, done = table_rows.split(state, rows)
        # What is done is run again only where nothing else is shown: a filter for
        # failures never pays for the rest.
        only, force = (failed, False) if failed else (done, True)
        if force and not message.get("sure"):
            several = f"{len(only):,} records are" if len(only) > 1 else "The record is"
            return {
                "t": "said",
                "ask": f"{several} done. Run every step again, and pay for it again?",
                "act": message,
            }
        self.run.rerun_places(only, force=force)
        return {"t": "said", "text": f"Running {len(only):,} again."}

    def _csv(self, message: Message) -> Message:
        with self.run.look() as (state, sheet):
            return {
                "t": "csv",
                "name": f"failures-{state.run}.csv",
                "text": table_rows.failures_csv(
                    state, self._chosen(state, sheet, message)
                ),
            }

    def _chosen(self, state: RunState, sheet: Sheet, message: Message) -> list[int]:
        """All rows that fit what the view shows, as it is now."""
        view = self.views.get(str(message.get("id", "")), self._first)
        chosen: list[int] = table_rows.rows_of(
            state, sheet, view.query, time.time()
        ).tolist()
        return chosen

    @staticmethod
    def _place(state: RunState, message: Message) -> tuple[int, int]:
        record, flow = divmod(int(message["row"]), len(state.flows))
        if not 0 <= record < len(state.keys):
            raise UsageError(f"Run {state.run} has no row {message['row']}.")
        return record, flow

    answers: ClassVar[Mapping[Any, Callable[[Any, Message], Message]]] = {
        "open": _detail,
        "act": _act,
        "csv": _csv,
    }


def _mean_rate(state: RunState, tally: Mapping[State, int]) -> float | None:
    """Rows that came to an end of their own, a second; ``None`` where none did."""
    worked = sum(tally[key] for key in DONE | BROKEN)
    return worked / state.seconds if worked and state.seconds > 0 else None


def _said_why(view: Any) -> str:
    """Why it ran, where the inspection knows."""
    return str(getattr(view, "why", None) or "")


def _step(step: StepView) -> Message:
    inputs = step.inputs
    return {
        "step": step.step,
        "state": CODES[step.state],
        "why": _said_why(step),
        "cost": step.usage.told_cost,
        "used": _used(step),
        "attempts": [
            {
                "n": attempt.attempt,
                "state": CODES[attempt.state],
                "at": attempt.at,
                "seconds": attempt.seconds,
                "wait": attempt.wait,
                "trouble": f"{attempt.failure.error}: {_cut(attempt.failure.message)}"
                if attempt.failure is not None
                else "",
            }
            for attempt in step.attempts
        ],
        "inputs": text_of(lambda: _call(*inputs)) if inputs is not None else None,
        "output": text_of(lambda: step.output) if step.checkpoint is not None else None,
    }


def _used(step: StepView) -> str:
    """What a call used, or would have used had it not been remembered."""
    parts = [str(step.usage)] if step.usage.requests else []
    parts += [f"saved {step.saved}"] if step.saved.requests else []
    return ", ".join(parts)


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
    return text_of(lambda: record)


def text_of(load: Callable[[], Any]) -> str:
    """A value as a person reads it; what cannot be loaded or shown says why."""
    try:
        value = load()
        if isinstance(value, str):
            return _cut(value)
        dump = getattr(value, "model_dump", None)
        if callable(dump):
            value = dump()
        return _cut(
            json.dumps(value, indent=2, ensure_ascii=False, default=repr)
            if isinstance(value, dict | list | tuple)
            else repr(value)
        )
    except Exception as error:
        return f"(cannot be shown: {failure.describe(error)})"


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= _TEXT
        else f"{text[:_TEXT]}\n... and {len(text) - _TEXT:,} characters more"
    )
