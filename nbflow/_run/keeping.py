"""Keeping: what a store is to keep, as its user wrote it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._core.amount import bytes_in
from nbflow._core.policy import seconds
from nbflow._run.pruning import Rules
from nbflow._store.store import MemoryStore
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

__all__ = ["policy", "rules"]

_TABLE = "[tool.nbflow.store]"
_NAMES = ("keep", "keep_runs", "max_size")


def rules(
    older_than: float | str | timedelta | None = None,
    keep_runs: int | None = None,
    max_size: float | str | None = None,
    step: str | None = None,
) -> Rules:
    """The rules that these values mean.

    Raises:
        UsageError: a value makes no sense.
    """
    is_count = isinstance(keep_runs, int) and not isinstance(keep_runs, bool)
    if keep_runs is not None and not (is_count and keep_runs >= 0):
        raise UsageError(
            f"keep_runs={keep_runs!r} has to be a number of runs, 0 or more."
        )
    return Rules(
        older_than=None if older_than is None else seconds(older_than, "older_than"),
        keep_runs=keep_runs,
        max_size=None if max_size is None else bytes_in(max_size, "max_size"),
        step=step,
    )


def policy(
    store: str,
    *,
    max_size: float | str | None = None,
    keep: float | str | timedelta | None = None,
) -> Rules | None:
    """What a store is to keep: as ``nf.use`` says, or the ``pyproject.toml`` above it; ``None`` for everything.

    Raises:
        UsageError: it makes no sense; the message names the file.
    """
    if max_size is not None or keep is not None:
        return rules(keep, None, max_size)
    if store == MemoryStore.url:
        return None
    for folder in Path(store).resolve().parents:
        file = folder / "pyproject.toml"
        if file.is_file():
            return _written(file)
    return None


def _written(file: Path) -> Rules | None:
    """What one ``pyproject.toml`` says; what cannot be read is another tool's to complain of."""
    try:
        document: Any = tomllib.loads(file.read_text("utf-8"))
        table: Mapping[str, Any] = document["tool"]["nbflow"]["store"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    unknown = sorted(set(table) - set(_NAMES))
    if unknown:
        raise UsageError(
            f"{file}, {_TABLE}: there is no {unknown[0]!r}; it knows"
            f" {', '.join(_NAMES)}."
        )
    try:
        found = rules(table.get("keep"), table.get("keep_runs"), table.get("max_size"))
    except UsageError as error:
        raise UsageError(f"{file}, {_TABLE}: {error}") from None
    return found if table else None
