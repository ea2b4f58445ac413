"""Cells: the code of a notebook as Python sees it, magics and shell lines turned into calls as IPython does."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from typing import Any

from nbflow.errors import UsageError
from nbflow.notebook import document as documents

#: Cell magics whose body is Python that runs in the notebook's own names.
_PYTHON = {"time", "timeit", "capture", "prun", "step", "mprun", "memit"}
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True)
class Magic:
    """A magic or shell line: ``%pip install x`` is ``("pip", "install x")``, of a shell line the name is ``!``."""

    name: str
    text: str
    line: int
    is_cell: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell.

    Attributes:
        number: its number among the code cells, from 1.
        source: its text.
        count: the execution count that it was saved with.
        outputs: the outputs that it was saved with.
        tree: its code; empty if it is none (``%%bash``), ``None`` if it does not parse.
        error: why not: (line, message).
        magics: its magics and shell lines.
        tags: its tags.
    """

    number: int
    source: str
    count: int | None
    outputs: list[Any]
    tree: ast.Module | None
    error: tuple[int, str] | None = None
    magics: list[Magic] = field(default_factory=list)
    tags: tuple[str, ...] = ()


def cells_of(document: Any) -> list[Cell]:
    """The code cells of a notebook.

    Raises:
        UsageError: IPython is not installed, without which no magic can be told from a
            mistake.
    """
    try:
        from IPython.core.inputtransformer2 import TransformerManager
    except ImportError:
        raise UsageError(
            "Checking a notebook needs IPython; install it with: pip install 'nbflow[lab]'"
        ) from None
    transform = TransformerManager().transform_cell
    return [
        _cell(number, cell, transform)
        for number, (_, cell) in enumerate(documents.code_cells(document), 1)
    ]


def _cell(number: int, cell: Any, transform: Any) -> Cell:
    source, magics = cell.source, list[Magic]()
    first, _, body = source.partition("\n")
    code = source
    if first.startswith("%%"):
        name, _, text = first[2:].strip().partition(" ")
        magics.append(Magic(name, text, 1, is_cell=True))
        # One line stands for the header, so that line numbers stay right.
        code = "pass\n" + body if name in _PYTHON else ""
    tree, error = _parse(code, transform)
    if tree is not None:
        tree = _Magics(magics).visit(tree)
    return Cell(
        number,
        source,
        cell.get("execution_count"),
        cell.get("outputs", []),
        tree,
        error,
        magics,
        tuple(documents.tags(cell)),
    )


def _parse(
    code: str, transform: Any
) -> tuple[ast.Module | None, tuple[int, str] | None]:
    # IPython takes the empty lines before the first one away.
    before = next(
        (place for place, line in enumerate(code.splitlines()) if line.strip()), 0
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in what users write
            tree: ast.Module = compile(
                transform(code),
                "<cell>",
                "exec",
                _FLAGS | ast.PyCF_ONLY_AST,
                dont_inherit=True,
            )
            compile(
                tree, "<cell>", "exec", _FLAGS, dont_inherit=True
            )  # a `return` outside of a function parses
    except (SyntaxError, ValueError, RecursionError) as error:
        return None, (
            (getattr(error, "lineno", None) or 1) + before,
            getattr(error, "msg", None) or str(error),
        )
    return ast.increment_lineno(tree, before), None


class _Magics(ast.NodeTransformer):
    """Takes the calls that IPython makes of magics out of a tree, and notes them."""

    _CALLS = ("run_line_magic", "run_cell_magic", "system", "getoutput")

    def __init__(self, found: list[Magic]) -> None:
        self._found = found

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        function = node.func
        if not (
            isinstance(function, ast.Attribute)
            and function.attr in self._CALLS
            and isinstance(function.value, ast.Call)
            and getattr(function.value.func, "id", "") == "get_ipython"
        ):
            return node
        texts = [
            part.value
            for part in node.args
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        is_shell = function.attr in ("system", "getoutput")
        magic = (
            Magic("!", "".join(texts), node.lineno)
            if is_shell
            else Magic(texts[0], texts[1] if len(texts) > 1 else "", node.lineno)
        )
        self._found.append(magic)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        known = len(self._found)
        self.generic_visit(node)
        magic = self._found[known] if len(self._found) > known else None
        return (
            _inner(magic) or node
            if magic is not None and magic.name in _PYTHON
            else node
        )


def _inner(magic: Magic) -> list[ast.stmt]:
    """The code that a line magic such as ``%time`` runs, its flags aside: what it reads is read."""
    code = magic.text.lstrip()
    while code.startswith("-"):
        code = code.partition(" ")[2].lstrip()
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return []
    return [ast.increment_lineno(statement, magic.line - 1) for statement in body]
