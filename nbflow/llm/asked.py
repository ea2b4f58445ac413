"""Asked: what gives a step its answers, whether a model, a function or the baseline."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Generic
from weakref import WeakKeyDictionary, WeakSet

from nbflow import _api
from nbflow._call.scope import SCOPE
from nbflow._core.entry import Remark
from nbflow._core.usage import Usage
from nbflow._key.warning import warn
from nbflow._session import SESSION
from nbflow.errors import NbflowWarning
from nbflow.llm import provider as providers
from nbflow.llm.form import V
from nbflow.llm.offline import BASELINE

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from nbflow._call.clock import Clock
    from nbflow._call.scope import Place
    from nbflow.llm.batching import Batcher, Share
    from nbflow.llm.form import Baseline, Form
    from nbflow.llm.model import Model


class OfBaseline(Generic[V]):
    """The offline model, which says what it is in the table of every run."""

    def __init__(self, offline: Baseline[V], step: str) -> None:
        self._offline = offline
        self._text = f'{step}: model="offline" is a {BASELINE}.'
        #: The runs that have the remark, by the event that cancels them.
        self._told: WeakSet[threading.Event] = WeakSet()

    def ask(self, text: str) -> V:
        """Its answer."""
        scope = SCOPE.get()
        place = scope.place if scope is not None else None
        if place is not None and place.cancelled not in self._told:
            self._told.add(place.cancelled)
            place.note(Remark(place.runner.clock.time(), self._text))
        return self._offline.ask(text)


class OfModel(Generic[V]):
    """A batcher for any thread and any event loop.

    It is asked on the engine's own loop, which owns the client.
    """

    def __init__(self, batcher: Batcher[V], model: Model) -> None:
        self._batcher = batcher
        self._model = model.name
        self._provider = model if isinstance(model, providers.Provider) else None
        #: The remark that was made last in a run, by the event that cancels it, and
        #: outside of runs.
        self._told: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    async def ask(self, text: str) -> V:
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
    ) -> V:
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


class OfFunction(Generic[V]):
    """A function of the user's as a model."""

    def __init__(self, function: Callable[[str], object], form: Form[V]) -> None:
        self._function = function
        self._form = form

    def ask(self, text: str) -> V:
        """Its answer."""
        return self._form.of_function(self._function(text), text)


class OfCoroutine(Generic[V]):
    """An ``async def`` of the user's as a model."""

    def __init__(self, function: Callable[[str], Any], form: Form[V]) -> None:
        self._function = function
        self._form = form

    async def ask(self, text: str) -> V:
        """Its answer."""
        return self._form.of_function(await self._function(text), text)
