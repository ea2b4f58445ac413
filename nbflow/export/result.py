"""Result: an export, written or only looked at, and how it is shown to a person."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

from nbflow.export import output_folder as folders
from nbflow.export.targets import target

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from rich.console import Console

    from nbflow.export.output_folder import Change, Manifest
    from nbflow.export.spec import Guide, Job
    from nbflow.notebook.check import Finding

_STYLES = {
    "kept": "yellow",
    "new": "green",
    "changed": "cyan",
    "removed": "red",
    "same": "bright_black",
}
_DIFF_STYLES = {"+": "green", "-": "red"}
#: The number of coming runs that are shown.
_FIRINGS = 3
#: The number of lines of a diff that are read; the first two name the files.
_MOST = 40
_HEADER = 2
_OTHER_STORE = (
    "not that of the notebook, which is on another machine: "
    "the first run executes everything"
)


@dataclass(frozen=True, slots=True)
class Export:
    """An export, as it was written or would be.

    Attributes:
        job: what runs, when and with which parameters.
        to: the target's name.
        changes: what became of each file.
        warnings: what the person who installs it has to know.
        findings: errors of ``nbflow check`` that ``force`` overrode.
        is_new: the folder held no export before.
        is_written: the files were written, not only compared.
    """

    job: Job
    to: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    is_new: bool = True
    is_written: bool = False
    _files: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _noted: Manifest = field(
        default_factory=folders.Manifest, repr=False, compare=False
    )

    @property
    def folder(self) -> Path:
        """The folder that holds the export."""
        return self.job.folder

    def write(self) -> None:
        """Write the files into the folder.

        Raises:
            UsageError: the folder cannot be written to.
        """
        folders.write(self.folder, self._files, list(self.changes), self._noted)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self)}


def as_text(export: Export) -> str:
    """What `to_console` prints, without colours."""
    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=120, highlight=False, emoji=False, markup=False)
    to_console(export, console)
    return text.getvalue().rstrip("\n")


def to_console(export: Export, console: Console) -> None:
    """Print where the export is, what it runs, which files changed and what to do next."""
    guide = target(export.to).guide(export.job)
    _show_job(export, guide, console)
    console.print()
    _show_changes(export, console)
    console.print()
    for warning in export.warnings:
        _line(console, "note", warning, "yellow")
    for finding in export.findings:
        _line(console, "forced", f"nbflow check: {finding_text(finding)}", "red")
    if export.is_written:
        _line(console, "test", _plain(guide.test))
        _line(console, "install", _plain(guide.install))
        _line(console, "more", str(export.folder / "README.md"))
    else:
        console.print("Nothing was written (--dry-run).")


def finding_text(finding: Finding) -> str:
    """A finding of ``nbflow check`` in one line: where, what and what to do."""
    where = f"cell {finding.cell}: " if finding.cell else ""
    return f"{where}{finding.what}. {finding.todo}"


def _show_job(export: Export, guide: Guide, console: Console) -> None:
    """Print what runs, when and with what."""
    from rich.text import Text

    job = export.job
    about = target(export.to).about
    title = Text.assemble((job.title, "bold"), f"  {export.to}: {about}")
    console.print(title, soft_wrap=True)
    _line(console, "folder", str(job.folder))
    if job.schedule:
        times = _dates(job.schedule.next(_FIRINGS))
        _line(console, "runs", f"{job.schedule.words}; next {times}")
    if job.given:
        _line(console, "parameters", "  ".join(job.given))
    store = f"{job.store}, shared with the notebook" if job.store else _OTHER_STORE
    _line(console, "store", store)
    if job.secrets:
        names = ", ".join(job.secrets)
        _line(console, "secrets", f"{names}: by name only; {_plain(guide.secrets)}")


def _show_changes(export: Export, console: Console) -> None:
    """Print what became of each file, the most notable kind first."""
    from rich.text import Text

    def rank(change: Change) -> tuple[int, str]:
        return folders.KINDS.index(change.kind), change.path

    for change in sorted(export.changes, key=rank):
        if change.kind == "same":
            continue
        _show(change, console)
        if not export.is_new:
            _show_diff(change, console)
    same = Counter(change.kind for change in export.changes)["same"]
    if same:
        files = "1 file" if same == 1 else f"{same} files"
        console.print(Text(f"  {files} as before", "bright_black"))


def _show(change: Change, console: Console) -> None:
    from rich.text import Text

    why = ""
    if change.kind == "kept":
        why = "  changed by hand, so it stays"
        if change.beside:
            why += f"; what the export would write is in {change.path}.new"
    kind = (f"  {change.kind:<8} ", _STYLES[change.kind])
    console.print(Text.assemble(kind, change.path, (why, "yellow")), soft_wrap=True)


def _show_diff(change: Change, console: Console) -> None:
    from rich.text import Text

    indent = " " * 11
    for line in change.diff[_HEADER:_MOST]:
        style = _DIFF_STYLES.get(line[:1], "bright_black")
        console.print(Text(indent + line, style), soft_wrap=True)
    if len(change.diff) > _MOST:
        more = f"{indent}and {len(change.diff) - _MOST} lines more"
        console.print(Text(more, "bright_black"))


def _line(console: Console, name: str, text: str, style: str = "") -> None:
    from rich.text import Text

    line = Text.assemble((f"{name:<11}", "bright_black"), (text, style))
    console.print(line, soft_wrap=True)


def _dates(times: list[datetime]) -> str:
    """Times in a line; with their years if they are not all in the same year."""
    years = " %Y" if len({time.year for time in times}) > 1 else ""
    return ", ".join(time.strftime(f"%a %d %b{years} %H:%M") for time in times)


def _plain(text: str) -> str:
    """Markdown for a terminal.

    A text that is nothing but a command loses its backticks, so that it can be copied.
    A command within a sentence keeps them.
    """
    whole = re.fullmatch(r"(`+)(?P<space> ?)((?:(?!\1).)+)(?P=space)\1", text)
    return whole[3] if whole else text
