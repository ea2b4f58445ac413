"""Journals: what a store keeps beside its runs. The one place that lists them.

Who checks a store, erases a person or deletes a run has to think of each.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._store.ledger import Ledger

__all__ = ["JOURNALS", "beside_runs"]

#: Each journal by name, with what it holds.
JOURNALS = MappingProxyType(
    {
        "reviews": "the decisions of people",
        "samples": "the samples that were drawn",
        "gates": "the gates that runs missed",
        "accepted": "the runs that people accepted",
        "batches": "the batches that later runs refer to",
        "left": "what deleted runs left behind",
    }
)


def beside_runs(ledger: Ledger) -> Iterator[tuple[str, Ledger]]:
    """Each journal beside the runs of a ledger, with what it holds in words."""
    for name, what in JOURNALS.items():
        yield what, ledger.beside(name)
