"""Location: where the store of a notebook is, and how to open it."""

from __future__ import annotations

import logging
import os
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbflow._key.log_text import log
from nbflow._store.store import MemoryStore
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from nbflow._store.store import Store

__all__ = ["find", "folder_at", "make", "open_store"]

_LOG = logging.getLogger("nbflow.store")
#: A URL (a Path has lost one of its slashes), a place as scp and rsync write it, words
#: of a database: none is a folder, and each would make one of its name.
_ADDRESS = re.compile(
    r"\s*(?:(?P<scheme>[a-z][a-z0-9+.-]+):/|[^/]*@[^/:]+:|[^/]*:[^/]*@|:memory:$|\w+=\S+\s+\w+=)",
    re.IGNORECASE,
)


def folder_at(place: str | Path) -> Path:
    """The folder that ``place`` names; ``"memory:"`` stays as it is.

    Raises:
        UsageError: it is the address of something else. The message does not repeat it,
            as there may be a password in it.
    """
    if not isinstance(place, str | PathLike):
        raise UsageError(
            f"{place!r} cannot be the store: name a folder of this machine, such as"
            ' "~/project/.nbflow", or "memory:".'
        )
    found = _ADDRESS.match(str(place))
    if found is None:
        try:
            return Path(place).expanduser()
        except RuntimeError as error:  # of `~nobody`
            raise UsageError(f"{place} cannot be the store: {error}") from error
    scheme = found["scheme"]
    what = f"A URL ({scheme}:)" if scheme else "The address of something else"
    raise UsageError(
        f"{what} cannot be the store: name a folder of this machine, such as"
        ' "~/project/.nbflow", or "memory:".'
    )


def find(start: Path | None = None) -> Path:
    """The folder of the store for work in ``start`` (the working directory by default).

    ``NBFLOW_STORE`` if it is set; else the nearest ``.nbflow`` in ``start`` or above
    it, as git looks for its own; else ``.nbflow`` in ``start``. The search ends at a
    mount point and at the home directory: what lies above belongs to somebody else.
    """
    named = os.environ.get("NBFLOW_STORE")
    if named:
        return folder_at(named)
    start = (start or Path.cwd()).resolve()
    home = Path.home()
    for folder in (start, *start.parents):
        if folder.stat().st_dev != start.stat().st_dev:
            break
        if (folder / ".nbflow").is_dir():
            return folder / ".nbflow"
        if folder == home:
            break
    return start / ".nbflow"


def open_store(
    url: str | Path, *, durability: Literal["process", "power"] = "process"
) -> Store:
    """The store at ``url``.

    Args:
        url: ``"memory:"``, or the path of a folder, which is created at first use.
        durability: what a saved result survives: the death of the process, or also a
            power failure.

    Raises:
        UsageError: it is the address of something else.
        StoreError: this system does not support a store on disk.
    """
    folder = folder_at(url)
    if str(folder) == "memory:":
        return MemoryStore()
    if not _has_disks():
        raise StoreError(
            "A store on disk needs Linux, macOS or WSL: "
            "use NBFLOW_STORE=memory: on this system."
        )
    from nbflow._store.disk.disk_store import open_disk

    log(_LOG, logging.INFO, "opens the store %s", url)
    return open_disk(folder, durability=durability)


def _has_disks() -> bool:
    """Whether a store on disk can live on this system."""
    from nbflow._store.locking import FcntlLocks, system

    return os.name == "posix" and isinstance(system(), FcntlLocks)


def make(url: str | Path) -> None:
    """Make the folder of the store at ``url`` now, where the user names it, unless it is there.

    Raises:
        UsageError: nothing is named, or the address of something else.
        StoreError: it cannot be made or used.
    """
    if not str(url).strip():
        raise UsageError('nf.use("") names no folder: nf.use(".nbflow"), for example.')
    if str(url) != MemoryStore.url and _has_disks():
        from nbflow._store.folder import prepare

        prepare(folder_at(url).resolve())
