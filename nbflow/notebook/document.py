"""Document: what an ``.ipynb`` says, and the marks that a run leaves in it.

All but `read` is pure: notebooks of nbformat in and out.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.notebook import parameters

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

#: The tags of papermill: of the cell that declares parameters, and of the one that gives
#: them values.
PARAMETERS, INJECTED = "parameters", "injected-parameters"
#: The first line of a step cell, and what it says.
STEP_LINE = re.compile(r"^(?:%%step\b|#\|\s*step\s*:)(.*)$")
#: How a cell came out, as its metadata says it.
STATES = ("ok", "cached", "failed", "interrupted", "not run")
#: The id of the cell that `inject` adds.
_ID = "nbflow-parameters"
#: The first version of the format in which cells have ids is 4.5.
_MINOR_WITH_IDS = 5


def read(path: Path) -> NotebookNode:
    """Return the notebook at ``path``, as nbformat has it.

    Raises:
        UsageError: there is none, or it is not a notebook that this Python can run.
    """
    try:
        import nbformat
    except ImportError:
        raise UsageError(
            "Running a notebook needs nbformat and nbclient; install them with:"
            " pip install 'nbflow[lab]'"
        ) from None
    text = _text_of(path)
    document: NotebookNode
    try:
        json.loads(text)  # nbformat does not say where it breaks
        document = nbformat.reads(text, as_version=4)
        nbformat.validate(document)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path} is not a notebook: its JSON breaks at line {error.lineno}, column"
            f" {error.colno} ({error.msg})."
        ) from None
    except Exception as error:
        # nbformat raises what it meets: KeyError, AttributeError, its own.
        said = str(error).partition("\n")[0]
        raise UsageError(
            f"{path} is not a notebook of Jupyter ({type(error).__name__}: {said})."
        ) from None
    language = _language(document)
    if language.lower() != "python":
        raise UsageError(f"{path} is a notebook for {language}; nbflow runs Python.")
    return document


def _text_of(path: Path) -> str:
    """Return the text of a file; a missing one is reported with the closest name."""
    try:
        # Some editors on Windows begin a file with a byte order mark.
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        names = [other.name for other in path.parent.glob("*.ipynb")]
        close = difflib.get_close_matches(path.name, names, 1)
        hint = f"; did you mean {path.with_name(close[0])}?" if close else "."
        raise UsageError(f"There is no notebook {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The notebook {path} cannot be read: {error}") from None


def _language(document: NotebookNode) -> str:
    metadata = document.metadata
    named = metadata.get("kernelspec", {}).get("language")
    return str(named or metadata.get("language_info", {}).get("name") or "python")


def code_cells(document: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """Return the cells that have something to run, each with its place in the notebook (from 0)."""
    return [
        (place, cell)
        for place, cell in enumerate(document.cells)
        if cell.cell_type == "code" and cell.source.strip()
    ]


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def label(cell: NotebookNode) -> str:
    """Return the line by which a person knows a cell.

    That is the line that makes it a step, its first statement, or for a decorated
    function its ``def``.
    """
    lines: list[str] = [line.strip() for line in cell.source.splitlines()]
    said = [
        line
        for line in lines
        if line and (STEP_LINE.match(line) or not line.startswith("#"))
    ]
    if said and said[0].startswith("@"):
        for line in said:
            if re.match(r"(async\s+)?def |class ", line):
                return line
    first = said or lines
    return first[0] if first else ""


def step_line(source: str) -> tuple[int, str] | None:
    """Return the line that makes a cell a step: its number and what it says; ``None`` for any other cell."""
    for number, line in enumerate(source.splitlines(), 1):
        if found := STEP_LINE.match(line):
            return number, found[1].strip()
        if line.strip() and not line.startswith(("#|", "%%")):
            return None
    return None


def step_cells(document: NotebookNode) -> set[str]:
    """Return the names of the step cells."""
    names = set()
    for _, cell in code_cells(document):
        line = step_line(cell.source)
        words = line[1].split() if line is not None else []
        names.update(words[:1])
    return names


def title(document: NotebookNode) -> str:
    """Return the first heading; empty if there is none."""
    texts = [cell.source for cell in document.cells if cell.cell_type == "markdown"]
    found = re.search(r"^#+\s+(.+)$", "\n".join(texts), re.MULTILINE)
    return found[1].strip() if found else ""


# Parameters.


def declared(document: NotebookNode) -> list[parameters.Parameter]:
    """Return the parameters that the notebook declares; none if no cell is tagged.

    Raises:
        UsageError: two cells are tagged, or the cell is not plain Python.
    """
    found = _tagged(document, PARAMETERS)
    if len(found) > 1:
        places = " and ".join(str(place + 1) for place in found)
        raise UsageError(
            f"Cells {places} are tagged {PARAMETERS!r}: there can be only one; move what they"
            " declare into it."
        )
    return parameters.declared(document.cells[found[0]].source) if found else []


def given(document: NotebookNode, texts: list[str]) -> dict[str, object]:
    """Return the values that ``name=value`` texts mean for this notebook.

    Raises:
        UsageError: nothing is declared, or a text does not fit what is.
    """
    if texts and not _tagged(document, PARAMETERS):
        name = texts[0].partition("=")[0]
        raise UsageError(
            f"The notebook has no cell tagged {PARAMETERS!r}, so -p {name} can have no"
            " effect: put its default values into one cell and tag it (JupyterLab: the"
            " gears on the right)."
        )
    return parameters.given(declared(document), texts)


def inject(document: NotebookNode, values: dict[str, object]) -> None:
    """Give parameters these values, in a cell behind the tagged one.

    It takes the place of a cell that an earlier run left.
    """
    for place in reversed(_tagged(document, INJECTED)):
        del document.cells[place]
    if values:
        from nbformat.v4 import new_code_cell

        cell = new_code_cell(
            parameters.as_source(values), id=_ID, metadata={"tags": [INJECTED]}
        )
        if document.nbformat_minor < _MINOR_WITH_IDS:
            del cell["id"]
        document.cells.insert(_tagged(document, PARAMETERS)[0] + 1, cell)


def _tagged(document: NotebookNode, tag: str) -> list[int]:
    return [
        place
        for place, cell in enumerate(document.cells)
        if cell.cell_type == "code" and tag in tags(cell)
    ]


# Marks.


def begin(document: NotebookNode) -> None:
    """Remove what an earlier run left, and mark every cell as ``not run``."""
    document.metadata.pop("nbflow", None)
    document.metadata.pop("widgets", None)
    for _, cell in code_cells(document):
        cell.outputs = []
        cell.execution_count = None
        cell.metadata.pop("execution", None)
        mark(cell, "not run")


def mark(cell: NotebookNode, state: str, **more: object) -> None:
    """Say in a cell's metadata how it came out."""
    cell.metadata["nbflow"] = {"state": state, **more}


def state_of(cell: NotebookNode) -> str:
    """Return how a cell came out."""
    return str(cell.metadata.get("nbflow", {}).get("state", "not run"))
