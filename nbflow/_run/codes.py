"""Codes: the code of a run's flows and steps, read once so that a batch is consistent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow._call import keys
from nbflow._core.entry import Coded
from nbflow._key import mutation
from nbflow._key.explain import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._call.keys import Identity
    from nbflow._call.runner import Runner
    from nbflow._core.step import AnyStep
    from nbflow._run.lane import Lane
    from nbflow._run.ledger_writer import LedgerWriter


class Codes:
    """What each flow and step of one run is."""

    def __init__(self, runner: Runner, notes: LedgerWriter) -> None:
        self._runner = runner
        self._notes = notes
        self._identities: dict[Any, Identity] = {}
        self._before: Mapping[str, bytes] = {}
        #: Everything that was read; while the run is under way, what this code changes
        #: is its own doing.
        self._noted: list[Identity] = []
        self._is_running = False
        self._mutex = threading.RLock()

    def read(self, lanes: Iterable[Lane], before: Mapping[str, bytes]) -> None:
        """Read what the flows are, and the steps that they reach.

        Args:
            lanes: the flows, or the mapped step.
            before: the codes of flows and steps when they last ran, by subject.
        """
        self._before = before
        for lane in lanes:
            self._note(lane.subject, lane.identity, lane)
            for step in lane.identity.steps:
                self.identify(step)

    def identify(self, step: AnyStep) -> Identity:
        """Return what a step is, for all of this run."""
        # Without the lock: every call of every thread passes here.
        found = self._identities.get(step.__wrapped__)
        return found if found is not None else self._identify(step)

    def _identify(self, step: AnyStep) -> Identity:
        with self._mutex:
            found = self._identities.get(step.__wrapped__)
            if found is None:
                found = self._identities[step.__wrapped__] = keys.identify(step)
                self._note(step.name, found, step)
            return found

    def _note(self, subject: str, identity: Identity, of: Lane | AnyStep) -> None:
        """Tell the ledger which code a subject has, and what changed since it last ran."""
        self._noted.append(identity)
        if self._is_running:
            mutation.begin(identity.changes)
        sources, before = self._runner.sources, self._before.get(subject)
        changes = sources.note(subject, identity)
        if before == identity.digest:
            changes = []
        elif before is not None:
            changes = sources.changes(subject, before, identity)
        why = "new" if changes is None else listed(changes)
        now, steps = (
            self._runner.clock.time(),
            tuple(step.name for step in identity.steps),
        )
        labels = tuple(of.labels)
        noted = Coded(subject, identity.digest, now, why, steps, of.unknown, labels)
        self._notes.add(noted)

    def begin(self) -> None:
        """The run begins: from now on changes of what the code reaches are its own doing."""
        with self._mutex:
            self._is_running = True
            for identity in self._noted:
                mutation.begin(identity.changes)

    def end(self) -> None:
        """The run ended."""
        for identity in self._noted:
            mutation.end(identity.changes)
