"""A real HTTP server that speaks as OpenAI does, and fails as such servers do, by script.

It knows chat completions and responses.
"""

import json
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LABELS = ["billing", "bug", "other"]
#: What one request costs here, in tokens.
PROMPT, COMPLETION = 101, 13


class Text(str):
    """A text, and the id that it came with."""

    __slots__ = ("id",)

    def __new__(cls, record):
        text = super().__new__(cls, record["text"])
        text.id = record.get("id")
        return text


def label_of(text):
    """What a good model answers."""
    return "billing" if "refund" in text else "bug" if "crash" in text else "other"


def error(status, message, code=None, **headers):
    """A fault: an error as OpenAI words it."""
    body = {"error": {"message": message, "type": code or "error", "code": code}}
    return lambda handler, _texts: handler.give(status, body, headers)


def says(content, finish="stop", refusal=None):
    """A fault: an answer that is something else than was asked for; ``content`` may be made of the texts."""
    return lambda handler, texts: handler.complete(
        content(texts) if callable(content) else content, finish, refusal
    )


def answers(texts):
    return [
        {
            "id": text.id,
            "label": label_of(text),
            "confidence": 0.9,
            "reason": "it says so",
        }
        for text in texts
    ]


def good(texts):
    """The content of a good answer."""
    found = answers(texts)
    return json.dumps(
        {"answers": found}
        if len(texts) > 1
        else {name: value for name, value in found[0].items() if name != "id"}
    )


def changed(change):
    """A fault: the list of answers, changed."""
    return says(lambda texts: json.dumps({"answers": change(answers(texts))}))


def shuffled(handler, texts):
    """A fault that is none: the answers in another order."""
    found = answers(texts)
    random.Random(7).shuffle(found)
    handler.complete(json.dumps({"answers": found}))


def reset(handler, _texts):
    """A fault: the connection is reset."""
    handler.connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    handler.close_connection = True
    handler.connection.close()


def hang_up(handler, _texts):
    """A fault: the connection is closed without an answer, as by a proxy whose server is away."""
    handler.close_connection = True


def hang(handler, _texts):
    """A fault: no answer, until the test ends or the client goes away."""
    handler.server.hanging.set()
    handler.connection.settimeout(0.01)
    while not handler.server.ended.wait(0.01):
        try:
            if handler.connection.recv(1, socket.MSG_PEEK) == b"":
                handler.server.gone.set()
                break
        except TimeoutError:
            continue
        except OSError:
            handler.server.gone.set()
            break
    handler.close_connection = True


def truncated(handler, texts):
    """A fault: a body that ends in the middle."""
    data = json.dumps(handler.completion(good(texts)))[:-40].encode()
    handler.send(200, data, {})


def responses(content, finish, refusal):
    """What the Responses API gives instead of a chat completion."""
    said = (
        {"type": "refusal", "refusal": refusal}
        if refusal
        else {"type": "output_text", "text": content, "annotations": []}
    )
    cut = {
        "status": "incomplete",
        "incomplete_details": {
            "reason": "max_output_tokens" if finish == "length" else finish
        },
    }
    message = {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [said],
    }
    usage = {
        "input_tokens": PROMPT,
        "output_tokens": COMPLETION,
        "total_tokens": PROMPT + COMPLETION,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    head = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "stub",
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }
    return (
        head
        | {"status": "completed", "output": [message], "usage": usage}
        | (cut if finish != "stop" else {})
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.tells = "messages" if "messages" in body else "input"
        self.calls_tool = bool(body.get("tools"))
        content = body[self.tells][-1]["content"]
        said = json.loads(content if isinstance(content, str) else content[0]["text"])
        records = said if isinstance(said, list) else [said]
        fault = self.server.note(self, body, records)
        (fault or (lambda handler, texts: handler.complete(good(texts))))(
            self, [Text(record) for record in records]
        )

    def completion(self, content, finish="stop", refusal=None):
        if self.tells == "input":
            return responses(content, finish, refusal)
        message = {"role": "assistant", "content": content, "refusal": refusal}
        if self.calls_tool:
            message |= {
                "content": None,
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "labels", "arguments": content},
                    }
                ],
            }
        usage = {
            "prompt_tokens": PROMPT,
            "completion_tokens": COMPLETION,
            "total_tokens": PROMPT + COMPLETION,
        }
        return {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": self.server.calls_itself,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": usage,
        }

    def complete(self, content, finish="stop", refusal=None):
        self.server.answered += 1
        self.give(200, self.completion(content, finish, refusal), self.server.headers)

    def give(self, status, body, headers):
        self.send(status, json.dumps(body).encode(), headers)

    def send(self, status, data, headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class ChatServer(ThreadingHTTPServer):
    """Counts and remembers every request.

    ``faults``: what the first requests meet, one each, ``None`` for a good answer;
    ``always``: what all others meet. ``allow``: so many requests a window of so many
    seconds, 429 beyond; ``says_left``: its answers say how many are left;
    ``calls_itself``: what it says answered."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, handler=Handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.root = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.root}/v1"
        self.calls_itself = "stub"
        self.faults, self.always, self.headers, self.allow = [], None, {}, None
        self.says_left = False
        self.requests, self.keys, self.answered, self.seconds = [], [], 0, 0.0
        self.under_way = self.most_under_way = 0
        self.hanging, self.gone, self.ended = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._starts = []
        self._mutex = threading.Lock()
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def note(self, handler, body, records):
        with self._mutex:
            self.requests.append(
                {
                    "texts": [record["text"] for record in records],
                    "records": records,
                    "body": body,
                }
            )
            self.keys.append(handler.headers.get("Authorization"))
            if self.allow is not None:
                most, window = self.allow
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
                if is_full:
                    return error(
                        429,
                        "slow down",
                        "rate_limit_exceeded",
                        retry_after=f"{window:g}",
                        **self.headers,
                    )
            return self.faults.pop(0) if self.faults else self.always

    @property
    def texts(self):
        return [request["texts"] for request in self.requests]

    def handle_error(self, request, client_address):
        pass

    def close(self):
        self.ended.set()
        self.shutdown()
        self.server_close()
