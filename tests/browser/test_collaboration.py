"""A tab that is closed during a run, where the server keeps the document, and a page that shows no widgets.

jupyter-collaboration changes every JupyterLab of an environment, so the tests' own does
not have it. They run in an environment with it and with nbflow's `test` extra:
`.ci/run` has one.
"""

import re

import nbformat
import pytest

from tests.browser.lab import SEND, SETUP, Notebook, Server

SLOW = SEND.replace("key=", "wait=False, key=") % 600
WIDGETS = "@jupyter-widgets/jupyterlab-manager"
#: What is seen of pictures of the run, and of live tables.
PICTURES, TABLES = ".nbflow-static", ".nbf"


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a notebook of code cells in a server of its own; ``again()`` in another tab, as a person comes back."""
    servers, contexts = [], []

    class Opened(Notebook):
        def again(self):
            contexts.append(_context(browser))
            return Opened(contexts[-1].new_page(), servers[-1], self.path)

        def leave(self):
            self.page.context.close()
            contexts.pop()

    def opened(*cells, **options):
        servers.append(Server(tmp_path, **options))
        path = servers[-1].write("work.ipynb", *cells)
        contexts.append(_context(browser))
        return Opened(contexts[-1].new_page(), servers[-1], path)

    yield opened
    for context in contexts:
        context.close()
    for server in servers:
        server.close()


def _context(browser):
    return browser.new_context(viewport={"width": 1360, "height": 1000})


@pytest.fixture
def together(opened):
    """The same with jupyter-collaboration; where that is not installed, its tests are deselected."""
    return opened


def count(page, state):
    tile = page.locator(f".nbf-tile.nbf-s-{state} b")
    return int(tile.inner_text().replace(",", "")) if tile.count() else 0


def test_who_comes_back_during_the_run_finds_the_live_table(together):
    notebook = together(SETUP, SLOW)
    notebook.run_all()
    notebook.page.locator(
        ".nbf-tile.nbf-s-completed b", has_text=re.compile("[1-9]")
    ).wait_for()
    before = count(notebook.page, "completed")
    notebook.leave()
    notebook = notebook.again()
    page = notebook.page
    page.locator(".nbf-runstate").wait_for()
    page.wait_for_function(
        "(before) => Number(document.querySelector('.nbf-tile.nbf-s-completed b')"
        "?.textContent.replace(',', '')) > before + 5",
        arg=before,
    )
    assert page.locator(TABLES).count() == 1
    assert page.locator(f"{PICTURES}:visible").count() == 0
    notebook.picture("collaboration-back")
    page.locator(".nbf-stop").click()
    page.locator(".nbf-runstate", has_text="cancelled").wait_for()
    notebook.picture("collaboration-stopped")


def test_who_comes_back_after_the_run_finds_how_it_came_out(together):
    notebook = together(SETUP, SEND.replace("key=", "wait=False, key=") % 90)
    notebook.run_all()
    notebook.page.locator(".nbf-runstate", has_text="running").wait_for()
    notebook.leave()
    notebook = notebook.again()
    assert "PARTIAL" in notebook.run("print(run.wait().state)")
    notebook.leave()
    notebook = notebook.again()
    page = notebook.page
    page.locator(".nbf-runstate", has_text="partial").wait_for()
    assert count(page, "failed") == 9
    assert page.locator(TABLES).count() == 1
    assert page.locator(f"{PICTURES}:visible").count() == 0
    notebook.picture("collaboration-ended")


def test_somebody_else_sees_the_picture_and_after_a_reload_the_table(together):
    """JupyterLab tells the page that ran a cell alone of its widgets; others ask when they are opened."""
    notebook = together(SETUP, SEND % 60)
    other = notebook.again()
    notebook.run_all()
    notebook.page.locator(".nbf-runstate", has_text="partial").wait_for()
    page = other.page
    page.locator(f"{PICTURES}:visible", has_text="6 need you").wait_for()
    assert page.locator(f"{PICTURES}:visible").count() == 1
    other.picture("collaboration-other")
    page.reload()
    other.ready()
    for one in (notebook, other):
        one.page.locator(".nbf-runstate", has_text="partial").wait_for()
        assert count(one.page, "failed") == 6
        assert one.page.locator(TABLES).count() == 1
        assert one.page.locator(f"{PICTURES}:visible").count() == 0


def test_a_page_that_shows_no_widgets_has_one_picture_and_it_is_the_last(opened):
    notebook = opened(SETUP, SEND % 60, without=[WIDGETS])
    notebook.run_all()
    page = notebook.page
    page.locator(PICTURES, has_text="6 need you").wait_for()
    assert page.locator(f"{PICTURES}:visible").count() == 1
    assert page.locator(TABLES).count() == 0
    assert not page.locator(".jp-OutputArea-output", has_text="nothing yet").count()
    notebook.picture("no-widgets")
    notebook.command("docmanager:save")
    saved = nbformat.read(notebook.path, 4).cells[1].outputs
    pictures = [
        one for one in saved if "nbflow-static" in str(one.data.get("text/html"))
    ]
    assert len(pictures) == 1
    assert "6 need you" in pictures[0].data["text/html"]
