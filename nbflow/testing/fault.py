"""Fault: what happens to a request in the place of a good answer, and what it can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from nbflow.testing.writing_protocols import Json, Text

    #: A function of the exchange that it spoils.
    Fault: TypeAlias = Callable[["Exchange"], None]


class Ends(Protocol):
    """What a fault needs of a server.

    Attributes:
        ended: set when the server ends.
        hanging: set when a request hangs.
        gone: set when its client went away.
    """

    ended: threading.Event
    hanging: threading.Event
    gone: threading.Event


class Exchange(Protocol):
    """One request to the server of models, and its answer.

    Attributes:
        texts: that a model was asked about.
        body: of the request, parsed.
        connection: the socket.
        close_connection: whether the connection ends with this answer.
    """

    texts: Sequence[Text]
    body: Json
    connection: socket.socket
    close_connection: bool

    @property
    def ends(self) -> Ends:
        """What it may wait for."""

    def answer(self) -> None:
        """Give the good answer."""

    def answers(self) -> list[Json]:
        """The good answer to each text, with the id that it came with."""

    def good_body(self) -> Json:
        """The body of the good answer."""

    def completion(
        self, content: str, finish: str = "stop", refusal: str | None = None
    ) -> Json:
        """The body of an answer with this content."""

    def complete(
        self, content: str, finish: str = "stop", refusal: str | None = None
    ) -> None:
        """Answer with this content."""

    def error_body(self, status: int, message: str, code: str | None = None) -> Json:
        """The body of an error, as the protocol words it."""

    def give(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        """Send JSON."""

    def send(
        self, status: int, data: bytes, headers: Mapping[str, str], kind: str = ...
    ) -> None:
        """Send bytes."""
