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
from nbflow._run.pace import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

#: What becomes of a record whose flow is called with the same content as another one's.
_SAME = "the same as another record"
#: Figures that are no further apart are one figure.
_CLOSE = 1.5


@dataclass(slots=True)
class StepForecast:
    """Calls of one step.

    Attributes:
        calls: how many are expected.
        cached: how many of them are saved, or the same as another call of the run.
        perhaps: how many others are saved if their inputs stay as they were.
        further: how many more are made if new records repeat less than those before.
    """

    calls: float = 0.0
    cached: float = 0.0
    perhaps: float = 0.0
    further: float = 0.0

    @property
    def would_run(self) -> float:
        """Calls that would be made."""
        return self.calls - self.cached

    @property
    def span(self) -> Span:
        """Calls that would be made, at least, probably and at most."""
        made = self.would_run
        return Span(made - self.perhaps, made, made + self.further)


@dataclass(slots=True)
class FlowForecast:
    """One flow (or mapped step): records by what would happen to them.

    Attributes:
        flow: its name.
        cached: records that are done.
        would_run: records that are not, by why.
        same: records that get what another record of the batch gets.
        refused: records that no key can be made of: they would fail.
        steps: calls expected of each step.
        unknown: steps of which nobody knows how often they would be called; ``None``
            if it is known of all.
    """

    flow: str
    cached: int = 0
    would_run: Counter[str] = field(default_factory=Counter)
    same: int = 0
    refused: int = 0
    steps: dict[str, StepForecast] = field(default_factory=dict)
    unknown: tuple[str, ...] | None = None


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
        seconds: how long it would probably take, as runs of this event took before;
            ``None`` if that is not known.
        cost: US dollars that it would probably cost, as the calls of earlier runs
            reported them (``nbflow.usage``), by the prices of now; ``None`` if that is
            not known.
        seconds_range: the least and the most that it may take, as far as one can tell:
            calls after an edited step run only if they get other inputs, and nobody
            knows before how many more records go side by side.
        cost_range: the least and the most that it may cost.
        records_cached: records that are done in every flow.
        records_to_run: records that would run in some flow.
    """

    # A step that names it has this module in its key, as people import it.
    __module__ = "nbflow"

    event: str
    records: int
    rows: int
    flows: tuple[FlowForecast, ...]
    seconds: float | None
    cost: float | None = None
    seconds_range: tuple[float, float] | None = None
    cost_range: tuple[float, float] | None = None
    records_cached: int = 0
    records_to_run: int = 0

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

    def to_json(self) -> str:
        """The plan for programs and agents: JSON of the schema ``nbflow.plan/1``, which docs/agents.md describes."""
        from nbflow._run.answers.document import document

        facts = {
            "event": self.event,
            "records": self.records,
            "rows": self.rows,
            "records_cached": self.records_cached,
            "records_to_run": self.records_to_run,
            "seconds": _digits(self.seconds, 3),
            "seconds_range": [_digits(one, 3) for one in self.seconds_range or ()],
            "cost": _digits(self.cost, 6),
            "cost_range": [_digits(one, 6) for one in self.cost_range or ()],
            "flows": list(map(_flow_facts, self.flows)),
            "sentence": self._sentence(),
        }
        return document("nbflow.plan/1", facts)

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
            if flow.same:
                rows.append((flow.flow, _SAME, flow.same))
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
            table(["flow", "number", ""], rows, right={1}),
        )
        return str(picture)

    def _sentence(self) -> str:
        records = several(self.records, "record")
        if self.rows != self.records:
            records += f" ({several(self.rows, 'row')})"
        return (
            f"{self.event}: {records}, {self.records_cached:,} cached,"
            f" {self.records_to_run:,} would run{self._outcomes()}."
            f" Time: {_time(self.seconds, self.seconds_range)}."
            f" Cost: {_cost(self.cost, self.cost_range)}. Nothing was executed."
        )

    def _outcomes(self) -> str:
        """How often the records would run, where that is not once each."""
        if self.would_run == self.records_to_run:
            return ""
        return f" ({self.would_run:,} times in {len(self.flows)} flows)"


def _digits(number: float | None, digits: int) -> float | None:
    return None if number is None else round(float(number), digits)


def _flow_facts(flow: FlowForecast) -> dict[str, object]:
    return {
        "flow": flow.flow,
        "cached": flow.cached,
        "would_run": [
            {"records": number, "why": why}
            for why, number in flow.would_run.most_common()
        ],
        "same": flow.same,
        "refused": flow.refused,
        "steps": [
            {
                "step": name,
                "calls": round(step.calls, 1),
                "cached": round(step.cached, 1),
                "calls_to_run": [round(number, 1) for number in step.span],
            }
            for name, step in flow.steps.items()
        ],
        "unknown_steps": list(flow.unknown or ()),
    }


def _time(seconds: float | None, between: tuple[float, float] | None) -> str:
    if seconds is None:
        return "not known yet"
    if not seconds:
        return "none"
    return _about(duration, seconds, between)


def _cost(dollars: float | None, between: tuple[float, float] | None) -> str:
    if dollars is None:
        return "not known"
    return (
        _about(money, dollars, between)
        if dollars or (between and between[1])
        else "none"
    )


def _about(
    words: Callable[[float], str], likely: float, between: tuple[float, float] | None
) -> str:
    """A figure in words; from the least to the most where these are far apart."""
    least, most = between or (likely, likely)
    if most <= _CLOSE * least or words(least) == words(most):
        return f"about {words(likely)}"
    return f"{words(least)} to {words(most)}" if least else f"up to {words(most)}"


def _lines(flow: FlowForecast) -> Iterator[_Line]:
    """A flow's records by what would happen to them, then the calls of its steps."""
    would_run = flow.would_run.total()
    if flow.cached or not would_run:
        yield _Line(f"{flow.cached:,}", f"{_noun(flow.cached)} cached")
    for why, number in flow.would_run.most_common():
        yield _Line(f"{number:,}", f"{_noun(number)} would run: {why}")
    if flow.same:
        yield _Line(f"{flow.same:,}", f"{_noun(flow.same)} {_SAME}")
    if flow.refused:
        yield _Line(
            f"{flow.refused:,}",
            f"{_noun(flow.refused)} would fail: no key can be made of it",
        )
    for name, step in flow.steps.items():
        line = _calls(name, step)
        if line is not None:
            yield line
    if flow.unknown:
        steps = ", ".join(flow.unknown)
        words = f"calls of {steps}: nobody knows how many, as no run has made them yet"
        yield _Line("?", words)


def _noun(number: int) -> str:
    return "record" if number == 1 else "records"


def _calls(name: str, step: StepForecast) -> _Line | None:
    """The calls expected of one step; ``None`` if there are none."""
    # Expected values are fractions: what rounds to nothing is not mentioned.
    least, likely, most = map(round, step.span)
    cached = round(step.cached)
    if not most and not cached:
        return None
    calls = f"calls of {name}"
    if not most:
        return _Line("no", f"{calls}: {_all_cached(cached)}")
    words = calls
    number = f"~{likely:,}"
    if most > _CLOSE * least:
        number = f"{least:,} to {most:,}"
        words += ", as many as get inputs that are new"
    if cached:
        words += f"; {cached:,} more {_are(cached)} cached or the same as another"
    return _Line(number, words)


def _all_cached(number: int) -> str:
    return f"{number:,} {_are(number)} cached or the same as another"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
