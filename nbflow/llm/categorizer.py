"""Categorizer: labels and a model -> a step that labels texts."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from nbflow import _api
from nbflow._call.scope import SCOPE
from nbflow._core.entry import Remark
from nbflow._core.label import is_missing
from nbflow._core.policy import seconds
from nbflow._core.step import check_options
from nbflow._core.usage import Usage
from nbflow._key.warning import warn
from nbflow._session import SESSION
from nbflow.errors import NbflowWarning, NonRetriableError, UsageError
from nbflow.llm import choice, decision
from nbflow.llm import examples as known
from nbflow.llm import provider as providers
from nbflow.llm import taxonomy as taxonomies
from nbflow.llm.batching import Batcher
from nbflow.llm.category import Category
from nbflow.llm.choice import Choice
from nbflow.llm.function import category
from nbflow.llm.offline import BASELINE, Offline
from nbflow.llm.prompt import WORDING, Prompt
from nbflow.llm.rate_limit import RateLimiter, limiter_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from nbflow._call.clock import Clock
    from nbflow._call.scope import Place
    from nbflow._step import Step
    from nbflow.llm.batching import Share
    from nbflow.llm.examples import Example
    from nbflow.llm.model import Model
    from nbflow.llm.taxonomy import Taxonomy

#: Options of ``nbflow.step``, and whatever else is passed on by name.
Options: TypeAlias = dict[str, Any]

OFFLINE = "offline"
#: The defaults: requests under way at once, and the seconds that one may take.
_PLACES, _LONGEST = 32, 60.0
#: Spaces, those of no width as well.
_NOTHING = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]*")


def categorizer(
    labels: object,
    *,
    model: str | Model | Callable[[str], object] = OFFLINE,
    instructions: str | None = None,
    examples: object = None,
    unknown: str | None = None,
    reason: bool = True,
    batch: int = 1,
    redact: Callable[[str], str] | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float | str | timedelta | None = None,
    concurrency: int | None = None,
    name: str = "categorize",
    depends_on: object = (),
    **options: Any,
) -> Step[[str], Category]:
    """A step that gives each text one of ``labels``.

    Call it, ``map`` it or use it in flows, like any other step. Its key covers what the
    model is told: labels, instructions, examples, ``unknown``, ``reason``, ``redact``
    and the name of the model. It does not cover how the model is reached: ``base_url``,
    ``api_key``, ``batch``, limits and the options of steps.

    Args:
        labels: a list, a dict of label -> description, an ``Enum``, a ``Literal``, or a
            pydantic model with one field that is one of these.
        model: ``"offline"``, a baseline that is not an LLM and needs nothing;
            ``"provider:model"``, such as ``"openai:gpt-4o-mini"``, ``"anthropic:..."``,
            ``"ollama:qwen3"`` (needs ``nbflow[llm]``); a decision model, which gives a
            probability for each label: ``"openai-decisions:gpt-6-luna"``,
            ``"typesafe:..."``, ``"google-decisions:..."``, or ``"system-one:..."`` with
            ``base_url``; a function of the text, sync or async, that returns a label, a
            dict or a `Category`; or an object that satisfies `Model`, of which the key
            covers the ``name`` and the code of its class.
        instructions: what else the model should know, in your words.
        examples: texts whose label is known: a dict of label -> texts or text -> label,
            (text, label) pairs, or a frame with the columns ``text`` and ``label``.
        unknown: a label for texts that fit no other, and for empty ones, which no model
            is asked about. Without it every text gets one of ``labels``, and an empty
            one fails.
        reason: whether to ask the model why. Without, its answers cost about half. A
            decision model is not asked.
        batch: the number of texts that go with one request. Each is still a call and a
            checkpoint of its own. A decision model takes one.
        redact: applied to each text, including examples, before anything leaves the
            process.
        base_url: of a server that speaks OpenAI's protocol (vLLM, llama.cpp, LM Studio,
            a proxy), or that of the decision model. No key from the environment is sent there: give ``api_key`` if it
            needs one.
        api_key: such as ``nf.secret("OPENAI_API_KEY")``; by default the environment
            variable of the provider.
        rpm: requests per minute, for all steps that name the same provider and
            ``base_url``; excess requests are queued.
        tpm: tokens per minute, likewise.
        timeout: the longest that one request may take, by default 60 s; the time in the
            queue does not count. For a function of yours, the longest that a call may
            take, by default without limit.
        concurrency: requests of this step under way at once, by default 32; for a
            function of yours, its calls.
        name: the name under which outputs are saved.
        depends_on: what else the key covers, as for ``nbflow.step``.
        **options: of ``nbflow.step``: ``retries``, ``ttl``, ``version``, ... A
            ``version`` replaces all that the model is told in the key.

    Raises:
        UsageError: invalid labels, examples, model or options; the message names them.
        TypeError: an unknown option.

    Example:
        >>> topics = {"billing": "charges, refunds", "bug": "crashes, errors"}
        >>> answer = nbflow.llm.categorizer(topics)("two charges and no refund")
        >>> answer.label
        'billing'

        A model that decides, here a rule of one's own, gives a probability for each:

        >>> def rule(text):
        ...     charged = 0.9 if "charge" in text else 0.2
        ...     label = "billing" if charged > 0.5 else "bug"
        ...     shares = {"billing": charged, "bug": 1 - charged}
        ...     return {"label": label, "probabilities": shares}
        >>> nbflow.llm.categorizer(topics, model=rule)("two charges").confidence
        0.9
    """
    check_options(
        options,
        "categorizer",
        "To pass a model anything else, write a client of your own; "
        "see nbflow.llm.Model.",
    )
    taxonomy = taxonomies.read(labels, unknown)
    if redact is not None and not callable(redact):
        raise UsageError(f"redact={redact!r} has to be a function from text to text.")
    longest = None if timeout is None else _longer_than_nothing(timeout)
    places = None if concurrency is None else _whole(concurrency, "concurrency")
    pairs = known.read(examples, taxonomy, redact or str)
    said = _text(instructions, "instructions")
    decides = decision.is_one(model)
    told = {
        "labels": taxonomy.value,
        "what the labels' type says": taxonomy.about,
        "unknown": taxonomy.unknown or "",
        "instructions": said,
        "examples": [*map(tuple, pairs)],
        "reason": reason and not decides,
        "redact": redact,
        "model": _known_by(model),
        "nbflow's wording": choice.WORDING if decides else WORDING,
    }
    if options.get("version") is None:
        depends_on = [*_listed(depends_on), told]
    options |= {"name": name, "depends_on": depends_on}
    text_of = _Text(redact, taxonomy.unknown)
    if model == OFFLINE:
        return _labelled(_of_baseline(taxonomy, pairs, text_of, options), taxonomy)
    if not isinstance(model, str) and not hasattr(model, "ask"):
        limits = {
            "batch": batch != 1,
            "base_url": base_url,
            "api_key": api_key,
            "rpm": rpm,
            "tpm": tpm,
        }
        misplaced = [limit for limit, given in limits.items() if given]
        options |= {"timeout": longest, "concurrency": places}
        step = _of_function(model, taxonomy, text_of, options, misplaced)
        return _labelled(step, taxonomy)
    batch = _whole(batch, "batch")
    answerer, limiter = _reached(model, base_url, api_key)
    prompt: Prompt | Choice
    if decides:
        choice.check(answerer.name, taxonomy, batch)
        prompt = Choice(taxonomy, said, pairs)
    else:
        prompt = Prompt(taxonomy, said, pairs, reason=reason)
    limiter.limit(_positive(rpm, "rpm"), _positive(tpm, "tpm"))
    batcher = Batcher(
        answerer,
        prompt,
        limiter,
        batch=batch,
        places=places or _PLACES,
        timeout=longest or _LONGEST,
    )
    return _labelled(_of_model(batcher, batch, answerer, text_of, options), taxonomy)


def _labelled(step: Step[[str], Category], taxonomy: Taxonomy) -> Step[[str], Category]:
    """A step that says what it chooses from, to whoever reviews its labels."""
    step.labels = taxonomy.labels
    step.unknown = taxonomy.unknown or ""
    return step


def _listed(depends_on: object) -> list[object]:
    if isinstance(depends_on, tuple | list | set | frozenset):
        return list(depends_on)
    return [depends_on]


def _is_empty(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return _NOTHING.fullmatch(text) is not None


class _Text:
    """The part of a text that leaves the process.

    An object, not a function: the key names ``redact``, whose code counts, itself.
    """

    def __init__(
        self, redact: Callable[[str], str] | None, unknown: str | None
    ) -> None:
        self._redact = redact
        self._may_be_empty = unknown is not None
        #: The answer for a text that is empty, which nobody has to be asked for.
        self.of_nothing = Category(unknown or "", reason="the text is empty")

    def __call__(self, text: object) -> str:
        if is_missing(text):
            text = ""
        if not isinstance(text, str):
            raise TypeError(
                f"a categorizer takes a text, not {type(text).__name__}: "
                "pick the column, or join the fields."
            )
        left = text if self._redact is None else self._redact(text)
        if not isinstance(left, str):
            raise TypeError(
                f"redact= returned {type(left).__name__}; "
                "it has to return the text that may leave the process."
            )
        if _is_empty(left) and not self._may_be_empty:
            raise NonRetriableError(
                'the text is empty, and no label says so; unknown="unknown" gives it one.'
            )
        return left


class _Baseline:
    """The offline model, which says what it is in the table of every run."""

    def __init__(self, offline: Offline, step: str) -> None:
        self._offline = offline
        self._text = f'{step}: model="offline" is a {BASELINE}.'
        #: The runs that have the remark, by the event that cancels them.
        self._told: WeakSet[threading.Event] = WeakSet()

    def ask(self, text: str) -> Category:
        """Its answer."""
        scope = SCOPE.get()
        place = scope.place if scope is not None else None
        if place is not None and place.cancelled not in self._told:
            self._told.add(place.cancelled)
            place.note(Remark(place.runner.clock.time(), self._text))
        return self._offline.ask(text)


class _OnLoop:
    """A batcher for any thread and any event loop.

    It is asked on the engine's own loop, which owns the client.
    """

    def __init__(self, batcher: Batcher, model: Model) -> None:
        self._batcher = batcher
        self._model = model.name
        self._provider = model if isinstance(model, providers.Provider) else None
        #: The remark that was made last in a run, by the event that cancels it, and
        #: outside of runs.
        self._told: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    async def ask(self, text: str) -> Category:
        """The answer for one text; its usage is reported for the call under way."""
        scope = SCOPE.get()
        place = scope.place if scope is not None else None
        if scope is not None:
            scope.has_told = True  # whatever is sent is reported, also what gets lost
        run: threading.Event | None
        if place is not None:
            run, clock = place.cancelled, place.runner.clock
        else:
            run, clock = None, SESSION.engine.clock
        tell = scope.note_wait if scope is not None else lambda _: None
        asked = self._ask(text, run, clock, tell)
        loop = SESSION.machinery.loop
        try:
            if loop.is_current():
                return await asked
            future = asyncio.run_coroutine_threadsafe(asked, loop.get())
            return await asyncio.wrap_future(future)
        finally:
            if self._batcher.remark:
                self._tell(place)

    def _tell(self, place: Place | None) -> None:
        """Say that fewer texts go together: once in each run, and once elsewhere."""
        whom = place.cancelled if place is not None else self
        text = self._batcher.remark
        if self._told.get(whom) == text:
            return
        self._told[whom] = text
        if place is None:
            warn(text, NbflowWarning)
        else:
            place.note(Remark(place.runner.clock.time(), text))

    async def _ask(
        self,
        text: str,
        run: threading.Event | None,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> Category:
        if self._provider is not None:
            begun = time.perf_counter()
            await self._provider.ready()
            self._waited(time.perf_counter() - begun)
        return await self._batcher.ask(
            text, run, clock, self._report, tell, self._waited
        )

    @staticmethod
    def _waited(seconds: float) -> None:
        scope = SCOPE.get()
        if scope is not None:
            scope.waited += seconds

    def _report(self, share: Share) -> None:
        scope = SCOPE.get()
        if share.is_lost and scope is not None:
            scope.lose(share.requests)
        if share.is_lost:
            return
        whole = SESSION.prices.cost(self._model, Usage(1, *share.whole))
        if not any(share.whole) and SESSION.prices.cost(self._model, Usage(1, 1, 1)):
            whole = None  # a server that does not say what it used: not nothing
        sent, received, cached = share.tokens
        _api.usage(
            input_tokens=sent,
            output_tokens=received,
            cached_tokens=cached,
            requests=share.requests,
            cost=None if whole is None else whole / share.places,
            answered_by=share.model or None,
        )


# The functions that steps are made of. They hold objects: a function or a method in a
# closure would count in the key with all its code, and what counts is named already.


class _Asked(Protocol):
    def ask(self, text: str) -> Any: ...


def _made(function: Callable[[str], Any], options: Options) -> Step[[str], Category]:
    # One name for all of them, which keys cover: another model has a name of its own,
    # and may come with another function.
    function.__module__, function.__qualname__ = "nbflow.llm", "categorize"
    step: Step[[str], Category] = _api.step(**options)(function)
    return step


def _waiting(asked: _Asked, text_of: _Text) -> Callable[[str], Category]:
    def categorize(text: str) -> Category:
        left = text_of(text)
        if _is_empty(left):
            return text_of.of_nothing
        answer: Category = asked.ask(left)
        return answer

    return categorize


def _awaiting(
    asked: _Asked, text_of: _Text
) -> Callable[[str], Coroutine[Any, Any, Category]]:
    async def categorize(text: str) -> Category:
        left = text_of(text)
        if _is_empty(left):
            return text_of.of_nothing
        answer: Category = await asked.ask(left)
        return answer

    return categorize


def _of_baseline(
    taxonomy: Taxonomy,
    examples: tuple[Example, ...],
    text_of: _Text,
    options: Options,
) -> Step[[str], Category]:
    baseline = _Baseline(Offline(taxonomy, examples), options["name"])
    return _made(_waiting(baseline, text_of), options)


def _of_model(
    batcher: Batcher, batch: int, model: Model, text_of: _Text, options: Options
) -> Step[[str], Category]:
    function = _awaiting(_OnLoop(batcher, model), text_of)
    asks = {"is_plain": True, "model": model.name, "together": batch}
    step = _made(function, options | asks)
    batcher.policy = step.policy
    return step


def _of_function(
    function: Any,
    taxonomy: Taxonomy,
    text_of: _Text,
    options: Options,
    misplaced: list[str],
) -> Step[[str], Category]:
    if not callable(function):
        raise UsageError(
            f'model={function!r} has to be "offline", "provider:model", a function of '
            "the text, or an object with `async def ask(request)`."
        )
    if misplaced:
        raise UsageError(
            f"{misplaced[0]}= is for models that nbflow calls itself; "
            "a function of your own decides that."
        )
    if inspect.iscoroutinefunction(function):
        waits = _awaiting(_Coroutine(function, taxonomy), text_of)
        return _made(waits, options | {"is_plain": True})
    return _made(_waiting(_Function(function, taxonomy), text_of), options)


class _Function:
    """A function of the user's as a model."""

    def __init__(self, function: Callable[[str], object], taxonomy: Taxonomy) -> None:
        self._function = function
        self._taxonomy = taxonomy

    def ask(self, text: str) -> Category:
        """Its answer."""
        return category(self._function(text), self._taxonomy)


