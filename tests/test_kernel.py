"""In a real Jupyter kernel: cells, top-level await, the kernel's Stop, a restart, two kernels on one store."""

import os
import queue
import re
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
        self.manager.start_kernel(
            cwd=str(folder),
            env=os.environ
            | {"PYTHONPATH": path, "NBFLOW_STORE": str(folder / "store")},
        )
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def start(self, code):
        return self.client.execute(code)

    def outputs(self, cell, until=None):
        """Outputs of a cell until it is idle, or until one of them contains a text."""
        found, deadline, stream = [], time.monotonic() + 60, None
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
            if kind == "stream" and content["name"] == stream:
                found[-1] += content[
                    "text"
                ]  # the kernel sends what is printed in pieces, cut where its clock says
            elif kind == "stream":
                found.append(content["text"])
            elif kind in ("execute_result", "display_data", "update_display_data"):
                found.append(content["data"].get("text/plain", ""))
            elif kind == "error":
                found.append(f"{content['ename']}: {content['evalue']}")
            if kind != "status":
                stream = content["name"] if kind == "stream" else None
            if until is not None and until in "".join(found):
                return found
        raise AssertionError(f"no end after {found}")

    def run(self, code):
        return "\n".join(self.outputs(self.start(code)))

    def completed(self, code):
        """What Tab offers behind a line."""
        asked = self.client.complete(code, len(code))
        return self.reply(asked)["matches"]

    def help(self, code):
        """What Shift-Tab shows behind a line."""
        asked = self.client.inspect(code, len(code))
        text = self.reply(asked)["data"]["text/plain"]
        return re.sub("\x1b\\[[0-9;]*m", "", text)

    def reply(self, asked):
        while True:
            message = self.client.get_shell_msg(timeout=60)
            if message["parent_header"].get("msg_id") == asked:
                return message["content"]

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


FIRST_TABLE = """
import os, sys

os.environ.pop("NBFLOW_TABLE", None)
loaded = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        loaded[name] = time.time()

sys.meta_path.insert(0, Watch())

@nf.flow(on="text/added")
def measure(text):
    return 1

run = nf.send("text/added", [{"id": 1}])
with run.reader.look() as (state, _):
    print([loaded[name] < state.started for name in ("rich.table", "anywidget", "ipywidgets")])
"""


def test_the_imports_for_the_first_table_are_not_the_time_of_the_run(kernel):
    """They take longer than a small run, of which the table would say that it was slow."""
    kernel.run(SETUP)
    assert "[True, True, True]" in kernel.run(FIRST_TABLE)


def test_top_level_await_and_async_flows_work_in_a_cell(kernel):
    kernel.run(
        "import nbflow as nf, asyncio\n"
        "@nf.step\nasync def double(x):\n    await asyncio.sleep(0.01)\n    return 2 * x\n"
        "@nf.flow(on='e')\nasync def look(record):\n    return await double(record['n'])\n"
    )
    assert kernel.run("await double(4)") == "8"
    assert kernel.run("double.sync(5)") == "10"
    assert "\u2713 completed" in kernel.run(
        "run = nf.send('e', [{'n': n} for n in range(50)])"
    )
    assert kernel.run("run.results('look')[:3]") == "[0, 2, 4]"


def test_the_table_is_one_output_that_is_replaced_and_escapes_what_it_shows(kernel):
    kernel.run(
        "import nbflow as nf\n@nf.flow(on='e')\ndef look(record):\n    raise ValueError('<script>alert(1)</script>')\n"
    )
    cell = kernel.start("run = nf.send('e', [{'id': '<b>1</b>'}], key='id')")
    kernel.outputs(cell)
    assert "&lt;script&gt;" in kernel.run("print(run._repr_html_())")
    assert "<script>" not in kernel.run("print(run._repr_html_())")
    assert "<b>1</b>" not in kernel.run("print(run._repr_html_())")


def test_the_first_picture_says_how_to_see_the_end_and_the_last_takes_its_place(
    kernel,
):
    """If the tab is closed, the notebook keeps the first one; without widgets there is one output."""
    kernel.run(
        "import os; os.environ['NBFLOW_TABLE'] = 'static'\nimport nbflow as nf\n"
        "@nf.flow(on='e')\ndef look(record):\n    return record['n']\n"
    )
    cell = kernel.start("run = nf.send('e', [{'n': n} for n in range(50)])")
    pictures, kinds, deadline = [], [], time.monotonic() + 60
    while time.monotonic() < deadline:
        message = kernel.client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != cell:
            continue
        if "data" in message["content"]:
            kinds.append(message["msg_type"])
            pictures.append(message["content"]["data"])
        if message["content"].get("execution_state") == "idle":
            break
    first, last = pictures[0], pictures[-1]
    for form in ("text/plain", "text/html"):
        assert "Began 20" in first[form]
        assert "shows how it came out" in first[form]
        assert "nothing yet" not in first[form]
        assert "shows how it came out" not in last[form]
        assert "All 50 records done" in last[form]
    assert kinds.count("display_data") == 1, "the others are put in its place"


