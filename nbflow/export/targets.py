"""Targets: found in the listing of this package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow.export.spec import Target


def targets() -> dict[str, Target]:
    """Every target by its name; a module with a ``TARGET`` is one."""
    found: list[Target] = []
    for entry in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"{__package__}.{entry.name}")
        if hasattr(module, "TARGET"):
            found.append(module.TARGET)
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def target(name: str) -> Target:
    """The target of this name.

    Raises:
        UsageError: there is none; names the closest one.
    """
    known = targets()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = (
            f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
        )
        raise UsageError(f"--to {name}: there is no such target; {hint}")
    return known[name]
