"""Dagster: an asset that `nbflow run` makes, a job and a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nbflow.export import source
from nbflow.export.spec import Guide, Job, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE = "definitions.py"
_DEFINITIONS = '''
"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

import subprocess
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

FOLDER = Path($folder)
COMMAND = $command
OUTPUT = FOLDER / $output
UNDER_WAY = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


class Parameters(dg.Config):
    """What the notebook takes."""
$parameters

@dg.asset(name=$asset, description=$title, group_name="nbflow", kinds={"python", "jupyter"})
def notebook(context: dg.AssetExecutionContext, config: Parameters) -> dg.MaterializeResult:
    values = config.model_dump()
    arguments = [part for name, value in values.items()$unless for part in ("-p", f"{name}={value}")]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    said = ""
    try:
        for line in process.stdout:
            context.log.info(line.rstrip())
            said = line.strip() if line.startswith(("exit ", "nbflow: ")) else said
    except BaseException:
        process.terminate()  # the notebook notes where it stood
        process.wait()
        raise
    facts = {"exit code": process.wait(), "notebook": dg.MetadataValue.notebook(OUTPUT)}
    if process.returncode:
        # Steps have retries of their own, and the next run goes on where this one stood.
        raise dg.Failure(said or f"nbflow run ended with {process.returncode}", metadata=facts, allow_retries=False)
    return dg.MaterializeResult(metadata=facts)


job = dg.define_asset_job($job, selection=[notebook], executor_def=dg.in_process_executor)


@dg.schedule(name=$schedule, job=job, cron_schedule=$cron, execution_timezone=$timezone, default_status=dg.DefaultScheduleStatus.RUNNING)
def schedule(context: dg.ScheduleEvaluationContext):
    if context.instance.get_run_records(dg.RunsFilter(job_name=job.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("The last run is still at work.")
    return dg.RunRequest()


definitions = dg.Definitions(assets=[notebook], jobs=[job], schedules=[schedule])
'''
#: What pydantic needs for itself.
_TAKEN = ("model_config", "model_dump", "model_dump_json", "model_validate", "model_validate_json", "model_validate_strings", "self")


@dataclass(frozen=True, slots=True)
class Dagster:
    """The target `dagster`."""

    name: str = "dagster"
    about: str = "Dagster"
    is_here: bool = True
    is_timed: bool = True

    def refusals(self, job: Job) -> Iterable[str]:
        """A parameter whose name Dagster's configuration has in use."""
        return [f"Its configuration cannot have the parameter {one.name}: give it another name in the notebook." for one in job.settings if one.name in _TAKEN]

    def files(self, job: Job) -> Mapping[str, str]:
        """The definitions."""
        assert job.schedule is not None
        open_ones = [one.name for one in job.settings if source.is_open(one)]
        text = source.filled(
            _DEFINITIONS,
            asset=source.literal(job.identifier),
            job=source.literal(_job(job)),
            schedule=source.literal(f"{job.identifier}_schedule"),
            title=source.literal(job.title),
            cron=source.literal(job.schedule.cron),
            timezone=source.literal(job.schedule.timezone),
            folder=source.literal(str(job.folder)),
            command=source.literal(job.command_of(job.program, job.store, ())),
            output=source.literal(f"{PurePath(job.notebook).stem}.out.ipynb"),
            parameters="".join(f"\n    {_field(one)}" for one in job.settings) + "\n",
            # What nobody said the notebook works out itself.
            unless=f" if value is not None or name not in {source.literal(open_ones)}" if open_ones else "",
        )
        return {_FILE: text}

    def guide(self, job: Job) -> Guide:
        """Load the file into Dagster, whose daemon starts the runs."""
        return Guide(
            install=f"`dagster dev -f {_FILE}` tries it, with a page and the daemon. To stay, name the file in the `workspace.yaml` of your Dagster: `load_from: [{{python_file: <this folder>/{_FILE}}}]`. The schedule is on as soon as Dagster knows it.",
            test=f"`dagster job execute -f {_FILE} -j {_job(job)}`",
            watch="The page of the job: nbflow's lines are in the log of the run, the output notebook is with the asset.",
            remove="Take the file out of `workspace.yaml`.",
            missed="Of the runs that were missed the latest is started when the daemon is back. One that is due while another is at work is skipped, and says so.",
            secrets="set them in the environment of Dagster, or in a file `.env` where it is started.",
        )


TARGET = Dagster()


def _job(job: Job) -> str:
    return f"{job.identifier}_job"


def _field(setting: Setting) -> str:
    schema, value = source.offer(setting)
    more = f", description={source.literal(setting.help)}" if setting.help else ""
    return f"{setting.name}: {_type(schema)} = Field({source.literal(value)}{more})"


def _type(schema: Mapping[str, Any]) -> str:
    """The type, if Dagster's configuration knows it; else anything, and `nbflow run` looks at it."""
    kind = source.annotation(schema)
    if "enum" in schema:
        return kind if all(isinstance(value, str) for value in schema["enum"]) else "Any"
    return "Any" if "|" in kind.removesuffix(" | None") or "Literal" in kind else kind
