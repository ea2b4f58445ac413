"""Checkpoint: a saved output with its description, as the bytes that a store keeps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from nbflow._core.entry import Parts
from nbflow._core.usage import Usage
from nbflow._key.call import Input
from nbflow._key.reader import digest
from nbflow._store import codec
from nbflow._store.pieces import LARGE, Pieces, parts_of
from nbflow._store.seal import HEAD
from nbflow.errors import CodecError, UnkeyableError

if TYPE_CHECKING:
    from nbflow._store.pieces import Bytes

_LENGTH = struct.Struct("<I")
#: In the length of a head: what the call printed follows, with a length of its own.
_PRINTS = 1 << 31
#: In the length of a head: the payload begins at the next multiple of these bytes.
_ALIGNED, _LINE = 1 << 30, 64


class Checkpoint(NamedTuple):
    """One saved output.

    Attributes:
        name: the name of the step or flow.
        saved_at: seconds since the epoch.
        seconds: how long the call took.
        expires: when a value that it was built on expires, in seconds since the epoch.
        built_on: (step, key) of the calls whose values it used.
        code: digest of the code that computed it.
        inputs: the arguments of the call, as digests.
        usage: what the call used, including everything that it was built on;
            ``None`` if nothing was reported.
        codec: how ``payload`` is written.
        payload: the value's bytes.
        printing: what the call printed and logged, as bytes; see `printed`.
    """

    name: str
    saved_at: float
    seconds: float
    expires: float | None
    built_on: list[tuple[str, str]]
    code: bytes
    inputs: list[Input]
    usage: Usage | None
    codec: str
    payload: bytes | memoryview
    printing: bytes | memoryview = b""

    @property
    def printed(self) -> Parts:
        """What the call printed and logged when it ran."""
        return _PARTS.decode(self.printing) if self.printing else ()

    @property
    def value(self) -> object:
        """The saved output, a fresh object each time.

        Raises:
            CodecError: the class of the value is not defined, or has changed.
        """
        return codec.decode(self.codec, self.payload)

    def taken(self) -> object:
        """The saved output, in the memory of the payload if that can be written to.

        For who loaded the checkpoint for this, and asks once.

        Raises:
            CodecError: as `value` does.
        """
        return codec.decode_owned(self.codec, self.payload)

    @property
    def shown(self) -> object:
        """The saved output for a reader: by its fields where its class is not defined.

        Raises:
            CodecError: not even that can be read.
        """
        return codec.view(self.codec, self.payload)

    def fresh_until(self, ttl: float | None) -> float | None:
        """When this expires, for a step that keeps its outputs for ``ttl`` seconds."""
        if ttl is None:
            return self.expires
        own = self.saved_at + ttl
        return own if self.expires is None else min(own, self.expires)


def dump(
    name: str,
    value: object,
    *,
    saved_at: float,
    seconds: float = 0.0,
    expires: float | None = None,
    built_on: list[tuple[str, str]] | None = None,
    code: bytes = b"",
    inputs: list[Input] | None = None,
    usage: Usage | None = None,
    printed: Parts = (),
    encoded: tuple[str, Bytes] | None = None,
) -> Bytes:
    """The bytes of a checkpoint of ``value``; see `Checkpoint` for the rest.

    ``encoded``: the value as `codec.encode_parts` gave it, if it was encoded before.
    What is large in it is not copied.

    Raises:
        CodecError: the value cannot be turned into bytes; the message says which part.
    """
    written_as, payload = encoded or codec.encode_parts(value)
    head = msgspec.msgpack.encode(
        (
            name,
            saved_at,
            seconds,
            expires,
            built_on or [],
            code,
            inputs or [],
            usage,
            written_as,
        )
    )
    is_large = len(payload) >= LARGE
    marks = _ALIGNED if is_large else 0
    said = b""
    if printed:
        printing = msgspec.msgpack.encode(printed)
        said = _LENGTH.pack(len(printing)) + printing
        marks |= _PRINTS
    before = b"".join((_LENGTH.pack(len(head) | marks), head, said))
    if is_large:
        return Pieces((before, bytes(_gap(len(before))), *parts_of(payload)))
    return before + bytes(payload)


def _gap(end: int) -> int:
    """The bytes between a head that ends here and a large payload.

    With them the payload begins at a multiple of 64 in its file.
    """
    return -(HEAD.size + end) % _LINE


def as_loaded(value: object, written_as: str, payload: Bytes) -> object:
    """Return a value as it will be loaded, if that is another value than the one at hand.

    A class may forget something when it is pickled. What is computed from its object
    now, and from the one that is loaded tomorrow, has to be the same.

    Args:
        value: that was encoded.
        written_as: see `codec.encode_parts`.
        payload: see `codec.encode_parts`.
    """
    if written_as != "pickle":
        return value
    try:
        loaded = codec.decode(written_as, bytes(payload))
        return value if digest(loaded) == digest(value) else loaded
    except (CodecError, UnkeyableError):
        return value


_PARTS = msgspec.msgpack.Decoder(Parts)
_HEAD = msgspec.msgpack.Decoder(
    tuple[
        str,
        float,
        float,
        float | None,
        list[tuple[str, str]],
        bytes,
        list[Input],
        Usage | None,
        str,
    ]
)


def load(data: bytes | memoryview) -> Checkpoint:
    """The checkpoint in ``data``; its value is decoded on access.

    Raises:
        CodecError: it was written by a version that this one cannot read.
    """
    view = memoryview(data)
    printing: bytes | memoryview = b""
    try:
        (marks,) = _LENGTH.unpack_from(view)
        end = _LENGTH.size + (marks & ~(_PRINTS | _ALIGNED))
        head = _HEAD.decode(view[_LENGTH.size : end])
        if marks & _PRINTS:
            (length,) = _LENGTH.unpack_from(view, end)
            start = end + _LENGTH.size
            end = start + length
            printing = view[start:end]
    except (struct.error, msgspec.MsgspecError) as error:
        raise CodecError(
            "Another version of nbflow wrote this checkpoint; it is ignored."
        ) from error
    if marks & _ALIGNED:
        end += _gap(end)
    return Checkpoint(*head, view[end:], printing)
