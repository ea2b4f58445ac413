"""Writing protocols: chat completions, responses and messages, as servers of models speak them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: JSON as it is parsed or sent.
Json: TypeAlias = dict[str, Any]


class Text(str):
    """A text that was sent.

    Attributes:
        id: that it came with, if it was one of several.
        record: everything that came with it.
    """

    __slots__ = ("id", "record")

    id: str | None
    record: Json

    def __new__(cls, record: Json) -> Text:  # noqa: PYI034  # a str cannot be generic here
        """A text of a record that has one."""
        text = super().__new__(cls, record["text"])
        text.id = record.get("id")
        text.record = record
        return text


class Said(NamedTuple):
    """What the server says.

    Attributes:
        content: a text, or the arguments of a tool as JSON.
        finish: ``"stop"``, ``"length"`` or ``"content_filter"``.
        refusal: what is said instead, if anything.
        tool: the name of the tool whose call is the answer, if there is one.
        model: what the server calls itself.
        tokens: of the request and of the answer.
        cached: tokens of the request that were cached.
    """

    content: str
    finish: str
    refusal: str | None
    tool: str
    model: str
    tokens: tuple[int, int]
    cached: int


class Writing(Protocol):
    """One protocol of models that write."""

    def user(self, body: Json) -> str:
        """What the user says, of a request."""

    def schema(self, body: Json) -> Json:
        """The JSON schema that the answer has to satisfy; empty if plain text is asked for."""

    def tool(self, body: Json) -> str:
        """The name of the tool that is to be called, if one is."""

    def body(self, said: Said) -> Json:
        """An answer."""

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        """The same as a stream of events; an event without a name has none."""


class Chat:
    """OpenAI's chat completions, which most servers of one's own speak."""

    def user(self, body: Json) -> str:
        """The last message."""
        return _joined(body["messages"][-1]["content"])

    def schema(self, body: Json) -> Json:
        """Of the response format, or of the first tool."""
        form = body.get("response_format") or {}
        tools = body.get("tools") or [{}]
        found: Json = form.get("json_schema", {}).get("schema")
        return found or tools[0].get("function", {}).get("parameters", {})

    def tool(self, body: Json) -> str:
        """The first tool."""
        tools = body.get("tools") or [{}]
        return str(tools[0].get("function", {}).get("name", ""))

    def body(self, said: Said) -> Json:
        """A completion with one choice."""
        message: Json = {
            "role": "assistant",
            "content": None if said.tool else said.content,
            "refusal": said.refusal,
        }
        if said.tool:
            called = {"name": said.tool, "arguments": said.content}
            message["tool_calls"] = [
                {"id": "call_1", "type": "function", "function": called}
            ]
        choice = {"index": 0, "message": message, "finish_reason": said.finish}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": said.model,
            "choices": [choice],
            "usage": self._usage(said),
        }

    @staticmethod
    def _usage(said: Said) -> Json:
        asked, answered = said.tokens
        return {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
        }

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        """Chunks: the role, the text, the end, what it used."""
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        chunk["model"] = said.model
        message = self.body(said)["choices"][0]["message"]
        for call in message.get("tool_calls", ()):
            call["index"] = 0
        delta = {name: part for name, part in message.items() if part is not None}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield "", chunk | {"choices": [choice]}
        end = {"index": 0, "delta": {}, "finish_reason": said.finish}
        yield "", chunk | {"choices": [end], "usage": self._usage(said)}


class Responses:
    """OpenAI's responses."""

    def user(self, body: Json) -> str:
        """The last item of the input."""
        said = body["input"]
        return said if isinstance(said, str) else _joined(said[-1]["content"])

    def schema(self, body: Json) -> Json:
        """Of the text's format, or of the first tool."""
        form = body.get("text", {}).get("format", {})
        tools = body.get("tools") or [{}]
        return form.get("schema") or tools[0].get("parameters") or {}

    def tool(self, body: Json) -> str:
        """The first tool."""
        tools = body.get("tools") or [{}]
        return str(tools[0].get("name", ""))

    def body(self, said: Said) -> Json:
        """A response with one message, or the call of a tool."""
        text = {"type": "output_text", "text": said.content, "annotations": []}
        refusal = {"type": "refusal", "refusal": said.refusal}
        message: Json = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [refusal if said.refusal else text],
        }
        if said.tool:
            message = {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": said.tool,
                "arguments": said.content,
                "status": "completed",
            }
        is_whole = said.finish == "stop"
        reason = "max_output_tokens" if said.finish == "length" else said.finish
        asked, answered = said.tokens
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": said.model,
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "status": "completed" if is_whole else "incomplete",
            "incomplete_details": None if is_whole else {"reason": reason},
            "output": [message],
            "usage": {
                "input_tokens": asked,
                "output_tokens": answered,
                "total_tokens": asked + answered,
                "input_tokens_details": {"cached_tokens": said.cached},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        """What is there at the beginning, each part, and the whole."""
        whole = self.body(said)
        (item,) = whole["output"]
        begun = whole | {"status": "in_progress", "output": [], "usage": None}
        parts: list[Json] = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": f"response.{whole['status']}", "response": whole},
        ]
        for number, part in enumerate(parts):
            yield part["type"], part | {"sequence_number": number}


