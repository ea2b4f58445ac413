"""Keyed: digests that nobody can make without the key of the store."""

from __future__ import annotations


def digest(data: bytes, purpose: str) -> str:
    """The digest of some bytes, for one purpose: that for another one is different.

    Raises:
        StoreError: the key cannot be read or made.
    """
    from blake3 import blake3

    from nbflow._store.seal import load_secret

    key = blake3(load_secret(), derive_key_context=purpose).digest()
    return blake3(data, key=key).hexdigest()
