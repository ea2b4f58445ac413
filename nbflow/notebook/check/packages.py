"""Packages: what the notebook imports, whether it is here, and whether a file beside it pins what is here."""

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
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow.notebook.check.code_cells import Cell

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


def imported(cells: list[Cell], folder: Path) -> Iterator[Finding]:
    """Imports that are not here, and packages whose version nothing holds."""
    places = _imports(cells)
    known = metadata.packages_distributions()
    written = {
        word
        for cell in cells
        for magic in cell.magics
        if magic.is_cell and magic.name in ("writefile", "file")
        for word in magic.text.split()
    }
    used: dict[str, tuple[int, int]] = {}
    # Whoever changes the path has modules elsewhere, where nobody can look without
    # running the cell.
    level = "note" if any("sys.path" in cell.source for cell in cells) else "error"
    for name, (cell, line) in places.items():
        if (
            name in sys.stdlib_module_names
            or (folder / f"{name}.py").exists()
            or (folder / name).is_dir()
            or f"{name}.py" in written
        ):
            continue
        for distribution in known.get(name, [])[:1]:
            used.setdefault(distribution, (cell, line))
        if name not in known and importlib.util.find_spec(name) is None:
            yield Finding(
                "missing-package",
                level,
                cell,
                line,
                f"`{name}` is not installed, nor a file beside the notebook",
                "The cell fails with ModuleNotFoundError.",
                f"Install what brings it, or put {name}.py beside the notebook.",
            )
    yield from _unpinned(used, folder)


def _unpinned(used: dict[str, tuple[int, int]], folder: Path) -> Iterator[Finding]:
    """Said once for all packages: a list is read, twenty findings are not."""
    pinned, files = _pinned(folder)
    loose = sorted((name for name in used if _plain(name) not in pinned), key=str.lower)
    if not loose:
        return
    first = min(used[name] for name in loose)
    pins = " ".join(f"{name}=={metadata.version(name)}" for name in loose)
    where = (
        f"{', '.join(files)} {'pins' if len(files) == 1 else 'pin'} no version of"
        if files
        else "no file beside the notebook pins a version of"
    )
    yield Finding(
        "unpinned",
        "warning",
        *first,
        f"{where} {', '.join(loose)}",
        "Another machine, or the same next month, has other versions; outputs are not computed again for that.",
        f"Pin what is here, in requirements.txt for instance: {pins}",
    )


def _imports(cells: list[Cell]) -> dict[str, tuple[int, int]]:
    """The top-level modules that are imported, and where first; those under `try` may be missing."""
    found: dict[str, tuple[int, int]] = {}
    for cell in cells:
        if cell.tree is None:
            continue
        optional = {
            id(inner)
            for node in ast.walk(cell.tree)
            if isinstance(node, ast.Try)
            for part in node.body
            for inner in ast.walk(part)
        }
        for node in ast.walk(cell.tree):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in names:
                if name and id(node) not in optional:
                    found.setdefault(
                        name.partition(".")[0],
                        (cell.number, getattr(node, "lineno", 1)),
                    )
    return found


def _pinned(folder: Path) -> tuple[set[str], list[str]]:
    """Names that are pinned, and the files that say so, in the nearest folder upward that has any."""
    for place in (folder, *folder.parents):
        locks = sorted(file for pattern in _LOCKS for file in place.glob(pattern))
        loose = sorted(file for pattern in _LOOSE for file in place.glob(pattern))
        if locks or loose:
            pinned = {
                _plain(name)
                for file in locks
                for name in re.findall(
                    r"[A-Za-z0-9][A-Za-z0-9._-]+", file.read_text("utf-8", "replace")
                )
            }
            said = [
                requirement for file in loose for requirement in _requirements(file)
            ]
            pinned |= {
                _plain(name)
                for name, version in said
                if version.strip().startswith(("==", "===", "@"))
                or re.match(r"=\d", version.strip())
            }
            return pinned, [file.name for file in (locks or loose)]
        if (place / ".git").exists():
            break
    return set(), []


def _requirements(file: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of every line, or of every entry of a pyproject.toml."""
    text = file.read_text("utf-8", "replace")
    lines: list[Any] = text.splitlines()
    if file.name == "pyproject.toml":
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return
        project = content.get("project", {})
        groups = [
            *project.get("optional-dependencies", {}).values(),
            *content.get("dependency-groups", {}).values(),
        ]
        lines = [
            line
            for group in (project.get("dependencies", []), *groups)
            for line in group
        ]
        lines += (
            [project["name"] + "==0"] if "name" in project else []
        )  # the project is the version of itself
    for line in lines:
        match = _REQUIREMENT.match(line) if isinstance(line, str) else None
        if match:
            yield match[1], match[2] or ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
