"""Model server: a real HTTP server that speaks as providers of models do, and fails by script.

It answers chat completions, responses and decisions as OpenAI, messages as Anthropic,
and both providers' batches, on the loopback interface, at a free port. It needs nothing
beyond the standard library.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from nbflow.testing import faults as fault_of
from nbflow.testing.batch_jobs import Batches
from nbflow.testing.handler import Handler
from nbflow.testing.made_answers import made
from nbflow.testing.writing_protocols import PROTOCOLS, Said, error_body, texts_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow.testing.batch_jobs import BatchJob, Line
    from nbflow.testing.deciding_protocols import Decide
    from nbflow.testing.fault import Fault
    from nbflow.testing.writing_protocols import Json, Text

#: What a request costs here, in tokens, and what is answered; and what of a decision.
TOKENS, DECISION = (101, 13), 900
#: Tokens that were cached.
_CACHED = 3


@dataclass(slots=True)
class Seen:
    """One request, as the server saw it.

    Attributes:
        method: ``"POST"``, ``"GET"`` or ``"DELETE"``.
        path: that it was sent to.
        headers: by name, in lower case.
        body: parsed; empty if it had none.
        texts: that a model was asked about.
        records: the texts with what came with them: an id, what was wrong with the last
            answer.
        at: when, by the clock of the server's process.
        status: of the answer; 0 if there was none.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Json
    texts: list[str]
    records: list[Json]
    at: float
    status: int = 0
    data: bytes = field(default=b"", repr=False)

    def __getitem__(self, name: str) -> Any:
        """An attribute by its name."""
        return getattr(self, name)


class ModelServer(ThreadingHTTPServer):
    """A server of models. Counts and remembers every request.

    Attributes:
        url: for ``base_url=`` of what speaks as OpenAI: ``http://127.0.0.1:PORT/v1``.
        root: for what speaks as Anthropic, and others that add a version themselves.
        requests: what a model was asked, in order, each a `Seen`.
        log: every request, those for files and batches included.
        keys: the accounts' keys, as they were sent, one a request to a model.
        faults: what the next requests to a model meet, one each; ``None`` is a good
            answer.
        always: what all others meet.
        on: faults by path, such as ``"/v1/batches"``: what the next requests there meet.
        batches: files and batches: ``batches.scripts`` says what becomes of the next.
        allow: as many requests to a model in a window of as many seconds; 429 beyond.
        says_left: whether answers say how many are left.
        headers: of every good answer.
        calls_itself: what it says that answered.
        answered: requests that got an answer.
        hanging: set when a request hangs.
        gone: set when its client went away.
        ended: set when the server ends.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(
        self,
        answer: Callable[[Text], object] | None = None,
        decide: Decide | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.root}/v1"
        self.decide = decide
        self.calls_itself = "stub"
        self.tokens, self.tokens_of_decisions = TOKENS, DECISION
        self.faults: list[Fault | None] = []
        self.always: Fault | None = None
        self.on: dict[str, list[Fault | None]] = {}
        self.headers: dict[str, str] = {}
        self.allow: tuple[int, float] | None = None
        self.says_left = False
        self.requests: list[Seen] = []
        self.log: list[Seen] = []
        self.keys: list[str | None] = []
        self.answered = 0
        self.batches = Batches()
        self.hanging = threading.Event()
        self.gone = threading.Event()
        self.ended = threading.Event()
        self._answer = answer
        self._starts: list[float] = []
        self._seen: dict[Handler, Seen] = {}
        self._mutex = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def texts(self) -> list[list[str]]:
        """The texts of each request to a model."""
        return [request.texts for request in self.requests]

    # What is answered.

    def answers(self, texts: Sequence[Text], schema: Json) -> list[Json]:
        """The good answer to each text, with the id that it came with."""
        one = _of_one(schema) if len(texts) > 1 else schema
        return [
            ({} if text.id is None else {"id": text.id}) | self._object(text, one)
            for text in texts
        ]

    def _object(self, text: Text, schema: Json) -> Json:
        said = made(schema, text) if self._answer is None else self._answer(text)
        if not isinstance(said, Mapping):
            said = {"answer": said}
        properties = schema.get("properties")
        asked = said if properties is None else properties.keys() & said.keys()
        return {name: part for name, part in said.items() if name in asked}

    def good(self, texts: Sequence[Text], schema: Json) -> str:
        """The content of a good answer."""
        if len(texts) > 1:
            return json.dumps({"answers": self.answers(texts, schema)})
        if not schema:
            return self._plain(texts[0])
        return json.dumps(self._object(texts[0], schema))

    def _plain(self, text: Text) -> str:
        if self._answer is None:
            return f"You said: {text}"
        said = self._answer(text)
        return said if isinstance(said, str) else json.dumps(said)

    def said(self, content: str, finish: str, refusal: str | None, tool: str) -> Said:
        """An answer, with what it costs."""
        return Said(
            content, finish, refusal, tool, self.calls_itself, self.tokens, _CACHED
        )

    def answer_line(self, job: BatchJob, line: Line) -> tuple[int, Json]:
        """The status and the body of the answer to one line of a batch."""
        protocol = PROTOCOLS[line.url]
        status = job.script.wrong(line.custom_id, line.body)
        if status is not None:
            return status, error_body(line.url, status, f"error {status}")
        schema = protocol.schema(line.body)
        content = self.good(texts_in(protocol.user(line.body)), schema)
        tool = protocol.tool(line.body)
        return 200, protocol.body(self.said(content, "stop", None, tool))

    # What is noted.

    def note(self, handler: Handler) -> Fault | None:
        """Write a request down; returns what happens in the place of a good answer."""
        with self._mutex:
            seen = _seen(handler)
            self.log.append(seen)
            self._seen[handler] = seen
            scripted = self.on.get(handler.route)
            if scripted:
                return scripted.pop(0)
            if not handler.asks_a_model:
                return None
            self.requests.append(seen)
            self.keys.append(handler.key or None)
            if self.allow is not None and (refused := self._beyond(*self.allow)):
                return refused
            return self.faults.pop(0) if self.faults else self.always

    def ended_with(self, handler: Handler, status: int) -> None:
        """Write down the status of an answer."""
        with self._mutex:
            seen = self._seen.pop(handler, None)
            if seen is not None:
                seen.status = status

    def _beyond(self, most: int, window: float) -> Fault | None:
        """The refusal of a request that is one too many."""
        now = time.monotonic()
        self._starts = [start for start in self._starts if start > now - window]
        is_full = len(self._starts) >= most
        if not is_full:
            self._starts.append(now)
        if self.says_left:
            self.headers = {
                "x-ratelimit-remaining-requests": str(most - len(self._starts)),
                "x-ratelimit-reset-requests": f"{window:g}s",
            }
        if not is_full:
            return None
        code = "rate_limit_exceeded"
        headers = self.headers | {"retry_after": f"{window:g}"}
        return fault_of.error(429, "slow down", code, **headers)

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that go away."""

    def close(self) -> None:
        """End the server; requests that hang end with it."""
        self.ended.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


