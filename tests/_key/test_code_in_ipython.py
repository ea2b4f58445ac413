"""Cells that a real IPython shell runs are read from the source that it keeps."""

import pytest
from ipykernel.compiler import XCachingCompiler
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nbflow._key import syntax
from nbflow._key.reader import read

HELPER = "LIMIT = 3\ndef helper(x):\n    return x[:LIMIT]\n"
STEP = (
    "import asyncio\nawait asyncio.sleep(0)\n%pwd\n"
    "class Tool:\n    def use(self, x):\n        return helper(x)\n"
    "def step(x):\n    return Tool().use(x), (lambda: 1)()\n"
)


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setattr("builtins.get_ipython", None, raising=False)
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell(config=config)
    made.compile = XCachingCompiler()

    def run(cell):
        made.run_cell(cell, silent=True).raise_error()
        return made.user_ns

    return run


@pytest.mark.parametrize("first", ["pass", "from __future__ import annotations"])
def test_the_source_of_a_cell_is_found_whatever_else_the_cell_does(shell, first):
    shell(first)
    shell(HELPER)
    names = shell(STEP)
    assert all(syntax.find(names[name]) for name in ("helper", "step"))
    assert [part.name for part in read(names["step"]).parts] == [
        "step",
        "Tool",
        "Tool.use",
        "helper",
        "LIMIT",
    ]


def test_a_function_beside_the_import_of_what_it_calls_is_the_one_of_the_exported_module(
    shell, notebook
):
    """IPython compiles each statement alone, and Python calls what the same unit imports by other instructions."""
    cell = 'import re\ndef hide(text):\n    """Without names."""\n    return re.sub("Ann", "", text)\n'
    in_notebook = read(shell(cell)["hide"])
    assert in_notebook == read(notebook.run(cell).hide)
    assert [part.text for part in in_notebook.parts] == [cell.partition("\n")[2]]


def test_a_builtin_that_ipython_has_in_its_own_clothes_is_the_builtin(shell, notebook):
    """The module exported from a notebook reads Python's `open`, the notebook IPython's: one call, one key."""
    helper = "def helper(path):\n    return open(path).read()\n"
    in_notebook = shell(helper)
    assert in_notebook["open"] is not open
    assert read(in_notebook["helper"]) == read(notebook.run(helper).helper)


def test_a_cell_edited_and_run_again(shell):
    shell(HELPER)
    step = shell(STEP)["step"]
    before = read(step)
    shell("# once more\n" + HELPER)
    assert read(step) == before
    shell(HELPER.replace("[:LIMIT]", "[LIMIT:]"))
    assert read(step) != before
    shell(HELPER)
    assert read(step) == before


def test_a_dataclass_is_the_same_in_whichever_module_it_is(shell, notebook):
    """Its docstring, which `dataclasses` writes, names the modules of its fields' classes."""
    text = (
        "from dataclasses import dataclass\nfrom enum import Enum\nclass Kind(Enum):\n"
        "    A = 1\n@dataclass\nclass Label:\n    kind: Kind\ndef make():\n    return"
        " Label(Kind.A)\n"
    )
    in_notebook = read(shell(text)["make"])
    notebook.names["__name__"] = "exported"
    assert read(notebook.run(text).make) == in_notebook
