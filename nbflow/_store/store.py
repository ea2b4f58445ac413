"""Store: where checkpoints are kept. It knows keys and bytes, not what they mean."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._store.pieces import Bytes


class LostError(StoreError):
    """A value was refused, and too many were before to keep this one in memory."""


@runtime_checkable
class Store(Protocol):
    """Where checkpoints live.

    Keys are 40 lowercase hex digits. Every method may be called from any thread.

    A store returns only bytes that were put under that very key: what is damaged,
    truncated, swapped or forged is a miss with one ``StoreWarning``. Whatever the disk
    refuses is a ``StoreError``.
    """

    url: str

    def get(self, key: str) -> bytes | None:
        """The bytes put under ``key``, or ``None``."""

    def get_buffer(self, key: str) -> bytes | memoryview | None:
        """The same as ``get``, without a copy where that is possible.

        What can be written to is the caller's alone: neither the store nor a later
        ``get`` shows what is written.
        """

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those ``keys`` that are there; much cheaper than a ``get`` each."""

    def put(self, key: str, data: Bytes) -> None:
        """Keep ``data``; once this returns, it survives ``kill -9``.

        A second put under one key replaces the first. What is refused may be kept in
        memory, found there by this process, and tried again.

        Raises:
            StoreError: it was refused.
            LostError: it is not kept in memory either.
        """

    def delete(self, keys: Iterable[str]) -> int:
        """Forget ``keys``; returns the number of those that were there."""

    def give_back(self) -> None:
        """Give back what deleted keys took, as far as nobody is in the way."""

    def scrub(self) -> None:
        """Leave nothing of deleted keys in any file; raises `StoreError` if that is refused."""

    def keys(self) -> Iterator[str]:
        """Every key, in no order."""

    def lock(self, key: str) -> bool:
        """Try to become the one process that works on ``key``; never waits.

        The lock dies with the process. The caller makes sure that within one process a
        key is locked only once at a time.
        """

    def holder(self, key: str) -> int | None:
        """The process that works on ``key``, ``None`` if it is not known."""

    def unlock(self, key: str) -> None:
        """Give ``key`` back."""

    def flush(self) -> None:
        """Tidy up; nothing is lost without it."""

    def close(self) -> None:
        """Flush and release files. The next call opens the store again."""


class MemoryStore:
    """A store that lives and dies with its process.

    For tests, and for results that are not worth a disk.
    """

    url = "memory:"

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._mutex = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The bytes put under ``key``, or ``None``."""
        return self._data.get(key)

    def get_buffer(self, key: str) -> bytes | None:
        """The same: nobody changes bytes."""
        return self._data.get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those ``keys`` that are there."""
        data = self._data
        return {key: data[key] for key in keys if key in data}

    def put(self, key: str, data: Bytes) -> None:
        """Keep ``data`` under ``key``."""
        self._data[key] = bytes(data)

    def delete(self, keys: Iterable[str]) -> int:
        """Forget ``keys``; returns the number of those that were there."""
        with self._mutex:
            return sum(self._data.pop(key, None) is not None for key in keys)

    def give_back(self) -> None:
        """Nothing is left of them."""

    def scrub(self) -> None:
        """Nothing is left of them."""

    def keys(self) -> Iterator[str]:
        """Every key."""
        return iter(list(self._data))

    def lock(self, key: str) -> bool:  # noqa: ARG002  # there is no other process
        """Always granted: no other process sees this store."""
        return True

    def holder(self, key: str) -> None:
        """Not another process."""

    def unlock(self, key: str) -> None:
        """Nothing to give back."""

    def flush(self) -> None:
        """Nothing to tidy."""

    def close(self) -> None:
        """Nothing to release."""
