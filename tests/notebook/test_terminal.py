"""A run in a terminal, and in a job's log."""

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOB = """
import nbflow as nf, time
from nbflow.notebook import display
display._LOG = 0.3

@nf.step
def fetch(n):
    time.sleep(0.01)
    return n

@nf.flow(on="thread")
def triage(thread):
    if thread["n"] == 60:
        print("a step prints [bold]this[/]")
    return fetch(thread["n"])

nf.send("thread", [{"n": n} for n in range(120)], max_in_flight=1)
"""


def environment(folder):
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "NBFLOW_STORE": str(folder / "store"),
        "TERM": "xterm-256color",
        "COLUMNS": "110",
    }


def test_a_terminal_shows_the_run_as_it_goes_on_and_then_its_table(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", JOB],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(tmp_path),
        close_fds=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # what reading the end of a terminal is on Linux
        pass
    os.close(ours)
    assert process.wait(30) == 0
    text = shown.decode()
    assert "◔ running" in text
    assert "━" in text
    assert "a step prints [bold]this[/]" in text
    assert text.rindex("✓ completed") > text.rindex("◔ running")
    assert "All 120 records done" in text


def test_a_log_gets_a_line_now_and_again_and_then_the_table(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", JOB],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = ended.stderr.splitlines()
    assert " thread: " in lines[0]
    assert " of 120 records done" in lines[0]
    assert "\x1b" not in ended.stderr
    assert "\r" not in ended.stderr
    assert any(line.startswith("✓ completed") for line in lines)
    assert ended.stdout == "a step prints [bold]this[/]\n"


PRINTS = """
import logging, sys, warnings, nbflow as nf
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
logging.getLogger("nbflow").setLevel("WARNING")

@nf.step(retries=0)
def work(n):
    print("out", n)
    print("err", n, file=sys.stderr)
    logging.getLogger("mine").info("log %s", n)
    warnings.warn(f"warned {n}")
    if n:
        raise nf.NonRetriableError("no")
    return n

work(0)
run = work.map([0, 1])
assert "write" not in vars(sys.stdout), vars(sys.stdout)
for key in (0, 1):
    print(run.inspect(key))
"""


def test_a_script_shows_what_its_steps_print_and_keeps_it(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", PRINTS],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    shown, _, kept = ended.stdout.partition("record 0")
    assert shown == "out 0\nlog 0\n1 | out 1\n1 | log 1\n"
    assert "\nerr 0\n" in f"\n{ended.stderr}"
    assert "\n1 | err 1\n" in ended.stderr
    assert "UserWarning: warned 0" in ended.stderr
    first, _, second = kept.partition("record 1")
    assert "does not print again]\nout 0\nerr 0\nINFO mine: log 0\n" in first
    assert "UserWarning: warned 0" in first
    assert "\nout 1\nerr 1\nINFO mine: log 1\n" in second
    assert "UserWarning: warned 1" in second
