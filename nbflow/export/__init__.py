"""Export: a notebook becomes the scheduled job, written as the platform's own engineers would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nbflow.export.handover import Export


def export(
    notebook: str | Path,
    to: str,
    *,
    schedule: str | None = None,
    timezone: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> Export:
    """Write a notebook as the job of a scheduler, into a folder with all that it needs.

    Exported again, the folder shows what changed, and what a person changed by hand stays as it is.

    Args:
        notebook: the notebook; it stays as it is.
        to: the target: ``"cron"``, ``"systemd"``, ``"airflow"``, ... ; ``nbflow export --help`` lists them.
        schedule: five fields of cron, ``"0 6 * * 1-5"``. What two schedulers read differently is refused.
        timezone: the zone that they are meant in, ``"Europe/Berlin"``; that of this machine by default.
        parameters: values for names of the cell tagged ``parameters``.
        name: what the job is called; the notebook's name by default.
        output: the folder; ``exports/NAME-TARGET`` beside the notebook by default.
        dry_run: write nothing.
        force: export although ``nbflow check`` finds errors.

    Returns:
        What was written, to be shown: ``.folder``, ``.job``, ``.changes``, ``.warnings``.

    Raises:
        UsageError: the notebook, the schedule, a parameter, the folder or the target stands against it; says what to do.
    """
    from dataclasses import replace
    from pathlib import Path

    from nbflow.export.handover import Order, prepare
    from nbflow.export.schema import spelled

    path = Path(notebook).expanduser()
    made = prepare(Order(path, to, schedule, timezone, spelled(path, parameters or {}), name, Path(output) if output is not None else None, force))
    if dry_run:
        return made
    made.write()
    return replace(made, is_written=True)
