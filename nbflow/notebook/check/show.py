"""Show: findings as a person reads them, and as programs do."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from nbflow._run.answers.document import document
from nbflow.notebook.check.finding import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nbflow.notebook.check.finding import Finding

#: Findings that the answer for programs has.
_MOST = 200
_STYLES = {"error": "red", "warning": "yellow", "note": "bright_black"}


def to_json(found: dict[str, list[Finding]]) -> str:
    """Return the findings of several notebooks as ``nbflow.check/1``."""
    listed = [
        {"notebook": path, **one._asdict()}
        for path, findings in found.items()
        for one in findings
    ]
    facts = {"notebooks": list(found), "findings": listed[:_MOST]}
    return document("nbflow.check/1", {**facts, "more": max(0, len(listed) - _MOST)})


def to_console(path: str, findings: Sequence[Finding], console: Console) -> None:
    """Print the findings of one notebook: place and what in one line, why and what to do below it."""
    from rich.text import Text

    console.print(
        Text.assemble((path, "bold"), f"  {summary(findings)}"), soft_wrap=True
    )
    places = [_place(one) for one in findings]
    wide = max(map(len, places), default=0)
    for one, place in zip(findings, places, strict=True):
        indent = wide + 13
        room = max(30, console.width - indent - 1)
        first, *more = textwrap.wrap(f"{one.what} [{one.rule}]", room)
        more += textwrap.wrap(one.why, room)
        more += textwrap.wrap(
            one.todo, room, initial_indent="\u2192 ", subsequent_indent="  "
        )
        level = (f"  {one.level:<7}", _STYLES[one.level])
        console.print()
        console.print(
            Text.assemble(level, (f"  {place:<{wide}}  ", "bright_black"), first),
            soft_wrap=True,
        )
        for line in more:
            console.print(Text(" " * indent + line), soft_wrap=True)


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of findings of each level."""
    counts = Counter(one.level for one in findings)
    parts = []
    for level in LEVELS:
        if counts[level]:
            noun = level if counts[level] == 1 else f"{level}s"
            parts.append(f"{counts[level]} {noun}")
    return ", ".join(parts) or "nothing found"


def _place(one: Finding) -> str:
    if not one.cell:
        return "notebook"
    return f"cell {one.cell} line {one.line}" if one.line else f"cell {one.cell}"
