"""Keeper: prunes a store by its policy.

It does so after a run has ended, on a thread of its own, at most once an hour for all
processes of a store. A process that ends waits for it; one that is killed leaves a store
that the next prune finishes.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._key.log_text import log
from nbflow._key.warning import warn
from nbflow._store.store import MemoryStore
from nbflow.errors import NbflowError, NbflowWarning, StoreWarning

if TYPE_CHECKING:
    from datetime import timedelta

    from nbflow._run.pruning import Pruned, Rules
    from nbflow._run.runs import Runs

__all__ = ["Keeper"]

_LOG = logging.getLogger("nbflow.store")
#: Seconds between two prunes by policy, and the file whose time says when the last was.
_PERIOD, _MARK = 3600.0, "pruned"


class Keeper:
    """Prunes the store of ``runs``, as ``nf.use`` or the ``pyproject.toml`` above it says.

    Args:
        runs: the runs of the store.
        max_size: see ``nf.use``.
        keep: see ``nf.use``.
    """

    def __init__(
        self,
        runs: Runs,
        max_size: float | str | None = None,
        keep: float | str | timedelta | None = None,
    ) -> None:
        self._runs = runs
        self._asked = max_size, keep
        url = runs.engine.store.url
        self._mark = None if url == MemoryStore.url else Path(url) / _MARK
        self._turn = threading.Lock()
        self._has_none = url == MemoryStore.url and self._asked == (None, None)
        self._has_said = False

    def run_ended(self) -> None:
        """Prune if that was not done lately; returns at once."""
        if self._has_none or not self._is_due():
            return
        # The interpreter may be about to end: the next process prunes.
        try:
            threading.Thread(target=self._prune, name="nbflow-prune").start()
        except RuntimeError:
            return

    def _is_due(self) -> bool:
        try:
            done = self._mark.stat().st_mtime if self._mark is not None else 0.0
        except OSError:
            done = 0.0
        return time.time() - done > _PERIOD

    def _prune(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        try:
            kept = self._policy()
            if kept is not None:
                self._say(self._prune_by(kept))
        except (NbflowError, OSError) as error:
            text = f"The store could not be pruned by its policy. {error}"
            warn(text, StoreWarning)
        finally:
            self._turn.release()

    def _policy(self) -> Rules | None:
        from nbflow._run import keeping

        max_size, keep = self._asked
        url = self._runs.engine.store.url
        found = keeping.policy(url, max_size=max_size, keep=keep)
        self._has_none = found is None
        return found

    def _prune_by(self, kept: Rules) -> Pruned:
        from nbflow._run.pruning import prune

        if self._mark is not None:
            self._mark.touch(mode=0o600)
        return prune(self._runs, kept)

    def _say(self, done: Pruned) -> None:
        first = str(done).partition("\n")[0]
        log(_LOG, logging.INFO, "policy: %s", first)
        if (done.runs or done.outputs) and not self._has_said:
            self._has_said = True
            text = f"{self._runs.engine.store.url}, by its policy: {first}"
            warn(f"{text} Further prunes are only logged.", NbflowWarning)
