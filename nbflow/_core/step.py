"""Step: a typed callable with a policy. How a call is performed is somebody else's: the `Performer`."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

from nbflow._core.policy import Policy, Throttle, seconds
from nbflow._core.signature import signature_of
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from concurrent.futures import Future
    from datetime import timedelta

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: ``ttl=``: fresh once per run.
PER_RUN = "run"


class Performer(Protocol):
    """What a step needs of an engine."""

    def prepare(self, step: Step[..., Any]) -> object:
        """Whatever the engine wants to keep with a step."""

    def call(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The step's value, computed or remembered; a coroutine of it for an async step."""

    def aio(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """Await any step; a sync one runs on a worker thread."""

    def sync(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Wait for any step."""

    def submit(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Start any step on the side."""

    def map(
        self,
        step: Step[..., Any],
        items: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> Any:
        """Every item through the step."""

    def explain(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Why a call would run or not."""

    def plan(
        self,
        step: Step[..., Any],
        items: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """What a map would do."""

    def forget(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> int:
        """Delete results."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """What, beside code and inputs, decides whether two calls are the same.

    Attributes:
        version: stands for the code.
        ignore: names of arguments, and of globals and closure variables that the code
            reads, which do not count.
        depends_on: what else counts.
        per_run: an output is good for the run that it was made in, and for no other.
    """

    version: str | None = None
    ignore: frozenset[str] = frozenset()
    depends_on: tuple[Any, ...] = ()
    per_run: bool = False


class Step(Generic[P, R]):
    """A function whose successful outputs are saved and reused. Made by ``nbflow.step``; called as it was written.

    Attributes:
        name: what its checkpoints are filed under.
        policy: how it is retried and limited.
        is_async: whether it was written with ``async def``.
        model: the model that it says it calls.
        is_plain: an async step that is called as if it were sync, for who need not
            know; ``aio`` awaits it.
    """

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
        name: str,
        policy: Policy,
        keyed: Keyed,
        performer: Performer,
        model: str | None = None,
        *,
        is_plain: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self.policy = policy
        self.keyed = keyed
        self.model = model
        self.is_plain = is_plain
        #: Names of globals and closure variables that do not count in keys
        #: (``ignore=``).
        self.code_ignores = keyed.ignore.difference(_parameters(function))
        self.is_async = inspect.iscoroutinefunction(function)
        self.performer = performer
        self.bound: tuple[Any, ...] = ()
        self.prepared: Any = performer.prepare(self)
        if (
            self.is_async and not is_plain and hasattr(inspect, "markcoroutinefunction")
        ):  # Python 3.12
            inspect.markcoroutinefunction(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The value, from the checkpoint if there is one; an awaitable of it if the step is ``async def`` and not plain.

        Raises:
            StepError: the step failed for good; the user's exception is its
                ``__cause__``.
            UnkeyableError: an argument that no key can be made of.
        """
        result: R = self.performer.call(self, self.bound + args, kwargs)
        return result

    def __get__(self, instance: object, owner: type | None = None) -> Step[..., R]:
        """The step as a method: the instance is its first argument, and part of the key by its attributes."""
        if instance is None:
            return self
        bound = object.__new__(Step)
        bound.__dict__.update(self.__dict__, bound=(instance,))
        return bound

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[Any]:
        """Await the step; a sync one runs on a worker thread, so that the event loop goes on."""
        return self.performer.aio(self, self.bound + args, kwargs)

    def sync(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Wait for the step in sync code; an async one runs on the engine's own event loop."""
        return self.performer.sync(self, self.bound + args, kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[Any]:
        """Start the step on the side and go on; ``.result()`` waits. Cannot starve: who waits, helps."""
        return self.performer.submit(self, self.bound + args, kwargs)

    def map(
        self,
        items: Iterable[Any],
        /,
        *args: Any,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Every item through the step, as its first argument: a durable, concurrent, retried ``Series.map``.

        Args:
            items: a pandas or polars Series, an Arrow array, a list or any iterator; a
                frame gives its rows as dicts.
            *args: further positional arguments, the same for every item.
            wait: ``False`` returns at once, the run goes on in the background.
            max_in_flight: so many items are under way at once.
            budget: US dollars that the calls may cost, such as ``"$5"``.
            **kwargs: further arguments, the same for every item.

        Returns:
            A `Run`, as ``nbflow.send`` does. Inside a flow: the list of values, in
                order; the first error is raised
            once all items have ended.
        """
        options = {"wait": wait, "max_in_flight": max_in_flight, "budget": budget}
        return self.performer.map(self, items, self.bound + args, kwargs, options)

    def explain(self, *args: Any, **kwargs: Any) -> Any:
        """Say why this call would run again, or since when its result is saved. Executes nothing.

        Without arguments: what of the step's code changed since it last ran.

        Returns:
            An `Explanation`: ``.state`` (``"cached"``, ``"would run"``), ``.reason`` in
                words, ``.changes``, ``.diff()``.

        Raises:
            UnkeyableError: an argument, or something that the code reads, that no key
                can be made of.
        """
        return self.performer.explain(self, self.bound + args, kwargs)

    def plan(self, items: Iterable[Any], /, *args: Any, **kwargs: Any) -> Any:
        """What ``map`` with the same arguments would do: how much is saved, how much would run and why, how long it takes.

        Executes nothing.

        Returns:
            A `Plan`.
        """
        return self.performer.plan(self, items, self.bound + args, kwargs)

    def forget(self, *args: Any, **kwargs: Any) -> int:
        """Delete the saved result of this call, and every result that was built on it, so that they run again.

        Without arguments: all results of the step, under any code.

        Returns:
            How many results were deleted, those of flows included.
        """
        return self.performer.forget(self, self.bound + args, kwargs)

    @property
    def code_version(self) -> str | None:
        """What stands for the code in keys, if the user took over (``version=``)."""
        return self.keyed.version

    def __repr__(self) -> str:
        return f"<step {self.name}>"


def check_function(function: Any, what: str) -> None:
    """Refuse what cannot be a step or a flow, at the user's line."""
    if isinstance(function, staticmethod | classmethod):
        raise UsageError(
            f"Put @{type(function).__name__} above @nf.{what}, not below it."
        )
    if inspect.isclass(function) or not callable(function):
        raise UsageError(f"@nf.{what} takes a function, not {function!r}.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{function.__name__} is a generator: a {what} returns one value. Return a list instead of yielding."
        )


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function as its author sees it: methods with their class, no module, no enclosing function."""
    name: str = getattr(function, "__qualname__", "") or getattr(
        function, "__name__", type(function).__name__
    )
    return name.rsplit("<locals>.", 1)[-1]


def check_options(options: Iterable[str], owner: str, otherwise: str = "") -> None:
    """Refuse options that no step has.

    Raises:
        TypeError: names the first of them, and the one that was meant; ``otherwise`` is
            said if none is like it.
    """
    known = make_step.__kwdefaults__ or {}
    for option in options:
        if option not in known:
            import difflib

            close = difflib.get_close_matches(option, known, n=1)
            more = f"Did you mean {close[0]!r}?" if close else otherwise
            raise TypeError(
                f"{owner}() got an unexpected keyword argument {option!r}. {more}".rstrip()
            )


def make_step(
    function: Callable[P, R],
    performer: Performer,
    *,
    retries: int = 3,
    retry_delay: float | str | timedelta = 1.0,
    backoff: float = 2.0,
    max_delay: float | str | timedelta = 60.0,
    should_retry: Callable[[BaseException], bool] | None = None,
    timeout: float | str | timedelta | None = None,
    concurrency: int | None = None,
    throttle: str | Throttle | None = None,
    ttl: float | str | timedelta | None = None,
    version: str | float | None = None,
    ignore: str | Iterable[str] = (),
    depends_on: Any = (),
    name: str | None = None,
    model: str | None = None,
    is_plain: bool = False,
) -> Step[P, R]:
    """A step of ``function``, its options checked. They are explained at ``nbflow.step``."""
    if isinstance(function, Step):
        function = function.__wrapped__
    check_function(function, "step")
    ignored = frozenset[Any](
        [ignore]
        if isinstance(ignore, str) or not hasattr(ignore, "__iter__")
        else ignore
    )
    _check_ignored(function, ignored)
    per_run = ttl == PER_RUN
    policy = Policy(
        retries=_whole(retries, "retries", least=0),
        retry_delay=seconds(retry_delay, "retry_delay"),
        backoff=_at_least_one(backoff),
        max_delay=seconds(max_delay, "max_delay"),
        should_retry=should_retry,
        timeout=_positive(timeout, "timeout"),
        concurrency=None
        if concurrency is None
        else _whole(concurrency, "concurrency", least=1),
        throttle=throttle
        if isinstance(throttle, Throttle | None)
        else Throttle(throttle),
        ttl=None if per_run else _positive(ttl, "ttl"),
    )
    if should_retry is not None and not callable(should_retry):
        raise UsageError(
            f"should_retry={should_retry!r} has to be a function that takes the exception and returns True or False."
        )
    depends = (
        tuple(depends_on)
        if isinstance(depends_on, tuple | list | set | frozenset)
        else (depends_on,)
    )
    keyed = Keyed(None if version is None else str(version), ignored, depends, per_run)
    return Step(
        function,
        _text(name, "name") or name_of(function),
        policy,
        keyed,
        performer,
        _text(model, "model"),
        is_plain=is_plain,
    )


def _check_ignored(function: Callable[..., Any], ignored: frozenset[str]) -> None:
    parameters = _parameters(function)
    read = _names_read(getattr(function, "__code__", None))
    for thing in ignored:
        if not isinstance(thing, str):
            raise UsageError(
                f'ignore={thing!r} is not a name; write those of arguments or of globals that {function.__name__} reads as text: ignore=["client"].'
            )
    unknown = ignored - parameters.keys() - read
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        import difflib

        name = min(unknown)
        close = difflib.get_close_matches(name, [*parameters, *read], n=1)
        hint = (
            f"Did you mean {close[0]!r}?"
            if close
            else f"Its arguments: {', '.join(parameters) or 'none'}."
        )
        raise UsageError(
            f"ignore={name!r}: {function.__name__} has no argument of this name and reads no such global. {hint}"
        )


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return signature_of(function).parameters
    except ValueError:  # a function written in C that does not tell
        return {}


def _names_read(code: CodeType | None) -> set[str]:
    """The names of globals, attributes and closure variables in a code and in those of the functions inside it."""
    if code is None:
        return set()
    inside = (
        _names_read(const) for const in code.co_consts if isinstance(const, CodeType)
    )
    return {*code.co_names, *code.co_freevars}.union(*inside)


def _text(value: Any, option: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise UsageError(f"{option}={value!r} has to be a text that is not empty.")
    return value


def _whole(value: Any, option: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(
            f"{option}={value!r} has to be a whole number, {least} or more."
        )
    return value


def _positive(value: float | str | timedelta | None, option: str) -> float | None:
    if value is None:
        return None
    length = seconds(value, option)
    if not length:
        raise UsageError(
            f"{option}={value!r} has to be longer than nothing; leave it out for no {option}."
        )
    return length


def _at_least_one(backoff: Any) -> float:
    if (
        isinstance(backoff, bool)
        or not isinstance(backoff, int | float)
        or not backoff >= 1
    ):
        raise UsageError(
            f"backoff={backoff!r} has to be a number, 1 or more: each wait is that many times the one before."
        )
    return float(backoff)


#: A step, whatever it takes and returns.
AnyStep: TypeAlias = Step[..., Any]
