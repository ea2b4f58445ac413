"""Unattended: magics, shell lines and calls that need a person, a front end or this very machine."""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from nbflow.notebook.check.finding import Finding, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.check.code_cells import CodeCell, Magic

_INSTALLS = re.compile(
    r"^\s*(?:python3?\s+-m\s+)?(?:pip3?|uv|conda|mamba|apt|apt-get|npm|poetry)\s+(?:pip\s+)?(?:install|add)\b"
)
#: Backends of matplotlib that need a screen or a front end.
_SCREENS = {
    "notebook", "widget", "ipympl", "qt", "qt5", "qt6", "tk", "osx", "gtk", "gtk3",
    "gtk4", "wx",
}  # fmt: skip
#: Magics that run a program.
_SHELLS = {"!", "sx", "system", "bash", "sh", "script", "cmd", "perl", "ruby"}
#: Magics that IPython's classes do not list.
_COMMANDS = {
    "python", "python2", "python3", "pypy", "step", "subshell", "autosave", "clear",
    "less", "more", "man", "ls", "ll", "lf", "lk", "ldir", "cat", "cp", "mv", "rm",
    "mkdir", "rmdir",
}  # fmt: skip


class _MagicRule(NamedTuple):
    """What a kind of magic means."""

    rule: str
    level: str
    why: str
    todo: str


_INSTALLING = _MagicRule(
    "installs",
    "warning",
    "The job gets whatever version is newest that day, or none without a network.",
    "Put it into the environment, and pin it (requirements.txt, pyproject.toml).",
)
_DEBUGGING = _MagicRule(
    "waits-for-a-person",
    "error",
    "It waits for somebody at a keyboard.",
    "Take it away.",
)
_SHOWING = _MagicRule(
    "front-end",
    "warning",
    "It needs a browser or a screen, which a job does not have.",
    "Remove it; for plots, `%matplotlib inline` is enough.",
)
_SHELL = _MagicRule(
    "shell",
    "warning",
    "It depends on the programs of this machine, and is not kept: it runs each time.",
    "Do it in Python, or make sure that the job's machine has what it calls.",
)
_MOVING = _MagicRule(
    "working-directory",
    "warning",
    "Relative paths mean something else after it, and again when the cell is run twice.",
    "Use paths relative to the notebook's folder, where a job begins.",
)
_LOCAL = _MagicRule(
    "local-state",
    "warning",
    "It reads what IPython kept on this machine.",
    "Keep it in a file beside the notebook, or in a step.",
)
_UNKNOWN = _MagicRule(
    "unknown-magic",
    "warning",
    "IPython does not know it by itself: without an extension the cell fails.",
    "Load its extension in a cell above: %load_ext NAME.",
)
_BY_NAME = {
    **dict.fromkeys(("debug", "pdb"), _DEBUGGING),
    **dict.fromkeys(
        (
            "javascript",
            "js",
            "gui",
            "connect_info",
            "qtconsole",
            "notebook",
            "edit",
            "load",
            "recall",
            "rerun",
        ),
        _SHOWING,
    ),
    **dict.fromkeys(_SHELLS, _SHELL),
    **dict.fromkeys(("cd", "pushd", "popd"), _MOVING),
    **dict.fromkeys(("store", "history", "macro"), _LOCAL),
}
#: Functions that wait for a person.
_ASKING = {
    "input",
    "breakpoint",
    "getpass.getpass",
    "pdb.set_trace",
    "ipdb.set_trace",
    "IPython.embed",
    "embed",
}


def magics(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find magics and shell lines that do not work headless."""
    extended = any(
        magic.name in ("load_ext", "reload_ext")
        for cell in cells
        for magic in cell.magics
    )
    for cell in cells:
        for magic in cell.magics:
            found = _of_magic(magic, extended=extended)
            if found is not None:
                yield Finding(
                    found.rule,
                    found.level,
                    cell.number,
                    magic.line,
                    f"`{shown(_as_written(magic))}`",
                    found.why,
                    found.todo,
                )


def waits_for_a_person(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find calls that wait for an answer."""
    for cell in cells:
        for node in ast.walk(cell.tree) if cell.tree is not None else ():
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in _ASKING:
                todo = "Take it away."
                if "input" in name or "getpass" in name:
                    todo = (
                        "Make what it asks for a parameter, or for a secret read"
                        " os.environ."
                    )
                yield Finding(
                    "waits-for-a-person",
                    "error",
                    cell.number,
                    node.lineno,
                    f"`{name}()` waits for somebody",
                    "Headless nobody answers, and the cell fails.",
                    todo,
                )


def _as_written(magic: Magic) -> str:
    if magic.name == "!":
        return f"!{magic.text}".strip()
    sign = "%%" if magic.is_cell else "%"
    return f"{sign}{magic.name} {magic.text}".strip()


def _of_magic(magic: Magic, *, extended: bool) -> _MagicRule | None:
    line = magic.text if magic.name in _SHELLS else f"{magic.name} {magic.text}"
    if _INSTALLS.match(line):
        return _INSTALLING
    if magic.name == "matplotlib" and magic.text.strip() in _SCREENS:
        return _SHOWING
    if magic.name in _BY_NAME:
        return _BY_NAME[magic.name]
    return None if extended or magic.name in _known() else _UNKNOWN


@functools.cache
def _known() -> set[str]:
    """Return the magics that IPython and its kernel have, and the step cells of nbflow."""
    from IPython.core import magics as modules

    names = set(_COMMANDS)
    # By name, since newer versions load each only when it is asked for.
    for name in dir(modules):
        if name.endswith("Magics"):
            for kind in getattr(getattr(modules, name), "magics", {}).values():
                names.update(kind)
    return names
