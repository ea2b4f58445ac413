"""Picture: the parts that figures of quality are drawn of, as static HTML.

No script, no request. Colours are mixed with what lies behind them, so that one picture
serves light and dark pages. Colour alone carries no meaning, and without any style (as
some viewers on the web show it) the tables still read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.html import Html, h, joined
from nbflow._core.lifecycle import State
from nbflow._core.looks import LOOKS
from nbflow._core.table import short
from nbflow.quality.intervals import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from nbflow.quality.intervals import Interval

#: Labels that a picture shows; the frames have all.
LABELS = 24
#: Records that a picture shows.
_ROWS = 8
#: Characters of a field that is longer than a line.
_LONG = 40

FAINT = "opacity:.75"
#: The colours of two things that are compared.
COLOURS = ("#1c7ed6", "#e8590c")
RIGHT, WRONG = LOOKS[State.COMPLETED].colour, LOOKS[State.FAILED].colour
#: What figures mean, for who has not met them.
_TERMS = {
    "accuracy": "The share of the answers that are right.",
    "macro F1": "The mean of the labels' F1: each label counts as much as any other,"
    " however rare it is.",
    "Cohen\u2019s kappa": "Agreement beyond what chance alone would bring: 0 is as by"
    " chance, 1 is full agreement.",
    "agreement": "The share of the records that get the same label from both.",
    "precision": "Of the answers with this label, the share that is right.",
    "recall": "Of the records whose true label this is, the share that got it.",
    "F1": "The harmonic mean of precision and recall: high only if both are.",
    "95 %": "The interval of F1: it holds the value for all such records 19 times in 20.",
}
CELL = (
    "padding:3px 12px 3px 0;border:0;background:transparent;"
    "white-space:nowrap;vertical-align:middle"
)
# JupyterLab fixes the layout of tables, which would give a column as wide as it can be
# all the room there is.
_TABLE = (
    "table-layout:auto;border-collapse:collapse;border:0;margin:0;"
    "color:inherit;font-size:inherit"
)
_CLEAR = "background:transparent"


# Figures in words


def kappa(one: Interval) -> str:
    """Kappa as people read it."""
    if one.is_undefined:
        return "\u2013"
    if one.is_alone:
        return f"{one.value:.2f}"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def points(one: Interval) -> str:
    """A difference of shares, in percentage points."""
    value, low, high = (100 * part for part in one)
    text = f"{value:+.1f} points"
    if not one.is_alone:
        text += f" ({low:+.1f} to {high:+.1f})"
    return text.replace("-", "\u2212")


# Figures as bars


class Bar(NamedTuple):
    """One figure with its interval.

    Attributes:
        figure: what is measured.
        name: of what, where two things are compared.
        interval: the figure.
        value: the figure in words.
        between: its interval in words.
        colour: of the bar.
    """

    figure: str
    name: str
    interval: Interval
    value: str
    between: str
    colour: str


def share_bar(
    figure: str,
    one: Interval,
    name: str = "",
    colour: str = COLOURS[0],
) -> Bar:
    """The bar of a share."""
    between = "" if one.is_alone else f"{percent(one.low)} to {percent(one.high)}"
    return Bar(
        figure=figure,
        name=name,
        interval=one,
        value=percent(one.value),
        between=between,
        colour=colour,
    )


def kappa_bar(one: Interval, name: str = "", colour: str = COLOURS[0]) -> Bar:
    """The bar of a kappa."""
    value, _, between = kappa(one).partition(" ")
    return Bar(
        figure="Cohen\u2019s kappa",
        name=name,
        interval=one,
        value=value,
        between=between.strip("()"),
        colour=colour,
    )


def bars(figures: Iterable[Bar]) -> Html:
    """A line for each figure.

    A band for the interval on a scale from 0 to 1, a stroke for the value, and both in
    words.
    """
    style = f"{_TABLE};width:100%;max-width:760px;margin:8px 0"
    return h("table", *map(_bar, figures), style=style)


def _bar(bar: Bar) -> Html:
    wide = f"{CELL};width:100%;min-width:140px;padding-right:14px"
    return line(
        h("td", _term(bar.figure), style=f"{CELL};text-align:left"),
        h("td", short(bar.name, 30), style=f"{CELL};text-align:left;{FAINT}"),
        h("td", band(bar.interval, bar.colour), style=wide),
        h("td", bar.value, style=f"{CELL};text-align:right;font-weight:600"),
        h("td", bar.between, style=f"{CELL};text-align:left;{FAINT}"),
    )


def band(one: Interval, colour: str = COLOURS[0]) -> Html:
    """An interval on a scale from 0 to 1, with a stroke for the value."""
    if one.is_undefined:
        return joined()
    low, high = (one.value, one.value) if one.is_alone else one[1:]
    value, low, high = map(_on_scale, (one.value, low, high))
    # An interval of no width is still to be seen.
    width = max(high - low, 0.4)
    size = f"left:{low:.2f}%;width:{width:.2f}%"
    tint = f"color-mix(in srgb,{colour} 55%,transparent)"
    band = (
        f"position:absolute;top:0;bottom:0;{size};border-radius:3px;background:{tint}"
    )
    stroke = (
        f"position:absolute;top:-2px;bottom:-2px;left:calc({value:.2f}% - 1px);"
        f"width:3px;border-radius:2px;background:{colour}"
    )
    scale = (
        "position:relative;height:12px;border-radius:3px;"
        "background:color-mix(in srgb,currentColor 9%,transparent)"
    )
    return h("div", h("div", style=band), h("div", style=stroke), style=scale)


def _on_scale(value: float) -> float:
    """Where a value lies on the scale from 0 to 1, in percent."""
    return 100 * min(1.0, max(0.0, value))


# Tables


def table(head: Iterable[Html], lines: Iterable[Html], style: str = "") -> Html:
    """A table of header cells and `line`s."""
    return h(
        "table",
        h("thead", line(*head)),
        h("tbody", *lines),
        style=_TABLE + style,
    )


def line(*cells: Html) -> Html:
    """A line of cells."""
    return h("tr", *cells, style=_CLEAR)


def header(name: str, side: str = "left") -> Html:
    """The header of a column, aligned to a ``side``."""
    style = f"{CELL};text-align:{side};font-weight:400;{FAINT}"
    return h("th", _term(name), scope="col", style=style)


def _term(name: str) -> str | Html:
    """A name; what it means is told where the mouse rests on it."""
    meaning = _TERMS.get(name)
    if meaning is None:
        return name
    style = "text-decoration:underline dotted;text-underline-offset:3px;cursor:help"
    return h("abbr", name, title=meaning, style=style)


def row_header(name: str, style: str) -> Html:
    """The header of a row."""
    return h("th", name, scope="row", style=f"{CELL};{style};font-weight:400")


def field(text: str) -> Html:
    """A cell with a text of any length."""
    style = f"{CELL};text-align:left;vertical-align:top"
    if len(text) > _LONG:
        style += ";white-space:normal;min-width:220px"
    return h("td", short(text, 160), style=style)


def scrolled(label: str, *parts: Html, style: str) -> Html:
    """Parts that are scrolled on their own if they are wide, by keyboard as well."""
    return h(
        "div",
        *parts,
        tabindex="0",
        role="region",
        aria_label=label,
        style=f"overflow-x:auto;{style}",
    )


def records(summary: str, frame: pd.DataFrame) -> Html:
    """The first rows of a frame of disagreements, folded away."""
    if frame.empty:
        return joined()
    shown = f"{summary}: .disagreements"
    if len(frame) > _ROWS:
        shown = f"{summary}: the first {_ROWS}, all in .disagreements"
    head = [header(short(str(name), 40)) for name in frame.columns]
    lines = [
        line(*(field(_text(value)) for value in row))
        for row in frame.head(_ROWS).itertuples(index=False)
    ]
    return h(
        "details",
        h("summary", shown, style="cursor:pointer"),
        scrolled(summary, table(head, lines), style="margin-top:6px"),
        style="margin-top:10px",
    )


def _text(value: object) -> str:
    if value is None or value != value:  # noqa: PLR0124  # NaN, which is not itself
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


# Sentences, and what stands around


def title(*parts: str | Html) -> Html:
    """What the picture is of."""
    return h("div", *parts, style="font-size:14px")


def swatch(colour: str) -> Html:
    """A square in the colour of what is named after it."""
    style = (
        "display:inline-block;width:10px;height:10px;border-radius:3px;"
        f"background:{colour};margin-right:5px"
    )
    return h("span", style=style)


def notes(sentences: Sequence[str]) -> Html:
    """What one has to know about the figures."""
    style = f"margin:1px 0;{FAINT}"
    return joined(*(h("div", sentence, style=style) for sentence in sentences))


def side_by_side(*parts: Html, gap: str) -> Html:
    """Parts beside each other where there is room."""
    style = (
        f"display:flex;flex-wrap:wrap;gap:{gap};align-items:flex-start;margin-top:10px"
    )
    return h("div", *parts, style=style)
