"""Notebook Jobs of a live JupyterLab takes the launcher, and runs the notebook by it."""

import json
import urllib.request

import pytest

from tests.browser.lab import free_port
from tests.platforms.conftest import HOPELESS, Platform

TOKEN = "of-a-test"


@pytest.fixture
def lab(tmp_path, threads):
    """A JupyterLab with the job's folder in its own."""
    threads.export("jupyter-scheduler")
    platform = Platform("scheduler", tmp_path / "home")
    for name in ("config", "data", "runtime"):
        platform.environment[f"JUPYTER_{name.upper()}_DIR"] = str(platform.home / name)
    platform.port = free_port()
    options = (
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={platform.port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={tmp_path}",
    )
    with platform.started("jupyter", "lab", *options):
        platform.wait_for(f"http://127.0.0.1:{platform.port}/api/status?token={TOKEN}")
        yield platform


def definitions(lab):
    with urllib.request.urlopen(
        f"http://127.0.0.1:{lab.port}/scheduler/job_definitions?token={TOKEN}",
        timeout=30,
    ) as answer:
        return json.load(answer)["job_definitions"]


def test_it_runs_the_job_three_mornings(lab, threads):
    """Scheduled once however often; what is done is not done again; a second copy and what failed fail."""
    install = ("python", threads.folder / "install.py")
    lab.run(*install)
    lab.run(*install)
    (definition,) = definitions(lab)
    assert (
        definition["name"],
        definition["schedule"],
        definition["timezone"],
        definition["active"],
    ) == ("support-threads", "0 6 * * 1-5", "Europe/Berlin", True)

    other = threads.folder / "other.py"
    other.write_text(
        (threads.folder / "install.py")
        .read_text()
        .replace('"support-threads"', '"support-threads-weekly"')
    )
    lab.run("python", other)
    lab.run(*install)
    assert sorted(one["name"] for one in definitions(lab)) == [
        "support-threads",
        "support-threads-weekly",
    ], "a job whose name begins so is another"

    threads.three_mornings(lambda: lab.run(*install, "--once"))

    with threads.busy():
        assert "Another copy of this job is at work" in lab.run(
            *install, "--once", code=1
        )
    threads.deliver(1, HOPELESS)
    assert "1 needs you" in lab.run(*install, "--once", code=1)
    assert threads.report["exit_code"] == 3

    lab.run(*install, "--remove")
    assert [one["name"] for one in definitions(lab)] == ["support-threads-weekly"]
