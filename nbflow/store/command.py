"""The command ``nbflow store``: parse, call one function, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nbflow._session import SESSION

if TYPE_CHECKING:
    import argparse

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no public name for what add_subparsers returns

_DRY = "change nothing; say what would go, and how much comes back"


def add(commands: Commands) -> None:
    """Add the command and its parts."""
    store = commands.add_parser(
        "store",
        help="say what the store holds, remove what is old, check it, forget a person",
        description="Say which store is in use (NBFLOW_STORE, or .nbflow found upward "
        "from here) and what it holds, or work on it. All of it runs beside running "
        "sends.",
    )
    store.set_defaults(command=_where)
    parts = store.add_subparsers(title="parts", metavar="PART")
    _add_info(parts)
    _add_prune(parts)
    _add_erase(parts)
    _add_check(parts)
    _add_key(parts)


def _where(_arguments: argparse.Namespace) -> int:
    from nbflow._store.store import MemoryStore

    engine = SESSION.engine
    is_there = engine.store.url == MemoryStore.url or Path(engine.store.url).exists()
    keys = engine.store.keys()
    print(f"store        {engine.store.url}{'' if is_there else ' (not made yet)'}")
    print(f"checkpoints  {sum(1 for _ in keys):,}")
    print(f"runs         {len(engine.ledger.runs()):,}")
    return 0


def _add_info(parts: Commands) -> None:
    info = parts.add_parser(
        "info",
        help="size by step and run, the oldest output, what could go",
        description="Read everything and say what the store holds: its size, outputs "
        "by step, runs, the oldest output, and what no run needs.",
    )
    info.set_defaults(command=_info)


def _info(_arguments: argparse.Namespace) -> int:
    from nbflow import store

    print(store.info())
    return 0


def _add_prune(parts: Commands) -> None:
    prune = parts.add_parser(
        "prune",
        help="remove old runs and saved outputs, and give the disk back",
        description="Remove runs and saved outputs by rules. What a run under way may "
        "need stays, and what a run that stays needs. A call whose output goes is made "
        "again when it is asked for.",
    )
    prune.add_argument(
        "--older-than",
        metavar="TIME",
        help="runs that ended longer ago go, and outputs that were saved longer ago "
        "and that no run needs: 30d, 12h",
    )
    prune.add_argument(
        "--keep-runs",
        type=int,
        metavar="N",
        help="the latest runs of each event that stay in any case (1); without "
        "--older-than and --max-size all others go",
    )
    prune.add_argument(
        "--max-size",
        metavar="SIZE",
        help="what is oldest goes until the rest is no more, about: 2GB, 500MB",
    )
    prune.add_argument(
        "--step", metavar="NAME", help="only outputs of this step go, and no run"
    )
    prune.add_argument("--dry-run", action="store_true", help=_DRY)
    prune.set_defaults(command=_prune)


def _prune(arguments: argparse.Namespace) -> int:
    from nbflow import store

    done = store.prune(
        older_than=arguments.older_than,
        keep_runs=arguments.keep_runs,
        max_size=arguments.max_size,
        step=arguments.step,
        dry_run=arguments.dry_run,
    )
    print(done)
    return 0


def _add_erase(parts: Commands) -> None:
    erase = parts.add_parser(
        "erase",
        help="forget a person: erase records, or a text, from every file",
        description="Erase one person's records, or a text, from every file of the "
        "store: kept batches, notes and errors, saved outputs that came from them and "
        "what was built on those, decisions, samples, notes on gates. Lists output "
        "notebooks and exports that name the runs, which are yours to change, and says "
        "what could not be looked into. The exit code is 1 if a file of the store still "
        "holds the text.",
    )
    erase.add_argument("--record", metavar="KEY", help="the key of the records")
    erase.add_argument("--event", metavar="E", help="only records of this event")
    erase.add_argument(
        "--text",
        metavar="TEXT",
        help="what no file may contain afterwards, as it is or as JSON, HTML and Python "
        "write it",
    )
    erase.add_argument("--dry-run", action="store_true", help=_DRY)
    erase.set_defaults(command=_erase)


def _erase(arguments: argparse.Namespace) -> int:
    from nbflow import store

    done = store.erase(
        record=arguments.record,
        event=arguments.event,
        text=arguments.text,
        dry_run=arguments.dry_run,
    )
    print(done)
    return int(bool(done.left))


def _add_check(parts: Commands) -> None:
    check = parts.add_parser(
        "check",
        help="read and verify everything; say what is damaged",
        description="Read and verify everything that the store holds. The exit code is "
        "0 if it is sound, else 1.",
    )
    check.add_argument(
        "--repair",
        action="store_true",
        help="remove what does not verify, and files that belong to nothing: what they "
        "held runs again when it is asked for",
    )
    check.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from nbflow import store

    found = store.check(repair=arguments.repair)
    print(found)
    return int(not (found.is_sound or found.repaired))


def _add_key(parts: Commands) -> None:
    key = parts.add_parser(
        "key",
        help="show, back up or install the key that authenticates what is saved",
        description="Show which key is in use: entries that were made with another one "
        "are misses. To bring it to another machine, write it to a file with `backup` "
        "here, and use it with `install` there.",
    )
    key.set_defaults(command=_key)
    ways = key.add_subparsers(title="ways", metavar="WAY")
    backup = ways.add_parser("backup", help="write the key to a new file")
    backup.add_argument("file", type=Path, metavar="FILE")
    backup.set_defaults(command=_backup_key)
    install = ways.add_parser("install", help="use the key in a file from now on")
    install.add_argument("file", type=Path, metavar="FILE")
    install.add_argument(
        "--force",
        action="store_true",
        help="replace another key that is in use; it is kept beside the new one",
    )
    install.set_defaults(command=_install_key)


def _key(_arguments: argparse.Namespace) -> int:
    from nbflow import store
    from nbflow._store import key_file, location

    found = store.key()
    print(f"key          {found.source}")
    print(f"fingerprint  {found.fingerprint}")
    theirs = key_file.others(location.find(), found.fingerprint)
    if theirs:
        print(f"{location.find()}: {key_file.explained(found.fingerprint, theirs)}.")
    return 0


def _backup_key(arguments: argparse.Namespace) -> int:
    from nbflow import store

    store.backup_key(arguments.file)
    print(f"Wrote the key to {arguments.file}: who has it can read and forge results.")
    return 0


def _install_key(arguments: argparse.Namespace) -> int:
    from nbflow import store

    store.install_key(arguments.file, force=arguments.force)
    found = store.key()
    print(f"The key in use is {found.fingerprint}, from {found.source}.")
    return 0
