"""Command: what ``nbflow export`` does, printed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError
from nbflow.export import result
from nbflow.export.drift import drifted, exports_of
from nbflow.export.prepare import Order, prepare
from nbflow.export.targets import targets

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace, console: Any) -> int:
    """Export, look for drift, or list the targets; answers the exit code."""
    if arguments.to == "list":
        console.print(listed(), soft_wrap=True)
        return 0
    if arguments.notebook is None:
        raise UsageError(
            'Say which notebook: nbflow export threads.ipynb --to systemd --schedule "0 6 * * 1-5".'
        )
    if arguments.drift:
        return _drift(arguments, console)
    if arguments.to is None:
        raise UsageError(
            f"Say which scheduler it is for: --to {', --to '.join(targets())}."
        )
    options = [
        part
        for name in ("max_failed", "budget", "timeout")
        if (value := getattr(arguments, name)) is not None
        for part in (f"--{name.replace('_', '-')}", value)
    ]
    order = Order(
        arguments.notebook,
        arguments.to,
        arguments.schedule,
        arguments.timezone,
        arguments.parameter,
        options,
        arguments.name,
        arguments.output,
        arguments.force,
    )
    made = prepare(order)
    if not arguments.dry_run:
        made.write()
        made = replace(made, is_written=True)
    result.to_console(made, console)
    return 0


def listed() -> str:
    """The targets, a line each."""
    return "\n".join(f"  {name:<18} {one.about}" for name, one in targets().items())


def _drift(arguments: argparse.Namespace, console: Any) -> int:
    found = exports_of(arguments.notebook, arguments.output)
    if not found:
        console.print(
            f"There is no export of {arguments.notebook}; name its folder with --output if it is not in exports/ beside it.",
            soft_wrap=True,
        )
    code = 0
    for folder in found:
        paths = drifted(arguments.notebook, folder)
        code = code or int(bool(paths))
        console.print(
            f"{folder}: "
            + (
                f"the notebook has drifted from it: {', '.join(paths)}"
                if paths
                else "as the notebook is"
            ),
            soft_wrap=True,
        )
    return code
