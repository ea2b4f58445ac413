"""Spreadsheet: cells that a spreadsheet shows and does not calculate."""

from __future__ import annotations

import re

#: The characters that begin a formula, the full-width ones of East Asia included.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
#: What begins a cell within a text, to a spreadsheet whose separator is not the comma:
#: the quotes around the text do not hold there either.
_INNER = re.compile(rf"(?<=.)([;\t\r\n]\s*)(?=[{re.escape(_FORMULA)}])", re.DOTALL)


def harmless(text: str) -> str:
    """Return a cell that a spreadsheet shows and does not calculate.

    What could begin a formula gets an apostrophe before it.
    """
    text = _INNER.sub(r"\1'", text)
    begins = text.lstrip().startswith(tuple(_FORMULA))
    return f"'{text}" if begins or text.startswith(("\t", "\r", "\n")) else text
