"""Command: what ``nbflow export`` does, printed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nbflow._tell.telling import Wishes
from nbflow.errors import UsageError
from nbflow.export import result
from nbflow.export.drift import drifted, exports_of
from nbflow.export.prepare import Order, prepare
from nbflow.export.targets import targets

if TYPE_CHECKING:
    import argparse

    from rich.console import Console


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Export, look for drift, or list the targets; return the exit code."""
    if arguments.to == "list":
        console.print(listed(), soft_wrap=True)
        return 0
    if arguments.notebook is None:
        raise UsageError(
            "Say which notebook: nbflow export threads.ipynb --to systemd "
            '--schedule "0 6 * * 1-5".'
        )
    if arguments.drift:
        return _drift(arguments, console)
    if arguments.to is None:
        raise UsageError(
            f"Say which scheduler it is for: --to {', --to '.join(targets())}."
        )
    made = prepare(_order(arguments))
    if not arguments.dry_run:
        made.write()
        made = replace(made, is_written=True)
    result.to_console(made, console)
    return 0


def listed() -> str:
    """The targets, a line each."""
    return "\n".join(f"  {name:<18} {one.about}" for name, one in targets().items())


def _order(arguments: argparse.Namespace) -> Order:
    options: list[str] = []
    for name in ("max_failed", "budget", "timeout"):
        value = getattr(arguments, name)
        if value is not None:
            options += [f"--{name.replace('_', '-')}", value]
    for rule in arguments.gate or ():
        options += ["--gate", rule]
    return Order(
        notebook=arguments.notebook,
        to=arguments.to,
        schedule=arguments.schedule,
        timezone=arguments.timezone,
        parameters=arguments.parameter,
        options=options,
        wishes=Wishes(
            notify=arguments.notify,
            notify_on=arguments.notify_on,
            content=arguments.notify_content,
            heartbeat=arguments.heartbeat,
        ),
        name=arguments.name,
        output=arguments.output,
        force=arguments.force,
    )


def _drift(arguments: argparse.Namespace, console: Console) -> int:
    """Print which exports have drifted; the exit code is 1 if one has."""
    found = exports_of(arguments.notebook, arguments.output)
    if not found:
        console.print(
            f"There is no export of {arguments.notebook}; name its folder with "
            "--output if it is not in exports/ beside it.",
            soft_wrap=True,
        )
    code = 0
    for folder in found:
        said = "as the notebook is"
        if paths := drifted(arguments.notebook, folder):
            said = f"the notebook has drifted from it: {', '.join(paths)}"
            code = 1
        console.print(f"{folder}: {said}", soft_wrap=True)
    return code
