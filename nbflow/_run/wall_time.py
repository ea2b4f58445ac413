"""Wall time: a point in time as a person says it."""

from __future__ import annotations

from datetime import datetime


def wall_time(at: float) -> str:
    """``14:02`` for a time of today, with the date for other days."""
    # Without a time zone on purpose: what the clock on the reader's wall said.
    then = datetime.fromtimestamp(at)  # noqa: DTZ006  # as above
    today = datetime.now().date()  # noqa: DTZ005  # as above
    return f"{then:%H:%M}" if then.date() == today else f"{then:%Y-%m-%d %H:%M}"
