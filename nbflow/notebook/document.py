"""Document: what an ``.ipynb`` says, and the marks that a run leaves in it. Pure but for `read`: dicts of nbformat in and out."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError
from nbflow.notebook import parameters

if TYPE_CHECKING:
    from pathlib import Path

#: What papermill tags: the cell that declares parameters, and the one that gives them
#: values.
PARAMETERS, INJECTED = "parameters", "injected-parameters"
#: The first line of a step cell, and what it says.
STEP_LINE = re.compile(r"^(?:%%step\b|#\|\s*step\s*:)(.*)$")
#: How a cell came out, as its metadata says it.
STATES = ("ok", "cached", "failed", "interrupted", "not run")
_ID = "nbflow-parameters"


def read(path: Path) -> Any:
    """The notebook at ``path``, as nbformat has it.

    Raises:
        UsageError: there is none, or it is not a notebook that this Python can run.
    """
    try:
        import nbformat
    except ImportError:
        raise UsageError(
            "Running a notebook needs nbformat and nbclient; install them with: pip install 'nbflow[lab]'"
        ) from None
    try:
        text = path.read_text(
            "utf-8-sig"
        )  # some editors of Windows begin a file with a mark
    except FileNotFoundError:
        close = difflib.get_close_matches(
            path.name, [other.name for other in path.parent.glob("*.ipynb")], 1
        )
        raise UsageError(
            f"There is no notebook {path}"
            + (f"; did you mean {path.with_name(close[0])}?" if close else ".")
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The notebook {path} cannot be read: {error}") from None
    try:
        json.loads(text)  # nbformat does not say where it breaks
        document: Any = nbformat.reads(text, as_version=4)
        nbformat.validate(document)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path} is not a notebook: its JSON breaks at line {error.lineno}, column {error.colno} ({error.msg})."
        ) from None
    except (
        Exception
    ) as error:  # nbformat raises what it meets: KeyError, AttributeError, its own
        said = str(error).partition("\n")[0]
        raise UsageError(
            f"{path} is not a notebook of Jupyter ({type(error).__name__}: {said})."
        ) from None
    language = (
        document.metadata.get("kernelspec", {}).get("language")
        or document.metadata.get("language_info", {}).get("name")
        or "python"
    )
    if language.lower() != "python":
        raise UsageError(f"{path} is a notebook for {language}; nbflow runs Python.")
    return document


def code_cells(document: Any) -> list[tuple[int, Any]]:
    """The cells that have something to run, each with its place in the notebook (from 0)."""
    return [
        (place, cell)
        for place, cell in enumerate(document.cells)
        if cell.cell_type == "code" and cell.source.strip()
    ]


def tags(cell: Any) -> list[str]:
    """A cell's tags."""
    return list(cell.metadata.get("tags", []))


def label(cell: Any) -> str:
    """The line that tells a cell from others: its step's, its first statement, for a decorated function its ``def``."""
    lines: list[str] = [line.strip() for line in cell.source.splitlines()]
    said = [
        line
        for line in lines
        if line and (STEP_LINE.match(line) or not line.startswith("#"))
    ]
    if said and said[0].startswith("@"):
        said = [
            line for line in said if re.match(r"(async\s+)?def |class ", line)
        ] or said
    return (said or lines or [""])[0]


def step_line(source: str) -> tuple[int, str] | None:
    """The line that makes a cell a step, with its number and what it says; nothing for any other cell."""
    for number, line in enumerate(source.splitlines(), 1):
        if found := STEP_LINE.match(line):
            return number, found[1].strip()
        if line.strip() and not line.startswith(("#|", "%%")):
            return None
    return None


def step_cells(document: Any) -> set[str]:
    """The names of the step cells."""
    found = (step_line(cell.source) for _, cell in code_cells(document))
    return {
        words[0] for line in found if line is not None and (words := line[1].split())
    }


def title(document: Any) -> str:
    """The first heading; empty if there is none."""
    text = "\n".join(
        cell.source for cell in document.cells if cell.cell_type == "markdown"
    )
    found = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


# Parameters.


def declared(document: Any) -> list[parameters.Parameter]:
    """The parameters that the notebook declares; none if no cell is tagged.

    Raises:
        UsageError: two cells are tagged, or the cell is not plain Python.
    """
    found = _tagged(document, PARAMETERS)
    if len(found) > 1:
        raise UsageError(
            f"Cells {' and '.join(str(place + 1) for place in found)} are tagged {PARAMETERS!r}: there can be one; move what they declare into it."
        )
    return parameters.declared(document.cells[found[0]].source) if found else []


def given(document: Any, texts: list[str]) -> dict[str, Any]:
    """The values that ``name=value`` texts mean for this notebook.

    Raises:
        UsageError: nothing is declared, or a text does not fit what is.
    """
    if texts and not _tagged(document, PARAMETERS):
        raise UsageError(
            f"The notebook has no cell tagged {PARAMETERS!r}, so -p {texts[0].partition('=')[0]} can have no effect: put its default values into one cell and tag it (JupyterLab: the gears on the right)."
        )
    return parameters.given(declared(document), texts)


def inject(document: Any, values: dict[str, Any]) -> None:
    """Give parameters these values: in a cell behind the tagged one, in place of one that an earlier run left."""
    for place in reversed(_tagged(document, INJECTED)):
        del document.cells[place]
    if values:
        from nbformat.v4 import new_code_cell

        cell = new_code_cell(
            parameters.as_source(values), id=_ID, metadata={"tags": [INJECTED]}
        )
        if document.nbformat_minor < 5:  # noqa: PLR2004 - the first with ids
            del cell["id"]
        document.cells.insert(_tagged(document, PARAMETERS)[0] + 1, cell)


def _tagged(document: Any, tag: str) -> list[int]:
    return [
        place
        for place, cell in enumerate(document.cells)
        if cell.cell_type == "code" and tag in tags(cell)
    ]


# Marks.


def begin(document: Any) -> None:
    """Take away what an earlier run left; every cell is ``not run``."""
    document.metadata.pop("nbflow", None)
    document.metadata.pop("widgets", None)
    for _, cell in code_cells(document):
        cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
        mark(cell, "not run")


def mark(cell: Any, state: str, **more: Any) -> None:
    """Say in a cell's metadata how it came out."""
    cell.metadata["nbflow"] = {"state": state, **more}


def state_of(cell: Any) -> str:
    """How a cell came out."""
    return str(cell.metadata.get("nbflow", {}).get("state", "not run"))
