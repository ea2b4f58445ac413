"""Dagster takes the definitions, and runs the notebook by them."""

import json

import pytest

from tests.platforms.conftest import HOPELESS, HOSTILE, Platform


@pytest.fixture
def dagster(tmp_path, threads):
    threads.export("dagster")
    platform = Platform("dagster", tmp_path / "dagster")
    platform.environment |= {
        "DAGSTER_HOME": str(platform.home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    (platform.home / "dagster.yaml").write_text("""telemetry: {enabled: false}
concurrency: {runs: {tag_concurrency_limits: [{key: nbflow, value: support-threads, limit: 1}]}}
""")
    return platform


def test_it_runs_the_job_three_mornings(dagster, threads):
    """Accepted; what is done is not done again.

    A second copy and what failed fail, and a parameter goes through as it is.
    """
    file = threads.folder / "definitions.py"
    assert "Validation successful" in dagster.run(
        "dagster", "definitions", "validate", "-f", file
    )
    execute = ("dagster", "job", "execute", "-f", file, "-j", "support_threads_job")
    threads.three_mornings(lambda: dagster.run(*execute))

    with threads.busy():
        assert "Another copy of this job is at work" in dagster.run(*execute, code=1)
    threads.deliver(1, HOPELESS)
    config = {"text": f"-{HOSTILE}", "limit": 3, "names": [HOSTILE]}
    (dagster.home / "run.yaml").write_text(
        json.dumps({"ops": {"support_threads": {"config": config}}}, ensure_ascii=False)
    )
    printed = dagster.run(*execute, "-c", dagster.home / "run.yaml", code=1)
    assert "1 needs you" in printed
    assert threads.seen() == [f"-{HOSTILE}", 3, [HOSTILE]]
    assert threads.report["exit_code"] == 3


SCHEDULE = """
import dagster as dg, definitions
with dg.DagsterInstance.get() as instance:
    context = dg.build_schedule_context(instance=instance)
    print(type(definitions.schedule(context)).__name__)
    instance.add_run(dg.DagsterRun(job_name="support_threads_job", status=dg.DagsterRunStatus.STARTED))
    print(type(definitions.schedule(context)).__name__)
"""


def test_a_run_that_is_due_while_another_is_at_work_is_skipped(dagster, threads):
    assert dagster.run("python", "-c", SCHEDULE, cwd=threads.folder).split()[-2:] == [
        "RunRequest",
        "SkipReason",
    ]


def test_a_run_that_is_ended_ends_the_notebook(dagster, threads):
    """SIGTERM reaches `nbflow run`, which says in its report that it was interrupted."""
    threads.slow_down()
    with dagster.started(
        "dagster",
        "job",
        "execute",
        "-f",
        threads.folder / "definitions.py",
        "-j",
        "support_threads_job",
    ) as process:
        threads.wait_until_running()
        process.terminate()
        process.wait(60)
    assert threads.report["exit_code"] == 130
