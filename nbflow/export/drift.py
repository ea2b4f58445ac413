"""Drift: whether an export still matches its notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.export import output_folder as folders
from nbflow.export.prepare import EXPORTS, Order, prepare
from nbflow.notebook import document as documents

if TYPE_CHECKING:
    from pathlib import Path


def exports_of(notebook: Path, output: Path | None = None) -> list[Path]:
    """The folders with exports of a notebook: those beside it, or the one that is named.

    Raises:
        UsageError: there is no such notebook.
    """
    documents.read(notebook)
    places = [output] if output is not None else _beside(notebook)
    return [place for place in places if _is_export_of(notebook, place)]


def _beside(notebook: Path) -> list[Path]:
    return sorted(notebook.resolve().parent.glob(f"{EXPORTS}/*"))


def _is_export_of(notebook: Path, place: Path) -> bool:
    if not (place / folders.MANIFEST).is_file():
        return False
    owner = place / folders.remembered(place)["notebook"]
    return owner.resolve() == notebook.resolve()


def drifted(notebook: Path, folder: Path) -> list[str]:
    """The files that would change if the notebook were exported again as it was last.

    Raises:
        UsageError: the notebook can no longer be exported; says why.
    """
    last = folders.remembered(folder)
    order = Order(
        notebook=notebook,
        to=last["to"],
        schedule=last["schedule"],
        timezone=last["timezone"],
        parameters=last["parameters"],
        options=last["options"],
        name=last["name"],
        output=folder,
        force=True,
    )
    return [
        change.path
        for change in prepare(order).changes
        if change.kind in ("new", "changed", "removed") or change.beside
    ]
