"""Waits: a flow comes to a place at which its record waits, and passes it or is left there."""

from __future__ import annotations

import dis
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._call.scope import Visits, current
from nbflow._core.entry import Answered, Awaits, Called, Remark
from nbflow._core.lifecycle import State
from nbflow._core.waiting import ANSWERED, Kind, Suspended, value_at
from nbflow._key import call
from nbflow._key.reader import digest
from nbflow._store import checkpoint
from nbflow.errors import StepTimeoutError, UsageError

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from nbflow._call.scope import Place, Scope
    from nbflow._core.waiting import Wait
    from nbflow._store.checkpoint import Checkpoint
    from nbflow._store.inbox import Arrival, Inbox

#: Stands for a default that was not given.
MISSING: Any = object()


class Kept(NamedTuple):
    """A wait as it is saved, under a key made of its flow, its record and its place there.

    Attributes:
        began: when the record first came to it, in seconds since the epoch.
        after: the place in the inbox behind which its event may come.
        show: what a person is shown with its question.
        number: the place of its event in the inbox.
        ended: when it was over; ``None``: it is not.
        value: what it gave.
        timed_out: whether its time was up first.
        by: who answered.
    """

    began: float
    after: int
    show: object = None
    ended: float | None = None
    value: object = None
    timed_out: bool = False
    by: str = ""
    number: int = 0


def answer_of(arrival: Arrival) -> tuple[str, str]:
    """The choice of an answer as it arrived, and who made it."""
    record = arrival.record
    assert isinstance(record, dict)
    return str(record["choice"]), str(record["by"])


def kept_of(data: bytes) -> Kept:
    """A wait from the bytes that it is saved as.

    Raises:
        CodecError: another version of nbflow wrote it.
    """
    return _kept_in(checkpoint.load(data))


def _kept_in(saved: Checkpoint) -> Kept:
    value = saved.value
    assert isinstance(value, dict)
    return Kept(**value)


def given_by(saved: Checkpoint) -> object:
    """What a wait gave, as far as it is over."""
    return _kept_in(saved).value


def reach(wait: Wait, default: Any) -> Any:
    """A flow comes to a wait: return what it gave, or leave the flow.

    Raises:
        UsageError: no flow of a run is under way here.
        StepTimeoutError: its time is up, and there is no default.
        Suspended: it is not over.
    """
    scope, place = _flow_here(wait)
    if scope.visits is None:
        scope.visits = Visits(Counter(), {})
    visits, subject = scope.visits, digest(wait.subject)
    visits.counts[subject] += 1
    key = call.call_key(
        f"wait in {place.flow_name} on {place.event}",
        place.digest,
        [("wait", subject), ("number", visits.counts[subject])],
    )
    place.is_back = place.is_back or key == place.resumes
    return _Reached(wait, scope, place, key, subject, visits.taken).passed(default)


def _flow_here(wait: Wait) -> tuple[Scope, Place]:
    scope, called = current(), _CALLS[wait.kind]
    if scope is None or scope.place is None:
        raise UsageError(
            f"{called} waits in a flow that a run sees through; nothing is under way"
            " here. Put it in a function with @nf.flow(on=...), and send a record:"
            " nf.send(...)."
        )
    if scope.step:
        raise UsageError(
            f"{called} was called in step {scope.step!r}. A step that waits would hold its"
            " place for days: call it in the flow, between two steps."
        )
    return scope, scope.place


_CALLS = {
    Kind.SLEEP: "nf.sleep()",
    Kind.EVENT: "nf.wait_for()",
    Kind.ANSWER: "nf.ask()",
}


