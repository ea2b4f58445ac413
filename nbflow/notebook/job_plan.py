"""JobPlan: what the first send or map of a notebook would do, found in a kernel that stops there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._call import job_link
from nbflow.errors import UsageError
from nbflow.notebook import document as documents
from nbflow.notebook.execute import Stop, execute
from nbflow.notebook.job_task import check

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from nbflow._call.job_link import ToldPlan
    from nbflow.notebook.job_task import Options, Task


class PlanError(UsageError):
    """No send or map was reached."""

    exit_code = 1


class _Nobody:
    """Watches a notebook of which nothing is kept."""

    def begun(self, number: int, cell: NotebookNode) -> None:
        """Do nothing."""

    def ended(self, number: int, cell: NotebookNode) -> None:
        """Do nothing."""

    def goes_on(self) -> None:
        """Do nothing."""

    def is_settled(self) -> bool:
        """Whether nothing is under way: no run was begun."""
        return True


def plan(notebook: Path, options: Options) -> ToldPlan:
    """Run the cells above the first send or map, and plan that instead of making it.

    Raises:
        UsageError: the notebook or a parameter is wrong, or no send or map was reached;
            says why.
    """
    task = check(notebook, options)
    documents.inject(task.document, task.values)
    documents.begin(task.document)
    with tempfile.TemporaryDirectory(prefix="nbflow-plan-") as scratch:
        return _planned(task, Path(scratch) / "told")


def _planned(task: Task, told: Path) -> ToldPlan:
    stop = Stop()
    with stop.on_signals():
        ending = execute(
            task.document,
            folder=task.notebook.resolve().parent,
            environment={
                "NBFLOW_STORE": str(task.store),
                "NBFLOW_TABLE": "static",
                **job_link.environment(told, plans=True),
            },
            watcher=_Nobody(),
            stop=stop,
        )
    if found := job_link.plan(told):
        return found
    if ending.how == "interrupted":
        raise KeyboardInterrupt
    where = f"cell {ending.cell}" if ending.cell else "the notebook"
    why = "it sends nothing" if ending.how == "ok" else f"{where} failed: {ending.why}"
    raise PlanError(
        f"{task.notebook} has no plan: {task.secrets.mask(why)}. A plan is made of the "
        "first send or map, when the cells above it have run."
    )
