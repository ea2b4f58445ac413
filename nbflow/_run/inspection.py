"""Inspection: one record of a run, step by step."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any

from nbflow._call.waits import given_by
from nbflow._core.awaited import what_of
from nbflow._core.entry import (
    FINAL,
    Answered,
    Awaits,
    Called,
    Failure,
    Item,
    Printed,
    Used,
)
from nbflow._core.fields import fields_of
from nbflow._core.html import h
from nbflow._core.lifecycle import Reuse, State
from nbflow._core.looks import LOOKS
from nbflow._core.plural import several
from nbflow._core.table import short, times
from nbflow._core.usage import NOTHING, Usage
from nbflow._run.html_parts import FAINT, framed
from nbflow._run.printout import Printout, printouts, said_of
from nbflow.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._core.lifecycle import Shown
    from nbflow._run.reasons import Why
    from nbflow._store.checkpoint import Checkpoint

    Load = Callable[[str], Checkpoint | None]
    Args = tuple[object, ...]
    Kwargs = dict[str, object]
    #: A call of a step: its name and its arguments.
    Given = tuple[str, Args, Kwargs]
    _Line = tuple[str, ...]


class StepView:
    """One call of a step for this record.

    Attributes:
        step: the step's name.
        state: how the call ended.
        attempts: every attempt: its number, state, end (seconds since the epoch),
            duration, the wait after it (``wait``) and what it spent in line before
            (``waited``; seconds), and what went wrong.
        place: which call of its step this is, in this flow, from 0.
        checkpoint: key of the saved output.
        printouts: what its attempts printed and logged, each apart; of a call that was
            remembered, what it printed when it ran. ``printed``: the same as a text.
        usage: what its attempts used; of a call that was remembered, nothing.
            ``saved``: what that saved.
        inputs: (args, kwargs) of the call, in the kernel that ran it, for failures and
            the latest records; elsewhere ``None``: checkpoints keep digests of inputs,
            not the inputs.
    """

    def __init__(
        self, step: str, place: int, load: Load, why: Callable[[StepView], str]
    ) -> None:
        self.step = step
        self.place = place
        self.state = State.QUEUED
        self.attempts: list[Called] = []
        self.usage: Usage = NOTHING
        self.saved: Usage = NOTHING
        self.checkpoint: str | None = None
        self.inputs: tuple[Args, Kwargs] | None = None
        #: What attempts printed that no checkpoint has.
        self.noted: list[Printed] = []
        #: What the record waits for here, or did.
        self.awaits: Awaits | None = None
        self.answered: Answered | None = None
        self._load = load
        self._why = why

    @property
    def why(self) -> str:
        """Why the call ran, or since when its output is saved; found out now."""
        if self.awaits is not None:
            return what_of(self.awaits, self.answered, self.state)
        return self._why(self)

    @property
    def shown(self) -> Shown:
        """Its state as it is shown."""
        is_same = bool(self.attempts) and self.attempts[-1].same
        return Reuse.SAME if is_same else self.state

    @property
    def seconds(self) -> float:
        """How long its attempts took, without the waits."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def waited(self) -> float:
        """How long its attempts were in line: for a place, a throttle, a budget, a provider's limits."""
        return sum(attempt.waited for attempt in self.attempts)

    @property
    def printouts(self) -> list[Printout]:
        """What it printed and logged, loaded now."""
        saved = self._load(self.checkpoint) if self.checkpoint else None
        last = self.attempts[-1].attempt if self.attempts else 1
        is_cached = self.state is State.CACHED
        return printouts(self.noted, saved, last or 1, is_cached=is_cached)

    @property
    def printed(self) -> str:
        """What it printed and logged, as a text; empty if it did not."""
        return said_of(self.printouts)

    @property
    def failure(self) -> Failure | None:
        """What the last attempt failed of."""
        return self.attempts[-1].failure if self.attempts else None

    @property
    def output(self) -> Any:
        """The saved output, loaded now; ``None`` if there is none."""
        found = self._load(self.checkpoint) if self.checkpoint else None
        if found is None:
            return None
        return found.shown if self.awaits is None else given_by(found)

    def __repr__(self) -> str:
        return f"<{self.step}: {self.state}, attempts {len(self.attempts)}>"


