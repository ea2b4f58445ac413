"""Environment: the packages of a job, pinned.

A lock of the project itself comes first; without one, the versions are those that are
installed here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from packaging.requirements import Requirement

PYLOCK = "pylock.toml"
REQUIREMENTS = "requirements.txt"
_UV_LOCK = "uv.lock"
#: Files besides a lock that say what a project needs: copied as they are.
_SAID = ("pyproject.toml", "environment.yml", "environment.yaml")
#: Seconds that uv may take.
_PATIENCE = 120
_NBFLOW = "nbflow"
#: What sends notices.
_SENDER = "apprise"
#: What `nbflow run` needs of the extra `lab`; a job shows nothing to anybody.
_KERNEL = ("nbclient", "ipykernel")
_ORIGIN = "what is imported and installed here"
_AS_PYLOCK = ("--format", "pylock.toml")
_UV_EXPORT = ("export", "--frozen", "--quiet", "--no-emit-project", *_AS_PYLOCK)
_UV_COMPILE = (
    "pip", "compile", "-", "--quiet", "--no-deps", "--no-header", *_AS_PYLOCK,
)  # fmt: skip
#: A requirement that allows exactly one version.
_PINNED = re.compile(r"[\w.-]+(\[[^]]*\])?\s*(===?|@)")


@dataclass(frozen=True, slots=True)
class Environment:
    """What a job is installed from.

    Attributes:
        lock: the name of the file that pins everything.
        files: that file, and what the project says about itself, by name.
        origin: where the versions come from, for a person.
        warnings: what the file does not hold.
        has_wheels: some packages were not installed from an index, and their wheels have
            to be put beside the file.
    """

    lock: str
    files: dict[str, str]
    origin: str
    warnings: tuple[str, ...] = ()
    has_wheels: bool = False


class _Lock(NamedTuple):
    """A file that pins everything: its name, its text and what it was made from."""

    name: str
    text: str
    origin: str


class _Loose(NamedTuple):
    """A distribution that no index has, and where it was installed from."""

    name: str
    version: str
    where: str


def environment(
    folder: Path,
    packages: Iterable[str],
    *,
    has_kernel: bool = True,
    tells: Callable[[dict[str, str]], bool] = lambda _: False,
) -> Environment:
    """Pin the environment of a notebook.

    Args:
        folder: where the notebook is.
        packages: the distributions that it imports.
        has_kernel: the job runs it in a Jupyter kernel.
        tells: whether the job sends notices, by what the project says about itself.
    """
    needed = {_NBFLOW, *packages}
    if has_kernel:
        needed.update(_KERNEL)
    place = _project(folder)
    said = {} if place is None else _said(place)
    if tells(said):
        needed.add(_SENDER)
    warnings: list[str] = []
    own = None if place is None else _own_lock(place, warnings)
    if own is not None:
        missing = sorted(name for name in needed if not _names(own.text, name))
        if missing:
            warnings.append(
                f"{own.origin} does not name {', '.join(missing)}, which the job needs."
            )
        files = said | {own.name: own.text}
        return Environment(own.name, files, own.origin, tuple(warnings))
    pins, loose = _installed(["pydantic", *needed] if has_kernel else needed)
    warnings += [
        f"{one.name} {one.version} is installed here from {one.where}, not from an "
        "index: put its wheel into the folder `wheels` of the export "
        f"(pip wheel --no-deps -w wheels {one.where})."
        for one in loose
    ]
    name = REQUIREMENTS
    text = "".join(f"{name}=={version}\n" for name, version in pins.items())
    # An index has no digests of what was not installed from one.
    if not loose and (locked := _uv(_UV_COMPILE, Path.cwd(), warnings, given=text)):
        name, text = PYLOCK, locked
    files = said | {name: text}
    return Environment(name, files, _ORIGIN, tuple(warnings), bool(loose))


# The project.


def _project(folder: Path) -> Path | None:
    """The nearest folder that says something about packages, up to the root of a checkout."""
    for place in (folder, *folder.parents):
        names = (*_SAID, PYLOCK, REQUIREMENTS, _UV_LOCK)
        if any((place / name).is_file() for name in names):
            return place
        if (place / ".git").exists():
            break
    return None


def _said(place: Path) -> dict[str, str]:
    """The files in which a project says what it needs."""
    paths = [place / name for name in _SAID]
    return {path.name: path.read_text("utf-8") for path in paths if path.is_file()}


def _own_lock(place: Path, warnings: list[str]) -> _Lock | None:
    """The project's own lock."""
    if (place / PYLOCK).is_file():
        return _Lock(PYLOCK, (place / PYLOCK).read_text("utf-8"), PYLOCK)
    if (place / _UV_LOCK).is_file():
        if text := _uv(_UV_EXPORT, place, warnings):
            return _Lock(PYLOCK, text, _UV_LOCK)
        warnings.append(
            "uv.lock was not read, since uv cannot be run here: the versions are those "
            "that are installed."
        )
    file = place / REQUIREMENTS
    if file.is_file():
        text = file.read_text("utf-8")
        if _is_pinned(text):
            return _Lock(REQUIREMENTS, text, REQUIREMENTS)
    return None


def _is_pinned(requirements: str) -> bool:
    """Whether every line of a ``requirements.txt`` allows exactly one version."""
    stripped = [line.strip() for line in requirements.splitlines()]
    lines = [line for line in stripped if line and not line.startswith(("#", "--hash"))]
    return bool(lines) and all(map(_PINNED.match, lines))


def _names(lock: str, package: str) -> bool:
    """Whether a lock names a package, however either of them spells it."""
    pattern = rf"(?<![a-z0-9-]){_plain(package)}(?![a-z0-9-])"
    return re.search(pattern, _plain(lock)) is not None


# What is installed.


def _installed(names: Iterable[str]) -> tuple[dict[str, str], list[_Loose]]:
    """Distributions with all that they need, as they are installed.

    Returns:
        The version of each, by name; and those that were not installed from an index.
    """
    pins: dict[str, str] = {}
    loose: list[_Loose] = []
    waiting = [(name, "") for name in names]
    seen: set[tuple[str, str]] = set()
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
                loose.append(_Loose(found.name, found.version, where))
        for need in _needs(found, extra):
            waiting += [(need.name, one) for one in ("", *need.extras)]
    return dict(sorted(pins.items(), key=lambda pin: pin[0].lower())), loose


def _needs(found: metadata.Distribution, extra: str) -> list[Requirement]:
    """What a distribution needs here with one of its extras, or without (``""``)."""
    from packaging.requirements import Requirement

    needs = [Requirement(line) for line in found.requires or ()]
    return [
        need
        for need in needs
        if need.marker is None or need.marker.evaluate({"extra": extra})
    ]


def _address(found: metadata.Distribution) -> str | None:
    """Where a distribution was installed from, if not from an index."""
    text = found.read_text("direct_url.json")
    return str(json.loads(text)["url"]).removeprefix("file://") if text else None


def _plain(text: str) -> str:
    """Names of packages in the one spelling that all spellings have in common."""
    return re.sub(r"[-_.]+", "-", text).lower()


# uv.


def _uv(
    arguments: Iterable[str],
    folder: Path,
    warnings: list[str],
    given: str | None = None,
) -> str | None:
    """What uv prints; ``None`` if it is not there or fails, which ``warnings`` says."""
    program = shutil.which("uv")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # no shell, a fixed command
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
        why = said[0].strip().removeprefix("cause: ")
        warnings.append(
            "Versions are pinned without digests, since uv could not write "
            f"pylock.toml: {why}"
        )
        return None
    return done.stdout
