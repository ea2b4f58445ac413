"""Killed anywhere, a run loses at most the calls in flight, and no call is executed again once its end was seen."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import nbflow as nf

JOB = Path(__file__).with_name("job.py")
ROOT = JOB.parents[2]


class Job:
    def __init__(self, tmp_path, records, pause=0.0):
        self.store, self.log = tmp_path / "store", tmp_path / "log"
        self.log.touch()
        self.command = [
            sys.executable,
            str(JOB),
            str(self.store),
            str(self.log),
            str(records),
            str(pause),
        ]

    def start(self, **environment):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            self.command,
            env=os.environ | {"PYTHONPATH": path} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **environment):
        process = self.start(**environment)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    @property
    def calls(self):
        return Counter(
            tuple(line.split()) for line in self.log.read_text().splitlines()
        )

    def wait_for(self, lines):
        deadline = time.monotonic() + 30
        while self.log.read_text().count("\n") < lines:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("nth", [1, 7, 40])
@pytest.mark.parametrize(
    ("point", "repeated"), [("output", 1), ("commit", 0), ("note", 0)]
)
def test_killed_at_a_named_point_only_what_was_not_committed_runs_again(
    tmp_path, point, repeated, nth
):
    job = Job(tmp_path, 20)
    code, _, _ = job.run(NBFLOW_CRASH_AT=f"{point}:{nth}")
    assert code == -signal.SIGKILL
    before = job.calls
    code, out, err = job.run()
    assert code == 0, err
    assert "COMPLETED" in out
    again = Counter({call: count - 1 for call, count in job.calls.items() if count > 1})
    assert set(job.calls) == {
        (step, str(n)) for step in ("fetch", "load") for n in range(20)
    }
    # Threads that were between output and commit when another one pulled the plug lose
    # their call as well.
    assert sum(again.values()) <= max(repeated, 0) + 32
    assert before
    if point != "output" and nth == 1:
        assert sum(again.values()) <= 32


def test_killed_at_random_again_and_again_it_comes_to_its_end(tmp_path):
    job, chance = Job(tmp_path, 150, 0.002), random.Random(5)
    kills = 0
    while kills < 6:
        process = job.start()
        seen = job.log.read_text().count("\n")
        job.wait_for(min(seen + chance.randrange(1, 40), 299))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    code, _, err = job.run()
    assert code == 0, err
    assert set(job.calls) == {
        (step, str(n)) for step in ("fetch", "load") for n in range(150)
    }
    # At most the calls in flight at each kill are made twice: a thread has one.
    assert sum(job.calls.values()) - 300 <= 32 * kills


def test_a_killed_run_is_interrupted_and_can_be_resumed_elsewhere(tmp_path):
    job = Job(tmp_path, 60, 0.02)
    process = job.start()
    job.wait_for(20)
    process.kill()
    process.communicate()
    nf.use(job.store)
    run = nf.open_run()
    assert run.state == "INTERRUPTED"
    counts = Counter(run.counts["flow"])
    assert set(counts) <= {"COMPLETED", "INTERRUPTED"}
    assert nf.runs()["state"].tolist() == ["INTERRUPTED"]
    with pytest.raises(nf.UsageError, match="run the cell that defines it"):
        run.rerun_failed()


def test_another_process_reads_a_run_while_it_goes_on(tmp_path):
    job = Job(tmp_path, 100, 0.05)
    process = job.start()
    job.wait_for(10)
    nf.use(job.store)
    deadline = time.monotonic() + 20
    while not (len(nf.runs()) and nf.open_run().counts.get("flow")):
        assert time.monotonic() < deadline
    run = nf.open_run()
    assert run.state == "RUNNING"
    process.kill()
    process.communicate()
    assert run.state == "INTERRUPTED"


def test_another_process_cancels_a_run_and_it_ends_gracefully(tmp_path):
    job = Job(tmp_path, 5_000, 0.05)
    process = job.start()
    job.wait_for(10)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "nbflow.cli", "runs", "cancel", "latest"]
    said = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": path, "NBFLOW_STORE": str(job.store)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "CANCELLED" in out
    assert "is cancelled: " in said.stdout, said
    assert " of 5,000 records done" in said.stdout, said
    nf.use(job.store)
    run = nf.open_run()
    assert sum(run.counts["flow"].values()) == 5_000
    assert run.counts["flow"]["COMPLETED"] > 0


def test_ctrl_c_ends_a_run_gracefully_and_the_next_send_goes_on(tmp_path):
    job = Job(tmp_path, 200, 0.02)
    process = job.start()
    job.wait_for(20)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    nf.use(job.store)
    run = nf.open_run()
    assert run.state == "INTERRUPTED"
    assert sum(run.counts["flow"].values()) == 200
    code, out, _ = job.run()
    assert code == 0
    assert "'CACHED'" in out
    assert all(count == 1 for count in job.calls.values())


def test_two_processes_on_one_store_make_each_call_once(tmp_path):
    job = Job(tmp_path, 80, 0.003)
    processes = [job.start() for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert all("COMPLETED" in out for out, _ in outputs)
    assert set(job.calls.values()) == {1}
    assert len(job.calls) == 160


def test_a_run_killed_before_its_batch_was_read_can_be_rerun_whole(tmp_path):
    """The batch is kept before anything runs: records that were not listed yet are not dropped, nor left uncounted."""
    job = Job(tmp_path, 3000, 0.01)
    process = job.start()
    job.wait_for(40)
    process.kill()
    process.communicate()
    nf.use(job.store)

    @nf.step
    def fetch(key):
        return {"key": key}

    @nf.step
    def load(row):
        return row["key"]

    @nf.flow(on="job")
    def flow(record):
        return load(fetch(record["id"]))

    killed = nf.open_run()
    assert sum(killed.counts["flow"].values()) == 3000
    assert (
        Counter(row["flow.status"] for row in killed.results()) == killed.counts["flow"]
    )
    assert set(killed.counts["flow"]) <= {"COMPLETED", "INTERRUPTED"}
    assert (
        f"{killed.counts['flow']['INTERRUPTED']:,} interrupted"
        in killed.table().sentence
    )
    assert any(
        "had not been read when the run was killed; a rerun reads" in remark
        for remark in killed.table().remarks
    )
    run = nf.open_run().rerun_failed()
    assert run.state == "COMPLETED"
    assert sum(run.counts["flow"].values()) == 3000
    assert run.results("flow") == list(range(3000))
    assert sum(nf.open_run().counts["flow"].values()) == 3000


PRINTING = """
import sys, time, nbflow as nf
from pathlib import Path
nf.use(sys.argv[1])

def size():
    return sum(file.stat().st_size for file in Path(sys.argv[1]).rglob("entries"))

@nf.step(retries=1, retry_delay=0.001)
def work(n):
    # Entries are written ten times a second: not killed before they were once.
    before = size()
    while n > 100 and size() == before:
        time.sleep(0.01)
    print("works on", n)
    if n % 2:
        raise ConnectionError("no")
    return n

work.map(range(400))
"""


def test_killed_amid_its_prints_a_run_leaves_records_that_can_be_opened(tmp_path):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-c", PRINTING, str(tmp_path / "store")],
        env=os.environ | {"PYTHONPATH": path, "NBFLOW_CRASH_AT": "note:300"},
        capture_output=True,
        timeout=120,
    )
    assert ended.returncode == -signal.SIGKILL
    nf.use(tmp_path / "store")
    run = nf.open_run(nf.runs()["run"][0])
    assert run.state == "INTERRUPTED"
    printed = [run.inspect(n)["work"] for n in range(10)]
    said = [view["work"].printed for view in printed if view.steps]
    assert said
    assert all("works on" in text for text in said)
