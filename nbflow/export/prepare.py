"""Handover: from a notebook to the folder that a scheduler takes; see `nbflow.export.export` for what a caller may rely on."""

from __future__ import annotations

import copy
import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._core.usage import dollars
from nbflow._key import redaction as secrets
from nbflow._key.secret_patterns import is_secret
from nbflow.errors import UsageError
from nbflow.export import leaks, schema
from nbflow.export import output_folder as folders
from nbflow.export.dependencies import belongings
from nbflow.export.environment import environment
from nbflow.export.readme import IGNORED, as_text
from nbflow.export.schedule import schedule
from nbflow.export.spec import Job, slug
from nbflow.export.targets import target
from nbflow.job import allowed, limit, store_of
from nbflow.notebook import document as documents
from nbflow.notebook.check import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.export.dependencies import Belongings
    from nbflow.export.output_folder import Change
    from nbflow.export.spec import Target
    from nbflow.notebook.check import Finding

#: Where exports go, beside the notebook.
EXPORTS = "exports"


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; see `nbflow.export.export` for what each means."""

    notebook: Path
    to: str
    schedule: str | None = None
    timezone: str | None = None
    parameters: Sequence[str] = ()
    options: Sequence[str] = ()
    name: str | None = None
    output: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """An export, as it was written or would be.

    Attributes:
        job: what runs, when, with what.
        to: the target's name.
        changes: what became of each file.
        warnings: what whoever installs it has to know.
        findings: errors of ``nbflow check`` that ``force`` overrode.
        is_new: nothing was there before.
        is_written: it was not only looked at.
    """

    job: Job
    to: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    is_new: bool = True
    is_written: bool = False
    _files: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _noted: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.job.folder

    def write(self) -> None:
        """Write it.

        Raises:
            UsageError: the folder cannot be written to.
        """
        folders.write(self.folder, self._files, list(self.changes), self._noted)

    def __str__(self) -> str:
        from nbflow.export.result import as_text

        return as_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": str(self)}


def prepare(order: Order) -> Export:
    """What an export would write; writes nothing.

    Raises:
        UsageError: the notebook, the schedule, a parameter, the folder or the target
            stands against it.
    """
    chosen, document = target(order.to), documents.read(order.notebook)
    _check_parameters(order, document)
    _check_options(order)
    if order.schedule is None and chosen.is_timed:
        raise UsageError(
            f'--to {chosen.name} needs to know when: give --schedule "0 6 * * 1-5" (at 06:00 from Monday to Friday), and --timezone if it is not that of this machine.'
        )
    when = (
        schedule(order.schedule, order.timezone) if order.schedule is not None else None
    )
    needed = belongings(
        document,
        order.notebook.resolve().parent,
        [text.partition("=")[2] for text in order.parameters],
    )
    pinned = environment(
        order.notebook.resolve().parent, needed.packages, has_kernel=chosen.has_kernel
    )
    findings = [
        *check(order.notebook),
        *leaks.found({**_sources(needed), **pinned.files}),
    ]
    errors = [one for one in findings if one.level == "error"]
    if errors and not order.force:
        raise UsageError(_refused(order.notebook, errors))
    title = order.notebook.stem if order.name is None else order.name
    if not title.strip():
        raise UsageError("--name is empty: leave it out, or name the job.")
    folder = _folder(order, slug(title), chosen)
    for what, text in {
        "--name": title,
        "The folder": str(folder),
        "The notebook's name": order.notebook.name,
    }.items():
        _check_text(what, text)
    last = folders.remembered(folder)
    _check_owner(order.notebook, folder, last)
    job = Job(
        name=slug(title),
        title=title,
        notebook=order.notebook.name,
        folder=folder,
        schedule=when,
        settings=schema.settings(documents.declared(document), order.parameters),
        options=tuple(order.options),
        secrets=tuple(sorted(needed.variables | _store_key(chosen))),
        store=store_of(order.notebook, None) if chosen.is_here else None,
        program=_program() if chosen.is_here else "nbflow",
        python=".".join(map(str, sys.version_info[:2])),
        lock=pinned.lock,
        has_wheels=pinned.has_wheels,
        environment=_environment() if chosen.is_here else {},
        document=_bare(document),
    )
    if refusals := list(chosen.refusals(job)):
        raise UsageError(f"{chosen.name} cannot take this job. {' '.join(refusals)}")
    files = _files(
        job,
        chosen,
        needed,
        {name: text.encode() for name, text in pinned.files.items()},
    )
    noted = {
        "nbflow": metadata.version("nbflow"),
        "notebook": folders.relative(order.notebook.resolve(), folder),
        "to": chosen.name,
        "name": title,
        "schedule": when.cron if when else None,
        "timezone": when.timezone if when else None,
        "parameters": list(order.parameters),
        "options": list(order.options),
    }
    changes = folders.compare(
        folder, files, frozenset(needed.data), last.get("digests", {})
    )
    left = [
        f"{name} stays where it is: {why}." for name, why in sorted(needed.left.items())
    ]
    if needed.unread:
        left.append(
            f"{', '.join(sorted(needed.unread))}: no Python that can be read; copied, and what it imports is not looked for."
        )
    if needed.data:
        left.append(
            f"{', '.join(sorted(needed.data))}: copied, and the job reads the copy. For data that changes, make the path a parameter and give a whole one: -p data=/srv/data.csv."
        )
    # Versions are pinned here, whatever files there are.
    if warned := sum(
        one.level == "warning" and one.rule != "unpinned" for one in findings
    ):
        left.append(
            f"nbflow check has {warned} warning{'s' * (warned > 1)}: nbflow check {order.notebook}"
        )
    return Export(
        job,
        chosen.name,
        tuple(changes),
        (*pinned.warnings, *left),
        tuple(errors),
        not last,
        _files=files,
        _noted=noted,
    )


def _check_parameters(order: Order, document: Any) -> None:
    values = documents.given(document, list(order.parameters))
    for text in order.parameters:
        name, _, said = text.partition("=")
        _check_text(f"-p {name}", said)
        if is_secret(name, values[name]) or secrets.redacted(said, name) != said:
            raise UsageError(
                f'-p {name}=...: it looks like a secret, and would stand in the files of the export. Read it in the notebook with nf.secret("{name.upper()}"), and set the variable where the job runs.'
            )


def _check_text(what: str, text: str) -> None:
    """What came in another encoding than the terminal's, and NUL, no file and no argument of a program can say."""
    if any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text):
        raise UsageError(
            f"{what} {text!r} is no text that a file or a command can hold: give it as Unicode, without NUL."
        )


