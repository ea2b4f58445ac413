"""Job lock: one copy of a job at a time.

The system releases the lock when its holder dies, in whatever way.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from nbflow._store.folder import (
    lock_file,
    open_private,
    prepare,
    private_folder,
    refusal,
)
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Seconds between two attempts to get the lock.
_GLANCE = 0.2


class BusyError(UsageError):
    """Another copy is at work, and the caller does not want to wait."""

    exit_code = 75  # to a shell: try again later


@contextmanager
def job_lock(
    store: Path, names: list[str], *, waits: Callable[[str], None] | None
) -> Iterator[None]:
    """Hold the lock of every one of ``names`` on a store.

    Args:
        store: the store's folder; made if it is not there.
        names: what no other process may work on, such as an output file.
        waits: called with who is at work when the wait begins; ``None`` does not wait.

    Raises:
        BusyError: another process has one of them, and ``waits`` is ``None``.
        StoreError: the folder cannot be used.
    """
    folder = store / "jobs"
    prepare(store)
    with ExitStack() as held:
        # In one order for every process, so that no two wait for each other.
        for name in sorted(set(map(_file_name, names))):
            try:
                private_folder(folder)
                file = open_private(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT)
            except OSError as error:
                raise refusal(error, "lock the job", folder) from error
            held.callback(os.close, file)
            _take(file, waits)
        yield


def _file_name(name: str) -> str:
    data = name.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:40]


def _take(file: int, waits: Callable[[str], None] | None) -> None:
    """Lock a file and write into it who has it."""
    told = False
    while not lock_file(file):
        holder = os.pread(file, 100, 0).decode("ascii", "replace").strip()
        process = f" (process {holder})" if holder else ""
        who = f"another copy of this job is at work{process}"
        if waits is None:
            raise BusyError(
                f"{who[0].upper()}{who[1:]}; run without --no-wait to wait for it."
            )
        if not told:
            waits(who)
            told = True
        time.sleep(_GLANCE)
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
