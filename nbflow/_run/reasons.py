"""Why: what made a record of a run, and its steps, run although it had been sent before; worked out when asked."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import DONE, Listed, fold
from nbflow._core.lifecycle import State
from nbflow._core.table import WORDS
from nbflow._key.call import inputs_of
from nbflow._run import snapshots
from nbflow._run.explanation import difference
from nbflow._run.runs import runs_of, warn_unreadable
from nbflow._run.wall_time import wall_time
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._call.engine import Engine
    from nbflow._core.entry import Entry, RunState
    from nbflow._key.call import Input
    from nbflow._store.checkpoint import Checkpoint

    Load = Callable[[str], Checkpoint | None]

#: Earlier runs among which the record is looked for.
_RUNS = 20


class Earlier(NamedTuple):
    """What became of the record in one flow when its event was sent before.

    That is the run, its number there, its state, and the key of its outcome.
    """

    run: str
    record: int
    state: State
    checkpoint: str | None


class Why:
    """The reasons for one record of a run.

    Args:
        engine: knows the ledger and the sources.
        state: the run.
        record: the record's number.
        load: gives a checkpoint by its key.
        content: gives a record as it was sent, by the run's id, its key and its number
            there; raises if it was not kept.
    """

    def __init__(
        self,
        engine: Engine,
        state: RunState,
        record: int,
        load: Load,
        content: Callable[[str, str, int], object],
    ) -> None:
        self._engine = engine
        self._state = state
        self._record = record
        self._load = load
        self._content = content
        self._built_on: dict[str, dict[str, list[str]]] = {}

    @functools.cached_property
    def _before(self) -> dict[str, Earlier]:
        """The record in the flows of the latest earlier run of the event that had it."""
        ledger, key = self._engine.ledger, self._state.keys[self._record]
        earlier = [run for run in ledger.runs() if run < self._state.run]
        for run, ends in runs_of(ledger, self._state.event, earlier[-_RUNS:]):
            try:
                found = self._found(run, ends[0], key)
            except StoreError as error:
                warn_unreadable(run, error)
                continue
            if found is None:
                continue
            number, state = found
            return {
                name: Earlier(
                    run,
                    number,
                    state.item(number, flow),
                    state.checkpoint(number, flow),
                )
                for flow, name in enumerate(state.flows)
            }
        return {}

    def _found(self, run: str, first: Entry, key: str) -> tuple[int, RunState] | None:
        """The number of the record in an earlier run, and what is known of it there."""
        ledger = self._engine.ledger
        # Most batches are sent again as they were: the record is where it was, and
        # nothing else has to be read.
        entries = ledger.about(run, self._record)
        if any(isinstance(entry, Listed) and entry.key == key for entry in entries):
            return self._record, fold([first, *entries])
        state, position = snapshots.state_of(ledger, run)
        for entries, _ in ledger.blocks(run, position):
            state.apply_all(entries)
        return (state.keys.index(key), state) if key in state.keys else None

    def flow(self, name: str, state: State, checkpoint: str | None) -> str:
        """Why the record ran in a flow, or since when its outcome is saved."""
        if state is State.QUEUED:
            return ""
        if state is State.CACHED:
            return self._since(checkpoint)
        before = self._before.get(name)
        if before is None:
            return "the record is new"
        if before.state not in DONE:
            return f"it was sent before and then {WORDS.get(before.state, 'not done')}"
        old = self._load(before.checkpoint) if before.checkpoint else None
        given = self._records(before)
        return (
            self._differs(f"flow {name}", old, checkpoint, given)
            or "a rerun was requested"
        )

    def _records(self, before: Earlier) -> tuple[list[Input], list[Input]] | None:
        """The record as it was sent then and as it was sent now, field by field, if both were kept."""
        try:
            key = self._state.keys[self._record]
            then = self._content(before.run, key, before.record)
            now = self._content(self._state.run, key, self._record)
        except (UsageError, StoreError):
            return None
        return inputs_of([("record", then)]), inputs_of([("record", now)])

    def step(
        self, flow: str, name: str, place: int, state: State, checkpoint: str | None
    ) -> str:
        """Why the ``place``-th call of a step ran, or since when its output is saved."""
        if state is State.CACHED:
            return self._since(checkpoint)
        calls = self._calls(flow).get(name, [])
        old = self._load(calls[place]) if place < len(calls) else None
        if old is not None:
            return self._differs(name, old, checkpoint) or "a rerun was requested"
        coded = self._state.coded.get(name)
        if coded is not None and coded.why not in ("", "new"):
            return coded.why
        return "it had not run with these inputs before"

    def _calls(self, flow: str) -> dict[str, list[str]]:
        """The keys of the calls that the record's earlier outcome was built on, by step."""
        calls = self._built_on.get(flow)
        if calls is None:
            calls = self._built_on[flow] = {}
            before = self._before.get(flow)
            key = before.checkpoint if before is not None else None
            outcome = self._load(key) if key else None
            for step, call in outcome.built_on if outcome is not None else ():
                calls.setdefault(step, []).append(call)
        return calls

    def _since(self, key: str | None) -> str:
        found = self._load(key) if key else None
        return f"cached since {wall_time(found.saved_at)}" if found is not None else ""

    def _differs(
        self,
        name: str,
        old: Checkpoint | None,
        checkpoint: str | None,
        given: tuple[list[Input], list[Input]] | None = None,
    ) -> str:
        """What differs between the earlier call and this one, whose inputs are known if it was saved."""
        if old is None:
            return "its earlier result is no longer in the store"
        new = self._load(checkpoint) if checkpoint else None
        coded = self._state.coded.get(name)
        code = old.code
        if new is not None:
            code = new.code
        elif coded is not None:
            code = coded.code
        then, now = given or (old.inputs, new.inputs if new is not None else old.inputs)
        same_inputs = [one.digest for one in then] == [one.digest for one in now]
        if code == old.code and same_inputs:
            return ""
        return difference(self._engine, name, old._replace(inputs=then), code, now)[0]
