"""Magics: ``%step``, with which a person asks about steps in a cell."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any, Protocol

from nbflow._core.duration import duration
from nbflow._run import render
from nbflow._run.wall_time import wall_time
from nbflow.notebook.step_cell import StepCell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from nbflow._run.explanation import Explanation
    from nbflow.notebook.step_cell import Notebook

    class Step(Protocol):
        """A step that is a function, as far as ``%step`` asks for it."""

        name: str

        def explain(self) -> Explanation:
            """Return why its code differs from the last one."""

        def forget(self) -> int:
            """Delete its results; returns how many there were."""

    Steps = Mapping[str, Step]
    #: What ``%step`` knows by name.
    StepOrCell = Step | StepCell

_USAGE = (
    "%step list: the step cells of this notebook; %step why NAME: what changed in a cell"
    " or step since it last ran; %step force NAME: run the cell once although it is"
    " saved; %step forget NAME: delete what is saved of it."
)


def shell() -> InteractiveShell | None:
    """Return the IPython that runs the user's code; ``None`` outside of one.

    Imports nothing: where IPython has not been imported, none runs.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython, "get_ipython"):
        return None
    found: InteractiveShell | None = ipython.get_ipython()
    return found


def register(ipython: Any, steps: Callable[[], Steps], notebook: Notebook) -> None:
    """Make ``%step`` known to an IPython.

    Args:
        ipython: the shell.
        steps: returns the steps that are defined, by name.
        notebook: its step cells.
    """

    def step(line: str) -> object:
        """Ask about step cells and steps: ``%step list``, ``%step why NAME``, ``force``, ``forget``."""
        from IPython.core.error import UsageError  # one line instead of a traceback

        verb, _, rest = line.strip().partition(" ")
        name = rest.strip()
        if verb == "list" and not name:
            return Listing(notebook)
        known: dict[str, StepOrCell] = {**steps(), **notebook.cells}
        if verb not in _VERBS or not name:
            raise UsageError(_USAGE)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"there are {', '.join(sorted(known)) or 'none yet'}."
            if close:
                hint = f"did you mean {close[0]!r}?"
            raise UsageError(f"No step is called {name!r}; {hint}")
        return _VERBS[verb](known[name], notebook)

    ipython.register_magic_function(step, "line", "step")


def _why(step: StepOrCell, notebook: Notebook) -> Explanation:
    if isinstance(step, StepCell):
        return notebook.explain(step)
    return step.explain()


def _forget(step: StepOrCell, notebook: Notebook) -> None:
    if isinstance(step, StepCell):
        name, count = step.spec.name, notebook.forget(step)
    else:
        name, count = step.name, step.forget()
    results = "1 result" if count == 1 else f"{count:,} results"
    _answer(f"{results} of {name} and of what was built on it deleted.")


def _force(step: StepOrCell, notebook: Notebook) -> None:
    from IPython.core.error import UsageError

    if not isinstance(step, StepCell):
        raise UsageError(
            f"{step.name} is a function, not a cell: forget its results, %step forget"
            f" {step.name}, or rerun the run."
        )
    notebook.forced.add(step.spec.name)
    _answer(f"{step.spec.name} runs at the next Run, although it is saved.")


def _answer(text: str) -> None:
    print(text)  # noqa: T201  # what the magic shows under its cell


_VERBS: dict[str, Callable[[StepOrCell, Notebook], Explanation | None]] = {
    "why": _why,
    "forget": _forget,
    "force": _force,
}


class Listing:
    """The step cells of a notebook as a table: when each was saved, how long it took, and more."""

    def __init__(self, notebook: Notebook) -> None:
        self._rows = [_row(cell) for cell in notebook.cells.values()]
        self._rows += [
            (near.line, "no step cell", "", "", "", "", near.todo)
            for near in notebook.near
            if near.name not in notebook.cells
        ]

    def __repr__(self) -> str:
        lines = [_HEADERS, *self._rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = []
        for line in lines:
            padded = [
                text.ljust(width) for text, width in zip(line, widths, strict=True)
            ]
            shown.append("  ".join(padded).rstrip())
        return "\n".join(shown)

    def _repr_html_(self) -> str:
        return render.table_html(_HEADERS, self._rows)


_HEADERS = (
    "cell",
    "state",
    "saved at",
    "took",
    "size",
    "time saved",
    "why it is not saved",
)


def _row(cell: StepCell) -> tuple[str, ...]:
    """Return a cell as `_HEADERS` says; what is 0 is not known."""
    return (
        cell.spec.name,
        cell.state,
        wall_time(cell.saved_at) if cell.saved_at else "",
        duration(cell.seconds) if cell.seconds else "",
        f"{cell.size / 1000:,.1f} kB" if cell.size else "",
        duration(cell.seconds_saved) if cell.seconds_saved else "",
        cell.why,
    )
