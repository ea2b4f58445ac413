"""In a real Jupyter kernel: cells, top-level await, the kernel's Stop, a restart, two kernels on one store."""

import os
import queue
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parent.parent


class Kernel:
    """A kernel whose cells are run one after the other; each gives its outputs."""

    def __init__(self, folder):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.manager.start_kernel(cwd=str(folder), env=os.environ | {"PYTHONPATH": path, "NBFLOW_STORE": str(folder / "store")})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def start(self, code):
        return self.client.execute(code)

    def outputs(self, cell, until=None):
        """Messages of a cell until it is idle, or until one of them contains a text."""
        found, deadline = [], time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return found
            if kind == "stream":
                found.append(content["text"])
            elif kind in ("execute_result", "display_data", "update_display_data"):
                found.append(content["data"].get("text/plain", ""))
            elif kind == "error":
                found.append(f"{content['ename']}: {content['evalue']}")
            if until is not None and until in "".join(found):
                return found
        raise AssertionError(f"no end after {found}")

    def run(self, code):
        return "\n".join(self.outputs(self.start(code)))

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


SETUP = """
import nbflow as nf, time, asyncio

def suffix(x):
    return x + "!"

@nf.step
def shout(x):
    print("running", x)
    return suffix(x)
"""


def test_cells_are_durable_and_follow_edits(kernel, tmp_path):
    kernel.run(SETUP)
    assert "running a" in kernel.run("shout('a')")
    assert kernel.run("shout('a')") == "'a!'"
    kernel.run("def suffix(x):\n    return x + '?'")
    assert "running a" in kernel.run("shout('a')")
    kernel.run("def suffix(x):\n    # as it was\n    return x + '!'")
    assert kernel.run("shout('a')") == "'a!'"
    other = Kernel(tmp_path)
    try:
        other.run(SETUP)
        assert other.run("shout('a')") == "'a!'"
    finally:
        other.close()


def test_top_level_await_and_async_flows_work_in_a_cell(kernel):
    kernel.run(
        "import nbflow as nf, asyncio\n"
        "@nf.step\nasync def double(x):\n    await asyncio.sleep(0.01)\n    return 2 * x\n"
        "@nf.flow(on='e')\nasync def look(record):\n    return await double(record['n'])\n"
    )
    assert kernel.run("await double(4)") == "8"
    assert kernel.run("double.sync(5)") == "10"
    assert "COMPLETED" in kernel.run("run = nf.send('e', [{'n': n} for n in range(50)])")
    assert kernel.run("run.results('look')[:3]") == "[0, 2, 4]"


def test_the_table_is_one_output_that_is_replaced_and_escapes_what_it_shows(kernel):
    kernel.run("import nbflow as nf\n@nf.flow(on='e')\ndef look(record):\n    raise ValueError('<script>alert(1)</script>')\n")
    cell = kernel.start("run = nf.send('e', [{'id': '<b>1</b>'}], key='id')")
    kernel.outputs(cell)
    assert "&lt;script&gt;" in kernel.run("print(run._repr_html_())")
    assert "<script>" not in kernel.run("print(run._repr_html_())")
    assert "<b>1</b>" not in kernel.run("print(run._repr_html_())")


def test_the_kernel_s_stop_ends_a_run_gracefully_and_the_next_send_goes_on(kernel, tmp_path):
    kernel.run(
        "import nbflow as nf, time\n"
        "@nf.step\ndef work(n):\n    time.sleep(0.05)\n    open('begun', 'w').close()\n    return n\n"
        "@nf.flow(on='e')\ndef look(record):\n    return work(record['n'])\n"
    )
    cell = kernel.start("run = nf.send('e', [{'n': n} for n in range(2000)])")
    kernel.outputs(cell, until="RUNNING")
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    kernel.manager.interrupt_kernel()
    shown = "\n".join(kernel.outputs(cell))
    assert "KeyboardInterrupt" in shown
    assert "INTERRUPTED" in shown
    assert kernel.run("last = nf.open_run(); (last.state, sum(last.counts['look'].values()))") == "('INTERRUPTED', 2000)"
    assert kernel.run("last.counts['look'].get('COMPLETED', 0) > 0") == "True"
    kernel.run("again = nf.send('e', [{'n': n} for n in range(100)])")
    assert kernel.run("(again.state, again.counts['look'].get('CACHED', 0) > 0)") == "('COMPLETED', True)"
