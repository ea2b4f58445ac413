"""Readme: ten lines for whoever finds the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbflow.export.spec import Job, Target

#: What runs leave in the folder, and what must not be committed.
IGNORED = "secrets.env\n.env\n.nbflow/\n*.out.ipynb\n*.out.run.json\n*.log\n__pycache__/\n.venv/\n"


def as_text(job: Job, target: Target) -> str:
    """The README of an export."""
    guide = target.guide(job)
    lines = {
        "What": f"{code(job.notebook)} as {target.about}"
        + (f", with {code(' '.join(job.given))}" if job.given else "")
        + ". Commands are for a shell in this folder.",
        "When": f"{job.schedule.words}." if job.schedule else "Whenever it is called.",
        "Install": guide.install,
        "Secrets": f"{', '.join(f'`{name}`' for name in job.secrets)}: {guide.secrets}"
        if job.secrets
        else "None that the source names.",
        "Test": guide.test,
        "Watch": guide.watch,
        "Remove": guide.remove,
        "Missed and overlapping runs": guide.missed,
        "Store": (
            f"{code(str(job.store))}, shared with the notebook: what is done there is "
            f"not done again here."
        )
        if job.store
        else (
            f"Not that of the notebook, which is on another machine: the first run "
            f"executes everything. {guide.store}"
        ).rstrip(),
        "Packages": (
            f"`{job.lock}`. Retries are nbflow's, so the platform makes none. "
            f"Exported again, the folder shows what changed and keeps what you "
            f"changed by hand."
        ),
    }
    return f"# {one_line(job.title)}\n\n" + "".join(
        f"- **{name}.** {text}\n" for name, text in lines.items()
    )


def one_line(text: str) -> str:
    """Any text as words of one line that Markdown shows as they are, and no comment ends before its line does."""
    line = "".join(one if one.isprintable() else " " for one in text)
    return "".join(f"\\{one}" if one in "\\`*_[]<>#&|~" else one for one in line)


def code(text: str) -> str:
    """Any text as code within a line."""
    line = "".join(one if one.isprintable() else " " for one in text)
    fence = "`"
    while fence in line:
        fence += "`"
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{edge}{line}{edge}{fence}"
