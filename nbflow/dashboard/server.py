"""Server: the dashboard over HTTP: pages that need no script, results as a stream, live tables over a socket.

Whatever takes time happens on threads: one visitor never waits for another's million
records.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from nbflow._core.visible import encodable
from nbflow.dashboard import pages
from nbflow.errors import NbflowError, UnknownRunError, UsageError
from nbflow.notebook.history_table import HistoryTable
from nbflow.notebook.page_files import PAGE, script, style
from nbflow.notebook.page_looks import PAGE_LOOKS
from nbflow.notebook.page_of_run import BYTE_ORDER_MARK
from nbflow.notebook.results_csv import chunks_of
from nbflow.notebook.table_widget import PUBLISHER

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from typing import ParamSpec, TypeVar

    from nbflow.dashboard.desk import Desk, OpenedRun
    from nbflow.dashboard.gate import Gate
    from nbflow.notebook.execute import Stop

    P = ParamSpec("P")
    T = TypeVar("T")

#: Seconds that a visitor waits for a run that is being read, before a page says so, and
#: after which the browser asks again.
_PATIENCE, _AGAIN = 1.5, 2
#: What the pages may load: nothing, or for the live tables what is served here.
_PLAIN = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
_LIVE = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:"
_SHUT = "; frame-ancestors 'none'; base-uri 'none'"
_HTML, _SCRIPT, _STYLE = "text/html", "text/javascript", "text/css"
_HERE = Path(__file__).parent
#: Bytes of one message of a browser.
_LONGEST = 1_000_000


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on a port, before anybody is told of it: the address has the token in it.

    Raises:
        UsageError: somebody else has the port.
    """
    try:
        return bind_sockets(port, host)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host}:{port} ({error}); choose another port with --port."
        ) from error


def run(desk: Desk, sockets: list[socket.socket], gate: Gate, stop: Stop) -> None:
    """Serve until the process is told to end."""
    asyncio.run(_serve(desk, sockets, gate, stop))


async def _serve(
    desk: Desk, sockets: list[socket.socket], gate: Gate, stop: Stop
) -> None:
    ends, loop = asyncio.Event(), asyncio.get_running_loop()
    stop.wake = lambda: loop.call_soon_threadsafe(ends.set)
    server = HTTPServer(application(desk, gate))
    server.add_sockets(sockets)
    threading.Thread(target=_begin, args=(desk,), daemon=True).start()
    if not stop.asked:
        await ends.wait()
    server.stop()
    await server.close_all_connections()


def _begin(desk: Desk) -> None:
    """Read the run that the first visitor will ask for."""
    for line in desk.lines()[:1]:
        desk.look_at(line.run)


def application(desk: Desk, gate: Gate) -> Application:
    """Return what answers the visitors."""
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    given = {"desk": desk, "gate": gate}
    return Application(
        [
            (r"/", RunPage, given),
            (r"/record", RecordPage, given),
            (r"/page\.html", PageFile, given),
            (r"/results\.csv", Results, given),
            (r"/live", Live, given),
            (r"/(socket\.js|table\.css)", Asset, given),
            (r"/socket", Socket, given),
        ],
        default_handler_class=Nothing,
        default_handler_args=given,
        websocket_max_message_size=_LONGEST,
    )


