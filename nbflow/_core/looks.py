"""Looks: the one word, sign and colour of each state, wherever it is shown.

Pages draw the sign as an icon, as a letter looks different in every font, in a colour that
they mix with that of the text around: the same for light pages and for dark ones.
"""

from __future__ import annotations

from typing import NamedTuple

from nbflow._core.lifecycle import Reuse, Shown, State
from nbflow._core.table import WORDS


class Look(NamedTuple):
    """How a state looks. The sign tells it from others without the colours.

    Attributes:
        word: what it is called.
        brief: the same in a narrow column.
        mark: its sign, one character.
        icon: the same sign as a page draws it; the shapes are in ``page/dom.js``.
        ansi: its colour in a terminal, by rich's name.
        colour: its colour in a page, at its strongest.
    """

    word: str
    brief: str
    mark: str
    icon: str
    ansi: str
    colour: str

    @property
    def sign(self) -> str:
        """Sign and word."""
        return f"{self.mark} {self.word}"

    @property
    def brief_sign(self) -> str:
        """Sign and word for a narrow column."""
        return f"{self.mark} {self.brief}"

    @property
    def text_colour(self) -> str:
        """The colour of text, which can be read on light pages and on dark ones."""
        return f"color-mix(in srgb,{self.colour} {SHARE}%,currentColor)"


#: How much of the colour of a state is in that of its text, in percent.
SHARE = 58

_SIGNS: dict[Shown, tuple[str, str, str, str]] = {
    State.QUEUED: ("\u25cb", "ring", "bright_black", "#868e96"),
    State.RUNNING: ("\u25d4", "arc", "blue", "#3b82f6"),
    State.RETRYING: ("\u21bb", "again", "yellow", "#d29922"),
    State.WAITING: ("\u2016", "pause", "blue", "#3b82f6"),
    State.COMPLETED: ("\u2713", "check", "green", "#2da44e"),
    State.CACHED: ("\u21af", "bolt", "cyan", "#1b9aaa"),
    Reuse.SAME: ("\u2261", "same", "cyan", "#1b9aaa"),
    State.FAILED: ("\u2717", "cross", "red", "#e5484d"),
    State.TIMED_OUT: ("\u25f7", "clock", "red", "#d6467f"),
    State.CANCELLED: ("\u2298", "slash", "magenta", "#9b7fc4"),
    State.INTERRUPTED: ("\u26a0", "warn", "yellow", "#d9822b"),
}
#: A word of a moment, which the picture of a run has no column for.
_PASSING: dict[Shown, str] = {State.RETRYING: "retrying"}
_WORDS = WORDS | _PASSING
_BRIEF: dict[Shown, str] = {State.CACHED: "earlier run", Reuse.SAME: "same"}
#: Of a record, and of its calls.
LOOKS: dict[Shown, Look] = {
    shown: Look(_WORDS[shown], _BRIEF.get(shown, _WORDS[shown]), *signs)
    for shown, signs in _SIGNS.items()
}
#: Of a run, by its name, in the order in which a history has them as filters.
RUN_LOOKS = {
    "RUNNING": LOOKS[State.RUNNING],
    "WAITING": LOOKS[State.WAITING],
    "PARTIAL": Look("partial", "partial", "\u25d1", "half", "yellow", "#d29922"),
    "FAILED": LOOKS[State.FAILED],
    "CANCELLED": LOOKS[State.CANCELLED],
    "INTERRUPTED": LOOKS[State.INTERRUPTED],
    "COMPLETED": LOOKS[State.COMPLETED],
}


_WORD_OF = {str(shown): look.word for shown, look in LOOKS.items()} | {
    name: look.word for name, look in RUN_LOOKS.items()
}


def word_of(state: str) -> str:
    """The word of a state that is known by its name; what is none stays what it is."""
    return _WORD_OF.get(state, state)
