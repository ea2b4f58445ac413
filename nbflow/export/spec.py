"""Spec: what a job is, and what a target has to say to take it. A target is one file beside this one, with a ``TARGET``."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePath

    from nbflow.export.schedule import Schedule

#: Kubernetes adds eleven characters to the name of a CronJob, and takes 63.
_LONGEST = 52


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter of the notebook, as this job has it.

    Attributes:
        name: its name, a Python identifier.
        type: its type as source text, such as ``"int"`` or ``"Literal['new', 'all']"``.
        schema: the same as JSON Schema, with its default and description.
        given: what ``-p`` gave, as text; ``None`` if the notebook's own default holds.
        value: the value of that text, or the default if it is plain; ``None`` if it is
            neither.
        help: the comment behind it.
    """

    name: str
    type: str
    schema: Mapping[str, Any]
    given: str | None = None
    value: Any = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A notebook that is to run by itself. All texts are a user's: whoever writes them into a file escapes them.

    Attributes:
        name: what platforms call it: small letters, digits and hyphens, a letter first,
            at most 52.
        title: what the user calls it; any text.
        notebook: the file name of the notebook in the folder.
        folder: where the export is, absolute.
        schedule: when it runs; ``None`` if the target needs none and none was given.
        settings: the notebook's parameters, in the order of their declaration.
        options: options of ``nbflow run`` besides, each with its value:
            ``("--max-failed", "5%")``.
        secrets: names of environment variables that it reads secrets from.
        store: the store that it shares with the notebook, absolute; ``None`` if it runs
            on another machine.
        program: the ``nbflow`` to call: a path on this machine, plainly ``nbflow`` on
            another.
        environment: variables that the job needs on this machine besides those of a
            bare shell.
        python: the Python that it was exported from, such as ``"3.12"``.
        lock: the file name of the pinned environment: ``pylock.toml`` or
            ``requirements.txt``.
        has_wheels: packages that no index has are to be put into the folder ``wheels``.
        document: the notebook as nbformat has it, without outputs.
    """

    name: str
    title: str
    notebook: str
    folder: Path
    schedule: Schedule | None
    settings: tuple[Setting, ...] = ()
    options: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    store: Path | None = None
    program: str = "nbflow"
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = "3.11"
    lock: str = "requirements.txt"
    has_wheels: bool = False
    document: Any = field(default=None, repr=False, compare=False)

    @property
    def command(self) -> list[str]:
        """The command that runs it in its folder, as a list of arguments: no shell has to read it."""
        return self.command_of(self.program, self.store)

    def command_of(
        self,
        program: str,
        store: PurePath | None,
        parameters: Iterable[str] | None = None,
        output: PurePath | None = None,
    ) -> list[str]:
        """The command with another ``nbflow``, another store, other ``name=value`` texts, another output notebook."""
        values = self.given if parameters is None else parameters
        # A file name that begins with a hyphen would be an option.
        notebook = (
            f"./{self.notebook}" if self.notebook.startswith("-") else self.notebook
        )
        places = [
            part
            for option, place in (("--store", store), ("-o", output))
            if place is not None
            for part in (option, str(place))
        ]
        return [
            program,
            "run",
            notebook,
            "--no-wait",
            *places,
            *self.options,
            *(part for text in values for part in ("-p", text)),
        ]

    @property
    def given(self) -> list[str]:
        """The ``name=value`` texts of ``-p``."""
        return [
            f"{one.name}={one.given}" for one in self.settings if one.given is not None
        ]

    @property
    def output(self) -> str:
        """The file name of the notebook that a run leaves behind."""
        return f"{Path(self.notebook).stem}.out.ipynb"

    @property
    def install(self) -> str:
        """The command of a shell in the folder that installs the pinned packages into the Python in use."""
        # uv alone would look for a virtual environment, and a container or a runner has
        # none.
        tool = (
            'pip install uv && uv pip install --python "$(command -v python)"'
            if self.lock == "pylock.toml"
            else "pip install"
        )
        return (
            f"{tool} {'--find-links wheels ' if self.has_wheels else ''}-r {self.lock}"
        )

    @property
    def identifier(self) -> str:
        """The name for languages in which a hyphen is a minus."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Guide:
    """What a person does with an export: a sentence of Markdown each, with commands for a shell in its folder.

    Attributes:
        install: puts it to work.
        test: runs it once, now.
        watch: shows how the last runs went, and their logs.
        remove: takes it away.
        missed: what becomes of a run that was due while the machine was off, and of one
            while another is at work.
        secrets: where their values go.
        store: of a job that runs elsewhere: where its own store is, and how it lasts.
    """

    install: str
    test: str
    watch: str
    remove: str
    missed: str
    secrets: str
    store: str = ""


class Target(Protocol):
    """A scheduler that a job is exported to; each module of this package that has a ``TARGET`` is one.

    Attributes:
        name: what ``--to`` takes.
        about: what it is, in a few words.
        is_here: it runs the job on this machine, with this Python and this store.
        is_timed: it needs a schedule.
        has_kernel: it runs the notebook, in a Jupyter kernel.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def about(self) -> str: ...  # noqa: D102
    @property
    def is_here(self) -> bool: ...  # noqa: D102
    @property
    def is_timed(self) -> bool: ...  # noqa: D102
    @property
    def has_kernel(self) -> bool: ...  # noqa: D102

    def refusals(self, job: Job) -> Iterable[str]:
        """Why this target cannot take the job, each a sentence with what to do; nothing if it can."""

    def files(self, job: Job) -> Mapping[str, str]:
        """What it needs besides the common files: relative path (``/`` between folders) to text."""

    def guide(self, job: Job) -> Guide:
        """How to install, test, watch and remove it."""


def slug(title: str) -> str:
    """A name that every platform takes, from any text; the same text gives the same."""
    plain = (
        unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    )
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    digest = hashlib.sha256(title.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    # What is left of a title in another script says too little: a number, "x".
    lost = 2 * sum(one.isalnum() and not one.isascii() for one in title) > sum(
        map(str.isalnum, title)
    )
    if lost or len(made) > _LONGEST - (0 if made[:1].isalpha() else 4):
        made = f"{made[: _LONGEST - 13].strip('-')}-{digest}".strip("-")
    return made if made[:1].isalpha() else f"job-{made or digest}"
