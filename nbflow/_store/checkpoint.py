"""Checkpoint: a saved output and the little that is known about it, as the bytes that a store keeps."""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec

from nbflow._core.usage import Usage
from nbflow._key.call import Input
from nbflow._store import codec
from nbflow.errors import CodecError

_LENGTH = struct.Struct("<I")


class Checkpoint(NamedTuple):
    """One saved output.

    Attributes:
        name: of the step or flow.
        saved_at: seconds since the epoch.
        seconds: how long the call took.
        expires: when a value that it was built on goes out of date, seconds since the
            epoch.
        built_on: (step, key) of the calls whose values it saw.
        code: digest of the code that made it.
        inputs: what it was called with, as digests.
        usage: what it took to make it, everything that it was built on included;
            ``None``: nothing was reported.
        codec: how ``payload`` is written.
        payload: the value's bytes.
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

    @property
    def value(self) -> object:
        """The saved output, a fresh object at every reading.

        Raises:
            CodecError: the class of the value is not there, or not any more.
        """
        return codec.decode(self.codec, self.payload)

    def fresh_until(self, ttl: float | None) -> float | None:
        """When this goes out of date, for a step that keeps its outputs for ``ttl`` seconds."""
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
) -> bytes:
    """The bytes of a checkpoint of ``value``; the rest is explained at `Checkpoint`.

    Raises:
        CodecError: no bytes can be made of the value; the message says of which part.
    """
    written_as, payload = codec.encode(value)
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
    return b"".join((_LENGTH.pack(len(head)), head, payload))


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
    """The checkpoint that ``data`` holds; its value is decoded when asked for.

    Raises:
        CodecError: written by a version that this one cannot read.
    """
    view = memoryview(data)
    try:
        (length,) = _LENGTH.unpack_from(view)
        head = _HEAD.decode(view[4 : 4 + length])
    except (struct.error, msgspec.MsgspecError) as error:
        raise CodecError(
            "This checkpoint was written by another version of nbflow; it counts as not there."
        ) from error
    return Checkpoint(*head, view[4 + length :])
