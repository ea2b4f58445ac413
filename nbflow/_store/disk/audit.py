"""Audit: everything that a store on disk holds, read and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nbflow._store.disk.journal import Journal
    from nbflow._store.disk.shelf import Shelf

__all__ = ["Audit", "audit"]


class Audit(NamedTuple):
    """What was found.

    Attributes:
        entries: the number of entries that verify.
        damaged: keys of entries that do not.
        orphans: files of large entries that no row names.
        copies: damaged databases that a repair kept.
        database: what SQLite says of the database; empty if it is sound.
    """

    entries: int
    damaged: list[str]
    orphans: list[str]
    copies: list[str]
    database: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.orphans or self.copies or self.database)


def audit(journal: Journal, shelf: Shelf) -> Audit:
    """Read and verify every entry.

    An entry that is put, moved or deleted meanwhile is no damage: it is looked for
    again, and files are compared while nobody writes one.
    """
    database = shelf.integrity()
    fresh, stored = journal.keys(), shelf.keys()
    entries, damaged = len(fresh), []
    for key in stored:
        if key in fresh:
            continue
        if shelf.verifies(key):
            entries += 1
        elif journal.get(key) is None:
            damaged.append(key)
    orphans, copies = shelf.leftovers()
    return Audit(entries, damaged, orphans, copies, database)
