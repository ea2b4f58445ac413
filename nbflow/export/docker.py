"""docker: an image that runs the job when it is started, with a volume for the store."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.export.spec import Job

#: Where the volume is: the store, and the output notebook beside it.
VOLUME = PurePosixPath("/store")
#: The user that it runs as: from a number, Kubernetes can tell that it is not root.
USER = 10001


class Docker:
    """``docker run`` runs the notebook once and has its exit code."""

    name = "docker"
    about = "a Docker image"
    is_here = False
    is_timed = False
    has_kernel = True

    def refusals(self, job: Job) -> Iterable[str]:
        """Nothing: an image takes every job."""
        del job
        return ()

    def files(self, job: Job) -> dict[str, str]:
        """The recipe of the image, and what does not go into it."""
        return image(job)

    def guide(self, job: Job) -> Guide:
        """With docker."""
        times = f" ({job.schedule.words})" if job.schedule else ""
        run = (
            f"docker run --rm --name {job.name} --env-file secrets.env -v "
            f"{job.name}-store:{VOLUME} {job.name}"
        )
        return Guide(
            install=f"`docker build -t {job.name} .`",
            test=f"`{run}`; behind it `-p name=value` takes other parameters.",
            watch=f"`docker logs` while it runs; `docker run --rm -v "
            f"{job.name}-store:{VOLUME} --entrypoint cat {job.name} "
            f"{VOLUME}/{job.identifier}.out.ipynb > last.ipynb` fetches the "
            "output notebook.",
            remove=f"`docker rmi {job.name}; docker volume rm {job.name}-store`",
            missed=f"Docker has no schedule: whatever starts the container decides{times}. "
            "The name of the container excludes a second one; a second run on the "
            "same volume ends at once with exit code 75.",
            secrets=ENV_FILE,
            store=f"It is on the volume `{job.name}-store`.",
        )


TARGET = Docker()
ENV_FILE = (
    "write `NAME=value` lines into `secrets.env`, the value as it is, without quotes, "
    "and `chmod 600 secrets.env`. `NBFLOW_STORE_KEY` is the key of the store: make it "
    "once with `openssl rand -hex 32`, and keep it, or nothing of the store can be "
    "read."
)


#: What does not go into the image.
_IGNORED = (
    ".git", ".gitignore", ".dockerignore", "Dockerfile", "README.md",
    "secrets.env", ".env", ".nbflow", ".venv", "__pycache__", "*.out.ipynb",
    "*.out.run.json", "*.log",
)  # fmt: skip


def image(job: Job) -> dict[str, str]:
    """What an image of the job is built from."""
    ignored = "".join(f"{pattern}\n" for pattern in _IGNORED)
    return {"Dockerfile": _dockerfile(job), ".dockerignore": ignored}


def _dockerfile(job: Job) -> str:
    command, parameters = arguments(job)
    install = job.install.replace("pip install", "pip install --no-cache-dir", 1)
    user = f"useradd --uid {USER} --create-home job"
    lines = [
        f"FROM python:{job.python}-slim",
        "WORKDIR /job",
        "# The packages first: a change of the notebook does not install them again.",
        f"COPY {job.lock} .",
        "COPY wheels wheels" if job.has_wheels else "",
        f"RUN {install}",
        "COPY . .",
        f"RUN {user} && mkdir {VOLUME} && chown job /job {VOLUME}",
        f"USER {USER}",
        f"VOLUME {VOLUME}",
        f"ENV TZ={job.schedule.timezone}" if job.schedule else "",
        f"ENTRYPOINT {json.dumps(command)}",
        f"CMD {json.dumps(parameters)}" if parameters else "",
    ]
    return "".join(f"{line}\n" for line in lines if line)


def arguments(job: Job) -> tuple[list[str], list[str]]:
    """The command inside the container, and apart from it the parameters."""
    output = VOLUME / f"{job.identifier}.out.ipynb"
    whole = job.command_of("nbflow", VOLUME / "nbflow", output=output)
    begin = len(whole) - 2 * len(job.given)  # `-p` and its value, each
    return whole[:begin], whole[begin:]
