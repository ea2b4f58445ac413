"""Schedule: when a job runs, said in five fields and a time zone that every target reads the same way.

What two schedulers read differently is refused, since nobody would notice before the
wrong morning: the grammar here is what all of them have in common. CronSim, which
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
_MONTHS = dict(zip((
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
), range(1, 13), strict=True))  # fmt: skip
_DAYS = dict(
    zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), range(7), strict=True)
)
_ITEM = re.compile(
    r"(?:(?P<all>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]+))?"
)
_LONGEST = 1000


class _Kind(NamedTuple):
    """One of the five fields: what it is called, its least and greatest number, names for numbers."""

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

        begin = (after or datetime.now(UTC)).astimezone(
            zoneinfo.ZoneInfo(self.timezone)
        )
        times = CronSim(self.cron, begin)
        return [next(times) for _ in range(count)]


def schedule(text: str, timezone: str | None = None) -> Schedule:
    """Read what ``--schedule`` and ``--timezone`` say; without a zone, that of this machine is meant.

    Raises:
        UsageError: it is no schedule, never comes, or one that two schedulers read
            differently; says what to write.
    """
    text = text.strip()
    if zone := re.match(r"(?:CRON_)?TZ=(\S+)\s", text):
        raise UsageError(
            f"--schedule {text!r}: CRON_TZ and TZ are not known to every scheduler "
            f"(Debian's cron takes no notice of them). Say --timezone {zone[1]}."
        )
    if text.startswith("@"):
        same = _SHORTHANDS.get(text.lower())
        raise UsageError(
            f"--schedule {text!r}: not every scheduler knows words with an @. "
            + (f'Write "{same}".' if same else _EXAMPLE)
        )
    fields = text.split()
    if len(fields) != len(_KINDS) or len(text) > _LONGEST:
        more = (
            " A sixth field means seconds to some schedulers, and to some as the "
            "first, to others as the last."
            if len(fields) > len(_KINDS)
            else ""
        )
        raise UsageError(
            f"--schedule {text[:80]!r} has {len(fields)} fields; write five: minute, "
            f"hour, day of the month, month, day of the week.{more} {_EXAMPLE}"
        )
    plain = [
        _plain(kind, field, text) for kind, field in zip(_KINDS, fields, strict=True)
    ]
    if plain[2] != "*" and plain[4] != "*":
        raise UsageError(
            f"--schedule {text!r} names days of the month and days of the week: one "
            f"scheduler runs on days that are both, another on days that are either. "
            f'Export two jobs, "{" ".join([*plain[:4], "*"])}" and '
            f'"{" ".join([*plain[:2], "*", *plain[3:]])}", or name one kind of day '
            f"and let the notebook look at the other."
        )
    made = Schedule(" ".join(plain), _zone(timezone))
    _comes(made, text)
    return made


def _comes(made: Schedule, text: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(made.cron, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise UsageError(
            f"--schedule {text!r} never comes: no such day is in such a month. For "
            f'the last day of each month, run on the first of the next: "0 6 1 * *".'
        ) from None


def _plain(kind: _Kind, field: str, whole: str) -> str:
    """One field in numbers; as it was written where that is so already."""
    found = _numbers(kind, field, whole)
    for name, number in kind.names.items():
        field = re.sub(name, str(number), field, flags=re.IGNORECASE)
    if (
        kind.names is _DAYS and "7" in field
    ):  # Kubernetes and GitHub know Sunday only as 0
        found = tuple(sorted({number % 7 for number in found}))
        return "*" if len(found) == len(_DAYS) else ",".join(map(str, found))
    return field


def _numbers(kind: _Kind, field: str, whole: str) -> tuple[int, ...]:
    found = set[int]()
    for item in field.split(","):
        parts = _ITEM.fullmatch(item)
        if parts is None:
            raise _refusal(
                kind,
                item,
                whole,
                "write numbers, lists (1,15), ranges (1-5), steps (*/10, 8-18/2)",
            )
        low, high = (
            (kind.low, kind.high)
            if parts["all"]
            else (
                _number(kind, parts["low"], item, whole),
                _number(kind, parts["high"] or parts["low"], item, whole),
            )
        )
        if high < low:
            raise _refusal(
                kind,
                item,
                whole,
                f"a range counts upward; write two with a comma between them, "
                f"{parts['low']}-{kind.high},{kind.low}-{parts['high']}",
            )
        step = int(parts["step"] or 1)
        if parts["step"] and not parts["all"] and not parts["high"]:
            raise _refusal(
                kind,
                item,
                whole,
                f"a step needs a range, which not every scheduler adds by itself; "
                f"write {low}-{kind.high}/{step}",
            )
        if not 0 < step <= kind.high - kind.low + 1:
            raise _refusal(
                kind, item, whole, f"steps go from 1 to {kind.high - kind.low + 1}"
            )
        found.update(range(low, high + 1, step))
    if kind.names is _DAYS and "*" in field:
        found.discard(7)  # Sunday is there, as 0
    return tuple(sorted(found))


def _number(kind: _Kind, text: str, item: str, whole: str) -> int:
    number = kind.names.get(
        text.lower(), int(text) if text.isascii() and text.isdigit() else -1
    )
    if not kind.low <= number <= kind.high:
        names = f", or {', '.join(kind.names)}" if kind.names else ""
        raise _refusal(
            kind, item, whole, f"it goes from {kind.low} to {kind.high}{names}"
        )
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
        close = (
            difflib.get_close_matches(name, known, 1)
            or [
                zone
                for zone in sorted(known)
                if name.strip() and name.lower().replace(" ", "_") in zone.lower()
            ][:1]
        )
        hint = (
            f"did you mean {close[0]}?"
            if close
            else "name a city of the IANA list, such as --timezone Europe/Berlin, or "
            "UTC."
        )
        raise UsageError(f"--timezone {name!r} is not a time zone: {hint}")
    return name


def local_zones() -> list[str]:
    """The names that the user's own zone may have, the surest first."""
    return [
        *([zone] if (zone := os.environ.get("TZ", "").lstrip(":")) else []),
        *machine_zones(),
    ]


def machine_zones() -> list[str]:
    """The same of this machine, for those to whom ``TZ`` of a user's shell says nothing."""
    link = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    try:
        noted = Path("/etc/timezone").read_text("utf-8").strip()
    except OSError:
        noted = ""
    return [
        name.removeprefix("Etc/") if name == "Etc/UTC" else name
        for name in (link, noted)
        if name
    ]
