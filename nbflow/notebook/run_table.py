"""Run table: the live table of one run: its rows, what a row opens to, and what the buttons do."""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from nbflow._call import failure
from nbflow._core import headline
from nbflow._core.awaited import clock_time
from nbflow._core.entry import BROKEN, DONE, FINAL, RunState
from nbflow._core.lifecycle import BY_NAME, CODES, Reuse, State
from nbflow._core.plural import several
from nbflow._core.sheet import WHOLE, Sheet
from nbflow._core.table import (
    done_of,
    needing_of,
    pattern_of,
    remarks_of,
    sentence_of,
    short,
    why_of,
)
from nbflow._core.usage import short_number
from nbflow._core.waiting import Kind
from nbflow._run.waiting import shown_with
from nbflow.errors import UsageError
from nbflow.notebook import table_rows
from nbflow.notebook.contents import Contents
from nbflow.notebook.live_table import BEAT, ELSEWHERE, PERIOD, LiveTable
from nbflow.notebook.table_rows import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from nbflow._core.entry import Awaits, Called, Failure, Position
    from nbflow._core.lifecycle import Shown
    from nbflow._core.sheet import CauseGroup, FlowColumns
    from nbflow._run.inspection import FlowView, Inspection, StepView
    from nbflow._run.run import Run
    from nbflow.notebook.live_table import Answer, Message, RowData, Send

    #: The fields of a value, each with its name and its text.
    Fields = list[tuple[str, str]]

#: Seconds that the rate is measured over.
_WINDOW = 10.0
#: Seconds at the beginning that do not count for the rate, and that it takes to have one.
_EARLY = 1.0
#: Causes of failures that are listed.
_CAUSES = 12
#: Remarks that are shown, and those that are looked through for different ones.
_REMARKS, _LATEST_REMARKS = 5, 50
#: Records of a run whose answers are counted without being asked for.
_SMALL = 5_000
#: Labels that are listed.
_LABELS = 12


@dataclass(slots=True)
class RunPace:
    """How fast a run goes, over the last seconds.

    Not over its first one: whatever is cached comes at once, and says nothing about the
    rest.
    """

    samples: deque[tuple[float, int]] = field(default_factory=deque)
    begun: float | None = None

    def rate(self, now: float, ended: int) -> float | None:
        """Return the rows that end a second; ``None`` as long as that is not known."""
        samples = self.samples
        if samples and ended < samples[-1][1]:
            self.begun = None  # a rerun: rows that had ended begin again
        self.begun = now if self.begun is None else self.begun
        if now - self.begun < _EARLY:
            samples.clear()
        samples.append((now, ended))
        while now - samples[0][0] > _WINDOW:
            samples.popleft()
        span = now - samples[0][0]
        return (ended - samples[0][1]) / span if span >= _EARLY else None


