"""Estimate picture: the tables of an estimate, as static HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.html import Html, h, joined
from nbflow._core.table import short
from nbflow.quality import picture
from nbflow.quality.intervals import Interval, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_NUMBER = f"{picture.CELL};text-align:right"
_BAND = f"{picture.CELL};min-width:110px;width:100%"


def labels(shares: pd.DataFrame) -> Html:
    """Share, precision and recall of each label, the most frequent first."""
    ranked = shares.sort_values("estimated", ascending=False)
    shown = ranked.head(picture.LABELS)
    head = [
        picture.header("label"),
        picture.header("counted", "right"),
        picture.header("estimated", "right"),
        picture.header("share of the run, 95 %"),
        picture.header(""),
        picture.header("precision", "right"),
        picture.header("recall", "right"),
        picture.header("decided", "right"),
    ]
    rows = shown.astype(float).to_dict("records")
    widest = float(shown["high"].max())
    lines = [
        _label(str(label), {str(name): one for name, one in row.items()}, widest)
        for label, row in zip(shown.index, rows, strict=True)
    ]
    rest = len(ranked) - len(shown)
    more = (
        h("div", f"and {rest} more: .shares", style=picture.FAINT) if rest else joined()
    )
    return picture.scrolled(
        "Shares of the labels",
        picture.table(head, lines, ";width:100%"),
        more,
        style="max-width:100%;margin-top:10px",
    )


def _label(name: str, row: Mapping[str, float], widest: float) -> Html:
    share = Interval(row["estimated"], row["low"], row["high"])
    return picture.line(
        picture.row_header(short(name, 40), "text-align:left"),
        h("td", percent(row["counted"]), style=_NUMBER),
        h("td", percent(share.value), style=f"{_NUMBER};font-weight:600"),
        h("td", f"{percent(share.low)} to {percent(share.high)}", style=picture.CELL),
        h("td", picture.band(Interval(*(one / widest for one in share))), style=_BAND),
        h("td", _with_limits(row, "precision"), style=_NUMBER),
        h("td", _with_limits(row, "recall"), style=_NUMBER),
        h("td", f"{row['decided']:,.0f}", style=f"{_NUMBER};{picture.FAINT}"),
    )


def _with_limits(row: Mapping[str, float], name: str) -> str:
    return str(Interval(row[name], row[f"{name}.low"], row[f"{name}.high"]))


def groups(accuracies: Mapping[object, tuple[int, int, str, Interval]]) -> Html:
    """The accuracy of each group; nothing without groups.

    Args:
        accuracies: of each its records, decisions, accuracy in words, and accuracy.
    """
    if not accuracies:
        return joined()
    names = ("records", "decided", "accuracy")
    head = [
        picture.header("group"),
        *(picture.header(name, "right") for name in names),
        picture.header(""),
    ]
    lines = [_group(str(group), *one) for group, one in accuracies.items()]
    return picture.scrolled(
        "Accuracy of the groups",
        picture.table(head, lines, ";width:100%"),
        style="max-width:760px;margin-top:10px",
    )


def _group(
    name: str, records: int, decided: int, said: str, accuracy: Interval
) -> Html:
    style = f"{_NUMBER};{picture.FAINT if accuracy.is_undefined else 'font-weight:600'}"
    return picture.line(
        picture.row_header(short(name, 40), "text-align:left"),
        h("td", f"{records:,}", style=_NUMBER),
        h("td", f"{decided:,}", style=_NUMBER),
        h("td", said, style=style),
        h("td", picture.band(accuracy), style=_BAND),
    )
