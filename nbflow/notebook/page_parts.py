"""Page parts: what pages for readers without a notebook are made of.

A page is one text: no script, no request, no file beside it. Each element has its style
in itself, as mail programs keep only that; the few rules in the head are for readers
who prefer dark pages, and for small screens. Without any style it reads from the top
down, and every bar has its number beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.html import Html, h, joined
from nbflow._core.lifecycle import State
from nbflow._core.looks import LOOKS
from nbflow._core.visible import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTHING = Html()
#: Colours of a light page: each with the class that changes it on a dark one.
_LIGHT = {
    "nbp-page": "background-color:#eef0f3;color:#1c1f23",
    "nbp-card": "background-color:#ffffff;color:#1c1f23",
    "nbp-faint": "color:#57606a",
    "nbp-line": "border-color:#d8dde3",
    "nbp-none": "background-color:#e3e7ec",
    "nbp-bar": "background-color:#3b78d8",
    "nbp-link": "color:#0550ae",
    "nbp-box": "background-color:#f5f7f9",
}
_DARK = {
    "nbp-page": "background-color:#0d0f12;color:#e6e8eb",
    "nbp-card": "background-color:#16181c;color:#e6e8eb",
    "nbp-faint": "color:#a7b0ba",
    "nbp-line": "border-color:#343a42",
    "nbp-none": "background-color:#2c3138",
    "nbp-bar": "background-color:#5b95f0",
    "nbp-link": "color:#79bbff",
    "nbp-box": "background-color:#1d2026",
}
#: The share of a bar that is drawn at least: what is smaller comes of rounding.
_LEAST = 1e-6
#: Of parts of a bar; light enough for dark pages, dark enough for light ones.
GREEN, RED, ORANGE = (
    LOOKS[state].colour for state in (State.COMPLETED, State.FAILED, State.INTERRUPTED)
)
_FONT = (
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
)
_TOP_LINE = "border-top-width:1px;border-top-style:solid"
_TEXT_CELL = "padding:6px 14px 6px 0;text-align:left;vertical-align:top"
_NUMBER_CELL = (
    "padding:6px 0 6px 14px;text-align:right;vertical-align:top;white-space:nowrap;"
    "font-variant-numeric:tabular-nums"
)
_HEAD_CELL = "font-weight:400;font-size:13px;vertical-align:bottom"
_TABLE = "width:100%;border-collapse:collapse;border-spacing:0"


def _rules() -> str:
    dark = "".join(
        f".{name}{{{style.replace(';', '!important;')}!important}}"
        for name, style in _DARK.items()
    )
    small = ".nbp-card{padding:18px 16px!important;border-radius:0!important;margin:0!important}"
    return (
        f"@media (prefers-color-scheme:dark){{{dark}}}"
        f"@media (max-width:520px){{{small}}}"
        "@media print{.nbp-page{background-color:#fff!important}}"
        "summary{cursor:pointer}"
    )


def document(title: str, *parts: str | Html) -> str:
    """Return a page that holds these parts."""
    style = Html(f"<style>{_rules()}</style>")  # of constants alone
    whole = h(
        "html",
        h(
            "head",
            h("meta", charset="utf-8"),
            h("meta", name="viewport", content="width=device-width, initial-scale=1"),
            h("meta", name="color-scheme", content="light dark"),
            h("meta", name="referrer", content="no-referrer"),
            h("title", title),
            style,
        ),
        h(
            "body",
            h(
                "main",
                *parts,
                class_="nbp-card",
                style=f"{_LIGHT['nbp-card']};max-width:720px;margin:24px auto;padding:28px 36px 32px;"
                "border-radius:12px;box-sizing:border-box;overflow-wrap:anywhere",
            ),
            class_="nbp-page",
            style=f"margin:0;padding:0;{_LIGHT['nbp-page']};{_FONT};font-size:15px;line-height:1.5",
        ),
        lang="en",
    )
    return encodable(f"<!doctype html>\n{whole}\n")


def themed(
    tag: str, name: str, *parts: str | Html, style: str = "", **more: str | bool
) -> Html:
    """Return an element in a colour that changes with the theme; ``name``: ``faint``, ``line``, ..."""
    name = f"nbp-{name}"
    return h(
        tag, *parts, class_=name, style=f"{_LIGHT[name]};{style}".rstrip(";"), **more
    )


def heading(text: str) -> Html:
    """Return the heading of a section."""
    style = f"{_TOP_LINE};margin:28px 0 10px;padding-top:20px;font-size:18px"
    return themed("h2", "line", text, style=style)


def faint(*parts: str | Html, style: str = "margin:4px 0") -> Html:
    """Return a paragraph that stands back."""
    return themed("p", "faint", *parts, style=f"font-size:13px;{style}")


def link(
    text: str, address: str, *, style: str = "", download: str | bool = False
) -> Html:
    """Return a link; ``download``: what it leads to is a file, of this name if there is one."""
    more = {"href": address, "download": download}
    return themed("a", "link", text, style=style, **more)


def folded(summary: str, *parts: str | Html) -> Html:
    """Return parts that a click opens."""
    style = "padding:10px 14px;border-radius:8px;margin:6px 0 0;font-size:13px"
    return h(
        "details",
        themed("summary", "faint", summary, style="font-size:13px"),
        themed("div", "box", *parts, style=style),
        style="margin:6px 0",
    )


def bar(pieces: Iterable[tuple[float, str]], height: int = 8) -> Html:
    """Return a bar: the share of each piece, and its colour; empty: that of a category.

    A table, as the mail programs that know no other widths know those of cells. It says
    nothing that is not beside it as a number.
    """
    shown = [(share, colour) for share, colour in pieces if share > 0]
    rest = 1 - sum(share for share, _ in shown)
    if rest > _LEAST:
        shown.append((rest, "none"))
    return h(
        "table",
        h("tbody", h("tr", *(_piece(*each, height) for each in shown))),
        role="presentation",
        aria_hidden="true",
        style=f"{_TABLE};table-layout:fixed;border-radius:{height // 2}px;overflow:hidden;margin:4px 0",
    )


def _piece(share: float, colour: str, height: int) -> Html:
    size = f"width:{100 * share:.2f}%;height:{height}px;padding:0;font-size:0;line-height:0"
    if colour in ("none", ""):
        return themed("td", colour or "bar", style=size)
    return h("td", style=f"background-color:{colour};{size}")


def swatch(colour: str) -> Html:
    """Return the square that says which piece of a bar a word belongs to."""
    return h(
        "span",
        aria_hidden="true",
        style=f"display:inline-block;width:10px;height:10px;border-radius:3px;background-color:{colour};margin-right:6px",
    )


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str | Html]], *, texts: int = 1
) -> Html:
    """Return a table: texts in its first columns, numbers in the others."""
    styles = [
        _TEXT_CELL if place < texts else _NUMBER_CELL for place in range(len(headers))
    ]
    if texts == 1:
        styles[0] += ";width:100%"
    head = [
        themed("th", "faint", name, scope="col", style=f"{style};{_HEAD_CELL}")
        for name, style in zip(headers, styles, strict=True)
    ]
    body = [
        h(
            "tr",
            *(
                themed("td", "line", cell, style=f"{style};{_TOP_LINE}")
                for cell, style in zip(row, styles, strict=True)
            ),
        )
        for row in rows
    ]
    return h("table", h("thead", h("tr", *head)), h("tbody", *body), style=_TABLE)


def share(part: int, whole: int) -> str:
    """Return a share with its unit; what is more than nothing is never 0 %."""
    if not whole:
        return "\u2013"
    percent = 100 * part / whole
    if 0 < percent < 0.1:  # noqa: PLR2004  # what rounds to 0.0
        return "<0.1 %"
    if percent > 99.9 and part < whole:  # noqa: PLR2004  # what rounds to 100
        return ">99.9 %"
    return f"{percent:.1f} %" if percent % 1 else f"{percent:.0f} %"


def lines(*parts: str | Html) -> Html:
    """Return parts, each in a line of its own."""
    return joined(*(h("div", part) for part in parts))
