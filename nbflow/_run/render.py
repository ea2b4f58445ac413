"""Render: a run's table as text for terminals and as static, escaped HTML for notebooks and pages."""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING, Any

from nbflow._core.lifecycle import State
from nbflow._core.table import WORDS, duration, seen, short
from nbflow._core.usage import money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow._core.table import FlowRow, Table
    from nbflow._run.explanation import Explanation
    from nbflow._run.forecast import FlowForecast, Plan

_RUNS = 100
_WHY = "why it ran"

#: Colour and mark of each state; the mark tells it without the colour.
LOOKS = {
    State.COMPLETED: ("green", "#2b8a3e", "\u2713"),
    State.CACHED: ("cyan", "#1098ad", "\u21bb"),
    State.FAILED: ("red", "#e03131", "\u2717"),
    State.TIMED_OUT: ("red", "#e03131", "\u29d6"),
    State.CANCELLED: ("yellow", "#b8860b", "\u2298"),
    State.INTERRUPTED: ("yellow", "#b8860b", "\u26a0"),
    State.RUNNING: ("blue", "#1c7ed6", "\u25b6"),
    State.QUEUED: ("bright_black", "#868e96", "\u00b7"),
}
RUN_LOOKS = {
    "COMPLETED": State.COMPLETED,
    "PARTIAL": State.CANCELLED,
    "FAILED": State.FAILED,
    "CANCELLED": State.CANCELLED,
    "INTERRUPTED": State.INTERRUPTED,
    "RUNNING": State.RUNNING,
}


# Text


def to_text(table: Table, *, width: int = 110, colour: bool = False) -> str:
    """The table as text; with ANSI colours for a terminal."""
    return _printed(lambda console: print_table(table, console), width, colour=colour)


def runs_to_text(history: Any) -> str:
    """The history of runs as text: the latest hundred."""
    if history.empty:
        return "No runs yet."
    more = (
        f"\nand {len(history) - _RUNS:,} earlier runs" if len(history) > _RUNS else ""
    )
    return (
        _printed(lambda console: print_runs(history.head(_RUNS), console), 140) + more
    )


def _printed(print_: Callable[[Any], None], width: int, *, colour: bool = False) -> str:
    from rich.console import Console

    out = io.StringIO()
    # force_jupyter: rich would display its output in a notebook by itself, whatever the
    # file.
    print_(
        Console(
            file=out,
            width=width,
            force_jupyter=False,
            force_terminal=colour,
            no_color=not colour,
            highlight=False,
            emoji=False,
            markup=False,
        )
    )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def print_table(table: Table, console: Any) -> None:
    """Print the table on a rich console."""
    from rich.text import Text

    console.print(_title(table))
    console.print(Text(table.sentence))
    console.print()
    console.print(_flow_grid(table))
    if table.failures:
        grid = _grid(["record", "flow", "step", "error", "message", "tries"], right={5})
        for row in table.failures:
            grid.add_row(
                *_cells(
                    short(row.key, 24),
                    row.flow,
                    row.step,
                    row.error,
                    short(row.message),
                    str(row.attempts),
                )
            )
        console.print()
        console.print(grid)
    if table.hidden:
        console.print(
            Text(
                f"  and {table.hidden:,} more failures: run.failures()", "bright_black"
            )
        )
    for remark in table.remarks:
        console.print(Text(f"! {seen(remark)}", "yellow"))


def plan_text(plan: Plan) -> str:
    """A plan as text: a sentence, then each flow with its reasons and its steps."""
    lines = [_plan_sentence(plan), ""]
    for flow in plan.flows:
        lines.append(f"{flow.flow}")
        lines += [f"  {number:>9,}  {said}" for number, said in _plan_records(flow)]
        lines += [f"  {calls:>9}  {said}" for calls, said in _plan_calls(flow)]
    return "\n".join(lines)


def _plan_sentence(plan: Plan) -> str:
    rows = f" ({plan.rows:,} rows)" if plan.rows != plan.records else ""
    took = (
        "not known yet"
        if plan.seconds is None
        else f"about {duration(plan.seconds)}"
        if plan.seconds
        else "none"
    )
    cost = (
        "not known"
        if plan.cost is None
        else f"about {money(plan.cost)}"
        if plan.cost
        else "none"
    )
    return f"{plan.event}: {plan.records:,} record{'s' * (plan.records != 1)}{rows}, {plan.cached:,} cached, {plan.would_run:,} would run. Time: {took}. Cost: {cost}. Nothing was executed."


