"""Real servers on loopback: a web hook that can refuse, answer 500 or hang, and a mail server."""

import asyncio
import contextlib
import email
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hook:
    """A web hook: ``got`` has what it received, ``answers`` what it says to the next ones."""

    def __init__(self):
        self.got = []
        #: Statuses for the next requests, each once, then 200; "hang" for no answer.
        self.answers = []
        self.hanging = threading.Event()
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                hook.got.append(body.decode())
                answer = hook.answers.pop(0) if hook.answers else 200
                if answer == "hang":
                    hook.hanging.set()
                    hook.released.wait(60)
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def url(self, scheme="json", more=""):
        return f"{scheme}://127.0.0.1:{self.port}/hook/T0kenOfTheTeam{more}"

    @property
    def messages(self):
        return [json.loads(text) for text in self.got]

    @property
    def titles(self):
        return [message["title"] for message in self.messages]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def mailbox():
    """A mail server: a list of the mails that it took, with its ``url``."""
    from aiosmtpd.smtp import SMTP

    class Box(list):
        async def handle_DATA(self, server, session, envelope):
            self.append(
                email.message_from_bytes(envelope.content, policy=email.policy.default)
            )
            return "250 OK"

    box = Box()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    making = loop.create_server(lambda: SMTP(box, loop=loop), "127.0.0.1", 0)
    server = asyncio.run_coroutine_threadsafe(making, loop).result(10)
    port = server.sockets[0].getsockname()[1]
    box.url = (
        f"mailto://localhost:{port}?smtp=127.0.0.1&from=job@example.com"
        "&to=ops@example.com"
    )
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
