"""python: a plain module with the notebook's steps and flows, which needs no Jupyter.

Its keys are the notebook's.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.export import chunks, shell, translation
from nbflow.export.readme import code
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.export.spec import Job


class Python:
    """The module is run by itself, or imported for its steps and flows."""

    name = "python"
    about = "a plain Python module"
    is_here = True
    is_timed = False
    has_kernel = False

    def refusals(self, job: Job) -> Iterator[str]:
        """Cells that need IPython, and a limit for cells, which it does not have."""
        if "--timeout" in job.options:
            yield (
                "A plain module has no cells that --timeout could end: leave it out, "
                "and give the steps a timeout=."
            )
        assert job.document is not None
        yield from chunks.refusals(job.document)

    def files(self, job: Job) -> dict[str, str]:
        """The module, and a script that calls it as the job does."""
        assert job.document is not None
        module = translation.module(job.document, job.notebook, job.title)
        return {
            f"{_module(job)}.py": module,
            shell.NAME: shell.script(job, _command(job, ())),
        }

    def guide(self, job: Job) -> Guide:
        """With Python alone."""
        command = shlex.join(_command(job))
        return Guide(
            install=f"`{job.install}` into a Python {job.python}; `import {_module(job)}` "
            f"gives its steps and flows and runs nothing.",
            test="`./run.sh; echo exit code $?`"
            + (f", which is {code(command)}" if command.isprintable() else ""),
            watch="`nbflow runs` lists the runs of the store, `nbflow runs latest` "
            "shows the last; in a notebook, `nf.open_run()`.",
            remove="Delete the folder.",
            missed="It has no schedule: whatever calls it decides. A copy that is "
            "started while another is at work ends at once with exit code 75.",
            secrets=f"{shell.SECRETS}: `run.sh` reads them.",
        )


TARGET = Python()


def _module(job: Job) -> str:
    """The module's name: a `numbers.py` would hide Python's own `numbers`."""
    return f"{job.identifier}_job"


def _command(job: Job, parameters: Iterable[str] | None = None) -> list[str]:
    python = str(Path(job.program).with_name("python"))
    _, _, _, *options = job.command_of(job.program, job.store, parameters)
    return [python, f"{_module(job)}.py", *options]
