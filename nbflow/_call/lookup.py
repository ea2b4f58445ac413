"""Lookup: what is saved under a key and still fresh. The one place that says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nbflow._store import checkpoint
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._store.checkpoint import Checkpoint
    from nbflow._store.store import Store

#: Keys that are looked up at once.
_PAGE = 500


#: Keys that are looked up at once at first and at most, and the bytes of saved values
#: that are held at once, as far as can be told from those before.
_FEWEST, _MOST, _BYTES = 8, 1024, 8_000_000
#: The same as long as nothing was found, so that nobody knows how large values are.
_UNSEEN = 64
#: How many at once the latest values of a store allowed.
_SIZES: WeakKeyDictionary[Store, int] = WeakKeyDictionary()


def blocks(store: Store, keys: Sequence[str]) -> Iterator[dict[str, bytes]]:
    """Yield the bytes of those of ``keys`` that are saved, few at a time where they are large."""
    size, place = _SIZES.get(store, _FEWEST), 0
    while place < len(keys):
        block = store.get_many(keys[place : place + size])
        place += size
        held = sum(map(len, block.values()))
        most = _BYTES * len(block) // held if held else _UNSEEN
        size = max(1, min(2 * size, most, _MOST))
        _SIZES[store] = size
        yield block


def saved(store: Store, key: str) -> Checkpoint | None:
    """Return the checkpoint under ``key``, fresh or not, or `None`.

    Raises:
        StoreError: it is there and cannot be read.
    """
    data = store.get_buffer(key)
    return None if data is None else checkpoint.load(data)


def is_fresh(found: Checkpoint, ttl: float | None, now: float) -> bool:
    """Return whether a checkpoint still holds.

    Args:
        found: the checkpoint.
        ttl: seconds for which the step keeps its outputs; `None`: without end.
        now: seconds since the epoch.
    """
    until = found.fresh_until(ttl)
    return until is None or until > now


def fresh(store: Store, key: str, ttl: float | None, now: float) -> Checkpoint | None:
    """Return the checkpoint under ``key`` if it still holds, or `None`.

    Raises:
        StoreError: it is there and cannot be read.
    """
    found = saved(store, key)
    return found if found is not None and is_fresh(found, ttl, now) else None


def among(
    store: Store,
    keys: Sequence[str],
    unreadable: Callable[[StoreError], None] | None = None,
) -> Iterator[tuple[str, Checkpoint]]:
    """Yield those of ``keys`` that are saved, fresh or not, looked up in bulk.

    Args:
        store: where they are.
        keys: what they are saved under.
        unreadable: is called with the error of each checkpoint that cannot be read and so counts as not
            saved.
    """
    for block in blocks(store, keys):
        for key, data in block.items():
            try:
                found = checkpoint.load(data)
            except StoreError as error:
                if unreadable is not None:
                    unreadable(error)
            else:
                yield key, found


def fresh_among(
    store: Store,
    keys: Sequence[str],
    ttl: float | None,
    now: float,
    unreadable: Callable[[StoreError], None] | None = None,
) -> Iterator[tuple[str, Checkpoint]]:
    """Yield those of ``keys`` whose checkpoints still hold; see `among` and `is_fresh`.

    One by one: thousands of checkpoints kept alive would be work for the garbage
    collector.
    """
    for key, found in among(store, keys, unreadable):
        if is_fresh(found, ttl, now):
            yield key, found


def every(store: Store) -> Iterator[tuple[str, Checkpoint]]:
    """Yield every checkpoint with its key, without its value; those that cannot be read are left out."""
    keys = store.keys()
    while page := list(itertools.islice(keys, _PAGE)):
        for key, found in among(store, page):
            yield key, found._replace(payload=b"")
