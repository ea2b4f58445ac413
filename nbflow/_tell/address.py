"""Address: where a notice goes. Its URL holds tokens and passwords, and is written nowhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow._key.secret import KNOWN, secret
from nbflow._tell import apprise_door, keyed
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The environment variable with addresses.
VARIABLE = "NBFLOW_NOTIFY"
#: What stands before the name of a variable, in the place of an address.
REFERENCE = "env:"
#: Between two addresses: an address itself may have commas.
_BETWEEN = re.compile(r"\s+|,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://|env:)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Characters of an address without its beginning that no other text has by chance.
_SHORTEST = 12
#: What the digest of an address is for: no other digest of the same bytes is equal.
_PURPOSE = "nbflow 2026 address of a notice"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of Apprise, checked.

    Attributes:
        url: it, which nothing may show.
        number: its place among all, from 1.
        service: the name of the service.
    """

    url: str = field(repr=False)
    number: int
    service: str

    def __str__(self) -> str:
        return f"address {self.number} ({self.service})"

    @property
    def fingerprint(self) -> str:
        """What tells it from others without giving it away: a digest with the key of the store."""
        return keyed.digest(self.url.encode("utf-8", "surrogatepass"), _PURPOSE)


def split(text: str) -> list[str]:
    """Addresses and references in a text, separated by blanks or commas."""
    return [one for one in _BETWEEN.split(text.strip()) if one]


def references(texts: Iterable[str]) -> list[str]:
    """The names of the variables that these refer to."""
    found = (one for text in texts for one in split(text))
    return [one.removeprefix(REFERENCE) for one in found if one.startswith(REFERENCE)]


def resolved(texts: Iterable[str], where: str) -> Iterator[str]:
    """The same with the values of variables in the place of references.

    Each URL is a secret from then on: it is masked in what nbflow writes.

    Raises:
        UsageError: a variable is not set, or refers to another one.
    """
    for text in texts:
        for one in split(text):
            if not one.startswith(REFERENCE):
                yield hidden(one, VARIABLE)
                continue
            name = one.removeprefix(REFERENCE)
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"{where}: env: stands before the name of an environment variable, "
                    "as in env:TEAM_SLACK."
                )
            for url in split(str(secret(name))):
                if url.startswith(REFERENCE):
                    raise UsageError(
                        f"{where}: the variable {name} has to hold an address, and "
                        "refers to another variable."
                    )
                yield hidden(url, name)


def hidden(url: str, name: str) -> str:
    """A URL, which is masked from now on in what nbflow writes."""
    for form in forms(url):
        KNOWN.add(name, form)
    return url


def forms(url: str) -> list[str]:
    """How a URL may stand in a text: whole, and without its beginning, unless that is a word like any other."""
    bare = url.partition("://")[2]
    is_telling = len(bare) >= _SHORTEST and any(one in bare for one in "/:@?")
    return [url, bare] if is_telling else [url]


def hide_environment() -> None:
    """Mask what the variables with addresses hold, also if nobody sends anything."""
    for name in (VARIABLE, "NBFLOW_HEARTBEAT"):
        for one in split(os.environ.get(name, "")):
            referred = one.removeprefix(REFERENCE)
            value = os.environ.get(referred, "") if one != referred else one
            for url in split(value):
                hidden(url, referred if one != referred else name)


def addresses(texts: Iterable[str], where: str) -> tuple[Address, ...]:
    """Addresses that can be used, each once.

    Args:
        texts: one or more addresses each, or references: ``env:TEAM_SLACK``.
        where: what a message calls the place that they come from.

    Raises:
        UsageError: Apprise does not know one, or a reference leads nowhere.
    """
    urls = list(dict.fromkeys(resolved(texts, where)))
    return tuple(_address(url, number, where) for number, url in enumerate(urls, 1))


def _address(url: str, number: int, where: str) -> Address:
    service = apprise_door.service_of(url)
    if service:
        return Address(url, number, service)
    scheme, colon, _ = url.partition("://")
    if not colon:
        raise UsageError(
            f"{where}: address {number} is no URL: write one of Apprise's, such as "
            "mailto://user:password@example.com or slack://..."
        )
    if apprise_door.knows(scheme):
        raise UsageError(
            f"{where}: address {number} begins with {scheme}:// and lacks something that "
            f"this service needs: compare it with Apprise's page on {scheme}."
        )
    hint = (
        "json:// or jsons:// sends to any web hook"
        if scheme in ("http", "https")
        else ("https://github.com/caronc/apprise/wiki has them all")
    )
    raise UsageError(
        f"{where}: address {number} begins with {scheme}://, which Apprise does not "
        f"know; {hint}."
    )
