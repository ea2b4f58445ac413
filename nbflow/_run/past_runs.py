"""PastRuns: the earlier runs that a plan is made of, read from the ledger."""

from __future__ import annotations

import contextlib
import itertools
from functools import cached_property
from typing import TYPE_CHECKING

from nbflow._core.entry import Coded
from nbflow._run.expected_calls import steps_of
from nbflow._run.past import Past, PastRun
from nbflow._run.runs import runs_of, warn_unreadable
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._run.lane import Lane
    from nbflow._run.past import Cost

#: Runs that are read, and the bytes after which no further one is.
_RUNS, _BYTES = 5, 60_000_000
#: Runs of other events that are asked whether they call a step.
_OTHERS = 20


class PastRuns:
    """What earlier runs tell, read when somebody asks: of a batch that is done nobody does."""

    def __init__(
        self, engine: Engine, event: str, lanes: Sequence[Lane], cost: Cost
    ) -> None:
        self._engine = engine
        self._event = event
        self._lanes = lanes
        self._cost = cost

    @cached_property
    def past(self) -> Past:
        """The latest runs of the event, and of others for steps that those did not call."""
        past, known = Past(), self._engine.ledger.runs()
        of_event = runs_of(self._engine.ledger, self._event, known)
        latest = [run for run, _ in itertools.islice(of_event, _RUNS)]
        for run in self._read(latest):
            past.add(run)
        missing = {
            step.name
            for lane in self._lanes
            for step in steps_of(lane)
            if not past.steps[step.name].calls
        }
        if missing:
            others = [run for run in reversed(known) if run not in latest]
            for run in self._read(self._calling(missing, others[:_OTHERS])):
                past.add_steps(run)
        return past

    def _read(self, runs: Iterable[str]) -> Iterator[PastRun]:
        ledger, size = self._engine.ledger, 0
        models = {
            step.name: step.model
            for lane in self._lanes
            for step in steps_of(lane)
            if step.model is not None
        }
        for run in runs:
            if size > _BYTES:
                return
            size += ledger.size(run)
            found = PastRun(self._cost, models)
            try:
                for entries, _ in ledger.blocks(run):
                    found.take(entries)
            except StoreError as error:
                warn_unreadable(run, error)
                continue
            yield found

    def _calling(self, steps: set[str], runs: Iterable[str]) -> Iterator[str]:
        """Those of these runs whose code reaches one of these steps."""
        for run in runs:
            with contextlib.suppress(StoreError):
                entries = self._engine.ledger.ends(run)
                if any(isinstance(it, Coded) and it.subject in steps for it in entries):
                    yield run
