"""Scope: the call under way, as the code below it sees it. The one `ContextVar` of the project."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbflow._call import job_link
from nbflow._core.entry import Used, Waits
from nbflow._core.usage import NOTHING, UNANSWERED

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._call.arrivals import Arrivals
    from nbflow._call.budget import Budget, Hold
    from nbflow._call.clock import Clock
    from nbflow._call.keys import Identity
    from nbflow._call.limits import Gate
    from nbflow._call.output import Output, Room
    from nbflow._core.entry import Entry
    from nbflow._core.lifecycle import Outcome
    from nbflow._core.step import AnyStep
    from nbflow._core.usage import Usage
    from nbflow._core.waiting import Suspended
    from nbflow._store.inbox import Inbox
    from nbflow._store.store import Store


#: Held while a scope adds up what threads of one call tell it.
_MUTEX = threading.Lock()


class Performer(Protocol):
    """Sees calls through: what a `Runner` is to the calls below a record."""

    clock: Clock
    store: Store
    inbox: Inbox
    arrivals: Arrivals

    # A call is a `Call`, which holds scopes and therefore stands above them.
    def perform(self, call: Any, *, force: bool = False) -> Outcome:
        """See a call through in this thread."""

    async def aperform(self, call: Any, *, force: bool = False) -> Outcome:
        """See a call through, awaiting."""


class Place:
    """One record in one flow of a run: what the calls below it have in common."""

    __slots__ = (
        "_in_line_until", "around", "attempts", "budgets", "called", "cancelled",
        "content", "digest", "ended", "event", "flow", "flow_name", "forced", "forced_from", "identify",
        "inputs", "is_alone", "is_back", "is_same", "note", "note_all", "record", "record_key",
        "resumes", "room", "run", "runner", "since", "waited",
    )  # fmt: skip

    def __init__(
        self,
        *,
        record: int,
        content: object,
        digest: bytes,
        event: str,
        record_key: str,
        flow: int,
        flow_name: str,
        note: Callable[[Entry], None],
        note_all: Callable[[Sequence[Entry]], None],
        cancelled: threading.Event,
        ended: threading.Event,
        run: str,
        since: float,
        identify: Callable[[AnyStep], Identity],
        runner: Performer,
        forced_from: str | None = None,
        around: frozenset[str] = frozenset(),
        forced: bool = False,
        budgets: Sequence[Budget] = (),
        resumes: str = "",
        room: Room,
        is_alone: bool = True,
    ) -> None:
        self.record = record
        #: The record itself, for messages about it.
        self.content = content
        #: Digest of the record.
        self.digest = digest
        #: What was sent.
        self.event = event
        self.record_key = record_key
        self.flow = flow
        self.flow_name = flow_name
        #: Take an entry; take several that stand together.
        self.note = note
        self.note_all = note_all
        self.cancelled = cancelled
        #: Set when nobody is at work on the run any more.
        self.ended = ended
        self.run = run
        #: When this round of the run began, in seconds since the epoch.
        self.since = since
        #: Whether a value was cached that the run itself had made since then.
        self.is_same = False
        #: Gives what a step is, read once in a run.
        self.identify = identify
        self.forced_from = forced_from
        #: Steps that call that one inside.
        self.around = around
        self.forced = forced
        self.runner = runner
        #: Which every call that costs has to fit into.
        self.budgets = budgets
        #: The key of the wait after which the record continues, "" if it does not: what it
        #: did before is noted already. And whether it has come back to it.
        self.resumes = resumes
        self.is_back = False
        #: Steps called so far, and attempts made of them.
        self.called = self.attempts = 0
        #: Seconds in which any of them was in line.
        self.waited = self._in_line_until = 0.0
        #: For what its calls print, and whether no other record prints meanwhile.
        self.room = room
        self.is_alone = is_alone
        #: What its steps were called with.
        self.inputs: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def was_in_line(self, begun: float, ended: float) -> None:
        """A call was in line from one time to another, by `time.perf_counter`."""
        self.waited += max(0.0, ended - max(begun, self._in_line_until))
        self._in_line_until = max(self._in_line_until, ended)

    def must_run(self, step: str) -> bool:
        """A call of ``step`` begins; return whether it runs although it is saved.

        It does from the step on that a rerun named, and around it.
        """
        self.called += 1
        if step == self.forced_from:
            self.forced = True
        return self.forced or step in self.around


class Visits(NamedTuple):
    """The waits that a flow came to.

    Attributes:
        counts: how often it came to each.
        taken: the place in the inbox of the latest event that it took there.
    """

    counts: Counter[bytes]
    taken: dict[bytes, int]


class Scope:
    """One call and, through ``outer``, those it was made in."""

    __slots__ = (
        "attempt", "built_on", "ended", "expires", "gate", "has_told", "holds", "is_lost",
        "key", "outer", "output", "per_run", "place", "step", "suspended", "visits", "waited",
        "worth",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        step: str,
        attempt: int,
        gate: Gate | None,
        place: Place | None,
        outer: Scope | None,
        *,
        per_run: bool,
    ) -> None:
        self.key = key
        #: Name of the step, ``""`` for a flow, and the number of the attempt.
        self.step = step
        self.attempt = attempt
        self.per_run = per_run
        self.gate = gate
        self.place = place
        self.outer = outer
        #: Set when the attempt is over; code that it started may go on.
        self.ended = False
        #: The calls whose values this one has seen: (step, key).
        self.built_on: list[tuple[str, str]] = []
        #: When the first of those values goes out of date.
        self.expires: float | None = None
        #: What was used to make the value so far, by this call and those below it; what
        #: is held back for it.
        self.worth: Usage | None = None
        self.holds: Sequence[Hold] = ()
        #: It has told what it used, or will; it counts as a request without an answer.
        self.has_told = self.is_lost = False
        #: Of a flow that came to a wait: which ones, and what it was left with.
        self.visits: Visits | None = None
        self.suspended: Suspended | None = None
        #: Seconds that its code spent in line, at a provider's limits.
        self.waited = 0.0
        #: What it prints and logs, as soon as it does.
        self.output: Output | None = None

    def __iter__(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    @property
    def has_ended(self) -> bool:
        """Return whether the run, or without one the outermost call, is over."""
        if self.place is not None:
            return self.place.ended.is_set()
        *_, outermost = self
        return outermost.ended

    @property
    def paid_by(self) -> Sequence[Hold]:
        """What is held back for this call, or for the one that it is a part of."""
        return next((scope.holds for scope in self if scope.holds), ())

    def used(self, usage: Usage, model: str = "") -> None:
        """The code of this call reports what it used; also of an attempt that was given up meanwhile.

        Args:
            usage: what it used.
            model: the model that it asked, if its price is not known.
        """
        self.has_told = True
        if self.is_lost:
            self.is_lost = False
            self.lose(-1)
        self._add(usage)
        for hold in self.paid_by:
            hold.budget.take(hold, usage)
        self._tell(usage, model)

    def lose(self, requests: int = 1) -> None:
        """A request of this call was sent and not answered: what it cost is unknown.

        Args:
            requests: 0 if another call counts it, -1 if it was answered after all.
        """
        self.has_told = True
        for hold in self.paid_by:
            hold.budget.lose(hold, requests or 1)
        if requests:
            self._tell(UNANSWERED if requests > 0 else NOTHING - UNANSWERED)

    def _tell(self, usage: Usage, model: str = "") -> None:
        if self.place is not None:
            self.note_used(usage, self.attempt, model=model)
        else:
            job_link.tell_used(usage)

    def note_used(
        self, usage: Usage, attempt: int = 0, *, saved: bool = False, model: str = ""
    ) -> None:
        """Tell the ledger what was used, or saved."""
        place = self.place
        if place is not None:
            place.note(
                Used(
                    place.record,
                    place.flow,
                    self.step,
                    attempt,
                    place.runner.clock.time(),
                    usage,
                    saved,
                    model,
                )
            )

    def note_wait(self, why: str) -> None:
        """Tell the ledger what the call waits for; nothing: it continues."""
        place = self.place
        if place is not None:
            at = place.runner.clock.time()
            place.note(Waits(place.record, place.flow, self.step, at, why))

    def _add(self, usage: Usage) -> None:
        with _MUTEX:
            self.worth = usage if self.worth is None else self.worth + usage

    def saw(
        self,
        step: str,
        key: str,
        expires: float | None,
        worth: Usage | None,
        *,
        per_run: bool,
    ) -> None:
        """A call below this one gave a value; ``worth``: what was used to make it."""
        self.built_on.append((step, key))
        if worth is not None:
            self._add(worth)
        if per_run and not self.per_run:
            expires = 0.0  # our key does not know that the value is good for one run
        if expires is not None:
            with _MUTEX:
                known = expires if self.expires is None else self.expires
                self.expires = min(expires, known)


SCOPE: ContextVar[Scope | None] = ContextVar("nbflow_scope", default=None)


def current() -> Scope | None:
    """The call under way, ``None`` outside, and for code that outlived what it was started in."""
    scope = SCOPE.get()
    return None if scope is None or scope.has_ended else scope


def paid_here() -> Sequence[Hold]:
    """What is held back for the call under way."""
    scope = SCOPE.get()
    return () if scope is None else scope.paid_by


class Gaps:
    """Reads of a run of which saved values are gone: what is made of these is good for now only."""

    def __init__(self) -> None:
        #: How many there were in this process.
        self.count = 0

    def note(self) -> None:
        """There was one; the call under way keeps no result that was made of it."""
        self.count += 1
        scope = current()
        if scope is not None:
            scope.expires = 0.0


GAPS = Gaps()


def _leave_the_run() -> None:
    """Calls of a forked child are in no run: nobody there writes its notes or stops it."""
    for scope in SCOPE.get() or ():
        scope.place = scope.output = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_the_run)
