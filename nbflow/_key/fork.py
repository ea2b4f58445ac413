"""Fork: what a process that is forked while threads are at work must not inherit of them.

Of the threads only the one that forks is in the child. What another one held there (a
lock, a place, a call under way) would be held for ever.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

__all__ = ["free_lock", "watch"]


class Forked(Protocol):
    """Something that has to be told that it is in a forked child now."""

    def after_fork(self) -> None:
        """Let go of what threads of the parent hold."""


_WATCHED: WeakSet[Forked] = WeakSet()
_LOCKS: WeakSet[threading.Lock] = WeakSet()


def watch(owner: Forked) -> None:
    """Tell ``owner`` in each forked child, as long as it lives."""
    _WATCHED.add(owner)


def free_lock() -> threading.Lock:
    """A lock that is free in a forked child, whoever held it in the parent."""
    made = threading.Lock()
    _LOCKS.add(made)
    return made


def _in_child() -> None:
    for lock in list(_LOCKS):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  # as logging does
    for owner in list(_WATCHED):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
