"""HTML parts: the frame, tables and words that results make their pictures of.

No script, no request, no id: any viewer shows them, light or dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.html import Html, h, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

FAINT = "opacity:.65"
#: The header of the column that says why a step ran.
WHY = "why it ran"

_FRAME = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;"
    "line-height:1.45;border:1px solid rgba(128,128,128,.35);border-radius:8px;"
    "padding:12px 16px;margin:4px 0;max-width:980px;overflow-x:auto"
)
_TABLE = "border-collapse:collapse;border:0;margin:0;color:inherit;font-size:inherit"
#: Columns whose cells are broken into lines: messages and reasons.
_WRAPPED = frozenset({"message", "text", WHY, ""})


def framed(*parts: str | Html) -> Html:
    """Parts in the frame that is around every static picture.

    MathJax, which JupyterLab and nbconvert run over outputs, leaves it alone: it would
    set what stands between two amounts in dollars as a formula.
    """
    return h("div", *parts, class_="tex2jax_ignore mathjax_ignore", style=_FRAME)


def static_beside(widget: str, picture: str) -> str:
    """A static picture, marked for the live widget of this name, which hides it."""
    shown = Html(picture)
    return str(h("div", shown, class_="nbflow-static", data_nbflow=widget))


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Html]],
    *,
    right: Collection[int] = (),
) -> Html:
    """A table; ``right``: the places of the columns that are aligned to the right."""
    styles = [
        _cell_style("right" if place in right else "left")
        for place in range(len(headers))
    ]
    head = [
        h("th", header, style=f"{style};{FAINT};font-weight:400")
        for header, style in zip(headers, styles, strict=True)
    ]
    body = [h("tr", *_row(headers, styles, row)) for row in rows]
    return h(
        "table",
        h("thead", h("tr", *head)),
        h("tbody", *body),
        style=_TABLE,
    )


def _row(
    headers: Sequence[str],
    styles: Sequence[str],
    row: Sequence[str | Html],
) -> Iterable[Html]:
    for header, style, cell in zip(headers, styles, row, strict=True):
        breaks = "normal" if header in _WRAPPED else "nowrap"
        yield h("td", cell, style=f"{style};white-space:{breaks}")


def _cell_style(side: str) -> str:
    return (
        f"padding:2px 14px 2px 0;text-align:{side};border:0;"
        "vertical-align:top;background:transparent"
    )


def with_code(text: str) -> Html:
    """A text in which names stand between backticks, those as code."""
    parts: list[str | Html] = []
    is_code = False
    for part in text.split("`"):
        parts.append(h("code", part) if is_code else part)
        is_code = not is_code
    return joined(*parts)
