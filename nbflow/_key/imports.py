"""Modules that the body of a function imports, as a call would find them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

from nbflow._key.origin import is_users_file

if TYPE_CHECKING:
    from types import ModuleType

    from nbflow._key.guards import Space


def imported(name: str, level: int, space: Space) -> ModuleType | None:
    """Return a module that the body of a function imports; a user's module is imported for it.

    The call would import it too. If it is served from its checkpoint instead, it must
    still be known what it would have reached.
    """
    try:
        full = full_name(name, level, space)
        if full in sys.modules:
            return sys.modules[full]
        if full.partition(".")[0] in sys.stdlib_module_names:
            return None
        return importlib.import_module(full) if can_be_imported(full) else None
    except Exception:  # the user's function will meet it, and say so better
        return None


def full_name(name: str, level: int, space: Space) -> str:
    """Return the absolute name of a module; ``level``: the number of leading dots."""
    package = str(space.get("__package__") or "")
    return importlib.util.resolve_name("." * level + name, package)


def can_be_imported(full: str) -> bool:
    """Return whether a module of the user's is to be found under this name."""
    try:
        spec = importlib.util.find_spec(full)
    except Exception:  # as when its package is not there
        return False
    return spec is not None and spec.origin is not None and is_users_file(spec.origin)