def test_the_kernel_s_stop_ends_a_run_gracefully_and_the_next_send_goes_on(
    kernel, tmp_path
):
    kernel.run(
        "import nbflow as nf, time\n"
        "@nf.step\ndef work(n):\n    time.sleep(0.05)\n    open('begun', 'w').close()\n    return n\n"
        "@nf.flow(on='e')\ndef look(record):\n    return work(record['n'])\n"
    )
    cell = kernel.start("run = nf.send('e', [{'n': n} for n in range(2000)])")
    kernel.outputs(cell, until="\u25d4 running")
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    kernel.manager.interrupt_kernel()
    shown = "\n".join(kernel.outputs(cell))
    assert "KeyboardInterrupt" in shown
    assert "\u26a0 interrupted" in shown
    assert (
        kernel.run(
            "last = nf.open_run(); (last.state, sum(last.counts['look'].values()))"
        )
        == "('INTERRUPTED', 2000)"
    )
    assert kernel.run("last.counts['look'].get('COMPLETED', 0) > 0") == "True"
    kernel.run("again = nf.send('e', [{'n': n} for n in range(100)])")
    assert (
        kernel.run("(again.state, again.counts['look'].get('CACHED', 0) > 0)")
        == "('COMPLETED', True)"
    )


PROMPT = "PROMPT = '''You sort threads.\nBe brief.\nPick one.'''"


def test_editing_a_cell_reruns_exactly_the_steps_that_reach_it_and_says_why(kernel):
    """Edit a cell, run the cell below: count what ran; take the edit back: nothing runs."""
    kernel.run("import nbflow as nf\nran = []")
    kernel.run(PROMPT)
    kernel.run("def clean(text):\n    return text.strip()")
    kernel.run("LABELS = {'billing': ['refund'], 'bug': ['crash']}")
    kernel.run(
        "@nf.step\ndef fetch(n):\n    ran.append('fetch')\n    return f' text {n} '\n"
        "@nf.step\ndef categorize(text):\n    ran.append('categorize')\n    return PROMPT + clean(text)\n"
        "@nf.step\ndef route(text):\n    ran.append('route')\n    return [label for label in LABELS if label in text]\n"
        "@nf.flow(on='e')\ndef triage(record):\n    text = fetch(record['n'])\n    return route(categorize(text))\n"
    )
    below = "ran.clear(); run = nf.send('e', [{'n': n} for n in range(3)]); print('ran', sorted(set(ran)), len(ran))"

    def ran():
        return kernel.run(below).splitlines()[-1]

    assert ran() == "ran ['categorize', 'fetch', 'route'] 9"
    assert ran() == "ran [] 0"
    kernel.run(PROMPT.replace("Pick", "Choose"))
    assert "line 3: 'Pick one.' -> 'Choose one.'" in kernel.run("%step why categorize")
    assert ran() == "ran ['categorize', 'route'] 6"
    assert "line 3: 'Pick one.' -> 'Choose one.'" in kernel.run(
        "print(run.table().flows[0].why)"
    )
    kernel.run(PROMPT)
    assert ran() == "ran [] 0"
    kernel.run("LABELS['other'] = []")
    assert ran() == "ran ['route'] 3"
    kernel.run("del LABELS['other']")
    assert ran() == "ran [] 0"
    kernel.run(
        "def clean(text):\n    '''Strip it.'''\n    return text.strip()  # both sides"
    )
    assert ran() == "ran [] 0"
    kernel.run("def clean(text):\n    return text.lstrip()")
    assert ran() == "ran ['categorize', 'route'] 6"
    assert "'return text.strip()' -> 'return text.lstrip()'" in kernel.run(
        "categorize.explain(' text 1 ')"
    )


def test_completion_and_help_show_every_option_with_its_type(kernel):
    kernel.run(SETUP)
    assert {"retries=", "retry_delay="} <= set(kernel.completed("@nf.step(re"))
    assert {"on=", "on_failure="} <= set(kernel.completed("@nf.flow(o"))
    assert "max_in_flight=" in kernel.completed("nf.send('e', [], max")
    assert "max_in_flight=" in kernel.completed("shout.map([], max")
    options = {
        "@nf.step(": [
            "retries: 'int' = 3",
            "timeout: 'float | str | timedelta | None' = None",
            "concurrency: 'int | None' = None",
            "throttle: 'str | Throttle | None' = None",
        ],
        "@nf.flow(": [
            "on: 'str | Iterable[str]'",
            "on_failure: 'Callable[..., object] | None' = None",
        ],
        "nf.send(": [
            "records: 'pd.DataFrame | pl.DataFrame | ",
            "key: 'str | list[str] | tuple[str, ...] | None' = None",
            "budget: 'float | str | None' = None",
            "columns: 'str | Sequence[str]' = ()",
        ],
        "shout.map(": [
            "items: 'Iterable[Any]'",
            "wait: 'bool' = True",
            "columns: 'str | Sequence[str]' = ()",
        ],
        "nf.plan(": ["key: 'str | list[str] | tuple[str, ...] | None' = None"],
    }
    for code, shown in options.items():
        text = kernel.help(code)
        assert [option for option in shown if option not in text] == []


