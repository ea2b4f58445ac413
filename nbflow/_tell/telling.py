"""Telling: who is told of a job and when, as options, environment and ``pyproject.toml`` say."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._core.notice import occasions
from nbflow._tell import address, heartbeat
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbflow._tell.address import Address

#: Of ``[tool.nbflow]`` those that are about notices.
_NAMES = ("notify", "notify-on", "notify-content", "heartbeat")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody asked for, as it was written.

    Attributes:
        notify: addresses, or references to variables with them: ``env:TEAM_SLACK``.
        notify_on: occasions, such as ``"failure,waiting"``.
        content: whether notices may hold what the records say.
        heartbeat: the URL that is pinged after a success, or a reference to it.
    """

    notify: Sequence[str] = ()
    notify_on: Sequence[str] = ()
    content: bool = False
    heartbeat: str | None = None


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class Telling:
    """The same, checked: the addresses can be used.

    Attributes:
        addresses: where notices go.
        when: the occasions.
        content: whether notices may hold what the records say.
        heartbeat: the URL that is pinged after a success; empty for none.
    """

    addresses: tuple[Address, ...] = ()
    when: frozenset[str] = frozenset()
    content: bool = False
    heartbeat: str = field(default="", repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which ``nf.notify`` in a kernel sends to the same addresses."""
        if not self.addresses:
            return {}
        return {address.VARIABLE: " ".join(one.url for one in self.addresses)}

    @property
    def secrets(self) -> dict[str, str]:
        """What nothing that is written may hold, with the name that stands instead."""
        found = {one.url: address.VARIABLE for one in self.addresses}
        if self.heartbeat:
            found[self.heartbeat] = heartbeat.VARIABLE
        return {
            form: name for url, name in found.items() for form in address.forms(url)
        }


#: Nobody is told.
NOBODY = Telling()


def telling(start: Path, wishes: Wishes = NO_WISHES) -> Telling:
    """Who is told of what happens in a folder.

    Each wish goes before its environment variable, and that before the nearest
    ``pyproject.toml`` in the folder or above it.

    Raises:
        UsageError: one of them makes no sense; says which, without the address.
    """
    file, written = _written(start)
    asked = wishes.notify_on or wishes.content
    table = f"{file}, [tool.nbflow]"
    to, where = list(wishes.notify), "--notify"
    if not to and os.environ.get(address.VARIABLE):
        to, where = [os.environ[address.VARIABLE]], address.VARIABLE
    elif not to:
        to, where = _texts(written, "notify", table), f"{table} notify"
    if asked and not to:
        raise UsageError(
            "--notify-on and --notify-content say when and what, and nothing says who is "
            "told: add --notify URL, or set NBFLOW_NOTIFY."
        )
    beats, switch = [wishes.heartbeat] if wishes.heartbeat else [], "--heartbeat"
    if not beats and os.environ.get(heartbeat.VARIABLE):
        beats, switch = [os.environ[heartbeat.VARIABLE]], heartbeat.VARIABLE
    elif not beats:
        beats, switch = _texts(written, "heartbeat", table), f"{table} heartbeat"
    return Telling(
        addresses=address.addresses(to, where),
        when=occasions(wishes.notify_on or _texts(written, "notify-on", table)),
        content=wishes.content or _switch(written, "notify-content", table),
        heartbeat=heartbeat.check(list(address.resolved(beats, switch)), switch),
    )


def _written(start: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The nearest ``pyproject.toml``, and what it says of notices.

    What cannot be read is another tool's to complain of. The search ends at the home
    directory: what lies above belongs to somebody else.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                table: Mapping[str, Any] = tomllib.loads(file.read_text("utf-8"))
                found = table["tool"]["nbflow"]
                return file, {name: found[name] for name in _NAMES if name in found}
            except (OSError, ValueError, KeyError, TypeError):
                return None, {}
        if folder == Path.home():
            break
    return None, {}


def _texts(written: Mapping[str, Any], name: str, table: str) -> list[str]:
    value = written.get(name, [])
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UsageError(f"{table}: {name} has to be a text, or a list of texts.")
    return found


def _switch(written: Mapping[str, Any], name: str, table: str) -> bool:
    value = written.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{table}: {name} has to be true or false.")
    return value