class FlowView:
    """This record in one flow: its state and its steps, as they ended."""

    def __init__(
        self,
        flow: str,
        state: State,
        load: Load,
        checkpoint: str | None,
        why: Why,
    ) -> None:
        self.flow = flow
        self.state = state
        self.checkpoint = checkpoint
        #: Its state as it is shown.
        self.shown: Shown = state
        self.seconds = self.waited = 0.0
        self.failure: Failure | None = None
        self.steps: list[StepView] = []
        #: The record waits, and continues where it was.
        self._rests = False
        self._begin()
        self._load = load
        self._why = why

    @property
    def why(self) -> str:
        """Why the record ran, or since when its outcome is saved; found out now."""
        return self._why.flow(self.flow, self.state, self.checkpoint)

    @property
    def printouts(self) -> list[Printout]:
        """What the flow itself printed and logged, outside its steps, loaded now."""
        saved = self._load(self.checkpoint) if self.checkpoint else None
        # Also where all its steps were remembered the flow itself may have run.
        began = self._began
        is_cached = saved is not None and (began is None or saved.saved_at < began)
        return printouts(self._printed[""], saved, 1, is_cached=is_cached)

    @property
    def printed(self) -> str:
        """The same as a text; empty if it did not."""
        return said_of(self.printouts)

    def __repr__(self) -> str:
        return f"<{self.flow}: {self.state}, {several(len(self.steps), 'step')}>"

    def _begin(self) -> None:
        """It starts, again: this replaces what an earlier round did."""
        self._began: float | None = None
        self.steps.clear()
        self._calls: Counter[str] = Counter()
        #: By step: calls that wait for their next attempt, and what was reported of
        #: attempts that had not ended yet.
        self._retrying: defaultdict[str, deque[StepView]] = defaultdict(deque)
        self._used: defaultdict[str, list[Used]] = defaultdict(list)
        self._printed: defaultdict[str, list[Printed]] = defaultdict(list)
        #: By step: what the record waits for there.
        self._awaits: dict[str, Awaits] = {}
        self._answered: dict[str, Answered] = {}

    def _why_step(self, view: StepView) -> str:
        return self._why.step(
            self.flow, view.step, view.place, view.state, view.checkpoint
        )

    @property
    def output(self) -> Any:
        """What the flow returned, loaded now; ``None`` if there is nothing."""
        found = self._load(self.checkpoint) if self.checkpoint else None
        return found.shown if found is not None else None

    def take(self, entry: Item | Called | Printed | Used | Awaits | Answered) -> None:
        """Take in one entry about this record in this flow."""
        match entry:
            case Used():
                self._used[entry.step].append(entry)
            case Printed():
                self._printed[entry.step].append(entry)
            case Awaits():
                self._awaits[entry.step] = entry
            case Answered():
                self._answered[entry.step] = entry
            case Item():
                self._take_item(entry)
            case Called():
                self._take_call(entry)

    def _take_item(self, entry: Item) -> None:
        if entry.state is State.RUNNING and not self._rests:
            self._begin()
            self._began = entry.at
        self._rests = entry.state is State.WAITING
        self.seconds, self.waited = entry.seconds, entry.waited
        self.failure = entry.failure
        if entry.same:
            self.shown = Reuse.SAME

    def _take_call(self, entry: Called) -> None:
        retrying = self._retrying[entry.step]
        view = retrying.popleft() if retrying else self._add(entry.step)
        if entry.state in (State.RETRYING, State.WAITING):
            retrying.appendleft(view)
        view.awaits = self._awaits.pop(entry.step, view.awaits)
        view.answered = self._answered.pop(entry.step, view.answered)
        view.state, view.checkpoint = entry.state, entry.checkpoint
        if entry.state is not State.WAITING:
            view.attempts.append(entry)
        view.noted += self._printed.pop(entry.step, ())
        # Two calls of one step side by side report in an order of their own: between
        # them the sum is right.
        for used in self._used.pop(entry.step, ()):
            if used.saved:
                view.saved += used.usage
            else:
                view.usage += used.usage

    def finish(self, inputs: list[Given]) -> None:
        """Add what is known from elsewhere: the inputs of calls.

        A flow whose outcome was cached reported no steps: they are those that the
        outcome was built on.
        """
        if not self.steps and self.checkpoint:
            self._add_cached(self._load(self.checkpoint))
        self._add_cut_off()
        left: defaultdict[str, deque[tuple[Args, Kwargs]]] = defaultdict(deque)
        for step, args, kwargs in inputs:
            left[step].append((args, kwargs))
        for view in self.steps:
            if left[view.step]:
                view.inputs = left[view.step].popleft()

    def _add_cached(self, outcome: Checkpoint | None) -> None:
        if outcome is None:
            return
        for name, key in outcome.built_on:
            view = self._add(name)
            view.state, view.checkpoint = State.CACHED, key

    def _add_cut_off(self) -> None:
        """Add what calls printed that were cut off: they ended without a word."""
        for step in [step for step in self._printed if step]:
            retrying = self._retrying[step]
            view = retrying.popleft() if retrying else self._add(step)
            view.state = self.state
            view.noted += self._printed.pop(step)

    def _add(self, step: str) -> StepView:
        view = StepView(step, self._calls[step], self._load, self._why_step)
        self._calls[step] += 1
        self.steps.append(view)
        return view

    def __getitem__(self, step: str) -> StepView:
        __tracebackhide__ = True
        for view in self.steps:
            if view.step == step:
                return view
        called = [view.step for view in self.steps]
        raise KeyError(
            f"flow {self.flow!r} called no step {step!r} for this record; "
            f"it called {called}"
        )


