"""github-actions: a workflow that GitHub runs on its own machines at the scheduled times."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbflow.export.markup import Block, as_yaml, under
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow.export.spec import Job


class _Action(NamedTuple):
    """An action by its commit, which nobody can move, and the version that it is."""

    name: str
    commit: str
    version: str

    def step(self, given: Mapping[str, object], part: str = "") -> dict[str, object]:
        """The step that uses it, or a part of it."""
        return {"uses": f"{self.name}{part}@{self.commit}", "with": given}


_CHECKOUT = _Action(
    "actions/checkout", "de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2"
)
_PYTHON = _Action(
    "actions/setup-python", "a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"
)
_CACHE = _Action("actions/cache", "cdf6c1fa76f9f475f3d7449005a359c84ca0f306", "v5.0.3")
_UPLOAD = _Action(
    "actions/upload-artifact", "b7c566a772e6b6bfb58ed0dc250532a479d7789f", "v6.0.0"
)
_SOONEST = timedelta(minutes=5)
#: The number of coming times that are looked at for the shortest time between two.
_LOOKED_AT = 200
_STORE = "${{ runner.temp }}/nbflow"


class GithubActions:
    """The run of the workflow has log, exit code and output notebook; the store lasts in the cache."""

    name = "github-actions"
    about = "a scheduled workflow of GitHub Actions"
    is_here = False
    is_timed = True
    has_kernel = True

    def refusals(self, job: Job) -> Iterator[str]:
        """Schedules that GitHub thins out, and names that it keeps for itself."""
        assert job.schedule is not None
        times = job.schedule.next(_LOOKED_AT)
        if min(later - earlier for earlier, later in pairwise(times)) < _SOONEST:
            yield (
                "GitHub starts a workflow every five minutes at most: write "
                '--schedule "*/5 * * * *" or less often.'
            )
        for name in job.secrets:
            is_taken = name.upper().startswith("GITHUB_") and name != "GITHUB_TOKEN"
            if is_taken or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                yield (
                    f"GitHub takes no secret of the name {name}: call the environment "
                    f"variable otherwise."
                )

    def files(self, job: Job) -> dict[str, str]:
        """The workflow, where GitHub looks for it if this folder is a repository."""
        comments = (
            f"Times: {job.schedule.words}." if job.schedule else "",
            "Actions are pinned to commits; let Dependabot or Renovate move them.",
        )
        text = under(comments, as_yaml(_workflow(job)))
        for action in (_CHECKOUT, _PYTHON, _CACHE, _UPLOAD):
            name, commit, version = action
            uses = rf'"?({name}(?:/\w+)?@{commit})"?'
            text = re.sub(uses, rf"\1 # {version}", text)
        return {f".github/workflows/{job.name}.yml": text}

    def guide(self, job: Job) -> Guide:
        """With git and gh."""
        copied = "commit"
        where = _in_repository(job.folder)
        if where != ".":
            root = "/".join(".." for _ in Path(where).parts)
            workflow = f".github/workflows/{job.name}.yml"
            copied = (
                f"`mkdir -p {root}/.github/workflows && "
                f"cp {workflow} {root}/.github/workflows/`, then commit"
            )
        return Guide(
            install=f"{copied} and push to the default branch: GitHub takes schedules "
            f"from there alone.",
            test=f"`gh workflow run {job.name}.yml`, or the button *Run workflow*.",
            watch=f"`gh run list --workflow {job.name}.yml`, `gh run view --log`; the "
            "output notebook is an artefact of the run. When a run fails, GitHub mails "
            "the person who last changed the schedule.",
            remove=f"`gh workflow disable {job.name}.yml`, or delete the file.",
            missed="GitHub may start a run late, or leave it out when it is busy, and "
            "stops schedules of public repositories after 60 days without a "
            "commit. While one run is at work the next one waits (`concurrency`).",
            secrets="`gh secret set NAME`, one each, and `openssl rand -hex 32 | gh "
            "secret set NBFLOW_STORE_KEY`, the key of the store: without it, each "
            "run starts from nothing.",
            store="It is in the cache of GitHub Actions, which forgets what was not "
            "used for a week.",
        )


TARGET = GithubActions()


def _workflow(job: Job) -> dict[str, object]:
    assert job.schedule is not None
    folder = _literal(_in_repository(job.folder))
    times = {"cron": job.schedule.cron, "timezone": job.schedule.timezone}
    return {
        "name": _literal(job.title),
        "on": {"schedule": [times], "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "concurrency": {"group": f"nbflow-{job.name}", "cancel-in-progress": False},
        "jobs": {
            job.name: {
                "runs-on": "ubuntu-latest",
                "timeout-minutes": 360,
                "defaults": {"run": {"working-directory": folder, "shell": "bash"}},
                "steps": _steps(job, folder),
            }
        },
    }


def _steps(job: Job, folder: str) -> list[dict[str, object]]:
    key = f"nbflow-{job.name}-"
    attempt = "${{ github.run_id }}-${{ github.run_attempt }}"
    saved = {"path": _STORE, "key": f"{key}{attempt}"}
    fetched = {**saved, "restore-keys": key}
    return [
        _CHECKOUT.step({"persist-credentials": False}),
        _PYTHON.step({"python-version": job.python}),
        {"name": "Install the pinned packages", "run": job.install},
        {
            "name": "Fetch the store of the last run",
            **_CACHE.step(fetched, "/restore"),
        },
        {"name": "Run the notebook", **_run(job)},
        # In any case: what a run that failed has done is not done again.
        {
            "name": "Keep the store for the next run",
            "if": "always()",
            **_CACHE.step(saved, "/save"),
        },
        {
            "name": "Keep the output notebook",
            "if": "always()",
            **_UPLOAD.step(_uploaded(job, folder)),
        },
    ]


def _run(job: Job) -> dict[str, object]:
    """The command and its environment; no text of a user stands in the command."""
    assert job.schedule is not None
    given = {
        f"PARAMETER_{number}": _literal(text)
        for number, text in enumerate(job.given, 1)
    }
    command = [
        "nbflow run",
        '"$NOTEBOOK"',
        "--no-wait",
        '--store "$STORE"',
        f"-o {job.identifier}.out.ipynb",
        *map(shlex.quote, job.options),
        *(f'-p "${name}"' for name in given),
    ]
    environment = {
        "NOTEBOOK": _literal(f"./{job.notebook}"),
        "STORE": _STORE,
        "TZ": job.schedule.timezone,
        **given,
        **{name: f"${{{{ secrets.{name} }}}}" for name in job.secrets},
    }
    return {"env": environment, "run": Block(" ".join(command) + "\n")}


def _uploaded(job: Job, folder: str) -> dict[str, object]:
    output = f"{folder}/{job.identifier}.out"
    paths = Block(f"{output}.ipynb\n{output}.run.json\n")
    return {
        "name": "output",
        "path": paths if folder.isprintable() else "",
        "if-no-files-found": "ignore",
    }


def _literal(text: str) -> str:
    """A text in which GitHub finds no expression of its own."""
    return text.replace("${{", "${{ '${{' }}")


def _in_repository(folder: Path) -> str:
    """Where a folder is in its repository; the root of a future one if it is in none."""
    for place in folder.parents:
        if (place / ".git").exists():
            return folder.relative_to(place).as_posix()
    return "."
