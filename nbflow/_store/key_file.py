"""KeyFile: the key that authenticates a store's entries, shown, backed up and installed.

It lies outside every store, so a store that is copied to another machine comes without
it, and all that it holds is a miss there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from nbflow._store import seal
from nbflow._store.folder import open_private, refusal, sync_file
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeyInUse", "backup", "explained", "in_use", "install", "others"]


class KeyInUse(NamedTuple):
    """The key in use: where it comes from, and what tells it from others without giving it away."""

    source: str
    fingerprint: str


def in_use() -> KeyInUse:
    """The key in use; made, if there is none yet.

    Raises:
        StoreError: it cannot be read or made.
    """
    named = "NBFLOW_STORE_KEY" in os.environ
    source = "the environment variable NBFLOW_STORE_KEY" if named else str(_path())
    return KeyInUse(source, seal.Seal(seal.load_secret()).fingerprint)


def _path() -> Path:
    return seal.secret_path()


def others(store: Path, mine: str) -> list[str]:
    """The fingerprints of other keys with which entries of a store were made."""
    homes = (journal.parent for journal in store.glob("*/journal"))
    return sorted(home.name for home in homes if home.name != mine and _holds(home))


def _holds(home: Path) -> bool:
    return (home / "shelf").exists() or any((home / "journal").glob("*.log"))


def backup(target: Path) -> None:
    """Write the key in use to a new file, which only its user can read.

    Raises:
        UsageError: the file is there.
        StoreError: it cannot be written.
    """
    secret = seal.load_secret()
    try:
        _write(target, secret)
    except FileExistsError:
        raise UsageError(f"{target} is there already: name a new file.") from None
    except OSError as error:
        raise refusal(error, "write the key", target) from error


def install(source: Path, *, force: bool = False) -> None:
    """Use the key in a file that `backup` wrote from now on, for all stores of this user.

    Raises:
        UsageError: the file holds no key, or another key is in use and ``force`` is not
            given.
        StoreError: it cannot be written.
    """
    secret, path = _read(source), _path()
    if "NBFLOW_STORE_KEY" in os.environ:
        raise UsageError(
            "NBFLOW_STORE_KEY is set, and goes before an installed key: unset it first."
        )
    try:
        if path.exists():
            if path.read_bytes() == secret:
                return
            _set_aside(path, force=force)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, secret)
    except OSError as error:
        raise refusal(error, "install the key", path) from error


def _set_aside(path: Path, *, force: bool) -> None:
    old = path.with_name(f"key.{seal.Seal(seal.load_secret()).fingerprint}")
    if not force:
        raise UsageError(
            f"Another key is in use ({path}); results that were saved with it would be"
            " computed again. `nbflow store key install --force FILE` keeps it as"
            f" {old.name} beside the new one."
        )
    path.replace(old)


def _read(source: Path) -> bytes:
    try:
        held = source.read_bytes()
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}.") from None
    if len(held) != seal.SECRET_BYTES:
        raise UsageError(
            f"{source} holds no key: a key has {seal.SECRET_BYTES} bytes, as `nbflow"
            " store key backup FILE` writes them."
        )
    return held


def _write(path: Path, secret: bytes) -> None:
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, secret)
        sync_file(fd)
    finally:
        os.close(fd)


def explained(mine: str, theirs: list[str]) -> str:
    """Why nothing of a store is found here, and how to bring its key."""
    return (
        f"what it holds was saved with another key ({', '.join(theirs)}; the one in use"
        f" here is {mine}), so every call is a miss here and runs again. To"
        " bring the key: `nbflow store key backup FILE` where the store was made,"
        " `nbflow store key install FILE` here; or set NBFLOW_STORE_KEY as it was there"
    )
