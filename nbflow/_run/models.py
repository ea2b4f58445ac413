"""Models: which model answered for which record, and whether it is another one than last time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from nbflow._core.entry import Used
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.entry import RunState
    from nbflow._run.runs import Runs
    from nbflow._store.ledger import Ledger


def models_of(state: RunState) -> tuple[str, ...]:
    """The models that answered for a run, those of its remembered answers included."""
    return (state.usage + state.saved).models


def listed(models: Sequence[str]) -> str:
    """Models as a list of words."""
    return ", ".join(sorted(models))


def models_by_record(ledger: Ledger, run: str) -> dict[tuple[int, int], str]:
    """The models that answered for each (record, flow), by number."""
    found: defaultdict[tuple[int, int], dict[str, None]] = defaultdict(dict)
    for entries, _ in ledger.blocks(run):
        for entry in entries:
            if isinstance(entry, Used) and entry.usage.models:
                place = found[entry.record, entry.flow]
                place |= dict.fromkeys(entry.usage.models)
    return {place: ", ".join(models) for place, models in found.items()}


def model_change(runs: Runs, state: RunState) -> str:
    """Which models answered for a run that did not for the last one of its event; empty if none."""
    now = models_of(state)
    if not now:
        return ""
    try:
        earlier, before = runs.models_before(state.run, state.event)
    except StoreError as error:
        return f"Whether the model has changed is not known: {error}"
    new = set(now).difference(before)
    if not before or not new:
        return ""
    return (
        f"The model has changed: {listed(tuple(new))} answered; in the last run, "
        f"{earlier}, it was {listed(before)}."
    )