def _plan_records(flow: FlowForecast) -> list[tuple[int, str]]:
    said = [(flow.cached, "cached")] if flow.cached or not flow.would_run else []
    said += [
        (number, f"would run: {why}") for why, number in flow.would_run.most_common()
    ]
    return said + (
        [(flow.refused, "would fail: no key can be made of the record")]
        if flow.refused
        else []
    )


def _plan_calls(flow: FlowForecast) -> list[tuple[str, str]]:
    said = []
    for name, step in flow.steps.items():
        made, cached = round(step.would_run), round(step.cached)
        more = f", {cached:,} more are cached" if made else f": {cached:,} are cached"
        perhaps = (
            f", {round(step.perhaps):,} of them only if what goes in changes"
            if round(step.perhaps)
            else ""
        )
        if made or cached:
            said.append(
                (
                    f"~{made:,}" if made else "no",
                    f"calls of {name}" + perhaps + (more if cached else ""),
                )
            )
    return said


def plan_html(plan: Plan) -> str:
    """A plan as static HTML."""
    rows = []
    for flow in plan.flows:
        said = [
            *((f"{number:,}", words) for number, words in _plan_records(flow)),
            *_plan_calls(flow),
        ]
        rows += [
            [
                f"<b>{html.escape(flow.flow)}</b>" if not place else "",
                html.escape(number),
                _code(words),
            ]
            for place, (number, words) in enumerate(said)
        ]
    table = _html_table(["flow", "records", ""], rows, right={1})
    return f'<div style="{FRAME}"><div style="margin-bottom:6px">{html.escape(_plan_sentence(plan))}</div>{table}</div>'


def explanation_text(explanation: Explanation) -> str:
    """An explanation as text: a sentence, the diff, what does not count."""
    lines = [str(explanation)]
    lines += [f"  {line}" for line in explanation.diff().splitlines()]
    lines += [f"  `{name}`: {why}." for name, why in explanation.uncounted]
    return "\n".join(lines)


