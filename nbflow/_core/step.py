"""Step: a typed callable with a policy and a key. A `Performer` runs it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from types import CodeType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
)

from nbflow._core.policy import Policy, Throttle, seconds
from nbflow._core.signature import mark_async, parameters_of, signature_of
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from typing import Never

P = ParamSpec("P")
# Covariant, as what a function returns is: a step that returns a `bool` stands wherever
# one that returns an `int` is asked for. It also lets the methods of an `async def` step
# match the exact coroutine type that each checker gives it.
R_co = TypeVar("R_co", covariant=True)
StepT = TypeVar("StepT", bound="Step[..., Any]")

#: ``ttl=``: fresh once per run.
PER_RUN = "run"


class Performer(Protocol):
    """What a step needs in order to be called."""

    def prepare(self, step: AnyStep) -> object:
        """Return whatever the engine wants to keep with a step."""

    def call(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Any:
        """Return the step's value, computed or remembered; for an async step, a coroutine of it."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """What decides whether two calls are the same, besides code and inputs.

    Attributes:
        version: stands for the code.
        ignore: names that do not count: arguments, and globals and closure variables
            that the code reads.
        depends_on: what else counts.
        per_run: an output is valid only in the run that made it.
        same: of the first argument, what counts in its place: calls of which it makes
            the same are one.
    """

    version: str | None = None
    ignore: frozenset[str] = frozenset()
    depends_on: tuple[object, ...] = ()
    per_run: bool = False
    same: Callable[[Any], object] | None = None


class Step(Generic[P, R_co]):
    """A function whose successful outputs are saved and reused, as the engine sees it.

    People hold its subclass in `nbflow._step`, which adds what returns runs, plans and
    explanations: those types are defined in layers above this one.

    Attributes:
        name: what its checkpoints are filed under.
        policy: how it is retried and limited.
        is_async: whether it was written with ``async def``.
        model: the model that it says it calls.
        is_plain: whether it is an async step that is called as if it were sync, so that
            its callers need not know; ``aio`` awaits it.
        labels: those that a categorizer chooses from, with their descriptions.
        unknown: the one of them that it gives to what fits no other; empty without one.
        fields: of an extractor, those labels of each field that has a list of them.
    """

    __wrapped__: Callable[P, R_co]

    def __init__(
        self,
        function: Callable[P, R_co],
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
        self.labels: Mapping[str, str] = {}
        self.unknown = ""
        self.fields: Mapping[str, Mapping[str, str]] = {}
        #: Names of globals and closure variables that do not count in keys (``ignore=``).
        self.code_ignores: frozenset[str] = keyed.ignore.difference(
            parameters_of(function)
        )
        self.is_async: bool = inspect.iscoroutinefunction(function)
        self.performer = performer
        #: For a method, the instance: it goes before the arguments of every call.
        self.bound: tuple[object, ...] = ()
        #: Opaque here, and the engine's own type there.
        self.prepared: Any = performer.prepare(self)
        if self.is_async and not is_plain:
            mark_async(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the value, from its checkpoint if there is one.

        An ``async def`` step returns an awaitable of it, unless the step is plain.

        Raises:
            StepError: the step failed permanently. It is what the step's code raised as
                well: ``except`` catches it as either.
            UnkeyableError: no key can be made of an argument.
        """
        result: R_co = self.performer.call(self, self.bound + args, kwargs)
        return result

    @property
    def code_version(self) -> str | None:
        """What stands for the code in keys, if the user set ``version=``."""
        return self.keyed.version

    def __repr__(self) -> str:
        try:
            signature = str(signature_of(self.__wrapped__))
        except ValueError:  # a function written in C that does not tell
            signature = ""
        parts = [f"step {self.name}{signature}", *self._told()]
        return f"<{', '.join(parts)}>"

    def _told(self) -> Iterator[str]:
        """What was asked for of the step."""
        if self.model is not None:
            yield f"model={self.model!r}"
        if self.labels:
            yield f"{len(self.labels)} labels"
        for option, value in self.policy.told():
            yield f"{option}={value}"
        if self.keyed.version is not None:
            yield f"version={self.keyed.version!r}"

    if not TYPE_CHECKING:  # checkers refuse what is not there by themselves

        def __getattr__(self, name: str) -> Never:
            __tracebackhide__ = True
            from nbflow._core import guesses  # few ask

            raise guesses.refusal("A step", name, guesses.STEP, self)


#: A step, whatever it takes and returns.
AnyStep: TypeAlias = Step[..., Any]


def check_function(function: object, what: str) -> None:
    """Refuse what cannot be a step or a flow, at the user's line."""
    if isinstance(function, staticmethod | classmethod):
        raise UsageError(
            f"Put @{type(function).__name__} above @nf.{what}, not below it."
        )
    if inspect.isclass(function) or not callable(function):
        raise UsageError(f"@nf.{what} takes a function, not {function!r}.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__name__", repr(function))
        raise UsageError(
            f"{name} is a generator: a {what} returns one value. "
            "Return a list instead of yielding."
        )


def name_of(function: Callable[..., object]) -> str:
    """Return a function's name as its author sees it.

    A method has its class in front; modules and enclosing functions are left out.
    """
    name: str = getattr(function, "__qualname__", "")
    if not name:
        name = getattr(function, "__name__", type(function).__name__)
    return name.rsplit("<locals>.", 1)[-1]


