"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

FOLDER = "/srv/jobs/threads"
COMMAND = ["/opt/venv/bin/nbflow", "run", "threads.ipynb", "--no-wait", "--store", "/srv/.nbflow", "--notify", "env:NBFLOW_NOTIFY", "--notify-on", "change", "--heartbeat", "env:NBFLOW_HEARTBEAT", "--notify-content"]
ENVIRONMENT = {**os.environ, "PATH": os.pathsep.join(["/opt/venv/bin", os.environ.get("PATH", os.defpath)])}


def plain(line):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip()  # colours, if FORCE_COLOR asks for them
UNDER_WAY = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


class Parameters(dg.Config):
    """What the notebook takes."""

    p0: str = Field("2026-11-24", description="number 0")
    p1: str = Field("50% of $HOME", description="number 1")


@dg.asset(name="threads", description="Threads of support", group_name="nbflow", kinds={"python", "jupyter"})
def notebook(context: dg.AssetExecutionContext, config: Parameters) -> dg.MaterializeResult:
    values = config.model_dump()
    arguments = [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=FOLDER, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    said = ""
    try:
        for line in map(plain, process.stdout):
            context.log.info(line)
            said = line if line.startswith(("exit ", "nbflow: ")) else said
    except BaseException:
        process.terminate()  # the notebook notes where it stood
        process.wait()
        raise
    said = said or f"nbflow run ended with {process.wait()}"
    facts = {"exit code": process.wait(), "notebook": dg.MetadataValue.notebook(Path(FOLDER, "threads.out.ipynb"))}
    if process.returncode:
        # Steps have retries of their own, and the next run goes on where this one stood.
        raise dg.Failure(said, metadata=facts, allow_retries=False)
    return dg.MaterializeResult(metadata=facts)


job = dg.define_asset_job("threads_job", selection=[notebook], executor_def=dg.in_process_executor, tags={"nbflow": "threads"})


@dg.schedule(name="threads_schedule", job=job, cron_schedule="0 6 * * 1-5", execution_timezone="Europe/Berlin", default_status=dg.DefaultScheduleStatus.RUNNING)
def schedule(context: dg.ScheduleEvaluationContext):
    if context.instance.get_run_records(dg.RunsFilter(job_name=job.name, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("The last run is still at work.")
    return dg.RunRequest()


definitions = dg.Definitions(assets=[notebook], jobs=[job], schedules=[schedule])
