"""Printout: what a call printed and logged, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._run.wall_time import wall_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.entry import Parts, Printed
    from nbflow._store.checkpoint import Checkpoint


class Printout(NamedTuple):
    """What one attempt printed and logged.

    Attributes:
        attempt: its number.
        since: of a call that was remembered, when it ran; `None` of one that ran now.
        parts: each with its stream (``stdout``, ``stderr``; ``log``; ``cut`` where
            something is left out) and its text.
    """

    attempt: int
    since: float | None
    parts: Parts

    @property
    def text(self) -> str:
        """All of it, in order."""
        return "".join(text for _, text in self.parts)

    @property
    def head(self) -> str:
        """When it was printed."""
        if self.since is None:
            return f"attempt {self.attempt}"
        return f"when it ran, {wall_time(self.since)}; a remembered call does not print again"


def printouts(
    noted: Sequence[Printed],
    saved: Checkpoint | None,
    attempt: int,
    *,
    is_cached: bool,
) -> list[Printout]:
    """What a call printed: what the ledger has of its attempts, and the checkpoint of the last one.

    Args:
        noted: of the ledger.
        saved: the checkpoint.
        attempt: the number of the attempt that made it.
        is_cached: whether the call was remembered.
    """
    found = [Printout(one.attempt, None, one.parts) for one in noted]
    # A value that is in memory only may be saved later, with what the ledger has by now.
    is_noted = not is_cached and any(one.attempt == attempt for one in noted)
    if saved is not None and saved.printed and not is_noted:
        since = saved.saved_at if is_cached else None
        found.append(Printout(attempt, since, saved.printed))
    return found


def said_of(found: Sequence[Printout]) -> str:
    """Printouts as a text: without a head where there is nothing to tell apart."""
    if len(found) == 1 and found[0].attempt == 1 and found[0].since is None:
        return found[0].text
    return "".join(f"[{one.head}]\n{_ended(one.text)}" for one in found)


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