class RunTable(LiveTable[tuple[RunState, Sheet]]):
    """The live table of one run."""

    plain: ClassVar[Message] = {"sort": "state"}

    def __init__(
        self, run: Run, send: Send, wake: Callable[[], None], *, read_only: bool = False
    ) -> None:
        super().__init__(send, wake, read_only=read_only)
        self.run = run
        self._pace = RunPace()
        self._contents = Contents(run.reader, self.look_soon)

    def query(self, asked: Message) -> Query:
        """Return what a view asks for, checked."""
        sort = asked.get("sort")
        return Query(
            text=str(asked.get("text", ""))[:200],
            flow=asked.get("flow"),
            states=tuple(map(BY_NAME.__getitem__, asked.get("states", ()))),
            step=str(asked.get("step", "")),
            cause=asked.get("cause"),
            answer=asked.get("answer"),
            sort=sort if sort in table_rows.SORTS else "",
            descending=bool(asked.get("descending")),
        )

    @contextmanager
    def look(self) -> Iterator[tuple[RunState, Sheet]]:
        """Return the run's state and its rows, held still for the block."""
        with self.run.reader.look() as stand:
            yield stand

    def known(self, stand: tuple[RunState, Sheet]) -> object:
        """Return what differs once there is something to tell.

        Whatever happens to a run changes one of these. While nothing happens, the rate
        and the time left change, so that every beat counts.
        """
        state, sheet = stand
        beat = time.monotonic() // BEAT if state.state == "RUNNING" else 0
        return (
            state.state,
            beat,
            state.ended,
            len(state.keys),
            len(state.remarks),
            len(sheet.retrying),
            len(state.waiting),
            len(state.awaited),
            state.usage.requests,
            state.saved.requests,
            self.run.is_stopping,
            self._contents.version,
        )

    @property
    def pace(self) -> float:
        """Seconds between two looks; more if another process works on the run, as it is read from the ledger."""
        return PERIOD if self.run.is_here else ELSEWHERE

    @property
    def is_quiet(self) -> bool:
        """Whether the run has ended, and every view knows."""
        if not super().is_quiet:
            return False
        state, *_ = cast("tuple[object, ...]", self._known)
        return state != "RUNNING"

    def choose(self, stand: tuple[RunState, Sheet], query: Query) -> table_rows.Rows:
        """Return the numbers of the rows that fit, as far as their contents were read."""
        index = self._contents.read_all() if query.needs_contents else None
        return table_rows.rows_of(*stand, query, time.time(), index)

    def row(self, stand: tuple[RunState, Sheet], chosen: int) -> RowData:
        """Return one row as it travels."""
        return table_rows.row_of(*stand, int(chosen), self._contents)

    def picture(self, stand: tuple[RunState, Sheet], now: float) -> Message:
        """Return the aggregates: the strip, the lanes and the causes."""
        state, sheet = stand
        tally, standing = state.tally(), state.standing()
        ended = sum(number for key, number in tally.items() if key in FINAL)
        records, flows = state.total_records, len(state.flows) or 1
        rows = records * flows
        is_running = state.state == "RUNNING"
        rate = self._pace.rate(now, ended) if is_running else _mean_rate(state, tally)
        left = None
        if rate and is_running and state.total is not None:
            left = (rows - ended) / rate
        groups = sheet.worst()
        return {
            "run": state.run,
            "event": state.event,
            "state": state.state,
            "stopping": self.run.is_stopping,
            "sentence": sentence_of(state, sheet.kinds),
            "began": state.started,
            "ended": state.ended,
            "idle": state.idle,
            "rows": rows,
            "records": records,
            "counts": _counts(state, sheet, standing),
            "rate": rate / flows if rate is not None else None,
            "left": left,
            "cost": state.usage.told_cost,
            "tokens": short_number(state.usage.tokens) if state.usage.tokens else "",
            "saved": state.saved.told_cost,
            "costs": any(map(state.has_used, range(len(state.flows)))),
            "again": records - done_of(standing) - standing[State.WAITING],
            "failed": needing_of(standing),
            "flows": [
                _lane(sheet.columns[flow], state, flow) for flow in _flows(state)
            ],
            "causes": [_cause(group) for group in groups[:_CAUSES]],
            "kinds": len(groups),
            "remarks": _remarks(state),
            **self._answers(state),
        }

    def made(self, stand: tuple[RunState, Sheet]) -> None:
        """Have read what the rows lacked."""
        self._contents.read_soon(stand[0])

    def _answers(self, state: RunState) -> Message:
        """Return how many records have each label, once somebody asked for what needs all of them.

        A small run that has ended needs no asking.
        """
        contents = self._contents
        if state.state != "RUNNING" and len(state.keys) <= _SMALL:
            contents.read_all()
        index = contents.index
        if index is None:
            return {"answers": [], "labels": 0, "unread": False}
        found = [
            (number, flow, label)
            for flow in _flows(state)
            for label, number in index.counts(flow)
        ]
        found.sort(key=lambda one: -one[0])
        # Answers that are all different are no labels.
        are_labels = bool(found) and found[0][0] > 1
        return {
            "answers": found[:_LABELS] if are_labels else [],
            "labels": len(found) if are_labels else 0,
            "unread": not index.is_complete and state.state != "RUNNING",
        }

    # What a page asks for.

    def _detail(self, message: Message) -> Message:
        with self.run.reader.look() as (state, _):
            record, flow = self._place(state, message)
            key, name = state.keys[record], state.flows[flow]
            failed = state.failures.get((record, flow))
            asked = state.awaited.get((record, flow))
        found = self.run.inspect(key)
        view = found[name]
        trouble = view.failure
        if trouble is None and failed is not None:
            trouble = failed[0]
        return {
            "t": "detail",
            "row": int(message["row"]),
            "key": key,
            "flow": name,
            "state": CODES[view.shown],
            "seconds": view.seconds,
            "why": _said_why(view),
            "trouble": _trouble(trouble) if trouble is not None else None,
            "asks": self._question(asked) if asked is not None else None,
            "printed": _printouts(view),
            "steps": [_step(step) for step in view.steps],
            "record": _record(found),
            "output": _fields(lambda: view.output) if view.state in DONE else None,
        }

    def _question(self, asked: Awaits) -> Message | None:
        """Return what a record asks, as it travels."""
        if asked.kind != Kind.ANSWER:
            return None
        show = shown_with(self.run.engine, asked)
        return {
            "what": asked.what,
            "choices": list(asked.choices),
            "show": None if show is None else _fields(lambda: show),
            "until": f"until {clock_time(asked.until)}" if asked.until else "",
        }

    def _answer_question(self, message: Message) -> Message:
        """Keep a person's answer to what a record asks: also where the table changes nothing else."""
        with self.run.reader.look() as (state, _):
            record, flow = self._place(state, message)
            key, name = state.keys[record], state.flows[flow]
        choice = str(message.get("choice"))
        by = "dashboard" if self.read_only else None
        self.run.answer(key, choice, by=by, flow=name)
        return _said(f"Answered {choice}. The run continues with the record.")

    def _act(self, message: Message) -> Message:
        """Stop, answer, or rerun: what failed, one row, or all rows that the view shows."""
        what = message.get("what")
        if what == "answer":
            return self._answer_question(message)
        if self.read_only:
            raise UsageError("This table is read-only.")
        if what == "stop":
            self.run.cancel()
            return _said(
                "Stopping: nothing more is started; calls under way end first."
            )
        if what == "rerun_failed":
            only = self.run.unfinished()
            self.run.rerun_places(only)
            return _running_again(only)
        with self.run.reader.look() as (state, sheet):
            if what == "rerun_one":
                self._place(state, message)
                rows = [int(message["row"])]
            else:
                rows = self._chosen(state, sheet, message)
            failed, done = table_rows.split(state, rows)
        # What is done is run again only if nothing else is shown: a filter for failures
        # never pays for the rest.
        only = failed or done
        force = not failed
        if force and not message.get("sure"):
            number = _records_of(only)
            what = f"{number:,} records are" if number > 1 else "The record is"
            question = f"{what} done. Run every step again, and pay for it again?"
            return {"t": "said", "ask": question, "act": message}
        self.run.rerun_places(only, force=force)
        return _running_again(only)

    def _csv(self, message: Message) -> Message:
        with self.run.reader.look() as (state, sheet):
            rows = self._chosen(state, sheet, message)
            text = table_rows.failures_csv(state, rows)
        return {"t": "csv", "name": f"failures-{state.run}.csv", "text": text}

    def _chosen(self, state: RunState, sheet: Sheet, message: Message) -> list[int]:
        """Return all rows that fit what the view shows, as of now."""
        view = self.views.get(str(message.get("id", "")), self._first)
        rows = self.choose((state, sheet), view.query)
        chosen: list[int] = rows.tolist()
        return chosen

    @staticmethod
    def _place(state: RunState, message: Message) -> tuple[int, int]:
        record, flow = divmod(int(message["row"]), len(state.flows))
        if not 0 <= record < len(state.keys):
            raise UsageError(f"Run {state.run} has no row {message['row']}.")
        return record, flow

    answers: ClassVar[Mapping[object, Answer]] = {
        "open": _detail,
        "act": _act,
        "csv": _csv,
    }


