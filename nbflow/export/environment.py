"""Environment: the packages of a job, pinned to what is installed here; a lock of the project itself goes before that."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PYLOCK, REQUIREMENTS = "pylock.toml", "requirements.txt"
#: Files that say what a project needs, besides a lock: copied as they are.
_SAID = ("pyproject.toml", "environment.yml", "environment.yaml")
_PATIENCE = 120
_NBFLOW = "nbflow"
#: What `nbflow run` needs of the extra `lab`; a job shows nothing to anybody.
_KERNEL = ("nbclient", "ipykernel")


@dataclass(frozen=True, slots=True)
class Environment:
    """What a job is installed from.

    Attributes:
        lock: the name of the file that pins everything.
        files: that file, and what the project says about itself, by name.
        origin: where the versions come from, for a person.
        warnings: what the file does not hold.
        has_wheels: some packages were installed from a place that is no index, and have
            to be put beside it.
    """

    lock: str
    files: dict[str, str]
    origin: str
    warnings: tuple[str, ...] = ()
    has_wheels: bool = False


def environment(
    folder: Path, packages: Iterable[str], *, has_kernel: bool = True
) -> Environment:
    """Pin the environment of a notebook in ``folder`` that imports these distributions, and is run in a kernel or without."""
    needed = {_NBFLOW, *packages, *(_KERNEL if has_kernel else ())}
    place = _project(folder)
    said = {
        name: (place / name).read_text("utf-8")
        for name in _SAID
        if place is not None and (place / name).is_file()
    }
    warnings: list[str] = []
    if place is not None and (own := _own_lock(place, warnings)) is not None:
        lock, text, origin = own
        missing = sorted(
            name
            for name in needed
            if not re.search(
                rf"(?<![a-z0-9-]){_plain(name)}(?![a-z0-9-])", _plain(text)
            )
        )
        if missing:
            warnings.append(
                f"{origin} does not name {', '.join(missing)}, which the job needs."
            )
        return Environment(lock, said | {lock: text}, origin, tuple(warnings))
    pins, loose = _installed(["pydantic", *needed] if has_kernel else needed)
    warnings += [
        f"{name} {version} is installed here from {where}, not from an index: put its wheel into the folder `wheels` of the export (pip wheel --no-deps -w wheels {where})."
        for name, version, where in loose
    ]
    text = "".join(f"{name}=={version}\n" for name, version in pins.items())
    if locked := _compiled(text, [name for name, _, _ in loose], warnings):
        return Environment(
            PYLOCK,
            said | {PYLOCK: locked},
            "what is imported and installed here",
            tuple(warnings),
            bool(loose),
        )
    return Environment(
        REQUIREMENTS,
        said | {REQUIREMENTS: text},
        "what is imported and installed here",
        tuple(warnings),
        bool(loose),
    )


def _project(folder: Path) -> Path | None:
    """The nearest folder, upward to the root of a checkout, that says something about packages."""
    for place in (folder, *folder.parents):
        if any(
            (place / name).is_file()
            for name in (*_SAID, PYLOCK, REQUIREMENTS, "uv.lock")
        ):
            return place
        if (place / ".git").exists():
            break
    return None


def _own_lock(place: Path, warnings: list[str]) -> tuple[str, str, str] | None:
    """The project's own lock as one of the two forms: its name, its text, what it was."""
    if (place / PYLOCK).is_file():
        return PYLOCK, (place / PYLOCK).read_text("utf-8"), PYLOCK
    if (place / "uv.lock").is_file():
        if text := _uv(
            [
                "export",
                "--frozen",
                "--quiet",
                "--no-emit-project",
                "--format",
                "pylock.toml",
            ],
            place,
            warnings,
        ):
            return PYLOCK, text, "uv.lock"
        warnings.append(
            "uv.lock was not read, since uv cannot be run here: the versions are those that are installed."
        )
    file = place / REQUIREMENTS
    if file.is_file():
        text = file.read_text("utf-8")
        lines = [
            line.strip()
            for line in text.splitlines()
            if line.strip() and not line.lstrip().startswith(("#", "--hash"))
        ]
        if lines and all(
            re.match(r"[\w.-]+(\[[^]]*\])?\s*(===?|@)", line) for line in lines
        ):
            return REQUIREMENTS, text, REQUIREMENTS
    return None


def _installed(
    names: Iterable[str],
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Distributions with all that they need, as installed: name to version; and those that no index has."""
    from packaging.requirements import Requirement

    pins: dict[str, str] = {}
    loose: list[tuple[str, str, str]] = []
    waiting, seen = [(name, "") for name in names], set[tuple[str, str]]()
    while waiting:
        name, extra = waiting.pop()
        if (_plain(name), extra) in seen:
            continue
        seen.add((_plain(name), extra))
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # needed by a marker that does not hold here
        if found.name not in pins:
            pins[found.name] = found.version
            if where := _address(found):
                loose.append((found.name, found.version, where))
        for line in found.requires or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting += [(need.name, one) for one in ("", *need.extras)]
    return dict(sorted(pins.items(), key=lambda pin: pin[0].lower())), loose


def _address(found: metadata.Distribution) -> str | None:
    """Where a distribution was installed from, if not from an index."""
    text = found.read_text("direct_url.json")
    return str(json.loads(text)["url"]).removeprefix("file://") if text else None


def _compiled(pins: str, without: list[str], warnings: list[str]) -> str | None:
    """The pins as a ``pylock.toml`` with the digests of all files, if uv is here and reaches an index."""
    if without:  # no index has them, so no digest of theirs can be written
        return None
    return _uv(
        [
            "pip",
            "compile",
            "-",
            "--quiet",
            "--no-deps",
            "--no-header",
            "--format",
            "pylock.toml",
        ],
        Path.cwd(),
        warnings,
        given=pins,
    )


def _uv(
    arguments: list[str], folder: Path, warnings: list[str], given: str | None = None
) -> str | None:
    program = shutil.which("uv")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - no shell, a fixed command
            [program, *arguments],
            cwd=folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        warnings.append(f"uv did not answer ({error}).")
        return None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        warnings.append(
            f"Versions are pinned without digests, since uv could not write pylock.toml: {said[0].strip().removeprefix('cause: ')}"
        )
        return None
    return done.stdout


def _plain(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()
