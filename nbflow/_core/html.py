"""HTML: elements that escape the text they hold, so that no text can become markup."""

from __future__ import annotations

import html
from dataclasses import dataclass

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
# A browser reads their content as it is: escaping would not protect it.
_RAW = frozenset({"script", "style"})


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup, to be shown as it is.

    Not a ``str``, so that a type checker keeps the two apart: text does not pass for
    markup, and markup that is formatted into text is escaped like any other text.
    Write ``Html("<!-- fixed -->")`` for fixed markup only, never for a value.
    """

    markup: str = ""

    def __str__(self) -> str:
        return self.markup


def h(tag: str, *children: str | Html, **attributes: str | bool) -> Html:
    """One element: ``h("td", name, style="color:red")``.

    Args:
        tag: the name of the element.
        children: what it holds. Text is escaped, `Html` is not.
        attributes: their values, escaped. ``True`` writes the bare name, ``False``
            leaves it out. ``aria_label`` stands for ``aria-label``, ``class_`` for
            ``class``.

    Raises:
        ValueError: a script or a style sheet, whose content cannot be escaped.
    """
    if tag in _RAW:
        raise ValueError(f"<{tag}> cannot hold escaped text")
    start = tag
    for name, value in attributes.items():
        start += _attribute(name, value)
    if tag in _VOID:
        return Html(f"<{start}>")
    return Html(f"<{start}>{joined(*children)}</{tag}>")


def joined(*children: str | Html) -> Html:
    """Several texts and elements, one after the other, without an element around them."""
    return Html("".join(map(_escaped, children)))


def _escaped(child: str | Html) -> str:
    return child.markup if isinstance(child, Html) else html.escape(child)


def _attribute(name: str, value: str | bool) -> str:  # noqa: FBT001  # as in HTML, where an attribute may have no value
    shown = name.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {shown}" if value else ""
    return f' {shown}="{html.escape(value)}"'
