"""JobNotice: what people are told of a job, from its runs and its exit code."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from nbflow._core.notice import Finished, NoticeCause, causes_in
from nbflow._core.usage import NOTHING, Usage
from nbflow._key.redaction import masker
from nbflow._tell.teller import Teller
from nbflow.errors import NbflowError
from nbflow.notebook.job_lock import BusyError
from nbflow.notebook.job_task import store_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nbflow._core.entry import RunState
    from nbflow._tell.telling import Telling


def teller(telling: Telling, notebook: Path, named: Path | None) -> Teller:
    """Who tells of one execution; the store keeps the notice, if there can be one.

    Args:
        telling: who is told, and when.
        notebook: the notebook, or the module that was made of it.
        named: the store that is named.
    """
    try:
        store = store_of(notebook, named)
    except (NbflowError, OSError):
        store = None
    return Teller(telling, str(notebook.resolve()), store)


def finished(
    notebook: Path,
    code: int,
    said: str,
    *,
    told: str = "",
    brief: str = "",
    states: Sequence[RunState] = (),
    cell: NoticeCause | None = None,
    used: Usage = NOTHING,
    seconds: float | None = None,
    opens: str = "",
    report: str = "",
) -> Finished:
    """A job as its notice has it.

    Args:
        notebook: the notebook, or the module that was made of it.
        code: the exit code.
        said: how it came out, without the records' content.
        told: the same in full.
        brief: the same in few words.
        states: of its runs.
        cell: the error that ended it.
        used: what its calls used.
        seconds: how long it took.
        opens: how to look at its runs, as a line to copy.
        report: the path of its report.
    """
    causes = causes_in(states)
    if cell is not None:
        causes = [*causes, cell]
    return Finished(
        job=notebook.name,
        code=code,
        said=said,
        told=told,
        brief=brief,
        causes=tuple(causes),
        used=used,
        seconds=seconds,
        opens=opens if states else "",
        report=report,
        machine=platform.node(),
    )


def tell_refusal(who: Teller, notebook: Path, error: NbflowError) -> list[str]:
    """Tell that a job did not begin; returns what a person has to know.

    That another copy is at work is no news, and what goes wrong after the end neither.
    """
    if isinstance(error, BusyError) or who.is_posted:
        return []
    code = int(getattr(error, "exit_code", 2))
    ended = finished(notebook, code, masker()(str(error)))
    who.post(ended)
    who.send(ended)
    return who.warnings
