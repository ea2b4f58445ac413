"""systemd: a timer and a service of the user, on this machine.

The best of what Linux has: it catches up on missed runs.
"""

from __future__ import annotations

import re
import shlex
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.export.readme import code
from nbflow.export.source import printable
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.export.schedule import Schedule
    from nbflow.export.spec import Job

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
#: Besides letters and digits, what a word may hold without quotes.
_BARE = frozenset("_./=:,@+-")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%"}


class Systemd:
    """A timer starts a service; the journal has the log, the unit the exit code."""

    name = "systemd"
    about = "a systemd timer on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterator[str]:
        """Paths that a unit file has no spelling for."""
        text = str(job.folder)
        if any(not one.isprintable() for one in text) or text.endswith(("\\", " ")):
            yield (
                f"The folder {text!r} has a name that no unit file can say: name "
                f"another one with --output."
            )

    def files(self, job: Job) -> dict[str, str]:
        """The two units."""
        assert job.schedule is not None
        what = f"{_words(job.title)}: a notebook run by nbflow"
        return {
            f"nbflow-{job.name}.service": _service(job, what),
            f"nbflow-{job.name}.timer": _timer(job.schedule, what),
        }

    def guide(self, job: Job) -> Guide:
        """With systemctl, as the user."""
        unit = f"nbflow-{job.name}"
        command = shlex.join(job.command)
        by_hand = ""
        if command.isprintable():
            if job.secrets:
                command = f"(set -a; . ./secrets.env; {command})"
            by_hand = f"; before that, {code(command)}"
        return Guide(
            install=f'`systemctl --user link "$PWD"/{unit}.service "$PWD"/{unit}.timer && '
            f"systemctl --user enable --now {unit}.timer`, and once, so that it "
            f"runs while you are logged out: `loginctl enable-linger`",
            test=f"`systemctl --user start {unit}` once it is installed{by_hand}",
            watch=f"`systemctl --user list-timers {unit}.timer` says when it runs next, "
            f"`systemctl --user status {unit}` how it went, `journalctl --user -u "
            f"{unit}` what it said.",
            remove=f"`systemctl --user disable --now {unit}.timer && systemctl --user "
            f"disable {unit}.service`",
            missed="If runs were missed while the machine was off, one run starts when it "
            "is on again. A run that is still at work when the next one is due continues, "
            "and the next one is left out.",
            secrets="write `NAME=value` lines into `secrets.env` here, and `chmod 600 "
            "secrets.env`. Values with spaces, quotes, `$`, `#` or backslashes go "
            "in single quotes.",
        )


TARGET = Systemd()


def _service(job: Job, what: str) -> str:
    folder = str(job.folder).replace("%", "%%")
    variables = {
        "PATH": f"{Path(job.program).parent}:/usr/local/bin:/usr/bin:/bin",
        **job.environment,
    }
    lines = [
        "[Unit]",
        f"Description={what}",
        "",
        "[Service]",
        # While it runs, the timer starts no second one.
        "Type=oneshot",
        f"WorkingDirectory={folder}",
    ]
    for name, value in variables.items():
        lines.append(f"Environment={_quoted(f'{name}={value}')}")
    lines += [
        f"EnvironmentFile=-{_no_pattern(folder)}/secrets.env",
        f"ExecStart={command_line(job.command)}",
    ]
    return "\n".join(lines) + "\n"


def _timer(schedule: Schedule, what: str) -> str:
    lines = [
        "[Unit]",
        f"Description={what}",
        "",
        "[Timer]",
        f"OnCalendar={calendar(schedule)}",
        "# A run that was due while the machine was off is made once, when it is on again.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def command_line(arguments: list[str]) -> str:
    """Arguments as ``ExecStart=`` reads them.

    Quotes, backslashes, specifiers (%) and variables ($) are characters.
    """
    program, *rest = map(_quoted, arguments)
    # systemd replaces no variables in the first word.
    return " ".join([program, *(word.replace("$", "$$") for word in rest)])


def _quoted(text: str) -> str:
    if text and text.isascii() and all(one.isalnum() or one in _BARE for one in text):
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(one: str) -> str:
    """A character between quotes."""
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one.isprintable():
        return one
    return "".join(f"\\x{byte:02x}" for byte in one.encode())


def calendar(schedule: Schedule) -> str:
    """The schedule as ``OnCalendar=`` says it."""
    minutes, hours, days, months, weekdays = schedule.numbers
    day = f"{_weekdays(weekdays)} " if weekdays is not None else ""
    date = f"*-{_list(months)}-{_list(days)}"
    return f"{day}{date} {_list(hours)}:{_list(minutes)}:00 {schedule.timezone}"


def _list(numbers: tuple[int, ...] | None) -> str:
    return "*" if numbers is None else ",".join(f"{number:02}" for number in numbers)


def _weekdays(numbers: tuple[int, ...]) -> str:
    """Days of the week, those that follow each other as a range: ``Mon..Fri``."""
    # Within a range, a number and its place grow together.
    runs = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    return ",".join(_range([number for _, number in run]) for _, run in runs)


def _range(days: list[int]) -> str:
    if len(days) <= 2:  # noqa: PLR2004  # two are not a range
        return ",".join(_DAYS[day] for day in days)
    return f"{_DAYS[days[0]]}..{_DAYS[days[-1]]}"


def _no_pattern(path: str) -> str:
    """A path where systemd would find files by a pattern."""
    return re.sub(r"[*?[\\]", r"\\\g<0>", path)


def _words(text: str) -> str:
    """A text as words of one line, without specifiers."""
    return printable(text).strip().replace("%", "%%")
