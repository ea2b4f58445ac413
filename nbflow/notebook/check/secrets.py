"""Secrets: those in sources and outputs, which everybody gets who gets the notebook; and paths of this machine."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from nbflow._key.secret_patterns import TOKEN, is_secret
from nbflow.notebook.check.finding import Finding, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

    from nbflow.notebook.check.code_cells import CodeCell

#: The beginning of a text that stands where a secret will be put: ``your-key``.
_EXAMPLE = re.compile(r"your|my", re.IGNORECASE)
#: The beginning of an absolute path: of Linux or macOS, of a home folder, of a drive or a
#: share of Windows.
_PATH = re.compile(
    r"^(?:file://)?(?:/(?:home|Users|root|mnt|media|tmp|var|opt|data|srv|workspace"
    r"|content|Volumes|kaggle|dbfs)/|~[\w.-]*/|[A-Za-z]:[\\/](?![\\/])|\\\\\w)"
)
_CHANGE = "Change the secret: it was saved in a file."


def secrets_in_source(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find tokens anywhere in the text of a cell, and texts under names that say that they are secret."""
    for cell in cells:
        tokens = dict(_tokens(cell.source))
        for line, token in tokens.items():
            what = f"a secret in the source: {_beginning(token)}"
            yield _secret(cell.number, line, what, _read_it("API_KEY"))
        for name, text, line in _texts(cell):
            if line in tokens or name is None or _EXAMPLE.match(text):
                continue
            if is_secret(name, text):
                what = f"a secret in the source: {name} = {_beginning(text)}"
                yield _secret(cell.number, line, what, _read_it(name.upper()))


def secrets_in_prose(document: NotebookNode) -> Iterator[Finding]:
    """Find tokens in Markdown and raw cells."""
    todo = "Remove it and change the secret: it was saved in a file."
    for cell in document.cells:
        if cell.cell_type != "code":
            for _, token in _tokens(cell.source):
                what = f"a secret in a {cell.cell_type} cell: {_beginning(token)}"
                yield _secret(None, None, what, todo)


def secrets_in_outputs(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find cells that printed tokens."""
    todo = f"Clear the outputs of the cell and do not print it. {_CHANGE}"
    for cell in cells:
        found = (re.search(TOKEN, text) for text in _output_texts(cell.outputs))
        token = next((match[0] for match in found if match is not None), None)
        if token is not None:
            what = f"a secret in the outputs: {_beginning(token)}"
            yield _secret(cell.number, None, what, todo)


def paths(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find texts that are absolute paths, each once."""
    told = set[str]()
    for cell in cells:
        for _, text, line in _texts(cell):
            if _PATH.match(text) and text not in told and "\n" not in text:
                told.add(text)
                yield Finding(
                    "absolute-path",
                    "warning",
                    cell.number,
                    line,
                    f"the absolute path {shown(text)!r}",
                    "Another machine, container or user does not have it.",
                    "Make it relative to the notebook's folder, or a parameter.",
                )


def _secret(cell: int | None, line: int | None, what: str, todo: str) -> Finding:
    return Finding(
        "secret",
        "error",
        cell,
        line,
        what,
        "Everybody who gets the notebook, or its history in git, has it.",
        todo,
    )


def _read_it(name: str) -> str:
    """Return what to do about a secret in the source."""
    return (
        f'Read it with nf.secret("{name}"), from the environment or the keyring.'
        f" {_CHANGE}"
    )


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Return the tokens of a text, with their lines."""
    for number, line in enumerate(source.splitlines(), 1):
        match = re.search(TOKEN, line)
        if match:
            yield number, match[0]


def _beginning(text: str) -> str:
    """Return enough of a secret to find it."""
    return f"{text[:4]}\u2026"


def _texts(cell: CodeCell) -> Iterator[tuple[str | None, str, int]]:
    """Return the texts of a cell, each with its line and the name that it is given to, if there is one."""
    if cell.tree is None:
        return
    named: dict[int, str] = {}
    for node in ast.walk(cell.tree):
        for target, value in _bindings(node):
            name = _name(target)
            if name:
                named[id(value)] = name
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield named.get(id(node)), node.value, node.lineno


def _bindings(node: ast.AST) -> Iterable[tuple[object, object]]:
    """Return what a node gives values to: names, items, arguments, keys of a dict."""
    if isinstance(node, ast.Assign):
        return [(target, node.value) for target in node.targets]
    if isinstance(node, ast.AnnAssign):
        return [(node.target, node.value)]
    if isinstance(node, ast.keyword):
        return [(node.arg, node.value)]
    if isinstance(node, ast.Dict):
        return zip(node.keys, node.values, strict=True)
    if isinstance(node, ast.arguments):
        # The defaults belong to the last arguments.
        last = zip(reversed(node.args), reversed(node.defaults), strict=False)
        return [*last, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]
    return ()


def _name(target: object) -> str | None:
    """Return the last part of a name: of ``api.key`` and ``api["key"]``, ``key``."""
    if isinstance(target, str):
        return target
    for attribute in ("id", "attr", "arg"):
        name = getattr(target, attribute, None)
        if isinstance(name, str):
            return name
    if isinstance(target, ast.Subscript):
        return _name(target.slice)
    if isinstance(target, ast.Constant) and isinstance(target.value, str):
        return target.value
    return None


def _output_texts(node: object) -> Iterator[str]:
    """Return all texts in outputs, those of pictures left out."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if not str(key).startswith("image/"):
                yield from _output_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _output_texts(value)
