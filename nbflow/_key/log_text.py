"""Log text: a line of the log, without secrets and without anything that controls a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.visible import seen
from nbflow._key.secret import KNOWN

if TYPE_CHECKING:
    import logging


def log(logger: logging.Logger, level: int, text: str, *values: object) -> None:
    """Log ``text % values``; costs next to nothing if the level is off.

    Names of steps, types of errors and messages come from the user's code and data: a
    line break in one of them is shown, and forges no line of its own.
    """
    if logger.isEnabledFor(level):
        line = KNOWN.mask(text % values) if values else KNOWN.mask(text)
        logger.log(level, "%s", seen(line))