class Messages:
    """Anthropic's messages."""

    def user(self, body: Json) -> str:
        """The last message."""
        return _joined(body["messages"][-1]["content"])

    def schema(self, body: Json) -> Json:
        """Of the output's format, or of the first tool."""
        form = (body.get("output_config") or {}).get("format") or {}
        form = form or body.get("output_format") or {}
        tools = body.get("tools") or [{}]
        return form.get("schema") or tools[0].get("input_schema") or {}

    def tool(self, body: Json) -> str:
        """The first tool."""
        tools = body.get("tools") or [{}]
        return str(tools[0].get("name", ""))

    def body(self, said: Said) -> Json:
        """A message with one block."""
        return self._begun(said) | {
            "content": [self._block(said)],
            "stop_reason": self._reason(said),
            "usage": self._usage(said),
        }

    def _begun(self, said: Said) -> Json:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": said.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage(said) | {"output_tokens": 0},
        }

    @staticmethod
    def _usage(said: Said) -> Json:
        asked, answered = said.tokens
        return {
            "input_tokens": asked - said.cached,
            "cache_read_input_tokens": said.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": answered,
        }

    @staticmethod
    def _reason(said: Said) -> str:
        if said.refusal:
            return "refusal"
        if said.finish == "length":
            return "max_tokens"
        return "tool_use" if said.tool else "end_turn"

    @staticmethod
    def _block(said: Said) -> Json:
        if not said.tool:
            return {"type": "text", "text": said.refusal or said.content}
        return {
            "type": "tool_use",
            "id": "toolu_1",
            "name": said.tool,
            "input": _object(said.content),
        }

    def events(self, said: Said) -> Iterator[tuple[str, Json]]:
        """The beginning, one block, what it used, the end."""
        block = self._block(said)
        empty: Json = {"input": {}} if said.tool else {"text": ""}
        begun = block | empty
        delta: Json = {"type": "text_delta", "text": block.get("text", "")}
        if said.tool:
            delta = {"type": "input_json_delta", "partial_json": said.content}
        end = {"stop_reason": self._reason(said), "stop_sequence": None}
        yield "message_start", {"message": self._begun(said)}
        yield "content_block_start", {"index": 0, "content_block": begun}
        yield "content_block_delta", {"index": 0, "delta": delta}
        yield "content_block_stop", {"index": 0}
        yield "message_delta", {"delta": end, "usage": self._usage(said)}
        yield "message_stop", {}


#: Those that are answered at each path.
PROTOCOLS: dict[str, Writing] = {
    "/v1/chat/completions": Chat(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
}


def texts_in(user: str) -> list[Text]:
    """The texts of what a user says: as nbflow sends them, or all of it as one text."""
    try:
        said = json.loads(user)
    except ValueError:
        return [Text({"text": user})]
    records: Sequence[Any] = said if isinstance(said, list) else [said]
    if not all(isinstance(one, dict) and "text" in one for one in records):
        return [Text({"text": user})]
    return [Text(one) for one in records]


def _joined(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _object(content: str) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return {"answer": content}


#: How Anthropic calls its errors.
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error_body(path: str, status: int, message: str, code: str | None = None) -> Json:
    """The body of an error, as the protocol at a path words it."""
    if path.startswith("/v1/messages"):
        said = {"type": _ERRORS.get(status, "api_error"), "message": message}
        return {"type": "error", "error": said}
    return {"error": {"message": message, "type": code or "error", "code": code}}
