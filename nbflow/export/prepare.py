"""Prepare: from a notebook to what an export would write.

`nbflow.export.export` says what a caller may rely on.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._core.gate import gates
from nbflow._core.usage import dollars
from nbflow._key import redaction
from nbflow._key.secret_patterns import is_secret
from nbflow._tell.telling import NO_WISHES, Wishes
from nbflow.errors import UsageError
from nbflow.export import leaks, notices, readme, schema
from nbflow.export import output_folder as folders
from nbflow.export.dependencies import dependencies
from nbflow.export.environment import environment
from nbflow.export.result import Export, finding_text
from nbflow.export.schedule import schedule
from nbflow.export.spec import Job, slug
from nbflow.export.targets import target
from nbflow.notebook import document as documents
from nbflow.notebook.check import check
from nbflow.notebook.job_task import allowed, limit, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbformat import NotebookNode

    from nbflow.export.dependencies import Dependencies
    from nbflow.export.environment import Environment
    from nbflow.export.output_folder import Manifest
    from nbflow.export.schedule import Schedule
    from nbflow.export.spec import Target
    from nbflow.notebook.check import Finding

#: Where exports go, beside the notebook.
EXPORTS = "exports"


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `nbflow.export.export` explains each field."""

    notebook: Path
    to: str
    schedule: str | None = None
    timezone: str | None = None
    parameters: Sequence[str] = ()
    options: Sequence[str] = ()
    wishes: Wishes = NO_WISHES
    name: str | None = None
    output: Path | None = None
    force: bool = False

    @property
    def home(self) -> Path:
        """The folder of the notebook."""
        return self.notebook.resolve().parent


@dataclass(frozen=True, slots=True)
class _Source:
    """What an export is made from: the notebook, what it needs, its packages."""

    document: NotebookNode
    needed: Dependencies
    pinned: Environment


def prepare(order: Order) -> Export:
    """Work out what an export would write; nothing is written.

    Raises:
        UsageError: the notebook, the schedule, a parameter, the folder or the target
            does not allow it.
    """
    chosen = target(order.to)
    document = documents.read(order.notebook)
    # From here on there are variables in the place of addresses.
    order = replace(order, options=[*order.options, *notices.carried(order.wishes)])
    _check_parameters(order, document)
    _check_options(order)
    when = _when(order, chosen)
    given = [text.partition("=")[2] for text in order.parameters]
    needed = dependencies(document, order.home, given)
    pinned = environment(
        order.home,
        needed.packages,
        has_kernel=chosen.has_kernel,
        tells=lambda files: notices.sends(order.options, files),
    )
    findings = _findings(order, needed, pinned)
    errors = [one for one in findings if one.level == "error"]
    if errors and not order.force:
        raise UsageError(_refused(order.notebook, errors))
    title = _title(order)
    folder = _folder(order, title, chosen)
    _check_text("--name", title)
    _check_text("The folder", str(folder))
    _check_text("The notebook's name", order.notebook.name)
    last = folders.remembered(folder)
    _check_owner(order.notebook, folder, last)
    source = _Source(document, needed, pinned)
    job = _job(order, chosen, source, when, title, folder)
    if refusals := list(chosen.refusals(job)):
        raise UsageError(f"{chosen.name} cannot take this job. {' '.join(refusals)}")
    files = _files(job, chosen, source)
    digests = last.get("digests", {})
    changes = folders.compare(folder, files, frozenset(needed.data), digests)
    return Export(
        job=job,
        to=chosen.name,
        changes=tuple(changes),
        warnings=(*pinned.warnings, *_notes(order, needed, findings)),
        findings=tuple(errors),
        is_new=not last,
        _files=files,
        _noted=_noted(order, chosen, title, when, folder),
    )


# What is asked for.


def _check_parameters(order: Order, document: NotebookNode) -> None:
    values = documents.given(document, list(order.parameters))
    for text in order.parameters:
        name, _, given = text.partition("=")
        _check_text(f"-p {name}", given)
        if is_secret(name, values[name]) or redaction.redacted(given, name) != given:
            raise UsageError(
                f"-p {name}=...: it looks like a secret, and would stand in the files "
                f'of the export. Read it in the notebook with nf.secret("{name.upper()}"), '
                "and set the variable where the job runs."
            )


