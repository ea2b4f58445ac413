"""Seal: the form of a checkpoint on disk, and the secret that prevents forgery.

An entry is self-delimiting, so that a log, a database page and a file of its own can
all hold it, and a damaged database can be searched for it::

    magic 4 | length of data 8 | stamp 8 | key 20 | data | MAC 16        (integers little-endian)

The MAC is keyed BLAKE3 over everything before it. For a reader an entry with a flipped
bit, without its tail, moved to another key, or made by somebody without the secret does
not exist. The last byte of the magic is the version of the format; the MAC's key is
derived for this format alone.

The stamp (nanoseconds) orders puts of one key. Whoever puts over an entry gives a later
one, whatever the clock says; only puts at the same time depend on it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import time
from _operator import _compare_digest as compare_digest  # hmac loads OpenSSL
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from blake3 import blake3

from nbflow._key.beside import hash_threads
from nbflow._store.folder import is_ours, open_private, sync_file
from nbflow._store.pieces import parts_of
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._store.pieces import Bytes

__all__ = [
    "DEAD",
    "HEAD",
    "MAGIC",
    "OVERHEAD",
    "SECRET_BYTES",
    "SMALL",
    "TAG",
    "Seal",
    "SealedEntry",
    "load_secret",
    "secret_path",
    "stamp_of",
    "unfinished",
]

MAGIC = b"\x9dNB\x01"
#: Written over the magic of an entry in a log, which deletes it. It can only take away,
#: never add.
DEAD = b"\x9dNB\x00"
HEAD = struct.Struct("<4sQQ20s")
TAG = 16
OVERHEAD = HEAD.size + TAG

#: The most sealed bytes of an entry that goes to the journal and then into a row. With
#: its row it fits on one 4 KiB page of SQLite, in one piece, so that salvage can find
#: it in the raw bytes.
SMALL = 3500

_LAST_STAMP = 2**64 - 1
SECRET_BYTES = 32  # what BLAKE3 takes
_SHORTEST_TEXT = 16
_START = re.compile(re.escape(MAGIC) + b"|" + re.escape(DEAD), re.DOTALL)
_PARALLEL = 1 << 20  # bytes from which BLAKE3's threads pay

Data = TypeVar("Data", bytes, memoryview, bytes | memoryview)


class SealedEntry(NamedTuple):
    """Where an intact entry lies in a buffer."""

    start: int
    end: int
    key: str
    stamp: int
    dead: bool


class Seal:
    """Makes and checks sealed entries with one secret of 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError("a store's secret has 32 bytes")
        key = blake3(secret, derive_key_context="nbflow store 2026 entry v1")
        self._key = key.digest()
        # Tells one secret from another without giving it away; kept in the store to
        # explain foreign entries.
        context = "nbflow store 2026 fingerprint"
        fingerprint = blake3(secret, derive_key_context=context)
        self.fingerprint = fingerprint.hexdigest(length=8)

    def seal(self, key: str, data: bytes, *, over: int = 0) -> bytes:
        """The sealed entry, in one piece.

        Args:
            key: what it is found by, in hexadecimal digits.
            data: what it keeps.
            over: the stamp of the entry that it replaces.
        """
        body = HEAD.pack(MAGIC, len(data), _stamp(over), bytes.fromhex(key)) + data
        return body + blake3(body, key=self._key).digest(TAG)

    def parts(
        self, key: str, data: bytes, *, over: int = 0
    ) -> tuple[bytes, bytes, bytes]:
        """The same as head, data and MAC, without a copy of large data."""
        head = self.head(key, data, over=over)
        return head, data, self.mac(head, data)

    @staticmethod
    def head(key: str, data: Bytes, *, over: int = 0) -> bytes:
        """What comes before the data."""
        return HEAD.pack(MAGIC, len(data), _stamp(over), bytes.fromhex(key))

    def mac(self, head: bytes, data: Bytes | memoryview) -> bytes:
        """What comes behind it."""
        threads = hash_threads() if len(data) >= _PARALLEL else 1
        mac = blake3(head, key=self._key, max_threads=threads)
        for part in parts_of(data):
            mac.update(part)
        return mac.digest(TAG)

    def unseal(self, key: str, blob: bytes) -> bytes | None:
        """The data sealed under ``key``, or ``None`` if ``blob`` is anything else."""
        body = blob[:-TAG]
        # The length need not be checked: it is part of the body, which the MAC covers.
        if body[20:40] != bytes.fromhex(key):
            return None
        mac = blake3(body, key=self._key).digest(TAG)
        return body[HEAD.size :] if compare_digest(mac, blob[-TAG:]) else None

    def unseal_parts(self, key: str, parts: tuple[bytes, Data, bytes]) -> Data | None:
        """The same for an entry read in three pieces, so that large data is not copied."""
        head, data, mac = parts
        if head[20:40] != bytes.fromhex(key):
            return None
        return data if compare_digest(self.mac(head, data), mac) else None

    def walk(self, blob: bytes, end: int | None = None) -> Iterator[SealedEntry]:
        """Every intact small entry in ``blob``, whatever lies between them.

        Deleted entries are included.
        """
        end = len(blob) if end is None else end
        position = 0
        while match := _START.search(blob, position, end):
            entry = self._entry_at(blob, match.start(), end)
            if entry is None:
                position = match.start() + 1
            else:
                yield entry
                position = entry.end

    def _entry_at(self, blob: bytes, start: int, end: int) -> SealedEntry | None:
        if end - start < OVERHEAD:
            return None
        magic, length, stamp, key = HEAD.unpack_from(blob, start)
        stop = start + OVERHEAD + length
        # Only small entries: to hash gigabytes at each chance magic would take for
        # ever.
        if OVERHEAD + length > SMALL or stop > end:
            return None
        body = MAGIC + blob[start + 4 : stop - TAG]
        mac = blake3(body, key=self._key).digest(TAG)
        if not compare_digest(mac, blob[stop - TAG : stop]):
            return None
        return SealedEntry(start, stop, key.hex(), stamp, magic == DEAD)


