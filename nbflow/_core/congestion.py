"""Congestion: how fast a service takes calls, learnt from its refusals. Only arithmetic.

After a refusal nobody starts for as long as the service asks. Then calls start one
after the other, at the rate at which the service took them before, and a little faster
with each answer until it refuses again. So a crowd that waited does not come back as a
crowd, and a caller that was refused too often is not slow permanently.
"""

from __future__ import annotations

#: The share of a measured rate that is used: networks deliver evenly spread calls less
#: evenly.
_USED = 0.95
#: By how much a refusal lengthens a distance that was kept, at least.
_LESS = 1.25
#: By how much each answer shortens the distance of starts: about where it was found to
#: be, times the answers since the refusal, where a pause is long beside it and where it
#: is not; on the way there.
_SLOWLY, _BOLDLY, _QUICKLY = 0.001, 0.02, 0.2
#: The longest distance of starts that nobody measured, and the shortest that counts as
#: one; in seconds.
_GUESS, _NONE = 0.5, 0.001
#: Seconds without a start, although one was allowed, that are no part of a mean.
_IDLE = 1.0
#: The distance of starts, in pauses that the service asks for: what comes back after one
#: is taken.
_AT_MOST = 2.0


class Congestion:
    """The pauses and the distance of starts of one service. Not thread-safe.

    Args:
        patience: refusals in a row, without an answer to anybody, that are nobody's
            failure.
        trusts: whether those that come before the first answer are nobody's, too.
    """

    __slots__ = (
        "_answers", "_asked", "_hoped_at", "_hopes", "_is_known", "_is_rate", "_next",
        "_patience", "_since", "_taken", "interval", "paused_until", "refusals",
        "under_way",
    )  # fmt: skip

    def __init__(self, patience: int, *, trusts: bool) -> None:
        self._patience = patience
        self.paused_until = 0.0
        #: Seconds between two starts.
        self.interval = 0.0
        #: Refusals since the last answer, once all that were under way have ended, too.
        self.refusals = 0 if trusts else patience
        self.under_way = 0
        #: Calls under way at a refusal that may still be answered, and when it was.
        self._hopes, self._hoped_at = 0, 0.0
        self._next = 0.0
        #: Answers since the last refusal, and the longest pause that was asked for, in
        #: seconds.
        self._answers, self._asked = 0, 0.0
        #: When the last pause ended, and calls that were taken since.
        self._since, self._taken = 0.0, 0
        #: Whether the last refusal was for too many calls, and whether the distance has
        #: been found since.
        self._is_rate = self._is_known = False

    @property
    def is_hopeless(self) -> bool:
        """Whether the service has refused so often in a row that a refusal is a failure."""
        return self.refusals > self._patience

    def start_of(self, ahead: int) -> float:
        """When the next may start after ``ahead`` others."""
        return max(self.paused_until, self._next) + ahead * self.interval

    def start(self, now: float) -> None:
        """A call starts."""
        due = max(self.paused_until, self._next)
        if self.paused_until > self._since:
            self._slow_down(now)
            self._since, self._taken = now, 0
        elif not self.under_way and now > due + _IDLE:
            self._since, self._taken = now, 0
        self._next = now + self.interval
        self._taken += 1
        self.under_way += 1

    def _slow_down(self, now: float) -> None:
        """Keep more distance from here on: this is the first start after a pause.

        What the service takes lies between the distance that it refused and the mean
        one since the last pause, which this one and our own waits made longer.
        """
        mean = now - self._since
        if self._taken > 0:
            mean /= self._taken * _USED
        longest = self.interval * _LESS if self._is_rate and self.interval else _GUESS
        self._is_known = self._is_rate and (self.interval > 0 or mean < _GUESS)
        # What comes back after such a pause is taken, so no greater distance is needed.
        self.interval = min(mean, longest, _AT_MOST * self._asked)

    def end(self, begun: float) -> None:
        """A call that started then ended, in whatever way; `answer` or `refuse` say more of it."""
        self.under_way -= 1
        if self._hopes and begun <= self._hoped_at:
            self._hopes -= 1
            self.refusals += not self._hopes

    def answer(self) -> None:
        """The service answered a call."""
        self.refusals = self._hopes = 0
        self._answers += 1
        self.interval /= 1 + self._faster
        if self.interval < _NONE:
            self.interval = 0.0

    @property
    def _faster(self) -> float:
        """By how much this answer shortens the distance.

        Where a refusal costs a long pause it is tried seldom, where it costs no more
        than the distance that is kept, soon: a service that refuses some calls whatever
        their rate would slow us down for nothing.
        """
        if not self._is_known:
            return _QUICKLY
        cheap = min(1.0, self.interval / self._asked) if self._asked else 1.0
        return max(_SLOWLY, _BOLDLY * cheap**2) * self._answers

    def hold(self, until: float) -> None:
        """Let nobody start until then, and one after the other from then on."""
        self.paused_until = max(self.paused_until, until)

    def refuse(
        self, begun: float, now: float, seconds: float, *, is_rate: bool
    ) -> bool:
        """The service refused a call that has ended; nobody starts for ``seconds``.

        Args:
            begun: when the call started.
            now: the time.
            seconds: for how long.
            is_rate: whether it was for too many calls, rather than for being busy.

        Returns:
            Whether the refusal is nobody's failure: others get through, or may.
        """
        if begun >= self._since:
            self._taken -= 1
        # A call that was under way when another one was refused only repeats it.
        is_new = begun >= self.paused_until
        if is_new:
            self._answers = 0
            self._is_rate = is_rate
            # Some say the time until the next call, some always the same.
            self._asked = max(seconds, self._asked)
            self.refusals += not self.under_way
        if self.under_way and not self._hopes:
            self._hopes, self._hoped_at = self.under_way, now
        self.hold(now + seconds)
        return not self.is_hopeless