class _Coroutine:
    """An ``async def`` of the user's as a model."""

    def __init__(self, function: Callable[[str], Any], taxonomy: Taxonomy) -> None:
        self._function = function
        self._taxonomy = taxonomy

    async def ask(self, text: str) -> Category:
        """Its answer."""
        return category(await self._function(text), self._taxonomy)


def _known_by(model: object) -> object:
    """What keys cover of a model.

    Of an object only its name and class: it may change while it is used.
    """
    if not hasattr(model, "ask"):
        return model
    name = getattr(model, "name", None)
    if isinstance(model, type) or not isinstance(name, str):
        raise UsageError(
            f"model={model!r} has to be an object with a text as `name` and "
            "`async def ask(request)`."
        )
    return [name, type(model)]


def _reached(
    model: Any, base_url: str | None, api_key: object
) -> tuple[Model, RateLimiter]:
    """What answers, and the limits of its provider."""
    if not isinstance(model, str):
        provider, _, _ = str(model.name).partition(":")
        return model, limiter_of(provider, base_url)
    provider, model_id = providers.check(model, base_url)
    if not isinstance(api_key, str | None):
        owner = provider.removesuffix("-decisions").upper().replace("-", "_")
        raise UsageError(
            f"api_key= has to be a text, such as nf.secret('{owner}_API_KEY'), "
            f"not {type(api_key).__name__}."
        )
    limiter = limiter_of(provider, base_url)
    answerer = providers.Provider(model, model_id, base_url, api_key, limiter.heed)
    return answerer, limiter


def _text(value: object, option: str) -> str:
    if not isinstance(value, str | None):
        raise UsageError(f"{option}={value!r} has to be a text.")
    return value or ""


def _whole(value: object, option: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{option}={value!r} has to be a whole number, 1 or more.")
    return value


def _longer_than_nothing(timeout: float | str | timedelta) -> float:
    length = seconds(timeout, "timeout")
    if not length:
        raise UsageError(f"timeout={timeout!r} has to be greater than 0.")
    return length


def _positive(value: object, option: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UsageError(f"{option}={value!r} has to be a number above 0.")
    return value
