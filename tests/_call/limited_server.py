"""A real HTTP server that takes so many requests in a window of seconds, and says 429 with Retry-After beyond."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_taken = self.server.take()
        self.send_response(200 if is_taken else self.server.status)
        if not is_taken:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class LimitedServer(ThreadingHTTPServer):
    """Counts requests; ``most`` of them a ``window`` of seconds are served."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, most, window, retry_after, status=429):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.most, self.window, self.status = most, window, status
        self.retry_after = retry_after
        self.requests = self.served = 0
        self._taken = []
        self._mutex = threading.Lock()
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def take(self):
        with self._mutex:
            self.requests += 1
            now = time.monotonic()
            self._taken = [at for at in self._taken if at > now - self.window]
            if len(self._taken) >= self.most:
                return False
            self._taken.append(now)
            self.served += 1
            return True

    def close(self):
        self.shutdown()
        self.server_close()
