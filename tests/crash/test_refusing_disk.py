"""A disk that refuses costs checkpoints and notes, never a value: it says so, and the run comes to its end."""

import os
import subprocess
import sys
from pathlib import Path

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
print(run.state, run.counts, sum(value for value in run.results("flow")))
"""


def run(store, limit):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", JOB, str(store), str(limit)],
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
