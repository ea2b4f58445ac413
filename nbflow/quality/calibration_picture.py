"""Calibration picture: a reliability diagram, as static SVG and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.html import Html, h
from nbflow.quality import picture
from nbflow.quality.intervals import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.quality.calibration import Curve, ReliabilityBar

#: Side of the square, and room for its words, in pixels.
_SIDE, _LEFT, _BELOW, _TOP = 240, 46, 36, 10
#: Confidences at which the curve is drawn.
_POINTS = 50
_BLUE = picture.COLOURS[0]
_NUMBER = f"{picture.CELL};text-align:right"


def reliability(
    bars: Sequence[ReliabilityBar], curve: Curve | None, known: tuple[float, float]
) -> Html:
    """How often answers are right against how sure they are, and the same as a table.

    Args:
        bars: decisions on answers of like confidence.
        curve: if it is calibrated.
        known: the least and the highest confidence of which the curve says something.
    """
    diagram = _diagram(bars, curve, known)
    return picture.side_by_side(diagram, _table(bars), gap="16px 36px")


def _diagram(
    bars: Sequence[ReliabilityBar], curve: Curve | None, known: tuple[float, float]
) -> Html:
    parts = [*_frame()]
    if curve is not None:
        parts.append(_line_of(curve, known))
    for bar in bars:
        parts += _mark(bar)
    said = "; ".join(
        f"{bar.sure:.2f} sure, {bar.right.value:.2f} right" for bar in bars
    )
    return h(
        "svg",
        *parts,
        role="img",
        aria_label=f"Reliability: {said}",
        width=str(_LEFT + _SIDE + 12),
        height=str(_TOP + _SIDE + _BELOW),
        style="max-width:100%;color:inherit;font-size:11px;font-family:inherit",
    )


def _frame() -> list[Html]:
    """The square, its diagonal, and the words around."""
    grey = {"stroke": "currentColor", "stroke-opacity": ".3", "fill": "none"}
    lines = [
        h(
            "rect",
            x=str(_LEFT),
            y=str(_TOP),
            width=str(_SIDE),
            height=str(_SIDE),
            **grey,
        ),
        h(
            "path",
            d=f"M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}",
            stroke_dasharray="4 4",
            **grey,
        ),
    ]
    words = [_word(_x(one), _y(0) + 14, f"{one:.1f}", "middle") for one in (0, 0.5, 1)]
    words += [_word(_LEFT - 6, _y(one) + 4, f"{one:.1f}", "end") for one in (0, 0.5, 1)]
    words.append(_word(_x(0.5), _y(0) + 30, "how sure it says it is", "middle"))
    side = f"rotate(-90 12 {_y(0.5)})"
    words.append(_word(12, _y(0.5), "right, as people decided", "middle", side))
    return lines + words


def _word(x: float, y: float, text: str, anchor: str, turned: str = "") -> Html:
    more = {"transform": turned} if turned else {}
    return h(
        "text",
        text,
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        fill="currentColor",
        text_anchor=anchor,
        opacity=".8",
        **more,
    )


def _line_of(curve: Curve, known: tuple[float, float]) -> Html:
    """The band of the curve's intervals, and the curve, where it says something."""
    low, high = known
    places = [low + (high - low) * one / _POINTS for one in range(_POINTS + 1)]
    at = [(place, curve.at(place)) for place in places]
    middle = "L".join(f"{_x(x):.1f} {_y(one.value):.1f}" for x, one in at)
    upper = "L".join(f"{_x(x):.1f} {_y(one.high):.1f}" for x, one in at)
    lower = "L".join(f"{_x(x):.1f} {_y(one.low):.1f}" for x, one in reversed(at))
    return h(
        "g",
        h("path", d=f"M{upper}L{lower}Z", fill=_BLUE, fill_opacity=".18"),
        h("path", d=f"M{middle}", stroke=_BLUE, stroke_width="2", fill="none"),
    )


def _mark(bar: ReliabilityBar) -> list[Html]:
    """One bar: its interval as a stroke, its share as a point."""
    x, (value, low, high) = _x(bar.sure), map(_y, bar.right)
    return [
        h(
            "path",
            d=f"M{x:.1f} {low:.1f}L{x:.1f} {high:.1f}",
            stroke="currentColor",
            stroke_opacity=".6",
            stroke_width="1.5",
        ),
        h("circle", cx=f"{x:.1f}", cy=f"{value:.1f}", r="3.5", fill="currentColor"),
    ]


def _x(share: float) -> float:
    return _LEFT + share * _SIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIDE


def _table(bars: Sequence[ReliabilityBar]) -> Html:
    names = ("it says", "right", "95 % interval", "decided")
    head = [picture.header(name, "right") for name in names]
    return picture.table(head, map(_line, bars))


def _line(bar: ReliabilityBar) -> Html:
    _, low, high = bar.right
    return picture.line(
        h("td", percent(bar.sure), style=_NUMBER),
        h("td", percent(bar.right.value), style=f"{_NUMBER};font-weight:600"),
        h(
            "td",
            f"{percent(low)} to {percent(high)}",
            style=f"{_NUMBER};{picture.FAINT}",
        ),
        h("td", f"{bar.number:,}", style=_NUMBER),
    )
