"""A process that ends while its runs go on in the background: a script, a kernel that is shut down."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_kernel import Kernel

import nbflow as nf

ROOT = Path(__file__).parents[2]
WORK = """
import asyncio, sys, time
import nbflow as nf
from concurrent.futures import ThreadPoolExecutor

@nf.step(retries=0, timeout=20)
def slow(n):
    with ThreadPoolExecutor() as pool:
        return pool.submit(lambda: time.sleep(0.1) or n).result()

@nf.step(retries=0)
async def aslow(n):
    return await asyncio.to_thread(lambda: time.sleep(0.1) or n)

@nf.flow(on="e")
def look(record):
    return slow(record["n"])

@nf.flow(on="e")
async def alook(record):
    return await aslow(record["n"])

run = nf.send("e", [{"n": n} for n in range(300)], key="n", wait=False, max_in_flight=4)
while len(run.failures()) + sum(run.reader.state().tally().values()) < 8:
    time.sleep(0.01)
"""


def check(run):
    state = run.reader.state()
    assert state.state == "INTERRUPTED"
    for counts in state.counts:
        assert sum(counts.values()) == 300, "no record is dropped"
        assert {str(name) for name, number in counts.items() if number} <= {
            "COMPLETED",
            "INTERRUPTED",
        }, "no record failed"
    assert state.tally()[nf._core.lifecycle.State.COMPLETED] >= 1


@pytest.mark.parametrize("way", ["sys.exit()", "raise ValueError", ""])
def test_a_script_that_ends_accounts_for_every_record_and_fails_none(tmp_path, way):
    folder = str(tmp_path / "store")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NBFLOW_STORE": folder}
    done = subprocess.run(
        [sys.executable, "-c", WORK + way],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "KeyboardInterrupt" not in done.stderr
    assert "interpreter shutdown" not in done.stderr
    nf.use(folder)
    check(nf.open_run())


def test_a_kernel_that_is_shut_down_accounts_for_every_record_and_fails_none(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.run(WORK)
    begun = time.monotonic()
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=False)
    assert time.monotonic() - begun < kernel.manager.shutdown_wait_time, (
        "it need not be killed"
    )
    nf.use(tmp_path / "store")
    check(nf.open_run())
