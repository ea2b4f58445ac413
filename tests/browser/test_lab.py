"""The live table in a real JupyterLab: while cells run, when they are stopped, and when the kernel is gone."""

import subprocess
import sys
import time
from importlib import metadata

import nbformat
import pytest

from tests.browser.lab import SEND, SETUP, Notebook, Server

#: Do clicks reach the kernel while a cell runs?
SUBSHELLS = tuple(
    int(part) for part in metadata.version("ipykernel").split(".")[:2]
) >= (7, 1)
#: A run as a job has left it in the ledger.
MANY = """
import nbflow as nf
from nbflow._session import SESSION
from nbflow._core.entry import Called, Closed, Item, Listed, Opened, Sent
from nbflow._core.lifecycle import State

ledger, count = SESSION.engine.ledger, 100_000
run = "20261124-091502-41700"
ledger.append(run, [Opened(run, "thread", ("triage",), 1e9, "records", False, count)])
for start in range(0, count, 10_000):
    block = range(start, start + 10_000)
    ledger.append(run, [Listed(n, f"t-{n:06}") for n in block])
    ledger.append(run, [Called(n, 0, "fetch", State.COMPLETED, 1e9 + n / 100, 0.02, 1) for n in block])
    ledger.append(run, [Item(n, 0, State.COMPLETED, 1e9 + n / 100, 0.02) for n in block])
ledger.append(run, [Sent(count), Closed("COMPLETED", 1e9 + count / 100, count, {State.COMPLETED: count})])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


@pytest.fixture
def lab(browser, server, request):
    """Opens a notebook of code cells."""
    contexts = []

    def lab(*cells, width=1360, server=server):
        path = server.write(f"{request.node.name.split('[')[0][5:]}/work.ipynb", *cells)
        context = browser.new_context(viewport={"width": width, "height": 1000})
        contexts.append(context)
        return Notebook(context.new_page(), server, path)

    yield lab
    for context in contexts:
        for page in context.pages:
            page.evaluate(
                "async () => { await window.jupyterapp?.shell.currentWidget?.sessionContext.shutdown(); }"
            )
        context.close()


def test_the_table_is_live_while_the_cell_blocks_and_stop_stops(lab):
    notebook = lab(SETUP, SEND % 3000, "print('after', run.state)")
    notebook.run_all(wait=False)
    page = notebook.page
    page.locator(".nbf-tile.nbf-s-completed b", has_text="1").first.wait_for()
    first = int(
        page.locator(".nbf-tile.nbf-s-completed b").inner_text().replace(",", "")
    )
    page.wait_for_function(
        "(first) => Number(document.querySelector('.nbf-tile.nbf-s-completed b')"
        ".textContent.replace(',', '')) > first + 20",
        arg=first,
    )
    assert not notebook.output("after").count()
    notebook.picture("lab-live")
    page.locator(".nbf-stop").click()
    if SUBSHELLS:
        notebook.output("after CANCELLED").wait_for()
        page.locator(".nbf-runstate", has_text="cancelled").wait_for()
        assert not page.locator(".nbf-record .nbf-s-running").count()
        notebook.picture("lab-stopped")
        return
    page.locator(".nbf-notice", has_text="Press the kernel's own Stop").wait_for()
    notebook.command("notebook:interrupt-kernel")
    page.locator(".nbf-runstate", has_text="interrupted").wait_for()


def test_stop_reaches_a_cell_that_awaits_its_run(lab):
    """Without subshells an older kernel hears it when the cell has ended, and a run in the background at once."""
    ahead = "" if SUBSHELLS else "run = "
    notebook = lab(
        SETUP,
        f"{ahead or 'run = await '}{SEND.replace('key=', 'wait=False, key=')[6:] % 3000}",
        "print('after', run.state)",
    )
    notebook.run_all(wait=False)
    page = notebook.page
    page.locator(".nbf-tile.nbf-s-completed b", has_text="2").first.wait_for()
    page.locator(".nbf-stop").click()
    page.locator(".nbf-runstate", has_text="cancelled").wait_for()
    if SUBSHELLS:
        notebook.output("after CANCELLED").wait_for()


def test_what_failed_is_found_opened_and_run_again(lab):
    notebook = lab(SETUP, SEND % 60)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-tile.nbf-s-failed").click()
    page.locator(".nbf-footer", has_text="6 of 60 records").wait_for()
    page.locator(".nbf-record", has_text="t-0017").click()
    page.locator(
        ".nbf-trouble", has_text="the model did not answer within 17 s"
    ).wait_for()
    page.locator(".nbf-wstep", has_text="categorize").wait_for()
    notebook.picture("lab-failure")
    (notebook.path.parent / "mended").touch()
    page.get_by_role("button", name="Rerun this record").click()
    page.locator(".nbf-tile.nbf-s-failed b", has_text="5").wait_for()
    page.get_by_role("button", name="Rerun 5 failed").click()
    page.locator(".nbf-runstate", has_text="completed").wait_for()
    assert "COMPLETED" in notebook.run("print(run.state)")


def test_a_record_whose_content_is_a_script_is_shown_as_text(lab):
    record = {"id": "<img src=x onerror=hacked=1>", "n": "<script>hacked=1</script>"}
    cells = f"run = nf.send('thread', [{record}], key='id')"
    notebook = lab(SETUP.replace("n % 10 == 7", "True").replace("{n} s", "{n}"), cells)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-record", has_text="<img src=x onerror=hacked=1>").click()
    page.locator(".nbf-trouble", has_text="<script>hacked=1</script>").wait_for()
    assert page.evaluate(
        "() => window.hacked === undefined && !document.querySelector("
        "'.nbf img, .nbf script, .nbflow-static img, .nbflow-static script')"
    )


def test_a_reload_finds_the_run_where_it_is(lab):
    notebook = lab(SETUP, SEND.replace("key=", "wait=False, key=") % 6000)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-record").first.wait_for()
    notebook.command("docmanager:save")
    page.reload()
    notebook.ready()
    page.locator(".nbf-runstate", has_text="running").wait_for()
    page.locator(".nbf-tile.nbf-s-failed").click()
    page.locator(".nbf-record .nbf-s-failed").first.wait_for()
    assert page.locator(".nbflow-static").count() == 1
    assert not page.locator(".nbflow-static").is_visible()
    page.locator(".nbf-stop").click()
    page.locator(".nbf-runstate", has_text="cancelled").wait_for()


def test_after_a_kernel_restart_the_table_says_so_and_its_buttons_are_off(lab):
    notebook = lab(SETUP, SEND % 40)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-runstate", has_text="partial").wait_for()
    page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    page.locator(".nbf-warning", has_text="The kernel does not answer").wait_for()
    assert page.get_by_role("button", name="Rerun 4 failed").is_disabled()
    assert page.locator(".nbf-record").count() >= 12
    notebook.picture("lab-dead")


@pytest.mark.parametrize(
    "cell", [SEND % 30, f"{SEND % 30}\nnf.runs()"], ids=["run", "history"]
)
def test_a_cell_run_twenty_times_leaves_one_widget(lab, cell):
    """One for each thing that it shows."""
    notebook = lab(SETUP, cell)
    tables = 1 + ("runs" in cell)
    notebook.run_all()
    notebook.page.evaluate(
        """async () => {
            const panel = window.jupyterapp.shell.currentWidget;
            panel.content.activeCellIndex = 1;
            for (let time = 0; time < 20; time++) await window.jupyterapp.commands.execute("notebook:run-cell");
        }"""
    )
    notebook.page.locator(".nbf-runstate", has_text="partial").wait_for()
    count = (
        "from ipywidgets.widgets.widget import _instances; "
        "print(sum(type(w).__name__ == 'TableWidget' for w in _instances.values()))"
    )
    assert notebook.run(count).strip() == f"{tables}"
    assert notebook.page.locator(".nbf").count() == tables


def test_the_same_run_in_two_cells_is_one_run_in_two_views(lab):
    notebook = lab(SETUP, SEND % 60, "run", "nf.open_run(run.id)")
    notebook.run_all()
    page = notebook.page
    page.wait_for_function("() => document.querySelectorAll('.nbf').length === 3")
    first, second = page.locator(".nbf").nth(0), page.locator(".nbf").nth(1)
    first.locator(".nbf-tile.nbf-s-failed").click()
    first.locator(".nbf-footer", has_text="6 of 60 records").wait_for()
    assert "6 of 60" not in second.locator(".nbf-footer").inner_text()
    assert page.locator(".nbflow-static:visible").count() == 0


def test_a_job_is_watched_and_stopped_from_a_notebook(lab, server):
    """It works on the run in a process of its own; the notebook follows the ledger."""
    notebook = lab("import nbflow as nf", "run = nf.open_run(); run", "nf.runs()")
    store = notebook.path.parent / ".nbflow"
    code = SETUP + SEND % 6000 + "; print(run.state)"
    job = subprocess.Popen(
        [sys.executable, "-c", code],
        env=server.environment | {"NBFLOW_STORE": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        # Some records of it are noted: what a file holds when it is just made is no run
        # yet.
        while not any(
            path.stat().st_size > 4_000 for path in store.glob("runs/*/entries")
        ):
            assert job.poll() is None
            time.sleep(0.05)
        notebook.run_all()
        page = notebook.page
        page.locator(".nbf-runstate", has_text="running").wait_for()
        page.locator(".nbf-runs .nbf-record .nbf-s-running").first.wait_for()
        page.locator(".nbf-tile.nbf-s-failed").first.click()
        page.locator(".nbf-record .nbf-s-failed").first.wait_for()
        notebook.picture("lab-watched")
        page.locator(".nbf-stop").click()
        page.locator(".nbf-runstate", has_text="cancelled").wait_for()
        page.locator(".nbf-runs .nbf-record .nbf-s-cancelled").first.wait_for()
        assert "CANCELLED" in job.communicate(timeout=20)[0]
        assert "CANCELLED" in notebook.run("print(run.state)")
    finally:
        job.kill()


def test_a_hundred_thousand_records_scroll(lab):
    notebook = lab(MANY, "nf.open_run()")
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-runstate", has_text="completed").wait_for(timeout=60_000)
    page.get_by_role("button", name="Show 100,000 records").click()
    page.locator(".nbf-grid").evaluate(
        "(grid) => { grid.scrollTop = grid.scrollHeight; }"
    )
    page.locator(".nbf-record", has_text="t-099999").wait_for()
    page.locator(".nbf-search").fill("t-077777")
    page.locator(".nbf-footer", has_text="1 of 100,000 records").wait_for()
    assert page.locator(".nbf-record").count() < 60
    assert page.locator(".nbf *").count() < 800


def test_shortcuts_of_the_notebook_do_not_reach_through_the_table(lab):
    """`d d` on a row would delete the cell."""
    notebook = lab(SETUP, SEND % 30)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbf-record").first.click()
    page.locator(".nbf-grid").focus()
    for key in ("d", "d", "x", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.locator(".nbf-waterfall").wait_for()
    assert page.locator(".jp-CodeCell").count() == 2


COSTS = """
import os, nbflow as nf
from IPython.display import HTML
os.environ["NBFLOW_TABLE"] = "static"

