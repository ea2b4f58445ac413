"""Picture: figures, their intervals and confusion as static HTML. No script, no request; every text is escaped here.

Colours are mixed with what lies behind them, so that one picture serves light and dark
pages. Nothing is told by colour alone, and without any style (as some viewers on the
web show it) the tables still read.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from nbflow._core.table import short
from nbflow._run.html_parts import _FRAME as FRAME
from nbflow.quality.metrics import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.quality.comparison import Comparison
    from nbflow.quality.evaluation import Confusion, Evaluation
    from nbflow.quality.metrics import Interval

#: Labels and records that a picture shows; the frames have all.
_LABELS, _ROWS = 24, 8
_FAINT = "opacity:.75"
_COLOURS = ("#1c7ed6", "#e8590c")
_RIGHT, _WRONG = "#2f9e44", "#f03e3e"
_CELL = "padding:3px 12px 3px 0;border:0;background:transparent;white-space:nowrap;vertical-align:middle"
# JupyterLab fixes the layout of tables, which would give a column as wide as it can be
# all the room there is.
_TABLE = "table-layout:auto;border-collapse:collapse;border:0;margin:0;color:inherit;font-size:inherit"


def framed(*parts: str) -> str:
    """Parts in one frame."""
    return f'<div style="{FRAME}">{"".join(parts)}</div>'


def kappa(one: Interval) -> str:
    """Kappa as people read it."""
    return (
        "\u2013"
        if one.value != one.value
        else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
    )


def points(one: Interval) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * one.value:+.1f} points ({100 * one.low:+.1f} to {100 * one.high:+.1f})".replace(
        "-", "\u2212"
    )


def evaluation(one: Evaluation) -> str:
    """An evaluation."""
    title = f"<b>{html.escape(one.name)}</b> against {html.escape(one.truth)}, {one.records:,} record{'s' * (one.records != 1)}"
    scores = one.scores
    bars = [
        ("accuracy", "", _share(scores.accuracy), _COLOURS[0]),
        ("macro F1", "", _share(scores.macro_f1), _COLOURS[0]),
        ("Cohen\u2019s kappa", "", _number(scores.kappa), _COLOURS[0]),
    ]
    return framed(
        f'<div style="font-size:14px">{title}</div>',
        _bars(bars),
        _notes(one.notes()),
        '<div style="display:flex;flex-wrap:wrap;gap:8px 36px;align-items:flex-start;margin-top:10px">',
        confusion(one.confusion),
        _by_label(one),
        "</div>",
        _rows(f"{len(one.disagreements):,} wrong", one.disagreements),
    )


def comparison(one: Comparison) -> str:
    """A comparison."""
    names = [
        f'<span style="{_swatch(colour)}"></span><b>{html.escape(name)}</b>'
        for name, colour in zip(one.names, _COLOURS, strict=True)
    ]
    against = f" against {html.escape(one.truth)}" if one.truth else ""
    parts = [
        f'<div style="font-size:14px">{names[0]} and {names[1]}{against}, {one.records:,} record{"s" * (one.records != 1)}</div>',
        f'<div style="margin:6px 0 2px;font-weight:600">{html.escape(one.verdict)}</div>',
    ]
    if one.first is not None and one.second is not None and one.paired is not None:
        bars = []
        for word, figure, shown in (
            ("accuracy", "accuracy", _share),
            ("macro F1", "macro_f1", _share),
            ("Cohen\u2019s kappa", "kappa", _number),
        ):
            for place, side in enumerate((one.first, one.second)):
                bars.append(
                    (
                        "" if place else word,
                        one.names[place],
                        shown(getattr(side.scores, figure)),
                        _COLOURS[place],
                    )
                )
        difference = f"Accuracy of {one.names[1]} minus {one.names[0]}: {points(one.paired.difference)}. They agree on {one.agreement}."
        parts += [
            _bars(bars),
            _notes([difference, *one.notes()]),
            '<div style="display:flex;flex-wrap:wrap;gap:12px 36px;align-items:flex-start;margin-top:10px">',
            *(confusion(side.confusion, side.name) for side in (one.first, one.second)),
            "</div>",
        ]
    else:
        bars = [
            ("agreement", "", _share(one.agreement), _COLOURS[0]),
            ("Cohen\u2019s kappa", "", _number(one.kappa), _COLOURS[0]),
        ]
        parts += [_bars(bars), _notes(one.notes()), confusion(one.confusion)]
    return framed(
        *parts,
        _rows(f"{len(one.disagreements):,} on which they differ", one.disagreements),
    )


def queue(
    sentence: str, done: int, total: int, rows: Sequence[Sequence[str]], more: int
) -> str:
    """What is left of a review."""
    share = 100 * done / (total or 1)
    bar = f'<div role="img" aria-label="{done:,} of {total:,} decided" style="height:8px;border-radius:4px;overflow:hidden;background:color-mix(in srgb,currentColor 12%,transparent);margin:6px 0 10px"><div style="height:100%;width:{share:.2f}%;background:{_RIGHT}"></div></div>'
    body = "".join(
        f'<tr style="background:transparent">{"".join(_field(cell) for cell in row)}</tr>'
        for row in rows
    )
    head = "".join(
        f'<th scope="col" style="{_CELL};text-align:left;font-weight:400;{_FAINT}">{word}</th>'
        for word in ("record", "what it says", "label", "sure", "reason")
    )
    table = (
        f'<table style="{_TABLE}"><thead><tr style="background:transparent">{head}</tr></thead><tbody>{body}</tbody></table>'
        if rows
        else ""
    )
    rest = (
        f'<div style="{_FAINT};margin-top:6px">and {more:,} more. In Jupyter, run the cell to decide by keyboard; elsewhere review.decide(key, label).</div>'
        if rows
        else ""
    )
    return framed(
        f'<div style="font-weight:600">{html.escape(sentence)}</div>',
        bar,
        table,
        rest.replace("and 0 more. ", ""),
    )


def confusion(one: Confusion, title: str = "") -> str:
    """A confusion matrix: the more of a row lies in a cell, the stronger its colour; the diagonal is framed."""
    busiest = sorted(range(len(one.rows)), key=lambda place: -sum(one.counts[place]))[
        :_LABELS
    ]
    rows = sorted(busiest)
    columns = [
        place
        for place in range(len(one.columns))
        if place in busiest or place >= len(one.rows)
    ]
    given = "".join(
        f'<th scope="col" style="{_CELL};padding:2px;height:{_height(one)}px;vertical-align:bottom;text-align:center;font-weight:400"><span style="writing-mode:vertical-rl;transform:rotate(180deg);{"font-style:italic" if place >= len(one.rows) else ""}">{html.escape(short(one.columns[place], 30))}</span></th>'
        for place in columns
    )
    body = []
    for row in rows:
        total = sum(one.counts[row]) or 1
        cells = "".join(
            _count(
                one.counts[row][column],
                total,
                one.rows[row] == one.columns[column],
                f"{one.rows[row]} as {one.columns[column]}",
            )
            for column in columns
        )
        body.append(
            f'<tr style="background:transparent"><th scope="row" style="{_CELL};padding:2px 8px 2px 0;text-align:right;font-weight:400">{html.escape(short(one.rows[row], 30))}</th>{cells}</tr>'
        )
    more = (
        f'<div style="{_FAINT}">The {len(rows)} most frequent of {len(one.rows)} labels; all: .confusion.to_frame()</div>'
        if len(rows) < len(one.rows)
        else ""
    )
    outside = (
        f'<div style="{_FAINT}">In italics: outside the labels.</div>'
        if len(one.columns) > len(one.rows)
        else ""
    )
    said = f"{one.axes[0]} \u2193  {one.axes[1]} \u2192"
    # A wide matrix is scrolled on its own, by keyboard as well.
    return (
        f'<div tabindex="0" role="region" aria-label="Confusion matrix {html.escape(title)}, rows: {html.escape(one.axes[0])}, columns: {html.escape(one.axes[1])}" style="overflow-x:auto;max-width:100%">'
        f'<div style="font-weight:600">{html.escape(title)}</div><table style="{_TABLE};font-size:12px"><thead><tr style="background:transparent"><th scope="col" style="{_CELL};vertical-align:bottom;text-align:right;font-weight:400;{_FAINT}">{html.escape(said)}</th>{given}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{more}{outside}</div>"
    )


def _height(one: Confusion) -> int:
    return 14 + 6 * min(30, max(len(label) for label in one.columns))


def _count(number: int, total: int, right: bool, said: str) -> str:  # noqa: FBT001 - on the diagonal or not
    # The root lifts small shares: three of two hundred are to be seen.
    strength = round(52 * (number / total) ** 0.5) if number else 0
    back = (
        f"background:color-mix(in srgb,{_RIGHT if right else _WRONG} {strength}%,transparent)"
        if strength
        else "background:transparent"
    )
    edge = (
        "outline:1px solid color-mix(in srgb,currentColor 45%,transparent);outline-offset:-1px;font-weight:600"
        if right
        else ""
    )
    shown = f"{number:,}" if number else '<span style="opacity:.75">\u00b7</span>'
    return f'<td title="{html.escape(said)}: {number:,}" style="min-width:30px;height:26px;padding:0 5px;text-align:center;border:1px solid color-mix(in srgb,currentColor 10%,transparent);{back};{edge}">{shown}</td>'


def _share(one: Interval) -> tuple[Interval, str, str]:
    return one, percent(one.value), f"{percent(one.low)} to {percent(one.high)}"


def _number(one: Interval) -> tuple[Interval, str, str]:
    value, _, between = kappa(one).partition(" ")
    return one, value, between.strip("()")


def _bars(figures: Iterable[tuple[str, str, tuple[Interval, str, str], str]]) -> str:
    """A line a figure: a band for the interval on a scale from 0 to 1, a stroke for the value, and both in words."""
    lines = []
    for word, name, (one, value, between), colour in figures:
        cells = [
            f'<td style="{_CELL};text-align:left">{word}</td>',
            f'<td style="{_CELL};text-align:left;{_FAINT}">{html.escape(short(name, 30))}</td>',
            f'<td style="{_CELL};width:100%;min-width:140px;padding-right:14px">{_band(one, colour)}</td>',
            f'<td style="{_CELL};text-align:right;font-weight:600">{value}</td>',
            f'<td style="{_CELL};text-align:left;{_FAINT}">{between}</td>',
        ]
        lines.append(f'<tr style="background:transparent">{"".join(cells)}</tr>')
    return f'<table style="{_TABLE};width:100%;max-width:760px;margin:8px 0">{"".join(lines)}</table>'


def _band(one: Interval, colour: str) -> str:
    if one.value != one.value:
        return ""
    value, low, high = (100 * min(1.0, max(0.0, part)) for part in one)
    return (
        '<div style="position:relative;height:12px;border-radius:3px;background:color-mix(in srgb,currentColor 9%,transparent)">'
        f'<div style="position:absolute;top:0;bottom:0;left:{low:.2f}%;width:{max(high - low, 0.4):.2f}%;border-radius:3px;background:color-mix(in srgb,{colour} 55%,transparent)"></div>'
        f'<div style="position:absolute;top:-2px;bottom:-2px;left:calc({value:.2f}% - 1px);width:3px;border-radius:2px;background:{colour}"></div></div>'
    )


def _swatch(colour: str) -> str:
    return f"display:inline-block;width:10px;height:10px;border-radius:3px;background:{colour};margin-right:5px"


def _notes(notes: Sequence[str]) -> str:
    return "".join(
        f'<div style="margin:1px 0;{_FAINT}">{html.escape(note)}</div>'
        for note in notes
    )


def _by_label(one: Evaluation) -> str:
    """Precision, recall and F1 of each label, the most frequent first."""
    order = sorted(range(len(one.labels)), key=lambda place: -one.support[place])[
        :_LABELS
    ]
    headers = ("label", "records", "precision", "recall", "F1", "95 %")
    head = "".join(
        f'<th scope="col" style="{_CELL};text-align:{"left" if not place else "right"};font-weight:400;{_FAINT}">{word}</th>'
        for place, word in enumerate(headers)
    )
    lines = []
    for place in order:
        f1 = one.scores.f1[place]
        numbers = [
            f"{one.support[place]:,}",
            percent(one.scores.precision[place].value),
            percent(one.scores.recall[place].value),
            percent(f1.value),
            f"{percent(f1.low)} to {percent(f1.high)}" if f1.value == f1.value else "",
        ]
        cells = "".join(
            f'<td style="{_CELL};text-align:right{";font-weight:600" if at == 3 else f";{_FAINT}" if at == 4 else ""}">{number}</td>'  # noqa: PLR2004 - F1 and its interval
            for at, number in enumerate(numbers)
        )
        lines.append(
            f'<tr style="background:transparent"><th scope="row" style="{_CELL};text-align:left;font-weight:400">{html.escape(short(one.labels[place], 40))}</th>{cells}</tr>'
        )
    more = (
        f'<div style="{_FAINT}">and {len(one.labels) - len(order)} more: .to_frame()</div>'
        if len(order) < len(one.labels)
        else ""
    )
    return f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr style="background:transparent">{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>{more}</div>'


def _rows(summary: str, frame: Any) -> str:
    """The first rows of a frame, folded away."""
    if not len(frame):
        return ""
    shown = (
        f"{summary}: the first {_ROWS}, all in .disagreements"
        if len(frame) > _ROWS
        else f"{summary}: .disagreements"
    )
    head = "".join(
        f'<th scope="col" style="{_CELL};text-align:left;font-weight:400;{_FAINT}">{html.escape(short(str(name), 40))}</th>'
        for name in frame.columns
    )
    lines = [
        f'<tr style="background:transparent">{"".join(_field(_text(value)) for value in row)}</tr>'
        for row in frame.head(_ROWS).itertuples(index=False)
    ]
    return (
        f'<details style="margin-top:10px"><summary style="cursor:pointer">{html.escape(shown)}</summary><div tabindex="0" role="region" aria-label="{html.escape(summary)}" style="overflow-x:auto;margin-top:6px">'
        f'<table style="{_TABLE}"><thead><tr style="background:transparent">{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div></details>'
    )


def _field(text: str) -> str:
    long = len(text) > 40  # noqa: PLR2004 - more than a line
    return f'<td style="{_CELL};text-align:left;vertical-align:top{";white-space:normal;min-width:220px" if long else ""}">{html.escape(short(text, 160))}</td>'


def _text(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)
