"""Dagster takes the definitions, and runs the notebook by them."""

import json

import pytest

from tests.platforms.conftest import HOPELESS, HOSTILE, Platform


@pytest.fixture
def dagster(tmp_path, threads):
    threads.export("dagster")
    platform = Platform("dagster", tmp_path / "dagster")
    platform.environment |= {"DAGSTER_HOME": str(platform.home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    (platform.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return platform


def test_it_runs_the_job_three_mornings(dagster, threads):
    """Accepted; what is done is not done again; what failed fails; a parameter goes through as it is."""
    file = threads.folder / "definitions.py"
    assert "Validation successful" in dagster.run("dagster", "definitions", "validate", "-f", file)
    execute = ("dagster", "job", "execute", "-f", file, "-j", "support_threads_job")
    threads.three_mornings(lambda: dagster.run(*execute))

    threads.deliver(1, HOPELESS)
    config = {"text": f"-{HOSTILE}", "limit": 3, "names": [HOSTILE]}
    (dagster.home / "run.yaml").write_text(json.dumps({"ops": {"support_threads": {"config": config}}}, ensure_ascii=False))
    printed = dagster.run(*execute, "-c", dagster.home / "run.yaml", code=1)
    assert "1 of 2 records not done" in printed
    assert threads.seen() == [f"-{HOSTILE}", 3, [HOSTILE]]
    assert threads.report["exit_code"] == 3
