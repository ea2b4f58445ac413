"""Folder: what an export writes, compared with what is there. What a person changed by hand stays."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError
from nbflow.notebook import report

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "export.json"
FORMAT = 1
#: What becomes of a file: from most to least of note.
KINDS = ("kept", "new", "changed", "removed", "same")


@dataclass(frozen=True, slots=True)
class Change:
    """What an export does to one file.

    Attributes:
        path: relative to the folder.
        kind: ``new``, ``changed``, ``removed``, ``same``, or ``kept``: a person changed
            it, so it stays.
        beside: what it would have become is written to ``PATH.new``.
        diff: lines of a unified diff, empty for what is no text.
    """

    path: str
    kind: str
    beside: bool = False
    diff: tuple[str, ...] = ()


def remembered(folder: Path) -> dict[str, Any]:
    """What the last export to this folder noted; empty if there was none.

    Raises:
        UsageError: the folder is in other use, or what was noted cannot be read.
    """
    file = folder / MANIFEST
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} is in use and is no export: name an empty folder, or one that is not there yet, with --output."
            )
        return {}
    try:
        noted: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        noted = {}
    if not isinstance(noted, dict) or noted.get("format") != FORMAT:
        raise UsageError(
            f"{file} is not what this nbflow writes: name another folder with --output."
        )
    return noted


def compare(
    folder: Path,
    files: Mapping[str, bytes],
    data: frozenset[str],
    digests: Mapping[str, str],
) -> list[Change]:
    """What writing ``files`` would do, ``digests`` being those of what was written last; ``data`` is a job's own once it is there."""
    found = [
        _of(folder, path, content, digests.get(path), is_data=path in data)
        for path, content in files.items()
    ]
    for path in sorted(digests.keys() - files.keys()):
        there = _read(folder / path)
        if there is not None:
            found.append(
                Change(path, "removed" if _digest(there) == digests[path] else "kept")
            )
    return found


def _of(
    folder: Path, path: str, content: bytes, last: str | None, *, is_data: bool
) -> Change:
    there = _read(folder / path)
    if there is None:
        return Change(path, "new")
    if there == content:
        return Change(path, "same")
    lines = _diff(path, there, content)
    if _digest(there) == last:
        return Change(path, "changed", diff=lines)
    # Nothing new for it since a person changed it: nothing to say.
    return Change(
        path, "kept", beside=not is_data and last != _digest(content), diff=lines
    )


def write(
    folder: Path,
    files: Mapping[str, bytes],
    changes: list[Change],
    noted: dict[str, Any],
) -> None:
    """Write what ``compare`` found: a new folder whole or not at all, in one that is there each file whole, the notes last.

    Raises:
        UsageError: the system refuses.
    """
    noted = {
        "format": FORMAT,
        **noted,
        "digests": {path: _digest(content) for path, content in files.items()},
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            _fill(folder, files, changes, noted)
            return
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}."
        ) as made:
            whole = Path(made) / "export"
            whole.mkdir()
            _fill(whole, files, changes, noted)
            whole.replace(folder)
    except OSError as error:
        raise UsageError(
            f"The export cannot be written to {folder}: {error.strerror or error}. Name another folder with --output."
        ) from None


def _fill(
    folder: Path,
    files: Mapping[str, bytes],
    changes: list[Change],
    noted: dict[str, Any],
) -> None:
    for change in changes:
        path = folder / change.path
        if change.kind in ("new", "changed") or change.beside:
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(
                path.with_name(f"{path.name}.new") if change.beside else path,
                files[change.path],
            )
        elif change.kind == "removed":
            path.unlink()
    _put(
        folder / MANIFEST,
        (json.dumps(noted, indent=1, ensure_ascii=False) + "\n").encode(),
    )


def _put(path: Path, content: bytes) -> None:
    report.write(path, content)
    if content.startswith(b"#!"):
        path.chmod(path.stat().st_mode | 0o111)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _diff(path: str, old: bytes, new: bytes) -> tuple[str, ...]:
    try:
        before, after = (
            _shown(path, content.decode("utf-8")) for content in (old, new)
        )
    except (UnicodeDecodeError, ValueError, KeyError):
        return ()
    return tuple(
        difflib.unified_diff(
            before, after, f"{path} (there)", f"{path} (now)", n=1, lineterm=""
        )
    )


def _shown(path: str, text: str) -> list[str]:
    """The lines of a file; of a notebook those of its cells."""
    if not path.endswith(".ipynb"):
        return text.splitlines()
    cells = json.loads(text)["cells"]
    return [
        line
        for number, cell in enumerate(cells, 1)
        for line in (
            f"# cell {number} ({cell['cell_type']})",
            *"".join(cell["source"]).splitlines(),
        )
    ]


def relative(path: Path, folder: Path) -> str:
    """``path`` as it is found from ``folder``, so that both can move together."""
    return Path(os.path.relpath(path, folder)).as_posix()
