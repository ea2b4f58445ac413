"""cron: a line in the crontab of the user, on this machine.

The plainest of all, and on every Unix.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from nbflow.export import shell
from nbflow.export.schedule import machine_zones
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.export.spec import Job

#: What Debian's cron takes.
_LONGEST_LINE = 998


class Cron:
    """The line starts `run.sh`, since cron gives a job no packages, language or secrets."""

    name = "cron"
    about = "a line in your crontab on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterator[str]:
        """A zone that cron does not know, and a path that a line cannot hold."""
        assert job.schedule is not None
        here = machine_zones() or ["UTC"]
        if job.schedule.timezone not in here:
            yield (
                f"cron knows only the zone of this machine, {here[0]}, and takes no "
                f"notice of CRON_TZ on Debian and Ubuntu: write the schedule in it "
                f"(--timezone {here[0]}), or take a target that has zones: --to "
                f"systemd."
            )
        if (
            any(not one.isprintable() for one in str(job.folder))
            or len(os.fsencode(_line(job))) > _LONGEST_LINE
        ):
            yield (
                f"The folder {str(job.folder)!r} has a name that no line of a crontab "
                f"can say: name another one with --output."
            )

    def files(self, job: Job) -> dict[str, str]:
        """The block, and what its line starts."""
        lines = [f"# nbflow:begin {job.name}", _line(job), f"# nbflow:end {job.name}"]
        block = "".join(f"{line}\n" for line in lines)
        return {"crontab": block, shell.NAME: shell.script(job)}

    def guide(self, job: Job) -> Guide:
        """With crontab."""
        others = (
            f"crontab -l 2>/dev/null | sed '/^# nbflow:begin {job.name}$/,/^# "
            f"nbflow:end {job.name}$/d'"
        )
        return Guide(
            install=f"`({others}; cat crontab) | crontab -`",
            test="`./run.sh; echo exit code $?`",
            watch="`tail job.log`; of a run that fails, cron mails the end of it to "
            "you, if this machine has mail.",
            remove=f"`{others} | crontab -`",
            missed="Runs missed while the machine was off are not caught up; with "
            "`--to systemd` they are. A run that is still at work when the next one is "
            "due continues, and the next one ends at once with exit code 75.",
            secrets=f"{shell.SECRETS}.",
        )


TARGET = Cron()


def _line(job: Job) -> str:
    assert job.schedule is not None
    script = shlex.quote(str(job.folder / shell.NAME))
    log = shlex.quote(str(job.folder / "job.log"))
    # What a line prints is mailed: nothing of a run that went well.
    failed = f"code=$?; tail -n 40 {log}; exit $code;"
    command = f"{script} >>{log} 2>&1 || {{ {failed} }}"
    return f"{job.schedule.cron} {escaped(command)}"


def escaped(command: str) -> str:
    r"""A command as a crontab holds it.

    cron takes ``%`` for the end of a line, and ``\%`` for itself.
    """
    return command.replace("%", r"\%")