@contextmanager
def llm_server(
    answer: Callable[[Text], object] | None = None,
    *,
    decide: Decide | None = None,
) -> Iterator[ModelServer]:
    """A server of models for one test: real HTTP on the loopback interface, faults by script.

    It speaks OpenAI's chat completions, responses and decisions, System One, Anthropic's
    messages, and the batches of OpenAI and Anthropic. Every request is in ``requests``.

    Args:
        answer: what the model says of a text: a dict for a label or a record, a text for
            plain text; left out, something of the form that was asked for.
        decide: what a decision model chooses: a function of the text, the name of the
            question and its options (none if it is answered by yes or no) that returns
            one of them, a truth value, or ``{option: probability}``.

    Example:
        >>> from nbflow.testing import faults, llm_server
        >>> with llm_server(lambda text: {"label": "bug", "confidence": 0.9}) as server:
        ...     server.faults = [faults.error(429, "slow down", retry_after=0)]
        ...     categorize = nf.llm.categorizer(
        ...         ["bug", "billing"], model="openai:stub", base_url=server.url
        ...     )
        ...     categorize("it crashes").label, len(server.requests)
        ('bug', 2)

        As a fixture of pytest::

            @pytest.fixture
            def models():
                with nbflow.testing.llm_server() as server:
                    yield server
    """
    server = ModelServer(answer, decide)
    try:
        yield server
    finally:
        server.close()


def _of_one(schema: Json) -> Json:
    """The schema of the answer to one of several texts."""
    inside: Json = schema.get("properties", {}).get("answers", {}).get("items", {})
    properties = {
        name: part
        for name, part in inside.get("properties", {}).items()
        if name != "id"
    }
    return inside | {"properties": properties}


def _seen(handler: Handler) -> Seen:
    return Seen(
        method=handler.command,
        path=handler.path,
        headers={name.lower(): value for name, value in handler.headers.items()},
        body=handler.body,
        texts=[*map(str, handler.texts)],
        records=[text.record for text in handler.texts],
        at=time.time(),
        data=handler.data,
    )
