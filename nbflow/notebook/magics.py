"""Magics: ``%step``, what a person asks about steps from a cell."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any

from nbflow._core.table import duration
from nbflow._run import render
from nbflow._run.explanation import clock
from nbflow.notebook.step_cell import StepCell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow._core.step import Step
    from nbflow.notebook.step_cell import Notebook

    Steps = Mapping[str, Step[..., Any]]

_USAGE = (
    "%step list: the step cells of this notebook; %step why NAME: what changed in a cell or step since it last ran; "
    "%step force NAME: run the cell once although it is saved; %step forget NAME: delete what is saved of it."
)


def shell() -> Any:
    """The IPython that runs the user's code, ``None`` outside of one. Imports nothing to find out."""
    ipython = sys.modules.get("IPython")
    return (
        ipython.get_ipython()
        if ipython is not None and hasattr(ipython, "get_ipython")
        else None
    )


def register(ipython: Any, steps: Callable[[], Steps], notebook: Notebook) -> None:
    """Make ``%step`` known to an IPython.

    Args:
        ipython: the shell.
        steps: gives the steps that are defined, by name.
        notebook: its step cells.
    """

    def step(line: str) -> Any:
        """Ask about step cells and steps: ``%step list``, ``%step why NAME``, ``force``, ``forget``."""
        from IPython.core.error import UsageError  # one line instead of a traceback

        verb, _, rest = line.strip().partition(" ")
        name = rest.strip()
        if verb == "list" and not name:
            return Listing(notebook)
        known = {**steps(), **notebook.cells}
        if verb not in _VERBS or not name:
            raise UsageError(_USAGE)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else f"there are {', '.join(sorted(known)) or 'none yet'}."
            )
            raise UsageError(f"No step is called {name!r}; {hint}")
        return _VERBS[verb](known[name], notebook)

    ipython.register_magic_function(step, "line", "step")


def _why(step: Any, notebook: Notebook) -> Any:
    return notebook.explain(step) if isinstance(step, StepCell) else step.explain()


def _forget(step: Any, notebook: Notebook) -> None:
    is_cell = isinstance(step, StepCell)
    count = notebook.forget(step) if is_cell else step.forget()
    name = step.spec.name if is_cell else step.name
    print(  # noqa: T201
        f"{count:,} result{'s' * (count != 1)} of {name} and of what was built on it deleted."
    )


def _force(step: Any, notebook: Notebook) -> None:
    from IPython.core.error import UsageError

    if not isinstance(step, StepCell):
        raise UsageError(
            f"{step.name} is a function, not a cell: forget its results, %step forget {step.name}, or rerun the run."
        )
    notebook.forced.add(step.spec.name)
    print(f"{step.spec.name} runs at the next Run, although it is saved.")  # noqa: T201


_VERBS: dict[str, Callable[[Any, Notebook], Any]] = {
    "why": _why,
    "forget": _forget,
    "force": _force,
}


class Listing:
    """The step cells of a notebook as a table: name, state, last run, how long it took, size, time saved."""

    def __init__(self, notebook: Notebook) -> None:
        self._rows = [_row(cell) for cell in notebook.cells.values()]

    def __repr__(self) -> str:
        lines = [_HEADERS, *self._rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

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
    saved_at = clock(cell.saved_at) if cell.saved_at else ""
    size = f"{cell.size / 1000:,.1f} kB" if cell.size else ""
    return (
        cell.spec.name,
        cell.state,
        saved_at,
        duration(cell.seconds) if cell.seconds else "",
        size,
        duration(cell.seconds_saved) if cell.seconds_saved else "",
        cell.why,
    )
