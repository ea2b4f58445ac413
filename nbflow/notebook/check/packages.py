"""Packages: what the notebook imports, whether it is installed, and whether a file beside it pins its version."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from nbflow.notebook.check.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from nbflow.notebook.check.code_cells import CodeCell

#: Files that pin every version, and files that may pin some.
_LOCKS = (
    "pylock*.toml",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "conda-lock.yml",
    "*.lock.txt",
    "requirements*.lock",
)
_LOOSE = ("requirements*.txt", "constraints*.txt", "environment.y*ml", "pyproject.toml")
_REQUIREMENT = re.compile(
    r"^\s*(?:-\s*)?['\"]?([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*([=<>!~@][^;#'\"]*)?"
)
#: A version that leaves no choice: of pip, of a URL, of conda.
_PINS = re.compile(r"==|@|=\d")
#: Whatever may be the name of a package in a lock file.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


def imported(cells: list[CodeCell], folder: Path) -> Iterator[Finding]:
    """Find imports that are not installed, and packages whose version no file pins."""
    known = metadata.packages_distributions()
    written = _written(cells)
    used: dict[str, tuple[int, int]] = {}
    # A notebook that changes the path has modules elsewhere. Where, is only known once
    # the cell runs.
    level = "note" if any("sys.path" in cell.source for cell in cells) else "error"
    for name, (cell, line) in _imports(cells).items():
        if name in sys.stdlib_module_names or f"{name}.py" in written:
            continue
        if (folder / f"{name}.py").exists() or (folder / name).is_dir():
            continue
        if known.get(name):
            used.setdefault(known[name][0], (cell, line))
        elif name not in known and importlib.util.find_spec(name) is None:
            yield Finding(
                "missing-package",
                level,
                cell,
                line,
                f"`{name}` is not installed, nor a file beside the notebook",
                "The cell fails with ModuleNotFoundError.",
                f"Install the package that provides it, or put {name}.py beside the notebook.",
            )
    yield from _unpinned(used, folder)


def _written(cells: list[CodeCell]) -> set[str]:
    """Return the files that cells write with ``%%writefile``."""
    words = set[str]()
    for cell in cells:
        for magic in cell.magics:
            if magic.is_cell and magic.name in ("writefile", "file"):
                words.update(magic.text.split())
    return words


def _unpinned(used: dict[str, tuple[int, int]], folder: Path) -> Iterator[Finding]:
    """Say once for all packages what is not pinned: people read one list, and not twenty findings."""
    pinned, files = _pinned(folder)
    loose = sorted((name for name in used if _plain(name) not in pinned), key=str.lower)
    if not loose:
        return
    first = min(used[name] for name in loose)
    pins = " ".join(f"{name}=={metadata.version(name)}" for name in loose)
    where = "no file beside the notebook pins a version of"
    if files:
        verb = "pins" if len(files) == 1 else "pin"
        where = f"{', '.join(files)} {verb} no version of"
    yield Finding(
        "unpinned",
        "warning",
        *first,
        f"{where} {', '.join(loose)}",
        "Another machine, or this one next month, has other versions; outputs are not"
        " computed again for that.",
        f"Pin what is here, in requirements.txt for instance: {pins}",
    )


def _imports(cells: list[CodeCell]) -> dict[str, tuple[int, int]]:
    """Return the top-level modules that are imported, and where first; those under `try` may be missing."""
    found: dict[str, tuple[int, int]] = {}
    for cell in cells:
        if cell.tree is None:
            continue
        optional = _optional(cell.tree)
        for node in ast.walk(cell.tree):
            if id(node) in optional:
                continue
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            place = cell.number, getattr(node, "lineno", 1)
            for name in filter(None, names):
                found.setdefault(name.partition(".")[0], place)
    return found


def _optional(tree: ast.Module) -> set[int]:
    """Return the ids of the nodes under a `try`."""
    found = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            for part in node.body:
                found.update(id(inner) for inner in ast.walk(part))
    return found


def _pinned(folder: Path) -> tuple[set[str], list[str]]:
    """Return the names that are pinned, and the files that say so, in the nearest folder upward that has any."""
    for place in (folder, *folder.parents):
        locks = _files(place, _LOCKS)
        loose = _files(place, _LOOSE)
        if locks or loose:
            pinned = set[str]()
            for file in locks:
                words = _WORD.findall(file.read_text("utf-8", "replace"))
                pinned.update(map(_plain, words))
            for file in loose:
                for name, version in _requirements(file):
                    if _PINS.match(version.strip()):
                        pinned.add(_plain(name))
            return pinned, [file.name for file in (locks or loose)]
        if (place / ".git").exists():
            break
    return set(), []


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _requirements(file: Path) -> Iterator[tuple[str, str]]:
    """Return name and version of every line, or of every entry of a pyproject.toml."""
    text = file.read_text("utf-8", "replace")
    lines: Iterable[object] = text.splitlines()
    if file.name == "pyproject.toml":
        try:
            lines = _entries(tomllib.loads(text))
        except tomllib.TOMLDecodeError:
            return
    for line in lines:
        match = _REQUIREMENT.match(line) if isinstance(line, str) else None
        if match:
            yield match[1], match[2] or ""


def _entries(content: dict[str, Any]) -> Iterator[object]:
    """Return the requirements in a pyproject.toml."""
    project = content.get("project", {})
    yield from project.get("dependencies", [])
    for group in project.get("optional-dependencies", {}).values():
        yield from group
    for group in content.get("dependency-groups", {}).values():
        yield from group
    if "name" in project:
        # The folder is the project: its own version is as it is here.
        yield project["name"] + "==0"


def _plain(name: str) -> str:
    """Return the name of a package as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()
