"""Runner: performs the commands of a call's life, inline for sync callers, awaiting for async ones.

Only three commands can wait: `Claim`, `Attempt` and `Wait`. They exist twice, the
others once.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from nbflow._call import failure, joined, lookup
from nbflow._call.arrivals import Arrivals
from nbflow._call.attempt import aattempt, attempt
from nbflow._call.budget import Paid, Wanted, resting, size_of
from nbflow._call.claim import knocks
from nbflow._call.clock import check
from nbflow._call.scope import SCOPE, Scope
from nbflow._call.screen import SCREEN
from nbflow._call.sources import Sources
from nbflow._core.entry import DONE, Called, Printed, Remark
from nbflow._core.lifecycle import (
    LOOKUP,
    Attempt,
    Claim,
    Lookup,
    Note,
    Outcome,
    Release,
    Save,
    Saved,
    State,
    Tried,
    Wait,
    life_of_call,
)
from nbflow._core.policy import is_unanswered
from nbflow._key import fork, mutation
from nbflow._key.log_text import log
from nbflow._key.warning import warn
from nbflow._store import checkpoint, codec
from nbflow._store.store import LostError
from nbflow.errors import (
    CodecError,
    FailedCall,
    RunCancelledError,
    StepTimeoutError,
    StoreError,
    StoreWarning,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence
    from contextvars import Token

    from nbflow._call.budget import Budget, Hold
    from nbflow._call.clock import Clock
    from nbflow._call.keys import Identity
    from nbflow._call.limits import Gate
    from nbflow._call.scope import Place
    from nbflow._core.entry import Parts
    from nbflow._core.lifecycle import Command
    from nbflow._core.policy import Policy
    from nbflow._core.step import AnyStep
    from nbflow._core.usage import Usage
    from nbflow._key.call import Input
    from nbflow._key.mutation import Slot
    from nbflow._store.inbox import Inbox
    from nbflow._store.store import Store

_LOG = logging.getLogger("nbflow.call")
#: Seconds in line that are told; less is the time that a step takes to begin.
_LINE = 0.001


class Call:
    """One call under way: what the commands of its life work on."""

    __slots__ = (
        "args", "asked", "begun", "cancelled", "expires", "function", "gate",
        "identity", "inputs", "is_flow", "is_same", "is_waiting", "key", "kwargs",
        "made_of", "name", "on_loop", "outer", "place", "policy", "printed", "scope",
        "worth",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        policy: Policy,
        key: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        *,
        identity: Identity,
        inputs: Callable[[], list[Input]],
        gate: Gate | None = None,
        place: Place | None = None,
        outer: Scope | None = None,
        is_flow: bool = False,
    ) -> None:
        self.function = function
        self.name = name
        self.policy = policy
        self.key = key
        self.args = args
        self.kwargs = kwargs
        self.identity = identity
        #: Digests of the arguments, made before the first attempt: the function may
        #: change its arguments.
        self.inputs = inputs
        self.made_of: list[Input] | None = None
        # A call made inside a call of the same step is part of it: waiting for its
        # turn would be waiting for itself.
        if outer is not None and gate is not None:
            is_inside = any(scope.gate is gate for scope in outer)
            gate = None if is_inside else gate
        self.gate = gate
        self.place = place
        self.outer = outer
        self.is_flow = is_flow
        self.cancelled = place.cancelled if place is not None else None
        self.scope = self._scope(0)
        self.expires: float | None = None
        #: What was used to make the value.
        self.worth: Usage | None = None
        #: Whether the value is cached and of the run that this call is a part of.
        self.is_same = False
        #: Whether the ledger has it waiting for something outside the run.
        self.is_waiting = False
        #: A sync call in an async flow: whoever it waits for may need this thread.
        self.on_loop = False
        #: When an attempt asked for its turn, and when it got it.
        self.asked = self.begun = 0.0
        #: What the latest attempt printed and logged, until it is kept somewhere.
        self.printed: Parts = ()

    def _scope(self, attempt: int) -> Scope:
        return Scope(
            self.key,
            "" if self.is_flow else self.name,
            attempt,
            self.gate,
            self.place,
            self.outer,
            per_run=self.identity.per_run,
        )

    def is_inside(self, key: str) -> bool:
        """Return whether this call was made, directly or not, by the call with ``key``."""
        return self.outer is not None and any(scope.key == key for scope in self.outer)

    @property
    def paid_by(self) -> Sequence[Hold]:
        """What is held back for the call that this one is made inside of, and a part of."""
        return () if self.outer is None else self.outer.paid_by

    def begin(self, attempt: int, holds: Sequence[Hold]) -> None:
        """Before an attempt: what it will see is not what an earlier one saw."""
        self.scope = self._scope(attempt)
        self.scope.holds = holds
        if self.is_waiting:
            self.note_wait("")
        if self.place is not None and not self.is_flow:
            self.place.attempts += 1

    @property
    def changes(self) -> tuple[Slot, ...]:
        """Where the values are that the code changes itself; in a run they are looked at once, at its end."""
        return self.identity.changes if self.place is None else ()

    def enter(self) -> Token[Scope | None]:
        """The code of an attempt begins."""
        if self.is_outermost:
            SCREEN.enter()
        else:
            SCREEN.hold()
        return SCOPE.set(self.scope)

    def leave(self, token: Token[Scope | None]) -> None:
        """It has ended, or is left behind."""
        SCOPE.reset(token)
        self.close_output()
        if self.is_outermost:
            SCREEN.leave()

    def close_output(self) -> None:
        """What is printed from here on is not the attempt's."""
        scope = self.scope
        if scope.output is not None and not scope.ended:
            SCREEN.show_rest(scope.output, end="\n")
            self.printed = scope.output.kept()
        scope.ended = True

    @property
    def is_outermost(self) -> bool:
        """Return whether it is a part of nothing that looks at the screen already."""
        return self.outer is None and self.place is None

    def take_printed(self, *, is_saved: bool) -> Parts:
        """Return what the latest attempt printed, once, as far as its run has room."""
        parts, self.printed = self.printed, ()
        if parts and self.place is not None:
            return parts if self.place.room.admits(parts, is_saved=is_saved) else ()
        return parts

    def note_printed(self, attempt: int, *others: Called) -> None:
        """Tell the ledger what the latest attempt printed, if no checkpoint has it."""
        place, parts = self.place, self.take_printed(is_saved=False)
        if place is not None and parts:
            where = place.record, place.flow, self.scope.step
            place.note_all([Printed(*where, attempt, parts), *others])
        elif place is not None:
            place.note_all(others)

    def note_wait(self, why: str) -> None:
        """Tell the ledger what the call waits for; nothing: it continues."""
        self.is_waiting = bool(why)
        self.scope.note_wait(why)

    def note(
        self,
        state: State,
        at: float,
        attempt: int,
        error: BaseException | None,
        *,
        seconds: float = 0.0,
        wait: float = 0.0,
        waited: float = 0,
    ) -> None:
        """Tell the ledger how an attempt of a step ended; a flow's own call is noted by whoever sent the record."""
        place = self.place
        if place is not None and place.resumes and state is State.CACHED:
            return
        if self.is_same and place is not None:
            place.is_same = True
        if state is State.CACHED and self.worth is not None:
            self.scope.note_used(self.worth, saved=True)
        if place is None or self.is_flow:
            if self.printed:
                self.note_printed(attempt)
            return
        key = self.key if state in DONE else None
        failed = (
            failure.of(error, self.name, place.content) if error is not None else None
        )
        called = Called(
            place.record,
            place.flow,
            self.name,
            state,
            at,
            seconds,
            attempt,
            key,
            failed,
            wait,
            waited,
            self.is_same,
        )
        if self.printed:
            self.note_printed(attempt, called)
        else:
            place.note(called)


