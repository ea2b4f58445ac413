"""Batcher: texts that wait for an answer, gathered into requests.

Each text gets its own answer, or its own error.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, NamedTuple
from weakref import WeakKeyDictionary

from nbflow._call import failure
from nbflow._core.policy import (
    FORBIDDEN,
    http_status,
    is_unanswered,
    pauses_throttle,
    retry_after,
)
from nbflow.errors import StepTimeoutError
from nbflow.llm import decision
from nbflow.llm.form import V
from nbflow.llm.model import (
    NO_TOKENS,
    AnswerError,
    FieldsError,
    ModelError,
    ProtocolError,
    Reply,
    StopError,
    Tokens,
    UnreadableError,
)
from nbflow.llm.request_size import RequestSize

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from nbflow._call.clock import Clock
    from nbflow._core.policy import Policy
    from nbflow.llm.decision_request import DecisionRequest
    from nbflow.llm.model import Model, Request
    from nbflow.llm.prompting import Prompt
    from nbflow.llm.rate_limit import RateLimiter


#: Seconds for which a request waits for more texts to come with it.
_MOMENT = 0.05
#: Characters of a token, roughly: an estimate of what a request uses, before it is sent.
_TOKEN = 4
#: Characters of a model's name.
_NAME = 100
#: The most texts with failed attempts that are remembered.
_REMEMBERED = 10_000
#: What every further request would meet: a wrong key, an account without money, a model
#: that does not exist.
_HOPELESS = frozenset({401, 402, 404})
#: What one text among several may have caused: it is too long, or a filter rejects it.
_REFUSED = frozenset({400, FORBIDDEN, 413, 422})
#: A 403 is about the text or about the account, and an answer in an unknown form a
#: mishap or another version. So many requests for single texts in a row show that it is
#: not about the text.
_DENIED = 3
#: Answers of which nobody knows what they cost: a body that ends in the middle is not
#: JSON.
_UNREADABLE = (UnreadableError, ValueError)


class Share(NamedTuple):
    """The part of one request that counts for one text.

    Attributes:
        requests: 1 for one of its texts, 0 for the others, so that they add up to one.
        tokens: whole numbers that add up to those of the request.
        whole: what the request used, by which it is priced.
        places: the number of texts that share it.
        is_lost: it was sent and not answered, so what it used is unknown.
        model: the model that answered, if that is known.
    """

    requests: int
    tokens: Tokens
    whole: Tokens
    places: int
    is_lost: bool = False
    model: str = ""


#: A request without an answer, for the text that counts it.
LOST = Share(1, NO_TOKENS, NO_TOKENS, 1, is_lost=True)


class Waiting(Generic[V]):
    """One text that waits for its answer.

    Attributes:
        text: what leaves the process.
        run: stands for the run that it belongs to; ``None`` outside of runs.
        failed: what was wrong with the last answer, for the model to read.
        company: the most texts, including this one, that go with one request.
        answer: the answer, once it is there.
        spent: its share of each request that was made for it.
        sent: when the request that it is part of was sent, if it is at the provider.
        asked: seconds that its requests were at the provider.
        end: ends that request if nobody else waits for it; answers whether it did.
    """

    __slots__ = (
        "answer", "asked", "company", "end", "failed", "run", "sent", "spent", "text",
    )  # fmt: skip

    def __init__(
        self,
        text: str,
        run: threading.Event | None,
        failed: AnswerError | None,
        company: int,
    ) -> None:
        self.text = text
        self.run = run
        self.failed = failed
        self.company = _alone(failed) or company
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[V] = loop.create_future()
        self.spent: list[Share] = []
        self.sent: float | None = None
        self.asked = 0.0
        self.end: Callable[[], bool] = lambda: False

    def arrived(self) -> None:
        """Its request is not at the provider any more."""
        if self.sent is not None:
            self.asked += time.perf_counter() - self.sent
            self.sent = None


class Batcher(Generic[V]):
    """The texts of one step. Used only on the engine's event loop.

    Args:
        model: answers.
        prompt: what it is asked.
        limiter: the limits of the model's provider.
        batch: texts that go with one request.
        places: requests under way at once.
        timeout: seconds for one request.
    """

    def __init__(
        self,
        model: Model,
        prompt: Prompt[V] | DecisionRequest[V],
        limiter: RateLimiter,
        *,
        batch: int,
        places: int,
        timeout: float,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._limiter = limiter
        self._size = RequestSize(batch)
        self._free = places
        self._timeout = timeout
        #: The step's: calls that failed together are to come back together.
        self.policy: Policy | None = None
        #: Why fewer texts than asked for go with one request, if they do, or that a model
        #: of another name answers.
        self.remark = ""
        #: By company.
        self._waiting: dict[int, deque[Waiting[V]]] = {}
        #: The companies that have waited for more: fewer texts are enough for these.
        self._due: set[int] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._requests: set[asyncio.Task[None]] = set()
        #: What was wrong with the last answer to a text, and the number of failed
        #: attempts at it.
        self._failed: dict[str, tuple[AnswerError | None, int]] = {}
        #: Single texts that were refused with 403, or answered in an unknown form, since
        #: the last answer.
        self._denied = 0
        #: The runs that need not try again, and why.
        self._stopped: WeakKeyDictionary[threading.Event, StopError]
        self._stopped = WeakKeyDictionary()

    async def ask(
        self,
        text: str,
        run: threading.Event | None,
        clock: Clock,
        report: Callable[[Share], None],
        tell: Callable[[str], None],
        waited: Callable[[float], None] = lambda _: None,
    ) -> V:
        """The answer for one text.

        Args:
            text: what leaves the process.
            run: stands for the run that it belongs to.
            clock: to wait by.
            report: called with the text's share of each request that was made for it.
            tell: called with what it waits for while the provider is away.
            waited: told the seconds that it spent in line.

        Raises:
            AnswerError: the answer is invalid; the next attempt tells the model why.
            StopError: no request of this run can succeed.
            Exception: whatever the request raised.
        """
        if run is not None and run in self._stopped:
            raise StopError(*self._stopped[run].args)
        failed, _ = self._failed.get(text, (None, 0))
        begun = time.perf_counter()
        question = Waiting[V](text, run, failed, self._size.most)
        self._join([question], clock)
        try:
            with self._limiter.outage.told(tell):
                answer = await question.answer
        except asyncio.CancelledError:
            if question.end() and question.sent is not None:
                question.spent.append(LOST)
            raise
        finally:
            question.arrived()
            waited(time.perf_counter() - begun - question.asked)
            for share in question.spent:
                report(share)
        self._failed.pop(text, None)
        return answer

    # Gathering.

    def _join(self, questions: Sequence[Waiting[V]], clock: Clock) -> None:
        for question in questions:
            self._waiting.setdefault(question.company, deque()).append(question)
        self._start(clock)

    def _start(self, clock: Clock) -> None:
        """Make the requests that are full, or have waited long enough.

        No more than there are free places for.
        """
        for company, waiting in sorted(self._waiting.items()):
            while self._free and self._is_ready(company, waiting):
                texts = [waiting.popleft() for _ in range(min(company, len(waiting)))]
                group = [question for question in texts if not question.answer.done()]
                if group:
                    self._send(group, clock)
            if not waiting:
                self._due.discard(company)
            elif company not in self._timers and not self._is_ready(company, waiting):
                loop = asyncio.get_running_loop()
                timer = loop.call_later(_MOMENT, self._hurry, company, clock)
                self._timers[company] = timer

    def _is_ready(self, company: int, waiting: deque[Waiting[V]]) -> bool:
        if not waiting:
            return False
        return len(waiting) >= company or company in self._due

    def _hurry(self, company: int, clock: Clock) -> None:
        del self._timers[company]
        self._due.add(company)
        self._start(clock)

    # One request.

    def _send(self, group: list[Waiting[V]], clock: Clock) -> None:
        self._free -= 1
        task = asyncio.get_running_loop().create_task(self._request(group, clock))
        self._requests.add(task)  # the loop itself keeps tasks weakly
        task.add_done_callback(self._requests.discard)

        def end() -> bool:
            is_over = all(question.answer.done() for question in group)
            return is_over and task.cancel()

        for question in group:
            question.end = end

    async def _request(self, group: list[Waiting[V]], clock: Clock) -> None:
        request = self._prompt.request(
            [question.text for question in group],
            [question.failed for question in group],
            self._timeout,
        )
        estimate = _characters(request) // _TOKEN + self._prompt.size * len(group)

        async def ask() -> Reply:
            begun = time.perf_counter()
            for question in group:
                question.sent = begun
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._model.ask(request)
            except Exception as error:
                if is_unanswered(error) or isinstance(error, _UNREADABLE):
                    for place, question in enumerate(group):
                        question.spent.append(LOST._replace(requests=int(place == 0)))
                if not isinstance(error, TimeoutError):
                    raise
                raise StepTimeoutError(
                    f"no answer within timeout={self._timeout:g} s"
                ) from error
            finally:
                for question in group:
                    question.arrived()

        try:
            is_run = any(question.run is not None for question in group)
            said = await self._limiter.send(ask, estimate, clock, is_patient=is_run)
            reply = _reply(said, self._model.name)
            self._denied = 0
            self._note_name(reply.model)
            self._limiter.settle(reply.tokens.input + reply.tokens.output - estimate)
            for place, question in enumerate(group):
                question.spent.append(_share(reply, place, len(group)))
            texts = [question.text for question in group]
            failed = [question.failed for question in group]
            self._hand_out(group, self._prompt.read(reply, texts, failed), clock)
        except Exception as error:
            self._fail(group, error, clock)
        finally:
            self._free += 1
            self._start(clock)

    def _hand_out(
        self,
        group: list[Waiting[V]],
        answers: Sequence[V | AnswerError],
        clock: Clock,
    ) -> None:
        """Give each text its answer.

        Texts of a group that got none are asked about again, in smaller company.
        """
        self._learn(answers, clock)
        again = []
        for question, answer in zip(group, answers, strict=True):
            if question.answer.done():
                continue
            if not isinstance(answer, AnswerError):
                question.answer.set_result(answer)
            elif len(group) > 1:
                question.failed = answer
                again.append(question)
            else:
                self._remember(question.text, answer)
                question.answer.set_exception(answer)
        self._ask_again(again, len(group), clock)

    def _learn(self, answers: Sequence[V | AnswerError], clock: Clock) -> None:
        """Send fewer texts at once if the model cannot answer so many."""
        wrong = [
            answer
            for answer in answers
            # Of a record with some good fields the model can do as many.
            if isinstance(answer, AnswerError) and not _alone(answer)
        ]
        texts, size, before = len(answers), self._size, self._size.most
        size.answered(texts, texts - len(wrong))
        if 1 < size.asked <= size.most:
            self.remark = ""
        if size.most >= before:
            return
        now = f"{size.most} at a time" if size.most > 1 else "one by one"
        self.remark = (
            f"{self._model.name}: no answer to {texts} texts at once could be used "
            f"({wrong[0]}), so they go {now} now. batch={size.most} saves the attempts."
        )
        for company in [each for each in self._waiting if each > size.most]:
            waiting = self._waiting.pop(company)
            for question in waiting:
                question.company = size.most
            self._join(waiting, clock)

    def _note_name(self, said: str) -> None:
        """Note which decision model answered, if it is not known by the name that was given.

        Chat models add a version to their names: what the ledger notes is enough there.
        """
        if said and said != self._model.name and decision.is_one(self._model):
            own = said.partition(":")[2] or said
            self.remark = (
                f"{self._model.name}: the model that answers is {own[:_NAME]!r}. Answers are "
                "kept under the name that you gave; give this one to ask again when "
                "another model takes its place."
            )

    def _ask_again(
        self, questions: Sequence[Waiting[V]], together: int, clock: Clock
    ) -> None:
        company = self._size.below(together)
        for question in questions:
            question.company = _alone(question.failed) or company
            self._due.add(question.company)
        if questions:
            self._join(questions, clock)

    def _fail(self, group: list[Waiting[V]], error: Exception, clock: Clock) -> None:
        status = http_status(error)
        is_hopeless = status in _HOPELESS
        is_denied = status == FORBIDDEN or isinstance(error, ProtocolError)
        if is_denied and len(group) == 1:
            self._denied += 1
            is_hopeless = self._denied >= _DENIED
        if is_hopeless and not isinstance(error, StopError):
            error = failure.caused(StopError(str(error)), error)
        if (pause := pauses_throttle(error)) is not None:
            # The limiter has held everybody back already; the step is not to do it again,
            # so what the provider said is the context of the error, not its cause.
            said = ModelError(str(error), None, pause)
            said.__context__, error = error, said
        if isinstance(error, StopError):
            group = [*group, *self._stop(group, error)]
        elif len(group) > 1 and status in _REFUSED:
            unanswered = [each for each in group if not each.answer.done()]
            self._ask_again(unanswered, len(group), clock)
            return
        failed = [self._remember(question.text) for question in group]
        if len(group) > 1 and self.policy is not None:
            # No jitter between them: twenty texts that were one request are to be one
            # request again.
            asked = retry_after(error) or 0.0
            delay = max(asked, self.policy.delay(max(failed), 1.0))
            with suppress(AttributeError):  # a class that refuses the attribute
                error.retry_after = delay  # type: ignore[attr-defined]  # any may have it
        for question in group:
            if not question.answer.done():
                question.answer.set_exception(error)

    def _stop(self, group: list[Waiting[V]], error: StopError) -> list[Waiting[V]]:
        """Remember the runs of this request, which need not try again.

        Returns their texts that still wait.
        """
        runs = {question.run for question in group if question.run is not None}
        self._stopped.update(dict.fromkeys(runs, error))
        others: list[Waiting[V]] = []
        for waiting in self._waiting.values():
            others += [question for question in waiting if question.run in runs]
            kept = [question for question in waiting if question.run not in runs]
            waiting.clear()
            waiting.extend(kept)
        return others

    def _remember(self, text: str, failed: AnswerError | None = None) -> int:
        """Note that an attempt at a text has failed; returns how many have."""
        before, times = self._failed.pop(text, (None, 0))
        if len(self._failed) >= _REMEMBERED:
            del self._failed[next(iter(self._failed))]
        if self.policy is not None and times >= self.policy.retries:
            times = 0  # that was the last one of that call
        self._failed[text] = failed or before, times + 1
        return times + 1


def _characters(request: Request) -> int:
    """The characters that a model reads."""
    told = [request.text, "" if request.questions else request.instructions]
    for asked in request.questions.values():
        told += [asked.words, *asked.options.values()]
    return sum(map(len, told))


def _alone(failed: AnswerError | None) -> int:
    """1 for a text of which only some fields are asked for again, which goes alone; else 0."""
    return int(isinstance(failed, FieldsError) and bool(failed.kept))


def _reply(said: object, model: str) -> Reply:
    if not isinstance(said, Reply):
        raise TypeError(
            f"ask() of {model} returned {type(said).__name__}; "
            "it has to return a nbflow.llm.Reply."
        )
    return said


def _share(reply: Reply, place: int, places: int) -> Share:
    """The share of one text: rounded so that all shares add up to the whole."""
    whole = reply.tokens
    tokens = [
        total * (place + 1) // places - total * place // places for total in whole
    ]
    requests = 1 if place == 0 else 0
    return Share(requests, Tokens(*tokens), whole, places, model=reply.model)
