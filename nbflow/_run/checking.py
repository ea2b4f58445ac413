"""Checking: everything of a store is read; what is damaged, or belongs to nothing, is said and removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._core.amount import amount
from nbflow._core.plural import several
from nbflow._run.inventory import size_of
from nbflow._run.journals import beside_runs
from nbflow._store import key_file
from nbflow._store.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._run.runs import Runs
    from nbflow._store.disk.audit import Audit
    from nbflow._store.store import Store

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        url: the store.
        bytes: what all of its files take.
        entries: the number of saved entries that verify.
        runs: the number of runs that were read.
        problems: what is wrong, one a line; none in a sound store.
        repaired: whether what can be repaired was.
    """

    url: str
    bytes: int
    entries: int
    runs: int
    problems: tuple[str, ...]
    repaired: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        head = (
            f"{self.url}: {self.entries:,} saved entries and"
            f" {several(self.runs, 'run')} verify,"
            f" {amount(self.bytes)}."
        )
        if self.is_sound:
            return f"{head}\nNothing is damaged."
        lines = [head, *(f"- {problem}" for problem in self.problems)]
        if self.repaired:
            lines.append(
                "Removed what is damaged; what it held runs again when it is asked for."
            )
        else:
            lines.append(
                "`nbflow store check --repair` removes what is damaged: what it held"
                " runs again when it is asked for."
            )
        return "\n".join(lines)


def check(runs: Runs, *, repair: bool = False) -> Checked:
    """Read and verify everything; ``repair`` removes what does not verify.

    Raises:
        StoreError: the store cannot be read.
    """
    engine = runs.engine
    audit = _audit(engine.store, repair=repair)
    entries = len(list(engine.store.keys())) if audit is None else audit.entries
    names = engine.ledger.runs()
    problems = list(_of_audit(audit)) + list(_of_runs(runs, names, repair=repair))
    problems += _of_journals(runs, repair=repair)
    problems += _of_inbox(runs, repair=repair)
    problems += _of_keys(engine.store.url)
    if repair:
        engine.ledger.sweep()
    url = engine.store.url
    return Checked(url, size_of(url), entries, len(names), tuple(problems), repair)


def _audit(store: Store, *, repair: bool) -> Audit | None:
    read = getattr(store, "audit", None)
    found: Audit | None = None if read is None else read(repair=repair)
    return found


def _of_audit(audit: Audit | None) -> Iterator[str]:
    if audit is None:
        return
    if audit.database:
        yield f"the database is damaged: {audit.database}"
    for key in audit.damaged:
        yield f"entry {key} does not verify, or its file is gone"
    for name in audit.orphans:
        yield f"{name} belongs to no entry: a process died while it wrote"
    for name in audit.copies:
        yield f"{name} is what an earlier repair kept of a damaged database"


def _of_runs(runs: Runs, names: list[str], *, repair: bool) -> Iterator[str]:
    for run in names:
        with runs.retiring(run) as is_free:
            # Of a run under way the last block may be half written.
            if is_free:
                for torn in runs.engine.ledger.torn(run, cut=repair):
                    yield f"run {run} does not verify: {torn}"


def _of_journals(runs: Runs, *, repair: bool) -> Iterator[str]:
    for what, journal in beside_runs(runs.engine.ledger):
        for name in journal.runs():
            for torn in journal.torn(name, cut=repair):
                yield f"{what} do not verify: {torn}"


def _of_inbox(runs: Runs, *, repair: bool) -> Iterator[str]:
    for torn in runs.engine.inbox.torn(cut=repair):
        yield f"the inbox does not verify: {torn}"


def _of_keys(url: str) -> list[str]:
    if url == MemoryStore.url:
        return []
    mine = key_file.in_use().fingerprint
    theirs = key_file.others(Path(url), mine)
    return [key_file.explained(mine, theirs)] if theirs else []