#: Fields that are shown of a record and of an answer, and the characters of each.
_FIELDS, _WIDE = 12, 160
_HEADERS: _Line = ("flow / step", "state", "tries", "took", "cost", "why", "error")


class Inspection:
    """One record of a run: ``inspection["triage"]["categorize"].output``.

    Attributes:
        key: the record's key.
        flows: the record in each flow.
    """

    def __init__(
        self,
        key: str,
        names: tuple[str, ...],
        views: list[FlowView],
        record: Callable[[], Any],
    ) -> None:
        self.key = key
        self.flows = dict(zip(names, views, strict=True))
        self._record = record

    @property
    def record(self) -> Any:
        """The record that was sent."""
        return self._record()

    def __getitem__(self, flow: str) -> FlowView:
        return self.flows[flow]

    def _told(self) -> list[tuple[str, str]]:
        """What was sent and what the flows returned, by their fields: what one asks first."""
        told = []
        with contextlib.suppress(UsageError):  # the records were not kept
            told += _fields("", self.record)
        for name, view in self.flows.items():
            if view.checkpoint is not None:
                told += _fields(name, _readable(view))
        return told

    def _shown(self) -> list[_Line]:
        """The header and the lines, without a column of costs where there are none."""
        lines = [_HEADERS]
        for view in self.flows.values():
            lines += _flow_lines(view)
        place = _HEADERS.index("cost")
        if any(line[place] for line in lines[1:]):
            return lines
        return [line[:place] + line[place + 1 :] for line in lines]

    def __repr__(self) -> str:
        lines = self._shown()
        columns = list(zip(*lines, strict=True))
        widths = [max(map(len, column)) for column in columns]
        # The last column holds errors of any length, and nothing follows it.
        widths[-1] = 0
        rows = [f"record {self.key}"]
        rows += [f"  {name}: {text}" for name, text in self._told()]
        for line in lines:
            cells = map(str.ljust, line, widths)
            rows.append("  ".join(cells).rstrip())
        for title, text in self._printed():
            rows += ["", title, text.rstrip("\n")]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        style = "text-align:left;padding:2px 12px 2px 0;white-space:pre-wrap"
        rows = []
        for line in self._shown():
            cells = [h("td", text, style=style) for text in line]
            rows.append(h("tr", *cells))
        told = [
            h("div", h("span", f"{name}: ", style=FAINT), text)
            for name, text in self._told()
        ]
        title = h("div", h("b", f"record {self.key}"), *told)
        printed = [
            h("details", h("summary", head), h("pre", text, style="margin:2px 0 8px"))
            for head, text in self._printed()
        ]
        return str(framed(title, h("table", *rows), *printed))

    def _printed(self) -> Iterator[tuple[str, str]]:
        """What flows and steps printed, each under its name."""
        for view in self.flows.values():
            is_map = any(step.step == view.flow for step in view.steps)
            if not is_map and (text := view.printed):
                yield f"printed by {view.flow}", text
            for step in view.steps:
                if text := step.printed:
                    yield f"printed by {view.flow} / {step.step}", text


def _fields(owner: str, value: object) -> list[tuple[str, str]]:
    """The fields of a value, each with its name and in a line; one that has none as a whole."""
    found = fields_of(value)
    if found is None:
        return [(owner or "record", short(str(value), _WIDE))]
    shown = [
        (f"{owner}.{name}" if owner else name, short(str(part), _WIDE))
        for name, part in list(found.items())[:_FIELDS]
    ]
    if len(found) > _FIELDS:
        shown.append((owner or "record", f"and {len(found) - _FIELDS} more fields"))
    return shown


def _readable(view: FlowView) -> object:
    try:
        return view.output
    except CodecError as error:
        return error


def _flow_lines(view: FlowView) -> Iterator[_Line]:
    """One flow, then its steps; what it failed of by itself at the end."""
    took = times(view.seconds, view.waited)
    yield view.flow, LOOKS[view.shown].brief_sign, "", took, "", view.why, ""
    for step in view.steps:
        yield _step_line(step)
    failed = view.failure
    is_of_a_step = any(step.failure for step in view.steps)
    if failed is not None and view.state in FINAL and not is_of_a_step:
        yield "", "", "", "", "", "", _said(failed)


def _said(failure: Failure) -> str:
    return f"{failure.error}: {failure.message}"


def _step_line(step: StepView) -> _Line:
    tried = sum(attempt.state is not State.CACHED for attempt in step.attempts)
    error = ""
    for attempt in step.attempts:
        if attempt.failure:
            error = _said(attempt.failure)
    return (
        f"  {step.step}",
        LOOKS[step.shown].brief_sign,
        str(tried or ""),
        times(step.seconds, step.waited),
        step.usage.told_cost,
        step.why,
        " ".join(error.split()),
    )
