"""The live table where else people look: Notebook 7, marimo, a dark JupyterLab, a narrow one."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.lab import IDLE, ROOT, SEND, SETUP, Notebook, Server, free_port
from tests.browser.test_lab import SUBSHELLS


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a notebook of code cells in a server of its own."""
    servers, pages = [], []

    def opened(*cells, width=1280, height=1000, **options):
        servers.append(Server(tmp_path, **options))
        pages.append(
            browser.new_context(viewport={"width": width, "height": height}).new_page()
        )
        return Notebook(pages[-1], servers[-1], servers[-1].write("work.ipynb", *cells))

    yield opened
    for page in pages:
        page.evaluate(
            "async () => { await window.jupyterapp?.shell.currentWidget?.sessionContext.shutdown(); }"
        )
        page.context.close()
    for server in servers:
        server.close()


def test_notebook_7_runs_all_shows_it_live_stops_it_and_finds_it_again(opened):
    notebook = opened(SETUP, SEND % 3000, "print('after', run.state)", app="notebook")
    page = notebook.page
    notebook.run_all(wait=False)
    page.wait_for_function(
        "() => Number(document.querySelector('.nbf-tile.nbf-s-completed b')?.textContent.replace(',', '')) > 20"
    )
    assert not notebook.output("after").count()
    notebook.picture("notebook7-live")
    page.locator(".nbf-stop").click()
    if not SUBSHELLS:
        page.locator(".nbf-notice", has_text="Press the kernel's own Stop").wait_for()
        notebook.command("notebook:interrupt-kernel")
        page.locator(".nbf-runstate", has_text="interrupted").wait_for()
        return
    notebook.output("after CANCELLED").wait_for()
    page.locator(".nbf-runstate", has_text="cancelled").wait_for()
    notebook.command("docmanager:save")
    page.reload()
    notebook.ready()
    page.locator(".nbf-runstate", has_text="cancelled").wait_for()
    page.locator(".nbf-tile.nbf-s-cancelled").click()
    page.locator(".nbf-record .nbf-s-cancelled").first.wait_for()
    assert not page.locator(".nbflow-static").is_visible()


STEPS = (
    "import nbflow as nf, time, pandas as pd\nimport matplotlib.pyplot as plt\n%matplotlib inline",
    (
        "#| step: load -> sales\nprint('loading'); open('ran', 'a').write('load '); time.sleep(1)\n"
        "sales = pd.DataFrame({'month': [1, 2, 3], 'total': [4, 2, 5]})\nsales"
    ),
    (
        "%%step draw -> best\nopen('ran', 'a').write('draw ')\nbest = sales.total.max()\n"
        "plt.plot(sales.month, sales.total)\nplt.show()"
    ),
    "print('best', best, open('ran').read())",
)


def test_notebook_7_takes_step_cells_from_disk_after_a_restart_with_outputs_and_picture(
    opened,
):
    notebook = opened(*STEPS, app="notebook")
    page, seen = notebook.page, []
    notebook.run_all()
    notebook.output("best 5 load draw").wait_for()
    for shown in ("", "-cached"):
        assert page.locator(
            ".jp-OutputArea-output pre", has_text=re.compile(": cached ")
        ).count() == (2 if shown else 0)
        notebook.output("loading").wait_for()
        page.locator(".jp-OutputArea-output table.dataframe").wait_for()
        seen.append(page.locator(".jp-OutputArea-output img").get_attribute("src"))
        notebook.picture(f"notebook7-steps{shown}")
        if not shown:
            page.evaluate(
                "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
            )
            page.wait_for_function(IDLE)
            notebook.command("notebook:clear-all-cell-outputs")
            assert not notebook.output("best").count()
            notebook.run_all()
            notebook.output("best 5 load draw").wait_for()
    assert len(seen[0]) > 1000  # the picture itself
    assert seen[0] == seen[1]
    dim = page.locator(
        ".jp-OutputArea-output pre span",
        has_text=re.compile(r"^(load|draw): cached \d\d:\d\d, saved "),
    )
    assert (
        dim.evaluate_all("(lines) => lines.map((line) => getComputedStyle(line).color)")
        == ["rgb(118, 118, 118)"] * 2
    )


