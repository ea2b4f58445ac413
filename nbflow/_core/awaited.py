"""Awaited: what records wait for, in words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from nbflow._core.lifecycle import State
from nbflow._core.waiting import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._core.entry import Answered, Awaits


def said_of(waits: Iterable[Awaits]) -> str:
    """What records wait for, in words: the most frequent first, the next time last."""
    counts: dict[str, int] = {}
    times = []
    for one in waits:
        what = _WORDS[one.kind].format(what=one.what)
        counts[what] = counts.get(what, 0) + 1
        if one.until is not None:
            times.append(one.until)
    said = "; ".join(_parts(counts))
    if not times:
        return said
    first = "the first " if sum(counts.values()) > 1 else ""
    return f"{said}, {first}until {clock_time(min(times))}"


_WORDS: Mapping[str, str] = {
    Kind.SLEEP: "asleep",
    Kind.EVENT: "for {what}",
    Kind.ANSWER: "for an answer",
}
#: The number of things that are named.
_NAMED = 3


def _parts(counts: Mapping[str, int]) -> list[str]:
    if len(counts) == 1:
        return list(counts)
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    parts = [f"{number:,} {what}" for what, number in ordered[:_NAMED]]
    rest = sum(number for _, number in ordered[_NAMED:])
    return [*parts, f"{rest:,} for something else"] if rest else parts


def what_of(one: Awaits, answered: Answered | None, state: State) -> str:
    """What one record waits for, or who answered it, in words."""
    if state is not State.WAITING:
        return "" if answered is None else f"answered by {answered.by}"
    if one.kind == Kind.SLEEP:
        said = "asleep"
    elif one.kind == Kind.EVENT:
        said = f"waits for {one.what}"
    else:
        said = f"asks: {one.what}"
    return said if one.until is None else f"{said} until {clock_time(one.until)}"


def clock_time(at: float) -> str:
    """A time as the reader's own clock shows it."""
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"  # noqa: DTZ006  # the reader's own clock
