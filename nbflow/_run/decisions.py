"""Decisions: which decisions of people hold for which records of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbflow._core.decision import Decision, standing
from nbflow._key.reader import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._call.engine import Engine
    from nbflow._run.batch import Row

    #: Decisions by (record, flow), by number.
    Decided = dict[tuple[int, int], Decision]


def content(row: Row, on: Sequence[str]) -> bytes:
    """Digest of what these columns of a record say; of all of it where there are none."""
    if not on or not isinstance(row.record, Mapping):
        return row.digest
    return digest([row.record.get(name) for name in on], "record")


def population_of(units: Iterable[bytes]) -> bytes:
    """Digest of what all records of a run say, in whatever order they stand."""
    return digest(sorted(units), "population")


def standing_for(engine: Engine, flows: Iterable[str]) -> list[Decision]:
    """The decisions about these flows that stand, oldest first."""
    wanted = set(flows)
    return standing(
        decision for decision in engine.decisions.all() if decision.flow in wanted
    )


def decided(
    decisions: Sequence[Decision], flows: Sequence[str], rows: Iterable[tuple[int, Row]]
) -> Decided:
    """The decision about each record in each flow; of several the latest."""
    kinds: defaultdict[tuple[str, ...], dict[tuple[str, bytes], Decision]] = (
        defaultdict(dict)
    )
    for decision in decisions:
        kinds[decision.on][decision.flow, decision.content] = decision
    found: dict[tuple[int, int], Decision] = {}
    for number, row in rows:
        for on, known in kinds.items():
            said = content(row, on)
            for flow, name in enumerate(flows):
                about = known.get((name, said))
                if about is None:
                    continue
                if about.at >= found.get((number, flow), about).at:
                    found[number, flow] = about
    return found


def decided_by_key(
    decisions: Sequence[Decision], flows: Sequence[str], run: str, keys: Sequence[str]
) -> Decided:
    """The same for a run whose records were not kept: what was decided on it alone, by the keys of its records."""
    own = {
        (decision.flow, decision.key): decision
        for decision in decisions
        if decision.run == run
    }
    found = {}
    for number, key in enumerate(keys):
        for flow, name in enumerate(flows):
            decision = own.get((name, key))
            if decision is not None:
                found[number, flow] = decision
    return found


def as_rows(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Decisions as a person reads them."""
    from datetime import datetime

    return [
        {
            "record": one.key,
            "flow": one.flow,
            "label": one.label,
            "model": one.before,
            "by": one.by,
            "at": datetime.fromtimestamp(one.at),  # noqa: DTZ006  # what the clock on the wall said
            "run": one.run,
        }
        for one in decisions
    ]
