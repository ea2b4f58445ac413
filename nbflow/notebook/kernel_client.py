"""Kernel client: nbclient's, which remembers the errors that a cell showed and then cleared."""

from __future__ import annotations

from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from nbclient import NotebookClient

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager
    from nbformat import NotebookNode

#: Seconds between two looks at a socket.
_LOOK = 0.5


class _Channel(AsyncZMQSocketChannel):
    """Takes a message within half a second, although the socket did not tell of it.

    A ZeroMQ socket tells once. If something is sent on it at that moment, as nbclient
    does for an Output widget, the sender takes the news and the reader waits forever.
    """

    async def get_msg(  # type: ignore[override]  # as there
        self, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the next message.

        Raises:
            Empty: none came within ``timeout`` seconds.
        """
        while timeout is None:
            try:
                return await super().get_msg(_LOOK)
            except Empty:
                continue
        return await super().get_msg(timeout)


class _Connection(AsyncKernelClient):
    shell_channel_class = _Channel
    iopub_channel_class = _Channel


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

    def create_kernel_manager(self) -> KernelManager:
        """Create the manager of the kernel that the cells run in."""
        manager = super().create_kernel_manager()
        manager.client_factory = _Connection
        return manager

    def output(self, *args: Any) -> NotebookNode | None:
        """Put what the kernel shows into the outputs of a cell."""
        shown = super().output(*args)
        if shown is not None and shown.output_type == "error":
            self.errors.append(shown)
        return shown
