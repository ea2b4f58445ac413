"""RunContext: what the parts of a run under way share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nbflow._call.output import Room
from nbflow._core.entry import Remark
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._call.runner import Runner
    from nbflow._run.lane import Lane
    from nbflow._run.ledger_writer import LedgerWriter
    from nbflow._run.options import RunOptions


class RunContext:
    """One run under way: what it runs, with which options, and whether it is to end."""

    def __init__(
        self,
        run: str,
        runner: Runner,
        lanes: Sequence[Lane],
        notes: LedgerWriter,
        options: RunOptions,
        *,
        is_one_by_one: bool = False,
    ) -> None:
        self.run = run
        self.runner = runner
        self.lanes = lanes
        self.notes = notes
        #: Whether only one record is under way at a time.
        self.is_one_by_one = is_one_by_one
        self.options = options
        own = () if options.budget is None else (options.budget,)
        #: Every call that costs has to fit into each of them.
        self.budgets = (*own, *runner.budgets)
        #: For what the calls print.
        self.room = Room(self._note)
        self.cancelled = threading.Event()
        #: Set when nobody is at work any more.
        self.ended = threading.Event()
        #: Set once by Ctrl-C or the end of the process: what does not run any more is
        #: noted as interrupted, not as cancelled.
        self.is_interrupted = False
        #: After an interrupt: the run is accounted for, calls that still run are left
        #: behind.
        self.is_closed = False
        #: What ends the whole run, raised where a record was seen through.
        self.fatal: BaseException | None = None
        #: Seconds since the epoch, by the engine's clock.
        self.now = runner.clock.time
        #: When this round of the run began.
        self.since = self.now()

    def wants(self, number: int, flow: int) -> bool:
        """Returns whether a record is to run in a flow; a rerun names those that are."""
        only = self.options.only
        return only is None or (number, flow) in only

    def ignores_saved(self, lane: Lane) -> bool:
        """Returns whether a lane runs although its results are saved."""
        if self.options.force or self.options.from_step is not None:
            return True
        forced = self.runner.forced
        # A forced step may be anywhere in a flow, so every flow runs again.
        return bool(forced) and (not lane.on_map or lane.name in forced)

    def say(self, text: str) -> None:
        """Report what is nobody's error to raise: in the table, and as a warning."""
        self._note(text)
        warn(text, NbflowWarning)

    def _note(self, text: str) -> None:
        self.notes.add(Remark(self.now(), text))
