"""Handler: one request to the server of models, and what it is answered with."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from nbflow.testing import batch_services, deciding_protocols
from nbflow.testing.batch_services import Asked
from nbflow.testing.fault import Ends
from nbflow.testing.writing_protocols import (
    PROTOCOLS,
    Said,
    Text,
    error_body,
    texts_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow.testing.batch_jobs import Batches, BatchJob, Line
    from nbflow.testing.deciding_protocols import Decide
    from nbflow.testing.fault import Fault
    from nbflow.testing.writing_protocols import Json, Writing


class Serving(Ends, Protocol):
    """What a request needs of its server. `ModelServer` explains each."""

    root: str
    decide: Decide | None
    calls_itself: str
    tokens_of_decisions: int
    headers: dict[str, str]
    answered: int
    batches: Batches

    def note(self, handler: Handler) -> Fault | None:
        """Write a request down."""

    def ended_with(self, handler: Handler, status: int) -> None:
        """Write down the status of an answer."""

    def answers(self, texts: Sequence[Text], schema: Json) -> list[Json]:
        """The good answer to each text."""

    def good(self, texts: Sequence[Text], schema: Json) -> str:
        """The content of a good answer."""

    def said(self, content: str, finish: str, refusal: str | None, tool: str) -> Said:
        """An answer, with what it costs."""

    def answer_line(self, job: BatchJob, line: Line) -> tuple[int, Json]:
        """The status and the body of the answer to one line of a batch."""


class Handler(BaseHTTPRequestHandler):
    """One request and its answer: the `Exchange` that a fault spoils.

    Attributes:
        texts: the texts that the request is about.
        body: of the request, parsed; empty if it has none.
        data: of the request, as it came.
        route: the path without its query.
        query: what follows the question mark.
        key: of the account, as it was sent.
    """

    protocol_version = "HTTP/1.1"
    server: Serving  # type: ignore[assignment]  # always one of these

    def do_POST(self) -> None:  # what http.server calls
        """Answer a request that sends something."""
        self._begin()

    def do_GET(self) -> None:  # likewise
        """Answer a request that looks."""
        self._begin()

    def do_DELETE(self) -> None:  # likewise
        """Answer a request that deletes."""
        self._begin()

    def _begin(self) -> None:
        parts = urlsplit(self.path)
        self.route, self.query = parts.path, dict(parse_qsl(parts.query))
        self.data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        self.body: Json = json.loads(self.data) if "json" in kind and self.data else {}
        self.key = (
            self.headers.get("Authorization") or self.headers.get("x-api-key") or ""
        )
        self.texts: Sequence[Text] = self._texts()
        fault = self.server.note(self)
        if fault is not None:
            fault(self)
        else:
            self.answer()

    def _texts(self) -> list[Text]:
        if self.command != "POST":
            return []
        if self._decides:
            return [Text({"text": deciding_protocols.state_of(self.body)})]
        if self._writing is not None:
            return texts_in(self._writing.user(self.body))
        return []

    @property
    def _decides(self) -> bool:
        return deciding_protocols.decides(self.route)

    @property
    def _writing(self) -> Writing | None:
        return PROTOCOLS.get(self.route)

    @property
    def ends(self) -> Ends:
        """What a fault may wait for."""
        return self.server

    @property
    def asks_a_model(self) -> bool:
        """Whether it is a model that is asked, not a file or a batch."""
        return self._decides or self._writing is not None

    @property
    def schema(self) -> Json:
        """The JSON schema that the answer has to satisfy; empty for plain text."""
        return self._writing.schema(self.body) if self._writing is not None else {}

    # What it is answered with.

    def answer(self) -> None:
        """The good answer."""
        if self._decides:
            self.server.answered += 1
            self.give(200, self.good_body(), self.server.headers)
        elif self._writing is not None:
            self.complete(self.server.good(self.texts, self.schema))
        else:
            self._serve()

    def _serve(self) -> None:
        """Files and batches."""
        server = self.server
        asked = Asked(
            self.command,
            self.route,
            self.query,
            self.headers.get("Content-Type", ""),
            self.data,
            self.body,
            self.key,
            server.root,
            server.batches,
            server.answer_line,
        )
        found = batch_services.answer(asked)
        if found is None:
            said = f"{self.command} {self.route} is not served here."
            self.give(404, self.error_body(404, said, "not_found"), {})
            return
        status, body = found
        fault = self._fault_of_creation()
        if fault is not None:
            fault(self)
        elif isinstance(body, bytes):
            self.send(status, body, {}, "application/x-jsonl")
        else:
            self.give(status, body, {})

    def _fault_of_creation(self) -> Fault | None:
        """What a request that created a batch is answered with, if its script says so."""
        is_new = self.command == "POST" and self.route.endswith("/batches")
        jobs = list(self.server.batches.jobs.values())
        return jobs[-1].script.said if is_new and jobs else None

    def answers(self) -> list[Json]:
        """The good answer to each text, with the id that it came with."""
        return self.server.answers(self.texts, self.schema)

    def good_body(self) -> Json:
        """The body of the good answer."""
        if self._decides:
            server = self.server
            return deciding_protocols.answer(
                self.route,
                self.body,
                server.calls_itself,
                server.tokens_of_decisions,
                server.decide,
            )
        return self.completion(self.server.good(self.texts, self.schema))

    def completion(
        self, content: str, finish: str = "stop", refusal: str | None = None
    ) -> Json:
        """The body of an answer with this content."""
        assert self._writing is not None
        return self._writing.body(self._said(content, finish, refusal))

    def _said(self, content: str, finish: str, refusal: str | None) -> Said:
        tool = self._writing.tool(self.body) if self._writing is not None else ""
        return self.server.said(content, finish, refusal, "" if refusal else tool)

    def complete(
        self, content: str, finish: str = "stop", refusal: str | None = None
    ) -> None:
        """Answer with this content, as a stream if that was asked for."""
        assert self._writing is not None
        self.server.answered += 1
        said = self._said(content, finish, refusal)
        if not self.body.get("stream"):
            self.give(200, self._writing.body(said), self.server.headers)
            return
        lines = []
        for name, event in self._writing.events(said):
            lines.append(f"event: {name}\n" if name else "")
            whole = {"type": name, **event} if name else event
            lines.append(f"data: {json.dumps(whole)}\n\n")
        if self.route.endswith("completions"):
            lines.append("data: [DONE]\n\n")
        stream = "".join(lines).encode()
        self.send(200, stream, self.server.headers, "text/event-stream")

    def error_body(self, status: int, message: str, code: str | None = None) -> Json:
        """The body of an error, as the protocol words it."""
        return error_body(self.route, status, message, code)

    def give(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        """Send JSON."""
        self.send(status, json.dumps(body).encode(), headers)

    def send(
        self,
        status: int,
        data: bytes,
        headers: Mapping[str, str],
        kind: str = "application/json",
    ) -> None:
        """Send bytes; ``_`` in the name of a header is ``-``."""
        self.server.ended_with(self, status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: `ModelServer.requests` is the log."""
