"""Readme: ten lines for the person who finds the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.export.source import printable

if TYPE_CHECKING:
    from nbflow.export.spec import Guide, Job, Target

#: What runs leave in the folder, and what must not be committed.
IGNORED = "".join(
    f"{pattern}\n"
    for pattern in (
        "secrets.env", ".env", ".nbflow/", "*.out.ipynb", "*.out.run.json", "*.log",
        "__pycache__/", ".venv/",
    )
)  # fmt: skip
_MARKS = frozenset("\\`*_[]<>#&|~")


def as_text(job: Job, target: Target) -> str:
    """The README of an export."""
    guide = target.guide(job)
    lines = {
        "What": _what(job, target),
        "When": f"{job.schedule.words}." if job.schedule else "Whenever it is called.",
        "Install": guide.install,
        "Secrets": _secrets(job, guide),
        "Test": guide.test,
        "Watch": guide.watch,
        "Remove": guide.remove,
        "Missed and overlapping runs": guide.missed,
        "Store": _store(job, guide),
        "Packages": (
            f"`{job.lock}`. Retries are nbflow's, so the platform makes none. "
            "Exported again, the folder shows what changed and keeps what you "
            "changed by hand."
        ),
    }
    items = "".join(f"- **{name}.** {text}\n" for name, text in lines.items())
    return f"# {one_line(job.title)}\n\n{items}"


def _what(job: Job, target: Target) -> str:
    parameters = f", with {code(' '.join(job.given))}" if job.given else ""
    return (
        f"{code(job.notebook)} as {target.about}{parameters}. "
        "Commands are for a shell in this folder."
    )


def _secrets(job: Job, guide: Guide) -> str:
    if not job.secrets:
        return "None that the source names."
    names = ", ".join(f"`{name}`" for name in job.secrets)
    told = ""
    if "--notify" in job.options:
        told = (
            " Addresses of notices are Apprise's, such as "
            "`mailto://user:password@example.com`."
        )
    return f"{names}: {guide.secrets}{told}"


def _store(job: Job, guide: Guide) -> str:
    if job.store:
        return (
            f"{code(str(job.store))}, shared with the notebook: what is done there is "
            "not done again here."
        )
    text = (
        "Not that of the notebook, which is on another machine: the first run executes "
        f"everything. {guide.store}"
    )
    return text.rstrip()


def one_line(text: str) -> str:
    """Any text as words of one line that Markdown shows as they are.

    A comment that holds it does not end before its line does.
    """
    line = printable(text)
    return "".join(f"\\{one}" if one in _MARKS else one for one in line)


def code(text: str) -> str:
    """Any text as code within a line."""
    line = printable(text)
    fence = "`"
    while fence in line:
        fence += "`"
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{edge}{line}{edge}{fence}"
