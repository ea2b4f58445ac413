"""BeginGate: at which runs that begin wait, for a moment, while somebody deletes results.

A run notes what its code is, passes the gate, and only then looks anything up. Whoever
deletes shuts the gate, looks which runs there are, deletes what none of them needs, and
opens it again. So either he sees the run, or the run finds nothing of what he deleted.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nbflow._call import keys
from nbflow._key import fork

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from nbflow._store.store import Store

__all__ = ["BeginGate"]

#: Seconds to wait for somebody who may be stopped (Ctrl-Z), and between two tries.
_COURTESY, _PAUSE = 10.0, 0.002
#: For the threads of this process, by store.
_HERE: WeakKeyDictionary[Store, threading.Lock] = WeakKeyDictionary()


class BeginGate:
    """The gate of one store, for all processes, and for the threads of this one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = keys.gate_key()
        # The lock of the store is that of the process.
        self._here = _HERE.setdefault(store, fork.free_lock())

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Have nobody begin a run meanwhile."""
        with self._here:
            while not self._store.lock(self._key):
                time.sleep(_PAUSE)
            try:
                yield
            finally:
                self._store.unlock(self._key)

    def wait(self) -> None:
        """Pass, once it is open."""
        until = time.monotonic() + _COURTESY
        if not self._here.acquire(timeout=_COURTESY):
            return
        try:
            while not self._store.lock(self._key):
                if time.monotonic() > until:
                    return
                time.sleep(_PAUSE)
            self._store.unlock(self._key)
        finally:
            self._here.release()
