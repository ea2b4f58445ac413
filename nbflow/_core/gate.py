"""Gate: what has to hold of a run's labels, as it is written: ``accuracy>=0.9``.

The grammar::

    gate   = [column ":"] rule
    rule   = "accuracy" ["(" column ")"] (">=" | ">") number
           | "flips" ("<=" | "<") number ["since" base]
           | "share" "(" label ")" ("<=" | ">=" | "<" | ">") number
           | "share" "(" label ")" "within" number "of" base
           | "unknown" ("<=" | "<") number
           | ("shares" | "model") "unchanged" ["since" base]
    number = a share, such as 0.05 or 5%
    base   = "last" | "accepted" | the id of a run
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The last run that met its gates, or that somebody accepted; the last of the latter.
LAST, ACCEPTED = "last", "accepted"
_COMPARED = {
    "<=": float.__le__,
    ">=": float.__ge__,
    "<": float.__lt__,
    ">": float.__gt__,
    "within": float.__le__,
}
_NUMBER = r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:\s*%)?)"
_BOUND = rf"\s*(?P<sign><=|>=|<|>|\u2264|\u2265)\s*{_NUMBER}"
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
#: Signs that ask for something of a figure that only has to be high, or low; and why.
_SIGNS = {
    "accuracy": (">=", ">", "labels have to be right at least so often"),
    "flips": ("<=", "<", "at most so many records may be labelled otherwise"),
    "unknown": ("<=", "<", "at most so many records may fit no label"),
}
#: What no share is.
_NEVER = (("<", 0.0), (">", 1.0))
#: Signs as mathematicians write them.
_WRITTEN = {"\u2264": "<=", "\u2265": ">="}
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
        base: the run that it is compared with: ``"last"``, ``"accepted"`` or an id.
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
    sign = parts["sign"]
    return _sensible(
        Gate(
            text=text.strip(),
            figure=parts["figure"],
            of=(parts.get("of") or "").strip(),
            sign=_WRITTEN.get(sign, sign),
            limit=_share(parts.get("number") or "0", text),
            base=parts.get("base") or LAST,
            column=parts["column"],
        ),
        sign,
    )


def gates(texts: Iterable[str]) -> tuple[Gate, ...]:
    """Read gates, each once.

    Raises:
        UsageError: one of them cannot be read.
    """
    return tuple(dict.fromkeys(map(gate, texts)))


def _sensible(gate: Gate, written: str) -> Gate:
    """A gate that holds where labels are good, and fails where they are not.

    Args:
        gate: which one.
        written: its sign, as it is written.

    Raises:
        UsageError: it is the other way round, or nothing can meet it.
    """
    right, strict, why = _SIGNS.get(gate.figure, (gate.sign, gate.sign, ""))
    if gate.sign not in (right, strict):
        start, _, end = gate.text.rpartition(written)
        raise UsageError(
            f"--gate {gate.text!r} would hold where labels are bad: {why}. Write "
            f'"{start}{right}{end}".'
        )
    if (gate.sign, gate.limit) in _NEVER:
        raise UsageError(
            f"--gate {gate.text!r} can never be met: a share is between 0 and 1. Write "
            f'"{gate.sign}=" for what may be as much as that.'
        )
    return gate


def _share(number: str, text: str) -> float:
    amount = float(number.removesuffix("%"))
    value = amount / 100 if number.endswith("%") else amount
    if value <= 1:
        return value
    meant = f" Did you mean {amount / 100:g}?" if 1 < amount <= 100 else ""  # noqa: PLR2004  # per cent
    raise UsageError(
        f"--gate {text!r}: {number} is no share; write a number between 0 and 1, such "
        f"as 0.9, or 90%.{meant}"
    )


def _hint(text: str) -> str:
    """Which figure may have been meant."""
    word = re.sub(r"^.*?:", "", text).strip()
    name = re.split(r"[^a-z]", word.lower(), maxsplit=1)[0]
    close = get_close_matches(name, _FIGURES, n=1)
    return f" Did you mean {close[0]!r}?" if close and name not in _FIGURES else ""
