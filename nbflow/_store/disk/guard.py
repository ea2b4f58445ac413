"""Guard: who uses the shelf. Writers share it; a process that deletes, sweeps or salvages has it alone.

Writers come and go all the time, so that one who must be alone would wait for ever. So
he bars the turnstile meanwhile, at which new writers stop. It is a courtesy: they go
past it after a while, as he may be stopped (Ctrl-Z) himself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from nbflow._store.folder import lock_file, open_private, unlock_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Guard", "Patience"]

#: Seconds to wait at the turnstile, and for anything after a wait that failed.
_COURTESY, _SHORT = 1.0, 0.1


class Patience:
    """How long to wait for other processes, in seconds.

    A process whose wait failed waits no more until something is granted: a batch would wait for
    a process that is stopped once for each of its values.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._in_vain = False

    @property
    def seconds(self) -> float:
        """The longest to wait now."""
        return min(self._timeout, _SHORT) if self._in_vain else self._timeout

    def learn(self, *, granted: bool) -> None:
        """Take note of how a wait ended."""
        self._in_vain = not granted


class Guard:
    """A file that is locked with ``flock``, each time by a descriptor of its own.

    So threads exclude each other as processes do, and the kernel releases it whatever
    happens. Never take it twice on one thread.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._turnstile = path.with_name("turnstile")
        self._patience = Patience(timeout)
        self._courtesy = Patience(min(timeout, _COURTESY))

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Use the shelf beside others.

        Raises:
            TimeoutError: somebody has it alone and does not give it back.
        """
        # A full disk has no place for a new file: whatever this says, it is a courtesy.
        with contextlib.suppress(OSError):
            _take(self._turnstile, self._courtesy, alone=False).close()
        with contextlib.closing(_take(self._path, self._patience, alone=False)):
            yield

    @contextlib.contextmanager
    def alone(self, most: float | None = None) -> Iterator[None]:
        """Use the shelf while nobody else does.

        Args:
            most: the longest to wait for that, in seconds; 0 tries once.

        Raises:
            TimeoutError: others use it.
        """
        patience = self._patience if most is None else Patience(most)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                bar = _take(self._turnstile, patience, alone=True)
                stack.callback(bar.close)
            lock = _take(self._path, patience, alone=True)
            stack.callback(lock.close)
            yield


class _Lock:
    """An open file whose ``flock`` is ours."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        # Closing is not enough: a child that another thread has forked meanwhile has
        # the file open, too.
        unlock_file(self._fd)
        os.close(self._fd)


def _take(path: Path, patience: Patience, *, alone: bool) -> _Lock:
    fd = open_private(path, os.O_RDWR | os.O_CREAT)
    granted = False
    try:
        granted = _is_locked_within(patience.seconds, fd, alone=alone)
        patience.learn(granted=granted)
    finally:
        if not granted:
            os.close(fd)
    if not granted:
        message = "locked by another process"
        raise TimeoutError(errno.ETIMEDOUT, message, str(path))
    return _Lock(fd)


def _is_locked_within(seconds: float, fd: int, *, alone: bool) -> bool:
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not lock_file(fd, alone=alone):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True
