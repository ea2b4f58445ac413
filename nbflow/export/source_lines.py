"""Source lines: the lines of a notebook's statements as a module has them.

A line that begins inside of a text carries a mark from here on, until `released` takes
it away: neither indentation nor tidying may change it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from nbflow._key.cell_names import is_definition
from nbflow.export.statements import (
    DEFINITIONS,
    annotated,
    awaits,
    future_imports,
    lines_inside_texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.export.chunks import Chunk, ChunkedCell

#: The mark; no source has this character.
_FIXED = "\0"


def released(lines: Iterable[str]) -> list[str]:
    """Lines without their marks, the blank ones empty."""
    return [_released(line) for line in lines]


def _released(line: str) -> str:
    if line.startswith(_FIXED):
        return line.removeprefix(_FIXED)
    return line if line.strip() else ""


def indented(lines: Iterable[str], by: str = "    ") -> list[str]:
    """Lines moved to the right; blank ones, and those inside of a text, are not."""
    return [_indented(line, by) for line in lines]


def _indented(line: str, by: str) -> str:
    if line.startswith(_FIXED):
        return line
    return by + line if line.strip() else ""


def defining(chunk: Chunk) -> list[str]:
    """The lines of a definition at the top of a module.

    Functions and classes have two empty lines above. ``from __future__`` has its own
    place.
    """
    if future_imports(chunk.body):
        return []
    lines = marked(chunk)
    return ["", "", *lines] if isinstance(chunk.body[0], DEFINITIONS) else lines


def acting(chunk: Chunk, show: str) -> list[str]:
    """The lines of a chunk in a function; a value that the notebook shows goes to ``show``."""
    if chunk.shown:
        return _marked(chunk, _shown(chunk, show))
    return _marked(chunk, _without_annotations(chunk))


def marked(chunk: Chunk) -> list[str]:
    """The lines of a chunk as they are, with their marks."""
    return _marked(chunk, chunk.lines)


def _marked(chunk: Chunk, lines: list[str]) -> list[str]:
    inside = set[int]().union(*map(lines_inside_texts, chunk.body))
    numbered = enumerate(lines, _first_line(chunk))
    return [_FIXED + line if number in inside else line for number, line in numbered]


def _first_line(chunk: Chunk) -> int:
    """The number in the cell of a chunk's first line: its last one ends its last statement."""
    return (chunk.body[-1].end_lineno or 0) - len(chunk.lines) + 1


def _shown(chunk: Chunk, show: str) -> list[str]:
    """The lines of an expression, as the argument of a call of ``show``."""
    (node,) = chunk.body
    is_tuple = isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple)
    begin, close = ("((", "))") if is_tuple else ("(", ")")  # `a, b` is one value
    lines = list(chunk.lines)
    # The end first, which does not move the beginning. Columns count bytes.
    text = lines[-1].encode()
    before, behind = text[: node.end_col_offset], text[node.end_col_offset :]
    lines[-1] = f"{before.decode()}{close}{behind.decode()}"
    first = node.lineno - _first_line(chunk)
    lines[first] = f"{show}{begin}{lines[first]}"
    return lines


def _without_annotations(chunk: Chunk) -> list[str]:
    lines = list(chunk.lines)
    for node in annotated(chunk.body):
        place = node.lineno - _first_line(chunk)
        lines[place] = _without_annotation(node, lines[place])
    return lines


def _without_annotation(node: ast.AnnAssign, line: str) -> str:
    """`x: int = 1` as `x = 1`; over several lines it stays, and is refused."""
    if (node.annotation.end_lineno or node.lineno) != node.lineno:
        return line
    text = line.encode()
    if node.value is None:
        return (
            text[: node.col_offset] + b"pass" + text[node.end_col_offset :]
        ).decode()
    begin = node.target.end_col_offset
    end = node.annotation.end_col_offset
    return (text[:begin] + text[end:]).decode()


def step_cell(cell: ChunkedCell, imported: frozenset[str]) -> list[str]:
    """A step cell: a loop over its attempts.

    What only a real run does stands behind ``live``. Definitions, and what sets up what
    is ``imported``, are always executed.
    """
    prefix = "async " if any(map(awaits, cell.body)) else ""
    lines = [
        f"for _attempt in _script.step_cell({cell.step!r}, globals()):",
        f"    {prefix}with _attempt:",
    ]
    is_live = False
    for chunk in cell.chunks:
        was_live = is_live
        is_live = not all(is_definition(node, imported) for node in chunk.body)
        if is_live and not was_live:
            lines.append("        if _attempt.live:")
        indent = " " * (12 if is_live else 8)
        lines += indented(acting(chunk, "_attempt.show"), indent)
    if not cell.chunks:
        lines.append("        pass")
    return lines
