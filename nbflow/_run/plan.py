"""Plan: what a send or a map would do, as figures, as text and as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.duration import duration
from nbflow._core.html import Html, h
from nbflow._core.plural import several
from nbflow._core.usage import money
from nbflow._run.html_parts import framed, table, with_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


@dataclass(slots=True)
class StepForecast:
    """Calls of one step.

    Attributes:
        calls: how many are expected.
        cached: how many of them are saved.
        perhaps: how many others are saved if their inputs stay as they were.
    """

    calls: float = 0.0
    cached: float = 0.0
    perhaps: float = 0.0

    @property
    def would_run(self) -> float:
        """Calls that would be made."""
        return self.calls - self.cached


@dataclass(slots=True)
class FlowForecast:
    """One flow (or mapped step): records by what would happen to them.

    Attributes:
        flow: its name.
        cached: records that are done.
        would_run: records that are not, by why.
        refused: records that no key can be made of: they would fail.
        steps: calls expected of each step.
    """

    flow: str
    cached: int = 0
    would_run: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    steps: dict[str, StepForecast] = field(default_factory=dict)


class _Line(NamedTuple):
    """One line about a flow: a number, and what it is the number of."""

    number: str
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What sending a batch, or a map, would do now.

    Shown in a notebook or printed it is a table.

    Attributes:
        event: the event, or the step of a map.
        records: different records in the batch.
        rows: rows in the batch, repeated records included.
        flows: for each flow how many records are saved, would run and why, and the
            calls expected of its steps.
        seconds: how long it would take, as runs of this event took before; ``None`` if
            there is no history.
        cost: US dollars, as the calls of earlier runs reported them (``nbflow.usage``);
            ``None``: not known.
    """

    # A step that names it has this module in its key, as people import it.
    __module__ = "nbflow"

    event: str
    records: int
    rows: int
    flows: tuple[FlowForecast, ...]
    seconds: float | None
    cost: float | None = None

    @property
    def cached(self) -> int:
        """Records that are done, over all flows."""
        return sum(flow.cached for flow in self.flows)

    @property
    def would_run(self) -> int:
        """Records that would run, over all flows."""
        return sum(flow.would_run.total() for flow in self.flows)

    @property
    def calls(self) -> dict[str, int]:
        """Calls that would be made, by step, to the nearest whole number."""
        found: Counter[str] = Counter()
        for flow in self.flows:
            for step, expected in flow.steps.items():
                found[step] += round(expected.would_run)
        return dict(found)

    def to_frame(self) -> pd.DataFrame:
        """The plan as a pandas frame with the columns flow, why and records.

        One row for each flow and reason, ``"cached"`` among them.
        """
        import pandas as pd

        rows = []
        for flow in self.flows:
            rows.append((flow.flow, "cached", flow.cached))
            for why, records in flow.would_run.most_common():
                rows.append((flow.flow, why, records))
            if flow.refused:
                rows.append((flow.flow, "no key can be made of it", flow.refused))
        return pd.DataFrame(rows, columns=["flow", "why", "records"])

    def __repr__(self) -> str:
        lines = [self._sentence(), ""]
        for flow in self.flows:
            lines.append(flow.flow)
            for number, words in _lines(flow):
                lines.append(f"  {number:>9}  {words}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows: list[tuple[str | Html, str, Html]] = []
        for flow in self.flows:
            # The name stands in the flow's first row alone.
            name: str | Html = h("b", flow.flow)
            for number, words in _lines(flow):
                rows.append((name, number, with_code(words)))
                name = ""
        picture = framed(
            h("div", self._sentence(), style="margin-bottom:6px"),
            table(["flow", "records", ""], rows, right={1}),
        )
        return str(picture)

    def _sentence(self) -> str:
        records = several(self.records, "record")
        if self.rows != self.records:
            records += f" ({self.rows:,} rows)"
        return (
            f"{self.event}: {records}, {self.cached:,} cached, "
            f"{self.would_run:,} would run. Time: {_time(self.seconds)}. "
            f"Cost: {_cost(self.cost)}. Nothing was executed."
        )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    return f"about {duration(seconds)}" if seconds else "none"


def _cost(dollars: float | None) -> str:
    if dollars is None:
        return "not known"
    return f"about {money(dollars)}" if dollars else "none"


def _lines(flow: FlowForecast) -> Iterator[_Line]:
    """A flow's records by what would happen to them, then the calls of its steps."""
    if flow.cached or not flow.would_run:
        yield _Line(f"{flow.cached:,}", "cached")
    for why, number in flow.would_run.most_common():
        yield _Line(f"{number:,}", f"would run: {why}")
    if flow.refused:
        yield _Line(f"{flow.refused:,}", "would fail: the record has no key")
    for name, step in flow.steps.items():
        line = _calls(name, step)
        if line is not None:
            yield line


def _calls(name: str, step: StepForecast) -> _Line | None:
    """The calls expected of one step; ``None`` if there are none."""
    # Expected values are fractions: what rounds to nothing is not mentioned.
    made = round(step.would_run)
    cached = round(step.cached)
    perhaps = round(step.perhaps)
    if not made and not cached:
        return None
    words = f"calls of {name}"
    if perhaps:
        words += f", {perhaps:,} of them only if what goes in changes"
    if cached:
        words += f", {cached:,} more are cached" if made else f": {cached:,} are cached"
    return _Line(f"~{made:,}" if made else "no", words)
