"""Parts: a text that is too long for a model, read piece by piece."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Where a text may be divided, the best places first: paragraphs, lines, sentences, words.
_ENDS = tuple(map(re.compile, (r"\n\s*\n", r"\n", r"[.!?][\"')\]]*\s", r"\s")))
#: A part is not cut before this share of its length.
_LEAST = 0.5


class Part(NamedTuple):
    """A piece of a text.

    Attributes:
        start: the place of its first character in the text.
        text: its characters, none left out and none added.
    """

    start: int
    text: str


def divided(text: str, most: int) -> list[Part]:
    """A text in parts of at most ``most`` characters, which together are all of it.

    It is divided between paragraphs where that leaves no part shorter than half of
    that, else between lines, sentences or words, and only then in the midst of a word.
    """
    parts, start = [], 0
    while len(text) - start > most:
        end = _end(text, start, most)
        parts.append(Part(start, text[start:end]))
        start = end
    return [*parts, Part(start, text[start:])]


def beginning(text: str, most: int) -> str:
    """The first part alone."""
    return text[: _end(text, 0, most)] if len(text) > most else text


def _end(text: str, start: int, most: int) -> int:
    least = start + int(most * _LEAST)
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text, least, start + most)]
        if places:
            return places[-1]
    return start + most
