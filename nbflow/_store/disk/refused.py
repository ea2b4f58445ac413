"""Refused: values that the disk did not take, kept in memory and tried again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._store.pieces import Bytes

__all__ = ["Refused"]

#: The most values and bytes that are kept, and seconds between two tries.
_VALUES, _BYTES, _PAUSE = 1_000, 64_000_000, 1.0


class Refused(dict[str, bytes]):
    """Values by key. For all threads."""

    def __init__(self) -> None:
        super().__init__()
        self._keeping = threading.Lock()
        self._turn = threading.Lock()
        self._next = 0.0

    def keep(self, key: str, data: Bytes) -> bool:
        """Keep a value as it is now; returns whether there is room for it."""
        with self._keeping:
            self.pop(key, None)
            size = len(data) + sum(map(len, self.values()))
            if len(self) >= _VALUES or size > _BYTES:
                return False
            self[key] = bytes(data)
            return True

    def drop(self, keys: Iterable[str]) -> None:
        """Forget values: newer ones are saved, or nobody wants them."""
        for key in keys:
            self.pop(key, None)

    def put_again(
        self, put: Callable[[str, bytes], None], *, at_once: bool = False
    ) -> None:
        """Save what can be saved now; at most once a second, as it may mean to wait."""
        if not at_once and time.monotonic() < self._next:
            return
        if not self or not self._turn.acquire(blocking=False):
            return
        try:
            for key, data in list(self.items()):
                if self.get(key) is data:
                    put(key, data)
                    self.pop(key, None)
        except StoreError:
            pass  # it was said when it was refused first
        finally:
            self._next = time.monotonic() + _PAUSE
            self._turn.release()
