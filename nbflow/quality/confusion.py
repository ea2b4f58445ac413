"""Confusion: how often which label was given for which."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._core.html import Html, h, joined
from nbflow._core.table import short
from nbflow._run.html_parts import framed
from nbflow.quality import picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_DIAGONAL = (
    "outline:1px solid color-mix(in srgb,currentColor 45%,transparent);"
    "outline-offset:-1px;font-weight:600"
)
_COUNT = (
    "min-width:30px;height:26px;padding:0 5px;text-align:center;"
    "border:1px solid color-mix(in srgb,currentColor 10%,transparent)"
)


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often which label was given for which.

    A row for each true label, a column for each that was given.

    Attributes:
        rows: labels down the side.
        columns: labels along the top: those of the rows, then what is outside of them.
        counts: records, row by row.
        axes: what the rows and the columns are.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    axes: tuple[str, str]

    def to_frame(self) -> pd.DataFrame:
        """The counts as a pandas frame, labels as index and columns."""
        import pandas as pd

        return pd.DataFrame(
            self.counts,
            index=pd.Index(self.rows, name=self.axes[0]),
            columns=pd.Index(self.columns, name=self.axes[1]),
        )

    def mixed_up(self) -> list[tuple[str, str, int]]:
        """What is taken for what, and how often: (row, column, records).

        The most frequent first.
        """
        pairs = [
            (row, column, number)
            for row, counts in zip(self.rows, self.counts, strict=True)
            for column, number in zip(self.columns, counts, strict=True)
            if row != column and number
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def __repr__(self) -> str:
        return str(self.to_frame().to_string())

    def _repr_html_(self) -> str:
        return str(framed(matrix(self)))


def confusion(
    rows: Sequence[str],
    columns: Sequence[str],
    labels: tuple[str, ...],
    axes: tuple[str, str],
) -> Confusion:
    """Count how often which label stands for which.

    Args:
        rows: one label for each record.
        columns: another one for each record.
        labels: the taxonomy; what is outside of it stands behind it.
        axes: what ``rows`` and ``columns`` are.
    """
    outside = tuple(sorted(set(columns) - set(labels)))
    shown = (*labels, *outside)
    met = Counter(zip(rows, columns, strict=True))
    counts = [tuple(met[row, column] for column in shown) for row in labels]
    return Confusion(
        rows=labels,
        columns=shown,
        counts=tuple(counts),
        axes=axes,
    )


def matrix(one: Confusion, title: str = "") -> Html:
    """A confusion matrix as a picture.

    The more of a row lies in a cell, the stronger the cell's colour; the diagonal is
    framed.
    """
    outside = range(len(one.rows), len(one.columns))
    rows = _busiest(one)
    columns = [*rows, *outside]
    down, along = one.axes
    label = f"Confusion matrix {title}, rows: {down}, columns: {along}"
    labels = [_column_header(one, column) for column in columns]
    head = [_corner(one), *labels]
    lines = [_line(one, row, columns) for row in rows]
    return picture.scrolled(
        label,
        h("div", title, style="font-weight:600"),
        picture.table(head, lines, ";font-size:12px"),
        _remarks(one, len(rows)),
        style="max-width:100%",
    )


def _busiest(one: Confusion) -> list[int]:
    """The rows to show, in their order: those of the most frequent labels."""
    places = range(len(one.rows))
    busiest = sorted(places, key=lambda place: -sum(one.counts[place]))
    return sorted(busiest[: picture.LABELS])


def _corner(one: Confusion) -> Html:
    style = (
        f"{picture.CELL};vertical-align:bottom;text-align:right;"
        f"font-weight:400;{picture.FAINT}"
    )
    said = f"{one.axes[0]} \u2193  {one.axes[1]} \u2192"
    return h("th", said, scope="col", style=style)


def _column_header(one: Confusion, column: int) -> Html:
    """A label that is read from the bottom up, in italics if it is outside the rows."""
    longest = max(len(label) for label in one.columns)
    height = 14 + 6 * min(30, longest)
    style = (
        f"{picture.CELL};padding:2px;height:{height}px;"
        "vertical-align:bottom;text-align:center;font-weight:400"
    )
    turned = "writing-mode:vertical-rl;transform:rotate(180deg);"
    if column >= len(one.rows):
        turned += "font-style:italic"
    label = h("span", short(one.columns[column], 30), style=turned)
    return h("th", label, scope="col", style=style)


def _line(one: Confusion, row: int, columns: Sequence[int]) -> Html:
    name = one.rows[row]
    total = sum(one.counts[row]) or 1
    style = "padding:2px 8px 2px 0;text-align:right"
    cells = [picture.row_header(short(name, 30), style)]
    for column in columns:
        given = one.columns[column]
        number = one.counts[row][column]
        said = f"{name} as {given}: {number:,}"
        is_right = name == given
        cells.append(_count(number, number / total, said, is_right=is_right))
    return picture.line(*cells)


def _count(number: int, share: float, said: str, *, is_right: bool) -> Html:
    background = "background:transparent"
    # The root lifts small shares: three of two hundred are to be seen.
    strength = round(52 * share**0.5)
    if strength:
        colour = picture.RIGHT if is_right else picture.WRONG
        tint = f"color-mix(in srgb,{colour} {strength}%,transparent)"
        background = f"background:{tint}"
    edge = _DIAGONAL if is_right else ""
    shown = f"{number:,}" if number else h("span", "\u00b7", style="opacity:.75")
    return h("td", shown, title=said, style=f"{_COUNT};{background};{edge}")


def _remarks(one: Confusion, shown: int) -> Html:
    remarks = []
    if shown < len(one.rows):
        remarks.append(
            f"The {shown} most frequent of {len(one.rows)} labels; "
            "all: .confusion.to_frame()"
        )
    if len(one.columns) > len(one.rows):
        remarks.append("In italics: outside the labels.")
    faint = [h("div", remark, style=picture.FAINT) for remark in remarks]
    return joined(*faint)
