"""Runs a notebook on a schedule. The work is in the notebook: this file only calls `nbflow run`."""

import os
import re
import subprocess
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.states import Cancelled, Completed, Failed, State

FOLDER = "/srv/jobs/threads"
COMMAND = ["/opt/venv/bin/nbflow", "run", "threads.ipynb", "--no-wait", "--store", "/srv/.nbflow", "--notify", "env:NBFLOW_NOTIFY", "--notify-on", "change", "--heartbeat", "env:NBFLOW_HEARTBEAT", "--notify-content"]
ENVIRONMENT = {**os.environ, "PATH": os.pathsep.join(["/opt/venv/bin", os.environ.get("PATH", os.defpath)])}


def plain(line):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip()  # colours, if FORCE_COLOR asks for them


# No retries: steps have their own, and the next run goes on where this one stood.
@flow(name="threads", description="Threads of support")
def notebook(
    p0: str = "2026-11-24",
    p1: str = "50% of $HOME",
) -> State:
    return _run({"p0": p0, "p1": p1})


def _run(values: dict[str, Any]) -> State:
    log = get_run_logger().info
    arguments = [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=FOLDER, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    said = ""
    try:
        for line in map(plain, process.stdout):
            log(line)
            said = line if line.startswith(("exit ", "nbflow: ")) else said
    except BaseException:
        process.terminate()  # the notebook notes where it stood
        process.wait()
        raise
    said = said or f"nbflow run ended with {process.wait()}"
    ends = {0: Completed, 75: Cancelled}  # 75: another copy is at work, started by hand
    return ends.get(process.wait(), Failed)(message=said)
