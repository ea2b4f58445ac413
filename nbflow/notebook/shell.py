"""Shell: what step cells use of an IPython, which a plain script has to stand in for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

#: The names of a notebook with their values, which are the user's.
Space: TypeAlias = "dict[str, Any]"
#: What is shown, by MIME type.
MimeBundle: TypeAlias = "dict[str, Any]"


class DisplayPublisher(Protocol):
    """Shows what ``display(...)`` is given."""

    def publish(self, data: MimeBundle, metadata: MimeBundle, /) -> None:
        """Show this."""


class DisplayHook(Protocol):
    """Shows the value of a cell's last expression, in these steps."""

    def start_displayhook(self) -> None:
        """Begin."""

    def write_output_prompt(self) -> None:
        """Write ``Out[n]``."""

    def write_format_data(self, data: MimeBundle, metadata: MimeBundle, /) -> None:
        """Write the value."""

    def finish_displayhook(self) -> None:
        """End, and send what was written."""


class Events(Protocol):
    """What happens in an IPython."""

    def register(self, event: str, function: Callable[..., object], /) -> None:
        """Have a function called whenever it happens."""


class Shell(Protocol):
    """An IPython, or what stands in for one."""

    user_ns: Space
    user_ns_hidden: Space
    input_transformers_cleanup: list[Callable[[list[str]], list[str]]]

    @property
    def events(self) -> Events | None:
        """Where one registers for what happens; ``None`` in a script, where no cells run."""

    @property
    def ast_node_interactivity(self) -> str:
        """Which expressions are shown: ``"all"``, ``"last_expr"``, ``"none"``, ..."""

    @property
    def ast_transformers(self) -> list[Any]:
        """What changes the tree of a cell before it runs."""

    @property
    def display_pub(self) -> DisplayPublisher:
        """What ``display(...)`` uses."""

    @property
    def displayhook(self) -> DisplayHook:
        """What shows the value of an expression."""
