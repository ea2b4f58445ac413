"""Show: an export for a person at a terminal or in a notebook."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

from nbflow.export.output_folder import KINDS
from nbflow.export.targets import target

if TYPE_CHECKING:
    from datetime import datetime

    from nbflow.export.output_folder import Change
    from nbflow.export.prepare import Export

_STYLES = {
    "kept": "yellow",
    "new": "green",
    "changed": "cyan",
    "removed": "red",
    "same": "bright_black",
}
_FIRINGS = 3
#: Lines of one diff that are shown.
_MOST = 40


def as_text(export: Export) -> str:
    """What `to_console` prints, without colours."""
    from rich.console import Console

    text = StringIO()
    to_console(
        export,
        Console(file=text, width=120, highlight=False, emoji=False, markup=False),
    )
    return text.getvalue().rstrip("\n")


def to_console(export: Export, console: Any) -> None:
    """Where the export is, when it runs, with what, which files changed and how, and what to do next."""
    from rich.text import Text

    job, chosen = export.job, target(export.to)
    guide = chosen.guide(job)
    console.print(
        Text.assemble((job.title, "bold"), f"  {export.to}: {chosen.about}"),
        soft_wrap=True,
    )
    when = (
        f"{job.schedule.words}; next {_dates(job.schedule.next(_FIRINGS))}"
        if job.schedule
        else ""
    )
    store = (
        f"{job.store}, shared with the notebook"
        if job.store
        else "not that of the notebook, which is on another machine: the first run executes everything"
    )
    secrets = (
        f"{', '.join(job.secrets)}: by name only; {_plain(guide.secrets)}"
        if job.secrets
        else ""
    )
    _lines(
        console,
        {
            "folder": str(job.folder),
            "runs": when,
            "parameters": "  ".join(job.given),
            "store": store,
            "secrets": secrets,
        },
    )
    console.print()
    for change in sorted(
        export.changes, key=lambda one: (KINDS.index(one.kind), one.path)
    ):
        if change.kind != "same":
            _show(change, console, is_new=export.is_new)
    same = sum(change.kind == "same" for change in export.changes)
    if same:
        console.print(
            Text(f"  {same} file{'s' * (same != 1)} as before", "bright_black")
        )
    console.print()
    for text in export.warnings:
        _lines(console, {"note": text}, "yellow")
    for one in export.findings:
        _lines(
            console,
            {
                "forced": f"nbflow check: {f'cell {one.cell}: ' if one.cell else ''}{one.what}. {one.todo}"
            },
            "red",
        )
    if export.is_written:
        _lines(
            console,
            {
                "test": _plain(guide.test),
                "install": _plain(guide.install),
                "more": str(job.folder / "README.md"),
            },
        )
    else:
        console.print("Nothing was written (--dry-run).")


def _dates(times: list[datetime]) -> str:
    """Times in a line, with their years where those are not one."""
    years = " %Y" if len({time.year for time in times}) > 1 else ""
    return ", ".join(time.strftime(f"%a %d %b{years} %H:%M") for time in times)


def _lines(console: Any, said: dict[str, str], style: str = "") -> None:
    from rich.text import Text

    for name, text in said.items():
        if text:
            console.print(
                Text.assemble((f"{name:<11}", "bright_black"), (text, style)),
                soft_wrap=True,
            )


def _show(change: Change, console: Any, *, is_new: bool) -> None:
    from rich.text import Text

    why = (
        f"  changed by hand, so it stays{f'; what the export would write is in {change.path}.new' if change.beside else ''}"
        if change.kind == "kept"
        else ""
    )
    console.print(
        Text.assemble(
            (f"  {change.kind:<8} ", _STYLES[change.kind]), change.path, (why, "yellow")
        ),
        soft_wrap=True,
    )
    if is_new or change.kind == "same":
        return
    for text in change.diff[2:_MOST]:
        console.print(
            Text(
                "           " + text,
                {"+": "green", "-": "red"}.get(text[:1], "bright_black"),
            ),
            soft_wrap=True,
        )
    if len(change.diff) > _MOST:
        console.print(
            Text(
                f"           and {len(change.diff) - _MOST} lines more", "bright_black"
            )
        )


def _plain(text: str) -> str:
    """Markdown as a terminal shows it: a command alone as it is typed, among words it keeps its marks."""
    whole = re.fullmatch(r"(`+)(?P<space> ?)((?:(?!\1).)+)(?P=space)\1", text)
    return whole[3] if whole else text
