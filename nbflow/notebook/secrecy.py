"""Secrecy: what looks like a secret, by its name or by itself, and keeping it out of what is written."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
_NAME = re.compile(
    r"(^|_)(api_?key|access_?key|private_?key|secret(_?key)?|token|pass(word|wd|phrase)?|pwd|credentials?|auth|bearer|dsn)s?$",
    re.IGNORECASE,
)
#: A shorter one would be found in the middle of other words.
_LEAST = 6


def is_secret(name: str, value: Any) -> bool:
    """Does a variable of this name with this value look like a secret? Numbers do not: ``max_tokens=500``."""
    return isinstance(value, str) and bool(value) and bool(_NAME.search(name))


def masked(node: Any, secrets: Iterable[str]) -> Any:
    """The same without the secrets in its texts, as they are or as Python writes them; keys of dicts aside."""
    found = {text for secret in secrets if len(secret) >= _LEAST for text in (secret, repr(secret)[1:-1])}
    return _replaced(node, sorted(found, key=len, reverse=True)) if found else node


def _replaced(node: Any, old: list[str]) -> Any:
    if isinstance(node, str):
        for text in old:
            node = node.replace(text, MASK)
        return node
    if isinstance(node, dict):
        return type(node)({key: _replaced(value, old) for key, value in node.items()})
    if isinstance(node, list | tuple):
        parts = [_replaced(value, old) for value in node]
        return type(node)(*parts) if hasattr(node, "_fields") else type(node)(parts)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return dataclasses.replace(node, **{one.name: _replaced(getattr(node, one.name), old) for one in dataclasses.fields(node)})
    return node
