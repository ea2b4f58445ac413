"""Cells: turns step cells on in an IPython, and hands each one to its attempts.

A cell whose first line is ``%%step NAME -> OUT`` or ``#| step: NAME -> OUT`` is
remembered as a whole. The line becomes a mark, and the tree of the cell is rebuilt
around it: the statements stay where they are, with their lines, and run in the notebook's
own namespace, so that tracebacks, the debugger, top-level ``await`` and the cell's status
are those of any cell. Around them stand a loop (attempts) and a ``with`` (look up, record,
save)::

    for __nbflow__ in enter(7):
        with __nbflow__:
            import pandas as pd               # imports, functions and classes run on a hit, too
            if __nbflow__.live:
                df = load()                   # everything else only when the cell really runs
                __nbflow__.show(df.head())    # what IPython would show of the last expression
"""

from __future__ import annotations

import ast
import itertools
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow.notebook import outputs
from nbflow.notebook.cell_attempt import CellAttempt
from nbflow.notebook.rewrite import NAME, Rebuild, mark, near_step
from nbflow.notebook.step_cell import Notebook, StepCell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._call.engine import Engine
    from nbflow.notebook.rewrite import Spec
    from nbflow.notebook.shell import Shell

#: Cells that are kept between the compiling and the running.
_KEPT = 64


@dataclass
class _Kernel:
    """What `enter` needs to know, as the code of a cell can only give it a number."""

    notebook: Notebook | None = None
    cells: OrderedDict[int, StepCell] = field(default_factory=OrderedDict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


_KERNEL = _Kernel()


def install(shell: Shell, engine: Callable[[], Engine]) -> Notebook:
    """Turn step cells on in an IPython; once is enough, and twice does no harm."""
    known = _KERNEL.notebook
    if known is not None and known.shell is shell:
        return known
    notebook = _KERNEL.notebook = Notebook(shell, engine)
    shell.input_transformers_cleanup.append(mark)
    shell.ast_transformers.append(
        Rebuild(
            lambda: str(shell.ast_node_interactivity),
            keep,
            shell.user_ns,
            notebook.look_at,
        )
    )
    for source in shell.user_ns.get("In", ()):  # this cell, and those before
        with suppress(SyntaxError):  # magics
            notebook.look_at(ast.parse(source))
    if shell.events is not None:
        shell.events.register("pre_run_cell", partial(_look_for_near_step, notebook))
    shell.user_ns_hidden[NAME] = None
    outputs.guard(shell)
    return notebook


def _look_for_near_step(notebook: Notebook, info: Any) -> None:
    """Say once that a comment of the cell which is about to run reads like the line of a step."""
    found = near_step(info.raw_cell)
    if found is None or found.name in notebook.cells or found in notebook.near:
        return
    notebook.near.append(found)
    outputs.say(f"`{found.line}` is a comment, so this is no step cell: {found.todo}.")


def keep(spec: Spec, body: list[ast.stmt]) -> int:
    """Keep a step cell until it is run; returns the number under which `enter` finds it."""
    number = next(_KERNEL.numbers)
    _KERNEL.cells[number] = StepCell(spec, body)
    while len(_KERNEL.cells) > _KEPT:
        _KERNEL.cells.popitem(last=False)
    return number


def enter(number: int) -> Iterator[CellAttempt]:
    """Yield the attempts at a cell: one, or as many as ``--retries`` allows."""
    notebook, cell = _KERNEL.notebook, _KERNEL.cells[number]
    assert notebook is not None
    notebook.cells[cell.spec.name] = cell
    count = 0
    while True:
        count += 1
        attempt = CellAttempt(notebook, cell, count)
        yield attempt
        if attempt.is_lost:
            count = 0
        elif not attempt.failed:
            return
