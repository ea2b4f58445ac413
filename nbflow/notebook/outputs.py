"""Outputs: what a cell shows is taken down, shown again on a hit, and never holds the value of a secret."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any, TypedDict

from nbflow._call.screen import SCREEN
from nbflow._key.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.notebook.shell import MimeBundle, Shell

#: The number of characters and bytes of what is shown that are kept; of a cell that shows
#: more the rest is not.
_MOST = 10_000_000
#: A widget lives in its kernel alone: only what a viewer without it sees is kept.
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Shown(TypedDict, total=False):
    """One thing that a cell showed: text of a stream, displayed data, or a result.

    Attributes:
        stream: ``"stdout"`` or ``"stderr"``, with its text.
        text: what was printed there.
        data: what was displayed.
        result: the value of an expression, as it is shown.
        metadata: what belongs to ``data`` or ``result``.
        display_id: by which a cell replaces ``data`` later.
    """

    stream: str
    text: str
    data: MimeBundle
    result: MimeBundle
    metadata: MimeBundle
    display_id: str | None


class Recorder:
    """Takes down what is shown in an IPython between ``start`` and ``stop``, on its way to the screen.

    Args:
        shell: the IPython.
        holds: whether it is held back instead of going to the screen.

    Attributes:
        shown: what was shown, in order.
        is_whole: whether everything was kept.
        error: the name of an exception that was shown and not raised; empty if none was.
    """

    def __init__(self, shell: Shell, *, holds: bool = False) -> None:
        self.shown: list[Shown] = []
        self.is_whole = True
        self.error = ""
        self._shell = shell
        self._holds = holds
        #: The widgets that were shown, each by its id, with what is kept in its place.
        self._widgets: list[tuple[str, MimeBundle]] = []
        self._size = 0
        self._clears = False
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to take down."""
        self._undo.append(SCREEN.watch(self._printed))
        self._wrap(self._shell.display_pub, "publish", self._published)
        self._wrap(self._shell.display_pub, "clear_output", self._cleared)
        self._wrap(self._shell.displayhook, "write_format_data", self._formatted)
        if hasattr(self._shell, "_showtraceback"):
            self._wrap(self._shell, "_showtraceback", self._raised)

    def _wrap(self, owner: object, name: str, noted: Callable[..., None]) -> None:
        """Have ``noted`` called before a method of one object, with the same arguments."""
        original = getattr(owner, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            noted(*args, **kwargs)
            return None if self._holds else original(*args, **kwargs)

        before = getattr(owner, "__dict__", {}).get(name)

        def unwrap() -> None:
            if before is not None:
                object.__setattr__(owner, name, before)
            else:
                object.__delattr__(owner, name)

        # Past traitlets, which would check what it is given.
        object.__setattr__(owner, name, wrapped)
        self._undo.append(unwrap)

    def stop(self) -> None:
        """End, after the figures that wait for the end of the cell have been shown."""
        inline = sys.modules.get("matplotlib_inline.backend_inline")
        if inline is not None and "matplotlib.pyplot" in sys.modules:
            inline.flush_figures()
        self._see_widgets()
        self.abandon()

    def _see_widgets(self) -> None:
        """Take down what widgets show in the end, as a progress bar does; those that were closed show nothing."""
        module: Any = sys.modules.get("ipywidgets.widgets.widget")
        living = getattr(module, "_instances", {})
        for model, kept in self._widgets:
            if model in living:
                kept["text/plain"] = repr(living[model])
            else:
                self.shown = [one for one in self.shown if one.get("data") is not kept]

    def abandon(self) -> None:
        """End at once, as the cell failed."""
        while self._undo:
            self._undo.pop()()

    # Called with what is printed, and with the arguments of what they are wrapped around.

    def _printed(self, stream: str, text: str) -> bool:
        if text:
            self._take({"stream": stream, "text": text}, len(text))
        return self._holds

    def _published(
        self,
        data: MimeBundle,
        metadata: MimeBundle | None = None,
        *_: object,
        update: bool = False,
        transient: dict[str, str] | None = None,
        **__: object,
    ) -> None:
        place = (transient or {}).get("display_id")
        kept = self._without_widget(data)
        if update:
            # What was replaced is not shown again: its place has the new data.
            for shown in self.shown:
                if place is not None and shown.get("display_id") == place:
                    shown["data"] = kept
                    shown["metadata"] = metadata or {}
            return
        if kept:
            self._take(
                {"data": kept, "metadata": metadata or {}, "display_id": place},
                _size_of(kept),
            )

    def _without_widget(self, data: MimeBundle) -> MimeBundle:
        kept = {kind: item for kind, item in data.items() if kind != _WIDGET}
        if _WIDGET in data:
            self._widgets.append((data[_WIDGET]["model_id"], kept))
        return kept

    def _formatted(self, data: MimeBundle, metadata: MimeBundle | None = None) -> None:
        kept = self._without_widget(data)
        self._take({"result": kept, "metadata": metadata or {}}, _size_of(kept))

    def _raised(self, kind: type[BaseException], *_: object) -> None:
        self.error = kind.__name__

    def _cleared(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002  # as IPython has it
        self._clears = True
        if not wait:
            self._clear()

    def _clear(self) -> None:
        self.shown = []
        self._size = 0
        self._clears = False
        self.is_whole = True

    def _take(self, shown: Shown, size: int) -> None:
        if self._clears:
            self._clear()
        self._size += size
        if self._size > _MOST:
            self.is_whole = False
            return
        last: Shown = self.shown[-1] if self.shown else {}
        if "stream" in shown and last.get("stream") == shown["stream"]:
            last["text"] += shown["text"]
        else:
            self.shown.append(shown)


def _size_of(data: MimeBundle) -> int:
    """Return how much room something takes; JSON counts as a thousand characters."""
    items = data.values()
    return sum(len(item) if isinstance(item, str | bytes) else 1000 for item in items)


def unlike(shown: list[Shown], known: list[Shown]) -> list[Shown]:
    """Return what of the shown is not among the known: lines of streams, and what was displayed."""
    texts = "".join(part.get("text", "") for part in known)
    lines = {_anywhere(line) for line in texts.splitlines()}
    data = [(part.get("data"), part.get("result")) for part in known]
    found: list[Shown] = []
    for part in shown:
        if "stream" in part:
            new = [
                line
                for line in part["text"].splitlines(keepends=True)
                if _anywhere(line.rstrip("\n")) not in lines
            ]
            found.append({"stream": part["stream"], "text": "".join(new)})
        elif (part.get("data"), part.get("result")) not in data:
            found.append(part)
    return found


def _anywhere(line: str) -> str:
    """Return a line without the number of its kernel, which stands in the file names of cells."""
    return re.sub(r"ipykernel_\d+", "ipykernel", line)


def replay(shell: Shell, shown: list[Shown]) -> None:
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


def guard(shell: Shell) -> None:
    """Let no message of a kernel hold the value of a secret.

    That goes for what is printed, displayed, raised or completed, and for widgets: what
    leaves the kernel ends up in notebooks, logs of front ends and debuggers. An IPython
    in a terminal shows its user what the user's code prints.
    """
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is None or isinstance(session.pack, _Packer):
        return
    session.pack = _Packer(session.pack)


class _Packer:
    """Makes bytes of a message as the packer before did, with the names of secrets for their values."""

    def __init__(self, pack: Callable[[object], bytes]) -> None:
        self._pack = pack

    def __call__(self, message: object) -> bytes:
        data = self._pack(message)
        return data if KNOWN.holder(data) is None else self._pack(KNOWN.masked(message))
