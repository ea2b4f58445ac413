"""A disk that refuses costs checkpoints and notes, never a value: it says so, and the run comes to its end."""

import os
import subprocess
import sys
from pathlib import Path

import nbflow as nf

ROOT = Path(__file__).parents[2]

JOB = """
import resource, signal, sys, warnings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import nbflow as nf
nf.use(sys.argv[1])

@nf.step
def make(n):
    return {"n": n, "text": "x" * 400}

@nf.flow(on="job")
def flow(record):
    return make(record["n"])["n"]

make(-1)
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
run = nf.send("job", [{"n": n} for n in range(500)])
print(run.state, run.counts, sum(value or 0 for value in run.results("flow")))
"""


RECOVERING = JOB.replace(
    "return make(",
    """if record["n"] == 300:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    return make(""",
)
MANY = JOB.replace("range(500)", "range(3_000)")


def run(store, limit, job=JOB):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", job, str(store), str(limit)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": path},
    )


def test_a_full_disk_is_reported_and_every_value_reaches_its_caller(tmp_path):
    full = run(tmp_path / "store", 60_000)
    assert full.returncode == 0, full.stderr
    assert (
        f"COMPLETED {{'flow': {{'COMPLETED': 500}}}} {sum(range(500))}" in full.stdout
    )
    assert "could not be saved" in full.stderr
    assert "disk" in full.stderr
    again = run(tmp_path / "store", 0)
    assert again.returncode == 0, again.stderr
    assert str(sum(range(500))) in again.stdout
    assert "'CACHED'" in again.stdout


def test_a_disk_that_refuses_for_a_while_costs_neither_values_nor_notes(tmp_path):
    done = run(tmp_path / "store", 60_000, RECOVERING)
    assert done.returncode == 0, done.stderr
    assert "tried again" in done.stderr
    assert "The last" not in done.stderr
    assert "to the end" not in done.stderr
    again = run(tmp_path / "store", 0)
    assert again.stdout.splitlines()[-1].startswith(
        "COMPLETED {'flow': {'CACHED': 500}}"
    )
    nf.use(tmp_path / "store")
    ids = [name for name in nf.runs()["run"] if nf.open_run(name).counts]
    assert [nf.open_run(name).counts for name in ids] == [
        {"flow": {"CACHED": 500}},
        {"flow": {"COMPLETED": 500}},
    ]


def test_a_run_that_can_save_nothing_stops_before_it_has_paid_for_all(tmp_path):
    full = run(tmp_path / "store", 60_000, MANY)
    assert full.returncode == 0, full.stderr
    assert "A run stops here" in full.stderr
    last = full.stdout.splitlines()[-1]
    assert last.startswith("CANCELLED"), last
