"""Leaks: secrets in the files that would go along with a notebook.

An export has secrets by name only.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from nbflow._key import secret_patterns
from nbflow.notebook.check.code_cells import CodeCell
from nbflow.notebook.check.secrets import secrets_in_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nbflow.notebook.check.finding import Finding

#: Files whose purpose is to hold secrets.
_KEYS = frozenset((".env", ".pem", ".key", ".p12", ".pfx", ".jks", ".keystore"))
_KEPT = frozenset((".netrc", ".pgpass", ".pypirc", ".npmrc", "id_rsa", "id_ed25519"))
#: Files that hold settings, which may include a password. In a table of texts, the same
#: words would just be what somebody wrote.
_SETTINGS = frozenset((
    "", ".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".properties", ".txt",
))  # fmt: skip
_LONGEST = 1024 * 1024
_VARIABLE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)


def is_kept(path: Path) -> bool:
    """Whether a file holds secrets, by its name or by its content."""
    if is_dotenv(path) or path.suffix.lower() in _KEYS or path.name.lower() in _KEPT:
        return True
    if path.suffix.lower() not in _SETTINGS or path.stat().st_size > _LONGEST:
        return False
    text = path.read_text("utf-8", errors="replace")
    return secret_patterns.without(text, "") != text


def is_dotenv(path: Path) -> bool:
    """Whether a file has ``NAME=value`` lines that a notebook loads into its environment."""
    return path.name == ".env" or path.name.startswith(".env.") or path.suffix == ".env"


def variables(path: Path) -> set[str]:
    """The names in such a file; none of any other file."""
    if not is_dotenv(path):
        return set()
    return set(_VARIABLE.findall(path.read_text("utf-8", errors="replace")))


def found(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Secrets in the sources and settings of a project, as `nbflow check` finds them."""
    for place, text in texts.items():
        cell = CodeCell(0, text, None, [], _tree(place, text))
        for one in secrets_in_source([cell]):
            what = f"{place}, line {one.line}: {one.what}"
            yield one._replace(cell=None, what=what)


def _tree(place: str, text: str) -> ast.Module:
    try:
        return ast.parse(text if place.endswith(".py") else "")
    except (SyntaxError, ValueError):
        return ast.Module([], [])