# The aggregates.


def _flows(state: RunState) -> range:
    return range(len(state.flows))


def _counts(
    state: RunState, sheet: Sheet, standing: Mapping[Shown, int]
) -> dict[int, int]:
    """Return the number of records by the code of how they stand; those under way that wait stand apart."""
    counts = Counter({CODES[key]: number for key, number in standing.items() if number})
    waiting = {record for record, _ in state.waiting}
    retrying = {record for record, _ in sheet.retrying} - waiting
    passing = {State.RETRYING: retrying, State.WAITING: waiting}
    for passes, records in passing.items():
        under_way = [one for one in records if state.stands(one) is State.RUNNING]
        if under_way:
            counts[CODES[passes]] = len(under_way)
            counts[CODES[State.RUNNING]] -= len(under_way)
    return counts


def _mean_rate(state: RunState, tally: Mapping[State, int]) -> float | None:
    """Return the rows a second that came to an end by work; ``None`` if none did."""
    worked = sum(tally[key] for key in DONE | BROKEN)
    return worked / state.seconds if worked and state.seconds > 0 else None


def _lane(lane: FlowColumns, state: RunState, flow: int) -> RowData:
    """Return a flow as it travels: name, rows by state, rows cached as a whole, steps, why it ran."""
    name = state.flows[flow]
    counts = state.shown(flow)
    whole = 0
    steps = []
    for step, track in lane.tracks.items():
        if step == WHOLE:
            whole = track.counts.get(State.CACHED, 0)
            continue
        calls = {code: number for code, number in enumerate(track.tally) if number}
        steps.append([step, calls, state.steps[flow][step].usage.told_cost])
    if whole and not steps:
        # The lane keeps its shape when every record was remembered as a whole.
        steps = [[step, {}, ""] for step in state.steps_reached(flow)]
    # The flow of a map is filed under the name of its step.
    why = why_of(state, f"flow {name}", counts) or why_of(state, name, counts)
    by_code = {CODES[key]: number for key, number in counts.items() if number}
    return [name, by_code, whole, steps, short(why, 160)]