class Flight:
    """A call under way; ``landing`` is there once somebody waits for its outcome."""

    __slots__ = ("call", "landing")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.landing: Future[Outcome | None] | None = None


class Runner:
    """Performs calls on one store."""

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        crash_point: Callable[[str], None] | None = None,
    ) -> None:
        self.store = store
        self.inbox = inbox
        self.arrivals = Arrivals(inbox)
        self.clock = clock
        self.sources = Sources(store, clock)
        self._crash_point = crash_point
        #: Told the name of every step whose body is about to run.
        self.on_attempt: Callable[[str], None] | None = None
        #: Names of steps whose calls run although their outputs are saved.
        self.forced: frozenset[str] = frozenset()
        #: What calls outside a run have to fit into.
        self.budgets: Sequence[Budget] = ()
        #: Names of steps that have told what they used.
        self._paid: set[str] = set()
        self._flights: dict[str, Flight] = {}
        self._mutex = threading.Lock()
        fork.watch(self)
        #: What performs each kind of command; `_awaited` has the twins of those that wait.
        self._inline: dict[type[Command], Callable[[Call, Any], object]] = {
            Lookup: self._lookup,
            Claim: self._claim,
            Attempt: self._attempt,
            Wait: self._wait,
            Save: self._save,
            Release: self._release,
            Note: self._note,
        }
        self._awaited: dict[type[Command], Callable[[Call, Any], Awaitable[object]]] = {
            Claim: self._aclaim,
            Attempt: self._aattempt,
            Wait: self._await,
        }

    def after_fork(self) -> None:
        """In a forked child nobody sees the parent's calls through."""
        self._flights = {}
        self._mutex = threading.Lock()

    def perform(self, call: Call, *, force: bool = False) -> Outcome:
        """See ``call`` through in this thread."""
        __tracebackhide__ = True
        commands = self._plan(call, force=force)
        try:
            command = next(commands)
            while True:
                try:
                    reply = self._inline[type(command)](call, command)
                except BaseException as error:
                    command = commands.throw(error)
                else:
                    command = commands.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    async def aperform(self, call: Call, *, force: bool = False) -> Outcome:
        """`perform`, awaiting."""
        __tracebackhide__ = True
        commands = self._plan(call, force=force)
        try:
            command = next(commands)
            while True:
                try:
                    awaited = self._awaited.get(type(command))
                    if awaited is not None:
                        reply = await awaited(call, command)
                    else:
                        reply = self._inline[type(command)](call, command)
                except BaseException as error:
                    command = commands.throw(error)
                else:
                    command = commands.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    def _plan(self, call: Call, *, force: bool) -> Generator[Command, object, Outcome]:
        return life_of_call(
            call.policy,
            self.clock.random,
            force=force or (not call.is_flow and call.name in self.forced),
        )

    # The commands that never wait.

    def _lookup(self, call: Call, _command: Command) -> Outcome | None:
        ttl = call.policy.ttl
        try:
            found = lookup.fresh(self.store, call.key, ttl, self.clock.time())
            if found is None:
                return None
            call.expires = found.fresh_until(ttl)
            call.worth = found.usage
            if call.place is not None:
                call.is_same = found.saved_at > call.place.since
            return Outcome(State.CACHED, found.value)
        except StoreError as error:
            warn(
                f"A saved output of {call.name!r} could not be read, so it runs again:"
                f" {error}",
                StoreWarning,
            )
            return None

    def _save(self, call: Call, command: Save) -> Saved:
        self.reached("output")
        call.expires, call.worth = call.scope.expires, call.scope.worth
        printed = call.take_printed(is_saved=True) if call.printed else ()
        try:
            encoded = codec.encode(command.value)
            data = checkpoint.dump(
                call.name,
                command.value,
                encoded=encoded,
                saved_at=self.clock.time(),
                seconds=command.seconds,
                expires=call.scope.expires,
                built_on=call.scope.built_on,
                code=call.identity.digest,
                inputs=call.made_of,
                usage=call.worth,
                printed=printed,
            )
            self.store.put(call.key, data)
        except StoreError as error:
            call.printed = printed
            self._unsaved(call, error)
            if isinstance(error, LostError) and call.cancelled is not None:
                call.cancelled.set()
            return Saved(command.value, stored=False)
        if call.policy.ttl is not None:
            own = self.clock.time() + call.policy.ttl
            call.expires = own if call.expires is None else min(own, call.expires)
        self.reached("commit")
        return Saved(checkpoint.as_loaded(command.value, *encoded), stored=True)

    def _unsaved(self, call: Call, error: StoreError) -> None:
        fate = "The value is there, but it could not be saved"
        if isinstance(error, CodecError):
            fate = (
                "Its value could not be saved, so this call will run again next time."
            )
        elif isinstance(error, LostError):
            fate += ", as many before it. A run stops here: what it pays for is lost."
        else:
            fate += (
                ". It is kept in memory and tried again; if that fails, this call will"
                " run again next time."
            )
        text = f"{call.name!r}: {fate} {error}"
        if call.place is not None:
            call.place.note(Remark(self.clock.time(), text))
        warn(text, StoreWarning)

    def _note(self, call: Call, command: Note) -> None:
        outcome = command.outcome
        call.note(
            outcome.state,
            self.clock.time(),
            outcome.attempts,
            outcome.error,
            seconds=command.seconds,
            waited=command.waited,
        )
        self.reached("note")

    def _release(self, call: Call, command: Release) -> None:
        self.store.unlock(call.key)
        self._land(call.key, command.outcome)

    def reached(self, point: str) -> None:
        """Come to a point at which a crash may be asked for."""
        if self._crash_point is not None:
            self._crash_point(point)

    # Single flight: one call at a time works on a key, among threads and tasks here,
    # and among processes.

    def _board(self, call: Call) -> Future[Outcome | None] | None:
        """``None``: the key is ours in this process. Otherwise what to wait for."""
        # Also in a process that the call has forked, which would wait for the parent.
        if call.is_inside(call.key):
            raise RecursionError(
                f"{call.name!r} calls itself with the same arguments, directly or"
                " through other steps."
            )
        with self._mutex:
            flight = self._flights.get(call.key)
            if flight is None:
                self._flights[call.key] = Flight(call)
                return None
            if flight.landing is None:
                flight.landing = Future()
            return flight.landing

    def calling(self, step: AnyStep) -> str | None:
        """Return the name of a call under way whose code reaches ``step``, if there is one."""
        with self._mutex:
            calls = [flight.call for flight in self._flights.values()]
        for call in calls:
            if any(step.__wrapped__ is it.__wrapped__ for it in call.identity.steps):
                return call.name
        return None

    def _land(self, key: str, outcome: Outcome | None) -> None:
        with self._mutex:
            flight = self._flights.pop(key, None)  # a forked child has none of ours
        if flight is not None and flight.landing is not None:
            flight.landing.set_result(outcome)

    def _shared(self, call: Call, theirs: Outcome | None) -> Outcome | None:
        """What somebody else's outcome is to us: ``None`` if the call is still to be made."""
        if theirs is None:
            return None
        if theirs.state in DONE and theirs.stored:
            return self._lookup(call, LOOKUP)  # a fresh object, not theirs to share
        if theirs.state in DONE:
            call.is_same = call.place is not None
            return Outcome(State.CACHED, theirs.value, stored=False)
        return None if isinstance(theirs.error, RunCancelledError) else theirs

    def _claim(self, call: Call, _command: Command) -> Outcome | None:
        while (landing := self._board(call)) is not None:
            with resting(call.paid_by):
                theirs = self.clock.wait_for(landing, call.cancelled)
            shared = self._shared(call, theirs)
            if shared is not None:
                return shared
        try:
            for pause in knocks(self.store, self.clock, call):
                self.clock.wait(pause, call.cancelled)
        except StepTimeoutError as error:
            return self._too_late(call, error)
        except BaseException:
            self._land(call.key, None)
            raise
        return None

    async def _aclaim(self, call: Call, _command: Command) -> Outcome | None:
        while (landing := self._board(call)) is not None:
            import asyncio

            # Shielded: whoever stops waiting must not cancel what the others wait for.
            with resting(call.paid_by):
                theirs = await asyncio.shield(asyncio.wrap_future(landing))
            shared = self._shared(call, theirs)
            if shared is not None:
                return shared
        try:
            for pause in knocks(self.store, self.clock, call):
                await self.clock.sleep(pause)
        except StepTimeoutError as error:
            return self._too_late(call, error)
        except BaseException:
            self._land(call.key, None)
            raise
        return None

    def _too_late(self, call: Call, error: StepTimeoutError) -> Outcome:
        outcome = Outcome(State.TIMED_OUT, None, error)
        self._land(call.key, outcome)
        return outcome

    # The other two that wait.

    def _budgets(self, call: Call) -> Sequence[Budget]:
        """What an attempt has to fit into.

        A flow costs what its steps do. A call inside one that is paid for is part of it,
        unless it calls a model itself and the other one does not: then it asks for money
        in the place of that one.
        """
        budgets = self.budgets if call.place is None else call.place.budgets
        if not budgets or call.is_flow:
            return ()
        around = call.paid_by
        if not around:
            return budgets
        is_paid = call.policy.is_paid or call.name in self._paid
        if not is_paid or any(hold.wanted.is_paid for hold in around):
            return ()
        for hold in around:
            if not hold.is_handed_on:
                hold.budget.hand_on(hold)
        return budgets

    @staticmethod
    def _wanted(call: Call) -> Wanted:
        policy = call.policy
        return Wanted(
            call.name,
            size_of([call.args, call.kwargs]),
            policy.is_paid,
            policy.together,
            in_run=call.place is not None,
            waits=not call.on_loop,
        )

    def _begin(self, call: Call, attempt: int, holds: Sequence[Hold]) -> None:
        call.begin(attempt, holds)
        call.begun = time.perf_counter()
        for hold in holds:
            hold.budget.start(hold)
        if call.made_of is None:
            call.made_of = call.inputs()
            if call.place is None:
                self.sources.note(call.name, call.identity)
        if self.on_attempt is not None and not call.is_flow:
            self.on_attempt(call.name)

    def _account(self, call: Call, error: BaseException | None) -> None:
        """Count what a step that is paid for has sent and got no answer to; that is not free."""
        scope = call.scope
        if call.is_flow:
            return
        if scope.has_told:
            self._paid.add(call.name)
        elif error is not None and (call.policy.is_paid or call.name in self._paid):
            is_broken_off = not isinstance(error, Exception)
            if is_broken_off or is_unanswered(error):
                scope.is_lost = True
                scope.lose()

    def _break_off(self, call: Call, attempt: int, error: BaseException) -> None:
        """The code ends and the call with it: nothing will be noted but what it printed."""
        self._account(call, error)
        call.close_output()
        call.note_printed(attempt)

    def _attempt(self, call: Call, command: Attempt) -> Tried:
        __tracebackhide__ = True
        call.asked = time.perf_counter()
        budgets = self._budgets(call)
        if not budgets:
            return self._within_gate(call, command.number, ())
        wanted = self._wanted(call)
        with Paid() as paid:
            for budget in budgets:
                hold = budget.enter(wanted, self.clock, call.cancelled)
                paid.holds.append(hold)
            return paid.on(self._within_gate(call, command.number, paid.holds))

    def _within_gate(self, call: Call, number: int, holds: Sequence[Hold]) -> Tried:
        __tracebackhide__ = True
        gate, started = call.gate, 0.0
        if gate is not None:
            started = gate.enter(self.clock, call.cancelled)
        try:
            check(call.cancelled)
            self._begin(call, number, holds)
            token = call.enter()
            changes = call.changes
            mutation.begin(changes)
            try:
                tried = attempt(
                    call.function, call.args, call.kwargs, call.policy.timeout
                )
            except BaseException as error:
                self._break_off(call, number, error)
                raise
            finally:
                call.leave(token)
                mutation.end(changes)
        finally:
            if gate is not None:
                gate.leave(started)
        self._account(call, tried.error)
        return self._judged(call, tried, started)

    async def _aattempt(self, call: Call, command: Attempt) -> Tried:
        __tracebackhide__ = True
        call.asked = time.perf_counter()
        budgets = self._budgets(call)
        if not budgets:
            return await self._awithin_gate(call, command.number, ())
        wanted = self._wanted(call)
        with Paid() as paid:
            for budget in budgets:
                paid.holds.append(await budget.aenter(wanted))
            return paid.on(await self._awithin_gate(call, command.number, paid.holds))

    async def _awithin_gate(
        self, call: Call, number: int, holds: Sequence[Hold]
    ) -> Tried:
        __tracebackhide__ = True
        gate, started, handed_on = call.gate, 0.0, False
        if gate is not None:
            started = await gate.aenter(self.clock)
        try:
            self._begin(call, number, holds)
            token = call.enter()
            changes = call.changes
            mutation.begin(changes)
            try:
                tried = await aattempt(
                    call.function, call.args, call.kwargs, call.policy.timeout
                )
            except BaseException as error:
                self._break_off(call, number, error)
                raise
            finally:
                call.leave(token)
                mutation.end(changes)
        finally:
            if gate is not None:
                handed_on = gate.leave(started)
        self._account(call, tried.error)
        if handed_on:
            await _let_others_start()
        return self._judged(call, tried, started)

    def _judged(self, call: Call, tried: Tried, started: float) -> Tried:
        """An attempt as it counts, after the step's pace has learnt from it."""
        if call.scope.suspended is not None:
            # Whatever the flow made of it: what it did after that is not its outcome.
            return replace(tried, value=None, error=call.scope.suspended)
        gate, error = call.gate, tried.error
        if error is not None and _is_of_record(call, error):
            tried = replace(tried, is_mistake=True)
        if gate is not None and (started or error is not None):
            free = gate.pace.learn(started, error, self.clock)
            if free:
                return _without_line(call, replace(tried, is_turned_away=True))
        return _without_line(call, _without_coroutine(call, tried))

    def _before_wait(self, call: Call, command: Wait) -> None:
        if not command.is_attempt:
            call.note_wait(f"told to wait: {failure.describe(command.error)}")
            text = "step %s: told to wait for %.1f s"
            log(_LOG, logging.INFO, text, call.name, command.pause or 0.0)
            return
        call.note(
            State.RETRYING,
            self.clock.time(),
            command.number,
            command.error,
            seconds=command.spent,
            wait=command.seconds,
            waited=command.waited,
        )
        self._log_retry(call, command)

    @staticmethod
    def _log_retry(call: Call, command: Wait) -> None:
        """Log why a call is tried again: its kind for anyone, its message, which may quote content, at DEBUG."""
        error, seconds = type(command.error).__name__, command.seconds
        text = "step %s: attempt %d ended in %s, the next one is in %.1f s"
        log(_LOG, logging.INFO, text, call.name, command.number, error, seconds)
        if command.pause is not None:
            text = "step %s: pauses for %.1f s, as asked"
            log(_LOG, logging.INFO, text, call.name, command.pause)
        if _LOG.isEnabledFor(logging.DEBUG):
            message = failure.describe(command.error)
            log(_LOG, logging.DEBUG, "step %s: %s", call.name, message)

    def _wait(self, call: Call, command: Wait) -> None:
        self._before_wait(call, command)
        self.clock.wait(command.seconds, call.cancelled)

    async def _await(self, call: Call, command: Wait) -> None:
        self._before_wait(call, command)
        await self.clock.sleep(command.seconds)


