"""Wanted: what is to be erased: the records of a key, or a text, however it is written."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Wanted"]

#: How text may stand in the bytes of a value: as Python, Arrow and msgpack write it, and
#: as arrays of numpy do.
_ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le", "utf-16-be", "utf-32-be")


@dataclass(frozen=True)
class Wanted:
    """What is to be erased.

    Attributes:
        record: the key of records.
        event: only those of this event.
        text: what no file is to contain.
    """

    record: str | None = None
    event: str | None = None
    text: str | None = None

    def check(self) -> None:
        """Refuse what names nobody.

        Raises:
            UsageError: nothing, or both, or no text.
        """
        if (self.record is None) == (self.text is None) or "" in (
            self.record,
            self.text,
        ):
            raise UsageError(
                "Name the key of a record (--record KEY), or a text (--text TEXT)."
            )
        if self.event is not None and self.record is None:
            raise UsageError("event= (--event) goes with record= (--record).")

    @property
    def is_number(self) -> bool:
        """Whether a number may be the text."""
        try:
            float(self.text or "")
        except ValueError:
            return False
        return True

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The text, also as JSON, HTML and Python write it."""
        return () if self.text is None else tuple(dict.fromkeys(_spelled(self.text)))

    @cached_property
    def needles(self) -> list[bytes]:
        """The text as it may stand in files."""
        found = (
            spelling.encode(code, "surrogatepass")
            for spelling in self.spellings
            for code in _ENCODINGS
        )
        return list(dict.fromkeys(found))

    def is_in(self, blob: bytes) -> bool:
        """Whether the text stands in these bytes."""
        return any(needle in blob for needle in self.needles)

    def is_within(self, value: object) -> bool:
        """Whether the text stands in a value of a record, at any depth; a number is the text or not."""
        if isinstance(value, str):
            return any(spelling in value for spelling in self.spellings)
        if isinstance(value, bytes):
            return self.is_in(value)
        if isinstance(value, dict):
            return any(self.is_within(part) for pair in value.items() for part in pair)
        if isinstance(value, list | tuple | set | frozenset):
            return any(map(self.is_within, value))
        if value is None or isinstance(value, int | float):
            return self.text == str(value)
        return self.is_within(repr(value))

    def is_said(self, entry: object) -> bool:
        """Whether the text stands in an entry of a ledger, whose numbers are none of a record's."""
        if isinstance(entry, list | tuple):
            return any(map(self.is_said, entry))
        is_number = entry is None or isinstance(entry, int | float)
        return not is_number and self.is_within(entry)

    @property
    def key(self) -> str:
        """What may be the key of a record: a text may be one, too."""
        return self.record if self.record is not None else self.text or ""

    def is_key(self, key: str) -> bool:
        """Whether the key of a record is meant, or holds the text."""
        return key == self.record or self.is_within(key)

    def hide(self, said: str) -> str:
        """The same with stars of the same length for the text, or for the key of a record."""
        if self.record is not None and f"record {self.record!r}" in said:
            return _stars(said)  # all of it is about the record, and may quote it
        return self._pattern.sub(lambda found: _stars(found[0]), said)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.record is None:
            return re.compile("|".join(map(re.escape, self.spellings)))
        before, behind = r"(?<!\w)", r"(?!\w)"
        if self.record.isdigit():  # it may be a part of a figure: 0.7, 7%
            before, behind = r"(?<![\w.,])", r"(?![\w%]|[.,]\d)"
        return re.compile(f"{before}{re.escape(self.record)}{behind}")


def _stars(text: str) -> str:
    return "*" * len(text.encode())


def _spelled(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;")
    yield html.escape(text, quote=False)
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