def _check_text(what: str, text: str) -> None:
    """Refuse what neither a file nor an argument of a program can hold.

    That is NUL, and surrogates: what the terminal passed on in another encoding.
    """
    if any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text):
        raise UsageError(
            f"{what} {text!r} is not text that a file or a command can hold: "
            "give it as Unicode, without NUL."
        )


def _check_options(order: Order) -> None:
    valued = [one for one in order.options if one != notices.CONTENT]
    pairs = list(zip(valued[::2], valued[1::2], strict=True))
    given = dict(pairs)
    rules = [value for option, value in pairs if option == "--gate"]
    for rule in rules:
        _check_text("--gate", rule)
    gates(rules)
    if "--max-failed" in given:
        allowed(given["--max-failed"])
    if "--budget" in given:
        dollars(given["--budget"], "--budget")
    if "--timeout" in given:
        limit(given["--timeout"])


def _when(order: Order, chosen: Target) -> Schedule | None:
    if order.schedule is not None:
        return schedule(order.schedule, order.timezone)
    if chosen.is_timed:
        raise UsageError(
            f'--to {chosen.name} needs to know when: give --schedule "0 6 * * 1-5" '
            "(at 06:00 from Monday to Friday), and --timezone if it is not that of "
            "this machine."
        )
    return None


def _title(order: Order) -> str:
    title = order.notebook.stem if order.name is None else order.name
    if not title.strip():
        raise UsageError("--name is empty: omit it, or name the job.")
    return title


def _folder(order: Order, title: str, chosen: Target) -> Path:
    if order.output is not None:
        return order.output.expanduser().absolute()
    return order.home / EXPORTS / f"{slug(title)}-{chosen.name}"


def _check_owner(notebook: Path, folder: Path, last: Manifest) -> None:
    """Refuse a folder that belongs to another notebook: two names may make one slug."""
    if not last:
        return
    owner = (folder / last["notebook"]).resolve()
    if owner != notebook.resolve() and owner.exists():
        raise UsageError(
            f"{folder} is the export of {owner}: give this job a name of its own with "
            "--name, or a folder with --output."
        )


# What is found.


def _findings(order: Order, needed: Dependencies, pinned: Environment) -> list[Finding]:
    """What ``nbflow check`` finds, and secrets in the files that go along."""
    texts = {
        place: path.read_text("utf-8", errors="replace")
        for place, path in needed.modules.items()
    }
    return [*check(order.notebook), *leaks.found(texts | pinned.files)]


def _refused(notebook: Path, errors: list[Finding]) -> str:
    head = (
        f"{notebook} would fail unattended or leak a secret. "
        "Fix these, or export anyway with --force:"
    )
    return "\n".join([head, *(f"  {finding_text(error)}" for error in errors)])


def _notes(
    order: Order, needed: Dependencies, findings: list[Finding]
) -> Iterator[str]:
    """What the person who installs the export has to know."""
    for name, why in sorted(needed.left.items()):
        yield f"{name} stays where it is: {why}."
    if needed.unread:
        names = ", ".join(sorted(needed.unread))
        yield (
            f"{names}: not Python that can be read; copied, and what it imports is not "
            "looked for."
        )
    if needed.data:
        names = ", ".join(sorted(needed.data))
        yield (
            f"{names}: copied, and the job reads the copy. For data that changes, make "
            "the path a parameter and give an absolute one: -p data=/srv/data.csv."
        )
    # The export pins versions, so what the project says about them does not matter.
    warned = sum(one.level == "warning" and one.rule != "unpinned" for one in findings)
    if warned:
        warnings = "1 warning" if warned == 1 else f"{warned} warnings"
        yield f"nbflow check has {warnings}: nbflow check {order.notebook}"


# What is made.


