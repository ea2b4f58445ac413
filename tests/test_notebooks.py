"""Notebooks are committed with the outputs of a fresh run, and held to them."""

import re
import shutil
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

OUTPUTS = "/cells/*/outputs"
# What changes by nature, from the most specific to the least: each rule sees what the
# one before has left.
CHANGES = (
    (OUTPUTS, r"\b\d{8}-\d{6}-[0-9a-f]+\b", "RUN"),
    (OUTPUTS, r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "WHEN"),
    (OUTPUTS, r"\b\d\d:\d\d(:\d\d(\.\d+)?)?\b", "WHEN"),
    # With what is before it: a line is broken where a longer one would not fit.
    (OUTPUTS, r"\s*(<|&lt;)?\b\d+(\.\d+)?\s?(ms|s|m \d+ s|min)\b", " DURATION"),
    # Whether anybody had to wait is chance.
    (OUTPUTS, r"\s*(\+|and)\s+DURATION\s+in\s+line", ""),
    (OUTPUTS, r"\b[0-9a-f]{12,}\b", "ID"),
    (OUTPUTS, r"[^\s'\"]*/nbflow-\w+", "FOLDER"),
    (OUTPUTS, r"errors\.pydantic\.dev/[\d.]+", "errors.pydantic.dev/VERSION"),
    # A column is as wide as its widest duration.
    (OUTPUTS, r"\u2500+", "\u2500"),
    (OUTPUTS, r" {2,}", "  "),
)
IGNORED = (
    "/metadata/language_info",
    "/metadata/widgets",
    "/cells/*/outputs/*/traceback",
)


@pytest.fixture
def kernel_environment(tmp_path, monkeypatch):
    """A kernel with this nbflow, a configuration folder of its own, no store from outside, and nobody who watches."""
    monkeypatch.delenv("NBFLOW_STORE", raising=False)
    return {
        "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TMPDIR": str(tmp_path),
        "NBFLOW_TABLE": "static",
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_names_the_extras_that_the_notebook_needs(notebook):
    cells = nbformat.read(notebook, 4).cells
    extras = re.search(r"pip install -e '\.\[([\w,]+)\]'", cells[0].source)[1]
    installed = {
        requirement.name
        for requirement in map(Requirement, metadata.requires("nbflow"))
        if any(
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            for extra in extras.split(",")
        )
    }
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    packages = metadata.packages_distributions()
    for name in imported & packages.keys() - {"nbflow"}:
        assert installed & set(packages[name]), name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_fresh_run_shows_what_is_committed(
    notebook, nb_regression, kernel_environment
):
    """Times, durations and ids apart, a reader on the web sees what a run shows today."""
    nb_regression.exec_env = kernel_environment
    nb_regression.diff_replace = CHANGES
    nb_regression.diff_ignore = IGNORED
    nb_regression.diff_use_color = False
    nb_regression.check(str(notebook))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_committed_notebook_has_been_run_in_order(notebook):
    """A forgotten or doubled run would show; so would widget state, which no reader can see."""
    document = nbformat.read(notebook, as_version=4)
    counts = [
        cell.execution_count for cell in document.cells if cell.cell_type == "code"
    ]
    assert counts == list(range(1, len(counts) + 1))
    assert "widgets" not in document.metadata


def test_the_demo_notebook_runs_beside_its_files(
    tmp_path, kernel_environment, monkeypatch
):
    """Copied as `nbflow demo` copies it, it runs to its end, and fails for the five threads that are meant to fail."""
    for name, value in kernel_environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "demo"
    shutil.copytree(files("nbflow.demo"), folder)
    document = nbformat.read(folder / "support_threads.ipynb", as_version=4)
    NotebookClient(
        document,
        timeout=120,
        store_widget_state=False,
        resources={"metadata": {"path": folder}},
    ).execute()
    shown = {
        cell.id: cell.outputs for cell in document.cells if cell.cell_type == "code"
    }
    failures = shown["failures"][0]["data"]["text/plain"]
    assert {word for word in failures.split() if word.startswith("t-")} == {
        "t-0048",
        "t-0107",
        "t-0132",
        "t-0138",
        "t-0170",
    }
    assert "65% of 196 threads" in shown["accuracy"][0]["text"]
