"""Gate: what has to hold of a run's labels, as it is written: ``accuracy>=0.9``.

The grammar::

    gate   = [column ":"] rule
    rule   = "accuracy" ["(" column ")"] bound
           | "flips" bound ["since" base]
           | "share" "(" label ")" bound
           | "share" "(" label ")" "within" number "of" base
           | "unknown" bound
           | ("shares" | "model") "unchanged" ["since" base]
    bound  = ("<=" | ">=" | "<" | ">") number
    number = a share, such as 0.05 or 5%
    base   = "last" | the id of a run
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The run before this one.
LAST = "last"
_COMPARED = {
    "<=": float.__le__,
    ">=": float.__ge__,
    "<": float.__lt__,
    ">": float.__gt__,
    "within": float.__le__,
}
_NUMBER = r"(?P<number>\d+(?:\.\d*)?%?|\.\d+%?)"
_BOUND = rf"\s*(?P<sign><=|>=|<|>)\s*{_NUMBER}"
_SINCE = r"(?:\s+since\s+(?P<base>\S+))?"
_LABEL = r"(?P<figure>share)\s*\((?P<of>.+)\)"
_RULES = tuple(
    re.compile(rf"(?:(?P<column>[^\s:()<>]+)\s*:)?\s*{rule}")
    for rule in (
        rf"(?P<figure>accuracy)(?:\s*\((?P<of>.+)\))?{_BOUND}",
        rf"(?P<figure>flips){_BOUND}{_SINCE}",
        rf"{_LABEL}{_BOUND}",
        rf"{_LABEL}\s*(?P<sign>within)\s+{_NUMBER}\s+of\s+(?P<base>\S+)",
        rf"(?P<figure>unknown){_BOUND}",
        rf"(?P<figure>shares|model)\s+(?P<sign>unchanged){_SINCE}",
    )
)
_FIGURES = ("accuracy", "flips", "share", "unknown", "shares", "model")
_EXAMPLES = (
    '"accuracy>=0.9", "flips<=0.05", "share(billing)>=0.1", '
    '"share(billing) within 0.1 of last", "unknown<=0.02", "shares unchanged", '
    '"model unchanged"'
)
#: Digits of a share that count: the rest is the rounding of floats.
_DIGITS = 9


class Gate(NamedTuple):
    """One gate.

    Attributes:
        text: as it is written.
        figure: what it is about: ``"accuracy"``, ``"flips"``, ``"share"``,
            ``"unknown"``, ``"shares"`` or ``"model"``.
        of: the label of a share; the column that has the truth of an accuracy.
        sign: ``"<="``, ``">="``, ``"<"``, ``">"``, ``"within"`` or ``"unchanged"``.
        limit: the share that the figure is compared with.
        base: the run that it is compared with: ``"last"``, or an id.
        column: the column of the labels, if it names one.
    """

    text: str
    figure: str
    of: str
    sign: str
    limit: float
    base: str
    column: str | None

    def holds(self, value: float) -> bool:
        """Whether a figure is on the right side of the limit."""
        one, limit = round(float(value), _DIGITS), round(self.limit, _DIGITS)
        return _COMPARED[self.sign](one, limit)


def gate(text: str) -> Gate:
    """Read a gate.

    Raises:
        UsageError: it is none; the message says what one looks like.
    """
    found = next(filter(None, (rule.fullmatch(text.strip()) for rule in _RULES)), None)
    if found is None:
        raise UsageError(
            f"--gate {text!r} cannot be read.{_hint(text)} A gate is one of "
            f"{_EXAMPLES}. A column of the results may stand before it: "
            '"triage.label: flips<=0.05". Quote it: a shell takes > and < for files.'
        )
    parts = found.groupdict()
    return Gate(
        text=text.strip(),
        figure=parts["figure"],
        of=(parts.get("of") or "").strip(),
        sign=parts["sign"],
        limit=_share(parts.get("number") or "0", text),
        base=parts.get("base") or LAST,
        column=parts["column"],
    )


def gates(texts: Iterable[str]) -> tuple[Gate, ...]:
    """Read gates, each once.

    Raises:
        UsageError: one of them cannot be read.
    """
    return tuple(dict.fromkeys(map(gate, texts)))


def _share(number: str, text: str) -> float:
    value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    if value <= 1:
        return value
    raise UsageError(
        f"--gate {text!r}: {number} is no share; write a number between 0 and 1, such "
        "as 0.9, or 90%."
    )


def _hint(text: str) -> str:
    """Which figure may have been meant."""
    word = re.sub(r"^.*?:", "", text).strip()
    name = re.split(r"[^a-z]", word.lower(), maxsplit=1)[0]
    close = get_close_matches(name, _FIGURES, n=1)
    return f" Did you mean {close[0]!r}?" if close and name not in _FIGURES else ""
