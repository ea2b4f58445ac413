"""Traces: the files that still hold what was erased: of the store, and beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._run import byte_search
from nbflow._store.store import MemoryStore
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nbflow._run.wanted import Wanted

__all__ = ["elsewhere", "left"]

#: Files beside the store that may name a run, and the largest that is looked into.
_SUFFIXES = frozenset({".ipynb", ".json", ".html", ".csv", ".py"})
_LARGEST = 100_000_000
#: The id of a run, see `Runs.new_id`.
_RUN = re.compile(rb"(?<![0-9-])\d{8}-\d{6}-\d{3}[0-9a-f]{4}(?![0-9a-f-])")


def left(store: str, wanted: Wanted) -> list[str]:
    """The files of a store that still hold the text, or that cannot be read.

    Raises:
        StoreError: they could not be looked into.
    """
    if store == MemoryStore.url or not wanted.needles:
        return []
    folder = os.fsencode(store)
    said = b"\n".join(part.hex().encode() for part in (folder, *wanted.needles))
    try:
        # Another process: see there.
        found = subprocess.run(  # noqa: S603  # our own file, by this Python
            [sys.executable, "-I", byte_search.__file__],
            input=said,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise StoreError(
            "What there was of it is erased, but the files of the store could not be"
            f" looked through for what may be left: {error}. Erase again to have them"
            " looked through."
        ) from error
    lines = found.stdout.decode().split()
    return [os.fsdecode(bytes.fromhex(line)) for line in lines]


def elsewhere(
    store: str, wanted: Wanted, names: Collection[str], known: Collection[str]
) -> Iterator[str]:
    """Notebooks and exports beside a store that name a run, or hold the text.

    Args:
        store: where it is.
        wanted: what is erased.
        names: runs that had it.
        known: all runs. Where a record is erased, a file that names another one counts:
            nobody knows any more whose records that had.
    """
    if store == MemoryStore.url:
        return
    needles = [*(name.encode() for name in names), *wanted.needles]
    for path in _files_beside(Path(store).resolve()):
        is_named = bool(needles) and byte_search.holds(path, needles)
        is_unclear = wanted.record is not None and _names_a_deleted_run(path, known)
        if is_named or is_unclear:
            yield str(path)


def _names_a_deleted_run(path: Path, known: Collection[str]) -> bool:
    try:
        blob = path.read_bytes()
    except OSError:
        return path.exists()  # it cannot be read, and may
    return any(found.decode() not in known for found in _RUN.findall(blob))


def _files_beside(store: Path) -> Iterator[Path]:
    """Files that may be output notebooks or exports, without those in hidden folders and environments."""
    for place, folders, files in os.walk(store.parent):
        folders[:] = sorted(
            name for name in folders if not _is_passed_over(Path(place, name), store)
        )
        for name in sorted(files):
            path = Path(place, name)
            is_meant = path.suffix in _SUFFIXES and not name.startswith(".")
            if is_meant and _is_small(path):
                yield path


def _is_passed_over(folder: Path, store: Path) -> bool:
    if folder.name.startswith(".") or folder.name == "node_modules":
        return True
    # Packages are no exports.
    return folder == store or (folder / "pyvenv.cfg").exists()


def _is_small(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size < _LARGEST
    except OSError:
        return False  # it went meanwhile
