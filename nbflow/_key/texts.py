"""Texts: how code and short plain values are written for a person who asks what changed. No secret is in them."""

from __future__ import annotations

import enum
import os
import pathlib
import pprint
import re
from typing import Any

from nbflow._key.value import is_plain

#: Longer ones are not kept: of a list of ten thousand labels the digest says enough.
_LONGEST = 20_000
_WIDTH = 100

_NAME = r"(?:api_?key|secret|token|passw(?:or)?d|passphrase|credential|private_?key|auth(?!or))"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_SECRETS = (
    re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"),  # OpenAI, Anthropic, Stripe
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"),
    re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}"),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@)"),  # in a URL
)
_ASSIGNED = re.compile(rf"""({_NAME}\w*["']?\]?\s*(?::\s*\w+\s*)?[:=]\s*)(["'])(?:(?!\2).)+\2""", re.IGNORECASE)
_HIDDEN = "<hidden>"
#: Values of environment variables are secrets if their names say so; shorter ones would hide half of the text.
_SHORTEST = 6


def of_value(value: object) -> str:
    """Return how a value is written if it is short and plain, else nothing. A text stands for itself."""
    if isinstance(value, str):
        return value if type(value) is str and len(value) <= _LONGEST else ""
    if isinstance(value, (enum.Enum, pathlib.PurePath, re.Pattern)):
        return repr(value)[:_LONGEST]
    if not _is_shown(value) or len(repr(value)) > _LONGEST:
        return ""
    text = pprint.pformat(value, width=_WIDTH, sort_dicts=False)
    return text if len(text) <= _LONGEST else ""


def _is_shown(value: Any) -> bool:
    if isinstance(value, (tuple, set, frozenset)):
        return len(value) <= _LONGEST and all(map(_is_shown, value))
    if isinstance(value, (list, dict)) and len(value) > _LONGEST:
        return False
    return is_plain(value) or type(value).__module__ in ("datetime", "decimal", "fractions", "uuid")


def redacted(text: str, name: str) -> str:
    """Return a text without what looks like a secret, by the name of what it is, by where it comes from or by its form."""
    if not text:
        return text
    if _SECRET_NAME.search(name.rpartition(".")[2]) and "\n" not in text and "(" not in text:
        return _HIDDEN
    for form in _SECRETS:
        text = form.sub(_HIDDEN, text)
    for variable, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET_NAME.search(variable):
            text = text.replace(value, _HIDDEN)
    return _ASSIGNED.sub(lambda found: f"{found[1]}{found[2]}{_HIDDEN}{found[2]}", text)
