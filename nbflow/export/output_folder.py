"""Output folder: what an export writes, compared with what is there.

What a person changed by hand stays.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from nbflow.errors import UsageError
from nbflow.notebook import report

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "export.json"
FORMAT = 1
#: What becomes of a file, the most notable first.
KINDS = ("kept", "new", "changed", "removed", "same")


class Manifest(TypedDict, total=False):
    """What an export notes in ``export.json`` for the next one.

    Attributes:
        format: `FORMAT`.
        nbflow: the version that wrote it.
        notebook: the notebook's path, from the folder.
        to: the target's name.
        name: the title of the job.
        schedule: five fields of cron, if the job has a schedule.
        timezone: the zone of the schedule.
        parameters: ``name=value`` texts.
        options: options of ``nbflow run``, each followed by its value if it takes one.
        digests: of each file as it was written, by its path.
    """

    format: int
    nbflow: str
    notebook: str
    to: str
    name: str
    schedule: str | None
    timezone: str | None
    parameters: list[str]
    options: list[str]
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What an export does to one file.

    Attributes:
        path: relative to the folder.
        kind: ``new``, ``changed``, ``removed``, ``same``, or ``kept``: a person changed
            it, so it stays.
        beside: what it would have become is written to ``PATH.new``.
        diff: lines of a unified diff; empty for what is not text.
    """

    path: str
    kind: str
    beside: bool = False
    diff: tuple[str, ...] = ()


def remembered(folder: Path) -> Manifest:
    """What the last export to this folder noted; empty if there was none.

    Raises:
        UsageError: the folder is in other use, or what was noted cannot be read.
    """
    file = folder / MANIFEST
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} is in use and is not an export: name an empty folder, or "
                "one that does not exist yet, with --output."
            )
        return {}
    try:
        noted = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        noted = None
    if not isinstance(noted, dict) or noted.get("format") != FORMAT:
        raise UsageError(
            f"{file} is not what this nbflow writes: name another folder with --output."
        )
    return cast("Manifest", noted)


def compare(
    folder: Path,
    files: Mapping[str, bytes],
    data: frozenset[str],
    digests: Mapping[str, str],
) -> list[Change]:
    """What writing ``files`` would do to a folder.

    Args:
        folder: the folder of the export.
        files: what the export would write, by path.
        data: paths that belong to the job once they are there.
        digests: of what the last export wrote, by path.
    """
    found = [
        _change(folder, path, content, digests.get(path), is_data=path in data)
        for path, content in files.items()
    ]
    for path in sorted(digests.keys() - files.keys()):
        there = _read(folder / path)
        if there is not None:
            is_ours = _digest(there) == digests[path]
            found.append(Change(path, "removed" if is_ours else "kept"))
    return found


def _change(
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
    # A person changed it. If the export has nothing new for it since, it stays alone.
    beside = not is_data and last != _digest(content)
    return Change(path, "kept", beside=beside, diff=lines)


def write(
    folder: Path,
    files: Mapping[str, bytes],
    changes: list[Change],
    noted: Manifest,
) -> None:
    """Write what `compare` found.

    A new folder appears whole or not at all. In a folder that exists each file is
    written whole, and the manifest last.

    Raises:
        UsageError: the system refuses.
    """
    digests = {path: _digest(content) for path, content in files.items()}
    whole: Manifest = {"format": FORMAT, **noted, "digests": digests}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            _fill(folder, files, changes, whole)
            return
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}."
        ) as scratch:
            made = Path(scratch) / "export"
            made.mkdir()
            _fill(made, files, changes, whole)
            made.replace(folder)
    except OSError as error:
        raise UsageError(
            f"The export cannot be written to {folder}: {error.strerror or error}. "
            "Name another folder with --output."
        ) from None


def _fill(
    folder: Path,
    files: Mapping[str, bytes],
    changes: list[Change],
    noted: Manifest,
) -> None:
    for change in changes:
        path = folder / change.path
        if change.kind == "removed":
            path.unlink()
        elif change.beside:
            _put(path.with_name(f"{path.name}.new"), files[change.path])
        elif change.kind in ("new", "changed"):
            _put(path, files[change.path])
    text = json.dumps(noted, indent=1, ensure_ascii=False) + "\n"
    _put(folder / MANIFEST, text.encode())


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    report.write(path, content)
    if content.startswith(b"#!"):
        path.chmod(path.stat().st_mode | 0o111)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _diff(path: str, old: bytes, new: bytes) -> tuple[str, ...]:
    try:
        before = _shown(path, old.decode("utf-8"))
        after = _shown(path, new.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, KeyError):
        return ()
    lines = difflib.unified_diff(
        before, after, f"{path} (there)", f"{path} (now)", n=1, lineterm=""
    )
    return tuple(lines)


def _shown(path: str, text: str) -> list[str]:
    """The lines of a file; of a notebook those of its cells."""
    if not path.endswith(".ipynb"):
        return text.splitlines()
    lines: list[str] = []
    for number, cell in enumerate(json.loads(text)["cells"], 1):
        lines.append(f"# cell {number} ({cell['cell_type']})")
        lines += "".join(cell["source"]).splitlines()
    return lines


def relative(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, so that both can move together."""
    return Path(os.path.relpath(path, folder)).as_posix()
