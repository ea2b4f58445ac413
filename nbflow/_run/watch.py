"""Watch: hands the state of a run to the display that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nbflow._call import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._core.entry import RunState


class Watcher(Protocol):
    """Shows a run while it is worked on: now and again, and once at the end.

    Attributes:
        has_rows: whether it shows the rows of records, which are then kept for it.
    """

    has_rows: bool

    def begin(self, state: RunState) -> None:
        """Show a run that begins, or continues, in this cell."""

    def show(self, state: RunState) -> None:
        """Show the run as it stands."""

    def end(self, state: RunState) -> None:
        """Show the run as it came out."""


class Watch:
    """The pictures of one run. A watcher that raises gets no further one, and the run continues."""

    def __init__(
        self, watcher: Watcher | None, say: Callable[[str], None], *, is_begun: bool
    ) -> None:
        self._watcher = watcher
        self._say = say
        self._is_begun = is_begun
        #: Returns whether somebody watches.
        self.is_on = watcher is not None

    def show(self, state: RunState) -> None:
        """Give the watcher a picture."""
        if self._watcher is None or not self.is_on:
            return
        show = self._watcher.show if self._is_begun else self._watcher.begin
        self._is_begun = True
        self._try(show, state)

    def end(self, state: RunState) -> None:
        """Give the watcher the last picture, also one that raised before."""
        if self._watcher is not None:
            self._try(self._watcher.end, state)

    def _try(self, show: Callable[[RunState], None], state: RunState) -> None:
        try:
            show(state)
        except Exception as error:
            self.is_on = False
            self._say(
                f"The table of the run cannot be shown: {failure.describe(error)}"
            )
