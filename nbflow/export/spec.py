"""Spec: what a job is, and what a target has to say to take it.

A target is one file beside this one, with a ``TARGET``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePath

    from nbformat import NotebookNode

    from nbflow.export.schedule import Schedule

#: A JSON Schema, or a part of one.
JsonSchema: TypeAlias = dict[str, Any]

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
    schema: JsonSchema
    given: str | None = None
    value: object = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A notebook that is to run by itself.

    All texts are a user's: code that writes them into a file has to escape them.

    Attributes:
        name: what platforms call it: small letters, digits and hyphens, a letter first,
            at most 52.
        title: what the user calls it; any text.
        notebook: the file name of the notebook in the folder.
        folder: where the export is, absolute.
        schedule: when it runs; ``None`` if the target needs none and none was given.
        settings: the notebook's parameters, in the order of their declaration.
        options: further options of ``nbflow run``, each followed by its value if it
            takes one: ``("--max-failed", "5%")``.
        secrets: names of environment variables that it reads secrets from.
        store: the store that it shares with the notebook, absolute; ``None`` if it runs
            on another machine.
        program: the ``nbflow`` to call: a path on this machine, just ``nbflow`` on
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
    document: NotebookNode | None = field(default=None, repr=False, compare=False)

    @property
    def command(self) -> list[str]:
        """The command that runs it in its folder, as arguments: no shell has to read it."""
        return self.command_of(self.program, self.store)

    def command_of(
        self,
        program: str,
        store: PurePath | None,
        parameters: Iterable[str] | None = None,
        output: PurePath | None = None,
    ) -> list[str]:
        """The command as it is elsewhere.

        Args:
            program: the ``nbflow`` to call.
            store: the store; ``None`` to leave it to ``nbflow run``.
            parameters: ``name=value`` texts; those of the job by default.
            output: the output notebook; beside the notebook by default.
        """
        # A file name that begins with a hyphen would be an option.
        is_option = self.notebook.startswith("-")
        notebook = f"./{self.notebook}" if is_option else self.notebook
        command = [program, "run", notebook, "--no-wait"]
        if store is not None:
            command += ["--store", str(store)]
        if output is not None:
            command += ["-o", str(output)]
        command += self.options
        for text in self.given if parameters is None else parameters:
            command += ["-p", text]
        return command

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
        """The shell command that installs the pinned packages into the Python in use."""
        tool = "pip install"
        if self.lock == "pylock.toml":
            # uv alone would look for a virtual environment, and a container or a runner
            # has none.
            tool = 'pip install uv && uv pip install --python "$(command -v python)"'
        wheels = "--find-links wheels " if self.has_wheels else ""
        return f"{tool} {wheels}-r {self.lock}"

    @property
    def identifier(self) -> str:
        """The name for languages in which a hyphen is a minus."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Guide:
    """What a person does with an export.

    Each is a sentence of Markdown, with commands for a shell in the folder.

    Attributes:
        install: how to install it.
        test: how to run it once, now.
        watch: how to see how the last runs went, and their logs.
        remove: how to remove it.
        missed: what becomes of a run that was due while the machine was off, and of one
            that is due while another is at work.
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
    """A scheduler that a job is exported to.

    Each module of this package that has a ``TARGET`` is one.

    Attributes:
        name: what ``--to`` takes.
        about: what it is, in a few words.
        is_here: it runs the job on this machine, with this Python and this store.
        is_timed: it needs a schedule.
        has_kernel: it runs the notebook, in a Jupyter kernel.
    """

    # Properties, so that a target may have them as class attributes.
    @property
    def name(self) -> str: ...  # noqa: D102  # the docstring of the class has it
    @property
    def about(self) -> str: ...  # noqa: D102  # the docstring of the class has it
    @property
    def is_here(self) -> bool: ...  # noqa: D102  # the docstring of the class has it
    @property
    def is_timed(self) -> bool: ...  # noqa: D102  # the docstring of the class has it
    @property
    def has_kernel(self) -> bool: ...  # noqa: D102  # the docstring of the class has it

    def refusals(self, job: Job) -> Iterable[str]:
        """Why this target cannot take the job: sentences that say what to do."""

    def files(self, job: Job) -> Mapping[str, str]:
        """What it needs besides the common files: text by relative path, with ``/``."""

    def guide(self, job: Job) -> Guide:
        """How to install, test, watch and remove it."""


def slug(title: str) -> str:
    """A name that every platform takes, from any text; the same text gives the same."""
    decomposed = unicodedata.normalize("NFKD", title)
    plain = decomposed.encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    digest = hashlib.sha256(title.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    prefix = "" if made[:1].isalpha() else "job-"
    if _is_lost(title) or len(made) > _LONGEST - len(prefix):
        # Room for a prefix, which is four characters, and for "-" and the digest.
        made = f"{made[: _LONGEST - 13].strip('-')}-{digest}".strip("-")
    return made if made[:1].isalpha() else f"job-{made or digest}"


def _is_lost(title: str) -> bool:
    """Whether most of a title is in another script, so that what is left says too little."""
    foreign = sum(one.isalnum() and not one.isascii() for one in title)
    return 2 * foreign > sum(map(str.isalnum, title))