def progress(table: Table, ended: int, total: int, seconds: float) -> Any:
    """A run under way for so many seconds, for a terminal that is drawn anew again and again."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    return Group(
        _title(table),
        Text(f"{table.sentence} {duration(seconds)}."),
        ProgressBar(total=total or None, completed=ended, width=72),
        _flow_grid(table),
    )


def _title(table: Table) -> Any:
    from rich.text import Text

    look = LOOKS[RUN_LOOKS[table.state]]
    return Text.assemble(
        (f"{look[2]} {table.state}", f"bold {look[0]}"),
        "  ",
        (table.event, "bold"),
        (f"  run {table.run}", "bright_black"),
    )


def print_runs(history: Any, console: Any) -> None:
    """Print the history of runs on a rich console."""
    from rich.text import Text

    grid = _grid(
        ["run", "event", "state", "started", "took", "records", "failed"],
        right={4, 5, 6},
    )
    for row in history.itertuples():
        look = LOOKS[RUN_LOOKS[row.state]]
        state = Text(f"{look[2]} {row.state}", look[0])
        cells = (
            _cells(row.run, row.event),
            _cells(
                f"{row.started:%Y-%m-%d %H:%M}",
                duration(row.seconds),
                f"{row.records:,}",
                f"{row.failed:,}" if row.failed else "",
            ),
        )
        grid.add_row(*cells[0], state, *cells[1])
    console.print(grid)


def _flow_grid(table: Table) -> Any:
    from rich.text import Text

    headers = _headers(table)
    grid = _grid(
        ["flow / step", *headers],
        right=range(1, 1 + len(headers) - (headers[-1] == _WHY)),
    )
    for row in table.flows:
        name = (
            Text(f"  {row.step}", "bright_black")
            if row.step
            else Text(row.flow, "bold")
        )
        numbers = [
            Text(f"{row.counts[state]:,}", LOOKS[state][0])
            if row.counts.get(state)
            else Text("")
            for state in table.columns
        ]
        grid.add_row(name, *numbers, *_cells(*_measures(row, headers, 110)))
    return grid


def _headers(table: Table) -> list[str]:
    """Of the columns behind the first: states, retries, mean; cost and why it ran where there is something to tell."""
    cost = ["cost"] if any(row.usage.requests for row in table.flows) else []
    told = [_WHY] if any(row.why for row in table.flows) else []
    return [
        *(f"{LOOKS[state][2]} {WORDS[state]}" for state in table.columns),
        "retries",
        "mean",
        *cost,
        *told,
    ]


def _measures(row: FlowRow, headers: Sequence[str], width: int) -> list[str]:
    """What stands in a row behind the states, under the headers that are there."""
    tried = sum(
        number for state, number in row.counts.items() if state is not State.CACHED
    )
    found = {
        "retries": f"{row.retries:,}" if row.retries else "",
        "mean": duration(row.seconds / tried) if row.seconds and tried else "",
        "cost": row.usage.told_cost,
        _WHY: short(row.why, width),
    }
    return [found[header] for header in headers if header in found]


def _grid(headers: Sequence[str], right: Iterable[int]) -> Any:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bright_black",
    )
    aligned = set(right)
    for place, header in enumerate(headers):
        grid.add_column(
            header,
            justify="right" if place in aligned else "left",
            overflow="fold",
            no_wrap=header not in {"message", "record", _WHY},
        )
    return grid


def _cells(*texts: str) -> list[Any]:
    from rich.text import Text

    return [Text(seen(text)) for text in texts]


# HTML. Every text goes through `html.escape` here and nowhere else; no script, no
# request, no id.

#: The frame around every static picture.
FRAME = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;"
    "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:12px 16px;margin:4px 0;max-width:980px;overflow-x:auto"
)
_CELL = "padding:2px 14px 2px 0;text-align:{};border:0;vertical-align:top;background:transparent"
_FAINT = "opacity:.65"


def to_html(table: Table) -> str:
    """The table as static HTML that any viewer shows, light or dark."""
    _, colour, mark = LOOKS[RUN_LOOKS[table.state]]
    parts = [
        f'<div style="{FRAME}">',
        (
            f'<div><span style="color:{colour};font-weight:700">{mark} {html.escape(table.state)}</span> '
            f'<b style="margin-left:8px">{html.escape(table.event)}</b> <span style="{_FAINT};margin-left:8px">run {html.escape(table.run)}</span></div>'
        ),
        f'<div style="margin:4px 0 8px">{html.escape(table.sentence)}</div>',
        _bars(table),
        _flow_html(table),
    ]
    if table.failures:
        rows = [
            (
                short(row.key, 60),
                row.flow,
                row.step,
                row.error,
                short(row.message, 160),
                f"{row.attempts}",
            )
            for row in table.failures
        ]
        shown = (
            f"{len(rows)} of {len(rows) + table.hidden:,} failures"
            if table.hidden
            else f"{len(rows)} failure{'s' * (len(rows) > 1)}"
        )
        # Open when short: a reader should not have to click for three lines.
        parts.append(
            f'<details{" open" if len(rows) <= 10 else ""} style="margin-top:8px"><summary style="cursor:pointer">{shown}</summary>'  # noqa: PLR2004
        )
        parts.append(
            _html_table(
                ["record", "flow", "step", "error", "message", "tries"],
                [[html.escape(cell) for cell in row] for row in rows],
                right={5},
            )
        )
        parts.append("</details>")
    parts.extend(
        f'<div style="color:#b8860b;margin-top:4px">\u26a0 {html.escape(remark)}</div>'
        for remark in table.remarks
    )
    parts.append("</div>")
    return "".join(parts)


def runs_to_html(history: Any) -> str:
    """The history of runs as static HTML: the latest hundred, each with its state in word, mark and colour."""
    rows = []
    for row in history.head(_RUNS).itertuples():
        _, colour, mark = LOOKS[RUN_LOOKS[row.state]]
        state = f'<span style="color:{colour};font-weight:600">{mark} {html.escape(row.state)}</span>'
        failed = (
            f'<span style="color:{LOOKS[State.FAILED][1]}">{row.failed:,}</span>'
            if row.failed
            else ""
        )
        name = f'<code style="background:transparent;color:inherit">{html.escape(row.run)}</code>'
        rows.append(
            [
                name,
                html.escape(row.event),
                state,
                f"{row.started:%Y-%m-%d %H:%M}",
                duration(row.seconds),
                f"{row.records:,}",
                failed,
            ]
        )
    table = _html_table(
        ["run", "event", "state", "started", "took", "records", "failed"],
        rows,
        right={4, 5, 6},
    )
    more = (
        f'<div style="{_FAINT};margin-top:6px">and {len(history) - _RUNS:,} earlier runs</div>'
        if len(history) > _RUNS
        else ""
    )
    return f'<div style="{FRAME}">{table if rows else "No runs yet."}{more}</div>'


def _bars(table: Table) -> str:
    counts = {
        state: sum(row.counts.get(state, 0) for row in table.flows if not row.step)
        for state in table.columns
    }
    whole = sum(counts.values()) or 1
    said = ", ".join(f"{number:,} {WORDS[state]}" for state, number in counts.items())
    pieces = "".join(
        f'<span style="display:inline-block;height:100%;width:{100 * number / whole:.2f}%;background:{LOOKS[state][1]}"></span>'
        for state, number in counts.items()
    )
    return f'<div role="img" aria-label="{html.escape(said)}" style="height:8px;border-radius:4px;overflow:hidden;background:rgba(128,128,128,.2);white-space:nowrap;font-size:0;margin-bottom:8px">{pieces}</div>'


def _flow_html(table: Table) -> str:
    headers = ["flow / step", *_headers(table)]
    rows = []
    for row in table.flows:
        name = (
            f'<span style="{_FAINT};padding-left:14px">{html.escape(row.step)}</span>'
            if row.step
            else f"<b>{html.escape(row.flow)}</b>"
        )
        numbers = [
            f'<span style="color:{LOOKS[state][1]}">{row.counts[state]:,}</span>'
            if row.counts.get(state)
            else ""
            for state in table.columns
        ]
        rows.append([name, *numbers, *map(_code, _measures(row, headers[1:], 160))])
    return _html_table(
        headers, rows, right=range(1, len(headers) - (headers[-1] == _WHY))
    )


def table_html(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Texts as a static, escaped HTML table."""
    return f'<div style="{FRAME}">{_html_table(headers, [[html.escape(cell) for cell in row] for row in rows], right=())}</div>'