class Admitted(RequestHandler):
    """A request of somebody who may look."""

    content_type, policy = _HTML, _PLAIN

    def initialize(self, desk: Desk, gate: Gate) -> None:
        """Take what all requests share."""
        self.desk, self.gate = desk, gate

    def prepare(self) -> None:
        """Let in who has the token or its cookie; the token leaves the address at once."""
        token = self.get_query_argument("token", "")
        if self.gate.is_token(token):
            self.set_cookie(
                self.gate.cookie, self.gate.pass_, httponly=True, samesite="Lax"
            )
            self.redirect(self._bare(), status=303)
            return
        shown = self.get_cookie(self.gate.cookie, "") or ""
        if not self.gate.admits(self.request.host_name, shown):
            raise HTTPError(403)

    def _bare(self) -> str:
        """Return the address that was asked for, without the token."""
        asked = self.request.query_arguments.items()
        others = {name: values for name, values in asked if name != "token"}
        page = self.request.path.rpartition("/")[2]
        return f"./{page}?{urlencode(others, doseq=True)}".rstrip("?")

    def set_default_headers(self) -> None:
        """Allow a page what it needs, and let nobody keep it."""
        self.set_header("Content-Type", f"{self.content_type}; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy + _SHUT)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **how: Any) -> None:
        """Say what went wrong: what nbflow says of itself, and nothing of what is inside."""
        error = (how.get("exc_info") or (None, None))[1]
        text = _SAID.get(
            status_code, "Something went wrong; the log of the server says what."
        )
        if isinstance(error, NbflowError):
            text = str(error)
            self.set_status(404 if isinstance(error, UsageError) else 500)
        self._say("Nothing to see here", text)

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Keep the log for what is wrong here: nbflow's own errors are answers."""
        if not isinstance(error, NbflowError):
            super().log_exception(kind, error, trace)

    async def opened(self) -> OpenedRun | None:
        """Return the run that is asked for, or the latest one; `None` if it was answered already.

        Raises:
            UnknownRunError: there is no such run.
        """
        lines = await _aside(self.desk.lines)
        run = self.get_query_argument("run", lines[0].run if lines else "")
        if not lines:
            self._say("No runs yet", "Nothing was sent to this store so far.")
            return None
        line = next((line for line in lines if line.run == run), None)
        if line is None:
            raise UnknownRunError(f"There is no run {run} in this store.")
        found = self.desk.look_at(run)
        try:
            is_read = await _aside(found.is_read, _PATIENCE)
        except Exception:
            self.desk.forget(run)
            raise
        if is_read:
            return found
        self.set_header("Refresh", str(_AGAIN))
        self._say(*pages.waiting(line))
        return None

    def _say(self, title: str, text: str) -> None:
        """Answer with a page that says one thing, whatever was asked for."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(pages.message_page(title, text))


_SAID = {
    403: "This dashboard needs the address that was printed when it was started, with its token.",
    404: "There is no such page.",
}


class Nothing(Admitted):
    """An address that nothing is at."""

    def get(self) -> None:
        """Say so."""
        raise HTTPError(404)


class RunPage(Admitted):
    """The page of a run, with search."""

    async def get(self) -> None:
        """Answer with the page of the latest run, or of the one that is asked for."""
        found = await self.opened()
        if found is not None:
            text = self.get_query_argument("q", "")
            self.finish(await _aside(self._page, found, text))

    def _page(self, found: OpenedRun, text: str) -> str:
        return pages.run_page(found, self.desk.lines(), text)


class PageFile(Admitted):
    """The page of a run as a file to mail."""

    async def get(self) -> None:
        """Answer with the file."""
        found = await self.opened()
        if found is not None:
            _name(self, f"{found.run.id}.html")
            self.finish(await _aside(self._page, found))

    def _page(self, found: OpenedRun) -> str:
        return pages.page_file(found, self.desk.lines())


class RecordPage(Admitted):
    """The page of one record."""

    async def get(self) -> None:
        """Answer with all that is known of the record."""
        found = await self.opened()
        if found is None:
            return
        number = self.get_query_argument("record", "")
        if not number.isdecimal():
            raise HTTPError(404)
        self.finish(await _aside(pages.record_page, found, int(number)))


class Results(Admitted):
    """All results of a run as CSV, as large as they are."""

    content_type = "text/csv"

    async def get(self) -> None:
        """Send block after block, as fast as the visitor takes them."""
        found = await self.opened()
        if found is None:
            return
        _name(self, f"results-{found.run.id}.csv")
        self.write(BYTE_ORDER_MARK)
        chunks = chunks_of(found.run.reader)
        try:
            while (chunk := await _aside(_next, chunks)) is not None:
                self.write(encodable(chunk))
                await self.flush()
        except StreamClosedError:
            return  # the visitor has gone


class Live(Admitted):
    """The live tables of all runs."""

    policy = _LIVE

    def get(self) -> None:
        """Answer with the page that the tables come to stand in."""
        self.finish(pages.live_page())


class Asset(Admitted):
    """What the live page loads."""

    def get(self, name: str) -> None:
        """Answer with a script or the style sheet."""
        kind = _STYLE if name.endswith(".css") else _SCRIPT
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.finish(_asset(name))


@functools.cache
def _asset(name: str) -> str:
    return style(PAGE / name) if name.endswith(".css") else script(_HERE / name)


class Socket(WebSocketHandler, Admitted):
    """One visitor's live table. A page of another site cannot open it: tornado compares the origins."""

    def open(self) -> None:
        """Give the visitor a table of their own, of runs that are read once for all."""
        self._loop = asyncio.get_running_loop()
        self.table = HistoryTable(
            self.desk, self._send, PUBLISHER.wake, read_only=True, opens=True
        )
        self._send({"t": "looks", "looks": PAGE_LOOKS})
        PUBLISHER.add(self.table)

    def on_message(self, message: str | bytes) -> None:
        """Pass on what the page says."""
        asked = json.loads(message)
        if isinstance(asked, dict):
            PUBLISHER.ask(self.table, asked)

    def on_close(self) -> None:
        """Speak to the visitor no longer."""
        PUBLISHER.drop(self.table)

    def _send(self, message: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._tell, json.dumps(message, default=_plain))

    def _tell(self, text: str) -> None:
        try:
            self.write_message(text)
        except WebSocketClosedError:
            PUBLISHER.drop(self.table)


async def _aside(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do what may take its time on another thread, which does not keep the server from ending."""
    done: Future[T] = Future()

    def act() -> None:
        try:
            done.set_result(work(*args, **named))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=act, name="nbflow-visitor", daemon=True).start()
    return await asyncio.wrap_future(done)


def _plain(value: Any) -> object:
    """Return a number of numpy as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def _next(chunks: Iterator[str]) -> str | None:
    return next(chunks, None)


def _name(request: RequestHandler, name: str) -> None:
    """Have the browser keep what it gets as a file of this name."""
    request.set_header("Content-Disposition", f'attachment; filename="{name}"')