def _stamp(over: int) -> int:
    # The last stamp is for what claims it without a right: a MAC was not looked at.
    return max(time.time_ns(), min(over + 1, _LAST_STAMP))


def stamp_of(blob: bytes) -> int:
    """The stamp in the head of a sealed entry."""
    return int.from_bytes(blob[12:20], "little")


def unfinished(blob: bytes) -> bool:
    """Whether ``blob`` may be the start of an entry whose writer was killed midway."""
    if len(blob) < HEAD.size:
        return blob[:4] == MAGIC[: len(blob)]
    magic, length, _, _ = HEAD.unpack_from(blob)
    return bool(magic == MAGIC and len(blob) < OVERHEAD + length <= SMALL)


def load_secret() -> bytes:
    """The user's secret: 32 random bytes outside every store, created at first use.

    ``NBFLOW_STORE_KEY`` (at least 16 characters) replaces it, for jobs and containers
    whose home directory does not last.

    Raises:
        StoreError: the secret cannot be read, can be read by others, or cannot be kept.
    """
    text = os.environ.get("NBFLOW_STORE_KEY")
    if text is not None:
        return _secret_from(text)
    path = secret_path()
    try:
        if not path.exists():
            _make_secret(path)
        return _read_secret(path)
    except OSError as error:
        raise StoreError(
            f"The store's secret {path} cannot be read or created: {error.strerror}. "
            "Make the folder writable, or set NBFLOW_STORE_KEY to a secret text of "
            "your own."
        ) from error


def _secret_from(text: str) -> bytes:
    if len(text) < _SHORTEST_TEXT:
        raise StoreError(
            "NBFLOW_STORE_KEY is too short to be a secret: give it 16 characters or "
            "more, for example the output of `openssl rand -hex 32`."
        )
    context = "nbflow store 2026 secret from text"
    return blake3(text.encode(), derive_key_context=context).digest()


def secret_path() -> Path:
    """Where the user's secret lies, unless ``NBFLOW_STORE_KEY`` replaces it."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "nbflow" / "key"


def _make_secret(path: Path) -> None:
    """Write the secret beside ``path`` and link it there.

    Of two processes one wins, and both read the same secret.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".key-{os.urandom(8).hex()}")
    fd = open_private(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, os.urandom(SECRET_BYTES))
        sync_file(fd)
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        fresh.unlink()


def _read_secret(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        secret = file.read(SECRET_BYTES + 1)
    if not is_ours(status):
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
        raise StoreError(
            f"The store's secret {path} can be read by others: run `chmod 600 {path}`."
        )
    if len(secret) != SECRET_BYTES:
        raise StoreError(
            f"The store's secret {path} is damaged: restore it from a backup, or "
            "delete it. Without it, results saved so far are computed again."
        )
    return secret
