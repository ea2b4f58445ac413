"""The store: what it holds, what of it may go, who is to be forgotten, whether it is sound.

::

    import nbflow as nf

    print(nf.store.info())
    print(nf.store.prune(older_than="30d", keep_runs=50, dry_run=True))

Each function works on the store in use, beside running sends, and is also a command:
``nbflow store info``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._session import SESSION

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from nbflow._run.checking import Checked
    from nbflow._run.erasing import Erased
    from nbflow._run.inventory import StoreInfo
    from nbflow._run.pruning import Pruned
    from nbflow._store.key_file import KeyInUse

__all__ = [
    "backup_key",
    "check",
    "delete_runs",
    "erase",
    "info",
    "install_key",
    "key",
    "prune",
]


def info() -> StoreInfo:
    """Say what the store in use holds.

    Reads everything, and changes nothing.

    Returns:
        A `StoreInfo`, which prints as a page: size, outputs by step, runs, the oldest
        output, and what could go.

    Raises:
        StoreError: it cannot be read.
    """
    from nbflow._run.inventory import inventory

    return inventory(SESSION.runs)


def prune(
    *,
    older_than: float | str | timedelta | None = None,
    keep_runs: int | None = None,
    max_size: float | str | None = None,
    step: str | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Remove old runs and saved outputs, and give the disk back, beside running sends.

    What a run under way may need stays, and what a run that stays needs. A call whose
    output goes is made again when it is asked for. What is interrupted has removed a
    part, and is finished by the next prune.

    Args:
        older_than: seconds, or text such as ``"30d"``: runs that ended longer ago go,
            and outputs that were saved longer ago and that no run needs.
        keep_runs: the latest runs of each event that stay in any case, 1 by default.
            Without ``older_than`` and ``max_size`` all others go.
        max_size: bytes, or text such as ``"2GB"``: what is oldest goes until the rest
            is no more, about.
        step: only outputs of this step go, and no run.
        dry_run: remove nothing; say what would go.

    Returns:
        A `Pruned`: runs, outputs, bytes, and outputs by step.

    Raises:
        UsageError: a value that makes no sense, or nothing that says what may go.
        StoreError: the store cannot be read, or refuses.
    """
    from nbflow._run import keeping, pruning

    rules = keeping.rules(older_than, keep_runs, max_size, step)
    return pruning.prune(SESSION.runs, rules, dry_run=dry_run)


def delete_runs(
    *runs: str, keep_outputs: bool = False, dry_run: bool = False
) -> Pruned:
    """Delete runs, and the saved outputs that only they need.

    Args:
        *runs: their ids, or beginnings that mean one run each.
        keep_outputs: the outputs stay, so that no call is made again.
        dry_run: delete nothing; say what would go.

    Returns:
        A `Pruned`: runs, outputs, bytes, and outputs by step.

    Raises:
        UnknownRunError: there is none of this name.
        UsageError: somebody works on one of them.
        StoreError: the store cannot be read, or refuses.
    """
    from nbflow import _api
    from nbflow._run import pruning

    named = frozenset(
        _api.open_run(None if run == "latest" else run).id for run in runs
    )
    rules = pruning.Rules(runs=named, keep_outputs=keep_outputs)
    return pruning.prune(SESSION.runs, rules, dry_run=dry_run)


def erase(
    *,
    record: str | None = None,
    event: str | None = None,
    text: str | None = None,
    dry_run: bool = False,
) -> Erased:
    """Erase one person's records, or a text, from every file of the store.

    Kept batches, notes of runs with the messages of errors, saved outputs that came
    from the records and all that was built on them, those of deleted runs included,
    people's decisions, samples, notes on gates. In what stays stars stand for it. What
    an interrupted call did not do, the same call does later.

    Args:
        record: the key of the records.
        event: only records of this event.
        text: a text that no file may contain afterwards; records that hold it go.
        dry_run: change nothing; say what would go.

    Returns:
        An `Erased`: what went; ``elsewhere``, notebooks and exports that are yours to
        look into; ``left``, files of the store that still hold the text; ``notes``,
        what could not be looked into, such as outputs that came from no known run where
        a record is erased, and what to do.

    Raises:
        UsageError: neither or both are given, or somebody works on such a run.
        StoreError: the store cannot be read, or refuses.
    """
    from nbflow._run import erasing
    from nbflow._run.wanted import Wanted

    wanted = Wanted(record, event, text)
    return erasing.erase(SESSION.runs, wanted, dry_run=dry_run)


def check(*, repair: bool = False) -> Checked:
    """Read and verify everything in the store: entries, files, runs, decisions, samples, notes on gates.

    Args:
        repair: remove what does not verify, and files that belong to nothing. What a
            damaged entry held is computed again; of a damaged run the notes up to the
            damage stay.

    Returns:
        A `Checked`: ``is_sound``, ``problems``, entries, runs, bytes.

    Raises:
        StoreError: the store cannot be read, or refuses.
    """
    from nbflow._run import checking

    return checking.check(SESSION.runs, repair=repair)


def key() -> KeyInUse:
    """Say which key authenticates what is saved here.

    Returns:
        A `KeyInUse`: ``source``, the file or variable that it comes from, and
        ``fingerprint``, which tells it from other keys without giving it away.

    Raises:
        StoreError: it cannot be read or made.
    """
    from nbflow._store import key_file

    return key_file.in_use()


def backup_key(file: str | Path) -> None:
    """Write the key in use to a new file: who has it can read and forge what is saved.

    Args:
        file: the file, made so that only its user can read it.

    Raises:
        UsageError: it is there.
        StoreError: it cannot be written.
    """
    from pathlib import Path

    from nbflow._store import key_file

    key_file.backup(Path(file).expanduser())


def install_key(file: str | Path, *, force: bool = False) -> None:
    """Use a key from another machine, for all stores of this user, from the next process on.

    Args:
        file: what `backup_key` wrote there.
        force: replace another key that is in use; it is kept beside the new one.

    Raises:
        UsageError: the file holds no key, or another one is in use.
        StoreError: it cannot be written.
    """
    from pathlib import Path

    from nbflow._store import key_file

    key_file.install(Path(file).expanduser(), force=force)