def _job(
    order: Order,
    chosen: Target,
    source: _Source,
    when: Schedule | None,
    title: str,
    folder: Path,
) -> Job:
    declared = documents.declared(source.document)
    job = Job(
        name=slug(title),
        title=title,
        notebook=order.notebook.name,
        folder=folder,
        schedule=when,
        settings=schema.settings(declared, order.parameters),
        options=tuple(order.options),
        secrets=tuple(
            sorted(
                source.needed.variables
                | _store_key(chosen)
                | notices.variables(order.options, source.pinned.files)
            )
        ),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        lock=source.pinned.lock,
        has_wheels=source.pinned.has_wheels,
        document=_bare(source.document),
    )
    if not chosen.is_here:
        return job
    return replace(
        job,
        store=store_of(order.notebook, None),
        program=_program(),
        environment=_environment(),
    )


def _program() -> str:
    """The ``nbflow`` of this Python.

    The path is not resolved: the ``python`` of a virtual environment may be a link to
    one elsewhere, which does not have the packages.
    """
    beside = Path(sys.executable).absolute().with_name("nbflow")
    found = str(beside) if beside.exists() else shutil.which("nbflow")
    if found is None:
        raise UsageError(
            f"There is no command nbflow beside {sys.executable}, which the job could "
            "call: install nbflow into this Python (pip install 'nbflow[lab]')."
        )
    return found


def _store_key(chosen: Target) -> set[str]:
    """The variable with the store's key, if the job cannot read the user's own key."""
    if chosen.is_here and "NBFLOW_STORE_KEY" not in os.environ:
        return set()
    return {"NBFLOW_STORE_KEY"}


def _environment() -> dict[str, str]:
    """The variables that a job needs to find the store's key where this process does."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return {"XDG_CONFIG_HOME": home} if home else {}


def _bare(document: NotebookNode) -> NotebookNode:
    """The notebook without what its runs left in it."""
    bare = copy.deepcopy(document)
    documents.begin(bare)
    for holder in (bare, *bare.cells):
        holder.metadata.pop("nbflow", None)
        holder.metadata.pop("papermill", None)  # it notes the values of parameters
    return bare


def _files(job: Job, chosen: Target, source: _Source) -> dict[str, bytes]:
    """Everything that the folder holds.

    Raises:
        UsageError: two of the files would have the same path.
    """
    own = _notebook_files(job, source.needed)
    texts = {
        **chosen.files(job),
        **source.pinned.files,
        "parameters.schema.json": schema.as_text(job.title, job.settings),
        "secrets.txt": "".join(f"{name}\n" for name in job.secrets),
        ".gitignore": readme.IGNORED,
        "README.md": readme.as_text(job, chosen),
    }
    made = {path: _encoded(text) for path, text in texts.items()}
    for path in own.keys() & (made.keys() | {folders.MANIFEST}):
        raise UsageError(
            f"{path} belongs to the notebook, and the export writes a file of that "
            "name: rename it."
        )
    return dict(sorted({**own, **made}.items()))


def _notebook_files(job: Job, needed: Dependencies) -> dict[str, bytes]:
    """The notebook, its local modules and its data."""
    import nbformat

    notebook = nbformat.writes(job.document)  # type: ignore[no-untyped-call]  # untyped there
    files = {job.notebook: _encoded(f"{notebook}\n")}
    for place, path in {**needed.data, **needed.modules}.items():
        files[place] = path.read_bytes()
    return files


def _encoded(text: str) -> bytes:
    """A text as UTF-8; a lone surrogate, which UTF-8 does not have, as its escape."""
    return text.encode("utf-8", "backslashreplace")


def _noted(
    order: Order, chosen: Target, title: str, when: Schedule | None, folder: Path
) -> Manifest:
    """What the next export has to know about this one."""
    return {
        "nbflow": metadata.version("nbflow"),
        "notebook": folders.relative(order.notebook.resolve(), folder),
        "to": chosen.name,
        "name": title,
        "schedule": when.cron if when else None,
        "timezone": when.timezone if when else None,
        "parameters": list(order.parameters),
        "options": list(order.options),
    }
