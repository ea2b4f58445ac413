"""Store: what a store holds, and whether it is sound, as programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._run.answers.document import ITEMS, document, moment

if TYPE_CHECKING:
    from nbflow._run.answers.document import Facts
    from nbflow._run.checking import Checked
    from nbflow._run.inventory import StoreInfo


def of_info(info: StoreInfo) -> str:
    """What it holds: ``nbflow.store/1``."""
    facts: Facts = {
        "store": info.url,
        "bytes": info.bytes,
        "outputs": info.outputs,
        "oldest": None if info.oldest is None else moment(info.oldest),
        "steps": [
            {
                "step": step.name,
                "outputs": step.outputs,
                "bytes": step.bytes,
                "oldest": moment(step.oldest),
            }
            for step in info.steps[:ITEMS]
        ],
        "more_steps": max(0, len(info.steps) - ITEMS),
        "runs": [{"run": run, "bytes": size} for run, size in info.runs[:ITEMS]],
        "more_runs": max(0, len(info.runs) - ITEMS),
        "under_way": list(info.under_way),
        "unneeded": info.unneeded,
        "unneeded_bytes": info.unneeded_bytes,
        "notes": list(info.notes),
    }
    return document("nbflow.store/1", facts)


def of_check(found: Checked) -> str:
    """Whether it is sound: ``nbflow.store-check/1``."""
    facts: Facts = {
        "store": found.url,
        "is_sound": found.is_sound,
        "repaired": found.repaired,
        "bytes": found.bytes,
        "entries": found.entries,
        "runs": found.runs,
        "problems": list(found.problems[:ITEMS]),
        "more": max(0, len(found.problems) - ITEMS),
    }
    return document("nbflow.store-check/1", facts)
