"""Prefect 3: a flow that calls `nbflow run`, and its deployment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nbflow.export import markup, source
from nbflow.export.spec import Guide, Job, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FLOW = '''
"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

import os
import re
import subprocess
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.states import Cancelled, Completed, Failed, State

$constants


# No retries: steps have their own, and the next run goes on where this one stood.
@flow(name=$name, description=$title)
def notebook$parameters -> State:
    return _run($values)


def _run(values: dict[str, Any]) -> State:
    log = get_run_logger().info
$call
    ends = {0: Completed, 75: Cancelled}  # 75: another copy is at work, started by hand
    return ends.get(process.wait(), Failed)(message=said)
'''
_COMMENTS = (
    "`prefect deploy --all` in this folder.",
    (
        "Values of parameters are in flow.py: in this file Prefect would read {{ }} in "
        "them."
    ),
)
_POOL = "nbflow"
#: What Prefect takes for a template, wherever it is in a deployment.
_PLACEHOLDER = re.compile(r"\{\{\s*[\w.\-\[\]$]+\s*\}\}")


class Prefect:
    """A flow whose log has the lines of `nbflow run`, and whose state has its last sentence."""

    name = "prefect"
    about = "a deployment for Prefect 3 on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """Names that Prefect has in use, and a folder that it takes for a template."""
        yield from source.refusals(job, ["return_state", "wait_for"])
        if _PLACEHOLDER.search(str(job.folder)):
            yield (
                f"It would read the folder {str(job.folder)!r} as a template: name "
                f"another one with --output."
            )

    def files(self, job: Job) -> Mapping[str, str]:
        """The flow and its deployment."""
        deployment = markup.as_yaml(_deployment(job))
        return {
            "flow.py": _flow(job),
            "prefect.yaml": markup.under(_COMMENTS, deployment),
        }

    def guide(self, job: Job) -> Guide:
        """Deploy it to a pool of processes, and keep a worker."""
        return Guide(
            install=f"`prefect work-pool create {_POOL} --type process` if there is none, "
            f"`prefect --no-prompt deploy --all`, and where it is to run `prefect "
            f"worker start --pool {_POOL}`, which has to stay.",
            test=f"`prefect deployment run {job.name}/{job.name} --watch`",
            watch="The page of the deployment: nbflow's lines are in the log of a run, "
            "its last sentence is the message of its state.",
            remove=f"`prefect deployment delete {job.name}/{job.name}`",
            missed="Runs that were due without a worker start late, when there is one; the "
            "first of them does the work. A run that is due while another is at work is "
            "cancelled.",
            secrets="set them in the environment of the worker, or as `env` in the job "
            "variables of the pool.",
        )


TARGET = Prefect()


def _flow(job: Job) -> str:
    values = [f"{source.literal(one.name)}: {one.name}" for one in job.settings]
    return source.filled(
        _FLOW,
        name=source.literal(job.name),
        title=source.literal(job.title),
        constants=source.constants(job),
        parameters=source.block(map(_parameter, job.settings), "()", 0),
        values=f"{{{', '.join(values)}}}",
        call=source.call(job, "log"),
    )


def _parameter(setting: Setting) -> str:
    schema, value = source.offer(setting)
    return f"{setting.name}: {source.annotation(schema)} = {source.literal(value)}"


def _deployment(job: Job) -> dict[str, object]:
    assert job.schedule is not None
    times = {
        "cron": job.schedule.cron,
        "timezone": job.schedule.timezone,
        "active": True,
    }
    deployment = {
        "name": job.name,
        "entrypoint": "flow.py:notebook",
        "enforce_parameter_schema": True,
        "schedules": [times],
        # A run that is due while another is at work is cancelled.
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "work_pool": {"name": _POOL},
    }
    pull = {
        "prefect.deployments.steps.set_working_directory": {
            "directory": str(job.folder)
        }
    }
    return {"name": job.name, "pull": [pull], "deployments": [deployment]}
