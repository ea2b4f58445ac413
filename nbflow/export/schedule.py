"""Schedule: when a job runs, in five fields and a time zone that every target reads alike.

What two schedulers read differently is refused, since nobody would notice before the
wrong morning. The grammar here is what all of them have in common. CronSim, which
follows Debian's cron, says whether such a time exists, and when.
"""

from __future__ import annotations

import difflib
import os
import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from nbflow.errors import UsageError

_EXAMPLE = 'For instance --schedule "0 6 * * 1-5": at 06:00 from Monday to Friday.'
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES)}
_ITEM = re.compile(
    r"(?:(?P<all>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]+))?"
)
_LONGEST = 1000
#: The number of characters of a wrong schedule that are shown.
_SHOWN = 80


class _Kind(NamedTuple):
    """One of the five fields.

    Attributes:
        name: what it is called.
        low: its least number.
        high: its greatest number.
        names: names for numbers.
    """

    name: str
    low: int
    high: int
    names: dict[str, int]


_KINDS = (
    _Kind("minute", 0, 59, {}),
    _Kind("hour", 0, 23, {}),
    _Kind("day of the month", 1, 31, {}),
    _Kind("month", 1, 12, _MONTHS),
    _Kind("day of the week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job runs.

    Attributes:
        cron: five fields with one space between them, in numbers, Sunday is 0.
        timezone: the zone in which they are meant, an IANA name.
    """

    cron: str
    timezone: str

    @property
    def numbers(self) -> tuple[tuple[int, ...] | None, ...]:
        """The numbers that each of the five fields stands for; ``None`` for a star."""
        return tuple(
            None if text == "*" else _numbers(kind, text, self.cron)
            for kind, text in zip(_KINDS, self.cron.split(), strict=True)
        )

    @property
    def words(self) -> str:
        """The schedule as a sentence, without a full stop."""
        from cronsim import CronSim

        return f"{CronSim(self.cron, datetime.now(UTC)).explain()}, {self.timezone}"

    def next(self, count: int, after: datetime | None = None) -> list[datetime]:
        """The next ``count`` times at which it is due, in its zone."""
        from cronsim import CronSim

        zone = zoneinfo.ZoneInfo(self.timezone)
        begin = (after or datetime.now(UTC)).astimezone(zone)
        times = CronSim(self.cron, begin)
        return [next(times) for _ in range(count)]


def schedule(text: str, timezone: str | None = None) -> Schedule:
    """Read what ``--schedule`` and ``--timezone`` say.

    Without a zone, that of this machine is meant.

    Raises:
        UsageError: it is not a schedule, never comes, or is one that two schedulers
            read differently; says what to write.
    """
    text = text.strip()
    fields = _fields(text)
    plain = [
        _plain(kind, field, text) for kind, field in zip(_KINDS, fields, strict=True)
    ]
    minute, hour, day, month, weekday = plain
    if day != "*" and weekday != "*":
        raise UsageError(
            f"--schedule {text!r} names days of the month and days of the week: one "
            "scheduler runs on days that are both, another on days that are either. "
            f'Export two jobs, "{minute} {hour} {day} {month} *" and '
            f'"{minute} {hour} * {month} {weekday}", or name one kind of day and let '
            "the notebook look at the other."
        )
    made = Schedule(" ".join(plain), _zone(timezone))
    _check_comes(made, text)
    return made


def _fields(text: str) -> list[str]:
    """The five fields as they are written."""
    if zone := re.match(r"(?:CRON_)?TZ=(\S+)\s", text):
        raise UsageError(
            f"--schedule {text!r}: CRON_TZ and TZ are not known to every scheduler "
            "(Debian's cron takes no notice of them). Say "
            f"--timezone {zone[1]}."
        )
    if text.startswith("@"):
        same = _SHORTHANDS.get(text.lower())
        todo = f'Write "{same}".' if same else _EXAMPLE
        raise UsageError(
            f"--schedule {text!r}: not every scheduler knows words with an @. {todo}"
        )
    fields = text.split()
    if len(fields) != len(_KINDS) or len(text) > _LONGEST:
        more = ""
        if len(fields) > len(_KINDS):
            more = (
                " A sixth field means seconds to some schedulers, and to some as the "
                "first, to others as the last."
            )
        raise UsageError(
            f"--schedule {text[:_SHOWN]!r} has {len(fields)} fields; write five: minute, "
            f"hour, day of the month, month, day of the week.{more} {_EXAMPLE}"
        )
    return fields


def _check_comes(made: Schedule, text: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(made.cron, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise UsageError(
            f"--schedule {text!r} never comes: no such day is in such a month. For the "
            "last day of each month, run on the first of the next: "
            '"0 6 1 * *".'
        ) from None


def _plain(kind: _Kind, field: str, whole: str) -> str:
    """One field in numbers; as it was written where that is so already."""
    found = _numbers(kind, field, whole)
    for name, number in kind.names.items():
        field = re.sub(name, str(number), field, flags=re.IGNORECASE)
    # Kubernetes and GitHub know Sunday only as 0.
    if kind.names is _DAYS and "7" in field:
        days = sorted({number % 7 for number in found})
        return "*" if len(days) == len(_DAYS) else ",".join(map(str, days))
    return field


def _numbers(kind: _Kind, field: str, whole: str) -> tuple[int, ...]:
    """The numbers that one field of the schedule ``whole`` stands for."""
    found = set[int]()
    for item in field.split(","):
        found.update(_range(kind, item, whole))
    if kind.names is _DAYS and "*" in field:
        found.discard(7)  # Sunday is there, as 0
    return tuple(sorted(found))


def _range(kind: _Kind, item: str, whole: str) -> range:
    """The numbers that one item of a list stands for: ``*/10``, ``5``, ``mon-fri``."""
    parts = _ITEM.fullmatch(item)
    if parts is None:
        why = "write numbers, lists (1,15), ranges (1-5), steps (*/10, 8-18/2)"
        raise _refusal(kind, item, whole, why)
    low, high = kind.low, kind.high
    if not parts["all"]:
        low = _number(kind, parts["low"], item, whole)
        high = _number(kind, parts["high"] or parts["low"], item, whole)
    if high < low:
        two = f"{parts['low']}-{kind.high},{kind.low}-{parts['high']}"
        why = f"a range counts upward; write two with a comma between them, {two}"
        raise _refusal(kind, item, whole, why)
    step = int(parts["step"] or 1)
    if parts["step"] and not parts["all"] and not parts["high"]:
        why = (
            "a step needs a range, which not every scheduler adds by itself; write "
            f"{low}-{kind.high}/{step}"
        )
        raise _refusal(kind, item, whole, why)
    most = kind.high - kind.low + 1
    if not 0 < step <= most:
        raise _refusal(kind, item, whole, f"steps go from 1 to {most}")
    return range(low, high + 1, step)


def _number(kind: _Kind, text: str, item: str, whole: str) -> int:
    number = kind.names.get(text.lower())
    if number is None:
        number = int(text) if text.isascii() and text.isdigit() else -1
    if not kind.low <= number <= kind.high:
        names = f", or {', '.join(kind.names)}" if kind.names else ""
        why = f"it goes from {kind.low} to {kind.high}{names}"
        raise _refusal(kind, item, whole, why)
    return number


def _refusal(kind: _Kind, item: str, whole: str, why: str) -> UsageError:
    return UsageError(
        f"--schedule {whole!r}: {item!r} is no {kind.name}: {why}. {_EXAMPLE}"
    )


def _zone(name: str | None) -> str:
    known = zoneinfo.available_timezones() - {"localtime", "Factory"}
    if name is None:
        return next((zone for zone in local_zones() if zone in known), "UTC")
    if name not in known:
        close = _close_zone(name, known)
        hint = "name a city of the IANA list, such as --timezone Europe/Berlin, or UTC."
        if close is not None:
            hint = f"did you mean {close}?"
        raise UsageError(f"--timezone {name!r} is not a time zone: {hint}")
    return name


def _close_zone(name: str, known: set[str]) -> str | None:
    """The zone that is spelled much the same, or has the name in its own."""
    if close := difflib.get_close_matches(name, known, 1):
        return close[0]
    part = name.lower().replace(" ", "_")
    if not name.strip():
        return None
    return next((zone for zone in sorted(known) if part in zone.lower()), None)


def local_zones() -> list[str]:
    """The names that the user's own zone may have, the most certain first."""
    zone = os.environ.get("TZ", "").lstrip(":")
    return [zone, *machine_zones()] if zone else machine_zones()


def machine_zones() -> list[str]:
    """The names that the zone of this machine may have, whatever ``TZ`` a shell sets."""
    link = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    try:
        noted = Path("/etc/timezone").read_text("utf-8").strip()
    except OSError:
        noted = ""
    names = [name for name in (link, noted) if name]
    return ["UTC" if name == "Etc/UTC" else name for name in names]