def _html_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int]
) -> str:
    aligned = [
        "right" if place in set(right) else "left" for place in range(len(headers))
    ]
    head = "".join(
        f'<th style="{_CELL.format(side)};{_FAINT};font-weight:400">{html.escape(header)}</th>'
        for header, side in zip(headers, aligned, strict=True)
    )
    # Only messages and reasons are broken into lines.
    kept = [
        "normal" if header in {"message", _WHY, ""} else "nowrap" for header in headers
    ]
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format(side)};white-space:{keep}">{cell}</td>'
            for cell, side, keep in zip(row, aligned, kept, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<table style="border-collapse:collapse;border:0;margin:0;color:inherit;font-size:inherit"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


_DIFF = {"+": "#2b8a3e", "-": "#e03131", "@": "#1098ad"}
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px;white-space:pre-wrap;margin:8px 0 0"


def explanation_html(explanation: Explanation) -> str:
    """An explanation as static HTML."""
    _, colour, mark = LOOKS[_EXPLAINED.get(explanation.state, State.QUEUED)]
    lines = []
    for line in explanation.diff().splitlines():
        shade = _DIFF.get(line[:1])
        lines.append(
            f'<span style="color:{shade}">{html.escape(line)}</span>'
            if shade
            else html.escape(line)
        )
    said = [
        f'<div style="{FRAME}"><b>{html.escape(explanation.step)}</b>',
        f'<span style="color:{colour};font-weight:700;margin-left:8px">{mark} {html.escape(explanation.state)}</span>',
        f'<div style="margin-top:4px">It {_code(explanation.said())}</div>',
        f'<div style="{_MONO}">{"<br>".join(lines)}</div>' if lines else "",
    ]
    said += [
        f'<div style="{_FAINT};margin-top:4px"><code>{html.escape(name)}</code>: {html.escape(why)}.</div>'
        for name, why in explanation.uncounted
    ]
    return "".join(said) + "</div>"


_EXPLAINED = {
    "cached": State.CACHED,
    "unchanged": State.CACHED,
    "would run": State.RUNNING,
    "changed": State.RUNNING,
}


def _code(text: str) -> str:
    """Words with names between backticks, those as code."""
    return "".join(
        f"<code>{html.escape(part)}</code>" if place % 2 else html.escape(part)
        for place, part in enumerate(text.split("`"))
    )
