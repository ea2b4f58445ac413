"""Airflow takes the DAG, and runs the notebook by it."""

import json
import re

import pytest

from tests.platforms.conftest import HOPELESS, HOSTILE, Platform


@pytest.fixture
def airflow(tmp_path, threads):
    threads.export("airflow")
    platform = Platform("airflow", tmp_path / "airflow")
    dags = platform.home / "dags"
    dags.mkdir()
    platform.environment |= {
        "AIRFLOW_HOME": str(platform.home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    }
    platform.run("airflow", "db", "migrate")
    (install,) = re.findall(
        r"^- \*\*Install.\*\* `(.*)`$",
        (threads.folder / "README.md").read_text(),
        re.MULTILINE,
    )
    platform.run("bash", "-c", install, cwd=threads.folder)
    return platform


def test_it_runs_the_job_three_mornings(airflow, threads):
    """Accepted without an error; what is done is not done again.

    A second copy is skipped, what failed fails, and parameters go through.
    """
    errors = airflow.run("airflow", "dags", "list-import-errors", "-l", "-o", "json")
    assert json.loads(errors.splitlines()[-1]) == []
    test = ("airflow", "dags", "test", "support-threads")
    threads.three_mornings(lambda: airflow.run(*test))

    with threads.busy():
        assert "exit code 75. Skipping" in airflow.run(*test)
    threads.deliver(1, HOPELESS)
    printed = airflow.run(
        *test,
        "--conf",
        json.dumps({"text": f"-{HOSTILE}", "limit": 3, "names": [HOSTILE]}),
        code=1,
    )
    assert "1 needs you" in printed
    assert threads.seen() == [f"-{HOSTILE}", 3, [HOSTILE]]
    assert threads.report["exit_code"] == 3
