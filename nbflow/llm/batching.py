"""Line: texts that wait to be asked about, gathered into requests; each gets its own answer, or its own error."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from nbflow._core.policy import http_status, retry_after
from nbflow.errors import StepTimeoutError
from nbflow.llm.model import AnswerError, Reply, StopError, Tokens

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from nbflow._call.clock import Clock
    from nbflow._core.policy import Policy
    from nbflow.llm.category import Category
    from nbflow.llm.model import Model
    from nbflow.llm.prompt import Prompt
    from nbflow.llm.rate_limit import Channel

#: Seconds for which a request waits for more texts to come with it.
_MOMENT = 0.05
#: Texts that got no answer are asked about again, so many times fewer at once.
_FEWER = 4
#: Characters of a token, about, and tokens of an answer: what a request is taken to
#: come to before it is made.
_TOKEN, _ANSWER = 4, 60
#: Texts with failed attempts that are remembered.
_REMEMBERED = 10_000
#: What every further request would meet: a wrong key, an account without money or
#: rights, a model that is not there.
_HOPELESS = frozenset({401, 402, 403, 404})
#: What may be the fault of one text among several: too long, or something that a filter
#: minds.
_REFUSED = frozenset({400, 413, 422})


class Share(NamedTuple):
    """What of one request is one text's.

    Attributes:
        requests: 1 for one of its texts, 0 for the others: together they are the one
            that was made.
        tokens: whole numbers that add up to those of the request.
        whole: what the request came to, by which it is priced.
        places: texts that share it.
    """

    requests: int
    tokens: Tokens
    whole: Tokens
    places: int


class Asking:
    """One text that waits for its answer.

    Attributes:
        text: what leaves the process.
        run: what the run it belongs to is known by; ``None`` outside of runs.
        complaint: what was wrong with the last answer, for the model to read.
        company: so many texts at most, itself included, go with one request.
        answer: to come.
        spent: its share of each request that was made for it.
        end: ends the request that it is part of, if nobody else waits for it.
    """

    __slots__ = ("answer", "company", "complaint", "end", "run", "spent", "text")

    def __init__(
        self, text: str, run: threading.Event | None, complaint: str, company: int
    ) -> None:
        self.text = text
        self.run = run
        self.complaint = complaint
        self.company = company
        self.answer: asyncio.Future[Category] = (
            asyncio.get_running_loop().create_future()
        )
        self.spent: list[Share] = []
        self.end: Callable[[], None] = lambda: None


class Line:
    """The texts of one categorizer. Used on the engine's event loop alone.

    Args:
        model: answers.
        prompt: what it is asked.
        channel: the way to it.
        batch: texts that go with one request.
        places: requests under way at once.
        timeout: seconds for one request.
    """

    def __init__(
        self,
        model: Model,
        prompt: Prompt,
        channel: Channel,
        *,
        batch: int,
        places: int,
        timeout: float,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._channel = channel
        self._batch = batch
        self._free = places
        self._timeout = timeout
        #: Of the step: calls that failed together are to come back together.
        self.policy: Policy | None = None
        #: By company; and of which companies too few are enough, as they have waited
        #: for more.
        self._waiting: dict[int, deque[Asking]] = {}
        self._due: set[int] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._requests: set[asyncio.Task[None]] = set()
        #: What was wrong with the last answer to a text, and how many attempts at it
        #: have failed.
        self._failed: dict[str, tuple[str, int]] = {}
        self._stopped: WeakKeyDictionary[threading.Event, StopError] = (
            WeakKeyDictionary()
        )

    async def ask(
        self,
        text: str,
        run: threading.Event | None,
        clock: Clock,
        report: Callable[[Share], None],
    ) -> Category:
        """The answer for one text.

        Args:
            text: what leaves the process.
            run: what the run it belongs to is known by.
            clock: to wait by.
            report: told the text's share of each request that was made for it.

        Raises:
            AnswerError: the answer is none; the next attempt tells the model why.
            StopError: no request of this run can succeed.
            Exception: whatever the request raised.
        """
        if run is not None and run in self._stopped:
            raise StopError(*self._stopped[run].args)
        asking = Asking(text, run, self._failed.get(text, ("", 0))[0], self._batch)
        self._join([asking], clock)
        try:
            answer = await asking.answer
        except asyncio.CancelledError:
            asking.end()
            raise
        finally:
            for share in asking.spent:
                report(share)
        self._failed.pop(text, None)
        return answer

    # Gathering.

    def _join(self, askings: Sequence[Asking], clock: Clock) -> None:
        for asking in askings:
            self._waiting.setdefault(asking.company, deque()).append(asking)
        self._start(clock)

    def _start(self, clock: Clock) -> None:
        """Make the requests that are full, or have waited for long enough, as far as there are places."""
        for company, line in sorted(self._waiting.items()):
            while (
                self._free and line and (len(line) >= company or company in self._due)
            ):
                group = [
                    asking
                    for _ in range(min(company, len(line)))
                    if not (asking := line.popleft()).answer.done()
                ]
                if group:
                    self._send(group, clock)
            if not line:
                self._due.discard(company)
            elif (
                len(line) < company
                and company not in self._due
                and company not in self._timers
            ):
                self._timers[company] = asyncio.get_running_loop().call_later(
                    _MOMENT, self._hurry, company, clock
                )

    def _hurry(self, company: int, clock: Clock) -> None:
        del self._timers[company]
        self._due.add(company)
        self._start(clock)

    # One request.

    def _send(self, group: list[Asking], clock: Clock) -> None:
        self._free -= 1
        task = asyncio.get_running_loop().create_task(self._request(group, clock))
        self._requests.add(task)  # the loop itself keeps tasks weakly
        task.add_done_callback(self._requests.discard)

        def end() -> None:
            if all(asking.answer.done() for asking in group):
                task.cancel()

        for asking in group:
            asking.end = end

    async def _request(self, group: list[Asking], clock: Clock) -> None:
        request = self._prompt.request(
            [asking.text for asking in group],
            [asking.complaint for asking in group],
            self._timeout,
        )
        thought = (
            len(request.instructions) + len(request.text)
        ) // _TOKEN + _ANSWER * len(group)

        async def ask() -> Reply:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._model.ask(request)
            except TimeoutError as error:
                raise StepTimeoutError(
                    f"no answer within timeout={self._timeout:g} s"
                ) from error

        try:
            reply = _reply(
                await self._channel.send(ask, thought, clock), self._model.name
            )
            self._channel.settle(reply.tokens.input + reply.tokens.output - thought)
            for place, asking in enumerate(group):
                asking.spent.append(_share(reply.tokens, place, len(group)))
            self._hand_out(group, self._prompt.read(reply, len(group)), clock)
        except Exception as error:
            self._fail(group, error, clock)
        finally:
            self._free += 1
            self._start(clock)

    def _hand_out(
        self,
        group: list[Asking],
        answers: Sequence[Category | AnswerError],
        clock: Clock,
    ) -> None:
        """Give each text its answer. Those of several that got none are asked about again, in smaller company."""
        again = []
        for asking, answer in zip(group, answers, strict=True):
            if asking.answer.done():
                continue
            if not isinstance(answer, AnswerError):
                asking.answer.set_result(answer)
            elif len(group) > 1:
                asking.complaint = str(answer)
                again.append(asking)
            else:
                self._remember(asking.text, str(answer))
                asking.answer.set_exception(answer)
        self._ask_again(again, len(group), clock)

    def _ask_again(
        self, askings: Sequence[Asking], together: int, clock: Clock
    ) -> None:
        company = max(1, together // _FEWER)
        for asking in askings:
            asking.company = company
        if askings:
            self._due.add(company)
            self._join(askings, clock)

    def _fail(self, group: list[Asking], error: Exception, clock: Clock) -> None:
        status = http_status(error)
        if status in _HOPELESS and not isinstance(error, StopError):
            error = _caused(StopError(str(error)), error)
        if isinstance(error, StopError):
            group = [*group, *self._stop(group, error)]
        elif len(group) > 1 and status in _REFUSED:
            self._ask_again(
                [asking for asking in group if not asking.answer.done()],
                len(group),
                clock,
            )
            return
        failed = [self._remember(asking.text) for asking in group]
        if len(group) > 1 and self.policy is not None:
            # No jitter apart: twenty texts that were one request are to be one request
            # again.
            asked = retry_after(error) or 0.0
            with suppress(
                AttributeError
            ):  # an error of somebody's own that does not let itself be told
                error.retry_after = max(asked, self.policy.delay(max(failed), 1.0))  # type: ignore[attr-defined]
        for asking in group:
            if not asking.answer.done():
                asking.answer.set_exception(error)

    def _stop(self, group: list[Asking], error: StopError) -> list[Asking]:
        """Remember what the runs of this request need not try again; answers who of them still waits."""
        runs = {asking.run for asking in group if asking.run is not None}
        self._stopped.update(dict.fromkeys(runs, error))
        others = [
            asking
            for line in self._waiting.values()
            for asking in line
            if asking.run in runs
        ]
        for line in self._waiting.values():
            kept = [asking for asking in line if asking.run not in runs]
            line.clear()
            line.extend(kept)
        return others

    def _remember(self, text: str, complaint: str = "") -> int:
        """An attempt at a text has failed; answers how many have."""
        before, times = self._failed.pop(text, ("", 0))
        if len(self._failed) >= _REMEMBERED:
            del self._failed[next(iter(self._failed))]
        if self.policy is not None and times >= self.policy.retries:
            times = 0  # that was the last one of that call
        self._failed[text] = complaint or before, times + 1
        return times + 1


def _reply(said: Any, model: str) -> Reply:
    if not isinstance(said, Reply):
        raise TypeError(
            f"ask() of {model} returned {type(said).__name__}; it has to return a nbflow.llm.Reply."
        )
    return said


def _share(whole: Tokens, place: int, places: int) -> Share:
    return Share(
        int(place == 0),
        Tokens(
            *(
                total * (place + 1) // places - total * place // places
                for total in whole
            )
        ),
        whole,
        places,
    )


def _caused(error: StopError, cause: BaseException) -> StopError:
    error.__cause__ = cause
    return error