def _check_options(order: Order) -> None:
    given = dict(zip(order.options[::2], order.options[1::2], strict=True))
    if "--max-failed" in given:
        allowed(given["--max-failed"])
    if "--budget" in given:
        dollars(given["--budget"], "--budget")
    if "--timeout" in given:
        limit(given["--timeout"])


def _refused(notebook: Path, errors: list[Finding]) -> str:
    lines = [
        f"  {f'cell {one.cell}: ' if one.cell else ''}{one.what}. {one.todo}"
        for one in errors
    ]
    return "\n".join(
        [
            f"{notebook} would fail when nobody watches, or give away a secret; mend it, or export all the same with --force:",
            *lines,
        ]
    )


def _sources(needed: Belongings) -> dict[str, str]:
    """The texts of the local modules."""
    return {
        place: path.read_text("utf-8", errors="replace")
        for place, path in needed.modules.items()
    }


def _check_owner(notebook: Path, folder: Path, last: dict[str, Any]) -> None:
    """A folder belongs to one notebook: names that differ may make the same folder."""
    if (
        last
        and (owner := (folder / last["notebook"]).resolve()) != notebook.resolve()
        and owner.exists()
    ):
        raise UsageError(
            f"{folder} is the export of {owner}: give this job a name of its own with --name, or a folder with --output."
        )


def _folder(order: Order, name: str, chosen: Target) -> Path:
    if order.output is not None:
        return order.output.expanduser().absolute()
    return order.notebook.resolve().parent / EXPORTS / f"{name}-{chosen.name}"


def _program() -> str:
    """The ``nbflow`` of this Python; a link to a Python of another place stays a link, or its packages are lost."""
    beside = Path(sys.executable).absolute().with_name("nbflow")
    found = str(beside) if beside.exists() else shutil.which("nbflow")
    if found is None:
        raise UsageError(
            f"There is no command nbflow beside {sys.executable}, which the job could call: install nbflow into this Python (pip install 'nbflow[lab]')."
        )
    return found


def _store_key(chosen: Target) -> set[str]:
    """The key of the store is a secret of the job where the user's own is not at hand."""
    return (
        {"NBFLOW_STORE_KEY"}
        if not chosen.is_here or "NBFLOW_STORE_KEY" in os.environ
        else set()
    )


def _environment() -> dict[str, str]:
    """What a job has to be told to find the user's key of the store where this process finds it."""
    return {
        name: os.environ[name] for name in ("XDG_CONFIG_HOME",) if os.environ.get(name)
    }


def _bare(document: Any) -> Any:
    """The notebook without what its runs left in it."""
    bare = copy.deepcopy(document)
    documents.begin(bare)
    for holder in (bare, *bare.cells):
        holder.metadata.pop("nbflow", None)
        holder.metadata.pop("papermill", None)  # it notes the values of parameters
    return bare


def _files(
    job: Job, chosen: Target, needed: Belongings, pinned: dict[str, bytes]
) -> dict[str, bytes]:
    """Everything that the folder holds.

    Raises:
        UsageError: two of them would be the same file.
    """
    import nbformat

    notebook = nbformat.writes(job.document)  # type: ignore[no-untyped-call]  # untyped there
    own = {
        job.notebook: (notebook + "\n").encode("utf-8", "backslashreplace"),
        **{
            place: path.read_bytes()
            for place, path in {**needed.data, **needed.modules}.items()
        },
    }
    made = {
        **{
            path: text.encode("utf-8", "backslashreplace")
            for path, text in chosen.files(job).items()
        },
        **pinned,
        "parameters.schema.json": schema.as_text(job.title, job.settings).encode(
            "utf-8", "backslashreplace"
        ),
        "secrets.txt": "".join(f"{name}\n" for name in job.secrets).encode(),
        ".gitignore": IGNORED.encode(),
        "README.md": as_text(job, chosen).encode("utf-8", "backslashreplace"),
    }
    for path in own.keys() & (made.keys() | {folders.MANIFEST}):
        raise UsageError(
            f"{path} belongs to the notebook, and the export writes a file of that name: rename it."
        )
    return dict(sorted({**own, **made}.items()))