def test_the_magic_names_the_closest_step_and_says_how_it_is_used(kernel):
    kernel.run(
        "import nbflow as nf\n@nf.step\ndef categorize(text):\n    return text\ncategorize('x')"
    )
    assert "did you mean 'categorize'?" in kernel.run("%step why categorise")
    assert "%step why NAME" in kernel.run("%step wy categorize")
    assert "1 result of categorize" in kernel.run("%step forget categorize")
    assert "would run because" in kernel.run("categorize.explain('x')")


def test_a_notebook_and_the_module_made_of_it_share_checkpoints(kernel, tmp_path):
    cells = (
        "import pydantic, typing\nimport nbflow as nf\nLABELS = ['billing', 'bug']",
        "class Category(pydantic.BaseModel):\n    label: typing.Literal['billing', 'bug'] = 'bug'\n",
        "def clean(text):\n    # as in the notebook\n    return text.strip()\n",
        (
            "@nf.step(retries=1)\n"
            "def categorize(text):\n"
            "    print('running', text)\n"
            "    return Category(label=LABELS[len(clean(text)) % 2])\n"
        ),
    )
    for cell in cells:
        kernel.run(cell)
    assert "running" in kernel.run("categorize('a')")
    (tmp_path / "job.py").write_text(
        '"""A job."""\n\n'
        + "\n\n".join(cells).replace("retries=1", "retries=5, timeout=30")
    )
    assert kernel.run("import job\nprint(job.categorize('a').label)") == "bug\n"
    assert "running b" in kernel.run("job.categorize('b')")
    assert "running" not in kernel.run("categorize('b')")


EDITS = {
    "method": ("    return x * self.rate", "    return x * self.rate + 1"),
    "attribute": ("rate = 2", "rate = 3"),
    "second_method": ("    return self.rate + 1", "    return self.rate + 2"),
    "helper": ("class Price:", "def more(x):\n    return x + 1\nclass Price:"),
    "moved": ("class Price:", "# A comment.\n\nclass Price:"),
    "new_method": (
        "    def rated(",
        "    def more(self, x):\n        return x + 1\n    def rated(",
    ),
    "property": ("        return 'a price'", "        return 'the price'"),
    "frozen": ("    return self.net * 2", "    return self.net * 3"),
}
PRICES = (
    "from dataclasses import dataclass, field\n\nclass Price:\n    '''What it costs.'''\n    rate = 2\n"
    "    def plus(self):\n        return self.rate + 1\n    @property\n    def name(self):\n        return 'a price'\n"
    "    def rated(self, x):\n        return x * self.rate\n\n@dataclass(frozen=True)\nclass Net:\n    net: int = 1\n"
    "    tags: list = field(default_factory=list)\n    def twice(self):\n        return self.net * 2\n"
)


def test_a_class_edited_under_autoreload_has_the_key_of_a_fresh_kernel(tmp_path):
    for name in EDITS:
        (tmp_path / f"{name}.py").write_text(PRICES)
    steps = "from nbflow._key.reader import digest, read\n" + "".join(
        f"import {name}\ndef of_{name}(x):\n    return {name}.Price().rated(x), {name}.Net()\n"
        for name in EDITS
    )
    keys = "; ".join(
        f"print('{name}', read(of_{name}).digest.hex(), digest({name}.Price()).hex(), digest({name}.Net()).hex())"
        for name in EDITS
    )
    kernel, fresh = Kernel(tmp_path), None
    try:
        kernel.run("%load_ext autoreload\n%autoreload 2\n" + steps)
        before = kernel.run(keys)
        for name, (old, new) in EDITS.items():
            path = tmp_path / f"{name}.py"
            path.write_text(PRICES.replace(old, new))
            os.utime(path, (time.time() + 5,) * 2)  # noticed whatever the clock's steps
        edited = kernel.run(keys)
        fresh = Kernel(tmp_path)
        fresh.run(steps)
        assert edited.splitlines() == fresh.run(keys).splitlines()
        assert set(before.splitlines()) & set(edited.splitlines()) == {
            line for line in before.splitlines() if line.startswith(("moved", "helper"))
        }
    finally:
        kernel.close()
        if fresh is not None:
            fresh.close()


def test_what_autoreload_leaves_as_it_was_counts_as_it_is(tmp_path):
    """It changes no docstring of a class: what a model is asked for then is the old one."""
    (tmp_path / "local.py").write_text(PRICES)
    kernel = Kernel(tmp_path)
    try:
        kernel.run(
            "%load_ext autoreload\n%autoreload 2\nfrom nbflow._key.reader import digest\nimport local"
        )
        before = kernel.run("print(digest(local.Price()).hex())")
        (tmp_path / "local.py").write_text(PRICES.replace("What", "All that"))
        os.utime(tmp_path / "local.py", (time.time() + 5,) * 2)
        assert kernel.run("local.Price.__doc__") == "'What it costs.'"
        assert kernel.run("print(digest(local.Price()).hex())") == before
    finally:
        kernel.close()
