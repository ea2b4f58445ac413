"""Sources: what each code of a step was made of, kept in the store so that a later one can be held against it.

For each step the store has the list of its codes, the latest last, and for each code
its parts: names, digests, the source of the functions, short plain globals. No
arguments and no secrets are in them. They explain and decide nothing: without them
every key is the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._call import keys
from nbflow._key.code import Part
from nbflow._key.explain import Change, code_changes
from nbflow._key.warning import warn
from nbflow._store import checkpoint
from nbflow.errors import StoreError, StoreWarning

if TYPE_CHECKING:
    from nbflow._call.clock import Clock
    from nbflow._call.keys import Identity
    from nbflow._store.store import Store

#: Codes of one step that are remembered.
_KEPT = 100
#: Seconds to wait for another process that notes a code of the same step.
_PATIENCE = 2.0


class Version(NamedTuple):
    """One code of a step, and when it was first run, and run again after another one."""

    code: bytes
    at: float


class Sources:
    """The codes of all steps and flows of a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[str, bytes] = {}
        self._warned = False

    def note(self, name: str, identity: Identity) -> list[Change] | None:
        """Keep this code as the step's latest.

        Returns what changed since the last one; ``None`` if there was none.
        """
        if self._noted.get(name) == identity.digest:
            return []
        try:
            history = self.history(name)
            if not history or history[-1].code != identity.digest:
                self._keep(name, identity)
        except StoreError as error:
            if not self._warned:
                self._warned = True
                warn(
                    f"What the code of {name!r} is made of could not be kept, so a"
                    f" later run cannot tell what changed. {error}",
                    StoreWarning,
                )
            return []
        self._noted[name] = identity.digest
        if not history:
            return None
        if history[-1].code == identity.digest:
            return []
        return self.changes(name, history[-1].code, identity)

    def _keep(self, name: str, identity: Identity) -> None:
        parts = [
            (part.name, part.digest, part.kind, part.text) for part in identity.parts
        ]
        source_key = keys.source_key(name, identity.digest)
        self._put(source_key, f"source of {name}", parts)
        key = keys.history_key(name)
        until = time.monotonic() + _PATIENCE
        while not (ours := self._store.lock(key)) and time.monotonic() < until:
            time.sleep(0.001)
        try:
            codes = [
                version
                for version in self.history(name)
                if version.code != identity.digest
            ]
            codes.append(Version(identity.digest, self._clock.time()))
            self._put(key, f"codes of {name}", codes[-_KEPT:])
        finally:
            if ours:
                self._store.unlock(key)

    def _put(self, key: str, name: str, value: object) -> None:
        self._store.put(key, checkpoint.dump(name, value, saved_at=self._clock.time()))

    def _get(self, key: str) -> Any:
        data = self._store.get(key)
        return checkpoint.load(data).value if data is not None else []

    def history(self, name: str) -> list[Version]:
        """The codes of a step, the latest last."""
        return [Version(*version) for version in self._get(keys.history_key(name))]

    def parts(self, name: str, code: bytes) -> list[Part]:
        """What a code was made of; nothing if it is not known (any more)."""
        return [Part(*part) for part in self._get(keys.source_key(name, code))]

    def changes(self, name: str, before: bytes, now: Identity | bytes) -> list[Change]:
        """What differs between an earlier code of a step and a later one."""
        then = self.parts(name, before)
        after = self.parts(name, now) if isinstance(now, bytes) else now.parts
        if not then or not after:
            return [Change(name, "its code changed")]
        return code_changes(then, after)
