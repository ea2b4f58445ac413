"""Kernel client: nbclient's, which remembers the errors that a cell showed and then cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode


class KernelClient(NotebookClient):
    """Runs cells.

    Attributes:
        errors: what the cell under way has shown as errors, cleared or not.
    """

    def __init__(self, document: NotebookNode) -> None:
        super().__init__(
            document, timeout=None, kernel_name="python3", store_widget_state=False
        )
        self.errors: list[NotebookNode] = []

    def output(self, *args: Any) -> NotebookNode | None:
        """Put what the kernel shows into the outputs of a cell."""
        shown = super().output(*args)
        if shown is not None and shown.output_type == "error":
            self.errors.append(shown)
        return shown
