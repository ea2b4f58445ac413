"""Leaving: the part of a text that leaves the process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nbflow._core.label import is_missing
from nbflow.errors import NonRetriableError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Spaces, those of no width as well.
_NOTHING = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]*")


class Leaving:
    """What is left of a text once it is redacted.

    An object, not a function: the key names ``redact``, whose code counts, itself.

    Args:
        redact: of the user's.
        owner: who takes the text, for errors.
        of_nothing: the answer for a text that is empty; ``None`` if there is none.
        otherwise: what is said of an empty text if there is none.
    """

    def __init__(
        self,
        redact: Callable[[str], str] | None,
        owner: str,
        of_nothing: object,
        otherwise: str,
    ) -> None:
        self._redact = redact
        self._owner = owner
        self._otherwise = otherwise
        self.of_nothing = of_nothing

    def __call__(self, text: object) -> str:
        """What may leave; empty if there is nothing to see in it.

        Raises:
            TypeError: it is no text.
            NonRetriableError: it is empty, and nobody can answer that.
        """
        if is_missing(text):
            text = ""
        if not isinstance(text, str):
            raise TypeError(
                f"{self._owner} takes a text, not {type(text).__name__}: "
                "pick the column, or join the fields."
            )
        left = text if self._redact is None else self._redact(text)
        if not isinstance(left, str):
            raise TypeError(
                f"redact= returned {type(left).__name__}; "
                "it has to return the text that may leave the process."
            )
        if _NOTHING.fullmatch(left) is None:
            return left
        if self.of_nothing is None:
            raise NonRetriableError(self._otherwise)
        return ""
