"""Task: a headless run as it was asked for, checked before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.gate import gates
from nbflow._core.policy import seconds
from nbflow._core.usage import dollars
from nbflow._key.secret import Known
from nbflow._key.secret_patterns import is_secret
from nbflow._store import location
from nbflow._store.store import MemoryStore
from nbflow.errors import UsageError
from nbflow.notebook import document as documents
from nbflow.notebook.parameters import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nbformat import NotebookNode

    from nbflow._core.gate import Gate

_MASK = "***"


@dataclass(frozen=True, slots=True)
class Options:
    """How a notebook is run.

    Attributes:
        parameters: ``name=value`` texts.
        output: where the output notebook goes; ``<name>.out.ipynb`` beside the notebook
            by default.
        store: the store's folder; found upward from the notebook by default.
        timeout: seconds that one cell may take.
        max_failed: the number of records that may be left undone, ``"5"``, or a share
            of them, ``"5%"``.
        force: names of steps that run although their outputs are saved.
        budget: what all calls together may cost, such as ``"$5"``.
        gates: what has to hold of the labels, such as ``"accuracy>=0.9"``.
        only_failed: continue the runs of the output notebook that is there instead of
            sending again.
        queue: wait for another copy of this job, or refuse.
        patience: seconds to stay for records that wait in their flows.
        verbose: how much of the log to show: 0 none, 1 INFO and above, 2 all of it.
    """

    parameters: Sequence[str] = ()
    output: Path | None = None
    store: Path | None = None
    timeout: float | None = None
    max_failed: str = "0"
    force: Sequence[str] = ()
    budget: str | None = None
    gates: Sequence[str] = ()
    only_failed: bool = False
    queue: bool = True
    patience: float | None = None
    verbose: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A headless run that was checked and may begin.

    Attributes:
        notebook: the path of the notebook.
        document: the notebook, which takes outputs and marks.
        options: how it is run.
        values: of the parameters that were given.
        shown: the same as a person may see them: JSON, secrets masked.
        allowance: the number of records that may be left undone.
        budget: US dollars that all calls together may cost.
        gates: what has to hold of the labels.
        output: where the output notebook goes.
        store: the folder of the store.
    """

    notebook: Path
    document: NotebookNode
    options: Options
    values: dict[str, object]
    shown: dict[str, object]
    allowance: Allowance
    budget: float | None
    gates: tuple[Gate, ...]
    output: Path
    store: Path

    @property
    def names(self) -> list[str]:
        """What no two jobs may be at: the same notebook and parameters, or the same file."""
        parameters = sorted(self.shown.items(), key=str)
        return [
            f"output {self.output.resolve()}",
            f"job {self.notebook.resolve()} {parameters!r}",
        ]

    @property
    def secrets(self) -> Known:
        """Parameters that nothing written or printed may hold.

        What `nf.secret` reads never leaves the kernel.
        """
        known = Known()
        for name, value in self.values.items():
            if is_secret(name, value):
                known.add(name, str(value))
        return known


def check(notebook: Path, options: Options) -> Task:
    """Check everything that can be wrong.

    Raises:
        UsageError: something is.
    """
    document = documents.read(notebook)
    values = documents.given(document, list(options.parameters))
    allowance = allowed(options.max_failed)
    budget = None if options.budget is None else dollars(options.budget, "--budget")
    shown = {
        name: _MASK if is_secret(name, value) else as_json(value)
        for name, value in values.items()
    }
    return Task(
        notebook=notebook,
        document=document,
        options=options,
        values=values,
        shown=shown,
        allowance=allowance,
        budget=budget,
        gates=gates(options.gates),
        output=options.output or notebook.with_name(f"{notebook.stem}.out.ipynb"),
        store=store_of(notebook, options.store),
    )


def store_of(notebook: Path, named: Path | None) -> Path:
    """The store of a job: the one that is named, else the one found upward from its notebook.

    Raises:
        UsageError: it would be in memory.
    """
    store = (
        location.folder_at(named) if named else location.find(notebook.resolve().parent)
    )
    if str(store) == MemoryStore.url:
        raise UsageError(
            "A job needs a store on disk, or it leaves nothing behind: name a folder with "
            "--store (NBFLOW_STORE is memory:)."
        )
    return store.absolute()


class Allowance(NamedTuple):
    """How many records may be left undone: a number of them, or a percentage."""

    number: float
    is_share: bool

    def is_exceeded(self, left: int, records: int) -> bool:
        """Whether more records are left undone than is allowed."""
        most = self.number * records / 100 if self.is_share else self.number
        return left > most


def allowed(text: str) -> Allowance:
    """How many records may be left undone.

    Raises:
        UsageError: the text is neither a number nor a percentage.
    """
    is_share = text.endswith("%")
    try:
        number = float(text.removesuffix("%")) if is_share else int(text)
    except ValueError:
        number = -1
    # NaN fails both comparisons; let through, it would allow everything.
    if not 0 <= number < math.inf:
        raise UsageError(
            f"--max-failed {text}: write a number of records (5) or a share of them "
            "(5%)."
        )
    return Allowance(number, is_share)


def limit(text: str, option: str = "--timeout") -> float:
    """The seconds that an option says: how long one cell may take, or how long to stay.

    Raises:
        UsageError: the text is not a duration.
    """
    is_number = text.replace(".", "", 1).isdigit()
    found = seconds(float(text) if is_number else text, option)
    if not found:
        raise UsageError(
            f"{option} {text} must be greater than 0; omit it for no limit."
        )
    return found
