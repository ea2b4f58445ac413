"""Export: a notebook becomes a scheduled job, written as the platform's own engineers would write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow._tell.telling import Wishes
    from nbflow.export.result import Export


def export(
    notebook: str | Path,
    to: str,
    *,
    schedule: str | None = None,
    timezone: str | None = None,
    parameters: Mapping[str, object] | None = None,
    max_failed: str | int | None = None,
    budget: str | float | None = None,
    timeout: str | float | None = None,
    gates: Sequence[str] = (),
    notify: str | Sequence[str] = (),
    notify_on: str = "failure",
    notify_content: bool = False,
    heartbeat: str | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> Export:
    """Write a notebook as the job of a scheduler, into a folder with all that it needs.

    Exported again, the folder shows what changed, and what a person changed by hand
    stays as it is.

    Args:
        notebook: the notebook; it is not changed.
        to: the target: ``"cron"``, ``"systemd"``, ``"airflow"``, ... ; ``nbflow export
            --help`` lists them.
        schedule: five fields of cron, ``"0 6 * * 1-5"``. What two schedulers read
            differently is refused.
        timezone: the zone of the schedule, ``"Europe/Berlin"``; that of this machine by
            default.
        parameters: values for names of the cell tagged ``parameters``.
        max_failed: the number of records that each run may leave undone, ``5``, or a
            share of them, ``"5%"``.
        budget: US dollars that the calls of models in each run may cost, ``"$5"``.
        timeout: the longest that one cell may take, ``"30m"``.
        gates: what has to hold of the labels, as ``nbflow run --gate`` takes it:
            ``["flips<=0.05", "model unchanged"]``.
        notify: addresses of Apprise that are told how each run ended, or ``"env:NAME"``.
            The files have the name of a variable in their place: the addresses go where
            the job's other secrets go.
        notify_on: when they are told: ``"failure"``, ``"always"``, ``"change"``,
            ``"waiting"``, ``"budget"``, or several with commas between them.
        notify_content: whether they are also told messages of errors and keys of
            records.
        heartbeat: the URL of a dead man's switch that each success pings, or
            ``"env:NAME"``.
        name: the title of the job; the notebook's name by default.
        output: the folder; ``exports/NAME-TARGET`` beside the notebook by default.
        dry_run: write nothing.
        force: export although ``nbflow check`` finds errors.

    Returns:
        What was written, to be shown: ``.folder``, ``.job``, ``.changes``,
            ``.warnings``.

    Raises:
        UsageError: the notebook, the schedule, a parameter, the folder or the target
            does not allow it; says what to do.
    """
    from dataclasses import replace
    from pathlib import Path

    from nbflow.export.prepare import Order, prepare
    from nbflow.export.schema import spelled

    _check_text("to", to)
    for argument, value in (
        ("schedule", schedule),
        ("timezone", timezone),
        ("name", name),
    ):
        if value is not None:
            _check_text(argument, value)
    if not isinstance(parameters, Mapping | None):
        raise UsageError(
            f"parameters={parameters!r} has to be a dict of names and values: "
            '{"day": "2026-11-24"}.'
        )
    path = Path(notebook).expanduser()
    limits = {"--max-failed": max_failed, "--budget": budget, "--timeout": timeout}
    order = Order(
        notebook=path,
        to=to,
        schedule=schedule,
        timezone=timezone,
        parameters=spelled(path, parameters or {}),
        options=_options(limits, gates),
        wishes=_wishes(notify, notify_on, heartbeat, content=notify_content),
        name=name,
        output=Path(output) if output is not None else None,
        force=force,
    )
    made = prepare(order)
    if not dry_run:
        made.write()
        made = replace(made, is_written=True)
    return made


def _options(limits: Mapping[str, object], gates: Sequence[str]) -> list[str]:
    """The options of ``nbflow run`` that a job gets."""
    options = []
    for option, limit in limits.items():
        if limit is not None:
            options += [option, str(limit)]
    for rule in [gates] if isinstance(gates, str) else gates:
        _check_text("gates", rule)
        options += ["--gate", rule]
    return options


def _wishes(
    notify: str | Sequence[str], notify_on: str, heartbeat: str | None, *, content: bool
) -> Wishes:
    """Who is told how it ended."""
    from nbflow._tell.telling import Wishes

    to = [notify] if isinstance(notify, str) else list(notify)
    for one in to:
        _check_text("notify", one)
    _check_text("notify_on", notify_on)
    if heartbeat is not None:
        _check_text("heartbeat", heartbeat)
    when = [] if notify_on == "failure" else [notify_on]
    return Wishes(to, when, content, heartbeat)


def _check_text(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(
            f"{argument}={value!r} has to be a text, as in "
            'nf.export("threads.ipynb", to="cron", schedule="0 6 * * 1-5").'
        )