@dataclass(slots=True)
class _Reached:
    """A wait that a flow has come to, for one record."""

    wait: Wait
    scope: Scope
    place: Place
    key: str
    subject: bytes
    taken: dict[bytes, int]

    @property
    def _inbox(self) -> Inbox:
        return self.place.runner.inbox

    def passed(self, default: Any) -> Any:
        place, now = self.place, self.place.runner.clock.time()
        place.called += 1
        saved = place.runner.store.get(self.key)
        kept = kept_of(saved) if saved is not None else self._begin(now)
        if kept.ended is None:
            kept = self._end(kept, now, fails=default is MISSING)
            place.attempts += kept.ended is not None
            is_late = kept.timed_out and default is MISSING
            self._note(kept, State.TIMED_OUT if is_late else State.COMPLETED, now)
        elif not place.resumes:
            self._note(kept, State.CACHED, now)
        if kept.ended is None:
            self.scope.suspended = Suspended()
            raise self.scope.suspended
        if kept.number:
            self.taken[self.subject] = kept.number
        if not kept.timed_out:
            return kept.value
        if default is not MISSING:
            return default
        raise StepTimeoutError(self._too_late())

    def _begin(self, now: float) -> Kept:
        """The record comes here for the first time."""
        kept = Kept(now, self._inbox.end(), self.wait.show)
        self._check_match()
        self._save(kept)
        return kept

    def _check_match(self) -> None:
        """Say so if the latest event of that name has no such field: a typo would wait for ever."""
        if not self.wait.match:
            return
        latest = self._inbox.latest(self.wait.what)
        for field, _ in self.wait.match if latest is not None else ():
            assert latest is not None
            try:
                value_at(latest.record, field)
            except KeyError:
                has = (
                    ", ".join(map(repr, latest.record))
                    if isinstance(latest.record, dict)
                    else "no fields"
                )
                self.place.note(Remark(
                    self.place.runner.clock.time(),
                    f"nf.wait_for({self.wait.what!r}) matches on {field!r}, which the"
                    f" latest event of that name does not have; it has {has}."
                ))  # fmt: skip

    def _end(self, kept: Kept, now: float, *, fails: bool) -> Kept:
        """The wait as it stands now, saved if it is over.

        One whose record fails as its time is up is forgotten instead, as failures are: a
        rerun waits again.
        """
        until = self.wait.ends(kept.began)
        arrival = self._arrival(kept)
        if arrival is not None and (until is None or arrival.at <= until):
            value, by = arrival.record, ""
            if self.wait.kind is Kind.ANSWER:
                value, by = answer_of(arrival)
            kept = kept._replace(
                ended=arrival.at, value=value, by=by, number=arrival.number
            )
        elif until is not None and until <= now:
            timed_out = self.wait.kind is not Kind.SLEEP
            kept = kept._replace(ended=until, timed_out=timed_out)
            if timed_out and fails:
                self.place.runner.store.delete([self.key])
                return kept
        else:
            return kept
        self._save(kept)
        return kept

    def _arrival(self, kept: Kept) -> Arrival | None:
        """The event, or the answer, that ends the wait."""
        wait = self.wait
        if wait.kind is Kind.SLEEP:
            return None
        if wait.kind is Kind.ANSWER:
            return self._inbox.find(ANSWERED, [self.key]).get(self.key)
        arrivals = self.place.runner.arrivals
        fields = tuple(field for field, _ in wait.match)
        found = arrivals.first(
            wait.what, fields, self._match(), self._after(kept), self._since(kept)
        )
        return None if found is None else self._inbox.at(found[0])

    def _after(self, kept: Kept) -> int:
        """The place behind which its event may come: behind that of the wait before it."""
        taken = self.taken.get(self.subject)
        if taken is not None:
            return taken
        return kept.after if self.wait.since is None else 0

    def _since(self, kept: Kept) -> float:
        since = self.wait.since
        if since is None or self.subject in self.taken:
            return 0.0
        return since if since >= 0 else kept.began + since

    def _match(self) -> str:
        return digest(tuple(value for _, value in self.wait.match)).hex()

    def _save(self, kept: Kept) -> None:
        now = self.place.runner.clock.time()
        data = checkpoint.dump(
            f"wait in {self.place.flow_name}", kept._asdict(), saved_at=now
        )
        self.place.runner.store.put(self.key, data)

    def _note(self, kept: Kept, state: State, now: float) -> None:
        """Tell the ledger: the wait is a step of the flow that nobody works on."""
        place, wait = self.place, self.wait
        if kept.ended is None:
            state = State.WAITING
            place.note(
                Awaits(
                    place.record,
                    place.flow,
                    wait.name,
                    now,
                    self.key,
                    str(wait.kind),
                    wait.what,
                    wait.ends(kept.began),
                    tuple(field for field, _ in wait.match),
                    self._match(),
                    self._after(kept),
                    self._since(kept),
                    wait.choices,
                )
            )
        if kept.ended is not None and kept.by and state is State.COMPLETED:
            where = place.record, place.flow, wait.name
            choice = str(kept.value)
            place.note(Answered(*where, kept.ended, choice, kept.by))
        waited = now - kept.began if state is State.COMPLETED else 0
        place.note(
            Called(
                place.record,
                place.flow,
                wait.name,
                state,
                now,
                0.0,
                0 if state is State.WAITING else 1,
                self.key,
                waited=waited,
            )
        )

    def _too_late(self) -> str:
        what = (
            "No answer came"
            if self.wait.kind is Kind.ANSWER
            else f"No {self.wait.what!r} came"
        )
        limit = self.wait.seconds
        within = f"within timeout={limit:g} s" if limit is not None else "in time"
        return f"{what} {within}; default= says what to continue with instead."


def is_awaited(frame: FrameType) -> bool:
    """Whether the call that a frame is in is awaited at once.

    A wait needs no await, as it does not wait there: it passes, or leaves the flow. But
    in an async flow many will write one.
    """
    place = frame.f_code, frame.f_lasti
    if place not in _AWAITED:
        _AWAITED[place] = _next_operation(*place) == "GET_AWAITABLE"
    return _AWAITED[place]


_AWAITED: dict[tuple[CodeType, int], bool] = {}


def _next_operation(code: CodeType, at: int) -> str:
    later = (one.opname for one in dis.get_instructions(code) if one.offset > at)
    return next((name for name in later if name != "CACHE"), "")


async def given(value: Any) -> Any:
    """A value for who awaits it."""
    return value
