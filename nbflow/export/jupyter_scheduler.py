"""JupyterLab's Notebook Jobs: a launcher notebook that calls `nbflow run`, and a script that schedules it.

jupyter-scheduler copies the notebook that it schedules, once, and pastes parameters
into it as Python. So what it gets is the launcher, which does not change: the notebook
stays one, and its parameters go as arguments of a command.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nbflow.export import source
from nbflow.export.spec import Guide, Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LAUNCHER, _INSTALL = "launcher.ipynb", "install.py"
_WORDS = """
Notebook Jobs runs a copy of this notebook, made when it was scheduled. \
It only calls `nbflow run`, on the notebook as it
is by then: edit that one, and nothing has to be scheduled again. For other parameters, edit the next cell and run
`python install.py` again."""
_CALL = """
values = $values

import os
import re
import subprocess

$constants

$call
if process.wait():
    raise RuntimeError(said)"""
_SCRIPT = '''
"""Schedule launcher.ipynb with the JupyterLab that runs on this machine and has it in its folder.

python install.py           schedules it, in place of what an earlier call has scheduled
python install.py --once    runs it now, and waits
python install.py --remove  takes it away; runs that were stay
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
JOB = $job
WHEN = $when


def main(arguments):
    server = find()
    uri = FOLDER.joinpath("launcher.ipynb").relative_to(Path(server["root_dir"]).resolve()).as_posix()
    if arguments not in ([], ["--once"], ["--remove"]):
        sys.exit(__doc__)
    if arguments != ["--once"]:
        found = ask(server, "GET", "job_definitions?name=" + JOB["name"])["job_definitions"]  # and names that begin so
        for one in (one for one in found if one["name"] == JOB["name"]):
            ask(server, "DELETE", "job_definitions/" + one["job_definition_id"])
            print("removed", one["name"], one["job_definition_id"])
    if arguments == ["--remove"]:
        return
    environment = ask(server, "GET", "runtime_environments")[0]["name"]
    wanted = {**JOB, "input_uri": uri, "runtime_environment_name": environment}
    if not arguments:
        made = ask(server, "POST", "job_definitions", wanted | WHEN)
        print("scheduled", made["job_definition_id"], "on", server["url"])
        return
    job = "jobs/" + ask(server, "POST", "jobs", wanted)["job_id"]
    # A job that has not begun calls itself stopped.
    while (found := ask(server, "GET", job))["status"] == "IN_PROGRESS" or not found.get("start_time"):
        time.sleep(1)
    print(found["status"], found.get("status_message") or "")
    sys.exit(found["status"] != "COMPLETED")


def find():
    listed = subprocess.run([sys.executable, "-m", "jupyter_server", "list", "--json"], \
stdout=subprocess.PIPE, encoding="utf-8")
    if listed.returncode:
        sys.exit(f"{sys.executable} has no JupyterLab: run this script with the Python that has it.")
    for server in map(json.loads, listed.stdout.splitlines()):
        if FOLDER.is_relative_to(Path(server["root_dir"]).resolve()):
            return server
    sys.exit(f"No JupyterLab of yours runs on this machine with {FOLDER} in its folder. \
Start one, or open launcher.ipynb in yours and choose Create a notebook job.")


def ask(server, method, what, content=None):
    headers = {"Authorization": "token " + server["token"], "Content-Type": "application/json"}
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(server["url"] + "scheduler/" + what, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        missing = "\\nIs jupyter-scheduler installed beside JupyterLab (pip install jupyter-scheduler)?"
        sys.exit(f"{method} {request.full_url}: {error.code} {error.reason} \
{error.read().decode(errors='replace')[:500]}{missing if error.code == 404 else ''}")
    except urllib.error.URLError as error:
        sys.exit(f"{method} {request.full_url}: {error.reason}")


main(sys.argv[1:])
'''


class JupyterScheduler:
    """For those who have nothing but JupyterLab: it starts runs only while it runs itself."""

    name = "jupyter-scheduler"
    about = "a Notebook Job of JupyterLab on this machine"
    is_here = True
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """Nothing: Notebook Jobs takes every job."""
        del job
        return ()

    def files(self, job: Job) -> Mapping[str, str]:
        """The launcher, and what schedules it."""
        assert job.schedule is not None
        wanted = {"name": job.name, "output_formats": ["ipynb"]}
        when = {"schedule": job.schedule.cron, "timezone": job.schedule.timezone}
        script = source.filled(
            _SCRIPT, job=source.literal(wanted), when=source.literal(when)
        )
        return {_LAUNCHER: _launcher(job), _INSTALL: script}

    def guide(self, job: Job) -> Guide:
        """With the script, which asks the server."""
        del job
        return Guide(
            install=f"`python {_INSTALL}` with JupyterLab's Python, while JupyterLab runs "
            f"(with jupyter-scheduler, and this folder in its own).",
            test=f"`python {_INSTALL} --once`",
            watch="Notebook Jobs in JupyterLab: a run that failed says so, its output "
            "file has nbflow's lines. The output notebook is here.",
            remove=f"`python {_INSTALL} --remove`",
            missed="It runs only while JupyterLab does, and missed runs are not caught up. "
            "A run that is due while another is at work fails at once with exit code "
            "75.",
            secrets="set them where JupyterLab is started.",
        )


TARGET = JupyterScheduler()


def _launcher(job: Job) -> str:
    """The launcher: its cells are ours, apart from literals."""
    document = {
        "cells": [
            _cell("markdown", "about", f"# {job.name}\n{_WORDS}"),
            _cell("code", "parameters", _declared(job), tags=["parameters"]),
            _cell("code", "call", _calling(job)),
        ],
        "metadata": {
            "kernelspec": {
                "name": "python3",
                "display_name": "Python 3",
                "language": "python",
            }
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, name: str, text: str, **metadata: object) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": name, "metadata": metadata}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": text.splitlines(keepends=True)}


def _declared(job: Job) -> str:
    """The cell of the parameters."""
    lines = []
    for one in job.settings:
        _, value = source.offer(one)
        lines.append(f"{one.name} = {source.literal(value)}")
    return "\n".join(lines) or "# The notebook takes none."


def _calling(job: Job) -> str:
    """The cell that calls `nbflow run`."""
    values = [f"{source.literal(one.name)}: {one.name}" for one in job.settings]
    lines = source.call(job, "print").splitlines()
    return source.filled(
        _CALL,
        values=source.block(values, "{}", 0),
        constants=source.constants(job),
        call="\n".join(line.removeprefix("    ") for line in lines),
    )
