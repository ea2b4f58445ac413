"""Redaction: code and short plain values as texts for a person who asks what changed.

No secret is in them.
"""

from __future__ import annotations

import enum
import os
import pathlib
import re
from typing import TYPE_CHECKING

from nbflow._key import secret_patterns
from nbflow._key.secret import KNOWN, SHORTEST, Secret
from nbflow._key.value import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longer ones are not kept: of a list of ten thousand labels the digest says enough.
_LONGEST = 20_000
_WIDTH = 100

_HIDDEN = "<hidden>"
#: Modules whose objects are written so that a person can read them.
_SHOWN = frozenset(("datetime", "decimal", "fractions", "uuid"))


def of_value(value: object) -> str:
    """Return how a value is written if it is short and plain, else nothing.

    A text stands for itself.
    """
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, str):
        return value if type(value) is str and len(value) <= _LONGEST else ""
    if isinstance(value, (enum.Enum, pathlib.PurePath, re.Pattern)):
        return repr(value)[:_LONGEST]
    if not _is_shown(value) or len(repr(value)) > _LONGEST:
        return ""
    import pprint

    text = pprint.pformat(value, width=_WIDTH, sort_dicts=False)
    return text if len(text) <= _LONGEST else ""


def _is_shown(value: object) -> bool:
    if isinstance(value, (tuple, set, frozenset)):
        return len(value) <= _LONGEST and all(map(_is_shown, value))
    if isinstance(value, (list, dict)) and len(value) > _LONGEST:
        return False
    return is_plain(value) or type(value).__module__ in _SHOWN


def redacted(text: str, name: str) -> str:
    """Return a text without what looks like a secret.

    That shows in the name of what the text is, in where it comes from, or in its form.
    """
    if not text:
        return text
    is_code = "\n" in text or "(" in text
    # A value may be shown with its quotes.
    is_secret = secret_patterns.is_secret(name.rpartition(".")[2], text.strip("'\""))
    if is_secret and not is_code and not text.isdigit():
        return _HIDDEN
    return masker()(text)


def masker() -> Callable[[str], str]:
    """Return what hides secrets in texts: those that are known, look like one, or stand in the environment.

    For many texts: the environment is read once.
    """
    # Variables of the environment are secrets if their names say so. A short value
    # would hide half of the text.
    values = [
        value
        for variable, value in os.environ.items()
        if len(value) >= SHORTEST and secret_patterns.is_secret(variable, value)
    ]

    def mask(text: str) -> str:
        text = secret_patterns.without(KNOWN.mask(text), _HIDDEN)
        for value in values:
            text = text.replace(value, _HIDDEN)
        return text

    return mask
