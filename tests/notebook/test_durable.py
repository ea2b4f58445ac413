"""A step cell that calls what nbflow records itself is never saved: no key follows an event to its flows."""

import ast
from types import SimpleNamespace

import pytest

import nbflow as nf
from nbflow.notebook import rewrite
from nbflow.notebook.durable import is_durable
from nbflow.notebook.step_cell import Notebook, StepCell

DURABLE = ["open_run", "plan", "runs", "send"]


def test_exactly_the_functions_that_find_flows_and_runs_are_marked():
    marked = [name for name in nf.__all__ if is_durable(getattr(nf, name))]
    assert sorted(marked) == DURABLE


@pytest.mark.parametrize("name", DURABLE)
def test_a_cell_that_calls_one_says_why_it_is_not_saved(name):
    notebook = Notebook(SimpleNamespace(user_ns={"nf": nf}), engine=None)
    cell = StepCell(rewrite.parse("s"), ast.parse(f"found = nf.{name}").body)
    assert notebook.read(cell) == f"it calls nf.{name}, which is durable by itself"
