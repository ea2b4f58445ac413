"""Inspection: one record of a run, step by step."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from nbflow._core.entry import FINAL, Called, Failure, Item, Used
from nbflow._core.lifecycle import State
from nbflow._core.table import duration
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._run.reasons import Why
    from nbflow._store.checkpoint import Checkpoint


class StepView:
    """One call of a step for this record.

    Attributes:
        step: the step's name.
        state: how the call ended.
        attempts: every attempt: its number, state, end (seconds since the epoch),
            duration, the wait after it (seconds) and what went wrong.
        checkpoint: key of the saved output.
        usage: what its attempts used; of a call that was remembered, nothing.
            ``saved``: what that saved.
        inputs: (args, kwargs) of the call, in the kernel that ran it, for failures and
            the latest records; elsewhere ``None``: checkpoints keep digests of inputs,
            not the inputs.
    """

    def __init__(
        self,
        step: str,
        load: Callable[[str], Checkpoint | None],
        why: Callable[[StepView], str],
    ) -> None:
        self.step = step
        self.state = State.QUEUED
        self.attempts: list[Called] = []
        self.usage: Usage = NOTHING
        self.saved: Usage = NOTHING
        self.checkpoint: str | None = None
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._load = load
        self._why = why

    @property
    def why(self) -> str:
        """Why the call ran although the record had been sent before, or since when its output is saved; found out now."""
        return self._why(self)

    @property
    def seconds(self) -> float:
        """How long its attempts took, without the waits."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def failure(self) -> Failure | None:
        """What the last attempt failed of."""
        return self.attempts[-1].failure if self.attempts else None

    @property
    def output(self) -> Any:
        """The saved output, loaded now; ``None`` if there is none."""
        found = self._load(self.checkpoint) if self.checkpoint else None
        return found.value if found is not None else None

    def __repr__(self) -> str:
        return f"<{self.step}: {self.state}, attempts {len(self.attempts)}>"


class FlowView:
    """This record in one flow: its state and its steps, in the order in which they ended."""

    def __init__(
        self,
        flow: str,
        state: State,
        load: Callable[[str], Checkpoint | None],
        checkpoint: str | None,
        why: Why,
    ) -> None:
        self.flow = flow
        self.state = state
        self.checkpoint = checkpoint
        self.seconds = 0.0
        self.failure: Failure | None = None
        self.steps: list[StepView] = []
        #: What was reported of steps whose attempt had not ended yet.
        self._used: list[Used] = []
        self._load = load
        self._why = why

    @property
    def why(self) -> str:
        """Why the record ran although it had been sent before, or since when its outcome is saved; found out now."""
        return self._why.flow(self.flow, self.state, self.checkpoint)

    def _why_step(self, view: StepView) -> str:
        place = [step for step in self.steps if step.step == view.step].index(view)
        return self._why.step(self.flow, view.step, place, view.state, view.checkpoint)

    @property
    def output(self) -> Any:
        """What the flow returned, loaded now; ``None`` if there is nothing."""
        found = self._load(self.checkpoint) if self.checkpoint else None
        return found.value if found is not None else None

    def take(self, entry: Item | Called | Used) -> None:
        """Take in one entry about this record in this flow."""
        if isinstance(entry, Used):
            self._used.append(entry)
            return
        if isinstance(entry, Item):
            if entry.state is State.RUNNING:
                self.steps = []  # it begins anew: what an earlier round did is replaced
                self._used = []
            self.seconds, self.failure = entry.seconds, entry.failure
            return
        view = next(
            (
                step
                for step in self.steps
                if step.step == entry.step and step.state is State.RETRYING
            ),
            None,
        )
        if view is None:
            view = StepView(entry.step, self._load, self._why_step)
            self.steps.append(view)
        view.state, view.checkpoint = entry.state, entry.checkpoint
        view.attempts.append(entry)
        # Two calls of one step side by side report in an order of their own: between
        # them the sum is right.
        mine = [used for used in self._used if used.step == entry.step]
        view.usage += sum((used.usage for used in mine if not used.saved), NOTHING)
        view.saved += sum((used.usage for used in mine if used.saved), NOTHING)
        self._used = [used for used in self._used if used.step != entry.step]

    def finish(self, inputs: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
        """Add what is known from elsewhere: the steps of a flow that was remembered as a whole, inputs."""
        found = (
            self._load(self.checkpoint) if not self.steps and self.checkpoint else None
        )
        for name, key in found.built_on if found is not None else ():
            view = StepView(name, self._load, self._why_step)
            view.state, view.checkpoint = State.CACHED, key
            self.steps.append(view)
        left = list(inputs)
        for view in self.steps:
            place = next(
                (at for at, call in enumerate(left) if call[0] == view.step), None
            )
            if place is not None:
                view.inputs = left.pop(place)[1:]

    def __getitem__(self, step: str) -> StepView:
        for view in self.steps:
            if view.step == step:
                return view
        raise KeyError(
            f"flow {self.flow!r} called no step {step!r} for this record; it called {[view.step for view in self.steps]}"
        )


_HEADERS = ("flow / step", "state", "tries", "took", "cost", "why", "error")


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

    def _lines(self) -> list[tuple[str, ...]]:
        lines: list[tuple[str, ...]] = []
        for view in self.flows.values():
            lines.append(
                (
                    view.flow,
                    str(view.state),
                    "",
                    duration(view.seconds) if view.seconds else "",
                    "",
                    view.why,
                    "",
                )
            )
            for step in view.steps:
                tried = str(
                    sum(attempt.state is not State.CACHED for attempt in step.attempts)
                    or ""
                )
                failed = next(
                    (
                        attempt.failure
                        for attempt in reversed(step.attempts)
                        if attempt.failure
                    ),
                    None,
                )
                error = f"{failed.error}: {failed.message}" if failed else ""
                lines.append(
                    (
                        f"  {step.step}",
                        str(step.state),
                        tried,
                        duration(step.seconds) if step.seconds else "",
                        step.usage.told_cost,
                        step.why,
                        " ".join(error.split()),
                    )
                )
            if (
                view.failure is not None
                and view.state in FINAL
                and not any(step.failure for step in view.steps)
            ):
                lines.append(
                    (
                        "",
                        "",
                        "",
                        "",
                        "",
                        "",
                        f"{view.failure.error}: {view.failure.message}",
                    )
                )
        return lines

    def _shown(self) -> list[tuple[str, ...]]:
        """The header and the lines, without a column of costs where there are none."""
        lines = [_HEADERS, *self._lines()]
        place = _HEADERS.index("cost")
        return (
            lines
            if any(line[place] for line in lines[1:])
            else [line[:place] + line[place + 1 :] for line in lines]
        )

    def __repr__(self) -> str:
        lines = self._shown()
        widths = [
            max(len(line[column]) for line in lines)
            for column in range(len(lines[0]) - 1)
        ]
        rows = [
            "  ".join(
                (
                    *(
                        cell.ljust(width)
                        for cell, width in zip(line, widths, strict=False)
                    ),
                    line[-1],
                )
            ).rstrip()
            for line in lines
        ]
        return "\n".join([f"record {self.key}", *rows])

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left;padding:2px 12px 2px 0;white-space:pre-wrap">{}</td>'
        rows = [
            "".join(cell.format(html.escape(text)) for text in line)
            for line in self._shown()
        ]
        return f"<div><b>record {html.escape(self.key)}</b><table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table></div>"
