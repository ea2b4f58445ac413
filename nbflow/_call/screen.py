"""Screen: what a call prints and logs is taken down on its way to where it is shown.

The streams stay the objects that they are, as loggers, front ends and the user's code
hold them: while calls run, each has a ``write`` and a ``flush`` of ours before its own.
It is the streams at the time at which the first of the calls begins: what the code of a
step puts in their place (``redirect_stdout``) is its own. Logging has one door, which
is wrapped once, as tracers do.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
import traceback
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO

from nbflow._call.output import Output
from nbflow._call.scope import SCOPE
from nbflow._core.visible import seen
from nbflow._key import fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._call.scope import Place, Scope

    #: Is told the stream and the text; returns whether the text is not to be shown.
    Watcher = Callable[[str, str], bool]

#: What moves a terminal's cursor, as progress bars do: no label may stand in it.
_MOVES = re.compile(r"\r|\x1b\[[0-9;?]*[A-HJKSTf]")
_NONE = object()
#: Characters of a key before what its record prints.
_KEY = 40
_mutex = fork.freed(threading.RLock())


class _Thread(threading.local):
    """What this thread is in the midst of."""

    #: It shows something: streams may be made of each other.
    shows = False
    #: It hands a record to the handlers of the log, which may write to a stream.
    logs = False


_THREAD = _Thread()


class Stream:
    """A stream while calls run: a ``write`` and a ``flush`` before its own."""

    def __init__(self, screen: Screen, name: str, stream: TextIO) -> None:
        self.name = name
        self.stream = stream
        self._screen = screen
        self._through, self.flush_through = stream.write, stream.flush
        #: What stood before the methods of its class.
        self.before = {
            method: vars(stream).get(method, _NONE) for method in ("write", "flush")
        }
        lost = stream_of(stream, "flush")
        if lost is not None:  # somebody took away its ``write``
            self.flush_through = lost.flush_through
            self.before["flush"] = lost.before["flush"]
        #: Whose line is not finished, although something of it is shown.
        self._open: Output | None = None
        stream.write = self._write  # type: ignore[method-assign]  # see above
        stream.flush = self._flush  # type: ignore[method-assign]  # see above

    def release(self) -> None:
        """Give the stream back what was there, unless somebody put something before ours."""
        for method, before in self.before.items():
            if stream_of(self.stream, method) is not self:
                continue
            if before is _NONE:
                delattr(self.stream, method)
            else:
                setattr(self.stream, method, before)

    def _write(self, text: str) -> int:
        scope = SCOPE.get()
        is_plain = scope is None or scope.ended or _THREAD.shows
        if scope is None or is_plain or not isinstance(text, str):
            return self._show(text)
        output = output_of(scope)
        if not _THREAD.logs:
            output.take(self.name, text)
        if not output.label:
            return self._show(text)
        if _MOVES.search(text):
            self._finish_line(output, text)
        else:
            self._show_lines(output, output.whole_lines(self.name, text))
        return len(text)

    def _flush(self) -> None:
        scope = SCOPE.get()
        output = scope.output if scope is not None else None
        if output is not None and output.label and not _THREAD.shows:
            self._show_lines(output, output.rest_of(self.name))
        self.flush_through()

    def end(self, output: Output) -> None:
        """An attempt is over: show what it has left of a line."""
        rest = output.rest_of(self.name)
        if rest or self._open is output:
            self._show_lines(output, f"{rest}\n")

    def _finish_line(self, output: Output, text: str) -> None:
        """Show a text as it is, after what waits."""
        self._show_lines(output, output.rest_of(self.name))
        self._show(text)

    def _show_lines(self, output: Output, text: str) -> None:
        """Show lines, each with the label of the call."""
        if not text:
            return
        whose, label = self._open, output.label
        self._open = None if text.endswith("\n") else output
        begin = "" if whose is output else label if whose is None else f"\n{label}"
        body = text[:-1].replace("\n", f"\n{label}") + text[-1]
        self._show(begin + body)

    def _show(self, text: str) -> int:
        """Write a text to the stream, unless a watcher holds it back."""
        if _THREAD.shows:
            return self._through(text)
        _THREAD.shows = True
        try:
            held = [watch(self.name, text) for watch in self._screen.watchers]
            return len(text) if any(held) else self._through(text)
        finally:
            _THREAD.shows = False


class Screen:
    """``sys.stdout`` and ``sys.stderr`` of this process."""

    def __init__(self) -> None:
        #: Those who look at everything that is shown.
        self.watchers: tuple[Watcher, ...] = ()
        self._users = 0
        #: What `sys` had when the first of them came, by name.
        self._looked_at: list[tuple[str, TextIO]] = []

    def enter(self) -> None:
        """Somebody needs what is printed from now on."""
        with _mutex:
            self._users += 1
            if self._users == 1:
                self._looked_at = []
                self.look()

    def leave(self) -> None:
        """He does not any more."""
        with _mutex:
            self._users -= 1
            if self._users:
                return
            for _, stream in self._looked_at:
                while (ours := stream_of(stream)) is not None:
                    ours.release()

    def look(self) -> None:
        """Look at the streams that ``sys`` has now, too."""
        with _mutex:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                known = (other for _, other in self._looked_at)
                if stream is not None and not any(stream is other for other in known):
                    self._looked_at.append((name, stream))
        self.hold()

    def hold(self) -> None:
        """See to it that nothing goes by.

        IPython shadows ``write`` in each cell, and at its end puts back what was there
        when the cell began, whatever came between.
        """
        for name, stream in self._looked_at:
            if stream_of(stream) is None:
                self._hold(name, stream)

    def _hold(self, name: str, stream: TextIO) -> None:
        # A class of the user's may take no attributes: it is left alone.
        with _mutex, contextlib.suppress(AttributeError, TypeError):
            if stream_of(stream) is None:
                Stream(self, name, stream)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have ``watcher`` told of everything that is shown; returns what ends it."""
        self.enter()
        self.look()
        self.watchers = (*self.watchers, watcher)

        def end() -> None:
            self.watchers = tuple(one for one in self.watchers if one is not watcher)
            self.leave()

        return end

    def end(self, scope: Scope) -> None:
        """An attempt is over: show what it has left of its lines."""
        output = scope.output
        if output is not None and output.label:
            for _, stream in list(self._looked_at):
                ours = stream_of(stream)
                # Nobody is left to hear that the stream is gone.
                with contextlib.suppress(OSError, ValueError):
                    if ours is not None:
                        ours.end(output)


