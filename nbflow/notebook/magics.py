"""Magics: ``%step``, what a person asks about steps from a cell."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow._core.step import Step

    Steps = Mapping[str, Step[..., Any]]

_USAGE = "%step why NAME: what changed in a step since it last ran; %step forget NAME: delete its results."


def shell() -> Any:
    """The IPython that runs the user's code, ``None`` outside of one. Imports nothing to find out."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def register(ipython: Any, steps: Callable[[], Steps]) -> None:
    """Make ``%step`` known to an IPython; ``steps()``: the steps that are defined, by name."""

    def step(line: str) -> Any:
        """Ask about a step: ``%step why NAME``, ``%step forget NAME``."""
        from IPython.core.error import UsageError  # one line instead of a traceback

        verb, _, name = line.strip().partition(" ")
        if verb not in _VERBS or not name.strip():
            raise UsageError(_USAGE)
        known = steps()
        if name.strip() not in known:
            close = difflib.get_close_matches(name.strip(), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known)) or 'none yet'}."
            raise UsageError(f"No step is called {name.strip()!r}; {hint}")
        return _VERBS[verb](known[name.strip()])

    ipython.register_magic_function(step, "line", "step")


def _forget(step: Step[..., Any]) -> None:
    count = step.forget()
    print(f"{count:,} result{'s' * (count != 1)} of {step.name} and of what was built on it deleted.")  # noqa: T201


_VERBS: dict[str, Callable[[Step[..., Any]], Any]] = {"why": lambda step: step.explain(), "forget": _forget}
