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

    #: Decisions by (record, flow), by number: one for each field of the value.
    Decided = dict[tuple[int, int], tuple[Decision, ...]]


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
    """The decision about each field of each record in each flow; of several the latest."""
    kinds: defaultdict[
        tuple[str, ...], defaultdict[tuple[str, bytes], dict[str, Decision]]
    ] = defaultdict(lambda: defaultdict(dict))
    for decision in decisions:
        about = kinds[decision.on][decision.flow, decision.content]
        about[decision.field] = decision
    found: defaultdict[tuple[int, int], dict[str, Decision]] = defaultdict(dict)
    for number, row in rows:
        for on, known in kinds.items():
            said = content(row, on)
            for flow, name in enumerate(flows):
                for field, one in known.get((name, said), {}).items():
                    made = found[number, flow]
                    if one.at >= made.get(field, one).at:
                        made[field] = one
    return _each(found)


def decided_by_key(
    decisions: Sequence[Decision], flows: Sequence[str], run: str, keys: Sequence[str]
) -> Decided:
    """The same for a run whose records were not kept: what was decided on it alone, by the keys of its records."""
    own: defaultdict[tuple[str, str], dict[str, Decision]] = defaultdict(dict)
    for decision in decisions:
        if decision.run == run:
            own[decision.flow, decision.key][decision.field] = decision
    return _each(
        {
            (number, flow): own.get((name, key), {})
            for number, key in enumerate(keys)
            for flow, name in enumerate(flows)
        }
    )


def _each(found: Mapping[tuple[int, int], dict[str, Decision]]) -> Decided:
    return {place: tuple(made.values()) for place, made in found.items() if made}


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
