"""Amount: numbers of bytes, as a person says and writes them."""

from __future__ import annotations

import re

from nbflow.errors import UsageError

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_STEP = 1000
_WRITTEN = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?(?:ytes)?\s*", re.IGNORECASE
)


def amount(size: float) -> str:
    """Bytes as a person says them: ``1.5 MB``."""
    power = 0
    while size >= _STEP and power < len(_UNITS) - 1:
        size /= _STEP
        power += 1
    digits = 1 if power and size < _STEP / 10 else 0
    return f"{size:.{digits}f} {_UNITS[power]}"


def bytes_in(value: float | str, option: str) -> int:
    """A number of bytes, from a number or a text such as ``"2GB"``, ``"500 MB"``, ``"1GiB"``.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, str) and (found := _WRITTEN.fullmatch(value)) is not None:
        number, unit, is_binary = found.groups()
        power = " kmgt".index(unit.lower() or " ")
        return int(float(number) * (1024 if is_binary else _STEP) ** power)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(
            f'{option}={value!r} is not a size: write bytes, or text such as "2GB".'
        )
    return int(value)