@nf.step
def ask(text):
    nf.usage(cost=0.25, input_tokens=10)

@nf.flow(on="costs")
def asked(record):
    ask(record["text"])

@nf.flow(on="costs")
def asked_again(record):
    ask(record["text"])

run = nf.send("costs", [{"text": "a"}])
"""


def test_two_amounts_in_dollars_are_no_formula(lab):
    notebook = lab(COSTS, "HTML('<p class=\"formula\">$x$</p>')")
    notebook.run_all()
    notebook.page.locator(".formula mjx-container").first.wait_for()
    picture = notebook.page.locator(".jp-OutputArea-output", has_text="Checkpoints")
    assert not picture.locator("mjx-container").count()
    assert "$0.25 for 10 tokens. Checkpoints saved $0.25" in picture.inner_text()


def test_the_saved_notebook_holds_the_picture_and_no_widget_state(lab):
    notebook = lab(SETUP, SEND % 60, "nf.runs()")
    notebook.run_all()
    notebook.page.locator(".nbf-runstate", has_text="partial").wait_for()
    notebook.page.locator(".nbf-runs .nbf-record").wait_for()
    assert notebook.page.locator(".nbflow-static:visible").count() == 0
    notebook.command("docmanager:save")
    saved = notebook.path.read_text()
    document = nbformat.reads(saved, 4)
    assert "widgets" not in document.metadata
    assert len(saved) < 40_000
    live, static = document.cells[1].outputs
    assert "application/vnd.jupyter.widget-view+json" in live.data
    assert "6 need you" in static.data["text/html"]
    assert "6 need you" in static.data["text/plain"]
    history, picture = document.cells[2].outputs
    assert "application/vnd.jupyter.widget-view+json" in history.data
    assert "\u25d1 partial" in picture.data["text/html"]
    assert "\u25d1 partial" in picture.data["text/plain"]


def test_a_step_cell_comes_from_disk_with_what_it_showed(lab):
    """After Restart and Run All: the table, the figure, and the line that says so."""
    load = "#| step: load -> df\nprint('loading')\ndf = pd.DataFrame({'city': ['Bonn', 'Kiel']})\ndf"
    plot = (
        "%%step plot\n%matplotlib inline\nimport matplotlib.pyplot as plt\n"
        "plt.figure(figsize=(2, 1))\nplt.plot([1, 2]);"
    )
    notebook = lab("import nbflow as nf, pandas as pd", load, plot)
    notebook.run_all()
    page = notebook.page
    page.locator(".jp-OutputArea-output img").wait_for()
    assert not notebook.output("cached").count()
    page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    notebook.ready()
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.run_all()
    notebook.output("load: cached").wait_for()
    notebook.output("plot: cached").wait_for()
    assert notebook.output("loading").count() == 1
    assert page.locator(".jp-OutputArea-output table", has_text="Kiel").count() == 1
    assert page.locator(".jp-OutputArea-output img").count() == 1
    notebook.picture("lab-cells")
