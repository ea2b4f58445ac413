"""Outputs: what a cell shows, taken down while it is shown, and shown again; and that no secret is in what is shown."""

from __future__ import annotations

import functools
import io
import sys
from typing import TYPE_CHECKING, Any

from nbflow._key.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    Shown = dict[str, Any]

#: Characters and bytes of what is shown that are kept; a cell that shows more is kept
#: without the rest.
_MOST = 10_000_000
#: A widget lives in its kernel alone: what a viewer without it sees is kept.
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Recorder:
    """Takes down what is printed and displayed in an IPython between ``start`` and ``stop``, as it goes on to the screen.

    Attributes:
        shown: texts of streams, displayed data and results, in order.
        is_whole: whether everything was kept.
    """

    def __init__(self, shell: Any) -> None:
        self.shown: list[Shown] = []
        self.is_whole = True
        self._shell = shell
        self._size = 0
        self._clears = False
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to take down."""
        for name in ("stdout", "stderr"):
            original = getattr(sys, name)
            try:  # the stream itself, which a logger may hold since an earlier cell
                self._wrap(original, "write", functools.partial(self._printed, name))
            except AttributeError:  # one of Python's own, in a terminal or a script
                setattr(
                    sys, name, _Tee(original, functools.partial(self._printed, name))
                )
                self._undo.append(functools.partial(setattr, sys, name, original))
        self._wrap(self._shell.display_pub, "publish", self._published)
        self._wrap(self._shell.display_pub, "clear_output", self._cleared)
        self._wrap(self._shell.displayhook, "write_format_data", self._formatted)

    def _wrap(self, owner: Any, name: str, noted: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            noted(*args, **kwargs)
            return original(*args, **kwargs)

        before = getattr(owner, "__dict__", {}).get(name)
        object.__setattr__(owner, name, wrapped)
        self._undo.append(
            lambda: (
                object.__setattr__(owner, name, before)
                if before is not None
                else object.__delattr__(owner, name)
            )
        )

    def stop(self) -> None:
        """End, the figures that wait for the end of the cell included."""
        inline = sys.modules.get("matplotlib_inline.backend_inline")
        if inline is not None and "matplotlib.pyplot" in sys.modules:
            inline.flush_figures()
        self.abandon()

    def abandon(self) -> None:
        """End, as the cell failed."""
        while self._undo:
            self._undo.pop()()

    def _printed(self, stream: str, text: str) -> None:
        if text:
            self._take({"stream": stream, "text": text}, len(text))

    def _published(
        self,
        data: Any,
        metadata: Any = None,
        *_: Any,
        update: bool = False,
        transient: Any = None,
        **__: Any,
    ) -> None:
        place = (transient or {}).get("display_id")
        kept = {kind: item for kind, item in data.items() if kind != _WIDGET}
        if update:  # the picture that was replaced is not shown again
            for shown in self.shown:
                if place is not None and shown.get("display_id") == place:
                    shown["data"], shown["metadata"] = kept, metadata or {}
            return
        if kept:
            self._take(
                {"data": kept, "metadata": metadata or {}, "display_id": place},
                _size_of(kept),
            )

    def _formatted(self, data: Any, metadata: Any = None) -> None:
        kept = {kind: item for kind, item in data.items() if kind != _WIDGET}
        self._take({"result": kept, "metadata": metadata or {}}, _size_of(kept))

    def _cleared(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002  # as IPython has it
        self._clears = True
        if not wait:
            self._clear()

    def _clear(self) -> None:
        self.shown, self._size, self._clears, self.is_whole = [], 0, False, True

    def _take(self, shown: Shown, size: int) -> None:
        if self._clears:
            self._clear()
        self._size += size
        if self._size > _MOST:
            self.is_whole = False
            return
        last = self.shown[-1] if self.shown else {}
        if "stream" in shown and last.get("stream") == shown["stream"]:
            last["text"] += shown["text"]
        else:
            self.shown.append(shown)


def _size_of(data: dict[str, Any]) -> int:
    return sum(
        len(item) if isinstance(item, (str, bytes)) else 1000 for item in data.values()
    )


class _Tee(io.TextIOBase):
    """A stream that is also taken down; everything else is the stream's own."""

    encoding: Any
    errors: Any

    def __init__(self, stream: Any, take: Callable[[str], None]) -> None:
        self._stream = stream
        self._take = take
        self.encoding, self.errors = stream.encoding, getattr(stream, "errors", None)

    def write(self, text: str) -> int:
        self._take(text)
        written: int = self._stream.write(text)
        return written

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        number: int = self._stream.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def replay(shell: Any, shown: list[Shown]) -> None:
    """Show again what was taken down."""
    for part in shown:
        if "stream" in part:
            print(part["text"], end="", file=getattr(sys, part["stream"]))
        elif "data" in part:
            shell.display_pub.publish(part["data"], part["metadata"])
        else:
            hook = shell.displayhook
            hook.start_displayhook()
            hook.write_output_prompt()
            hook.write_format_data(part["result"], part["metadata"])
            hook.finish_displayhook()


def say(text: str) -> None:
    """Print one dim line under the cell.

    Grey, since Jupyter knows no faint text, and one that can be read on white and on
    black.
    """
    # The log of a job is a file and has no colours; a kernel's stream is not one of
    # Python's own.
    is_file = isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty()
    print(text if is_file else f"\x1b[38;5;243m{text}\x1b[0m")  # noqa: T201  # the cell shows it


def guard(shell: Any) -> None:
    """Let no message of a kernel hold the value of a secret: printed, displayed, raised, completed or of a widget.

    What leaves the kernel is what notebooks, logs of front ends and debuggers have. An
    IPython in a terminal shows its user what the user's code prints.
    """
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is None or isinstance(session.pack, _Packer):
        return
    session.pack = _Packer(session.pack)


class _Packer:
    """Makes bytes of a message as the packer before did, with names instead of secrets."""

    def __init__(self, pack: Callable[[Any], bytes]) -> None:
        self._pack = pack

    def __call__(self, message: Any) -> bytes:
        data = self._pack(message)
        return data if KNOWN.holder(data) is None else self._pack(KNOWN.masked(message))
