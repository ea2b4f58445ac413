"""Duration: seconds as a person says them."""

from __future__ import annotations

#: Seconds that would be rounded to 1 ms, to 1 s and to 100 s, the next unit each.
_MILLISECOND, _SECOND, _MINUTES = 0.001, 0.9995, 99.95


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < _MILLISECOND:
        return "<1 ms"
    if seconds < _SECOND:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTES:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


#: Parts of a second in which durations are noted: quarters of a microsecond.
PARTS = 2.0**22


def noted(seconds: float) -> float:
    """A duration as the ledger notes it: nobody measures it better, and it takes a quarter of the bytes."""
    return round(seconds * PARTS) / PARTS
