"""Beside: work that a second thread does meanwhile.

A thread for each, not a pool: threads of a pool would be missing in a forked child. It
pays for work of a millisecond or more that lets other threads run.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Beside", "hash_threads", "shared_out"]

T = TypeVar("T")
_hash_threads = blake3.AUTO


def hash_threads() -> int:
    """How many threads BLAKE3 may use for large data."""
    return _hash_threads


def _one_thread() -> None:
    """Use no threads of BLAKE3 in a forked child.

    It has the pool without its threads, and would wait for them forever.
    """
    global _hash_threads  # noqa: PLW0603  # a fact about this process
    _hash_threads = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread)


class Beside(Generic[T]):
    """Begins at once, if a thread can be had; `result` waits for it, or does it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="nbflow beside")
        #: Whether a thread does it.
        self.began = True
        try:
            self._thread.start()
        except RuntimeError:  # there are too many, or the interpreter ends
            self.began = False

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """What the work returned.

        Raises:
            BaseException: what it raised.
        """
        if self.began:
            self._thread.join()
        else:
            self._run()
        if self._error is not None:
            raise self._error
        return self._results[0]


def shared_out(
    own: Sequence[Callable[[], T]], free: Sequence[Callable[[], T]]
) -> tuple[list[T], list[T]]:
    """What functions return, in their order.

    Args:
        own: are called on this thread, in their order.
        free: are called meanwhile, and then on both threads: each begins the next one.
    """
    results: list[Any] = [None] * len(free)
    waiting = deque(enumerate(free))

    def work() -> None:
        while True:
            try:
                place, job = waiting.popleft()
            except IndexError:
                return
            results[place] = job()

    beside = Beside(work)
    try:
        done = [job() for job in own]
        work()
    finally:
        waiting.clear()  # if one of them raised
        beside.result()
    return done, results
