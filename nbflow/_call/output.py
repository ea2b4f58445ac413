"""Output: what one attempt of a call prints and logs, as much of it as is kept."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from typing import TYPE_CHECKING

from nbflow._core.visible import readable
from nbflow._key import fork, secret_patterns
from nbflow._key.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._core.entry import Parts

    #: A stream and what was written to it.
    Part = tuple[str, str]

#: Characters that are kept of an attempt: so many from its beginning, and from its end.
HALF = 5_000
#: Characters that a run keeps: of the attempts whose values are saved, and of the others.
MOST = 64_000_000
#: Characters of an unfinished line that wait for its end.
_LONGEST_LINE = 2_000
#: Characters at a cut in which a line is looked for that ends there.
_EDGE = 500
#: Colours and movements of a terminal.
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_HIDDEN = "***"
#: What stands for a stream where something is left out.
CUT = "cut"

#: Reentrant: a signal may print in the midst of it.
_MUTEX = fork.freed(threading.RLock())


class Output:
    """What one attempt prints and logs.

    Args:
        label: what its lines begin with on the screen; empty where nobody could mistake
            whose they are.
    """

    __slots__ = ("_first", "_last", "_left", "_line", "_saved", "_size", "label")

    def __init__(self, label: str = "") -> None:
        self.label = label
        self._first: list[Part] = []
        self._last: deque[Part] = deque()
        #: Characters that the beginning has room for; of all; of those in `_last`.
        self._left = HALF
        self._size = self._saved = 0
        #: By stream: what waits for the end of its line.
        self._line: dict[str, str] = {}

    def take(self, stream: str, text: str) -> None:
        """Take down what was written; safe from any thread."""
        with _MUTEX:
            self._size += len(text)
            first, rest = text[: self._left], text[self._left :]
            if first:
                self._first.append((stream, first))
                self._left -= len(first)
            if rest:
                self._take_last(stream, rest[-HALF:])

    def _take_last(self, stream: str, text: str) -> None:
        self._last.append((stream, text))
        self._saved += len(text)
        while self._saved - len(self._last[0][1]) >= HALF:
            self._saved -= len(self._last.popleft()[1])

    def whole_lines(self, stream: str, text: str) -> str:
        """Return what can be shown by now: other calls write to the stream in between."""
        with _MUTEX:
            text = self._line.pop(stream, "") + text
            whole, end, rest = text.rpartition("\n")
            if len(rest) > _LONGEST_LINE:
                return text
            if rest:
                self._line[stream] = rest
            return whole + end

    def rest_of(self, stream: str) -> str:
        """Return the line that is not finished, which shall be shown now."""
        with _MUTEX:
            return self._line.pop(stream, "")

    def kept(self) -> Parts:
        """Return what is kept: without secrets, and without what controls a terminal."""
        with _MUTEX:
            first, last = list(self._first), list(self._last)
            cut = self._size - HALF - self._saved if last else 0
        excess = self._saved - HALF
        if excess > 0:
            stream, text = last[0]
            last[0] = stream, text[excess:]
            cut += excess
        if cut <= 0:
            return tuple(_merged([*first, *last]))
        said = f"... about {cut:,} characters are not kept ...\n"
        return (
            *_without_end(_merged(first)),
            (CUT, said),
            *_without_begin(_merged(last)),
        )


class Room:
    """What a run keeps of what its calls print, over all its records.

    Args:
        say: is told once that there is no more room.
        most: characters, of calls whose values are saved and as many of others.
    """

    def __init__(self, say: Callable[[str], None], most: int = MOST) -> None:
        self._say = say
        self._most = most
        self._left = {True: most, False: most}

    def close(self) -> None:
        """Keep nothing: what is printed of records that nobody keeps may quote them."""
        self._left = {True: -1, False: -1}

    def admits(self, parts: Parts, *, is_saved: bool) -> bool:
        """Return whether there is room for these parts, and take it."""
        size = sum(len(text) for _, text in parts)
        with _MUTEX:
            before = self._left[is_saved]
            if size <= before:
                self._left[is_saved] = before - size
                return True
            self._left[is_saved] = -1
        if before >= 0:
            self._say(_full(self._most, is_saved=is_saved))
        return False


def _full(most: int, *, is_saved: bool) -> str:
    whose = "calls" if is_saved else "failed attempts"
    return (
        f"The {whose} of this run have printed more than {most:,} characters: what they"
        " print from here on is shown, and not kept."
    )


def _merged(parts: Iterable[Part]) -> list[Part]:
    """Neighbours of one stream as one part, cleaned; without the empty ones."""
    groups = itertools.groupby(parts, key=lambda part: part[0])
    found = [
        (stream, _clean("".join(text for _, text in group))) for stream, group in groups
    ]
    return [part for part in found if part[1]]


def _clean(text: str) -> str:
    """A text without secrets, as a terminal would show it in the end."""
    if "\x1b" in text:
        text = _CONTROL.sub("", text)
    if "\r" in text:  # as progress bars write over their line
        lines = text.split("\n")
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return readable(secret_patterns.without(KNOWN.mask(text), _HIDDEN))


# At a cut: half a secret is not recognised, so what may be one goes, with its line.


def _without_end(parts: list[Part]) -> list[Part]:
    """Parts of which the last one was cut at its end."""
    if not parts:
        return parts
    *others, (stream, text) = parts
    text = text[: len(text) - KNOWN.longest]
    end = text.rfind("\n", max(0, len(text) - _EDGE))
    return [*others, (stream, text[: end + 1] if end >= 0 else f"{text}\n")]


def _without_begin(parts: list[Part]) -> list[Part]:
    """Parts of which the first one was cut at its beginning."""
    if not parts:
        return parts
    (stream, text), *others = parts
    text = text[KNOWN.longest :]
    return [(stream, text[text.find("\n", 0, _EDGE) + 1 :]), *others]
