"""Leaks: secrets in sources and outputs, which whoever gets the notebook gets, too; and paths of this machine."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from nbflow._key.secret_patterns import TOKEN, is_secret
from nbflow.notebook.check.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.check.code_cells import Cell

#: What stands where a secret will be put.
_PLACEHOLDER = re.compile(
    r"^(|\W+|x+|<.*>|\{.*\}|your.*|my.*|changeme|change.me|todo|test|dummy|example|none|secret|password|token|\.\.\.)$",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"^(?:file://)?(?:/(?:home|Users|root|mnt|media|tmp|var|opt|data|srv|workspace|content|Volumes|kaggle|dbfs)/|~[\w.-]*/|[A-Za-z]:[\\/](?![\\/])|\\\\\w)"
)
_ASSIGN = 'Read it with nf.secret("{}"), from the environment or the keyring. Change the secret: it was saved in a file.'


def secrets_in_source(cells: list[Cell]) -> Iterator[Finding]:
    """Tokens anywhere in the text of a cell, and texts that are given to names that say so."""
    for cell in cells:
        tokens = dict(_tokens(cell.source))
        for line, token in tokens.items():
            yield _secret(
                cell.number,
                line,
                f"a secret in the source: {_shown(token)}",
                _ASSIGN.format("API_KEY"),
            )
        for name, text, line in _texts(cell):
            if (
                line not in tokens
                and name is not None
                and is_secret(name, text)
                and not _PLACEHOLDER.match(text)
            ):
                yield _secret(
                    cell.number,
                    line,
                    f"a secret in the source: {name} = {_shown(text)}",
                    _ASSIGN.format(name.upper()),
                )


def secrets_in_prose(document: Any) -> Iterator[Finding]:
    """Tokens in Markdown and raw cells."""
    for cell in document.cells:
        if cell.cell_type != "code":
            for _, token in _tokens(cell.source):
                yield _secret(
                    None,
                    None,
                    f"a secret in a {cell.cell_type} cell: {_shown(token)}",
                    "Take it out and change it: it was saved in a file.",
                )


def secrets_in_outputs(cells: list[Cell]) -> Iterator[Finding]:
    """Tokens that a cell printed."""
    for cell in cells:
        found = next(
            (
                match
                for text in _output_texts(cell.outputs)
                for match in [TOKEN.search(text)]
                if match
            ),
            None,
        )
        if found:
            yield _secret(
                cell.number,
                None,
                f"a secret in the outputs: {_shown(found[0])}",
                "Clear the outputs of the cell and do not print it. Change the secret: it was saved in a file.",
            )


def paths(cells: list[Cell]) -> Iterator[Finding]:
    """Texts that are absolute paths, each once."""
    told = set[str]()
    for cell in cells:
        for _, text, line in _texts(cell):
            if _PATH.match(text) and text not in told and "\n" not in text:
                told.add(text)
                path = text if len(text) <= 60 else text[:59] + "\u2026"  # noqa: PLR2004
                why = "Another machine, container or user does not have it."
                yield Finding(
                    "absolute-path",
                    "warning",
                    cell.number,
                    line,
                    f"the absolute path {path!r}",
                    why,
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


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        match = TOKEN.search(line)
        if match:
            yield number, match[0]


def _shown(text: str) -> str:
    """Enough of a secret to find it."""
    return f"{text[:4]}\u2026"


def _texts(cell: Cell) -> Iterator[tuple[str | None, str, int]]:
    """The texts of a cell, each with the name that it is given to, if there is one, and its line."""
    if cell.tree is None:
        return
    named: dict[int, str] = {}
    for node in ast.walk(cell.tree):
        pairs: list[tuple[Any, Any]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.arguments):
            pairs = [
                *zip(node.args[::-1], node.defaults[::-1], strict=False),
                *zip(node.kwonlyargs, node.kw_defaults, strict=True),
            ]
        named |= {id(value): name for target, value in pairs if (name := _name(target))}
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield named.get(id(node)), node.value, node.lineno


def _name(target: Any) -> str | None:
    if isinstance(target, str):
        return target
    for attribute in ("id", "attr", "arg"):
        if isinstance(getattr(target, attribute, None), str):
            return str(getattr(target, attribute))
    if isinstance(target, ast.Subscript):
        return _name(target.slice)
    return (
        target.value
        if isinstance(target, ast.Constant) and isinstance(target.value, str)
        else None
    )


def _output_texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if not str(key).startswith("image/"):
                yield from _output_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _output_texts(value)