SCREEN = Screen()


def stream_of(stream: TextIO, method: str = "write") -> Stream | None:
    """Return ours if what is done to a stream comes to us first."""
    owner = getattr(getattr(stream, method), "__self__", None)
    return owner if isinstance(owner, Stream) else None


def output_of(scope: Scope) -> Output:
    """What the attempt prints and logs, begun with the first of it."""
    with _mutex:
        if scope.output is None:
            scope.output = Output(_label(scope.place))
        return scope.output


def _label(place: Place | None) -> str:
    """What lines begin with where other records may print at the same time."""
    if place is None or place.is_alone:
        return ""
    from nbflow._core.table import middle

    return f"{seen(middle(place.record_key, _KEY))} | "


# What is logged.


def watch_log() -> None:
    """Take down what calls log, from now on."""
    with _mutex:
        door = logging.Logger.callHandlers
        if not hasattr(door, "tells_calls"):
            logging.Logger.callHandlers = _telling(door)  # type: ignore[method-assign]  # see above


def _telling(call_handlers: Callable[[logging.Logger, logging.LogRecord], None]) -> Any:
    @wraps(call_handlers)
    def telling(logger: logging.Logger, record: logging.LogRecord) -> None:
        scope = SCOPE.get()
        if scope is None or scope.ended or _THREAD.logs:
            call_handlers(logger, record)
            return
        if record.name.partition(".")[0] != "nbflow":
            output_of(scope).take("log", _line_of(record))
        _THREAD.logs = True
        try:
            call_handlers(logger, record)
        finally:
            _THREAD.logs = False

    telling.tells_calls = True  # type: ignore[attr-defined]  # `watch_log` asks for it
    return telling


def _line_of(record: logging.LogRecord) -> str:
    """A record of the log with its level, its logger and its traceback."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit: the handlers complain
        message = str(record.msg)
    line = f"{record.levelname} {record.name}: {message}\n"
    # Not by a formatter: it would keep the traceback for the formatters of the user.
    error = record.exc_info and record.exc_info[1]
    return line + "".join(traceback.format_exception(error)) if error else line
