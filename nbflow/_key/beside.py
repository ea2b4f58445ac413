"""Beside: work that a second thread does meanwhile.

A thread for each, not a pool: threads of a pool would be missing in a forked child. It
pays for work of a millisecond or more that lets other threads run.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Beside"]

T = TypeVar("T")


class Beside(Generic[T]):
    """Begins at once; `result` waits for it, and does it if no thread could be had."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="nbflow beside")
        try:
            self._thread.start()
        except RuntimeError:  # too many, or the interpreter ends
            self._run()

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
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]
