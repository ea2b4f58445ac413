"""Mapping: a value file in memory without a copy, as long as nobody changes it in place.

nbflow never does: it writes a file once, and removes it. But another program may, a
restored backup say, and what it writes would show in a frame that was loaded and
verified before. If it makes the file shorter, the process dies of SIGBUS.

So a file is mapped only under a *lease* of the kernel, which is granted while nobody
can write to it. Who opens it to write or makes it shorter then waits (for 45 s by
default), until we have put copies in the place of the pages and given the lease back. A
thread looks for such a wish. Where there is no lease (macOS, network disks), the file
is read instead.

A mapping is private: what is changed in it is in this process alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import threading
import time
import weakref

from nbflow._key import fork

__all__ = ["mapped"]

#: Files that are mapped at once: each takes two descriptors, of 1,024 mostly.
_MOST = 64
#: Seconds between two looks, and bytes that are copied at once, with all threads
#: stopped, so that none of them changes a page that is copied.
_PAUSE, _STEP = 0.2, 1 << 24
#: Sent to who holds a lease that somebody waits for. It ends no process, as SIGIO would.
_SIGNAL = signal.SIGURG
_SET_SIGNAL = 10  # F_SETSIG of Linux, which fcntl does not name
_MOVE_THERE = 1 | 2  # MREMAP_MAYMOVE | MREMAP_FIXED


def mapped(fd: int) -> memoryview | None:
    """The file, private to this process, to be read and written; ``None`` if it has to be read instead.

    Args:
        fd: a descriptor that was opened to read. It stays the caller's.
    """
    return None if _SYSTEM is None else _LEASES.mapped(fd)


def _system() -> ctypes.PyDLL:
    """The C library, called without giving up Python's lock: no thread of Python writes to a page in between."""
    library = ctypes.PyDLL(None)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.mmap.restype = library.mremap.restype = pointer
    library.mmap.argtypes = [pointer, size, number, number, number, ctypes.c_long]
    library.mremap.argtypes = [pointer, size, size, number, pointer]
    return library


class _Leases:
    """Files that are mapped, each under a lease."""

    def __init__(self) -> None:
        self._mappings: dict[int, weakref.ref[mmap.mmap]] = {}
        self._watching = fork.free_lock()
        #: Whose pages were copied; the lease goes a round later, as a forked child has
        #: pages of its own to copy.
        self._detached: set[int] = set()
        fork.watch(self)

    def mapped(self, fd: int) -> memoryview | None:
        if len(self._mappings) >= _MOST:
            return None
        try:
            own = os.dup(fd)
        except OSError:
            return None
        try:
            mapping = _leased(own)
        except (OSError, ValueError, MemoryError):
            os.close(own)
            return None
        self._mappings[own] = weakref.ref(mapping)
        # A lease ends with the last descriptor: the mapping has one, too.
        weakref.finalize(mapping, self._release, own).atexit = False
        with contextlib.suppress(RuntimeError):  # no thread to look, no mapping
            self._watch()
            return memoryview(mapping)
        return None

    def _release(self, fd: int) -> None:
        self._mappings.pop(fd, None)
        self._detached.discard(fd)
        with contextlib.suppress(OSError):
            os.close(fd)

    def _watch(self) -> None:
        """Have a thread look, unless there is one."""
        if not self._watching.acquire(blocking=False):
            return
        try:
            threading.Thread(
                target=self._run, name="nbflow leases", daemon=True
            ).start()
        except BaseException:
            self._watching.release()
            raise

    def after_fork(self) -> None:
        """Look in the child, too: it has the mappings and not the thread."""
        if self._mappings:
            self._watch()

    def _run(self) -> None:
        try:
            while self._mappings:
                time.sleep(_PAUSE)
                self._look()
        finally:
            self._watching.release()
        if self._mappings:  # one that came in between
            self._watch()

    def _look(self) -> None:
        for fd, found in self._mappings.copy().items():
            # While we hold it, its descriptor is not closed and used again.
            mapping = found()
            if mapping is None or _is_leased(fd):
                continue
            if fd in self._detached:
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            elif detach(mapping):  # or there is no memory: who waits goes on waiting
                self._detached.add(fd)


_SYSTEM = _system() if hasattr(fcntl, "F_SETLEASE") else None
_FAILED = ctypes.c_void_p(-1).value
_LEASES = _Leases()


def _leased(fd: int) -> mmap.mmap:
    """Map a file under a lease.

    Raises:
        OSError: the disk has no leases, or somebody can write to the file.
    """
    fcntl.fcntl(fd, _SET_SIGNAL, _SIGNAL)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    return mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)


def _is_leased(fd: int) -> bool:
    """Whether nobody waits for the lease, and nobody closed its descriptor."""
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK)
    except OSError:
        return False


def detach(mapping: mmap.mmap) -> bool:
    """Put copies in the place of all pages of a mapping, at the same addresses.

    Copies that the kernel makes of single pages would not do: it takes them away with
    the end of the file.

    Returns whether there was memory for all of them.
    """
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    return all(
        _replace(start + place, min(_STEP, len(mapping) - place))
        for place in range(0, len(mapping), _STEP)
    )


def _replace(address: int, length: int) -> bool:
    rights = mmap.PROT_READ | mmap.PROT_WRITE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    assert _SYSTEM is not None
    copy = _SYSTEM.mmap(None, length, rights, flags, -1, 0)
    if copy == _FAILED:
        return False
    ctypes.memmove(copy, address, length)
    moved = _SYSTEM.mremap(copy, length, length, _MOVE_THERE, address)
    return bool(moved != _FAILED)
