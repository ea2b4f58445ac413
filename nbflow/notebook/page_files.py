"""Page files: what a browser loads, joined into the one script and the one style sheet that a widget takes.

The scripts are modules that import each other by name, so that editors, the type checker
and the tests read them as they stand. A widget takes one text and has no place to load a
second one from: VS Code serves nothing beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

#: The scripts and the style sheet that the pages of several widgets share.
PAGE = Path(__file__).parent / "page"

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)
#: Comments that fill whole lines: types and descriptions are for who reads the files.
_DOC = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/\n", re.MULTILINE | re.DOTALL)


def script(path: Path) -> str:
    """Join a module with all modules that it imports, each once and before those that use it.

    All of them come to stand in one scope, so a name at the top of a module must be
    unique among them; a browser refuses the text otherwise.
    """
    texts: dict[Path, str] = {}
    _join(path.resolve(), texts)
    return "\n".join(texts.values())


def _join(path: Path, texts: dict[Path, str]) -> None:
    if path in texts:
        return
    source = path.read_text(encoding="utf-8")
    for found in _IMPORT.finditer(source):
        imported = path.parent / found[1]
        _join(imported.resolve(), texts)
    texts[path] = _bare(source)


def _bare(source: str) -> str:
    """A module without what only files need: imports, exports and descriptions."""
    for noise in (_IMPORT, _EXPORT, _DOC):
        source = noise.sub("", source)
    return source


def style(*paths: Path) -> str:
    """Join style sheets; a later one has the last word."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
