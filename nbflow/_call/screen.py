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
#: Streams of a process, as a rule.
_USUAL = 2
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


class Shadow:
    """A method of one object, with ours before it."""

    __slots__ = ("_name", "_owner", "before", "held", "ours", "through")

    def __init__(self, owner: TextIO, name: str, ours: Callable[..., Any]) -> None:
        self._owner = owner
        self._name = name
        self.held = vars(owner)
        self.ours = ours

    @property
    def is_first(self) -> bool:
        """Whether it is ours that is called."""
        return self.held.get(self._name) is self.ours

    def begin(self) -> None:
        """Put ours before it, in the place of an earlier one that somebody put back."""
        self.before = self.held.get(self._name, _NONE)
        #: What was called before.
        self.through: Callable[..., Any] = getattr(self._owner, self._name)
        stale = getattr(self.through, "__self__", None)
        if isinstance(stale, Stream) and stale.stream is self._owner:
            self.before, self.through = stale.shadow(self._name).below
        setattr(self._owner, self._name, self.ours)

    @property
    def below(self) -> tuple[object, Callable[..., Any]]:
        """What stood there, and what it does."""
        return self.before, self.through

    def end(self) -> bool:
        """Take ours away, unless somebody put something before it; returns whether it is away."""
        held, name = self.held, self._name
        if held.get(name) is not self.ours:
            return False
        if self.before is _NONE:
            del held[name]
        else:
            held[name] = self.before
        return True


class Stream:
    """A stream while calls run: a ``write`` of ours before its own.

    The same for ``flush``, from the first line on that waits for its end.
    """

    def __init__(self, screen: Screen, name: str, stream: TextIO) -> None:
        self.name = name
        self.stream = stream
        self._screen = screen
        self.writes = Shadow(stream, "write", self._write)
        self._flushes = Shadow(stream, "flush", self._flush)
        #: Whether a line ever waited for its end.
        self.waits = False
        #: Whose line is not finished, although something of it is shown.
        self._open: Output | None = None

    def shadow(self, method: str) -> Shadow:
        """What stands before a method of the stream."""
        return self.writes if method == "write" else self._flushes

    @property
    def is_first(self) -> bool:
        """Whether what is written comes here first."""
        return self.writes.is_first

    def begin(self) -> Stream:
        """See what is written from now on."""
        self.writes.begin()
        return self

    def end(self) -> bool:
        """Give the stream back what was there; returns whether that could be done."""
        if self.waits:
            self._flushes.end()
        return self.writes.end()

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
            if not text.endswith("\n") and not self._flushes.is_first:
                self.waits = True
                self._flushes.begin()
        return len(text)

    def _flush(self) -> None:
        scope = SCOPE.get()
        output = scope.output if scope is not None else None
        if output is not None and not _THREAD.shows:
            self.show_rest(output)
        self._flushes.through()

    def show_rest(self, output: Output, end: str = "") -> None:
        """Show what an attempt has of a line that is not finished."""
        rest = output.rest_of(self.name)
        if rest or (end and self._open is output):
            self._show_lines(output, rest + end)

    def _finish_line(self, output: Output, text: str) -> None:
        """Show a text as it is, after what waits."""
        self.show_rest(output)
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
            return self._write_through(text)
        _THREAD.shows = True
        try:
            held = [watch(self.name, text) for watch in self._screen.watchers]
            return len(text) if any(held) else self._write_through(text)
        finally:
            _THREAD.shows = False

    def _write_through(self, text: str) -> int:
        written: int = self.writes.through(text)
        return written


class Screen:
    """``sys.stdout`` and ``sys.stderr`` of this process."""

    def __init__(self) -> None:
        #: Those who look at everything that is shown.
        self.watchers: tuple[Watcher, ...] = ()
        self._users = 0
        #: Those that are looked at, or were last.
        self._streams: list[Stream] = []

    def enter(self) -> None:
        """Somebody needs what is printed from now on."""
        with _mutex:
            self._users += 1
            if self._users > 1:
                return
            # Of many calls one after the other each finds what the one before left.
            for place, one in enumerate(self._streams):
                writes = one.writes
                is_same = one.stream is getattr(sys, one.name)
                if not is_same or writes.held.get("write", _NONE) is not writes.before:
                    del self._streams[place:]
                    break
                writes.held["write"] = writes.ours
            if len(self._streams) < _USUAL:
                self.look()

    def leave(self) -> None:
        """He does not any more."""
        with _mutex:
            self._users -= 1
            if not self._users:
                self._streams = [one for one in self._streams if one.end()]

    def look(self) -> None:
        """Look at the streams that ``sys`` has now, too."""
        with _mutex:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if stream is not None and all(
                    one.stream is not stream for one in self._streams
                ):
                    self._begin(name, stream)

    def _begin(self, name: str, stream: TextIO) -> None:
        # A class of the user's may take no attributes: it is left alone.
        with contextlib.suppress(AttributeError, TypeError):
            self._streams.append(Stream(self, name, stream).begin())

    def hold(self) -> None:
        """See to it that nothing goes by.

        IPython shadows ``write`` in each cell, and at its end puts back what was there
        when the cell began, whatever came between.
        """
        for one in self._streams:
            if not one.is_first:
                self._hold_again(one)

    def _hold_again(self, stream: Stream) -> None:
        """What was lost may still be there behind something else: it lets the new one have all."""
        with _mutex:
            if self._users and stream in self._streams and not stream.is_first:
                self._streams.remove(stream)
                stream.end()
                again = Stream(self, stream.name, stream.stream)
                self._streams.append(again.begin())

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have ``watcher`` told of everything that is shown; returns what ends it."""
        self.enter()
        self.look()
        self.watchers = (*self.watchers, watcher)

        def end() -> None:
            self.watchers = tuple(one for one in self.watchers if one is not watcher)
            self.leave()

        return end

    def show_rest(self, output: Output, end: str = "") -> None:
        """Show what an attempt has of lines that are not finished."""
        for stream in list(self._streams):
            # Nobody is left to hear that the stream is gone.
            with contextlib.suppress(OSError, ValueError):
                stream.show_rest(output, end)


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
        if scope is None or scope.ended or _THREAD.logs or _THREAD.shows:
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
