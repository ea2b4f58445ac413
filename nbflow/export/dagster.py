"""Dagster: an asset that `nbflow run` makes, a job and a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.export import source
from nbflow.export.spec import Guide, Job, JsonSchema, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE = "definitions.py"
_DEFINITIONS = '''
"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

$constants
UNDER_WAY = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


class Parameters(dg.Config):
    """What the notebook takes."""
$parameters

@dg.asset(name=$asset, description=$title, group_name="nbflow", kinds={"python", "jupyter"})
def notebook(context: dg.AssetExecutionContext, config: Parameters) -> dg.MaterializeResult:
    values = config.model_dump()
$call
    facts = {"exit code": process.wait(), "notebook": dg.MetadataValue.notebook(Path(FOLDER, $output))}
    if process.returncode:
        # Steps have retries of their own, and the next run goes on where this one stood.
        raise dg.Failure(said, metadata=facts, allow_retries=False)
    return dg.MaterializeResult(metadata=facts)


job = dg.define_asset_job($job, selection=[notebook], executor_def=dg.in_process_executor, tags={"nbflow": $name})


@dg.schedule(name=$schedule, job=job, cron_schedule=$cron, execution_timezone=$timezone, \
default_status=dg.DefaultScheduleStatus.RUNNING)
def schedule(context: dg.ScheduleEvaluationContext):
    if context.instance.get_run_records(dg.RunsFilter(job_name=job.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("The last run is still at work.")
    return dg.RunRequest()


definitions = dg.Definitions(assets=[notebook], jobs=[job], schedules=[schedule])
'''


class Dagster:
    """An asset with the output notebook beside it, whose log has the lines of `nbflow run`."""

    name = "dagster"
    about = "an asset with a schedule for Dagster on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """A parameter whose name Dagster's configuration has in use."""
        return source.refusals(job, ["self"])

    def files(self, job: Job) -> Mapping[str, str]:
        """The definitions."""
        assert job.schedule is not None
        fields = "".join(f"\n    {_field(one)}" for one in job.settings)
        text = source.filled(
            _DEFINITIONS,
            name=source.literal(job.name),
            asset=source.literal(job.identifier),
            job=source.literal(_job(job)),
            schedule=source.literal(f"{job.identifier}_schedule"),
            title=source.literal(job.title),
            cron=source.literal(job.schedule.cron),
            timezone=source.literal(job.schedule.timezone),
            constants=source.constants(job),
            output=source.literal(job.output),
            parameters=f"{fields}\n",
            call=source.call(job, "context.log.info"),
        )
        return {_FILE: text}

    def guide(self, job: Job) -> Guide:
        """Load the file into Dagster, whose daemon starts the runs."""
        return Guide(
            install=f"`dagster dev -f {_FILE}` tries it, with a page and the daemon. To "
            f"stay, name the file in the `workspace.yaml` of your Dagster: "
            f"`load_from: [{{python_file: <this folder>/{_FILE}}}]`. The schedule "
            f"is on as soon as Dagster knows it.",
            test=f"`dagster job execute -f {_FILE} -j {_job(job)}`",
            watch="The page of the job: nbflow's lines are in the log of the run, the "
            "output notebook is with the asset.",
            remove="Take the file out of `workspace.yaml`.",
            missed="When the daemon is back, it starts the latest of the missed runs. A run "
            "that is due while another is at work is skipped, and says so.",
            secrets="set them in the environment of Dagster, or in a file `.env` where it "
            "is started.",
        )


TARGET = Dagster()


def _job(job: Job) -> str:
    return f"{job.identifier}_job"


def _field(setting: Setting) -> str:
    schema, value = source.offer(setting)
    more = f", description={source.literal(setting.help)}" if setting.help else ""
    return f"{setting.name}: {_type(schema)} = Field({source.literal(value)}{more})"


def _type(schema: JsonSchema) -> str:
    """The type, if Dagster's configuration knows it.

    Otherwise it is anything, and `nbflow run` checks it.
    """
    kind = source.annotation(schema)
    if "enum" in schema:
        is_known = all(isinstance(value, str) for value in schema["enum"])
    else:
        is_known = "|" not in kind.removesuffix(" | None") and "Literal" not in kind
    return kind if is_known else "Any"
