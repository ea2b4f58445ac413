"""Location: where the store of a notebook is, and how to open it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbflow._key.log_text import log
from nbflow._store.store import MemoryStore
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from nbflow._store.store import Store

__all__ = ["find", "make", "open_store"]

_LOG = logging.getLogger("nbflow.store")


def find(start: Path | None = None) -> Path:
    """The folder of the store for work in ``start`` (the working directory by default).

    ``NBFLOW_STORE`` if it is set; else the nearest ``.nbflow`` in ``start`` or above
    it, as git looks for its own; else ``.nbflow`` in ``start``. The search ends at a
    mount point and at the home directory: what lies above belongs to somebody else.
    """
    named = os.environ.get("NBFLOW_STORE")
    if named:
        return Path(named).expanduser()
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
        StoreError: this system does not support a store on disk.
    """
    if str(url) == "memory:":
        return MemoryStore()
    if os.name != "posix":
        raise StoreError(
            "A store on disk needs Linux, macOS or WSL: "
            "use NBFLOW_STORE=memory: on this system."
        )
    from nbflow._store.disk.disk_store import open_disk

    log(_LOG, logging.INFO, "opens the store %s", url)
    return open_disk(Path(url).expanduser(), durability=durability)


def make(url: str | Path) -> None:
    """Make the folder of the store at ``url`` now, where the user names it, unless it is there.

    Raises:
        UsageError: nothing is named.
        StoreError: it cannot be made or used.
    """
    if not str(url).strip():
        raise UsageError('nf.use("") names no folder: nf.use(".nbflow"), for example.')
    if str(url) != MemoryStore.url and os.name == "posix":
        from nbflow._store.folder import prepare

        prepare(Path(url).expanduser().resolve())
