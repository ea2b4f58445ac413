"""Pieces: bytes that lie in several places, most of them in a live value, and are not joined.

They show what the value holds when they are read. So whoever keeps them for later
joins them first, with ``bytes(pieces)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

__all__ = ["LARGE", "Bytes", "Pieces", "joined", "parts_of"]

#: Bytes from which a copy takes longer than keeping pieces apart.
LARGE = 1 << 16


class Pieces:
    """Buffers, in order."""

    __slots__ = ("_length", "parts")

    def __init__(self, parts: Iterable[Buffer]) -> None:
        views = (memoryview(part) for part in parts)
        # A view of nothing cannot be cast.
        self.parts = tuple(view.cast("B") for view in views if view.nbytes)
        self._length = sum(map(len, self.parts))

    def __len__(self) -> int:
        """The number of bytes."""
        return self._length

    def __bytes__(self) -> bytes:
        """All of it in one place: a copy."""
        return b"".join(self.parts)


#: Bytes in one place, or in several.
Bytes: TypeAlias = bytes | Pieces


def joined(parts: Iterable[Buffer]) -> Bytes:
    """The buffers as one: in one place if they are small."""
    pieces = Pieces(parts)
    return pieces if len(pieces) >= LARGE else bytes(pieces)


def parts_of(data: Bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """The places in which bytes lie."""
    return data.parts if isinstance(data, Pieces) else (data,)
