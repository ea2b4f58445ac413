"""Render: a run and the history of runs as text and as static HTML.

Text is for terminals, HTML for notebooks and pages. Results of other kinds make their
own pictures, of the same parts (`html_parts`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol, cast

from nbflow._core.duration import duration
from nbflow._core.html import Html, h
from nbflow._core.lifecycle import Shown, State
from nbflow._core.looks import LOOKS, RUN_LOOKS
from nbflow._core.plural import several
from nbflow._core.table import REUSED, short, times
from nbflow._core.visible import seen
from nbflow._run.html_parts import FAINT, WHY, framed, with_code
from nbflow._run.html_parts import table as html_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    import pandas as pd
    from rich.console import Console, Group
    from rich.table import Table as Grid
    from rich.text import Text

    from nbflow._core.looks import Look
    from nbflow._core.table import FailureRow, FlowRow, Table

#: Runs of the history that are shown.
_RUNS = 100
_FAILURES = ("record", "text", "flow", "step", "error", "message", "tries")
_HISTORY = ("run", "event", "state", "started", "took", "records", "failed")


class _HistoryRow(Protocol):
    """One run of the history, as the frame has it."""

    run: str
    event: str
    state: str
    started: datetime
    seconds: float
    records: int
    failed: int


# Text


def to_text(table: Table, *, width: int = 110, colour: bool = False) -> str:
    """The table as text; with ANSI colours for a terminal."""
    return _printed(lambda console: print_table(table, console), width, colour=colour)


def runs_to_text(history: pd.DataFrame, store: str = "this store") -> str:
    """The history of the runs in a store as text: the latest hundred."""
    if history.empty:
        return f"No runs yet in {store}."
    latest = history.head(_RUNS)
    text = _printed(lambda console: print_runs(latest, console), 140)
    if len(history) > _RUNS:
        text += f"\nand {len(history) - _RUNS:,} earlier runs"
    return text


def _printed(
    print_: Callable[[Console], None],
    width: int,
    *,
    colour: bool = False,
) -> str:
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        # Otherwise rich displays its output in a notebook by itself, whatever the file.
        force_jupyter=False,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        emoji=False,
        markup=False,
    )
    print_(console)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def print_table(table: Table, console: Console) -> None:
    """Print the table on a rich console."""
    from rich.text import Text

    console.print(_title(table))
    console.print(Text(table.sentence))
    console.print()
    console.print(_flow_grid(table))
    if table.failures:
        headers, rows = _failure_rows(table, (24, 28, 110))
        grid = _grid(headers, right={len(headers) - 1})
        for row in rows:
            grid.add_row(*_cells(row))
        console.print()
        console.print(grid)
    if table.hidden:
        more = f"  and {table.hidden:,} more failures: run.failures()"
        console.print(Text(more, "bright_black"))
    for remark in table.remarks:
        console.print(Text(f"! {seen(remark)}", "yellow"))


def print_runs(history: pd.DataFrame, console: Console) -> None:
    """Print the history of runs on a rich console."""
    from rich.text import Text

    grid = _grid(_HISTORY, right={4, 5, 6})
    for row in _rows(history):
        look = RUN_LOOKS[row.state]
        names = _cells([row.run, row.event])
        state = Text(look.sign, look.ansi)
        numbers = _cells(
            [
                f"{row.started:%Y-%m-%d %H:%M}",
                duration(row.seconds),
                f"{row.records:,}",
                f"{row.failed:,}" if row.failed else "",
            ]
        )
        grid.add_row(*names, state, *numbers)
    console.print(grid)


def progress(table: Table, ended: int, total: int, seconds: float) -> Group:
    """A run in progress, for a terminal that draws it again and again.

    Args:
        table: how it stands.
        ended: records that are done.
        total: records in all, as far as is known.
        seconds: how long it has been running.
    """
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    return Group(
        _title(table),
        Text(f"{table.sentence} {duration(seconds)}."),
        ProgressBar(total=total or None, completed=ended, width=72),
        _flow_grid(table),
    )


def _title(table: Table) -> Text:
    from rich.text import Text

    look = RUN_LOOKS[table.state]
    return Text.assemble(
        (look.sign, f"bold {look.ansi}"),
        "  ",
        (table.event, "bold"),
        (f"  run {table.run}", "bright_black"),
    )


def _flow_grid(table: Table) -> Grid:
    from rich.text import Text

    headers = _headers(table)
    grid = _grid(["flow / step", *headers], right=_numeric(headers))
    for row in table.flows:
        name = Text(row.flow, "bold")
        if row.step:
            name = Text(f"  {row.step}", "bright_black")
        counts = [
            Text(text, LOOKS[state].ansi if text else "")
            for state, text in zip(table.columns, _counts(table, row), strict=True)
        ]
        grid.add_row(name, *counts, *_cells(_measures(row, headers, 110)))
    return grid


def _grid(headers: Sequence[str], right: Collection[int]) -> Grid:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bright_black",
    )
    for place, header in enumerate(headers):
        grid.add_column(
            header,
            justify="right" if place in right else "left",
            overflow="fold",
            no_wrap=header not in {"message", "record", "text", WHY},
        )
    return grid


def _cells(texts: Iterable[str]) -> list[Text]:
    from rich.text import Text

    return [Text(seen(text)) for text in texts]


# What stands in the columns, in text and in HTML


def _headers(table: Table) -> list[str]:
    """The columns after the first.

    The states, retries and mean; cost and reasons only if there are any.
    """
    headers = [LOOKS[shown].brief_sign for shown in table.columns]
    headers += ["retries", "mean"]
    if any(row.usage.requests for row in table.flows):
        headers.append("cost")
    if any(row.why for row in table.flows):
        headers.append(WHY)
    return headers


def _numeric(headers: Sequence[str]) -> range:
    """The places of the numbers, in a row of a name and then ``headers``."""
    count = len(headers)
    if headers[-1] == WHY:
        count -= 1
    return range(1, count + 1)


def _rows(history: pd.DataFrame) -> Iterable[_HistoryRow]:
    return cast("Iterable[_HistoryRow]", history.itertuples())


def _counts(table: Table, row: FlowRow) -> list[str]:
    """The number in each state; empty where it is 0."""
    numbers = [row.counts.get(state) for state in table.columns]
    return [f"{number:,}" if number else "" for number in numbers]


def _measures(row: FlowRow, headers: Sequence[str], width: int) -> list[str]:
    """What stands in a row after the states, under its ``headers``."""
    tried = sum(number for state, number in row.counts.items() if state not in REUSED)
    found = {
        "retries": f"{row.retries:,}" if row.retries else "",
        "mean": times(row.seconds / tried, row.waited / tried) if tried else "",
        "cost": row.usage.told_cost,
        WHY: short(row.why, width),
    }
    return [found[header] for header in headers if header in found]


def _failure_rows(
    table: Table, widths: tuple[int, int, int]
) -> tuple[list[str], list[list[str]]]:
    """The headers of the failures, and their cells; where no record says anything, no column for it.

    ``widths``: the most characters of a key, of a record's words and of a message.
    """
    headers = list(_FAILURES)
    rows = [_failure_cells(row, *widths) for row in table.failures]
    if not any(row.words for row in table.failures):
        place = headers.index("text")
        for cells in (headers, *rows):
            del cells[place]
    return headers, rows


def _failure_cells(row: FailureRow, key: int, words: int, message: int) -> list[str]:
    return [
        short(row.key, key),
        short(row.words, words),
        row.flow,
        row.step,
        row.error,
        short(row.message, message),
        str(row.attempts),
    ]


# HTML


def to_html(table: Table) -> str:
    """The table as static HTML that any viewer shows, light or dark."""
    picture = framed(
        _heading(table),
        h("div", table.sentence, style="margin:4px 0 8px"),
        _bars(table),
        _flow_table(table),
        *([_failures(table)] if table.failures else []),
        *(_warning(remark) for remark in table.remarks),
    )
    return str(picture)


def runs_to_html(history: pd.DataFrame, store: str = "this store") -> str:
    """The history of the runs in a store as static HTML: the latest hundred."""
    rows: list[list[str | Html]] = []
    for row in _rows(history.head(_RUNS)):
        failed = f"{row.failed:,}" if row.failed else ""
        rows.append(
            [
                h("code", row.run, style="background:transparent;color:inherit"),
                row.event,
                state_mark(RUN_LOOKS[row.state], "font-weight:600"),
                f"{row.started:%Y-%m-%d %H:%M}",
                duration(row.seconds),
                f"{row.records:,}",
                _coloured(failed, State.FAILED),
            ]
        )
    if not rows:
        return str(framed(f"No runs yet in {store}."))
    parts = [html_table(_HISTORY, rows, right={4, 5, 6})]
    if len(history) > _RUNS:
        more = f"and {len(history) - _RUNS:,} earlier runs"
        parts.append(h("div", more, style=f"{FAINT};margin-top:6px"))
    return str(framed(*parts))


def table_html(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Texts as a static HTML table."""
    return str(framed(html_table(headers, rows)))