def step_options() -> Iterable[str]:
    """Return the names of all options of a step."""
    return make_step.__kwdefaults__ or {}


def check_options(options: Iterable[str], owner: str, otherwise: str = "") -> None:
    """Refuse options that no step has.

    Args:
        options: the names that were given.
        owner: the function that they were given to.
        otherwise: what the message says if no option has a similar name.

    Raises:
        TypeError: names the first unknown option, and the one that was meant.
    """
    __tracebackhide__ = True
    known = step_options()
    for option in options:
        if option not in known:
            close = closest(option, known)
            hint = f"Did you mean {close!r}?" if close else otherwise
            message = f"{owner}() got an unexpected keyword argument {option!r}. {hint}"
            raise TypeError(message.rstrip())


def make_step(
    kind: type[StepT],
    function: Callable[..., object],
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
    depends_on: object = (),
    name: str | None = None,
    model: str | None = None,
    is_plain: bool = False,
    together: int = 1,
    same: Callable[[Any], object] | None = None,
) -> StepT:
    """Return a step of ``function``, its options checked. `nbflow.step` explains them."""
    if isinstance(function, Step):
        function = function.__wrapped__
    check_function(function, "step")
    ignored = _ignored(function, ignore)
    per_run = ttl == PER_RUN
    policy = Policy(
        retries=_whole(retries, "retries", least=0),
        retry_delay=seconds(retry_delay, "retry_delay"),
        backoff=_at_least_one(backoff),
        max_delay=seconds(max_delay, "max_delay"),
        should_retry=should_retry,
        timeout=_positive(timeout, "timeout"),
        concurrency=_limit(concurrency, "concurrency"),
        throttle=_throttle(throttle),
        ttl=None if per_run else _positive(ttl, "ttl"),
        is_paid=model is not None,
        together=together,
    )
    if should_retry is not None and not callable(should_retry):
        raise UsageError(
            f"should_retry={should_retry!r} has to be a function that takes the "
            "exception and returns True or False."
        )
    label = None if version is None else str(version)
    keyed = Keyed(label, ignored, _dependencies(depends_on), per_run, same)
    return kind(
        function,
        _text(name, "name") or name_of(function),
        policy,
        keyed,
        performer,
        _text(model, "model"),
        is_plain=is_plain,
    )


# What the options have to be.


def _ignored(
    function: Callable[..., object], ignore: str | Iterable[str]
) -> frozenset[str]:
    """Return the names in ``ignore=``, each an argument of the function or a name it reads."""
    alone = isinstance(ignore, str) or not hasattr(ignore, "__iter__")
    ignored: frozenset[Any] = frozenset([ignore] if alone else ignore)
    for thing in ignored:
        if not isinstance(thing, str):
            raise UsageError(
                f"ignore={thing!r} is not a name; give names of arguments or of globals "
                f'that {function.__name__} reads as text: ignore=["client"].'
            )
    parameters = parameters_of(function)
    read = _names_read(getattr(function, "__code__", None))
    unknown = ignored - parameters.keys() - read
    takes_any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if unknown and not takes_any_name:
        _refuse_ignored(function, min(unknown), list(parameters), read)
    return ignored


def _refuse_ignored(
    function: Callable[..., object], name: str, parameters: list[str], read: set[str]
) -> NoReturn:
    close = closest(name, [*parameters, *read])
    hint = f"Its arguments: {', '.join(parameters) or 'none'}."
    if close:
        hint = f"Did you mean {close!r}?"
    raise UsageError(
        f"ignore={name!r}: {function.__name__} has no argument of this name and reads no "
        f"such global. {hint}"
    )


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of the known names that was probably meant."""
    import difflib

    found = difflib.get_close_matches(name, known, n=1)
    return found[0] if found else None


def _names_read(code: CodeType | None) -> set[str]:
    """Return the names of globals, attributes and closure variables that a code reads.

    The functions that are defined inside it are included.
    """
    if code is None:
        return set()
    names = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_read(constant)
    return names


def _dependencies(depends_on: object) -> tuple[object, ...]:
    """Return what ``depends_on=`` lists; anything but a list or a set is one thing."""
    if isinstance(depends_on, tuple | list | set | frozenset):
        return tuple(depends_on)
    return (depends_on,)


def _text(value: object, option: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{option}={value!r} has to be a non-empty text.")
    return value


def _whole(value: object, option: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(
            f"{option}={value!r} has to be a whole number, {least} or more."
        )
    return value


def _limit(value: object, option: str) -> int | None:
    return None if value is None else _whole(value, option, least=1)


def _throttle(throttle: str | Throttle | None) -> Throttle | None:
    if throttle is None or isinstance(throttle, Throttle):
        return throttle
    return Throttle(throttle)


def _positive(value: float | str | timedelta | None, option: str) -> float | None:
    if value is None:
        return None
    length = seconds(value, option)
    if not length:
        raise UsageError(
            f"{option}={value!r} has to be greater than 0; omit it for no {option}."
        )
    return length


def _at_least_one(backoff: object) -> float:
    is_truth = isinstance(backoff, bool)
    if isinstance(backoff, int | float) and not is_truth and backoff >= 1:
        return float(backoff)
    raise UsageError(
        f"backoff={backoff!r} has to be a number, 1 or more: each wait is that many "
        "times the one before."
    )
