"""Prefect takes the deployment, and a worker runs the notebook by it."""

import json
import urllib.request

import pytest

from tests.browser.lab import free_port
from tests.platforms.conftest import HOPELESS, HOSTILE, Platform

NAME = "support-threads/support-threads"


@pytest.fixture
def prefect(tmp_path, threads):
    """A server and a worker."""
    threads.export("prefect")
    platform = Platform("prefect", tmp_path / "prefect")
    port = free_port()
    platform.environment |= {
        "PREFECT_HOME": str(platform.home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    with platform.started(
        "prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"
    ):
        platform.wait_for(f"{platform.environment['PREFECT_API_URL']}/health")
        platform.run("prefect", "work-pool", "create", "nbflow", "--type", "process")
        with platform.started("prefect", "worker", "start", "--pool", "nbflow"):
            yield platform


def ask(prefect, what, question=None):
    """What the server's API says."""
    request = urllib.request.Request(
        f"{prefect.environment['PREFECT_API_URL']}/{what}",
        json.dumps(question or {}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_it_runs_the_job_three_mornings(prefect, threads):
    """Deployed; what is done is not done again.

    A second copy is cancelled, what failed fails, and a parameter goes through or is
    refused.
    """
    assert "successfully created" in prefect.run(
        "prefect", "--no-prompt", "deploy", "--all", cwd=threads.folder
    )
    run = ("prefect", "deployment", "run", NAME, "--watch", "--watch-interval", "1")
    threads.three_mornings(lambda: prefect.run(*run))

    with threads.busy():
        assert "Cancelled" in prefect.run(*run, code=1)
    threads.deliver(1, HOPELESS)
    printed = prefect.run(
        *run,
        "--params",
        json.dumps({"text": f"-{HOSTILE}", "limit": 3, "names": [HOSTILE]}),
        code=1,
    )
    assert threads.seen() == [f"-{HOSTILE}", 3, [HOSTILE]]
    assert threads.report["exit_code"] == 3
    assert "Failed" in printed
    prefect.run(*run, "--params", '{"limit": "three"}', code=1)

    (deployment,) = ask(prefect, "deployments/filter")
    assert (
        deployment["schedules"][0]["schedule"]
        | {"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin"}
        == deployment["schedules"][0]["schedule"]
    )
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert (
        "1 needs you"
        in ask(
            prefect,
            "flow_runs/filter",
            {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
        )[0]["state"]["message"]
    )

    threads.slow_down()
    prefect.run("prefect", "deployment", "run", NAME)
    threads.wait_until_running()
    (under_way,) = ask(
        prefect,
        "flow_runs/filter",
        {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}},
    )
    prefect.run("prefect", "flow-run", "cancel", under_way["id"])
    assert threads.exit_code() == 130
