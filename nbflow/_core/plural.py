"""Plural: a number with its noun."""


def several(number: int, noun: str) -> str:
    """``1 record``, ``1,000 records``."""
    plural = noun if number == 1 else f"{noun}s"
    return f"{number:,} {plural}"