def state_mark(look: Look, style: str, word: str = "") -> Html:
    """A state by its sign and its word, or another ``word``, in its colour."""
    said = f"{look.mark} {word or look.word}"
    return h("span", said, style=f"color:{look.text_colour};{style}")


def _heading(table: Table) -> Html:
    return h(
        "div",
        state_mark(RUN_LOOKS[table.state], "font-weight:700"),
        " ",
        h("b", table.event, style="margin-left:8px"),
        " ",
        h("span", f"run {table.run}", style=f"{FAINT};margin-left:8px"),
    )


def _bars(table: Table) -> Html:
    """One bar, with a piece for each state."""
    counts = dict.fromkeys(table.columns, 0)
    for row in table.flows:
        if not row.step:
            for state in counts:
                counts[state] += row.counts.get(state, 0)
    whole = sum(counts.values()) or 1
    said = []
    pieces = []
    for state, number in counts.items():
        said.append(f"{number:,} {LOOKS[state].word}")
        size = f"height:100%;width:{100 * number / whole:.2f}%"
        style = f"display:inline-block;{size};background:{LOOKS[state].colour}"
        pieces.append(h("span", style=style))
    return h(
        "div",
        *pieces,
        role="img",
        aria_label=", ".join(said),
        style="height:8px;border-radius:4px;overflow:hidden;"
        "background:rgba(128,128,128,.2);white-space:nowrap;font-size:0;"
        "margin-bottom:8px",
    )


