"""Budget: money that a run may spend. A call that could pass it waits, and is refused when waiting cannot help.

What a call will cost is not known before it was made. So the first call of each step is
made alone, and from then on each is taken to cost as much as the dearest one so far.
That much is held back while it is under way.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from nbflow._core.usage import money
from nbflow._key import fork
from nbflow.errors import BudgetError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from nbflow._call.clock import Clock
    from nbflow._core.lifecycle import Tried
    from nbflow._core.usage import Usage


class Hold:
    """Money held back for one attempt of a call."""

    __slots__ = ("amount", "budget", "cost", "ended", "step")

    def __init__(self, budget: Budget, step: str, amount: float) -> None:
        self.budget = budget
        self.step = step
        self.amount = amount
        self.cost = 0.0
        self.ended = False


class Budget:
    """So many US dollars, for all calls of a run or of a job."""

    def __init__(self, limit: float, tell: Callable[[str], None] | None = None) -> None:
        self.limit = limit
        self.spent = 0.0
        #: Why no call that costs is started any more.
        self.refusal = ""
        self._tell = tell
        self._held = 0.0
        #: Holds that money is held back for.
        self._holds = 0
        #: The dearest call of each step that has been made; those that are being made
        #: for the first time.
        self._dearest: dict[str, float] = {}
        self._first: set[str] = set()
        self._queues: defaultdict[str, deque[Future[Hold]]] = defaultdict(deque)
        self._mutex = fork.free_lock()

    def enter(
        self, step: str, clock: Clock, cancelled: threading.Event | None, *, waits: bool
    ) -> Hold:
        """Wait for the money for a call of ``step``; to be followed by `leave`.

        Without ``waits`` it refuses instead: the calls that it would wait for need this
        thread.

        Raises:
            BudgetError: it would pass the budget, and nothing is under way that could
                turn out cheaper.
        """
        place = self._ask(step, waits=waits)
        try:
            return place.result() if place.done() else clock.wait_for(place, cancelled)
        except BaseException:
            self._give_up(place)
            raise

    async def aenter(self, step: str) -> Hold:
        """`enter` for tasks."""
        import asyncio

        place = self._ask(step)
        try:
            return place.result() if place.done() else await asyncio.wrap_future(place)
        except BaseException:
            self._give_up(place)
            raise

    def leave(self, hold: Hold, *, succeeded: bool) -> None:
        """The attempt ended; what it reported is spent, the rest of what was held back is free."""
        with self._mutex:
            hold.ended = True
            self._hold(hold, -1)
            self.spent += hold.cost
            self._first.discard(hold.step)
            if (
                succeeded or hold.cost
            ):  # what failed without a cost says nothing of what a call costs
                self._dearest[hold.step] = max(
                    self._dearest.get(hold.step, 0.0), hold.cost
                )
            self._serve()

    def take(self, hold: Hold, used: Usage) -> None:
        """The attempt reported what it used; it may have been given up meanwhile."""
        with self._mutex:
            if used.unpriced:
                self._dearest[hold.step] = math.inf
                self._refuse(
                    f"what a request of step {hold.step!r} cost is not known, so a"
                    " budget cannot be kept: say nf.set_price(model, input=...,"
                    " output=...)"
                )
            if hold.ended:
                self.spent += used.cost or 0.0
            else:
                hold.cost += used.cost or 0.0

    def _ask(self, step: str, *, waits: bool = True) -> Future[Hold]:
        place: Future[Hold] = Future()
        with self._mutex:
            if not waits and self._answer(step) is None:
                place.set_exception(
                    BudgetError(
                        "not started: the budget is held back for calls under way,"
                        f" and the sync step {step!r} cannot wait for them on the"
                        f" event loop of an async flow: await {step}.aio(...)."
                    )
                )
                return place
            self._queues[step].append(place)
            self._serve(step)
        return place

    def _serve(self, *steps: str) -> None:
        for step in steps or list(self._queues):
            queue = self._queues[step]
            while queue:
                answer = self._answer(step)
                if answer is None:
                    break
                place = queue.popleft()
                if not place.set_running_or_notify_cancel():
                    continue
                if isinstance(answer, Hold):
                    self._hold(answer, 1)
                    if step not in self._dearest:
                        self._first.add(step)
                    place.set_result(answer)
                else:
                    place.set_exception(answer)

    def _hold(self, hold: Hold, sign: int) -> None:
        if hold.amount:
            self._holds += sign
            # Nothing is nothing: sums of fractions do not come back to it.
            self._held = self._held + sign * hold.amount if self._holds else 0.0

    def _answer(self, step: str) -> Hold | BudgetError | None:
        """A hold, a refusal, or ``None``: it has to wait."""
        expected = self._dearest.get(step)
        if expected == 0.0:
            return Hold(self, step, 0.0)
        if self.refusal:
            return BudgetError(f"not started: {self.refusal}.")
        if expected is None and step in self._first:
            return None
        if (
            self.spent + self._held + (expected or 0.0) <= self.limit
            and self.spent + self._held < self.limit
        ):
            return Hold(self, step, expected or 0.0)
        if self._holds:
            return None
        self._refuse(
            f"the budget of {money(self.limit)} is reached, {money(self.spent)} of it"
            f" are spent and the next call may cost {money(expected or 0.0)}"
        )
        return BudgetError(f"not started: {self.refusal}.")

    def _refuse(self, why: str) -> None:
        if not self.refusal:
            self.refusal = why
            if self._tell is not None:
                self._tell(why)

    def _give_up(self, place: Future[Hold]) -> None:
        # Money that was granted while its waiter turned away is free again.
        if not place.cancel() and place.exception() is None:
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
