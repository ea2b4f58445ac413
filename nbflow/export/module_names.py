"""Module names: what is bound where, which says what may stand at the top of a module."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from typing import TYPE_CHECKING

from nbflow._key.cell_names import reach
from nbflow.errors import UsageError
from nbflow.export.statements import DEFINITIONS, bound_by, is_pure, names_in

if TYPE_CHECKING:
    from nbflow.export.chunks import Chunk, ChunkedCell

#: Names that the module needs itself.
_OURS = frozenset(("_script", "_attempt"))
#: Names for the function that does what the notebook does; the first that is free.
_MAIN = ("main", "_main", "_run_notebook")


class ModuleNames:
    """The names of a notebook.

    Attributes:
        bound: all that it binds.
        imported: those that its imports bind.
        defined: those that stand at the top of the module.
        main: the name of the function that does what the notebook does.
    """

    def __init__(self, cells: list[ChunkedCell]) -> None:
        nodes = [node for cell in cells for node in cell.body]
        self.bound = {name for node in nodes for name in bound_by(node)}
        self.imported = frozenset(
            name
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in bound_by(node)
        )
        self.defined: set[str] = set()
        self.main = self._free_name(nodes)
        if taken := _OURS & self.bound:
            raise UsageError(
                f"The notebook binds the name {min(taken)}, which the module needs "
                "itself: rename it."
            )
        counts = Counter(
            name
            for node in nodes
            if not isinstance(node, ast.Import | ast.ImportFrom)
            for name in bound_by(node)
        )
        self._twice = {name for name, count in counts.items() if count > 1}
        self._known = {*dir(builtins), "__name__", "__file__"}
        self._definitions: list[Chunk] = []
        for cell in cells:
            if not cell.is_parameters and cell.step is None:
                self._define(cell.chunks)

    def _free_name(self, nodes: list[ast.stmt]) -> str:
        taken = self.bound.union(*map(names_in, nodes))
        return next(name for name in _MAIN if name not in taken)

    def _define(self, chunks: list[Chunk]) -> None:
        """Note which chunks are definitions; each may read what those before it bind."""
        for chunk in chunks:
            if all(map(self._defines, chunk.body)):
                names = {name for node in chunk.body for name in bound_by(node)}
                self._definitions.append(chunk)
                self._known |= names
                self.defined |= names

    def is_definition(self, chunk: Chunk) -> bool:
        """Whether a chunk may stand at the top of the module."""
        return any(chunk is one for one in self._definitions)

    def _defines(self, node: ast.stmt) -> bool:
        """Whether a statement binds names once, from what is known, and does nothing else."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            return True
        if not self._twice.isdisjoint(bound_by(node)):
            return False
        read = {chain[0] for chain in reach([node]).reads}
        if not (read & self.bound) <= self._known:
            return False
        if isinstance(node, ast.If | ast.Try):  # `try: import x` and the like
            parts = [part for part in ast.walk(node) if isinstance(part, ast.stmt)]
            return all(self._defines(part) for part in parts if part is not node)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            return node.value is None or is_pure(node.value)
        return isinstance(node, (*DEFINITIONS, ast.Pass))
