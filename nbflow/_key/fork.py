"""Fork: what a process that is forked while threads are at work must not inherit of them.

Of the threads only the one that forks is in the child. What another one held there (a
lock, a place, a call under way) would be held for ever.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

__all__ = ["free_lock", "freed", "watch"]


class Forked(Protocol):
    """Something that has to be told that it is in a forked child now."""

    def after_fork(self) -> None:
        """Let go of what threads of the parent hold."""


#: Seconds to wait for imports of other threads.
_IMPORTS = 5.0
_WATCHED: WeakSet[Forked] = WeakSet()
_LOCKS: WeakSet[Any] = WeakSet()
Lock = TypeVar("Lock")


def watch(owner: Forked) -> None:
    """Tell ``owner`` in each forked child, as long as it lives."""
    _WATCHED.add(owner)


def free_lock() -> threading.Lock:
    """A lock that is free in a forked child, whichever thread held it in the parent."""
    return freed(threading.Lock())


def freed(lock: Lock) -> Lock:
    """``lock``, which is free in a forked child from now on."""
    _LOCKS.add(lock)
    return lock


def _wait_for_imports() -> None:
    """Fork while no other thread imports: a child waits for ever for a module of theirs."""
    until = time.monotonic() + _IMPORTS
    while _are_others_importing() and time.monotonic() < until:
        time.sleep(0.001)


def _are_others_importing() -> bool:
    # Python takes its one lock of imports around a fork, but not those of modules.
    locks = getattr(importlib._bootstrap, "_module_locks", {})  # noqa: SLF001  # see above
    owners = {getattr(lock(), "owner", None) for lock in list(locks.values())}
    return bool(owners - {None, threading.get_ident()})


def _in_child() -> None:
    for lock in list(_LOCKS):
        lock._at_fork_reinit()  # noqa: SLF001  # as logging does
    for owner in list(_WATCHED):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_for_imports, after_in_child=_in_child)
