"""ExpectedCalls: the calls that a plan expects, each once, whichever flow makes it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call import keys, lookup
from nbflow._core.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._call.engine import Engine
    from nbflow._core.step import AnyStep
    from nbflow._key.call import Input
    from nbflow._run.lane import Lane
    from nbflow._store.checkpoint import Checkpoint


def steps_of(lane: Lane) -> list[AnyStep]:
    """The steps that a lane reaches; the mapped one is among them."""
    return [subject for subject in lane.functions if isinstance(subject, Step)]


class _Head(NamedTuple):
    """A saved call, without its value."""

    code: bytes
    built_on: list[tuple[str, str]]
    inputs: list[Input]
    is_fresh: bool


class ExpectedCalls:
    """The calls of all flows: each is made once, whichever of them needs it."""

    def __init__(self, engine: Engine, lanes: Sequence[Lane]) -> None:
        self._engine = engine
        self._now = engine.clock.time()
        self.steps = {step.name: step for lane in lanes for step in steps_of(lane)}
        self.identities = {
            name: keys.identify(step) for name, step in self.steps.items()
        }
        #: Calls that are expected already, each with whether it is saved.
        self.seen: dict[str, bool] = {}
        self._heads: dict[str, _Head | None] = {}
        #: Calls of each step that new records were expected to make, in all flows.
        self._given: defaultdict[str, float] = defaultdict(float)

    def read(self, wanted: Iterable[str]) -> None:
        """Look up calls in bulk; those of the page before are forgotten."""
        missing = [key for key in dict.fromkeys(wanted) if key not in self.seen]
        self._heads = dict.fromkeys(missing)
        for key, found in lookup.among(self._engine.store, missing):
            self._heads[key] = self._head(found)

    def _head(self, found: Checkpoint) -> _Head:
        step = self.steps.get(found.name)
        ttl = step.policy.ttl if step is not None else None
        is_fresh = lookup.is_fresh(found, ttl, self._now)
        return _Head(found.code, found.built_on, found.inputs, is_fresh)

    def head(self, key: str) -> _Head | None:
        """One call, if it is saved."""
        if key not in self._heads:
            found = lookup.saved(self._engine.store, key)
            self._heads[key] = None if found is None else self._head(found)
        return self._heads[key]

    def is_current(self, name: str, head: _Head | None) -> bool:
        """Whether a call is saved, and its step still has the code that made it."""
        identity = self.identities[name]
        return (
            head is not None
            and head.is_fresh
            and not identity.per_run
            and head.code == identity.digest
        )

    def take(self, name: str, expected: float, of_all: float) -> float:
        """How many of the calls that a flow expects of new records are nobody else's.

        Args:
            name: of the step.
            expected: calls of this flow.
            of_all: different calls that new records make in all flows.
        """
        own = min(expected, max(0.0, of_all - self._given[name]))
        self._given[name] += own
        return own