@pytest.mark.parametrize(
    "look", [{"dark": True}, {"width": 520}], ids=["dark", "narrow"]
)
def test_a_lab_that_is_dark_or_narrow_shows_a_table_and_a_history_that_fit(
    opened, look
):
    notebook = opened(SETUP, SEND % 60, "nf.runs()", **look)
    page = notebook.page
    notebook.run_all()
    page.locator(".nbf-tile.nbf-s-failed").first.click()
    page.locator(".nbf-record", has_text="t-0017").click()
    page.locator(".nbf-trouble").wait_for()
    page.locator(".nbf-runs .nbf-record").first.wait_for()
    name = "lab-" + next(iter(look))
    page.locator(".nbf").first.scroll_into_view_if_needed()
    notebook.picture(name)
    page.locator(".nbf-runs .nbf-record").first.click()
    page.locator(".nbf-nest .nbf-record").first.wait_for()
    page.locator(".nbf-nest").scroll_into_view_if_needed()
    notebook.picture(f"{name}-history")
    assert page.locator(".nbf-dark" if look.get("dark") else ".nbf-light").count() == 3
    too_wide = """() => [...document.querySelectorAll('.nbf')].filter((table) =>
        table.getBoundingClientRect().right > innerWidth
        || table.scrollWidth > table.clientWidth + 1).length"""
    assert page.evaluate(too_wide) == 0
    complaints = Axe().run(page, context=".nbf").response["violations"]
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in complaints
    ] == []


MARIMO = f"""
import marimo
app = marimo.App(width="medium")

@app.cell
def _():
    import marimo as mo
    import nbflow as nf, time, os
    return mo, nf, os, time

@app.cell
def _(nf, os, time):
{re.sub("(?m)^(?=.)", "    ", SETUP.split("os", 1)[1])}
    return (triage,)

@app.cell
def _(mo, nf, triage):
    {SEND.replace("key=", "wait=False, key=") % 6000}
    mo.ui.anywidget(run.widget())
    return (run,)

@app.cell
def _(mo, nf, run):
    mo.ui.anywidget(nf.runs().widget())
    return
"""


@pytest.fixture
def marimo(tmp_path):
    """A marimo server; answers where it is."""
    (tmp_path / "work.py").write_text(MARIMO)
    port = free_port()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    command = [
        sys.executable,
        "-m",
        "marimo",
        "-q",
        "run",
        "work.py",
        "--headless",
        f"--port={port}",
        "--no-token",
    ]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait(20)


def test_marimo_shows_the_table_and_its_buttons_act(marimo, browser):
    page = browser.new_context(viewport={"width": 1280, "height": 1100}).new_page()
    page.goto(marimo)
    table, history = (
        page.locator(".nbf").first,
        page.locator(".nbf", has=page.locator(".nbf-runs")).first,
    )
    table.locator(".nbf-tile.nbf-s-failed b", has_text=re.compile("[1-9]")).wait_for(
        timeout=60_000
    )
    history.locator(".nbf-record .nbf-s-running").first.wait_for()
    table.locator(".nbf-stop").click()
    table.locator(".nbf-runstate", has_text="cancelled").wait_for()
    table.locator(".nbf-tile.nbf-s-failed").click()
    table.locator(".nbf-record").first.click()
    table.locator(".nbf-trouble", has_text="the model did not answer").wait_for()
    history.locator(".nbf-record .nbf-s-cancelled").first.wait_for()
    if os.environ.get("NBFLOW_PICTURES"):
        page.screenshot(path=f"{os.environ['NBFLOW_PICTURES']}/marimo.png")
    page.context.close()
