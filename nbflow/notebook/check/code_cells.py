"""Code cells: the code of a notebook as Python sees it, without its magics and shell lines."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbformat import NotebookNode

    #: Turns the text of a cell into Python.
    Transform = Callable[[str], str]

#: Cell magics whose body is Python that runs in the notebook's own names.
_PYTHON = {"time", "timeit", "capture", "prun", "step", "mprun", "memit"}
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True)
class Magic:
    """A magic or shell line: ``%pip install x`` is ``("pip", "install x")``; a shell line is called ``!``.

    Attributes:
        name: its name.
        text: what it is given.
        line: its line in the cell, from 1.
        is_cell: whether it is a magic of the whole cell (``%%time``).
    """

    name: str
    text: str
    line: int
    is_cell: bool = False


@dataclass(frozen=True, slots=True)
class CodeCell:
    """One code cell.

    Attributes:
        number: its number among the code cells, from 1.
        source: its text.
        count: the execution count that it was saved with.
        outputs: the outputs that it was saved with.
        tree: its code; empty if it is not Python (``%%bash``), ``None`` if it does not
            parse.
        error: why it does not: (line, message).
        magics: its magics and shell lines.
        tags: its tags.
    """

    number: int
    source: str
    count: int | None
    outputs: list[NotebookNode]
    tree: ast.Module | None
    error: tuple[int, str] | None = None
    magics: list[Magic] = field(default_factory=list)
    tags: tuple[str, ...] = ()


def cells_of(document: NotebookNode) -> list[CodeCell]:
    """Return the code cells of a notebook.

    Raises:
        UsageError: IPython is not installed, and only it can tell a magic from a mistake.
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


def _cell(number: int, cell: NotebookNode, transform: Transform) -> CodeCell:
    source = cell.source
    magics = list[Magic]()
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
    return CodeCell(
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
    code: str, transform: Transform
) -> tuple[ast.Module | None, tuple[int, str] | None]:
    """Return the tree of a cell, or at which line it does not parse, and why."""
    # IPython removes the empty lines at the beginning.
    lines = code.splitlines()
    texts = [place for place, line in enumerate(lines) if line.strip()]
    removed = texts[0] if texts else 0
    try:
        tree = _compiled(transform(code))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        return None, (line + removed, getattr(error, "msg", None) or str(error))
    return ast.increment_lineno(tree, removed), None


def _compiled(code: str) -> ast.Module:
    flags = _FLAGS | ast.PyCF_ONLY_AST
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes in what users write
        tree: ast.Module = compile(code, "<cell>", "exec", flags, dont_inherit=True)
        # A `return` outside of a function parses, and does not compile.
        compile(tree, "<cell>", "exec", _FLAGS, dont_inherit=True)
    return tree


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
        constants = [part.value for part in node.args if isinstance(part, ast.Constant)]
        texts = [value for value in constants if isinstance(value, str)]
        if function.attr in ("system", "getoutput"):
            magic = Magic("!", "".join(texts), node.lineno)
        else:
            magic = Magic(texts[0], "".join(texts[1:2]), node.lineno)
        self._found.append(magic)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        known = len(self._found)
        self.generic_visit(node)
        if len(self._found) > known and self._found[known].name in _PYTHON:
            return _inner(self._found[known]) or node
        return node


def _inner(magic: Magic) -> list[ast.stmt]:
    """Return the code that a line magic such as ``%time`` runs, without its flags."""
    code = magic.text.lstrip()
    while code.startswith("-"):
        code = code.partition(" ")[2].lstrip()
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return []
    return [ast.increment_lineno(statement, magic.line - 1) for statement in body]
