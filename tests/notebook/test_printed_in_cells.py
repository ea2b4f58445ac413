"""What steps print and log in a real kernel: where it is shown, and what an opened record has of it."""

import re

import pytest
from test_kernel import Kernel

import nbflow as nf

SETUP = """
import nbflow as nf, logging, sys, threading, time, warnings
logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
logging.getLogger("nbflow").setLevel("WARNING")
log = logging.getLogger("mine")
gate = threading.Barrier(2)

@nf.step(retries=0, ignore="gate")
def work(n, gate):
    gate.wait(30)
    print("begins", n)
    log.info("asks %s", n)
    warnings.warn(f"slow {n}")
    if n == 1:
        raise nf.NonRetriableError("no")
    return n

@nf.flow(on="e")
def look(record):
    return work(record["n"], gate)
"""
SEND = "run = nf.send('e', [{'n': n} for n in range(2)], key='n')"
#: A run behind the cells: each of its two records waits for a word.
BEHIND = """
words = [threading.Event(), threading.Event()]

@nf.step(ignore="words")
def wait(n, words):
    print("waits", n)
    words[n].wait(30)
    print("goes on", n)
    return n

@nf.flow(on="b")
def behind(record):
    return wait(record["n"], words)
"""


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    assert kernel.run(SETUP) == ""
    yield kernel
    held = "[vars(one).get(name) for one in (sys.stdout, sys.stderr) for name in ('write', 'flush')]"
    assert "nbflow" not in kernel.run(held)
    kernel.close()


def stripped(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_cell_shows_whole_lines_with_keys_and_each_record_keeps_its_own(kernel):
    shown = kernel.run(SEND).splitlines()
    for n in (0, 1):
        own = [line for line in shown if line.startswith(f"{n} | ")]
        assert f"{n} | begins {n}" in own
        assert f"{n} | INFO asks {n}" in own
        assert any(line.endswith(f"UserWarning: slow {n}") for line in own)
    for n in (0, 1):
        said = kernel.run(f"print(run.inspect({n})['look']['work'].printed)")
        assert said.startswith(f"begins {n}\nINFO mine: asks {n}\n")
        assert f"UserWarning: slow {n}" in said
    again = kernel.run("gate = threading.Barrier(1)\n" + SEND)
    assert "begins 0" not in again
    said = kernel.run("print(run.inspect(0))")
    assert "a remembered call does not print again]\nbegins 0" in said


def test_one_record_at_a_time_prints_as_it_would_alone(kernel):
    kernel.run("gate = threading.Barrier(1)")
    shown = kernel.run(SEND.replace("key='n'", "key='n', max_in_flight=1"))
    assert "\nbegins 0\n" in f"\n{shown}"
    assert "0 | " not in shown


def test_a_run_behind_cells_prints_and_keeps_on_whatever_begins_and_ends(kernel):
    """IPython, and a step cell, look at the streams while the run is under way."""
    kernel.run(BEHIND)
    kernel.run(
        "#| step: first\nprint('in the cell')\nhow = dict(key='n', wait=False)\n"
        "run = nf.send('b', [{'n': n} for n in (0, 1)], **how)\nn = 1"
    )
    cell = "#| step: second -> m\nprint('also here')\nm = 2"
    assert "also here" in kernel.run(cell)
    again = stripped(kernel.run(cell))
    assert "also here" in again
    assert "second: cached" in again
    shown = kernel.run("[word.set() for word in words]; run.wait();")
    for n in (0, 1):
        said = kernel.run(f"print(run.inspect({n})['behind']['wait'].printed)")
        assert said == f"waits {n}\ngoes on {n}\n\n"
        assert f"{n} | goes on {n}" in shown.splitlines()


SLOW_PICTURE = """
from nbflow.notebook import display
drawn = display.CellView.end

def end(view, state):
    time.sleep(0.3 if state.state != "RUNNING" else 0)
    drawn(view, state)

display.CellView.end = end
gate = threading.Barrier(1)
"""


@pytest.mark.parametrize("wait", ["run.wait();", "await run;"])
def test_who_waits_for_a_run_has_its_last_picture(kernel, wait):
    """The kernel may be shut down right after: a saved notebook would say for ever that the run began."""
    kernel.run(SLOW_PICTURE)
    shown = kernel.run(SEND.replace("key='n'", "key='n', wait=False") + "\n" + wait)
    assert "2 records" in shown
    assert "✗ failed" in shown


def test_a_hit_of_a_step_cell_shows_what_a_step_printed(kernel):
    kernel.run("gate = threading.Barrier(1)")
    cell = "#| step: asks -> m\nm = work(0, gate)"
    first = stripped(kernel.run(cell))
    again = stripped(kernel.run(cell))
    assert "begins 0" in first
    assert "INFO asks 0" in first
    (said,) = set(again.splitlines()) - set(first.splitlines())
    assert said.startswith("asks: cached")


def test_what_a_cell_captures_is_captured(kernel):
    kernel.run("gate = threading.Barrier(1)")
    # The handler of the log holds the stream of the kernel, as ever.
    assert "begins" not in kernel.run("%%capture taken\n" + SEND)
    assert "0 | begins 0" in kernel.run("print(taken.stdout)")
    assert kernel.run("run.inspect(0)['look']['work'].printed[:8]") == "'begins 0'"


def test_no_secret_is_in_what_is_kept(kernel, tmp_path):
    kernel.run(
        "import os\nos.environ['MY_KEY'] = 'k3y-9f8e7d6c5b4a'\n"
        "@nf.step\ndef tell(n):\n    print('key', nf.secret('MY_KEY'))\n    return n\n"
        "run = tell.map([1])"
    )
    said = kernel.run("run.inspect(0)['tell']['tell'].printed")
    assert said == "'key ***MY_KEY***\\n'"


def test_a_headless_run_has_it_in_its_output_and_in_the_record(folder, run):
    folder.write(SETUP.strip(), "gate = threading.Barrier(1)", SEND)
    code, _ = run()
    assert code == 3
    cell = folder.output().cells[-1]
    text = "".join(part.get("text", "") for part in cell.outputs)
    assert "0 | begins 0" in text
    assert "1 | INFO asks 1" in text
    (found,) = nf.runs()["run"]
    view = nf.open_run(found).inspect(1)["look"]["work"]
    assert view.printed.startswith("begins 1\nINFO mine: asks 1\n")
