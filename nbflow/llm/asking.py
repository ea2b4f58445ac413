"""Asking: a form, a model and options -> a step. All steps of `nbflow.llm` are made here."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow import _api
from nbflow._core.policy import seconds
from nbflow._core.step import check_options
from nbflow.errors import UsageError
from nbflow.llm import decision, decision_request
from nbflow.llm import provider as providers
from nbflow.llm.asked import OfBaseline, OfCoroutine, OfFunction, OfModel
from nbflow.llm.batching import Batcher
from nbflow.llm.decision_request import DecisionRequest
from nbflow.llm.leaving import Leaving
from nbflow.llm.long_text import LongText
from nbflow.llm.prompting import Prompt
from nbflow.llm.rate_limit import limiter_of
from nbflow.llm.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import timedelta

    from nbflow._step import Step
    from nbflow.llm.form import Form, Json, V
    from nbflow.llm.long_text import Asked, Join
    from nbflow.llm.model import Model
    from nbflow.llm.rate_limit import RateLimiter

#: Options of ``nbflow.step``, and whatever else is passed on by name.
Options: TypeAlias = dict[str, Any]
#: What answers, as people say it.
Answering: TypeAlias = "str | Model | Callable[[str], object]"

OFFLINE = "offline"
#: The defaults: requests under way at once, and the seconds that one may take.
_PLACES, _LONGEST = 32, 60.0


@dataclass(frozen=True, slots=True)
class Asking:
    """How a form is asked for: what `categorizer`, `extractor` and `prompt` have in common.

    Their docstrings explain each of these.
    """

    owner: str
    model: Answering
    batch: int
    redact: Callable[[str], str] | None
    base_url: str | None
    api_key: str | None
    rpm: float | None
    tpm: float | None
    timeout: float | str | timedelta | None
    concurrency: int | None
    settings: Mapping[str, object] | None
    same: Callable[[str], object] | None
    long: str
    longest: int
    join: Join
    name: str
    depends_on: object
    options: Options

    def __post_init__(self) -> None:
        check_options(
            self.options,
            self.owner,
            "What a model takes beside a text is settings={...}, such as "
            '{"temperature": 0}; anything else is for a client of your own, see '
            "nbflow.llm.Model.",
        )
        for option in ("redact", "same"):
            function = getattr(self, option)
            if function is not None and not callable(function):
                raise UsageError(
                    f"{option}={function!r} has to be a function from text to text."
                )

    @property
    def decides(self) -> bool:
        """Whether a decision model answers."""
        return decision.is_one(self.model)

    def step(self, form: Form[V]) -> Step[[str], V]:
        """The step."""
        longest = None if self.timeout is None else _longer_than_nothing(self.timeout)
        places = self.concurrency
        if places is not None:
            places = _whole(places, "concurrency")
        long = LongText(form, self.long, self.longest, self.join, self.name)
        settings = settings_of(self.settings)
        options = self.options | {"name": self.name, "same": _of_texts(self.same)}
        options["depends_on"] = self._depends_on(form, long.told(), settings)
        article = "an" if self.owner[0] in "aeiou" else "a"
        whose = f"{article} {self.owner}"
        takes = Leaving(self.redact, whose, form.of_nothing, form.without_text)
        if self.model == OFFLINE:
            self._refuse_settings(settings, "the offline model has none")
            asked = long.asking(OfBaseline(form.baseline(), self.name), awaited=False)
            return _made(form.name, _waiting(asked, takes), options)
        if not isinstance(self.model, str) and not hasattr(self.model, "ask"):
            self._refuse_settings(settings, "a function of your own sets them itself")
            options |= {"timeout": longest, "concurrency": places}
            return self._of_function(form, long, takes, options)
        batcher, model = self._batcher(form, settings, places, longest)
        asked = long.asking(OfModel(batcher, model), awaited=True)
        asks = {"is_plain": True, "model": model.name, "together": self.batch}
        step = _made(form.name, _awaiting(asked, takes), options | asks)
        batcher.policy = step.policy
        return step

    def _depends_on(self, form: Form[Any], long: Json, settings: Json) -> list[object]:
        """What keys cover."""
        if self.options.get("version") is not None:
            return _listed(self.depends_on)
        told = form.told() | {
            "redact": self.redact,
            "model": _known_by(self.model),
            "nbflow's wording": form.wording,
        }
        # What nobody asked for is not in the key: old checkpoints are those without it.
        told |= long
        if settings:
            told["settings"] = settings
        if self.same is not None:
            told["same"] = self.same
        code = told.pop("code", ())
        return [*_listed(self.depends_on), told, *code]

    def _refuse_settings(self, settings: Json, why: str) -> None:
        if settings:
            raise UsageError(
                f"settings= is for models that write and that nbflow calls: {why}."
            )

    def _of_function(
        self, form: Form[V], long: LongText[V], takes: Leaving, options: Options
    ) -> Step[[str], V]:
        function: Any = self.model
        if not callable(function):
            raise UsageError(
                f'model={function!r} has to be "offline", "provider:model", a function of '
                "the text, or an object with `async def ask(request)`."
            )
        limits = {
            "batch": self.batch != 1,
            "base_url": self.base_url,
            "api_key": self.api_key,
            "rpm": self.rpm,
            "tpm": self.tpm,
        }
        for option, given in limits.items():
            if given:
                raise UsageError(
                    f"{option}= is for models that nbflow calls itself; "
                    "a function of your own decides that."
                )
        if inspect.iscoroutinefunction(function):
            asked = long.asking(OfCoroutine(function, form), awaited=True)
            options |= {"is_plain": True}
            return _made(form.name, _awaiting(asked, takes), options)
        asked = long.asking(OfFunction(function, form), awaited=False)
        return _made(form.name, _waiting(asked, takes), options)

    def _batcher(
        self,
        form: Form[V],
        settings: Json,
        places: int | None,
        longest: float | None,
    ) -> tuple[Batcher[V], Model]:
        batch = _whole(self.batch, "batch")
        model, limiter = _reached(self.model, self.base_url, self.api_key)
        asks: Prompt[V] | DecisionRequest[V]
        if self.decides:
            self._refuse_settings(settings, f"{model.name!r} decides, and has none")
            decision_request.check(model.name, form.questions(), batch)
            asks = DecisionRequest(form)
        else:
            asks = Prompt(form, settings)
        limiter.limit(_positive(self.rpm, "rpm"), _positive(self.tpm, "tpm"))
        batcher = Batcher(
            model,
            asks,
            limiter,
            batch=batch,
            places=places or _PLACES,
            timeout=longest or _LONGEST,
        )
        return batcher, model


def _of_texts(same: Callable[[str], object] | None) -> Callable[[Any], object] | None:
    """What counts of a text in its place; whatever else is given counts as it is."""
    if same is None:
        return None
    return lambda text: same(text) if isinstance(text, str) else text


def _listed(depends_on: object) -> list[object]:
    if isinstance(depends_on, tuple | list | set | frozenset):
        return list(depends_on)
    return [depends_on]


# The functions that steps are made of. They hold objects: a function or a method in a
# closure would count in the key with all its code, and what counts is named already.


def _made(
    name: str, function: Callable[[str], Any], options: Options
) -> Step[[str], Any]:
    # One name for all of a kind, which keys cover: another model has a name of its own,
    # and may come with another function.
    function.__module__, function.__qualname__ = "nbflow.llm", name
    step: Step[[str], Any] = _api.step(**options)(function)
    return step


def _waiting(asked: Asked, text_of: Leaving) -> Callable[[str], Any]:
    def categorize(text: str) -> Any:
        left = text_of(text)
        return asked.ask(left) if left else text_of.of_nothing

    return categorize


def _awaiting(
    asked: Asked, text_of: Leaving
) -> Callable[[str], Coroutine[Any, Any, Any]]:
    async def categorize(text: str) -> Any:
        left = text_of(text)
        return await asked.ask(left) if left else text_of.of_nothing

    return categorize


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


def text_of(value: object, option: str) -> str:
    """A text that may be left out, as one that may be empty."""
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
