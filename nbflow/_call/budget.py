"""Budget: money that a run may spend. A call that could pass it waits, and is refused when waiting cannot help.

What a call costs is not known before it was made, and the next one may be far dearer.
So a call is started beside others only if the money lasts even if each of those turns
out many times as dear as the dearest so far; else it waits until it is alone. Whatever
the calls cost, the last one alone can pass the limit. For that

- all that is under way is valued at the dearest call seen, as soon as it is seen, and
  at more if its arguments are larger than those of every call whose cost is known;
- a call of unknown cost is made alone, and then as many at once as have been made;
- money is held from where a call really starts: of each step one call at a time may
  have money and still wait for its place or its throttle.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Self

from nbflow._core.usage import money
from nbflow._key import fork
from nbflow.errors import BudgetError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._call.clock import Clock
    from nbflow._core.lifecycle import Tried
    from nbflow._core.usage import Usage

#: How many times as dear as the dearest before it a call may turn out while others are
#: under way, without passing the limit by more than one call.
_SURPRISE = 50
#: What sums of fractions may differ by, as a share.
_ROUNDING = 1e-9
#: How much larger than one that cost nothing a call may be and still be taken to cost
#: nothing: the factor, and the number of characters.
_TIMES, _MORE = 2, 100
#: Attempts of a step that fail without a cost, after which other steps need not wait
#: for it to be known.
_MISSES = 3


class Wanted(NamedTuple):
    """A call that asks for money.

    Attributes:
        step: its step's name.
        size: the characters of the texts that it is given.
        is_paid: whether its step says that it calls a model.
        together: the calls of its step that may be one request.
        in_run: whether it is made in a run, so that whatever it is made inside of is
            known.
        waits: whether it can wait for others.
    """

    step: str
    size: int = 1
    is_paid: bool = False
    together: int = 1
    in_run: bool = True
    waits: bool = True


class Hold:
    """Money held back for one attempt of a call."""

    __slots__ = (
        "budget",
        "cost",
        "ended",
        "is_handed_on",
        "lost",
        "requests",
        "wanted",
    )

    def __init__(self, budget: Budget, wanted: Wanted) -> None:
        self.budget = budget
        self.wanted = wanted
        self.cost = 0.0
        self.requests = 0
        #: Requests that were sent and not answered.
        self.lost = 0
        self.ended = False
        #: Calls inside this one ask for money themselves.
        self.is_handed_on = False


class _Known:
    """What is known of the calls of one step, and those that are under way."""

    def __init__(self) -> None:
        #: What the dearest call cost; ``None`` before any ended.
        self.dearest: float | None = None
        #: The number of calls whose cost is known; of each order of size the dearest
        #: and the largest of them.
        self.seen = 0
        self.sizes: dict[int, tuple[float, int]] = {}
        self.holds: set[Hold] = set()
        #: Has money, and waits for its place.
        self.in_line: Hold | None = None
        #: The sizes of requests that were sent and not answered: nobody knows what they
        #: cost, and they are held back for good.
        self.lost: list[int] = []
        #: Attempts that failed and reported nothing.
        self.misses = 0
        self.queue: deque[tuple[Wanted, Future[Hold]]] = deque()
        #: What may be spent by the calls under way, and was by those that were lost.
        self._under_way = self.gone = 0.0

    def is_free(self, size: int) -> bool:
        """Whether calls of this size have cost nothing so far."""
        if self.dearest != 0.0:
            return False
        largest = max(size for _, size in self.sizes.values())
        return size <= _TIMES * largest + _MORE

    def expected(self, size: int) -> float:
        """What a call of this size may cost: as much as the dearest that was not larger, and more if it is larger."""
        order = size.bit_length()
        known = [seen for each, seen in self.sizes.items() if each <= order]
        if not known and self.sizes:
            known = [self.sizes[min(self.sizes)]]
        dearest = max((cost for cost, _ in known), default=0.0)
        largest = max((size for _, size in known), default=size)
        return dearest * max(1.0, size / largest)

    def forget_cancelled(self) -> None:
        """Let go of calls that do not wait any more."""
        while self.queue and self.queue[0][1].cancelled():
            self.queue.popleft()

    def put(self, hold: Hold) -> None:
        self.holds.add(hold)
        self._under_way += self.expected(hold.wanted.size)

    def drop(self, hold: Hold) -> None:
        if self.in_line is hold:
            self.in_line = None
        if hold in self.holds:
            self.holds.remove(hold)
            self._under_way -= self.expected(hold.wanted.size)
        if not self.holds:
            self._under_way = 0.0  # sums of fractions do not come back to it

    def learn(self, cost: float, size: int) -> None:
        """A call of this size has cost this much so far."""
        self.dearest = max(self.dearest or 0.0, cost)
        order = size.bit_length()
        before = self.sizes.get(order, (-1.0, 0))
        now = max(cost, before[0]), max(size, before[1])
        if now != before:
            self.sizes[order] = now
            self.weigh()

    def weigh(self) -> None:
        """Value again what is under way and what was lost."""
        self._under_way = sum(self.expected(hold.wanted.size) for hold in self.holds)
        self.gone = sum(map(self.expected, self.lost))

    @property
    def is_new(self) -> bool:
        """Whether nobody knows what a call costs, and others have to wait until it is known."""
        return self.dearest is None and self.misses < _MISSES

    @property
    def is_paying(self) -> bool:
        """Whether calls are under way that may cost."""
        return bool(self.holds) and self.dearest != 0.0

    @property
    def at_risk(self) -> float:
        """What the calls under way may cost."""
        return math.inf if self.holds and self.is_new else self._under_way


class Budget:
    """So many US dollars, for all calls of a run or of a job."""

    def __init__(self, limit: float, tell: Callable[[str], None] | None = None) -> None:
        self.limit = limit
        self.spent = 0.0
        #: Why no call that costs is started any more.
        self.refusal = ""
        self._tell = tell
        self._is_told = False
        self._steps: defaultdict[str, _Known] = defaultdict(_Known)
        self._mutex = fork.free_lock()

    def enter(
        self, wanted: Wanted, clock: Clock, cancelled: threading.Event | None
    ) -> Hold:
        """Wait for the money for a call; to be followed by `leave`.

        One that cannot wait is refused instead: the calls that it would wait for need
        this thread.

        Raises:
            BudgetError: it would pass the budget, and nothing is under way that could
                turn out cheaper.
        """
        place = self._ask(wanted)
        try:
            return place.result() if place.done() else clock.wait_for(place, cancelled)
        except BaseException:
            self._give_up(place)
            raise

    async def aenter(self, wanted: Wanted) -> Hold:
        """`enter` for tasks."""
        import asyncio

        place = self._ask(wanted)
        try:
            return place.result() if place.done() else await asyncio.wrap_future(place)
        except BaseException:
            self._give_up(place)
            raise

    def start(self, hold: Hold) -> None:
        """The call has its place: the next one of its step may wait for one."""
        with self._mutex:
            known = self._steps[hold.wanted.step]
            if known.in_line is hold:
                known.in_line = None
                self._serve(known)

    def leave(self, hold: Hold, *, succeeded: bool) -> None:
        """The attempt ended; what it reported is spent, the rest of what was held back is free."""
        with self._mutex:
            known = self._steps[hold.wanted.step]
            hold.ended = True
            known.drop(hold)
            self.spent += hold.cost
            if hold.lost:
                known.lost += [hold.wanted.size] * hold.lost
                known.weigh()
            # What failed without a cost says nothing of what a call costs, nor does
            # what made no request although its step calls a model.
            is_told = hold.requests or not hold.wanted.is_paid
            if hold.cost or (succeeded and is_told):
                known.learn(hold.cost, hold.wanted.size)
                known.seen += 1
            elif not hold.wanted.is_paid:
                known.misses += 1
            self._serve(*self._steps.values())

    def hand_on(self, hold: Hold) -> None:
        """A call inside this one asks for money itself, so none is held back for this one any more."""
        with self._mutex:
            hold.is_handed_on = True
            self._steps[hold.wanted.step].drop(hold)
            self._serve(*self._steps.values())

    @contextmanager
    def resting(self, hold: Hold) -> Iterator[None]:
        """The call only waits for another one, which may need the money meanwhile."""
        known = self._steps[hold.wanted.step]
        with self._mutex:
            known.drop(hold)
            self._serve(*self._steps.values())
        try:
            yield
        finally:
            with self._mutex:
                if not hold.ended and not hold.is_handed_on:
                    known.put(hold)

    def take(self, hold: Hold, used: Usage) -> None:
        """The attempt reported what it used; it may have been given up meanwhile."""
        with self._mutex:
            known = self._steps[hold.wanted.step]
            hold.requests += used.requests
            if used.unpriced > used.unanswered:
                known.dearest = math.inf
                self._refuse(
                    f"what a request of step {hold.wanted.step!r} cost is not known, so"
                    " a budget cannot be kept: say nf.set_price(model, input=...,"
                    " output=...)"
                )
            if hold.ended:
                self.spent += used.cost or 0.0
            else:
                hold.cost += used.cost or 0.0
            if used.cost:
                known.learn(hold.cost or used.cost, hold.wanted.size)

    def lose(self, hold: Hold, requests: int = 1) -> None:
        """A request of the call was sent and not answered; negative: it was, after all."""
        with self._mutex:
            if not hold.ended:
                hold.lost += requests
                return
            known, size = self._steps[hold.wanted.step], hold.wanted.size
            if requests > 0:
                known.lost.append(size)
            elif size in known.lost:
                known.lost.remove(size)
            known.weigh()

    def told_passed(self) -> str:
        """That more was spent than the limit; said once, nothing otherwise."""
        with self._mutex:
            if self._is_told or self.spent <= self.limit * (1 + _ROUNDING):
                return ""
            self._is_told = True
            return self._passed()

    def _passed(self) -> str:
        over = money(self.spent - self.limit)
        return (
            f"the budget of {money(self.limit)} was passed by {over}, by a call that"
            " was dearer than expected"
        )

    def _ask(self, wanted: Wanted) -> Future[Hold]:
        place: Future[Hold] = Future()
        with self._mutex:
            known = self._steps[wanted.step]
            if not wanted.waits and self._answer(known, wanted) is None:
                place.set_exception(
                    BudgetError(
                        "not started: the budget is held back for calls under way, and"
                        f" the sync step {wanted.step!r} cannot wait for them on the"
                        f" event loop of an async flow: await {wanted.step}.aio(...)."
                    )
                )
                return place
            known.queue.append((wanted, place))
            self._serve(known)
        return place

    def _serve(self, *steps: _Known) -> None:
        refusal = self.refusal
        for known in steps:
            known.forget_cancelled()
            while known.queue:
                wanted, place = known.queue[0]
                answer = self._answer(known, wanted)
                if answer is None:
                    break
                known.queue.popleft()
                if not place.set_running_or_notify_cancel():
                    continue
                if isinstance(answer, Hold):
                    known.put(answer)
                    known.in_line = answer
                    place.set_result(answer)
                else:
                    place.set_exception(answer)
                known.forget_cancelled()
        if self.refusal != refusal:  # those who wait can no longer be served
            self._serve(*self._steps.values())

    def _answer(self, known: _Known, wanted: Wanted) -> Hold | BudgetError | None:
        """A hold, a refusal, or ``None``: it has to wait."""
        if known.is_free(wanted.size):
            is_turn = len(known.holds) < known.seen or not wanted.waits
            return Hold(self, wanted) if is_turn else None
        if self.refusal:
            return BudgetError(f"not started: {self.refusal}.")
        can_wait = wanted.waits and wanted.in_run and known.dearest is not None
        if can_wait and self._is_new_waiting():
            return None  # or a step behind this one would never get its first turn
        if self._fits(known, wanted):
            return Hold(self, wanted)
        if any(step.is_paying for step in self._steps.values()):
            return None
        expected = min(known.expected(wanted.size), known.dearest or 0.0)
        self._refuse(self._reached(expected))
        return BudgetError(f"not started: {self.refusal}.")

    def _is_new_waiting(self) -> bool:
        """Whether a step waits for its first call, which is made alone."""
        return any(
            step.is_new and any(not place.cancelled() for _, place in step.queue)
            for step in self._steps.values()
        )

    def _fits(self, known: _Known, wanted: Wanted) -> bool:
        """Whether a call may start now: however dear calls turn out, only one of them may pass the limit."""
        steps = [step for step in self._steps.values() if step.holds or step.lost]
        spent = self.spent + sum(step.gone for step in steps)
        expected, count = known.expected(wanted.size), len(known.holds)
        limit = self.limit * (1 + _ROUNDING)
        if not wanted.waits:
            seen = sum(step.at_risk for step in steps if step.dearest is not None)
            return spent + seen < self.limit and spent + seen + expected <= limit
        if known.in_line is not None or (count and known.dearest is None):
            return False
        if count >= max(1, known.seen, wanted.together):
            return False
        others = [step for step in steps if step is not known and step.is_paying]
        if not wanted.in_run:
            # On a thread of a step's own, whose call may be one of those under way.
            others = [step for step in others if step.dearest is not None]
        risk = sum(step.at_risk for step in others)
        near = known.at_risk
        if others or count >= wanted.together:
            risk, near = risk + near, 0.0
        if not risk and not near:  # alone: what is only a guess refuses nothing
            expected = min(expected, known.dearest or 0.0)
        risk = spent + near + _SURPRISE * risk
        return risk < self.limit and risk + expected <= limit

    def _reached(self, expected: float) -> str:
        if self.spent > self.limit * (1 + _ROUNDING):
            self._is_told = True
            return self._passed()
        gone = sum(step.gone for step in self._steps.values())
        unsure = ""
        if gone:
            unsure = f", {money(gone)} are held back for requests without an answer,"
        return (
            f"the budget of {money(self.limit)} is reached, {money(self.spent)} of it"
            f" are spent{unsure} and the next call may cost {money(expected)}"
        )

    def _refuse(self, why: str) -> None:
        if not self.refusal:
            self.refusal = why
            if self._tell is not None:
                self._tell(why)

    def _give_up(self, place: Future[Hold]) -> None:
        # Money that was granted while its waiter turned away is free again.
        if place.cancel():
            with self._mutex:
                self._serve(*self._steps.values())
        elif place.exception() is None:
            self.leave(place.result(), succeeded=False)


class Paid:
    """A block in which an attempt is made: whatever ends it, what was held back for it is free again."""

    __slots__ = ("holds", "succeeded")

    def __init__(self) -> None:
        self.holds: list[Hold] = []
        self.succeeded = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hold in self.holds:
            hold.budget.leave(hold, succeeded=self.succeeded)

    def on(self, tried: Tried) -> Tried:
        """This is how the attempt ended."""
        self.succeeded = tried.error is None
        return tried


@contextmanager
def resting(holds: Sequence[Hold]) -> Iterator[None]:
    """A block in which the call of ``holds`` only waits for another call."""
    with ExitStack() as stack:
        for hold in holds:
            stack.enter_context(hold.budget.resting(hold))
        yield


def size_of(value: object, depth: int = 4) -> int:
    """The characters of the texts that a call is given, by which its cost grows; at least 1."""
    if isinstance(value, str | bytes):
        return max(1, len(value))
    if depth and isinstance(value, Mapping):
        value = list(value.values())
    if depth and isinstance(value, list | tuple):
        return max(1, sum(size_of(part, depth - 1) for part in value))
    return 1
