"""NoticePage: a notice as a mail, in markup that mail clients know.

Tables and styles on each element: many clients take no style sheet, no flexible boxes and
no ``color-mix``. The page is light and says so, since a client that turns colours around
does it to all of them or to none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.html import Html, h, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The colour at the edge of a notice, and of its title.
_COLOURS = {
    "success": "#1a7f37",
    "info": "#1f6feb",
    "warning": "#9a6700",
    "failure": "#c62828",
}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_CODE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"
_DIM = "color:#57606a"


def page(
    title: str,
    said: str,
    causes: Sequence[tuple[str, str]],
    facts: Mapping[str, str],
    level: str,
) -> str:
    """The notice as a whole document; every text in it is escaped."""
    parts = [
        h(
            "div",
            title,
            style=_style(f"font-size:18px;font-weight:600;color:{_COLOURS[level]}"),
        ),
        h("div", said, style=_style("margin-top:8px;overflow-wrap:anywhere")),
        _causes(causes),
        _facts(facts),
    ]
    body = h(
        "table",
        h(
            "tr",
            h(
                "td",
                *parts,
                style=f"padding:20px 24px;border-left:4px solid {_COLOURS[level]}",
            ),
        ),
        role="presentation",
        style="width:100%;max-width:600px;border-collapse:collapse;background:#ffffff",
    )
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width"),
        h("meta", name="color-scheme", content="light"),
        h("title", title),
    )
    whole = h(
        "html", head, h("body", body, style="margin:0;padding:12px;background:#f6f8fa")
    )
    return f"<!doctype html>{whole}"


def _style(more: str) -> str:
    return f"{_FONT};font-size:15px;line-height:1.45;color:#1f2328;{more}"


def _causes(causes: Sequence[tuple[str, str]]) -> Html:
    if not causes:
        return Html()
    head = h(
        "div",
        "Most common causes",
        style=_style(f"margin-top:16px;font-size:13px;{_DIM}"),
    )
    number = "display:inline-block;min-width:44px;font-weight:600"
    rows = [_row(many, what, number, "") for many, what in causes]
    return joined(head, *rows)


def _facts(facts: Mapping[str, str]) -> Html:
    name = f"display:inline-block;min-width:88px;font-size:13px;{_DIM}"
    rows = [_row(f"{key}:", text, name, _CODE) for key, text in facts.items()]
    return h("div", *rows, style="margin-top:16px")


def _row(left: str, right: str, left_style: str, right_style: str) -> Html:
    """A line, and not the row of a table: as text, a mail has both of its parts in one line."""
    return h(
        "div",
        h("span", left, style=left_style),
        " ",
        h("span", right, style=right_style),
        style=_style("padding:2px 0;overflow-wrap:anywhere"),
    )
