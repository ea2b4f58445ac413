"""An exported job tells people, and no file of it has an address."""

import json
import subprocess

import pytest
import yaml

import nbflow as nf
from nbflow.errors import UsageError
from nbflow.export.targets import targets

from .conftest import write


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A notebook whose job fails."""
    monkeypatch.delenv("NBFLOW_STORE")
    folder = tmp_path / "work"
    folder.mkdir()
    return write(folder / "threads.ipynb", "# Threads", "import nbflow as nf\n1 / 0")


def text_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "".join(f"{path}\n{path.read_text('utf-8')}" for path in files)


@pytest.mark.parametrize("name", sorted(targets()))
def test_every_target_names_the_variables_and_has_no_address(name, failing, export):
    code, said = export(
        failing,
        *("--to", name, "--timezone", "UTC", "--notify", "json://host/T0kenOfTheTeam"),
        *(
            "--notify",
            "env:TEAM_SLACK",
            "--heartbeat",
            "https://hc.example/T0kenOfBeats",
        ),
        *(["--schedule", "0 6 * * *"] if targets()[name].is_timed else []),
        *("--notify-on", "change"),
    )
    assert code == 0, said
    folder = failing.parent / "exports" / f"threads-{name}"
    written = text_of(folder)
    assert "T0kenOf" not in written + said
    secrets = (folder / "secrets.txt").read_text().split()
    assert {"NBFLOW_HEARTBEAT", "NBFLOW_NOTIFY", "TEAM_SLACK"} <= set(secrets)
    for reference in ("env:NBFLOW_NOTIFY", "env:TEAM_SLACK", "env:NBFLOW_HEARTBEAT"):
        assert reference in written
    lock = next(folder.glob("*lock.toml"), folder / "requirements.txt")
    assert "apprise" in lock.read_text()
    assert export(failing, "--drift")[0] == 0


def test_platforms_with_secrets_of_their_own_refer_to_them(failing, export):
    more = (
        "--schedule",
        "0 6 * * *",
        "--timezone",
        "UTC",
        "--notify",
        "json://host/T0ken",
    )
    for name in ("kubernetes", "github-actions"):
        assert export(failing, "--to", name, *more)[0] == 0
    exports = failing.parent / "exports"
    *_, job = yaml.safe_load_all(
        (exports / "threads-kubernetes" / "threads.yaml").read_text()
    )
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {
        "name": "NBFLOW_NOTIFY",
        "valueFrom": {
            "secretKeyRef": {"name": "nbflow-threads", "key": "NBFLOW_NOTIFY"}
        },
    } in pod["containers"][0]["env"]
    workflow = exports / "threads-github-actions/.github/workflows/threads.yml"
    assert 'NBFLOW_NOTIFY: "${{ secrets.NBFLOW_NOTIFY }}"' in workflow.read_text()


@pytest.mark.parametrize("name", ["cron", "python"])
def test_an_installed_job_tells_the_address_in_its_secrets(name, failing, export, hook):
    """The script that the schedule starts, with a real web hook."""
    timed = ("--schedule", "0 6 * * *", "--timezone", "UTC") if name == "cron" else ()
    code, said = export(failing, "--to", name, *timed, "--notify", hook.url())
    assert code == 0, said
    folder = failing.parent / "exports" / f"threads-{name}"
    assert "T0kenOf" not in text_of(folder)
    (folder / "secrets.env").write_text(f"NBFLOW_NOTIFY={hook.url()}\n")
    done = subprocess.run(
        [str(folder / "run.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    [message] = hook.messages
    assert message["type"] == "failure"
    assert "ZeroDivisionError" in message["message"]
    assert "T0kenOf" not in done.stdout + done.stderr


def test_an_address_in_the_project_file_is_refused_and_a_reference_goes_along(
    failing, export
):
    project = failing.parent / "pyproject.toml"
    project.write_text('[tool.nbflow]\nnotify = "slack://aaa/bbb/T0ken"\n')
    more = ("--to", "docker", "--name", "threads")
    code, said = export(failing, *more)
    assert code == 2
    assert "write env:NAME there" in said
    assert "T0ken" not in said
    project.write_text('[tool.nbflow]\nnotify = "env:TEAM_SLACK"\n')
    assert export(failing, *more)[0] == 0
    folder = failing.parent / "exports" / "threads-docker"
    assert "TEAM_SLACK" in (folder / "secrets.txt").read_text()


def test_the_function_takes_them_as_the_command_does(failing):
    made = nf.export(
        failing, "docker", notify=["env:TEAM"], notify_on="always", dry_run=True
    )
    assert made.job.options == ("--notify", "env:TEAM", "--notify-on", "always")
    for wrong in ({"notify": ["foo://x"]}, {"notify_on": "never"}, {"heartbeat": 3}):
        with pytest.raises(UsageError):
            nf.export(failing, "docker", dry_run=True, **wrong)
    manifest = json.dumps(list(made.job.options))
    assert "foo" not in manifest