def _cause(group: CauseGroup) -> RowData:
    """Return a cause as it travels: number, error, message, records, how many more are like it, flows, steps."""
    message = short(group.message, 160)
    alike = group.records - 1 if pattern_of(group.message) != group.message else 0
    return [
        group.number,
        group.error,
        message,
        group.records,
        alike,
        group.flows,
        group.steps,
    ]


def _remarks(state: RunState) -> list[str]:
    remarks = dict.fromkeys([*remarks_of(state), *state.remarks[:_LATEST_REMARKS]])
    return [short(text, 400) for text in remarks][:_REMARKS]


# What a row opens to.


def _said(text: str) -> Message:
    return {"t": "said", "text": text}


def _records_of(places: Collection[Position]) -> int:
    return len({record for record, _ in places})


def _running_again(places: Collection[Position]) -> Message:
    return _said(f"Running {several(_records_of(places), 'record')} again.")


def _said_why(view: FlowView | StepView) -> str:
    """Return why it ran, where the inspection knows."""
    return str(getattr(view, "why", None) or "")


def _trouble(trouble: Failure) -> Message:
    return {
        "step": trouble.step,
        "error": trouble.error,
        "message": headline.cut(trouble.message),
        "traceback": headline.cut(trouble.traceback),
    }


def _step(step: StepView) -> Message:
    inputs = step.inputs
    return {
        "step": step.step,
        "state": CODES[step.shown],
        "why": _said_why(step),
        "cost": step.usage.told_cost,
        "used": _used(step),
        "attempts": [_attempt(attempt) for attempt in step.attempts],
        "printed": _printouts(step),
        "inputs": _fields(lambda: _call(*inputs)) if inputs is not None else None,
        "output": _fields(lambda: step.output) if step.checkpoint is not None else None,
    }


def _printouts(view: FlowView | StepView) -> list[Message]:
    """Return what was printed and logged as it travels: when, and each text with its stream."""
    return [
        {"n": one.attempt, "old": one.head if one.since else "", "parts": one.parts}
        for one in view.printouts
    ]


def _attempt(attempt: Called) -> Message:
    trouble = attempt.failure
    said = (
        "" if trouble is None else f"{trouble.error}: {headline.cut(trouble.message)}"
    )
    return {
        "n": attempt.attempt,
        "state": CODES[Reuse.SAME if attempt.same else attempt.state],
        "at": attempt.at,
        "seconds": attempt.seconds,
        "wait": attempt.wait,
        "waited": attempt.waited,
        "trouble": said,
    }


def _used(step: StepView) -> str:
    """Return what a call used, or would have used if it had not been cached."""
    parts = []
    if step.usage.requests:
        parts.append(str(step.usage))
    if step.saved.requests:
        parts.append(f"saved {step.saved}")
    return ", ".join(parts)


def _call(args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """Return what a person wants to see of the arguments of a call."""
    if not args:
        return kwargs
    if kwargs:
        return [*args, kwargs]
    return args[0] if len(args) == 1 else list(args)


def _record(found: Inspection) -> Fields | None:
    try:
        record = found.record
    except UsageError:  # the records of this run were not kept
        return None
    return _fields(lambda: record)


def _fields(load: Callable[[], object]) -> Fields:
    """Return a value by its fields; if it cannot be loaded or shown, say why."""
    try:
        return headline.rows_of(load())
    except Exception as error:
        return [("", f"(cannot be shown: {failure.describe(error)})")]