def _flow_table(table: Table) -> Html:
    headers = _headers(table)
    rows = []
    for row in table.flows:
        name = h("b", row.flow)
        if row.step:
            name = h("span", row.step, style=f"{FAINT};padding-left:14px")
        counts = [
            _coloured(text, state)
            for state, text in zip(table.columns, _counts(table, row), strict=True)
        ]
        measures = [with_code(text) for text in _measures(row, headers, 160)]
        rows.append([name, *counts, *measures])
    return html_table(["flow / step", *headers], rows, right=_numeric(headers))


def _failures(table: Table) -> Html:
    headers, rows = _failure_rows(table, (60, 80, 160))
    shown = several(len(rows), "failure")
    if table.hidden:
        shown = f"{len(rows)} of {len(rows) + table.hidden:,} failures"
    more = f"and {table.hidden:,} more failures: run.failures()"
    return h(
        "details",
        h("summary", shown, style="cursor:pointer"),
        html_table(headers, rows, right={len(headers) - 1}),
        *([h("div", more, style=FAINT)] if table.hidden else []),
        open=True,
        style="margin-top:8px",
    )


def _warning(remark: str) -> Html:
    look = LOOKS[State.INTERRUPTED]
    style = f"color:{look.text_colour};margin-top:4px"
    return h("div", f"{look.mark} {remark}", style=style)


def _coloured(text: str, state: Shown) -> Html | str:
    """A text in the colour of a state; nothing stays nothing."""
    return h("span", text, style=f"color:{LOOKS[state].text_colour}") if text else ""
