"""github-actions: a workflow that GitHub starts at the times of the schedule, on a machine of its own."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.export.markup import Block, as_yaml, under
from nbflow.export.spec import Guide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.export.spec import Job

#: Actions by their commits, which nobody can move, each with the version that it is.
_CHECKOUT = ("actions/checkout", "de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2")
_PYTHON = ("actions/setup-python", "a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0")
_CACHE = ("actions/cache", "cdf6c1fa76f9f475f3d7449005a359c84ca0f306", "v5.0.3")
_UPLOAD = (
    "actions/upload-artifact",
    "b7c566a772e6b6bfb58ed0dc250532a479d7789f",
    "v6.0.0",
)
_SOONEST = timedelta(minutes=5)
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
        times = job.schedule.next(200)
        if min(later - earlier for earlier, later in pairwise(times)) < _SOONEST:
            yield (
                "GitHub starts a workflow every five minutes at most: write "
                '--schedule "*/5 * * * *" or less often.'
            )
        for name in job.secrets:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or (
                name.upper().startswith("GITHUB_") and name != "GITHUB_TOKEN"
            ):
                yield (
                    f"GitHub takes no secret of the name {name}: call the environment "
                    f"variable otherwise."
                )

    def files(self, job: Job) -> dict[str, str]:
        """The workflow, where GitHub looks for it if this folder is the root of the repository."""
        comments = (
            f"Times: {job.schedule.words}." if job.schedule else "",
            "Actions are pinned to commits; let Dependabot or Renovate move them.",
        )
        text = under(comments, as_yaml(_workflow(job)))
        for name, commit, version in (_CHECKOUT, _PYTHON, _CACHE, _UPLOAD):
            text = re.sub(
                rf"\"?({name}(?:/\w+)?@{commit})\"?", rf"\1 # {version}", text
            )
        return {f".github/workflows/{job.name}.yml": text}

    def guide(self, job: Job) -> Guide:
        """With git and gh."""
        where = _in_repository(job.folder)
        copied = (
            f"`mkdir -p {'/'.join('..' for _ in Path(where).parts)}/.github/workflows "
            f"&& cp .github/workflows/{job.name}.yml "
            f"{'/'.join('..' for _ in Path(where).parts)}/.github/workflows/`, then "
            f"commit"
            if where != "."
            else "commit"
        )
        return Guide(
            install=f"{copied} and push to the default branch: GitHub takes schedules "
            f"from there alone.",
            test=f"`gh workflow run {job.name}.yml`, or the button *Run workflow*.",
            watch=f"`gh run list --workflow {job.name}.yml`, `gh run view --log`; the "
            f"output notebook is an artefact of the run. GitHub mails whoever "
            f"last changed the schedule when a run fails.",
            remove=f"`gh workflow disable {job.name}.yml`, or delete the file.",
            missed="GitHub may start a run late, or leave it out when it is busy, and "
            "stops schedules of public repositories after 60 days without a "
            "commit. While one run is at work the next one waits (`concurrency`).",
            secrets="`gh secret set NAME`, one each, and `openssl rand -hex 32 | gh "
            "secret set NBFLOW_STORE_KEY`, the key of the store: without it, each "
            "run begins anew.",
            store="It is in the cache of GitHub Actions, which forgets what was not "
            "used for a week.",
        )


TARGET = GithubActions()


def _workflow(job: Job) -> dict[str, Any]:
    assert job.schedule is not None
    given = {
        f"PARAMETER_{number}": _literal(text)
        for number, text in enumerate(job.given, 1)
    }
    secrets = {name: f"${{{{ secrets.{name} }}}}" for name in job.secrets}
    notebook = {"NOTEBOOK": _literal(f"./{job.notebook}")}
    command = " ".join(
        [
            "nbflow run",
            '"$NOTEBOOK"',
            "--no-wait",
            '--store "$STORE"',
            f"-o {job.identifier}.out.ipynb",
            *map(shlex.quote, job.options),
            *(f'-p "${name}"' for name in given),
        ]
    )
    folder = _literal(_in_repository(job.folder))
    keys = {
        "path": _STORE,
        "key": f"nbflow-{job.name}-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}",
        "restore-keys": f"nbflow-{job.name}-",
    }
    outputs = (
        Block(
            f"{folder}/{job.identifier}.out.ipynb\n{folder}/{job.identifier}.out.run.json\n"
        )
        if folder.isprintable()
        else ""
    )
    steps = [
        _uses(_CHECKOUT, {"persist-credentials": False}),
        _uses(_PYTHON, {"python-version": job.python}),
        {"name": "Install the pinned packages", "run": job.install},
        {"name": "Fetch the store of the last run"} | _uses(_CACHE, keys, "/restore"),
        {
            "name": "Run the notebook",
            "env": {
                **notebook,
                "STORE": _STORE,
                "TZ": job.schedule.timezone,
                **given,
                **secrets,
            },
            "run": Block(f"{command}\n"),
        },
        # In any case: what is done of a run that failed is not done again.
        {"name": "Keep the store for the next run", "if": "always()"}
        | _uses(_CACHE, {name: keys[name] for name in ("path", "key")}, "/save"),
        {"name": "Keep the output notebook", "if": "always()"}
        | _uses(
            _UPLOAD, {"name": "output", "path": outputs, "if-no-files-found": "ignore"}
        ),
    ]
    return {
        "name": _literal(job.title),
        "on": {
            "schedule": [
                {"cron": job.schedule.cron, "timezone": job.schedule.timezone}
            ],
            "workflow_dispatch": {},
        },
        "permissions": {"contents": "read"},
        "concurrency": {"group": f"nbflow-{job.name}", "cancel-in-progress": False},
        "jobs": {
            job.name: {
                "runs-on": "ubuntu-latest",
                "timeout-minutes": 360,
                "defaults": {"run": {"working-directory": folder, "shell": "bash"}},
                "steps": steps,
            }
        },
    }


def _uses(
    action: tuple[str, str, str], given: dict[str, Any], part: str = ""
) -> dict[str, Any]:
    return {"uses": f"{action[0]}{part}@{action[1]}", "with": given}


def _literal(text: str) -> str:
    """A text in which GitHub finds no expression of its own."""
    return text.replace("${{", "${{ '${{' }}")


def _in_repository(folder: Path) -> str:
    """Where a folder is in its repository; the root of one that is to be, if it is in none."""
    root = next(
        (place for place in folder.parents if (place / ".git").exists()), folder
    )
    return folder.relative_to(root).as_posix()
