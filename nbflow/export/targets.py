"""Targets: those that the listing of this package has."""

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
    modules = [
        importlib.import_module(f"{__package__}.{found.name}")
        for found in pkgutil.iter_modules([str(Path(__file__).parent)])
    ]
    found: list[Target] = [
        module.TARGET for module in modules if hasattr(module, "TARGET")
    ]
    return {
        target.name: target for target in sorted(found, key=lambda target: target.name)
    }


def target(name: str) -> Target:
    """The target of this name.

    Raises:
        UsageError: there is none; names the closest one.
    """
    known = targets()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"--to {name}: there is no such target"
            + (
                f"; did you mean {close[0]}?"
                if close
                else f"; there are {', '.join(known)}."
            )
        )
    return known[name]
