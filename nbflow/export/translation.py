"""Translation: from the cells of a notebook to a plain module.

What defines (imports, functions, classes, constants) stands at the top of the module,
so that it can be imported. What acts stands in one function, in the order of the
notebook. That function binds the module's globals: functions read there what they read
in the notebook, and their keys are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.export.chunks import code_cells
from nbflow.export.module_names import ModuleNames
from nbflow.export.source import literal, printable
from nbflow.export.source_lines import (
    acting,
    defining,
    indented,
    marked,
    released,
    step_cell,
)
from nbflow.export.statements import awaits, bound_by, future_imports, names_in
from nbflow.script import BEGIN, END

if TYPE_CHECKING:
    import ast

    from nbformat import NotebookNode

    from nbflow.export.chunks import ChunkedCell

_WRITTEN = (
    "# Written by `nbflow export`: a notebook as a plain module. "
    "Import it for its steps and flows; run it, and it does"
)


def module(document: NotebookNode, notebook: str, title: str) -> str:
    """The notebook as the source of a module.

    Raises:
        UsageError: a cell that a plain module cannot hold.
    """
    cells = list(code_cells(document))
    made = _Module(cells, ModuleNames(cells))
    for cell in cells:
        made.add(cell)
    lines = [*made.head(notebook, title), *made.main()]
    text = "\n".join(released(lines)) + "\n"
    _check_syntax(text)
    return text


def _check_syntax(text: str) -> None:
    """Refuse what Python takes in a cell and not in a function, such as ``import *``."""
    try:
        compile(text, "<module>", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = text.splitlines()[(error.lineno or 1) - 1].strip()
        raise UsageError(
            f"`{line}` cannot stand in a function ({error.msg}), which the cells of a "
            "plain module are put into: write it otherwise, or take a target that runs "
            "the notebook."
        ) from None


@dataclass(slots=True)
class _Module:
    """A module that grows cell by cell.

    Attributes:
        cells: all cells of the notebook.
        names: what they bind.
        above: definitions above the parameters, which these may read:
            ``day: dt.date = dt.date.today()``.
        declared: the parameters.
        top: definitions below the parameters.
        acts: the body of the function that does what the notebook does.
    """

    cells: list[ChunkedCell]
    names: ModuleNames
    above: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    top: list[str] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)

    def add(self, cell: ChunkedCell) -> None:
        """Put the lines of a cell where they belong."""
        if cell.is_parameters:
            self._add_parameters(cell)
        elif cell.step is not None:
            self.acts += ["", *_heading(cell), *step_cell(cell, self.names.imported)]
        else:
            self._add_statements(cell)

    def _add_parameters(self, cell: ChunkedCell) -> None:
        """The parameters stand at the top, so all that they read has to stand there, too."""
        read = set[str]().union(*map(names_in, cell.body))
        own = {name for node in cell.body for name in bound_by(node)}
        if late := read & self.names.bound - self.names.defined - own:
            raise UsageError(
                f"Cell {cell.number}, the parameters, reads `{min(late)}`, which the "
                "notebook makes when it runs: give the parameter a plain default, or "
                "take a target that runs the notebook."
            )
        self.above += self.top
        self.top = []
        for chunk in cell.chunks:
            self.declared += marked(chunk)

    def _add_statements(self, cell: ChunkedCell) -> None:
        """Definitions go to the top, with the cell's heading; the rest acts."""
        top: list[str] = []
        acts: list[str] = []
        for chunk in cell.chunks:
            if self.names.is_definition(chunk):
                top += defining(chunk)
            else:
                acts += acting(chunk, "_script.show")
        heading = _heading(cell)
        has_top = any(map(self.names.is_definition, cell.chunks))
        if has_top:
            if heading or top[:1] != [""]:
                self.top.append("")
            self.top += [*heading, *top]
        if acts:
            self.acts += ["", *([] if has_top else heading), *acts]

    def head(self, notebook: str, title: str) -> list[str]:
        """Everything above the function."""
        future = {
            line
            for cell in self.cells
            for chunk in cell.chunks
            for line in future_imports(chunk.body)
        }
        return [
            "#!/usr/bin/env python3",
            _WRITTEN,
            f"# what the notebook does. Title: {printable(title)}",
            *sorted(future),
            "from nbflow import script as _script",
            "",
            "# Its classes are the notebook's: what either has saved, the other finds.",
            f"__notebook__ = {literal(notebook)}",
            *self.above,
            "",
            BEGIN,
            *self.declared,
            END,
            *self.top,
        ]

    def main(self) -> list[str]:
        """The function that does what the notebook does, and what calls it."""
        acting = self._acting()
        prefix = "async " if any(map(awaits, acting)) else ""
        bound = sorted({name for node in acting for name in bound_by(node)})
        names = [f"    global {', '.join(bound)}"] if bound else []
        return [
            "",
            "",
            f"{prefix}def {self.names.main}():",
            '    """What the notebook does, in its order."""',
            *names,
            *indented(self.acts),
            "",
            "",
            'if __name__ == "__main__":',
            f"    raise SystemExit(_script.run({self.names.main}, globals()))",
        ]

    def _acting(self) -> list[ast.stmt]:
        """The statements that stand in the function."""
        found: list[ast.stmt] = []
        for cell in self.cells:
            if cell.is_parameters:
                continue
            for chunk in cell.chunks:
                if cell.step is not None or not self.names.is_definition(chunk):
                    found += chunk.body
        return found


def _heading(cell: ChunkedCell) -> list[str]:
    """The heading above a cell as a comment, if there is one."""
    return [f"# {cell.heading}"] if cell.heading else []
