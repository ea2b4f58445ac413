"""Notices: whom an exported job tells. Its files name variables, and hold no address.

An address has tokens in it, whatever its service, so a variable stands for each.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from typing import TYPE_CHECKING

from nbflow._core.notice import occasions
from nbflow._tell import address, apprise_door, heartbeat
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow._tell.telling import Wishes

_OPTIONS = ("--notify", "--heartbeat")
#: The option of ``nbflow run`` that has no value.
CONTENT = "--notify-content"


def carried(wishes: Wishes) -> list[str]:
    """The options of ``nbflow run`` that mean the same, without an address.

    Raises:
        UsageError: an address cannot be used, or an occasion is none.
    """
    literal = [
        one
        for text in wishes.notify
        for one in address.split(text)
        if not one.startswith(address.REFERENCE)
    ]
    address.addresses(literal, "--notify")
    named = [address.VARIABLE] if literal else []
    named += [name for name in address.references(wishes.notify) if name not in named]
    if named:
        apprise_door.load()
    options = [part for name in named for part in ("--notify", f"env:{name}")]
    if wishes.notify_on:
        options += ["--notify-on", ",".join(sorted(occasions(wishes.notify_on)))]
    if wishes.heartbeat is not None:
        options += ["--heartbeat", f"env:{_switch(wishes.heartbeat)}"]
    return [*options, CONTENT] if wishes.content else options


def _switch(url: str) -> str:
    """The variable that holds the URL of a dead man's switch."""
    if url.startswith(address.REFERENCE):
        return url.removeprefix(address.REFERENCE)
    heartbeat.check([address.hidden(url, heartbeat.VARIABLE)], "--heartbeat")
    return heartbeat.VARIABLE


def variables(options: Sequence[str], files: Mapping[str, str]) -> set[str]:
    """The variables with addresses that a job reads: those of its options, and of its ``pyproject.toml``.

    Raises:
        UsageError: that file has an address itself, which the export would copy.
    """
    named = [value for option, value in pairwise(options) if option in _OPTIONS]
    written = _written(files)
    for one in (one for text in written for one in address.split(text)):
        if not one.startswith(address.REFERENCE):
            raise UsageError(
                "pyproject.toml, [tool.nbflow] has an address of a notice in it, which "
                "the export would copy: write env:NAME there, and set the variable where "
                "the job runs."
            )
    return set(address.references([*named, *written]))


def sends(options: Sequence[str], files: Mapping[str, str]) -> bool:
    """Whether the job needs the package that sends."""
    return "--notify" in options or bool(_written(files, ("notify",)))


def _written(
    files: Mapping[str, str], names: Sequence[str] = ("notify", "heartbeat")
) -> list[str]:
    """What the project's own file says of addresses."""
    try:
        table = tomllib.loads(files.get("pyproject.toml", ""))["tool"]["nbflow"]
        found = [table[name] for name in names if name in table]
    except (ValueError, KeyError, TypeError):
        return []
    texts = [
        text for one in found for text in (one if isinstance(one, list) else [one])
    ]
    return [text for text in texts if isinstance(text, str)]
