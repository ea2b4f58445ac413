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
#: Attributes of a stream that are ours while calls run.
_METHODS = ("write", "flush")
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
        self._before = [vars(stream).get(method, _NONE) for method in _METHODS]
        self._through, self._flush_through = stream.write, stream.flush
        self._ours = (self._write, self._flush)
        #: Whose line is not finished, although something of it is shown.
        self._open: Output | None = None
        for method, function in zip(_METHODS, self._ours, strict=True):
            setattr(stream, method, function)

    def release(self) -> None:
        """Give the stream its own methods back, unless somebody put others before ours."""
        held = vars(self.stream)
        for method, ours, before in zip(
            _METHODS, self._ours, self._before, strict=True
        ):
            if held.get(method) is not ours:
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
        self._flush_through()

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
        self._streams: list[Stream] = []
        self._users = 0

    def enter(self) -> None:
        """Somebody needs what is printed from now on."""
        with _mutex:
            self._users += 1
            if self._users == 1:
                self.follow()

    def leave(self) -> None:
        """He does not any more."""
        with _mutex:
            self._users -= 1
            while self._streams and not self._users:
                self._streams.pop().release()

    def follow(self) -> None:
        """Look at the streams that ``sys`` has now."""
        with _mutex:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                known = (other.stream for other in self._streams)
                if stream is None or any(stream is other for other in known):
                    continue
                # A class of the user's may take no attributes: it is left alone.
                with contextlib.suppress(AttributeError, TypeError):
                    self._streams.append(Stream(self, name, stream))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have ``watcher`` told of everything that is shown; returns what ends it."""
        self.enter()
        self.follow()
        self.watchers = (*self.watchers, watcher)

        def end() -> None:
            self.watchers = tuple(one for one in self.watchers if one is not watcher)
            self.leave()

        return end

    def end(self, scope: Scope) -> None:
        """An attempt is over: show what it has left of its lines."""
        output = scope.output
        if output is not None and output.label:
            for stream in list(self._streams):
                # Nobody is left to hear that the stream is gone.
                with contextlib.suppress(OSError, ValueError):
                    stream.end(output)


SCREEN = Screen()


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