def _without_coroutine(call: Call, tried: Tried) -> Tried:
    """Refuse an output that is a coroutine, or a list of them: somebody forgot to await."""
    value = tried.value
    made = value if isinstance(value, (list, tuple)) and value else (value,)
    if type(made[0]) is not CoroutineType:  # the first element tells what is in it
        return tried
    for coroutine in made:
        if type(coroutine) is CoroutineType:
            coroutine.close()  # or Python warns that nobody awaited it
    what = "flow" if call.is_flow else "step"
    advice = "Write `await` before the call."
    if not iscoroutinefunction(call.function):
        advice = (
            f"Write `async def {call.name}` and await the step, or call step.sync(...)."
        )
    error = UsageError(
        f"{what} {call.name!r} returned a coroutine: an async step was called and not"
        f" awaited. {advice}"
    )
    return Tried(None, error, tried.seconds)


def _is_of_record(call: Call, error: BaseException) -> bool:
    """Whether the record lacks a field, as it does in every attempt."""
    place = call.place
    return place is not None and failure.no_field(error, place.content) is not None


def _without_line(call: Call, tried: Tried) -> Tried:
    """The attempt without the time that it spent in line, which is told apart."""
    line, before = call.scope.waited, call.begun - call.asked
    if call.is_flow or line + before < _LINE:
        return tried
    if call.place is not None:
        call.place.was_in_line(call.asked, call.begun + line)
    return replace(tried, seconds=tried.seconds - line, waited=line + before)


async def _let_others_start() -> None:
    """A turn of the event loop between an output and its saving, for whoever got our place.

    Of sixty answers that arrive together the first would else be saved, noted and
    followed up before the sixtieth gives its place away. The output is not lost to a
    cancellation that comes meanwhile: it takes effect afterwards.
    """
    import asyncio

    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        task.cancel()


def value_of(call: Call, outcome: Outcome) -> Any:
    """The value of an outcome, for the code that made the call.

    Raises:
        BaseException: what the step's code raised, as a `StepError` too.
        RunCancelledError: the run was cancelled.
    """
    __tracebackhide__ = True
    if outcome.error is None:
        if call.outer is not None:
            call.outer.saw(
                call.name,
                call.key,
                call.expires,
                call.worth,
                per_run=call.identity.per_run,
            )
        return outcome.value
    if isinstance(outcome.error, RunCancelledError):
        raise outcome.error
    place = call.place
    flow, record = (place.flow_name, place.record_key) if place else (None, None)
    failed = FailedCall(call.name, flow, record, outcome.attempts)
    raise joined.raised(outcome.error, failed)
