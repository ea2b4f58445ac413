"""Drift: whether an export is still what its notebook is."""

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
    places = (
        [output]
        if output is not None
        else sorted(notebook.resolve().parent.glob(f"{EXPORTS}/*"))
    )
    return [
        place
        for place in places
        if (place / folders.MANIFEST).is_file()
        and (place / folders.remembered(place)["notebook"]).resolve()
        == notebook.resolve()
    ]


def drifted(notebook: Path, folder: Path) -> list[str]:
    """The files that would be others if the notebook were exported again as it was the last time.

    Raises:
        UsageError: it could not be exported any more; says why.
    """
    last = folders.remembered(folder)
    order = Order(
        notebook,
        last["to"],
        last["schedule"],
        last["timezone"],
        last["parameters"],
        last["options"],
        last["name"],
        folder,
        force=True,
    )
    return [
        change.path
        for change in prepare(order).changes
        if change.kind in ("new", "changed", "removed") or change.beside
    ]
