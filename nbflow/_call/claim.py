"""Claim: becoming the one process that works on a call, and what to say while another one does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from nbflow._core.duration import duration
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._call.clock import Clock
    from nbflow._call.scope import Place
    from nbflow._core.policy import Policy
    from nbflow._store.store import Store

#: Seconds after which waiting for another process is worth a word.
SILENT = 5.0
_SHORTEST, _LONGEST = 0.0002, 0.1


class Claimant(Protocol):
    """A call that wants its key."""

    key: str
    name: str
    policy: Policy
    place: Place | None
    is_waiting: bool

    def note_wait(self, why: str) -> None:
        """Tell the ledger what the call waits for; nothing: it continues."""


def knocks(store: Store, clock: Clock, call: Claimant) -> Iterator[float]:
    """The waits, in seconds, between tries for the lock of a call; ends when it is ours.

    Raises:
        StepTimeoutError: the other process has taken longer than a call can take.
    """
    begun, pause = clock.monotonic(), _SHORTEST
    while not store.lock(call.key):
        waited = clock.monotonic() - begun
        if waited > SILENT and not call.is_waiting:
            _say(call, whose(store, call.key, clock.time() - waited))
        if waited > call.policy.longest:
            who = whose(store, call.key, clock.time() - waited)
            raise StepTimeoutError(
                f"{who}, longer than timeout= and retries= allow ({duration(waited)})"
            )
        yield pause
        pause = min(2 * pause, _LONGEST)
    if call.is_waiting:
        call.note_wait("")


def whose(store: Store, key: str, since: float) -> str:
    """Who works on a key, in words; ``since``: seconds since the epoch."""
    holder = store.holder(key)
    who = "another process" if holder is None else f"process {holder}"
    at = time.strftime("%H:%M", time.localtime(since))
    return f"{who} works on it since {at} or earlier"


def _say(call: Claimant, why: str) -> None:
    call.note_wait(why)
    if call.place is None:  # nothing else would show it
        text = f"{call.name!r} waits: {why}."
        warn(text, NbflowWarning)
