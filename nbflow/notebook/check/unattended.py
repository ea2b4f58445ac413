"""Unattended: magics, shell lines and calls that need a person, a front end or this machine."""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from nbflow.notebook.check.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.check.code_cells import CodeCell, Magic

_INSTALLS = re.compile(
    r"^\s*(?:python3?\s+-m\s+)?(?:pip3?|uv|conda|mamba|apt|apt-get|npm|poetry)\s+(?:pip\s+)?(?:install|add)\b"
)
_SCREENS = {
    "notebook", "widget", "ipympl", "qt", "qt5", "qt6", "tk", "osx", "gtk", "gtk3",
    "gtk4", "wx",
}  # fmt: skip
_SHELLS = {"!", "sx", "system", "bash", "sh", "script", "cmd", "perl", "ruby"}
_COMMANDS = {
    "python", "python2", "python3", "pypy", "step", "subshell", "autosave", "clear",
    "less", "more", "man", "ls", "ll", "lf", "lk", "ldir", "cat", "cp", "mv", "rm",
    "mkdir", "rmdir",
}  # fmt: skip


class _Matter(NamedTuple):
    """What a kind of magic means."""

    rule: str
    level: str
    why: str
    todo: str


_INSTALLING = _Matter(
    "installs",
    "warning",
    "The job gets whatever version is newest that day, or none without a network.",
    "Put it into the environment, and pin it (requirements.txt, pyproject.toml).",
)
_DEBUGGING = _Matter(
    "waits-for-a-person",
    "error",
    "It waits for somebody at a keyboard.",
    "Take it away.",
)
_SHOWING = _Matter(
    "front-end",
    "warning",
    "It needs a browser or a screen, which a job does not have.",
    "Take it away; for plots, `%matplotlib inline` is enough.",
)
_SHELL = _Matter(
    "shell",
    "warning",
    "It depends on the programs of this machine, and is not kept: it runs each time.",
    "Do it in Python, or make sure that the job's machine has what it calls.",
)
_MOVING = _Matter(
    "working-directory",
    "warning",
    "Relative paths mean something else behind it, and again when the cell is run twice.",
    "Use paths relative to the notebook's folder, where a job begins.",
)
_LOCAL = _Matter(
    "local-state",
    "warning",
    "It reads what IPython kept on this machine.",
    "Keep it in a file beside the notebook, or in a step.",
)
_UNKNOWN = _Matter(
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
#: Functions that wait for somebody, and modules whose functions of these names do.
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
    """Magics and shell lines that do not hold headless."""
    extended = any(
        magic.name in ("load_ext", "reload_ext")
        for cell in cells
        for magic in cell.magics
    )
    for cell in cells:
        for magic in cell.magics:
            found = _of_magic(magic, extended=extended)
            if found is not None:
                sign = "%%" if magic.is_cell else "" if magic.name == "!" else "%"
                shown = f"{sign}{magic.name}{'' if magic.name == '!' else ' '}{magic.text}".strip()
                yield Finding(
                    found.rule,
                    found.level,
                    cell.number,
                    magic.line,
                    f"`{shown if len(shown) <= 60 else shown[:59] + '…'}`",  # noqa: PLR2004
                    found.why,
                    found.todo,
                )


def waits_for_a_person(cells: list[CodeCell]) -> Iterator[Finding]:
    """Calls that ask."""
    for cell in cells:
        for node in ast.walk(cell.tree) if cell.tree is not None else ():
            if (
                isinstance(node, ast.Call)
                and (name := ast.unparse(node.func)) in _ASKING
            ):
                todo = (
                    "Make what it asks for a parameter, or for a secret read os.environ."
                    if "input" in name or "getpass" in name
                    else "Take it away."
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


def _of_magic(magic: Magic, *, extended: bool) -> _Matter | None:
    line = magic.text if magic.name in _SHELLS else f"{magic.name} {magic.text}"
    if _INSTALLS.match(line):
        return _INSTALLING
    if magic.name == "matplotlib" and magic.text.strip() in _SCREENS:
        return _SHOWING
    known = extended or magic.name in _known()
    return _BY_NAME.get(magic.name) or (None if known else _UNKNOWN)


@functools.cache
def _known() -> set[str]:
    """The magics that IPython and its kernel have, and the step cells of nbflow."""
    from IPython.core import magics as modules

    # By name, since newer versions load each only when it is asked for.
    classes = [
        getattr(modules, name) for name in dir(modules) if name.endswith("Magics")
    ]
    named = {
        name
        for one in classes
        for kind in getattr(one, "magics", {}).values()
        for name in kind
    }
    return named | _COMMANDS
