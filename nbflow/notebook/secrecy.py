"""Secrecy: what looks like a secret, by its name or by itself, and keeping it out of what is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbflow.notebook.document import replace_text

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
    """The same without the secrets in its texts, as they are or as Python writes them."""
    found = {text for secret in secrets if len(secret) >= _LEAST for text in (secret, repr(secret)[1:-1])}
    return replace_text(node, sorted(found, key=len, reverse=True), MASK) if found else node
